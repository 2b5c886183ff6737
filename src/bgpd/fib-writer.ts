/**
 * Learned routes into the kernel's table, and nothing else of the kernel's: only routes of our own protocol number are changed or
 * deleted, and a prefix that somebody else has at our metric is left to them and reported.
 *
 * In: the RIB's forwarding changes, pulled in slices between turns of the event loop. At start it reads what a former bgpd left:
 * such a route is adopted without a write when the RIB arrives at the same one, and swept when the RIB has settled without it,
 * so that forwarding goes on over our own restart (RFC 4724 section 4.1).
 *
 * The kernel drops routes by itself when an interface goes down, and says nothing. `resync` reads our routes back and puts right what
 * differs; it runs after such losses, once a minute, and when the answers to a batch were lost.
 */
import { formatPrefix, type Family, type IpPrefix } from 'node-bgp/address';
import type { ForwardingEntry, ForwardingSink } from 'node-bgp/rib/contract';
import {
  applyRouteChanges, listRoutes, NetlinkOverflowError, PROTOCOL_TORTIE_BGP, type NetlinkSocket, type Route, type RouteChange, type RouteFailure, type RouteRequest,
} from '../dataplane/netlink/index.js';
import { isSameRoute, kernelRoute, type KernelRouteContext } from './kernel-route.js';

export interface FibWriterOptions {
  readonly socket: NetlinkSocket;
  readonly context: () => KernelRouteContext;
  /** Up to `limit` changes of the RIB; false when there are no more. */
  readonly take: (sink: ForwardingSink, limit: number) => boolean;
  /** Routes that the kernel refuses, and those it takes again. */
  readonly onProblem: (problem: FibProblem) => void;
}

export interface FibProblem {
  readonly prefix: string;
  /** Undefined: solved. */
  readonly reason: string | undefined;
}

export interface FibStatus {
  readonly routes: number;
  readonly refused: number;
  /** Left by a former process and not yet confirmed. */
  readonly stale: number;
}

/** Changes per turn of the event loop: about five milliseconds of kernel time. */
const SLICE = 1024;
const RESYNC_DELAY = 200;
const RESYNC_INTERVAL = 60_000;

export class FibWriter {
  /** What should be in the kernel, by prefix. BOUNDED by the RIB. */
  private readonly wanted = new Map<string, RouteRequest>();
  private readonly refused = new Map<string, string>();
  private leftovers = new Map<string, Route>();
  /** Metrics that routes of ours have. BOUNDED by the configuration's filters. */
  private readonly metrics = new Set<number>();
  private isScheduled = false;
  private isStopped = false;
  private resyncTimer: NodeJS.Timeout | undefined;
  private interval: NodeJS.Timeout | undefined;

  constructor(private readonly options: FibWriterOptions) {}

  /** Reads what is there. Answers how many routes a former process left. */
  start(): number {
    this.leftovers = new Map(this.listOwn().map((route) => [keyOf(route), route]));
    for (const { metric } of this.leftovers.values()) this.metrics.add(metric);
    this.interval = setInterval(() => this.resync(), RESYNC_INTERVAL);
    this.interval.unref();
    return this.leftovers.size;
  }

