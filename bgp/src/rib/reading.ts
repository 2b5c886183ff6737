/**
 * What may be read of the RIB's tables, by somebody who must not write: questions of people, the decision, the rules of export. The tables
 * themselves (attribute-sets.ts, next-hops.ts, peers.ts, family-table.ts, update-groups.ts) are assignable to these as they are. Whoever
 * is given only these cannot intern, hold, release or number anything, nor put a value into a column.
 */
import type { Family, IpAddress, IpPrefix } from '../address.js';
import type { DecisionStep, RouteChange } from './answers.js';
import type { ForwardingEntry, ForwardingHop } from './forwarding-entry.js';
import type { PeerId, PeerRole, RibPeer } from './rib-peer.js';

/** A column of a table: numbers by row. */
export interface Column {
  readonly length: number;
  readonly [row: number]: number;
}

/** attribute-sets.ts. */
export interface ReadableSets {
  readonly capacity: number;
  readonly length: Column;
  readonly generation: Column;
  readonly peer: Column;
  readonly nextHop: Column;
  readonly weight: Column;
  readonly metric: Column;
  readonly flags: Column;
  readonly localPreference: Column;
  readonly med: Column;
  readonly origin: Column;
  readonly pathLength: Column;
  readonly neighborAs: Column;
  readonly ownAsCount: Column;
  readonly originator: Column;
  readonly clusterLength: Column;
  /** The octets of a set, to be read only; `slab` and `start` are the same without making an object. */
  view(set: number): Uint8Array;
  slab(set: number): Uint8Array;
  start(set: number): number;
}

/** Of one next hop. */
export interface LookedUp {
  /** The half of a pair that has to be reached. */
  readonly target: IpAddress;
  readonly interfaceName: string | undefined;
  /** Only over links. */
  readonly isDirect: boolean;
  /** Of what leads there without BGP; undefined: nothing does. */
  readonly length: number | undefined;
}

/** next-hops.ts. */
export interface ReadableNextHops {
  readonly reachable: Column;
  readonly metric: Column;
  readonly depth: Column;
  readonly waysVersion: number;
  address(id: number): IpAddress | undefined;
  linkLocal(id: number): IpAddress | undefined;
  isAmong(id: number, isOwn: ReadablePeers['isOwnAddress']): boolean;
  hops(id: number): readonly ForwardingHop[];
  carries(id: number, family: Family, words: Column, at: number, length: number): boolean;
  /** How it is looked for, and how long what was found without BGP is; undefined: no such next hop. */
  lookedUp(id: number): LookedUp | undefined;
  /** The kernel has a default route that does not count. */
  ignoresDefault(family: Family): boolean;
  isWithin(id: number, family: Family, words: Column, at: number, length: number): boolean;
}

/** Counts of a peer's paths of one family. */
export interface ReadableCounts {
  readonly received: number;
  readonly accepted: number;
  readonly stale: number;
}

/** An entry of peers.ts. */
export interface ReadablePeer {
  readonly id: PeerId;
  readonly options: RibPeer;
  readonly state: 'up' | 'stale' | 'gone' | 'free';
  readonly family: Readonly<Record<Family, ReadableCounts>>;
}

export interface ReadablePeers {
  get(id: PeerId): ReadablePeer;
  named(name: string): ReadablePeer | undefined;
  /** All but ourselves. */
  all(): Iterable<ReadablePeer>;
  role(id: PeerId): PeerRole;
  isExternal(id: PeerId): boolean;
  isOwnAddress(address: IpAddress, interfaceName: string | undefined): boolean;
}

/** What attribute sets refer to. */
export interface ReadableTables {
  readonly sets: ReadableSets;
  readonly nextHops: ReadableNextHops;
  readonly peers: ReadablePeers;
}

/** prefix-table.ts. */
export interface ReadablePrefixes {
  readonly width: 1 | 4;
  readonly end: number;
  readonly words: Column;
  readonly lengths: Column;
  isLive(id: number): boolean;
  prefixOf(id: number): IpPrefix;
  findPrefix(prefix: IpPrefix): number;
  longestMatch(
    key: Uint32Array,
    at: number,
    maximum: number,
    minimum: number,
    accepts: (id: number) => boolean,
  ): number;
}

/** path-table.ts. */
export interface ReadablePaths {
  readonly end: number;
  readonly size: number;
  readonly next: Column;
  readonly prefix: Column;
  readonly raw: Column;
  readonly set: Column;
  readonly peer: Column;
  readonly flags: Column;
  readonly identifier: Column;
}

/** family-table.ts. */
export interface ReadableTable {
  readonly family: Family;
  readonly prefixes: ReadablePrefixes;
  readonly paths: ReadablePaths;
  readonly head: Column;
  readonly best: Column;
  readonly bestCount: number;
  readonly tags: ReadonlyMap<number, readonly string[]>;
  readonly suppressed: ReadonlySet<number>;
  findPath(prefix: number, peer: PeerId, identifier: number): number;
}

export interface Ranked {
  readonly path: number;
  readonly step: DecisionStep;
  readonly reason: string;
}

/** decision.ts. */
export interface ReadableDecision {
  isUsable(table: ReadableTable, path: number): boolean;
  multipath(table: ReadableTable, prefix: number): readonly number[];
  ranking(table: ReadableTable, prefix: number): readonly Ranked[];
}

/** adj-rib-out.ts. */
export interface ReadableAdjRibOut {
  readonly count: number;
  countFrom(peer: PeerId): number;
  told(prefix: number): readonly (readonly [number, number])[];
}

/** forwarding.ts. */
export interface ReadableForwarding {
  entryOf(prefix: number): ForwardingEntry | undefined;
}

/** outputs.ts. */
export interface ReadableOutputs {
  pending(peer: PeerId): number;
}

/** route-history.ts. */
export interface ReadableHistory {
  readonly count: number;
  changes(from?: number): IterableIterator<RouteChange>;
}
