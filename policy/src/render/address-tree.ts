/**
 * A dispatch map by addresses and ports as chains for iptables: a tree that splits keys by their next four bits, of the address first, then
 * by protocol, then by the port's. So ten thousand services cost a packet some fifty comparisons at worst, and one that comes or goes
 * changes one node. The tree depends on the entries alone, never on the order in which they came.
 *
 * A tree is kept, and changed by entries: only the nodes on the way to a changed key are made anew. A node is named after the part of the
 * key that all its entries share, so one that no changed key belongs to is what it was, wherever it hangs now.
 */
import { bitsOf, formatPrefix } from 'node-bgp/address';
import { parseDispatchKey, type DispatchTarget } from '../dispatch-key.js';
import { shortId, type Chain, type DispatchKey, type DispatchMap, type Match, type Rule } from '../ruleset.js';

/** Up to so many entries a node lists them; above, it splits. */
const LEAF_SIZE = 12;
/** Characters of a node's own name behind the map's. */
const NODE_NAME = 10;
/** Changes put in one by one; more are sorted in together. */
const FEW = 256;

interface Entry extends DispatchTarget {
  readonly chain: string;
}

interface Node {
  readonly chain: Chain;
  /** Names of nodes below. */
  readonly inner: readonly string[];
}

export interface TreeChange {
  readonly upserted: readonly Chain[];
  /** Names of chains. */
  readonly deleted: readonly string[];
}

type AddressKey = Exclude<DispatchKey, 'in-interface' | 'out-interface'>;

export class AddressTree {
  /** Sorted by `compare`. BOUNDED by the map's entries. */
  private entries: Entry[];
  private readonly nodes = new Map<string, Node>();
  private readonly map: Pick<DispatchMap, 'table' | 'name' | 'otherwise'>;
  private readonly key: AddressKey;

  /** Throws RangeError that names a key it cannot read. */
  constructor({ table, name, key, otherwise, entries }: DispatchMap) {
    if (key === 'in-interface' || key === 'out-interface')
      throw new Error(`Cannot make a tree of addresses of "${name}": its keys are interfaces`);
    this.map = { table, name, otherwise };
    this.key = key;
    this.entries = [...entries].map((one) => this.read(one)).sort(compare);
    this.grow(new Growth(this.nodes), name, [0, this.entries.length], []);
  }

  /** The map's own chain first, then its inner nodes. */
  chains(): readonly Chain[] {
    const chains: Chain[] = [];
    const visit = (name: string): void => {
      const node = this.nodes.get(name);
      if (node === undefined) return;
      chains.push(node.chain);
      node.inner.forEach(visit);
    };
    visit(this.map.name);
    return chains;
  }

  /** A key that leads elsewhere may be in both. */
  change(added: ReadonlyMap<string, string>, removed: readonly string[]): TreeChange {
    const gone = removed.map((key) => this.read([key, '']));
    const come = [...added].map((one) => this.read(one));
    if (gone.length + come.length > FEW) this.sortIn(gone, come);
    else {
      for (const entry of gone) this.take(entry);
      for (const entry of come) this.put(entry);
    }
    const growth = new Growth(this.nodes);
    this.grow(growth, this.map.name, [0, this.entries.length], [...gone, ...come]);
    return growth.end();
  }

  private read([text, chain]: readonly [string, string]): Entry {
    return { ...parseDispatchKey(this.key, text), chain };
  }

  private sortIn(gone: readonly Entry[], come: readonly Entry[]): void {
    const replaced = new Set([...gone, ...come].map(({ chain: _, ...target }) => targetText(target)));
    this.entries = [...this.entries.filter((entry) => !replaced.has(targetText(entry))), ...come].sort(compare);
  }

  private take(entry: Entry): void {
    const at = this.placeOf(entry);
    if (this.holds(at, entry)) this.entries.splice(at, 1);
  }

  private put(entry: Entry): void {
    const at = this.placeOf(entry);
    this.entries.splice(at, this.holds(at, entry) ? 1 : 0, entry);
  }

  private holds(at: number, entry: Entry): boolean {
    const there = this.entries[at];
    return there !== undefined && compare(there, entry) === 0;
  }

  private placeOf(entry: Entry): number {
    return firstWhere([0, this.entries.length], (index) => compare(this.at(index), entry) >= 0);
  }

  private at(index: number): Entry {
    const entry = this.entries[index];
    if (entry === undefined) throw new RangeError(`No entry ${index} of ${this.entries.length} in "${this.map.name}"`);
    return entry;
  }

  /** Makes the node of a range of entries. `touched` are changed keys that belong, or belonged, to it. */
  private grow(growth: Growth, name: string, range: Range, touched: readonly Entry[]): void {
    const { map } = this;
    const rules: Rule[] = [];
    const inner: { readonly name: string; readonly range: Range; readonly touched: readonly Entry[] }[] = [];
    const split = range[1] - range[0] <= LEAF_SIZE ? undefined : this.splitOf(this.at(range[0]), this.at(range[1] - 1));
    for (let from = range[0], to = from; from < range[1]; from = to) {
      const first = this.at(from);
      to = split === undefined ? from + 1 : this.endOfGroup(split, from, range[1]);
      const isLeaf = to - from === 1;
      const group = split === undefined || isLeaf ? undefined : split.describe(first);
      const node = group === undefined ? first.chain : `${map.name}-${shortId(group.id).slice(0, NODE_NAME)}`;
      rules.push({
        ...(first.address === undefined ? {} : { family: first.address.family }),
        matches: group?.matches ?? wholeKey(first),
        action: { type: 'goto', chain: node },
      });
      if (group !== undefined)
        inner.push({
          name: node,
          range: [from, to],
          touched: touched.filter((entry) => split?.describe(entry).id === group.id),
        });
    }
    if (map.otherwise === 'drop') rules.push({ matches: [], action: { type: 'drop' }, note: 'no such key' });
    growth.put(name, { chain: { table: map.table, name, rules }, inner: inner.map((one) => one.name) });
    for (const one of inner)
      if (one.touched.length > 0 || !this.nodes.has(one.name)) this.grow(growth, one.name, one.range, one.touched);
  }

