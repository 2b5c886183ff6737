/**
 * Addresses of local endpoints that no policy holds in a direction: most pods of most clusters.
 *
 * Their packets pass by a look-up in one set instead of a chain of their own, so that attaching such a pod writes an element (6 us
 * over netlink) where a chain costs a run of iptables-restore for each family (20 ms and more). Looking by address is as good as by
 * interface because the reverse-path rule in `raw` lets no pod use another's.
 *
 * An address is open only if every local endpoint that has it is: while a pod takes over an address, the stricter one counts.
 */
import { OPEN_SETS } from '../compile/names.js';
import { DIRECTIONS, type Direction } from '../model/policy.js';
import { familyOf } from './set-need.js';
import type { PodEntry } from './cluster.js';
import type { SetStore } from './set-store.js';

interface Claim {
  readonly open: Set<PodEntry>;
  readonly guarded: Set<PodEntry>;
  isMember: boolean;
}

export class OpenEndpoints {
  /** By direction and address. BOUNDED by the node's pods. */
  private readonly claims: Readonly<Record<Direction, Map<string, Claim>>> = { ingress: new Map(), egress: new Map() };
  private readonly addressesOf: Readonly<Record<Direction, Map<PodEntry, readonly string[]>>> = {
    ingress: new Map(),
    egress: new Map(),
  };

  constructor(private readonly store: SetStore) {
    for (const direction of DIRECTIONS)
      store.create(OPEN_SETS[direction], 'address', `local pods that no policy holds in ${direction}`);
  }

  /** An endpoint's addresses in a direction, and whether it is open there; no addresses: it is gone. */
  put(entry: PodEntry, direction: Direction, addresses: readonly string[], isOpen: boolean): void {
    const before = this.addressesOf[direction].get(entry) ?? [];
    for (const address of before) {
      const claim = this.claims[direction].get(address);
      claim?.open.delete(entry);
      claim?.guarded.delete(entry);
    }
    for (const address of addresses) {
      const claim = this.claims[direction].get(address) ?? { open: new Set(), guarded: new Set(), isMember: false };
      (isOpen ? claim.open : claim.guarded).add(entry);
      this.claims[direction].set(address, claim);
    }
    if (addresses.length > 0) this.addressesOf[direction].set(entry, addresses);
    else this.addressesOf[direction].delete(entry);
    for (const address of new Set([...before, ...addresses])) this.settle(direction, address);
  }

  private settle(direction: Direction, address: string): void {
    const claim = this.claims[direction].get(address);
    if (claim === undefined) return;
    const isMember = claim.open.size > 0 && claim.guarded.size === 0;
    if (isMember && !claim.isMember) this.store.add(OPEN_SETS[direction], familyOf(address), address);
    if (!isMember && claim.isMember) this.store.remove(OPEN_SETS[direction], familyOf(address), address);
    claim.isMember = isMember;
    if (claim.open.size + claim.guarded.size === 0) this.claims[direction].delete(address);
  }
}
