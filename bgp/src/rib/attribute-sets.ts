/**
 * Interned attribute sets: everything about a path but its prefix, stored once however many prefixes share it.
 *
 * A set is the codec's normalised attribute block, a next hop, the peer it came from, and what import policy added (weight, kernel
 * metric). Peer and next hop belong to the identity, so all that the decision and the export rules look at is a column here, read
 * from the bytes once when the set is made. A set is made once per UPDATE, by one hash and one compare of its bytes.
 *
 * Sets are counted: a path, a prefix in an Adj-RIB-Out and the memory of an import result hold one reference each. `generation`
 * tells a cache whether a number still means the same set.
 *
 * Set 0 is no set. BOUNDED by the number of paths.
 */
import { AttributeType, SegmentType, WellKnownCommunity } from '../iana.js';
import { read32 } from '../codec/octets.js';
import { ByteStore, hashBytes, offsetOf } from './byte-store.js';
import type { PeerId } from './rib-peer.js';
import { grown, nextCapacity, nextRoom } from './prefix-table.js';

export type SetId = number;
/** Number of an interned next hop; 0: none, for prefixes of our own. */
export type NextHopId = number;

/** Bits of the `flags` column. */
export const SetFlag = {
  noExport: 1,
  noAdvertise: 2,
  noExportSubconfed: 4,
  /** RFC 8326. */
  gracefulShutdown: 8,
  /** RFC 9494. */
  longLivedStale: 16,
  noLongLived: 32,
  /** RFC 9234. */
  onlyToCustomer: 64,
  /** ORIGINATOR_ID is ours, CLUSTER_LIST has our cluster (RFC 4456 section 8). */
  ownOriginator: 128,
  ownCluster: 256,
  hasMed: 512,
  hasLocalPreference: 1024,
  /** Export policy chose these itself, so the mechanical changes of export leave them alone. Part of the identity. */
  choseNextHop: 2048,
  choseMed: 4096,
} as const;
const CHOSEN = SetFlag.choseNextHop | SetFlag.choseMed;

const COMMUNITY_FLAGS: ReadonlyMap<number, number> = new Map([
  [WellKnownCommunity.noExport, SetFlag.noExport],
  [WellKnownCommunity.noAdvertise, SetFlag.noAdvertise],
  [WellKnownCommunity.noExportSubconfed, SetFlag.noExportSubconfed],
  [WellKnownCommunity.gracefulShutdown, SetFlag.gracefulShutdown],
  [WellKnownCommunity.longLivedStale, SetFlag.longLivedStale],
  [WellKnownCommunity.noLongLived, SetFlag.noLongLived],
]);

/** RFC 4271 leaves the default degree of preference open; every router uses 100. */
const DEFAULT_LOCAL_PREFERENCE = 100;
/** No kernel metric asked for. */
export const NO_METRIC = 0xffffffff;

/** What policy added to what was received; part of a set's identity. */
export interface SetExtras {
  readonly weight: number;
  /** Kernel metric, or NO_METRIC. */
  readonly metric: number;
  /** SetFlag.choseNextHop and choseMed. */
  readonly chosen: number;
}

/** What a set's own peer and router make of its bytes. */
export interface SetOwner {
  readonly peer: PeerId;
  readonly localAs: number;
  /** Our AS when the session speaks as another (local-as). */
  readonly globalAs: number;
  readonly routerId: number;
  readonly clusterId: number;
  /** The peer is in another AS. */
  readonly isExternal: boolean;
  /** BGP Identifier of the peer: what ORIGINATOR_ID is when the set has none. */
  readonly peerRouterId: number;
}

/** A set holds its next hop, and what was remembered of its import: the owner of those is told. */
export interface SetEvents {
  readonly made: (set: SetId) => void;
  readonly gone: (set: SetId) => void;
}

const FIRST_CAPACITY = 1 << 7;

