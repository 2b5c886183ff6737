/** Questions to the RIB, and the answers: what of its tables is shown to people, stations and dumps. */
import type { Family, IpAddress, IpPrefix } from '../address.js';
import type { PathAttributes } from '../codec/attribute.js';
import type { ForwardingEntry } from './forwarding-entry.js';
import type { PolicyRule } from './policy.js';
import type { PeerId, PeerRole } from './rib-peer.js';

/** Per peer and family. */
export interface PeerCounts {
  /** Paths in Adj-RIB-In before policy. */
  readonly received: number;
  /** Of these, let in by policy and loop checks. */
  readonly accepted: number;
  readonly stale: number;
  /** Prefixes in Adj-RIB-Out. */
  readonly advertised: number;
}

/** Why a path is not a candidate at all. */
export type Unusable =
  | 'rejected-by-policy'
  | 'as-loop'
  | 'originator-loop'
  | 'cluster-loop'
  | 'otc-leak'
  | 'next-hop-unreachable'
  | 'next-hop-is-ours';

/** The comparators of the decision, in this order; `multipath` is where equal-cost paths stop being compared. */
export type DecisionStep =
  | 'only-path'
  | 'local-origin'
  | 'through-itself'
  | 'long-lived-stale'
  | 'weight'
  | 'local-preference'
  | 'as-path-length'
  | 'origin'
  | 'med'
  | 'ebgp-over-ibgp'
  | 'igp-metric'
  | 'router-id'
  | 'cluster-list-length'
  | 'peer-address'
  | 'path-id';

/** One path as shown to people. */
export interface RouteView {
  readonly prefix: IpPrefix;
  readonly source:
    | { readonly type: 'local' }
    | { readonly type: PeerRole; readonly peer: string; readonly address: IpAddress };
  readonly attributes: PathAttributes;
  /** Undefined for our own prefixes. */
  readonly nextHop?: IpAddress;
  /** Second half of a pair (RFC 2545 section 3). */
  readonly linkLocalNextHop?: IpAddress;
  readonly pathId?: number;
  readonly isBest: boolean;
  /** Shares the load with the best path. */
  readonly isMultipath: boolean;
  readonly isStale: boolean;
  readonly unusable?: Unusable;
  readonly weight: number;
  readonly tags?: readonly string[];
}

export interface Candidate extends RouteView {
  /** The step at which this path lost, or for the best path the step that made it the only one left. */
  readonly decidedBy: DecisionStep | Unusable;
  /** One sentence: what was compared, with both values. */
  readonly reason: string;
  /** Which rule of import policy let it in; absent without import policy, and in `paths`. */
  readonly importedBy?: string;
  /** The rule of import policy that let it in or rejected it; absent where none decided, and in `paths` for those let in. */
  readonly rule?: PolicyRule;
}

/** A change of a best path, as kept in the history. */
export interface RouteChange {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly type: 'added' | 'changed' | 'withdrawn';
  readonly prefix: IpPrefix;
  /** Where the best path is from, or was before it went; absent for our own. */
  readonly peer?: string;
}

export type NotAdvertised =
  | 'unknown-prefix'
  | 'no-best-path'
  | 'learned-from-this-peer'
  | 'ibgp-to-ibgp'
  | 'no-advertise'
  | 'no-export'
  | 'rejected-by-policy'
  | 'otc-leak'
  | 'family-not-negotiated'
  | 'no-next-hop'
  | 'summary-only'
  | 'long-lived-stale'
  | 'too-big';

export interface PeerVerdict {
  readonly peer: string;
  readonly advertised: boolean;
  readonly reason: string;
  readonly code?: NotAdvertised;
  /** The rule of export policy that let the best path out or rejected it; absent where none decided. */
  readonly rule?: PolicyRule;
  /** What goes out, when advertised. */
  readonly attributes?: PathAttributes;
  readonly nextHop?: IpAddress;
  readonly linkLocalNextHop?: IpAddress;
}

export interface Why {
  readonly prefix: IpPrefix;
  /** Somebody has announced exactly this prefix, even if no path of it is usable. */
  readonly isKnown: boolean;
  readonly candidates: readonly Candidate[];
  readonly forwarding?: ForwardingEntry;
  readonly peers: readonly PeerVerdict[];
}

/** Questions: nothing changes by asking. Lists come in slices so that nobody blocks the loop. */
export interface RibQueries {
  /** PeerId of the peer of this name, up or stale. */
  peerId(name: string): PeerId | undefined;
  counts(id: PeerId, family: Family): PeerCounts;
  /** Octets encoded and not yet taken. */
  outputPending(id: PeerId): number;
  /** Prefixes with a best path, and paths, of a family. */
  totals(family: Family): { readonly prefixes: number; readonly paths: number };
  /** All paths of exactly this prefix, best first. */
  paths(prefix: IpPrefix): readonly RouteView[];
  /** Longest prefix with a best path that holds the address. */
  lookup(address: IpAddress): RouteView | undefined;
  why(prefix: IpPrefix): Why;
  /** The last changes of best paths, oldest first, from the one of this number on; none without `wallTime`. */
  changes(from?: number): IterableIterator<RouteChange>;
  /** How many changes of best paths there were since this table began; 0 without `wallTime`. */
  readonly changeCount: number;
  /** Slices of at most ~1,000 routes; awaiting nothing between slices blocks the loop, so yield to it. */
  best(family: Family): IterableIterator<readonly RouteView[]>;
  received(id: PeerId, family: Family, when: 'before-policy' | 'after-policy'): IterableIterator<readonly RouteView[]>;
  advertised(id: PeerId, family: Family): IterableIterator<readonly RouteView[]>;
  /** Adj-RIB-Out before policy (RFC 8671): best paths that the rules of BGP let go to the peer, as the Loc-RIB has them. */
  offered(id: PeerId, family: Family): IterableIterator<readonly RouteView[]>;
  /** One path of each of these tables; `pathId` 0 without ADD-PATH. */
  receivedPath(
    id: PeerId,
    prefix: IpPrefix,
    pathId: number,
    when: 'before-policy' | 'after-policy',
  ): RouteView | undefined;
  offeredPath(id: PeerId, prefix: IpPrefix): RouteView | undefined;
  bestPath(prefix: IpPrefix): RouteView | undefined;
}
