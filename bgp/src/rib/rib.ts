/**
 * The RIB itself: puts its parts together and schedules their work (see contract.ts for what it promises).
 *
 * A path's way in: `receive` -> adj-rib-in.ts (number the prefix, intern the attributes, import policy, choose the best) -> change log.
 * Its way out: `run` lets every update group follow the log (update-group.ts), which writes messages into a queue that the group's
 * members read by `takeOutput`; and `takeForwarding` follows the same log for the kernel. Long work (a lost peer, a sweep, a next hop that
 * changed) is a job in slices.
 */
import type { Family, IpAddress } from '../address.js';
import type { DecodedUpdate } from '../codec/update.js';
import { AdjRibIn } from './adj-rib-in.js';
import { PathNames } from './adj-rib-out.js';
import { AttributeSets, type SetId } from './attribute-sets.js';
import type {
  ConnectedPrefix,
  KernelRoute,
  LocalRoute,
  Rib,
  RibEvents,
  RibOptions,
  RibOutput,
  RibTuning,
  RibWatcher,
} from './contract.js';
import { importDiffers, sessionOf, type PeerId, type RibPeer } from './rib-peer.js';
import type { ForwardingSink } from './forwarding-entry.js';
import type { RibQueries } from './answers.js';
import { decidesAlike, Decision, decisionOptions } from './decision.js';
import { ExportBatch } from './export-batch.js';
import { FamilyTable } from './family-table.js';
import { Forwarding } from './forwarding.js';
import { Import } from './import.js';
import { Jobs } from './jobs.js';
import { LocalRoutes } from './local-routes.js';
import { NextHops } from './next-hops.js';
import type { Output } from './output-queue.js';
import { Outputs } from './outputs.js';
import { PathJobs } from './path-jobs.js';
import { PeerRemains } from './peer-remains.js';
import { LOCAL_PEER, Peers, type PeerEntry } from './peers.js';
import type { RouteTables } from './policy-route.js';
import { Queries } from './queries.js';
import { carriers, Redecisions } from './redecisions.js';
import { RouteHistory } from './route-history.js';
import { UpdateGroups } from './update-groups.js';

const FAMILIES: readonly Family[] = [4, 6];
const STEPS = 32_768;
const SLICE = 2_048;
const OUTPUT_LIMIT = 4 * 1024 * 1024;
const OUTPUT_TAKE = 256 * 1024;
const FORWARDING_TAKE = 1024;
/** Entries of a change log that wait to be forgotten while there is other work. */
const LONGEST_LOG = 1 << 20;
/** Entries forgotten in a turn: a few milliseconds, more than a turn makes. */
const TRIM = 1 << 15;

export function createRib(options: RibOptions, events: RibEvents): Rib {
  return new RoutingInformationBase(options, events);
}

class RoutingInformationBase implements Rib {
  readonly #events: RibEvents;
  readonly #peers: Peers;
  readonly #sets: AttributeSets;
  readonly #nextHops: NextHops;
  readonly #tables: Readonly<Record<Family, FamilyTable>>;
  readonly #import: Import;
  readonly #decision: Decision;
  readonly #input: AdjRibIn;
  readonly #groups: Readonly<Record<Family, UpdateGroups>>;
  readonly #forwarding: Readonly<Record<Family, Forwarding>> | undefined;
  readonly #local: LocalRoutes;
  readonly #jobs = new Jobs();
  readonly #names = new PathNames();
  readonly queries: RibQueries;
  readonly #paths: PathJobs;
  readonly #redecisions: Redecisions;
  readonly #outputs: Outputs;
  readonly #outputLimit: number;
  readonly #history: RouteHistory | undefined;
  readonly #remains: PeerRemains;
  #isHeld = false;
  #isWanted = false;
  #isForwardingTold = false;