export class AttributeSets {
  readonly bytes = new ByteStore();
  place = new Uint32Array(FIRST_CAPACITY);
  length = new Uint16Array(FIRST_CAPACITY);
  references = new Uint32Array(FIRST_CAPACITY);
  generation = new Uint32Array(FIRST_CAPACITY);
  peer = new Uint16Array(FIRST_CAPACITY);
  nextHop = new Uint32Array(FIRST_CAPACITY);
  weight = new Uint32Array(FIRST_CAPACITY);
  metric = new Uint32Array(FIRST_CAPACITY);
  /** What import policy made of this set: a set, or one of the codes of import.ts. */
  imported = new Uint32Array(FIRST_CAPACITY);

  flags = new Uint16Array(FIRST_CAPACITY);
  localPreference = new Uint32Array(FIRST_CAPACITY);
  med = new Uint32Array(FIRST_CAPACITY);
  origin = new Uint8Array(FIRST_CAPACITY);
  pathLength = new Uint16Array(FIRST_CAPACITY);
  /** First AS of the path, 0 when it has none: MED is compared within it. */
  neighborAs = new Uint32Array(FIRST_CAPACITY);
  /** How often our own AS stands in the path. */
  ownAsCount = new Uint8Array(FIRST_CAPACITY);
  /** ORIGINATOR_ID, or the peer's BGP Identifier. */
  originator = new Uint32Array(FIRST_CAPACITY);
  clusterLength = new Uint8Array(FIRST_CAPACITY);

  #hash = new Uint32Array(FIRST_CAPACITY);
  #index = new Uint32Array(FIRST_CAPACITY * 2);
  #mask = FIRST_CAPACITY * 2 - 1;
  #end = 1;
  /** The first number that is free; the next stands in its `place`. 0: none. */
  #free: SetId = 0;
  #freeCount = 0;
  readonly #events: SetEvents;

  constructor(events: SetEvents) {
    this.#events = events;
  }

  get capacity(): number {
    return this.place.length;
  }

  get size(): number {
    return this.#end - 1 - this.#freeCount;
  }

