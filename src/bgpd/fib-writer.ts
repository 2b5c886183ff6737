/**
 * Learned routes into the kernel's table, and nothing else of the kernel's: only routes of our own protocol number are changed or
 * deleted, and a prefix that somebody else has at our metric is left to them and reported.
 *
 * In: the RIB's forwarding changes, pulled in slices between turns of the event loop. At start it reads what a former bgpd left:
 * such a route is adopted without a write when the RIB arrives at the same one, and swept when the RIB has settled without it,
 * so that forwarding goes on over our own restart (RFC 4724 section 4.1).
 *
 * A few changes are written at once; many go out on a pool thread, one send at a time, while this thread prepares the next. Whoever needs
 * the kernel to be as told awaits `whenIdle` first.
 *
 * Many routes that lead the same way do so through nexthop objects (nexthop-objects.ts). These are made before their
 * first route is prepared, on a socket of their own, and deleted when nothing is under way and no shape leads through
 * them.
 *
 * The kernel drops routes and nexthop objects by itself when an interface goes down, and says nothing; others remove them, of which it
 * tells half (fib-events.ts). `resync` reads ours back and puts right what differs (fib-audit.ts); it runs after such losses and
 * events, once a minute, and when the answers to a batch were lost. Who takes away the same route again and again is answered ever
 * more slowly (repair-ledger.ts).
 */
import type { IpPrefix } from 'node-bgp/address';
import {
  listRoutes,
  NetlinkBatch,
  NetlinkOverflowError,
  NetlinkUnsteadyError,
  PROTOCOL_TORTIE_BGP,
  writeRouteChange,
  type BatchFailure,
  type NetlinkSocket,
  type Route,
  type RouteChange,
} from '../dataplane/netlink/index.js';
import { FibAudit, type Correction } from './fib-audit.js';
import { FibChanges } from './fib-changes.js';
import type { FibClaim } from './fib-events.js';
import { FibGuard } from './fib-guard.js';
import { FibLeftovers } from './fib-leftovers.js';
import { FibRefusals } from './fib-refusals.js';
import { ResyncTimer } from './fib-resync-timer.js';
import type { FibStatus, FibWriterOptions } from './fib-contract.js';
import { goldenOrder } from './write-order.js';
import { FibTable } from './fib-table.js';
import { NexthopObjects, nexthopKernel } from './nexthop-objects.js';

/** Changes per send on the pool thread; the kernel takes some four microseconds for each. */
const SLICE = 2048;
/** Changes that are prepared while others are under way: the more there are, the better their order can be (write-order.ts). */
const MOST_PREPARED = 32_768;
/** So few are written without a detour: the detour costs more than they do. */
const AT_ONCE = 32;
/** Fewer routes are written in no time either way, and read better without. */
const NEXTHOPS_FROM = 1000;
/** Nexthop objects beyond what is in use that may wait for the next resync to be deleted. */
const MAX_SPARE_NEXTHOPS = 1024;
const RESYNC_INTERVAL = 60_000;

export class FibWriter {
  /** What should be in the kernel. */
  private readonly wanted: FibTable;
  private readonly socket: NetlinkSocket;
  private readonly reading: NetlinkSocket;
  private readonly nexthopSocket: NetlinkSocket;
  private readonly nexthops: NexthopObjects;
  private readonly refusals: FibRefusals;
  private readonly guard: FibGuard;
  private readonly resyncTimer = new ResyncTimer(() => void this.repair());
  private leftovers = new FibLeftovers();
  /** Changes being prepared, and room for those on their way. */
  private batch = new NetlinkBatch(131_072);
  private spare = new NetlinkBatch(131_072);
  private readonly changes: FibChanges;
  private underWay: Promise<void> | undefined;
  private resyncing: Promise<number> | undefined;
  /** The reading of a resync, as long as it must hear of what is written. */
  private audit: FibAudit | undefined;
  /** The kernel may have dropped nexthop objects since they were read. */
  private isSuspect = false;
  private isScheduled = false;
  private isStopped = false;
  /** Something was lost while routes of a former process waited for confirmation: they may have gone unseen. */
  private lostWhileStale = false;
  private interval: NodeJS.Timeout | undefined;

