/**
 * The contract between the RIB and the rest of the speaker: everything that goes in and everything that comes out.
 *
 * In: sessions that come up and go down, decoded UPDATEs, the prefixes we originate, what the kernel has connected.
 * Out: encoded UPDATEs to write to each peer, changes of the forwarding table, and answers to queries.
 *
 * The RIB owns no socket, timer or clock. Input takes effect on Adj-RIB-In and the next hops at once; selection is part of
 * it. What follows from it (advertising, forwarding table, sweeps) is *work*, done in bounded slices by `run`. The speaker
 * calls `run` at the end of each batch of input, so that one lone update goes out in the same turn of the event loop, and
 * again by setImmediate as long as `run` answers that there is more.
 */
import type { Family, IpAddress, IpPrefix } from '../address.js';
import type { PathAttributes } from '../codec/attribute.js';
import type { DecodedUpdate } from '../codec/update.js';
import type { PolicyRule, RoutePolicy } from './policy.js';

/** A session incarnation in the RIB. Small integers, reused once everything of the old owner is gone. */
export type PeerId = number;

/**
 * What a peer is to us: decides which paths go where (RFC 4271 9.2, RFC 4456 6) and how they change on the way.
 * `rr-client` is an iBGP peer whose paths we reflect.
 */
export type PeerRole = 'ebgp' | 'ibgp' | 'rr-client';

/** NEXT_HOP of what we send: our own address, as it came, or an address from configuration. */
export type NextHopMode =
  | { readonly type: 'self' }
  | { readonly type: 'unchanged' }
  | { readonly type: 'address'; readonly address: IpAddress };

/** RFC 9234: our own role on the session; absent when roles are not used. */
export type LocalRole = 'provider' | 'route-server' | 'route-server-client' | 'customer' | 'peer';

/** How one family runs on a session, after capabilities met (RFC 5492). */
export interface FamilySession {
  readonly family: Family;
  /** RFC 7911: NLRI we receive / send carry a path identifier. */
  readonly addPathReceive?: boolean;
  readonly addPathSend?: boolean;
  /** RFC 8950: IPv4 NLRI with an IPv6 next hop is agreed; then all IPv4 NLRI goes out in MP_REACH_NLRI. */
  readonly extendedNextHop?: boolean;
  /**
   * Our address as a next hop on this session, in network order: 4 octets, 16, or 32 (global and link-local, RFC 2545).
   * Without it the family is received but nothing that needs next-hop-self is sent.
   */
  readonly nextHopSelf?: Uint8Array;
}

export interface RibPeer {
  /** Unique among peers that are up or stale; a session that comes back under this name takes its stale paths over. */
  readonly name: string;
  readonly role: PeerRole;
  /** Address of the other side; the last tie-break (RFC 4271 9.1.2.2 g). */
  readonly address: IpAddress;
  readonly remoteAs: number;
  /** The AS we speak as on this session (local-as). */
  readonly localAs: number;
  /** Only that one stands in what we send (RFC 7705 section 3.3); default: our own behind it. */
  readonly localAsOnly?: boolean;
  /** BGP Identifier of the peer, unsigned 32 bits. */
  readonly routerId: number;
  readonly families: readonly FamilySession[];
  /** Interface of the session: next hops that are link-local are looked for here, and shown to filters. */
  readonly interfaceName?: string;
  /** eBGP to a directly connected neighbour: its next hops must be connected, never resolved through other routes. */
  readonly singleHop: boolean;
  /** RFC 6793: both sides speak four-octet AS numbers; otherwise AS4_PATH is made on the way out. Default true. */
  readonly fourOctetAs?: boolean;
  /** RFC 8654: messages of up to 65,535 octets. */
  readonly extendedMessage?: boolean;
  /** How often our own AS may stand in a received AS_PATH; default 0. */
  readonly allowLocalAs?: number;
  /** Replace the peer's own AS in what we send by ours. */
  readonly asOverride?: boolean;
  /** Strip private AS numbers (RFC 6996) from what we send: only when the path has no public one, or all of them. */
  readonly removePrivateAs?: 'only-private' | 'all';
  /** Default: self for eBGP, unchanged for iBGP. */
  readonly nextHop?: NextHopMode;
  readonly localRole?: LocalRole;
  /** Added to the decision before LOCAL_PREF, never sent; default 0. */
  readonly weight?: number;
  /** Paths of a prefix to send where ADD-PATH is agreed, best first; default: all usable ones. */
  readonly addPathLimit?: number;
  /** RFC 8326: add GRACEFUL_SHUTDOWN to everything sent (we are draining). */
  readonly gracefulShutdown?: boolean;
  /** Peer advertised LLGR (RFC 9494): it may be sent stale routes. */
  readonly longLivedGracefulRestart?: boolean;
  /** Absent: accept everything unchanged. */
  readonly importPolicy?: RoutePolicy;
  readonly exportPolicy?: RoutePolicy;
}