  /** The set of these bytes; a new one has no references yet: take one or `discard` it. */
  intern(block: Uint8Array, start: number, end: number, nextHop: NextHopId, owner: SetOwner, extras: SetExtras): SetId {
    const { weight, metric, chosen } = extras;
    const seed = Math.imul(
      nextHop ^ (owner.peer << 16) ^ Math.imul(weight, 31) ^ Math.imul(metric + 1, 17) ^ (chosen << 8),
      0x9e3779b1,
    );
    const hash = hashBytes(block, start, end, seed) >>> 0;
    const mask = this.#mask;
    let slot = hash & mask;
    for (let id = this.#index[slot] as number; id !== 0; slot = (slot + 1) & mask, id = this.#index[slot] as number)
      if (
        this.#hash[id] === hash &&
        this.length[id] === end - start &&
        this.nextHop[id] === nextHop &&
        this.peer[id] === owner.peer &&
        this.weight[id] === weight &&
        this.metric[id] === metric &&
        ((this.flags[id] as number) & CHOSEN) === chosen &&
        this.bytes.equals(this.place[id] as number, block, start, end - start)
      )
        return id;
    return this.#make(block, start, end, nextHop, owner, extras, hash);
  }

  #make(
    block: Uint8Array,
    start: number,
    end: number,
    nextHop: NextHopId,
    owner: SetOwner,
    extras: SetExtras,
    hash: number,
  ): SetId {
    if ((this.size + 1) * 2 > this.#index.length) this.#growIndex();
    const id = this.#number();
    this.place[id] = this.bytes.put(block, start, end);
    this.length[id] = end - start;
    this.peer[id] = owner.peer;
    this.nextHop[id] = nextHop;
    this.weight[id] = extras.weight;
    this.metric[id] = extras.metric;
    this.flags[id] = extras.chosen;
    this.imported[id] = 0;
    this.#hash[id] = hash;
    this.#link(id);
    this.#read(id, block, start, end, owner);
    this.#events.made(id);
    return id;
  }

  hold(id: SetId): void {
    this.references[id] = (this.references[id] as number) + 1;
  }

  release(id: SetId): void {
    const left = (this.references[id] as number) - 1;
    this.references[id] = left;
    if (left === 0) this.#remove(id);
  }

  /** Removes a set that nobody took a reference of. */
  discard(id: SetId): void {
    if (this.references[id] === 0) this.#remove(id);
  }

  /** The normalised block, valid until the set goes. */
  view(id: SetId): Uint8Array {
    return this.bytes.view(this.place[id] as number, this.length[id] as number);
  }

  /** Live sets of a peer. */
  ofPeer(peer: PeerId): readonly SetId[] {
    const found: SetId[] = [];
    for (let id = 1; id < this.#end; id++) if (this.peer[id] === peer && this.references[id] !== 0) found.push(id);
    return found;
  }

  /** Reads sets again whose owner has changed: those of the peers for which `ownerOf` has one. */
  reread(ownerOf: (peer: PeerId) => SetOwner | undefined): void {
    for (let id = 1; id < this.#end; id++) {
      if (this.references[id] === 0) continue;
      const owner = ownerOf(this.peer[id] as PeerId);
      if (owner === undefined) continue;
      this.flags[id] = (this.flags[id] as number) & CHOSEN;
      const block = this.view(id);
      this.#read(id, block, 0, block.length, owner);
    }
  }

  slab(id: SetId): Uint8Array {
    return this.bytes.slab(this.place[id] as number);
  }

  start(id: SetId): number {
    return offsetOf(this.place[id] as number);
  }

  #remove(id: SetId): void {
    this.#unlink(id);
    this.bytes.remove(this.place[id] as number, this.length[id] as number);
    this.generation[id] = (this.generation[id] as number) + 1;
    this.place[id] = this.#free;
    this.#free = id;
    this.#freeCount++;
    this.#events.gone(id);
  }

  #number(): SetId {
    const id = this.#free;
    if (id !== 0) {
      this.#free = this.place[id] as SetId;
      this.#freeCount--;
      return id;
    }
    if (this.#end >= this.place.length) this.#growColumns();
    return this.#end++;
  }

  #read(id: SetId, block: Uint8Array, start: number, end: number, owner: SetOwner): void {
    this.localPreference[id] = DEFAULT_LOCAL_PREFERENCE;
    this.med[id] = 0;
    this.origin[id] = 0;
    this.pathLength[id] = 0;
    this.neighborAs[id] = 0;
    this.ownAsCount[id] = 0;
    this.originator[id] = owner.peerRouterId;
    this.clusterLength[id] = 0;
    for (let at = start; at < end; ) {
      const extended = ((block[at] as number) & 0x10) !== 0;
      const length = extended
        ? ((block[at + 2] as number) << 8) | (block[at + 3] as number)
        : (block[at + 2] as number);
      const value = at + (extended ? 4 : 3);
      this.#readAttribute(id, block[at + 1] as number, block, value, value + length, owner);
      at = value + length;
    }
    // RFC 8326 section 4.2: a neighbour that is about to go is the last choice of the whole AS.
    if (owner.isExternal && ((this.flags[id] as number) & SetFlag.gracefulShutdown) !== 0) this.localPreference[id] = 0;
  }

