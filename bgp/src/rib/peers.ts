/**
 * The peers the RIB knows: sessions that are up, and those that are gone but left paths behind.
 *
 * A PeerId names one incarnation. A session that comes back while its paths are kept (graceful restart) gets its old id; one that
 * comes back while its old paths are still being dropped gets a new id, so that the two can never be taken for each other. Id 0 is
 * ourselves: the source of the prefixes we originate.
 */
import { addressFromBytes, addressToBytes, type Family, type IpAddress } from '../address.js';
import { NO_METRIC, type SetExtras, type SetOwner } from './attribute-sets.js';
import type { PeerId, PeerRole, RibPeer } from './rib-peer.js';
import { comparePeers, type DecisionPeers } from './decision.js';
import { isLinkLocal } from './hops.js';
import type { NextHopScope } from './next-hops.js';
import type { ReadPolicy, RoutePolicy } from './policy.js';

/** Per peer and family. */
export interface FamilyState {
  received: number;
  accepted: number;
  stale: number;
  /** No path of the peer has a smaller number: where a walk over its paths starts. */
  firstPath: number;
  /** Import policy at work. */
  importReader: ReadPolicy | undefined;
}

export interface PeerEntry {
  readonly id: PeerId;
  options: RibPeer;
  owner: SetOwner;
  scope: NextHopScope;
  /** Of sets as received. */
  extras: SetExtras;
  /** up: has a session. stale: keeps paths for a restart. gone: paths are being dropped. free: the id may be another's. */
  state: 'up' | 'stale' | 'gone' | 'free';
  /** Families whose paths are kept for a restart and not yet swept; also while the peer is back and has not said all. */
  readonly kept: Set<Family>;
  /** Jobs under way that know this entry. */
  jobs: number;
  readonly family: Readonly<Record<Family, FamilyState>>;
}

/** Router-wide identity that a peer's attribute sets are read with. */
export interface RouterIdentity {
  readonly localAs: number;
  readonly routerId: number;
  readonly clusterId: number;
}

export const LOCAL_PEER: PeerId = 0;

const noPaths = (): FamilyState => ({
  received: 0,
  accepted: 0,
  stale: 0,
  firstPath: 0xffffffff,
  importReader: undefined,
});

export class Peers implements DecisionPeers {
  readonly #entries: (PeerEntry | undefined)[] = [];
  readonly #byName = new Map<string, PeerEntry>();
  readonly #free: PeerId[] = [];
  #identity: RouterIdentity;
  #ranks: Uint32Array | undefined;
  /** Our own addresses on sessions, a link-local one with its interface: never a valid next hop from a peer. */
  readonly #own = new Map<string, number>();
  /** Changes whenever `isOwnAddress` may answer otherwise. */
  ownVersion = 0;

