/** Who has which addresses: the index behind the allocator's blocks, in memory alone. */
import type { Attachment, Owner } from './journal.js';

/** None of the three may hold a slash. */
const ownerKey = ({ network, containerId, interfaceName }: Attachment): string =>
  `${network}/${containerId}/${interfaceName}`;

/** BOUNDED by the addresses of the node. */
export class OwnerIndex {
  private readonly ownerByAddress = new Map<string, Owner>();
  private readonly addressesOf = new Map<string, Set<string>>();

  /** Every address with its owner. */
  get entries(): ReadonlyMap<string, Owner> {
    return this.ownerByAddress;
  }

  /** Every owner with its addresses. */
  owners(): readonly { readonly owner: Owner; readonly addresses: readonly string[] }[] {
    const owners = new Map<string, Owner>();
    for (const owner of this.ownerByAddress.values()) owners.set(ownerKey(owner), owner);
    return [...owners].map(([key, owner]) => ({ owner, addresses: [...(this.addressesOf.get(key) ?? [])] }));
  }

  addresses(attachment: Attachment): readonly string[] {
    return [...(this.addressesOf.get(ownerKey(attachment)) ?? [])];
  }

  holder(address: string): Owner | undefined {
    return this.ownerByAddress.get(address);
  }

  add(address: string, owner: Owner): void {
    const key = ownerKey(owner);
    this.ownerByAddress.set(address, owner);
    const addresses = this.addressesOf.get(key) ?? new Set();
    addresses.add(address);
    this.addressesOf.set(key, addresses);
  }

  remove(address: string): void {
    const owner = this.ownerByAddress.get(address);
    this.ownerByAddress.delete(address);
    if (owner === undefined) return;
    const key = ownerKey(owner);
    const addresses = this.addressesOf.get(key);
    addresses?.delete(address);
    if (addresses?.size === 0) this.addressesOf.delete(key);
  }
}