/** One prefix of our own. */
export interface LocalRoute {
  readonly prefix: IpPrefix;
  /** Filters match on these; never sent. */
  readonly tags?: readonly string[];
  /** ORIGIN IGP and an empty AS_PATH unless given otherwise. */
  readonly attributes?: Partial<PathAttributes>;
  /** RFC 4271 9.2.2.2: advertise only while a more specific route exists, with its path folded in. */
  readonly aggregate?: { readonly summaryOnly: boolean; readonly asSet: boolean };
}

/** One way to forward. Without an address the prefix is on the link itself. */
export interface ForwardingHop {
  readonly address?: IpAddress;
  readonly interfaceName?: string;
  readonly weight: number;
  /** The address is on the link whatever the prefixes of the link say: of a kernel route that says so. */
  readonly isOnlink?: true;
}

/** Interned: two prefixes with the same hops share the one object, so it may key a cache of encoded messages. */
export interface ForwardingEntry {
  readonly hops: readonly ForwardingHop[];
  /** Kernel metric asked for by import policy. */
  readonly metric?: number;
}

/**
 * Receiver of forwarding changes. `words` has the address in 1 or 4 unsigned 32-bit words starting at `offset`; read it
 * before returning. `entry` undefined: take the prefix out.
 */
export type ForwardingSink = (
  family: Family,
  words: Uint32Array,
  offset: number,
  length: number,
  entry: ForwardingEntry | undefined,
) => void;

/** A prefix on a link of this machine, as the kernel has it. */
export interface ConnectedPrefix {
  readonly prefix: IpPrefix;
  readonly interfaceName: string;
}

/**
 * A route of the kernel that neither BGP nor this node's own agent made: static, an IGP's, the default, a link's. Of several for one
 * prefix the one with the lowest metric counts.
 */
export interface KernelRoute {
  readonly prefix: IpPrefix;
  /** The kernel's; IGP cost of the next hops that are reached through it. */
  readonly metric: number;
  /** Without an address: on the link. Empty: nothing is reached (unreachable, blackhole, no link that is up). */
  readonly hops: readonly ForwardingHop[];
}

/** Calls from the RIB to its owner. They may arrive during any input or `run`; do no RIB input inside them. */
export interface RibEvents {
  /** There is work: call `run` soon. */
  readonly wanted: () => void;
  /** `takeOutput` of this peer has something. Once until it was found empty. */
  readonly outputReady: (peer: PeerId) => void;
  /** `takeForwarding` has something. Once until it was found empty. */
  readonly forwardingReady?: () => void;
  /** `nextHopTargets` has an address more. May come for each. */
  readonly nextHopAdded?: () => void;
}

/** Who wants to hear of every single change (BMP); costs nothing where a call is absent. The rules of RibEvents hold. */
export interface RibWatcher {
  /** Loc-RIB's best path of a prefix changed. */
  readonly bestChanged?: (prefix: IpPrefix) => void;
  /** A path of Adj-RIB-In came, changed or went, before or after policy; `isSilent`: it was swept, no UPDATE of the peer said so. */
  readonly pathChanged?: (peer: PeerId, prefix: IpPrefix, pathId: number, isSilent: boolean) => void;
}

/** What a living table can change. */
export interface RibTuning {
  /** RFC 4456; default: the BGP Identifier. */
  readonly clusterId?: number;
  /** Most next hops per prefix; default 16 each. */
  readonly multipath?: { readonly ebgp?: number; readonly ibgp?: number; readonly relaxAsPath?: boolean };
  /** Compare MED between different neighbouring AS too; default false (RFC 4271 9.1.2.2 c). */
  readonly alwaysCompareMed?: boolean;
}

export interface RibOptions extends RibTuning {
  /** Milliseconds since 1970, for the history of routes; absent: none is kept. */
  readonly wallTime?: () => number;
  /** Our AS and BGP Identifier. */
  readonly localAs: number;
  readonly routerId: number;
  /** May a next hop resolve through a default route of BGP? Default false. A default among `setKernelRoutes` always counts. */
  readonly resolveThroughDefault?: boolean;
  /** Keep a forwarding table for `takeForwarding`; default false. */
  readonly forwarding?: boolean;
  /** Changes a reader of the log may be behind, or the table's size if that is more, before it walks the table instead; default 65,536. */
  readonly patience?: number;
  /** Encoded octets that may wait for one peer before it is set apart as slow; default 4 MiB. */
  readonly outputLimit?: number;
}

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

