/** Which of the speaker's filters a peer has, by name and in order. */
import type { Family } from 'node-bgp/address';
import { digestName } from './unique-name.js';

export type Direction = 'import' | 'export';

/** To nodes of our own AS, to clients of this reflector, and to everybody else. */
export type Audience = 'mesh' | 'clients' | 'peers';

/** Ours, after the user's: decides what no rule of the user has. */
export const exportFilter = (to: Audience): string => `tortie-export-${to}`;
/** Ours, before the user's: what no user can want. */
export const NODE_ADDRESS_FILTER = 'tortie-node-address';
/** Before the user's too: what other nodes told us is a second choice, whoever lets it out. */
export const HANDED_ON_FILTER = 'tortie-handed-on';

/** BGPFilter, direction and family as one name; a resource's name may hold more, and other, characters than the speaker takes. */
export function filterName(name: string, direction: Direction, family: Family): string {
  const end = `-${direction}-v${family}`;
  const isUsable = name.length + end.length <= 128 && /^[\x21-\x7e]*$/.test(name);
  return (isUsable ? name : digestName(name, name, 128 - end.length)) + end;
}

export const importNames = (filters: readonly string[], family: Family): readonly string[] =>
  filters.map((name) => filterName(name, 'import', family));

/**
 * The user's filters come first, so that they may let through what ours holds back. A node's own address inside the
 * mesh would be a next hop that resolves through itself: that comes before them.
 */
export function exportNames(filters: readonly string[], family: Family, to: Audience): readonly string[] {
  const own = filters.map((name) => filterName(name, 'export', family));
  if (to === 'peers') return [HANDED_ON_FILTER, ...own, exportFilter(to)];
  return [...(own.length === 0 ? [] : [NODE_ADDRESS_FILTER]), ...own, exportFilter(to)];
}
