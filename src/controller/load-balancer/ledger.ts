/**
 * Who has which address. Addresses of Services stand in their status, nowhere else; this is a view of all of them, by address, with what
 * has been decided and not been seen in a status yet. BOUNDED by the cluster's Services.
 */
import {
  addressAt,
  containsAddress,
  formatAddress,
  formatPrefix,
  sizeOf,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';

/** How many addresses of a pool are looked at: an IPv6 pool has more than anybody can use. */
const MOST_LOOKED_AT = 1 << 20;

/** What decides whether two Services may have one address. */
export interface AddressUse {
  readonly sharingKey: string | undefined;
  /** "TCP/80". */
  readonly ports: readonly string[];
  /** Undefined: any node may have its packets (traffic policy Cluster). Else who the endpoints are: nodes must have those of both. */
  readonly backends: string | undefined;
  /** Of two Services that have one address and may not share it, the one that sorts first keeps it. */
  readonly seniority: string;
}

interface Holder {
  readonly use: AddressUse;
  readonly addresses: ReadonlySet<string>;
}

export class AddressLedger {
  private readonly holders = new Map<string, Holder>();
  private readonly byAddress = new Map<string, Set<string>>();
  /** Where the search of a range ended, as long as nothing is given up. BOUNDED by the pools there were. */
  private readonly searched = new Map<string, { readonly reserved: readonly IpPrefix[]; readonly offset: number }>();

  /** Returns true when it gives up an address it had. */
  set(service: string, use: AddressUse, addresses: readonly IpAddress[]): boolean {
    const before = this.holders.get(service)?.addresses ?? new Set<string>();
    const after = new Set(addresses.map(formatAddress));
    if (after.size === 0) this.holders.delete(service);
    else this.holders.set(service, { use, addresses: after });
    for (const address of after) {
      const services = this.byAddress.get(address) ?? new Set<string>();
      this.byAddress.set(address, services.add(service));
    }
    let hasFreed = false;
    for (const address of before) {
      if (after.has(address)) continue;
      hasFreed = true;
      this.searched.clear();
      const services = this.byAddress.get(address);
      services?.delete(service);
      if (services?.size === 0) this.byAddress.delete(address);
    }
    return hasFreed;
  }

  /** Returns true when it had an address. */
  delete(service: string): boolean {
    const holder = this.holders.get(service);
    return holder !== undefined && this.set(service, holder.use, []);
  }

  isFree(address: IpAddress): boolean {
    return !this.byAddress.has(formatAddress(address));
  }

  /** The lowest address that nobody has, and that is not in one of these ranges. */
  lowestFree(prefix: IpPrefix, reserved: readonly IpPrefix[]): IpAddress | undefined {
    const size = sizeOf(prefix);
    const most = size < BigInt(MOST_LOOKED_AT) ? Number(size) : MOST_LOOKED_AT;
    const key = formatPrefix(prefix);
    const before = this.searched.get(key);
    let offset = before?.reserved === reserved ? before.offset : 0;
    let found: IpAddress | undefined;
    for (; offset < most && found === undefined; offset++) {
      const address = addressAt(prefix, offset);
      if (this.isFree(address) && !reserved.some((range) => containsAddress(range, address))) found = address;
    }
    // Whoever asked may not take it after all.
    this.searched.set(key, { reserved, offset: found === undefined ? offset : offset - 1 });
    return found;
  }

  /** Addresses that Services of a sharing key have. */
  *sharedBy(key: string): Generator<string> {
    for (const { use, addresses } of this.holders.values()) if (use.sharingKey === key) yield* addresses;
  }

  /**
   * Why a Service may not have an address; undefined when it may.
   * @param isItsOwn it has it already, so that only more senior Services stand in its way
   */
  whyNot(address: IpAddress, service: string, use: AddressUse, isItsOwn: boolean): string | undefined {
    for (const other of this.byAddress.get(formatAddress(address)) ?? []) {
      const holder = this.holders.get(other);
      if (other === service || holder === undefined) continue;
      if (isItsOwn && holder.use.seniority > use.seniority) continue;
      const why = whyNotShared(use, holder.use);
      if (why !== undefined) return `Service "${other}" has it${why}`;
    }
    return undefined;
  }
}

/** MetalLB's conditions. */
function whyNotShared(one: AddressUse, other: AddressUse): string | undefined {
  if (one.sharingKey === undefined || other.sharingKey === undefined) return '';
  if (one.sharingKey !== other.sharingKey) return ', which shares it under another key';
  const port = one.ports.find((each) => other.ports.includes(each));
  if (port !== undefined) return `, with port ${port}`;
  const areBothCluster = one.backends === undefined && other.backends === undefined;
  return areBothCluster || one.backends === other.backends
    ? undefined
    : ', and with externalTrafficPolicy Local two Services share an address only when their selectors are equal';
}
