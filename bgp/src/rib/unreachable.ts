/** Why a next hop cannot be reached, in words: which look-up failed (next-hops.ts does them; RFC 4271 section 5.1.3 and 9.1.2.1). */
import { formatAddress, formatPrefix, type Family, type IpAddress, type IpPrefix } from '../address.js';
import { isLinkLocal } from './hops.js';
import { LOCAL_PEER } from './peers.js';
import { wordsOf, type PrefixId } from './prefix-table.js';
import type { ReadableTable, ReadableTables } from './reading.js';

type Tables = Pick<ReadableTables, 'sets' | 'nextHops'>;
type Families = Readonly<Record<Family, ReadableTable>>;

/** One sentence about a next hop that is not reachable. */
export function unreachableText(tables: Tables, families: Families, id: number): string {
  const address = tables.nextHops.address(id);
  const name = address === undefined ? '' : ` ${formatAddress(address)}`;
  return `Its next hop${name} cannot be reached: ${failureText(tables, families, id)}`;
}

function failureText({ sets, nextHops }: Tables, families: Families, id: number): string {
  const look = nextHops.lookedUp(id);
  if (look === undefined) return 'it is not known any more';
  const { target, interfaceName, isDirect, length } = look;
  if (isLinkLocal(target))
    return interfaceName === undefined
      ? 'a link-local address is looked for on the link of the session, and this session has none'
      : `link ${interfaceName} is down or not there`;
  const { family } = target;
  const table = families[family];
  const words = wordsOf(target);
  // As the look-up does: links and the kernel's routes first, then what BGP has that is longer.
  const covering = (minimum: number): PrefixId =>
    table.prefixes.longestMatch(words, 0, words.length * 32, minimum, (prefix) => table.head[prefix] !== 0);
  const found = isDirect ? -1 : covering(Math.max((length ?? -1) + 1, 1));
  if (found >= 0) {
    const name = formatPrefix(table.prefixes.prefixOf(found));
    const best = table.best[found] as number;
    if (best !== 0 && table.paths.peer[best] === LOCAL_PEER)
      return `it lies in our own prefix ${name}, and nothing leads on from here`;
    return isThroughItself(table, sets.nextHop, nextHops.isWithin.bind(nextHops), found)
      ? `the route to it, ${name}, leads through itself: its next hop lies in it, and nothing longer leads there`
      : `the route to it, ${name}, has a next hop that BGP would have to reach, too`;
  }
  if (length !== undefined) return `the kernel's route to it, ${prefixText(target, length)}, leads nowhere`;
  if (isDirect) return 'no link has it, and a neighbour on a link is believed about its own link only';
  if (covering(0) >= 0) return 'only a default route from BGP leads there, and that carries no next hop';
  return nextHops.ignoresDefault(family)
    ? "only the kernel's default route leads there, and resolveThroughDefault is off"
    : 'no link, no route of the kernel and no BGP route leads there';
}

function isThroughItself(
  { head, paths, prefixes, family }: ReadableTable,
  nextHopOf: ReadableTables['sets']['nextHop'],
  isWithin: ReadableTables['nextHops']['isWithin'],
  prefix: PrefixId,
): boolean {
  const length = prefixes.lengths[prefix] as number;
  for (let path = head[prefix] as number; path !== 0; path = paths.next[path] as number) {
    const hop = nextHopOf[paths.raw[path] as number] as number;
    if (!isWithin(hop, family, prefixes.words, prefix * prefixes.width, length)) return false;
  }
  return true;
}

function prefixText(address: IpAddress, length: number): string {
  const host = BigInt((address.family === 4 ? 32 : 128) - length);
  const prefix: IpPrefix = { family: address.family, value: (address.value >> host) << host, length };
  return formatPrefix(prefix);
}
