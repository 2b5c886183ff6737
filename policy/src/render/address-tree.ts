/**
 * A dispatch map by addresses and ports as chains for iptables: a tree that splits keys by their next four bits, of the address first, then
 * by protocol, then by the port's. So ten thousand services cost a packet some fifty comparisons at worst, and one that comes or goes
 * changes one node. The tree depends on the entries alone, never on the order in which they came.
 */
import { bitsOf, formatPrefix } from 'node-bgp/address';
import { parseDispatchKey, type DispatchTarget } from '../dispatch-key.js';
import { shortId, type Chain, type DispatchMap, type Match, type Rule } from '../ruleset.js';

/** Up to so many entries a node lists them; above, it splits. */
const LEAF_SIZE = 12;
/** Characters of a node's own name behind the map's. */
const NODE_NAME = 10;

interface Entry extends DispatchTarget {
  readonly chain: string;
}

/** The map's own chain first, then its inner nodes. */
export function addressChains(map: DispatchMap): readonly Chain[] {
  const { key } = map;
  if (key === 'in-interface' || key === 'out-interface')
    throw new Error(`Cannot make a tree of addresses of "${map.name}": its keys are interfaces`);
  const entries = [...map.entries]
    .map(([text, chain]): Entry => ({ ...parseDispatchKey(key, text), chain }))
    .sort(compare);
  const chains: Chain[] = [];
  addNode(chains, map, map.name, entries);
  return chains;
}

function addNode(chains: Chain[], map: DispatchMap, name: string, entries: readonly Entry[]): void {
  const rules: Rule[] = [];
  const inner: { name: string; entries: readonly Entry[] }[] = [];
  for (const group of entries.length <= LEAF_SIZE ? entries.map((entry) => alone(entry)) : split(entries)) {
    const [first] = group.entries;
    if (first === undefined) continue;
    const isLeaf = group.entries.length === 1;
    const node = `${map.name}-${shortId(group.id).slice(0, NODE_NAME)}`;
    rules.push({
      ...(first.address === undefined ? {} : { family: first.address.family }),
      matches: isLeaf ? wholeKey(first) : group.matches,
      action: { type: 'goto', chain: isLeaf ? first.chain : node },
    });
    if (!isLeaf) inner.push({ name: node, entries: group.entries });
  }
  if (map.otherwise === 'drop') rules.push({ matches: [], action: { type: 'drop' }, note: 'no such key' });
  chains.push({ table: map.table, name, rules });
  for (const node of inner) addNode(chains, map, node.name, node.entries);
}

interface Group {
  readonly id: string;
  readonly matches: readonly Match[];
  readonly entries: Entry[];
}

const alone = (entry: Entry): Group => ({ id: '', matches: [], entries: [entry] });

/** By whatever they differ in first. All of them have the same address and protocol where a later part is asked. */
function split(entries: readonly Entry[]): readonly Group[] {
  const first = entries[0];
  const last = entries[entries.length - 1];
  if (first === undefined || last === undefined) return [];
  if (first.address !== undefined && first.address.value !== last.address?.value)
    return splitByAddress(entries, first, last);
  if (first.protocol !== last.protocol)
    return gather(entries, (entry) => ({
      id: `${addressText(entry)} ${entry.protocol}`,
      matches: protocolMatch(entry),
    }));
  return splitByPort(entries, first, last);
}

function splitByAddress(entries: readonly Entry[], first: Entry, last: Entry): readonly Group[] {
  const bits = bitsOf(first.address?.family ?? 4);
  const length = nextNibble(bits, (first.address?.value ?? 0n) ^ (last.address?.value ?? 0n));
  const rest = BigInt(bits - length);
  return gather(entries, ({ address }) => {
    if (address === undefined) throw new Error('Cannot split entries by address: one has none');
    const prefix = formatPrefix({ family: address.family, value: (address.value >> rest) << rest, length });
    return { id: prefix, matches: [{ type: 'network', side: 'destination', prefix }] };
  });
}

function splitByPort(entries: readonly Entry[], first: Entry, last: Entry): readonly Group[] {
  const length = nextNibble(16, BigInt((first.port ?? 0) ^ (last.port ?? 0)));
  const size = 1 << (16 - length);
  return gather(entries, (entry) => {
    const from = Math.floor((entry.port ?? 0) / size) * size;
    const ports: Match = { type: 'ports', side: 'destination', ports: [{ from, to: from + size - 1 }] };
    return { id: `${addressText(entry)} ${entry.protocol} ${from}/${size}`, matches: [...protocolMatch(entry), ports] };
  });
}

/** Bits up to and with the group of four in which the first and the last differ. */
const nextNibble = (bits: number, difference: bigint): number =>
  Math.floor((bits - difference.toString(2).length) / 4) * 4 + 4;

/** Entries come sorted, so groups lie side by side. */
function gather(
  entries: readonly Entry[],
  describe: (entry: Entry) => { readonly id: string; readonly matches: readonly Match[] },
): readonly Group[] {
  const groups: Group[] = [];
  for (const entry of entries) {
    const described = describe(entry);
    const last = groups[groups.length - 1];
    if (last?.id === described.id) last.entries.push(entry);
    else groups.push({ ...described, entries: [entry] });
  }
  return groups;
}

function wholeKey(entry: Entry): readonly Match[] {
  const matches: Match[] = [];
  if (entry.address !== undefined)
    matches.push({ type: 'network', side: 'destination', prefix: `${addressText(entry)}` });
  for (const match of protocolMatch(entry)) matches.push(match);
  if (entry.port !== undefined)
    matches.push({ type: 'ports', side: 'destination', ports: [{ from: entry.port, to: entry.port }] });
  return matches;
}

const protocolMatch = ({ protocol }: Entry): readonly Match[] =>
  protocol === undefined ? [] : [{ type: 'protocol', protocol }];

const addressText = ({ address }: Entry): string =>
  address === undefined ? '' : formatPrefix({ ...address, length: bitsOf(address.family) });

function compare(a: Entry, b: Entry): number {
  const left = a.address?.value ?? 0n;
  const right = b.address?.value ?? 0n;
  if (left !== right) return left < right ? -1 : 1;
  return (a.protocol ?? 0) - (b.protocol ?? 0) || (a.port ?? 0) - (b.port ?? 0);
}
