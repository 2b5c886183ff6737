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
import type { RibQueries } from './answers.js';
import type { ForwardingHop, ForwardingSink } from './forwarding-entry.js';
import type { PeerId, RibPeer } from './rib-peer.js';

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

/** Encoded whole messages in order; none when there is nothing. The buffers are shared with other peers: never change them. */
export interface RibOutput {
  readonly buffers: readonly Uint8Array[];
  readonly messages: number;
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
