/**
 * Arithmetic on sets of addresses written as prefixes: union, difference, and the one smallest cover of disjoint prefixes.
 *
 * An ipBlock with excepts becomes the prefixes that are left, so the kernel needs neither `nomatch` (which would subtract
 * from a neighbour's block too: the most particular entry of a set wins, whoever put it there) nor overlapping intervals.
 */
import {
  bitsOf,
  comparePrefixes,
  containsAddress,
  containsPrefix,
  formatPrefix,
  prefixesOverlap,
  type Family,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';
import { Interner } from './interner.js';

/** Disjoint prefixes of both families in address order, no two of which could be one: equal sets have equal lists. */
export type Networks = readonly IpPrefix[];

/** Everything in `prefixes`, in canonical form. */
export function unionNetworks(prefixes: readonly IpPrefix[]): Networks {
  const kept: IpPrefix[] = [];
  for (const prefix of [...prefixes].sort(comparePrefixes)) {
    const last = kept[kept.length - 1];
    if (last !== undefined && containsPrefix(last, prefix)) continue;
    kept.push(prefix);
    mergeTail(kept);
  }
  return inUse.intern(networksKey(kept), kept);
}

/** The same block stands in many policies. */
const inUse = new Interner<Networks>();

/** `cidr` without `excepts`. Excepts that do not lie in it change nothing. */
export function subtractNetworks(cidr: IpPrefix, excepts: readonly IpPrefix[]): Networks {
  const relevant = excepts.filter((except) => prefixesOverlap(cidr, except));
  if (relevant.length === 0) return [cidr];
  if (relevant.some((except) => containsPrefix(except, cidr))) return [];
  return halves(cidr).flatMap((half) => subtractNetworks(half, relevant));
}

export const networksOf = (networks: Networks, family: Family): Networks =>
  networks.filter((prefix) => prefix.family === family);

export function networksContain(networks: Networks, address: IpAddress): boolean {
  return networks.some((prefix) => containsAddress(prefix, address));
}

export const networksKey = (networks: Networks): string => networks.map(formatPrefix).join(' ');

/** Does this list hold every address of the family? In canonical form that is one prefix of length zero. */
export const isWholeFamily = (networks: Networks, family: Family): boolean =>
  networks.some((prefix) => prefix.family === family && prefix.length === 0);

function halves(prefix: IpPrefix): readonly [IpPrefix, IpPrefix] {
  const length = prefix.length + 1;
  const bit = 1n << BigInt(bitsOf(prefix.family) - length);
  return [
    { family: prefix.family, value: prefix.value, length },
    { family: prefix.family, value: prefix.value + bit, length },
  ];
}

/** Joins the last two prefixes while they are the halves of one. */
function mergeTail(kept: IpPrefix[]): void {
  for (;;) {
    const b = kept[kept.length - 1];
    const a = kept[kept.length - 2];
    if (a === undefined || b === undefined || a.family !== b.family || a.length !== b.length || a.length === 0) return;
    const bit = 1n << BigInt(bitsOf(a.family) - a.length);
    if ((a.value & bit) !== 0n || a.value + bit !== b.value) return;
    kept.splice(kept.length - 2, 2, { family: a.family, value: a.value, length: a.length - 1 });
  }
}