  #readAttribute(id: SetId, type: number, block: Uint8Array, start: number, end: number, owner: SetOwner): void {
    switch (type) {
      case AttributeType.origin:
        this.origin[id] = block[start] as number;
        return;
      case AttributeType.asPath:
        this.#readPath(id, block, start, end, owner);
        return;
      case AttributeType.med:
        this.med[id] = read32(block, start);
        this.#flag(id, SetFlag.hasMed);
        return;
      case AttributeType.localPreference:
        this.localPreference[id] = read32(block, start);
        this.#flag(id, SetFlag.hasLocalPreference);
        return;
      case AttributeType.communities:
        // All well-known ones start with 0xffff: look closer only at those.
        for (let i = start; i < end; i += 4)
          if (block[i] === 0xff && block[i + 1] === 0xff) this.#flag(id, COMMUNITY_FLAGS.get(read32(block, i)) ?? 0);
        return;
      case AttributeType.originatorId:
        this.originator[id] = read32(block, start);
        if (this.originator[id] === owner.routerId) this.#flag(id, SetFlag.ownOriginator);
        return;
      case AttributeType.clusterList:
        this.clusterLength[id] = Math.min((end - start) >> 2, 255);
        for (let i = start; i < end; i += 4)
          if (read32(block, i) === owner.clusterId) this.#flag(id, SetFlag.ownCluster);
        return;
      case AttributeType.otc:
        this.#flag(id, SetFlag.onlyToCustomer);
        return;
      default:
    }
  }

  #readPath(id: SetId, block: Uint8Array, start: number, end: number, owner: SetOwner): void {
    let length = 0;
    let own = 0;
    for (let at = start; at < end; ) {
      const type = block[at] as number;
      const count = block[at + 1] as number;
      if (type === SegmentType.sequence) length += count;
      else if (type === SegmentType.set) length += 1;
      if (at === start && type === SegmentType.sequence) this.neighborAs[id] = read32(block, at + 2);
      at += 2;
      for (const stop = at + count * 4; at < stop; at += 4) {
        const as = read32(block, at);
        if (as === owner.localAs || as === owner.globalAs) own++;
      }
    }
    this.pathLength[id] = length;
    this.ownAsCount[id] = Math.min(own, 255);
  }

  #flag(id: SetId, flag: number): void {
    this.flags[id] = (this.flags[id] as number) | flag;
  }

  #link(id: SetId): void {
    const mask = this.#mask;
    let slot = (this.#hash[id] as number) & mask;
    while (this.#index[slot] !== 0) slot = (slot + 1) & mask;
    this.#index[slot] = id;
  }

  #unlink(id: SetId): void {
    const index = this.#index;
    const mask = this.#mask;
    let slot = (this.#hash[id] as number) & mask;
    while (index[slot] !== id) slot = (slot + 1) & mask;
    for (let next = (slot + 1) & mask; index[next] !== 0; next = (next + 1) & mask) {
      const home = (this.#hash[index[next] as number] as number) & mask;
      if (((next - home) & mask) >= ((next - slot) & mask)) {
        index[slot] = index[next] as number;
        slot = next;
      }
    }
    index[slot] = 0;
  }

  #growIndex(): void {
    const old = this.#index;
    this.#index = new Uint32Array(nextCapacity(old.length));
    this.#mask = this.#index.length - 1;
    for (const id of old) if (id !== 0) this.#link(id);
  }

  #growColumns(): void {
    const length = nextRoom(this.place.length);
    this.place = grown(this.place, length);
    this.length = grown(this.length, length);
    this.references = grown(this.references, length);
    this.generation = grown(this.generation, length);
    this.peer = grown(this.peer, length);
    this.nextHop = grown(this.nextHop, length);
    this.weight = grown(this.weight, length);
    this.metric = grown(this.metric, length);
    this.imported = grown(this.imported, length);
    this.flags = grown(this.flags, length);
    this.localPreference = grown(this.localPreference, length);
    this.med = grown(this.med, length);
    this.origin = grown(this.origin, length);
    this.pathLength = grown(this.pathLength, length);
    this.neighborAs = grown(this.neighborAs, length);
    this.ownAsCount = grown(this.ownAsCount, length);
    this.originator = grown(this.originator, length);
    this.clusterLength = grown(this.clusterLength, length);
    this.#hash = grown(this.#hash, length);
  }
}