  /** Entries lie sorted, so groups lie side by side. */
  private endOfGroup({ partOf }: Split, from: number, end: number): number {
    const part = partOf(this.at(from));
    return firstWhere([from + 1, end], (index) => partOf(this.at(index)) !== part);
  }

  /** By whatever they differ in first. All of them have the same address and protocol where a later part is asked. */
  private splitOf(first: Entry, last: Entry): Split {
    if (first.address !== undefined && first.address.value !== last.address?.value) return byAddress(first, last);
    if (first.protocol !== last.protocol)
      return {
        partOf: ({ protocol = 0 }) => protocol,
        describe: (entry) => ({ id: `${addressText(entry)} ${entry.protocol}`, matches: protocolMatch(entry) }),
      };
    return byPort(first, last);
  }
}

/** A map that does not change. */
export const addressChains = (map: DispatchMap): readonly Chain[] => new AddressTree(map).chains();

/** From, and up to but without. */
type Range = readonly [from: number, to: number];

/** The nodes made in one change, and which of the former ones nothing leads to any more. */
class Growth {
  private readonly upserted: Chain[] = [];
  private readonly reached = new Set<string>();
  private readonly orphans: string[] = [];

  constructor(private readonly nodes: Map<string, Node>) {}

  put(name: string, node: Node): void {
    const before = this.nodes.get(name);
    for (const inner of before?.inner ?? []) this.orphans.push(inner);
    for (const inner of node.inner) this.reached.add(inner);
    this.nodes.set(name, node);
    if (before === undefined || JSON.stringify(before.chain.rules) !== JSON.stringify(node.chain.rules))
      this.upserted.push(node.chain);
  }

  end(): TreeChange {
    const deleted: string[] = [];
    for (const name of this.orphans) {
      const node = this.reached.has(name) ? undefined : this.nodes.get(name);
      if (node === undefined) continue;
      this.nodes.delete(name);
      deleted.push(name);
      for (const inner of node.inner) this.orphans.push(inner);
    }
    return { upserted: this.upserted.filter(({ name }) => this.nodes.has(name)), deleted };
  }
}

interface Split {
  /** Entries of one group have one part. */
  partOf(entry: Entry): bigint | number;
  describe(entry: Entry): { readonly id: string; readonly matches: readonly Match[] };
}

function byAddress(first: Entry, last: Entry): Split {
  const bits = bitsOf(first.address?.family ?? 4);
  const length = nextNibble(bits, (first.address?.value ?? 0n) ^ (last.address?.value ?? 0n));
  const rest = BigInt(bits - length);
  return {
    partOf: ({ address }) => (address?.value ?? 0n) >> rest,
    describe: ({ address }) => {
      if (address === undefined) throw new Error('Cannot split entries by address: one has none');
      const prefix = formatPrefix({ family: address.family, value: (address.value >> rest) << rest, length });
      return { id: prefix, matches: [{ type: 'network', side: 'destination', prefix }] };
    },
  };
}

function byPort(first: Entry, last: Entry): Split {
  const length = nextNibble(16, BigInt((first.port ?? 0) ^ (last.port ?? 0)));
  const size = 1 << (16 - length);
  const partOf = ({ port = 0 }: Entry): number => Math.floor(port / size);
  return {
    partOf,
    describe: (entry) => {
      const from = partOf(entry) * size;
      const ports: Match = { type: 'ports', side: 'destination', ports: [{ from, to: from + size - 1 }] };
      const id = `${addressText(entry)} ${entry.protocol} ${from}/${size}`;
      return { id, matches: [...protocolMatch(entry), ports] };
    },
  };
}

/** Bits up to and with the group of four in which the first and the last differ. */
const nextNibble = (bits: number, difference: bigint): number =>
  Math.floor((bits - difference.toString(2).length) / 4) * 4 + 4;

/** The first index of a range that is so, where all behind it are; the range's end when none is. */
function firstWhere([from, to]: Range, isSo: (index: number) => boolean): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isSo(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
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

const protocolMatch = ({ protocol }: DispatchTarget): readonly Match[] =>
  protocol === undefined ? [] : [{ type: 'protocol', protocol }];

const addressText = ({ address }: DispatchTarget): string =>
  address === undefined ? '' : formatPrefix({ ...address, length: bitsOf(address.family) });

const targetText = (target: DispatchTarget): string => `${target.address?.value} ${target.protocol} ${target.port}`;

function compare(a: DispatchTarget, b: DispatchTarget): number {
  const left = a.address?.value ?? 0n;
  const right = b.address?.value ?? 0n;
  if (left !== right) return left < right ? -1 : 1;
  return (a.protocol ?? 0) - (b.protocol ?? 0) || (a.port ?? 0) - (b.port ?? 0);
}