  /** The RIB has forwarding changes. */
  wake(): void {
    if (this.isScheduled || this.isStopped) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      if (!this.isStopped && this.pump()) this.wake();
    });
  }

  /** The RIB has told all it knows: what is left of the former process is out of date. Answers how many routes went. */
  sweep(): number {
    while (this.pump());
    const stale = [...this.leftovers.values()];
    this.leftovers.clear();
    this.apply(stale.map((route) => ({ type: 'delete', route })));
    return stale.length;
  }

  /** The kernel may have dropped routes: look again soon. */
  loss(): void {
    if (this.isStopped) return;
    clearTimeout(this.resyncTimer);
    this.resyncTimer = setTimeout(() => this.resync(), RESYNC_DELAY);
  }

  /** Makes the kernel's routes of our protocol the wanted ones; answers how many had to be changed. */
  resync(): number {
    if (this.isStopped) return 0;
    const held = new Map(this.listOwn().map((route) => [keyOf(route), route]));
    const changes: RouteChange[] = [];
    for (const [key, route] of held) if (!this.wanted.has(key) && !this.leftovers.has(key)) changes.push({ type: 'delete', route });
    for (const [key, route] of this.wanted) {
      const existing = held.get(key);
      if (existing === undefined) changes.push({ type: 'add', route });
      else if (!isSameRoute(existing, route)) changes.push({ type: 'replace', route });
    }
    this.apply(changes);
    return changes.length;
  }

  /** Takes every route of ours out of the kernel. */
  removeAll(): void {
    this.isStopped = true;
    this.apply(this.listOwn().map((route) => ({ type: 'delete', route })));
  }

  /** Ends without touching the kernel: the next process adopts what is there. */
  stop(): void {
    this.isStopped = true;
    clearInterval(this.interval);
    clearTimeout(this.resyncTimer);
  }

  status(): FibStatus {
    return { routes: this.wanted.size - this.refused.size, refused: this.refused.size, stale: this.leftovers.size };
  }

  private listOwn(): Route[] {
    return listRoutes(this.options.socket, { protocol: PROTOCOL_TORTIE_BGP });
  }

  /** One slice; true when there is more. */
  private pump(): boolean {
    const context = this.options.context();
    const changes: RouteChange[] = [];
    const hasMore = this.options.take((family, words, offset, length, entry) => {
      this.change(prefixAt(family, words, offset, length), entry, context, changes);
    }, SLICE);
    this.apply(changes);
    return hasMore;
  }

  private change(prefix: IpPrefix, entry: ForwardingEntry | undefined, context: KernelRouteContext, changes: RouteChange[]): void {
    const route = entry === undefined ? undefined : kernelRoute(prefix, entry, context);
    this.metrics.add(route?.metric ?? context.metric);
    // A route under another metric is another route to the kernel.
    for (const metric of this.metrics) if (metric !== route?.metric) this.forget(prefix, metric, changes);
    if (route === undefined) return;
    const key = keyOf(route);
    const leftover = this.leftovers.get(key);
    this.leftovers.delete(key);
    const isHeld = leftover !== undefined || (this.wanted.has(key) && !this.refused.has(key));
    this.wanted.set(key, route);
    if (leftover === undefined || !isSameRoute(leftover, route)) changes.push({ type: isHeld ? 'replace' : 'add', route });
  }

  private forget(prefix: IpPrefix, metric: number, changes: RouteChange[]): void {
    const key = keyOf({ prefix, metric });
    const route = this.wanted.get(key) ?? this.leftovers.get(key);
    if (route === undefined) return;
    this.wanted.delete(key);
    this.leftovers.delete(key);
    if (!this.refused.delete(key)) changes.push({ type: 'delete', route });
  }

  private apply(changes: readonly RouteChange[]): void {
    if (changes.length === 0) return;
    let failures: readonly RouteFailure[];
    try {
      failures = applyRouteChanges(this.options.socket, changes);
    } catch (error) {
      if (!(error instanceof NetlinkOverflowError)) throw error;
      this.loss(); // what happened is unknown; the kernel knows
      return;
    }
    if (failures.length === 0 && this.refused.size === 0) return;
    const failed = new Map(failures.map((failure) => [failure.index, failure]));
    for (const [index, change] of changes.entries()) this.note(change, failed.get(index));
  }

  private note(change: RouteChange, failure: RouteFailure | undefined): void {
    const key = keyOf(change.route);
    const prefix = formatPrefix(change.route.prefix);
    if (change.type === 'delete') return; // ESRCH and ENOENT: the kernel was faster
    if (failure === undefined) {
      if (this.refused.delete(key)) this.options.onProblem({ prefix, reason: undefined });
      return;
    }
    const reason = failure.error.code === 'EEXIST' ? `somebody else has a route to it with metric ${change.route.metric ?? 0}` : failure.error.message;
    if (this.refused.get(key) === reason) return;
    this.refused.set(key, reason);
    this.options.onProblem({ prefix, reason });
  }
}

function keyOf({ prefix, metric }: { readonly prefix: IpPrefix; readonly metric?: number }): string {
  return `${prefix.family} ${prefix.value.toString(36)} ${prefix.length} ${metric ?? 0}`;
}

function prefixAt(family: Family, words: Uint32Array, offset: number, length: number): IpPrefix {
  if (family === 4) return { family, value: BigInt(words[offset] ?? 0), length };
  let value = 0n;
  for (let i = 0; i < 4; i++) value = (value << 32n) | BigInt(words[offset + i] ?? 0);
  return { family, value, length };
}