/** Encoded whole messages in order; none when there is nothing. The buffers are shared with other peers: never change them. */
export interface RibOutput {
  readonly buffers: readonly Uint8Array[];
  readonly messages: number;
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
  /** The last changes of best paths, oldest first; none without `wallTime`. */
  changes(): IterableIterator<RouteChange>;
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

/** The RIB as its owner sees it; made by `createRib`. */
export interface Rib {
  readonly queries: RibQueries;

  // ---- options
  /** Takes on other options, all of them stated; only what depends on one that changed is worked out again, and no session is touched. */
  retune(tuning: RibTuning): void;

  // ---- sessions
  /** A session is established. Its paths left over from before (`peerDown` with 'keep-stale') are now its own again. */
  peerUp(peer: RibPeer): PeerId;
  /** Same session, changed parameters or policy: imports and exports are redone from Adj-RIB-In; nothing flaps. */
  peerChanged(id: PeerId, peer: RibPeer): void;
  /** The peer, up or stale, goes by another name; no two may have one for longer than it takes to rename both. */
  renamePeer(id: PeerId, name: string): void;
  /**
   * The session is gone. 'drop' forgets its paths; a list of families keeps theirs as stale (RFC 4724 4.2) and drops the others;
   * the PeerId then stays valid for sweepStale and endOfRib. What was to be sent is forgotten either way.
   */
  peerDown(id: PeerId, how: 'drop' | readonly Family[]): void;

  // ---- paths in
  /**
   * One UPDATE as the codec decoded it; everything needed is copied. Its `errors` are the session's to answer; its lists already
   * follow them, so a `withdraw` or `discard` goes in like any other, a `reset` does not go in at all. End-of-RIB is `endOfRib`.
   */
  receive(id: PeerId, update: DecodedUpdate): void;
  /** End-of-RIB received: what is still stale goes (RFC 4724 4.2). */
  endOfRib(id: PeerId, family: Family): void;
  /**
   * All stale paths of the peer go: the restart timer ran out. When the session is down and this was the last family it keeps, the
   * PeerId is no longer valid afterwards.
   */
  sweepStale(id: PeerId, family: Family): void;
  /** RFC 9494 4.3: stale paths stay, marked LLGR_STALE and least preferred; those with NO_LLGR go. */
  keepLongLived(id: PeerId, family: Family): void;
  /** RFC 7313: begin marks all paths of the peer stale, end sweeps what was not repeated. */
  beginRefresh(id: PeerId, family: Family): void;
  endRefresh(id: PeerId, family: Family): void;

  // ---- whole desired sets
  /** All prefixes of our own; the RIB works out the difference. */
  originate(routes: readonly LocalRoute[]): void;
  /** All connected prefixes, and for single-hop peers the interfaces that are up. */
  setConnected(connected: readonly ConnectedPrefix[]): void;
  /**
   * All routes of the kernel that may lead to a next hop (`nextHopTargets`); others may be among them. `ignoredDefaults`: families with a
   * default route that is left out, for those who ask why.
   */
  setKernelRoutes(routes: readonly KernelRoute[], ignoredDefaults?: readonly Family[]): void;
  /** Addresses of next hops that are not known to be on a link of their own: those whose kernel routes count. */
  nextHopTargets(): Iterable<IpAddress>;
  /** While held, only our own prefixes are advertised and nothing is forwarded: we restart and wait for the peers (RFC 4724 4.1). */
  holdSelection(held: boolean): void;

  // ---- work and output
  /**
   * Works until all is done or the budget is spent; true when more is waiting. The budget is in steps of a fraction of a
   * microsecond each (a prefix looked at by one consumer); the default is a few milliseconds.
   */
  run(steps?: number): boolean;
  /** The peer asked ROUTE-REFRESH (RFC 2918): all of Adj-RIB-Out goes again, between BoRR and EoRR when `demarcated` (RFC 7313). */
  refresh(id: PeerId, family: Family, demarcated: boolean): void;
  /** What to write to this peer, at most about `limit` octets (one buffer at least). */
  takeOutput(id: PeerId, limit?: number): RibOutput;
  /** Up to `limit` forwarding changes into the sink; false when there are no more. Default 1024. */
  takeForwarding(sink: ForwardingSink, limit?: number): boolean;
  /** Forget what was handed out and hand out every entry again (kernel resync). */
  replayForwarding(): void;

  /** Takes the place of the last watcher; sessions and tables do not notice. */
  watch(watcher: RibWatcher): void;
}
