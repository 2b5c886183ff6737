/** Who has which addresses: the index behind the allocator's blocks, in memory alone. */
import type { Attachment, Owner } from './journal.js';

/** Of addresses that the node itself has: no CNI network is called so, its name begins with a letter or digit. */
export const NODE_NETWORK = '.node';

/** None of the three may hold a slash. */
const ownerKey = ({ network, containerId, interfaceName }: Attachment): string =>
  `${network}/${containerId}/${interfaceName}`;

export interface OwnerAddresses {
  readonly owner: Owner;
  readonly addresses: readonly string[];
}

/** BOUNDED by the addresses of the node. */
export class OwnerIndex {
  private readonly ownerByAddress = new Map<string, Owner>();
  private readonly byKey = new Map<string, OwnerAddresses>();
  /** The same as a list; undefined when it has changed since. */
  private listed: readonly OwnerAddresses[] | undefined;

  /** Every address with its owner. */
  get entries(): ReadonlyMap<string, Owner> {
    return this.ownerByAddress;
  }

  /**
   * Every pod's owner with its addresses, the node's own not among them. The same list until something changes: each CNI call looks
   * through it several times.
   */
  owners(): readonly OwnerAddresses[] {
    this.listed ??= [...this.byKey.values()].filter(({ owner }) => owner.network !== NODE_NETWORK);
    return this.listed;
  }

  /** The node's own addresses. */
  nodeOwners(): readonly OwnerAddresses[] {
    return [...this.byKey.values()].filter(({ owner }) => owner.network === NODE_NETWORK);
  }

  addresses(attachment: Attachment): readonly string[] {
    return this.byKey.get(ownerKey(attachment))?.addresses ?? [];
  }

  holder(address: string): Owner | undefined {
    return this.ownerByAddress.get(address);
  }

  add(address: string, owner: Owner): void {
    this.ownerByAddress.set(address, owner);
    this.set(owner, [...this.addresses(owner).filter((each) => each !== address), address]);
  }

  remove(address: string): void {
    const owner = this.ownerByAddress.get(address);
    this.ownerByAddress.delete(address);
    if (owner === undefined) return;
    this.set(
      owner,
      this.addresses(owner).filter((each) => each !== address),
    );
  }

  private set(owner: Owner, addresses: readonly string[]): void {
    this.listed = undefined;
    if (addresses.length === 0) this.byKey.delete(ownerKey(owner));
    else this.byKey.set(ownerKey(owner), { owner, addresses });
  }
}
