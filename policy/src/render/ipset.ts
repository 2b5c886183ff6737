/**
 * Address sets in `ipset restore`'s words. Whoever speaks netlink takes the same facts from the AddressSet itself.
 *
 * Every set is created with the same header for its type, so that "exists" and "is what we want" are one question; 2^20 members are
 * allowed (memory is taken as members come), because ipset's default of 65,536 is less than a large cluster's pods.
 */
import type { AddressSet, SetChange, SetType } from '../ruleset.js';

export const MAX_MEMBERS = 1 << 20;

/** ipset's name of a set type. */
export function ipsetType(type: SetType): 'hash:ip' | 'hash:net' | 'hash:ip,port' {
  switch (type) {
    case 'address':
      return 'hash:ip';
    case 'network':
      return 'hash:net';
    case 'address-port':
      return 'hash:ip,port';
  }
}

/** "create tortie4-x hash:ip family inet maxelem 1048576" */
export function renderCreate({
  name,
  type,
  family,
  timeoutSeconds,
}: Pick<AddressSet, 'name' | 'type' | 'family' | 'timeoutSeconds'>): string {
  const timeout = timeoutSeconds === undefined ? '' : ` timeout ${timeoutSeconds}`;
  return `create ${name} ${ipsetType(type)} family ${family === 4 ? 'inet' : 'inet6'} maxelem ${MAX_MEMBERS}${timeout}`;
}

/** The set with all its members, members sorted. */
export function renderSet(set: AddressSet): readonly string[] {
  return [renderCreate(set), ...[...set.members.keys()].sort().map((member) => `add ${set.name} ${member}`)];
}

/** Additions first: a change must not open a gap for an address that moves between entries. */
export function renderChange(change: SetChange): readonly string[] {
  return [
    ...change.added.map((member) => `add ${change.name} ${member}`),
    ...change.removed.map((member) => `del ${change.name} ${member}`),
  ];
}