  constructor(private readonly options: FibWriterOptions) {
    this.socket = options.open({ messagesPerSend: SLICE });
    this.reading = options.open();
    this.nexthopSocket = options.open();
    this.nexthops = new NexthopObjects(options.nexthops ?? nexthopKernel(this.nexthopSocket), options.onNoNexthops);
    this.refusals = new FibRefusals((problem) => options.onProblem(problem));
    this.guard = new FibGuard({
      ...(options.watch === undefined ? {} : { watch: options.watch }),
      claimOf: (prefix, metric) => this.claimOf(prefix, metric),
      isAlarmed: () => this.resyncTimer.isPending && this.leftovers.size === 0,
      onLoss: () => this.loss(),
      onGain: () => this.gain(),
      onLeftGone: (route) => this.leftovers.forget(route),
      onProblem: (problem) => options.onProblem(problem),
      onRepair: (count) => options.onRepair?.(count),
    });
    this.wanted = new FibTable(
      options.nexthopsFrom ?? NEXTHOPS_FROM,
      (family, hops, mayMake) => this.nexthops.idFor(family, hops, mayMake),
      (cut) => options.onCut?.(cut),
    );
    this.changes = new FibChanges({
      wanted: this.wanted,
      refusals: this.refusals,
      leftovers: () => this.leftovers,
      batch: () => this.batch,
      touched: (family, words, at, length) => this.audit?.touch(family, words, at, length),
    });
  }

  /** Reads what is there. Answers how many routes a former process left. */
  start(): number {
    // First the ear, then the eye: nothing falls between.
    this.guard.start([this.socket, this.reading, this.nexthopSocket].map(({ portId }) => portId));
    this.nexthops.observe();
    this.leftovers = new FibLeftovers(this.listOwn());
    this.interval = setInterval(() => void this.repair(), RESYNC_INTERVAL);
    this.interval.unref();
    return this.leftovers.size;
  }