  constructor(identity: RouterIdentity) {
    this.#identity = identity;
    const address: IpAddress = { family: 4, value: BigInt(identity.routerId) };
    this.#add({
      name: '',
      role: 'ibgp',
      address,
      remoteAs: identity.localAs,
      localAs: identity.localAs,
      routerId: identity.routerId,
      families: [],
      singleHop: false,
    });
    this.#byName.clear();
  }

  /** Entry for an established session; one left stale under the same name is taken over. */
  up(options: RibPeer): PeerEntry {
    const known = this.#byName.get(options.name);
    if (known?.state === 'up') throw new Error(`Cannot bring up peer "${options.name}": it is up already`);
    if (known?.state !== 'stale') return this.#add(options);
    known.state = 'up';
    this.change(known, options);
    return known;
  }

  rename(entry: PeerEntry, name: string): void {
    // Of two that exchange their names the second is found where the first has just been put.
    if (this.#byName.get(entry.options.name) === entry) this.#byName.delete(entry.options.name);
    entry.options = { ...entry.options, name };
    this.#byName.set(name, entry);
  }

  change(entry: PeerEntry, options: RibPeer): void {
    this.#countOwn(entry.options, -1);
    entry.options = options;
    entry.owner = this.#ownerOf(entry.id, options);
    entry.scope = scopeOf(options);
    entry.extras = extrasOf(options);
    this.#countOwn(options, 1);
    this.#ranks = undefined;
  }

  /** Our cluster has another number (RFC 4456): the peers whose paths have to be looked at again for it, none if it is the old one. */
  changeCluster(clusterId = this.#identity.routerId): readonly PeerEntry[] {
    if (clusterId === this.#identity.clusterId) return [];
    this.#identity = { ...this.#identity, clusterId };
    for (const entry of this.#entries) if (entry !== undefined) entry.owner = this.#ownerOf(entry.id, entry.options);
    return [...this.all()].filter(({ options }) => options.role !== 'ebgp');
  }

  /** The id may be given to another peer: nothing refers to it any more. */
  free(entry: PeerEntry): void {
    if (this.#byName.get(entry.options.name) === entry) this.#byName.delete(entry.options.name);
    this.#countOwn(entry.options, -1);
    entry.state = 'free';
    this.#entries[entry.id] = undefined;
    this.#free.push(entry.id);
  }

  get(id: PeerId): PeerEntry {
    const entry = this.#entries[id];
    if (entry === undefined) throw new RangeError(`Peer ${id} is not in the RIB`);
    return entry;
  }

  someImport(holds: (policy: RoutePolicy) => boolean): boolean {
    return this.#entries.some(
      (entry) => entry?.options.importPolicy !== undefined && holds(entry.options.importPolicy),
    );
  }

  named(name: string): PeerEntry | undefined {
    const entry = this.#byName.get(name);
    return entry?.state === 'up' || entry?.state === 'stale' ? entry : undefined;
  }

  /** All but ourselves. */
  *all(): IterableIterator<PeerEntry> {
    for (const entry of this.#entries) if (entry !== undefined && entry.id !== LOCAL_PEER) yield entry;
  }

  role(id: PeerId): PeerRole {
    return this.get(id).options.role;
  }

  isExternal(id: PeerId): boolean {
    return this.#entries[id]?.options.role === 'ebgp';
  }

  address(id: PeerId): IpAddress {
    return this.get(id).options.address;
  }

  rank(id: PeerId): number {
    this.#ranks ??= this.#rank();
    return this.#ranks[id] as number;
  }

  /** `interfaceName`: where a link-local one is meant. */
  isOwnAddress(address: IpAddress, interfaceName: string | undefined): boolean {
    return this.#own.has(keyOfAddress(address, interfaceName));
  }

  #add(options: RibPeer): PeerEntry {
    const id = this.#free.pop() ?? this.#entries.length;
    if (id > 0xffff) throw new RangeError('Cannot add a peer: 65,535 are up or have paths left');
    const entry: PeerEntry = {
      id,
      options,
      owner: this.#ownerOf(id, options),
      scope: scopeOf(options),
      extras: extrasOf(options),
      state: 'up',
      kept: new Set(),
      jobs: 0,
      family: { 4: noPaths(), 6: noPaths() },
    };
    this.#entries[id] = entry;
    this.#byName.set(options.name, entry);
    this.#countOwn(options, 1);
    this.#ranks = undefined;
    return entry;
  }

  #ownerOf(peer: PeerId, options: RibPeer): SetOwner {
    const { localAs: globalAs, routerId, clusterId } = this.#identity;
    return {
      peer,
      localAs: options.localAs,
      globalAs,
      routerId,
      clusterId,
      isExternal: options.role === 'ebgp',
      peerRouterId: options.routerId,
    };
  }

  #rank(): Uint32Array {
    const ranks = new Uint32Array(this.#entries.length);
    const sorted = this.#entries
      .filter((entry) => entry !== undefined)
      .map(({ id, options }) => ({ id, address: options.address }));
    for (const [rank, { id }] of sorted.sort(comparePeers).entries()) ranks[id] = rank;
    return ranks;
  }

  #countOwn(options: RibPeer, by: 1 | -1): void {
    this.ownVersion++;
    for (const { nextHopSelf } of options.families) {
      if (nextHopSelf === undefined) continue;
      const first = addressFromBytes(nextHopSelf.subarray(0, nextHopSelf.length === 32 ? 16 : nextHopSelf.length));
      const key = keyOfAddress(first, options.interfaceName);
      const count = (this.#own.get(key) ?? 0) + by;
      if (count === 0) this.#own.delete(key);
      else this.#own.set(key, count);
    }
  }
}

const scopeOf = (options: RibPeer): NextHopScope => ({
  direct: options.role === 'ebgp' && options.singleHop,
  interfaceName: options.interfaceName,
});

const extrasOf = (options: RibPeer): SetExtras => ({ weight: options.weight ?? 0, metric: NO_METRIC, chosen: 0 });

const keyOfAddress = (address: IpAddress, interfaceName: string | undefined): string =>
  `${address.family}|${address.value}|${isLinkLocal(address) ? (interfaceName ?? '') : ''}`;

/** Octets of an address as NEXT_HOP carries them. */
export const nextHopOctets = (address: IpAddress): Uint8Array => addressToBytes(address);