  constructor(options: RibOptions, events: RibEvents) {
    this.#events = events;
    const { localAs, routerId, clusterId = routerId } = options;
    this.#outputLimit = options.outputLimit ?? OUTPUT_LIMIT;
    this.#tables = { 4: new FamilyTable(4, options.patience), 6: new FamilyTable(6, options.patience) };
    this.#peers = new Peers({ localAs, routerId, clusterId });
    this.#remains = new PeerRemains(this.#peers, this.#names);
    this.#sets = new AttributeSets({ made: (set) => this.#setMade(set), gone: (set) => this.#setGone(set) });
    this.#nextHops = new NextHops(
      options.resolveThroughDefault === true,
      (family, key, minimum) => carriers(this.#tables[family], this.#sets, this.#decision, key, minimum),
      () => events.nextHopAdded?.(),
    );
    this.#import = new Import(this.#sets, this.#nextHops, this.#peers);
    this.#decision = new Decision(this.#sets, this.#nextHops, this.#peers, decisionOptions(options));
    this.#input = new AdjRibIn(this.#sets, this.#nextHops, this.#import, this.#decision, this.#tables);
    this.#input.tracksAll = options.forwarding === true;
    this.#history = options.wallTime === undefined ? undefined : new RouteHistory(this.#peers, options.wallTime);
    this.#input.history = this.#history;
    const tables = { sets: this.#sets, nextHops: this.#nextHops, peers: this.#peers };
    const batch = new ExportBatch();
    this.#groups = { 4: this.#groupsOf(4, tables, batch), 6: this.#groupsOf(6, tables, batch) };
    this.#forwarding = options.forwarding === true ? { 4: this.#forwardingOf(4), 6: this.#forwardingOf(6) } : undefined;
    for (const family of FAMILIES) {
      const [groups, forwarding] = [this.#groups[family], this.#forwarding?.[family]];
      this.#tables[family].mayForget = (prefix) => !groups.remember(prefix) && forwarding?.remembers(prefix) !== true;
    }
    this.#outputs = new Outputs(this.#groups, this.#outputLimit);
    this.#redecisions = new Redecisions({
      tables: this.#tables,
      sets: this.#sets,
      nextHops: this.#nextHops,
      peers: this.#peers,
      importer: this.#import,
      input: this.#input,
      jobs: this.#jobs,
    });
    this.#paths = new PathJobs({
      tables: this.#tables,
      sets: this.#sets,
      input: this.#input,
      importer: this.#import,
      jobs: this.#jobs,
      wanted: () => this.#want(),
      finished: (entry) => this.#remains.freeIfDone(entry),
    });
    this.#local = new LocalRoutes(this.#tables, this.#input, this.#sets, this.#peers.get(LOCAL_PEER));
    this.queries = new Queries({
      tables,
      decision: this.#decision,
      families: this.#tables,
      groups: this.#groups,
      forwarding: this.#forwarding,
      history: this.#history,
      outputs: this.#outputs,
    });
  }

  // ---- options

  retune(tuning: RibTuning): void {
    const options = decisionOptions(tuning);
    this.#redecisions.outside();
    if (!decidesAlike(this.#decision.options, options)) {
      this.#decision.options = options;
      this.#nextHops.routesChanged();
      for (const family of FAMILIES) this.#redecisions.decide(this.#tables[family], () => true);
    }
    const affected = this.#peers.changeCluster(tuning.clusterId);
    if (affected.length > 0)
      this.#sets.reread((peer) =>
        peer === LOCAL_PEER || this.#peers.isExternal(peer) ? undefined : this.#peers.get(peer).owner,
      );
    for (const entry of affected) {
      this.#paths.redoImport(entry);
      if (entry.state === 'up') this.#regroup(entry);
    }
    this.#want();
  }

  // ---- sessions

  peerUp(options: RibPeer): PeerId {
    const known = this.#peers.named(options.name)?.options;
    const entry = this.#peers.up(options);
    // Its number may have been another's a moment ago.
    this.#history?.tick();
    this.#redecisions.outside();
    if (known !== undefined && importDiffers(known, options)) this.#paths.redoImport(entry);
    for (const family of FAMILIES) {
      const session = sessionOf(options, family);
      if (session !== undefined) this.#groups[family].join(entry, session);
      else if (entry.family[family].received > 0) this.#paths.drop(entry, family);
    }
    this.#noteAddPath();
    this.#want();
    return entry.id;
  }

  peerChanged(id: PeerId, options: RibPeer): void {
    const entry = this.#up(id);
    const before = entry.options;
    this.#peers.change(entry, options);
    this.#redecisions.outside();
    if (importDiffers(before, options)) this.#paths.redoImport(entry);
    this.#regroup(entry);
    this.#noteAddPath();
    this.#want();
  }

  renamePeer(id: PeerId, name: string): void {
    this.#peers.rename(this.#peers.get(id), name);
    this.#history?.tick();
  }

  peerDown(id: PeerId, how: 'drop' | readonly Family[]): void {
    const entry = this.#up(id);
    const kept = how === 'drop' ? [] : how;
    this.#redecisions.outside();
    entry.state = kept.length > 0 ? 'stale' : 'gone';
    for (const family of FAMILIES) {
      this.#groups[family].leave(id);
      if (kept.includes(family)) this.#paths.keep(entry, family);
      else {
        entry.kept.delete(family);
        if (entry.family[family].received > 0) this.#paths.drop(entry, family);
      }
    }
    this.#noteAddPath();
    this.#remains.freeIfDone(entry);
    this.#want();
  }

  // ---- paths in

  receive(id: PeerId, update: DecodedUpdate): void {
    // Once for all that is read in a turn: work is wanted from the first UPDATE until it is done.
    if (!this.#isWanted) this.#history?.tick();
    this.#redecisions.outside();
    this.#input.receive(this.#up(id), update);
    this.#want();
  }

  endOfRib(id: PeerId, family: Family): void {
    this.sweepStale(id, family);
  }

  sweepStale(id: PeerId, family: Family): void {
    const entry = this.#peers.get(id);
    this.#redecisions.outside();
    entry.kept.delete(family);
    if (entry.state === 'stale' && entry.kept.size === 0) entry.state = 'gone';
    if (entry.family[family].stale > 0) this.#paths.sweep(entry, family);
    else this.#remains.freeIfDone(entry);
  }

  keepLongLived(id: PeerId, family: Family): void {
    this.#paths.keepLongLived(this.#peers.get(id), family);
  }

  beginRefresh(id: PeerId, family: Family): void {
    this.#paths.markStale(this.#up(id), family);
  }

  endRefresh(id: PeerId, family: Family): void {
    this.sweepStale(id, family);
  }

  // ---- whole desired sets

  originate(routes: readonly LocalRoute[]): void {
    this.#history?.tick();
    this.#redecisions.outside();
    this.#local.set(routes);
    this.#want();
  }

  setConnected(connected: readonly ConnectedPrefix[]): void {
    this.#redecisions.outside();
    this.#nextHops.setConnected(connected);
    this.#want();
  }

  setKernelRoutes(routes: readonly KernelRoute[], ignoredDefaults?: readonly Family[]): void {
    this.#redecisions.outside();
    this.#nextHops.setKernelRoutes(routes, ignoredDefaults);
    this.#want();
  }

  nextHopTargets(): Iterable<IpAddress> {
    return this.#nextHops.targets();
  }

  holdSelection(held: boolean): void {
    this.#isHeld = held;
    if (!held) this.#want();
  }

  // ---- work and output

  run(steps = STEPS): boolean {
    this.#isWanted = false;
    this.#history?.tick();
    let left = steps;
    while (left > 0) {
      const before = left;
      if (!this.#nextHops.isSettled) left -= this.#redecisions.settle();
      left -= this.#jobs.step(Math.min(left, SLICE));
      if (this.#isHeld) {
        if (this.#jobs.size === 0)
          for (const family of FAMILIES)
            this.#groups[family].tellOwn(this.#local.prefixes(family), this.#local.version);
      } else
        for (const family of FAMILIES)
          if (left > 0) left -= this.#groups[family].step(left, (member) => this.#peers.get(member.peer));
      if (left === before) break;
    }
    for (const family of FAMILIES) {
      this.#forwarding?.[family].loseLongLog();
      // Forgetting can wait for a turn without other work: what was changed goes out before.
      const { log } = this.#tables[family];
      if (left === steps || log.length > LONGEST_LOG) this.#tables[family].trimLog(TRIM);
    }
    this.#tell();
    return this.#hasWork() || FAMILIES.some((family) => this.#tables[family].log.isTrimmable);
  }

  refresh(id: PeerId, family: Family, demarcated: boolean): void {
    const entry = this.#up(id);
    const member = this.#groups[family].member(id);
    const session = sessionOf(entry.options, family);
    if (member === undefined || session === undefined) return;
    this.#groups[family].refresh(member, entry, session, demarcated);
    this.#want();
  }

  takeOutput(id: PeerId, limit = OUTPUT_TAKE): RibOutput {
    const out: Output = { buffers: [], messages: 0 };
    if (this.#outputs.take(this.#peers.get(id), limit, out)) this.#want();
    return out;
  }

  takeForwarding(sink: ForwardingSink, limit = FORWARDING_TAKE): boolean {
    if (this.#forwarding === undefined || this.#isHeld) return false;
    let left = limit;
    for (const family of FAMILIES) if (left > 0) left -= this.#forwarding[family].take(sink, left);
    this.#isForwardingTold = FAMILIES.some((family) => this.#forwarding?.[family].hasWork === true);
    for (const family of FAMILIES) this.#tables[family].trimLog(TRIM);
    return this.#isForwardingTold;
  }

  replayForwarding(): void {
    for (const family of FAMILIES) this.#forwarding?.[family].replay();
    this.#want();
  }

  watch({ bestChanged, pathChanged }: RibWatcher): void {
    this.#input.bestChanged =
      bestChanged === undefined ? undefined : (table, prefix) => bestChanged(table.prefixes.prefixOf(prefix));
    this.#input.pathChanged =
      pathChanged === undefined
        ? undefined
        : (peer, table, prefix, identifier, isSilent) =>
            pathChanged(peer, table.prefixes.prefixOf(prefix), identifier, isSilent);
  }

  // ---- private

  #up(id: PeerId): PeerEntry {
    const entry = this.#peers.get(id);
    if (entry.state !== 'up') throw new Error(`Peer "${entry.options.name}" is not up`);
    return entry;
  }

  #want(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.#events.wanted();
  }

  #groupsOf(family: Family, tables: RouteTables, batch: ExportBatch): UpdateGroups {
    return new UpdateGroups({
      table: this.#tables[family],
      sets: this.#sets,
      batch,
      tables,
      decision: this.#decision,
      names: this.#names,
      outputLimit: this.#outputLimit,
      isHeld: () => this.#isHeld,
    });
  }

  #forwardingOf(family: Family): Forwarding {
    return new Forwarding(this.#tables[family], this.#sets, this.#nextHops, this.#decision);
  }

  #noteAddPath(): void {
    this.#input.tracksAll = this.#forwarding !== undefined || this.#groups[4].hasAddPath || this.#groups[6].hasAddPath;
  }

  #hasWork(): boolean {
    if (this.#jobs.size > 0 || !this.#nextHops.isSettled) return true;
    if (this.#isHeld) return FAMILIES.some((family) => this.#groups[family].owesOwn(this.#local.version));
    return this.#groups[4].hasWork() || this.#groups[6].hasWork();
  }

  #tell(): void {
    this.#outputs.tell((peer) => this.#events.outputReady(peer));
    if (this.#forwarding === undefined || this.#isForwardingTold || this.#isHeld) return;
    if (!this.#forwarding[4].hasWork && !this.#forwarding[6].hasWork) return;
    this.#isForwardingTold = true;
    this.#events.forwardingReady?.();
  }

  /** What the peer is sent is encoded anew. */
  #regroup(entry: PeerEntry): void {
    for (const family of FAMILIES) {
      const member = this.#groups[family].member(entry.id);
      const session = sessionOf(entry.options, family);
      if (member !== undefined && session !== undefined) this.#groups[family].regroup(member, entry, session);
    }
  }

  #setMade(set: SetId): void {
    const peer = this.#sets.peer[set] as PeerId;
    this.#nextHops.hold(this.#sets.nextHop[set] as number);
    this.#remains.setMade(peer);
  }

  #setGone(set: SetId): void {
    const peer = this.#sets.peer[set] as PeerId;
    this.#import.forget(set);
    this.#nextHops.release(this.#sets.nextHop[set] as number);
    this.#remains.setGone(peer);
  }
}