  /** The RIB has forwarding changes. */
  wake(): void {
    if (this.isScheduled || this.isStopped) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      if (!this.isStopped && this.underWay === undefined) this.pump();
    });
  }

  /** Resolves when nothing is on its way to the kernel, or from it. */
  async whenIdle(): Promise<void> {
    while (this.underWay !== undefined || this.resyncing !== undefined) await (this.underWay ?? this.resyncing);
  }

  /** The RIB has told all it knows: what is left of the former process is out of date. Answers how many routes went. */
  sweep(): number {
    this.expectIdle();
    if (this.isSuspect) this.renewNexthops();
    while (this.fill(SLICE)) this.apply();
    this.apply();
    const stale = this.leftovers.takeAll();
    this.applyChanges(stale.map((route) => ({ type: 'delete', route })));
    this.collectNexthops();
    if (this.lostWhileStale) this.loss();
    this.lostWhileStale = false;
    return stale.length;
  }

  /** The kernel may have dropped routes: look again soon. */
  loss(): void {
    if (this.isStopped) return;
    this.isSuspect = true;
    if (this.leftovers.size > 0) this.lostWhileStale = true;
    this.resyncTimer.request();
  }

  /** An interface or an address has come: what the kernel refused for want of it is tried again soon. */
  gain(): void {
    if (this.refusals.size > 0) this.loss();
  }

  /**
   * Makes the kernel's routes of our protocol the wanted ones, now and whoever keeps changing them; answers how many had to be changed.
   * Changes of the RIB go on meanwhile.
   */
  resync(): Promise<number> {
    return this.compare((found) => found);
  }

  /** As `resync`, but what somebody keeps changing has to wait, and what is refused is tried again as it ever was. */
  private repair(): Promise<number> {
    return this.compare((found) => {
      const isRefused = ({ type, prefix, metric }: Correction): boolean =>
        type === 'add' && this.refusals.has(prefix, metric);
      const { now, pause } = this.guard.admit(found.filter((each) => !isRefused(each)));
      if (pause !== undefined) this.resyncTimer.request(pause);
      return [...now, ...found.filter(isRefused)];
    });
  }

  private async compare(admit: (found: readonly Correction[]) => readonly Correction[]): Promise<number> {
    while (this.resyncing !== undefined) await this.resyncing;
    if (this.isStopped) return 0;
    this.resyncing = this.compareAndCorrect(admit).finally(() => {
      this.resyncing = undefined;
      this.audit = undefined;
      this.resyncTimer.end();
    });
    return this.resyncing;
  }

  private claimOf(prefix: IpPrefix, metric: number): FibClaim {
    if (this.leftovers.has({ prefix, metric })) return 'left';
    const id = this.wanted.idOf(prefix);
    if (id < 0 || this.wanted.shapeAt(prefix.family, id)?.metric !== metric) return undefined;
    return this.refusals.has(prefix, metric) ? 'refused' : 'wanted';
  }

  /** Takes every route of ours, and every nexthop object, out of the kernel. */
  removeAll(): void {
    this.expectIdle();
    this.isStopped = true;
    this.applyChanges(this.listOwn().map((route) => ({ type: 'delete', route })));
    this.nexthops.observe();
    this.nexthops.collect(new Set());
  }

  /** Ends without touching the kernel: the next process adopts what is there. */
  stop(): void {
    this.isStopped = true;
    this.guard.stop();
    clearInterval(this.interval);
    this.resyncTimer.stop();
  }

  /** After `whenIdle`: gives the socket back. */
  close(): void {
    this.expectIdle();
    for (const socket of [this.socket, this.reading, this.nexthopSocket]) socket.close();
  }

  status(): FibStatus {
    return {
      routes: this.wanted.size - this.refusals.size,
      refused: this.refusals.size,
      stale: this.leftovers.size,
      contested: this.guard.contested,
      repaired: this.guard.repaired,
    };
  }

  private expectIdle(): void {
    if (this.underWay !== undefined || this.resyncing !== undefined)
      throw new Error('Cannot write routes: others are under way; await whenIdle first');
  }

  private listOwn(): Route[] {
    return listRoutes(this.reading, { protocol: PROTOCOL_TORTIE_BGP });
  }

  private async compareAndCorrect(admit: (found: readonly Correction[]) => readonly Correction[]): Promise<number> {
    try {
      await this.whenWritten();
      this.resyncTimer.begin();
      this.renewNexthops();
      const audit = new FibAudit(this.wanted, (route) => this.leftovers.has(route));
      this.audit = audit;
      const corrections = await audit.run(this.reading);
      if (audit.isOverrun) this.loss();
      const count = audit.isOverrun ? 0 : await this.correct(admit(corrections), audit);
      await this.whenWritten();
      this.collectNexthops();
      return count;
    } catch (error) {
      if (!(error instanceof NetlinkOverflowError || error instanceof NetlinkUnsteadyError)) throw error;
      this.loss();
      return 0;
    }
  }

  /** Writes what still stands when its turn comes. */
  private async correct(corrections: readonly Correction[], audit: FibAudit): Promise<number> {
    let count = 0;
    const order = [...goldenOrder(corrections.length)];
    for (let from = 0; from < order.length; from += SLICE) {
      await this.whenWritten();
      if (this.isStopped) return count;
      for (const at of order.slice(from, from + SLICE)) {
        const correction = corrections[at];
        if (correction !== undefined && audit.stands(correction) && this.changes.correct(correction)) count++;
      }
      this.pump();
    }
    return count;
  }

  private async whenWritten(): Promise<void> {
    while (this.underWay !== undefined) await this.underWay;
  }

  private renewNexthops(): void {
    this.isSuspect = false;
    try {
      this.nexthops.observe();
    } catch (error) {
      if (!(error instanceof NetlinkUnsteadyError)) throw error;
      this.loss();
      return;
    }
    this.wanted.renewNexthops();
  }

  /** Only when all is written and nothing in doubt: with an object go its routes. Those of a former process may lead through it still. */
  private collectNexthops(): void {
    if (
      this.isStopped ||
      this.underWay !== undefined ||
      this.batch.count > 0 ||
      this.leftovers.size > 0 ||
      this.resyncTimer.isPending
    )
      return;
    this.nexthops.collect(this.wanted.nexthopIds());
  }

  /** Sends what there is; prepares the next batch while one is under way. */
  private pump(): void {
    if (this.isSuspect) this.renewNexthops();
    const hasMore = this.fill(this.batch.count + SLICE);
    if (this.batch.count <= AT_ONCE) {
      this.apply();
      if (hasMore) this.wake();
      // Sets of next hops that come and go many times a minute.
      else if (this.nexthops.size > MAX_SPARE_NEXTHOPS + 2 * this.wanted.shapeCount) this.collectNexthops();
      return;
    }
    const sending = this.batch;
    const order = this.changes.order.order(sending.count);
    if (order !== undefined) sending.reorder(order);
    this.changes.order.clear();
    this.batch = this.spare;
    this.spare = sending;
    this.underWay = this.socket.transactAsync(sending).then(
      (failures) => this.sent(sending, failures),
      (error: unknown) => this.failed(error, sending),
    );
    if (hasMore) this.prepare();
  }

  /** While a batch is under way the next grows, a slice between turns of the event loop. */
  private prepare(): void {
    setImmediate(() => {
      if (this.underWay === undefined || this.isStopped || this.batch.count >= MOST_PREPARED) return;
      if (this.fill(this.batch.count + SLICE) && this.changes.order.isAscending) this.prepare();
    });
  }

  private sent(batch: NetlinkBatch, failures: readonly BatchFailure[]): void {
    this.underWay = undefined;
    this.settle(batch, failures);
    batch.clear();
    // Prepared meanwhile, or still with the RIB.
    if (!this.isStopped) this.pump();
  }

  private failed(error: unknown, batch: NetlinkBatch): void {
    this.underWay = undefined;
    batch.clear();
    if (!(error instanceof NetlinkOverflowError)) throw error;
    this.loss(); // what happened is unknown; the kernel knows
    if (!this.isStopped) this.pump();
  }

  /** Adds changes of the RIB to the batch; true when there are more. */
  private fill(limit: number): boolean {
    const context = this.options.context();
    const room = limit - this.batch.count;
    if (room <= 0) return true;
    return this.options.take(
      (family, words, at, length, entry) => this.changes.change(family, words, at, length, entry, context),
      room,
    );
  }

  /** Writes the batch now. */
  private apply(): void {
    const { batch } = this;
    if (batch.count === 0) return;
    try {
      this.settle(batch, this.socket.transact(batch));
    } catch (error) {
      if (!(error instanceof NetlinkOverflowError)) throw error;
      this.loss(); // what happened is unknown; the kernel knows
    } finally {
      batch.clear();
      this.changes.order.clear();
    }
  }

  /** Of different routes: in any order. */
  private applyChanges(changes: readonly RouteChange[]): void {
    for (const at of goldenOrder(changes.length)) {
      const change = changes[at];
      if (change !== undefined) writeRouteChange(this.batch, change);
      if (this.batch.count >= SLICE) this.apply();
    }
    this.apply();
  }

  private settle(batch: NetlinkBatch, failures: readonly BatchFailure[]): void {
    // Nexthop objects that went with an interface, and there has been no resync since.
    if (this.refusals.settle(batch, failures, this.resyncing === undefined)) this.loss();
  }
}
