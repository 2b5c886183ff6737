/**
 * The netfilter applier: makes the kernel hold exactly one ruleset, as far as it is ours, and keeps it so.
 *
 * Callers hand over a whole ruleset once (`sync`) and deltas from then on (`apply`). One loop does everything that touches the kernel, one
 * pass at a time: take in what came, look where drift is suspected, then write in the order that never opens and never
 * breaks: sets and members are added, rules are written (one atomic restore per family), members and sets are removed. Calls that come during a
 * pass wait for the next one and share it.
 *
 * Ours is what carries our mark: chains TORTIE-*, the jumps to them, sets tortie4-* and tortie6-*. Nothing else is read
 * into memory, and nothing is ever written before the first sync. At a start what stands is adopted: a chain whose hashes are right is not
 * rewritten. What somebody else breaks is seen within half a second (patrol.ts) and put back.
 *
 * Refusals never stop the rest: they are kept as failures, told to the caller and tried again with growing pauses.
 */
import type { Family, Ruleset, RulesetDelta } from '@tortie/policy/ruleset';
import { NetlinkProtocolError } from '../netlink/message.js';
import { NetlinkOverflowError } from '../netlink/netlink-socket.js';
import { SystemError } from '../system-error.js';
import { Backoff } from './backoff.js';
import { ChildError, type Within } from './child.js';
import { openFamily, sweepOtherBackend, type FamilyTables } from './family-tables.js';
import { Patrol } from './patrol.js';
import type { ApplyResult, Backend, DriftRepair, NetfilterCounters, NetfilterFailure, NetfilterStatus, Observation } from './status.js';
import { SetState } from './set-state.js';
import type { SetOperation, SetTransport } from './set-transport.js';
import { openSets } from './open-sets.js';

export interface NetfilterOptions {
  readonly families: readonly Family[];
  /** Default 'auto': what the rest of the machine uses (backend.ts). */
  readonly backend?: 'auto' | Backend;
  /** For another network namespace than the process's own. */
  readonly within?: Within;
  /** How often to look for drift, in milliseconds; default 400. 0 looks only on kernel events. */
  readonly patrolInterval?: number;
  /** Somebody else changed what is ours, and it has been put back. */
  readonly onDrift?: (repair: DriftRepair) => void;
  /** The list of standing failures has changed. */
  readonly onFailures?: (failures: readonly NetfilterFailure[]) => void;
}

/** The machine lacks what an applier needs: a program, a kernel part, a privilege. The message names it. */
export { NetfilterSetupError } from './family-tables.js';

type Incoming =
  | { readonly type: 'whole'; readonly ruleset: Ruleset }
  | { readonly type: 'delta'; readonly delta: RulesetDelta };

interface Waiter {
  readonly resolve: (result: ApplyResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Finds programs and backends and opens the sockets; throws NetfilterSetupError. Reads, but writes nothing. */
export async function createNetfilter(options: NetfilterOptions): Promise<Netfilter> {
  const within = options.within ?? ((work) => work());
  const sets = openSets(within);
  const families: FamilyTables[] = [];
  try {
    for (const family of options.families) {
      const opened = await openFamily(family, options.backend ?? 'auto', within, families[0]?.choice);
      if (opened !== undefined) families.push(opened);
    }
    return new Netfilter(options, within, families, sets.transport, sets.reason);
  } catch (error) {
    sets.transport.close();
    throw error;
  }
}

export class Netfilter {
  private readonly sets = new SetState();
  private readonly backoff = new Backoff();
  private readonly patrol: Patrol;
  private incoming: Incoming[] = [];
  private waiters: Waiter[] = [];
  private running: Promise<void> | undefined;
  private isSynced = false;
  /** A whole ruleset was taken in and is not written yet. */
  private needsWhole = false;
  /** Families whose other backend holds nothing of ours. */
  private readonly swept = new Set<Family>();
  private isStopped = false;
  private retryTimer: NodeJS.Timeout | undefined;
  private lastFailures = '';
  private readonly counters = { passes: 0, restores: 0, chainsWritten: 0, membersAdded: 0, membersRemoved: 0, driftsRepaired: 0 };

  /** @internal Use createNetfilter. */
  constructor(
    private readonly options: NetfilterOptions,
    private readonly within: Within,
    private readonly families: readonly FamilyTables[],
    private readonly transport: SetTransport,
    private readonly childReason: string | undefined,
  ) {
    this.patrol = new Patrol({ families, transport, sets: this.sets, within, interval: options.patrolInterval ?? 400, onAlarm: () => this.schedule() });
  }

  /** Reads what of ours is in the kernel. For people and logs: sync() looks by itself. */
  async start(): Promise<Observation> {
    const headers = await this.transport.headers();
    const tables: Observation['tables'][number][] = [];
    for (const family of this.families) tables.push(...await family.count());
    return { sets: headers.length, chains: tables.reduce((sum, table) => sum + table.chains, 0), tables };
  }

  /** Makes the kernel hold this ruleset and nothing else of ours; from the first call on it is kept so. */
  sync(ruleset: Ruleset): Promise<ApplyResult> {
    return this.enqueue({ type: 'whole', ruleset });
  }

  /** Applies a delta to what was handed over before. */
  apply(delta: RulesetDelta): Promise<ApplyResult> {
    return this.enqueue({ type: 'delta', delta });
  }

  status(): NetfilterStatus {
    const failures = this.failures();
    return {
      backends: new Map(this.families.map((family) => [family.family, family.choice])),
      isSynced: this.isSynced,
      isClean: failures.length === 0 && this.incoming.length === 0 && this.sets.isClean && this.families.every(({ state }) => state.isClean),
      failures,
      setTransport: this.childReason === undefined ? { type: 'netlink' } : { type: 'child', reason: this.childReason },
      counters: { ...this.counters } satisfies NetfilterCounters,
    };
  }

  /** Stops watching and writing; the kernel keeps what it has. Calls that wait are rejected. */
  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    clearTimeout(this.retryTimer);
    this.patrol.stop();
    for (const waiter of this.takeWaiters()) waiter.reject(new Error('The netfilter applier is stopping'));
    await this.running;
    this.transport.close();
  }

  private enqueue(work: Incoming): Promise<ApplyResult> {
    if (this.isStopped) return Promise.reject(new Error('The netfilter applier has been stopped'));
    if (work.type === 'delta' && !this.isSynced && !this.needsWhole && !this.incoming.some((one) => one.type === 'whole'))
      return Promise.reject(new Error('A delta came before the first whole ruleset'));
    // A whole state makes what waits before it pointless.
    if (work.type === 'whole') this.incoming = [];
    this.incoming.push(work);
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject });
      this.schedule();
    });
  }

  private schedule(): void {
    if (this.running !== undefined || this.isStopped) return;
    this.running = this.runPass().finally(() => {
      this.running = undefined;
      if (this.incoming.length > 0) this.schedule();
      else this.scheduleRetry();
    });
  }

  private async runPass(): Promise<void> {
    const waiters = this.takeWaiters();
    try {
      await this.pass();
      this.noteResult(4, 'pass', undefined);
    } catch (error) {
      if (!isEnvironment(error)) {
        for (const waiter of waiters) waiter.reject(error);
        throw error;
      }
      this.noteResult(4, 'pass', error.message);
    }
    const failures = this.failures();
    this.reportFailures(failures);
    for (const waiter of waiters) waiter.resolve({ failures });
  }

  private async pass(): Promise<void> {
    this.counters.passes++;
    this.takeIn();
    const isWhole = this.needsWhole;
    if (!isWhole && !this.isSynced) return;
    const findings = isWhole ? await this.patrol.lookAtAll() : await this.patrol.look();
    for (const { family, subject, message } of this.patrol.takeFailures()) this.noteResult(family, subject, message);
    // Without knowing what stands, jumps would be inserted twice and strangers' chains kept: wait for a reading.
    const families = this.families.filter(({ family }) => !isWhole || !this.patrol.isBlind(family));
    await this.writeSets(this.sets.additions());
    await Promise.all(families.map((family) => this.writeFamily(family)));
    await this.writeSets(this.sets.removals());
    for (const { family } of families) this.backoff.keepOnly(family, (subject) => subject.startsWith('set '), this.sets.unsettled());
    if (families.length < this.families.length) return;
    this.needsWhole = false;
    this.isSynced = true;
    if (!isWhole) this.reportDrift(findings);
    await this.sweep();
    this.patrol.start();
  }

  /** Merges what waits into the wanted state. */
  private takeIn(): void {
    const incoming = this.incoming;
    this.incoming = [];
    for (const work of incoming) {
      if (work.type === 'whole') this.takeWhole(work.ruleset);
      else this.takeDelta(work.delta);
      this.needsWhole ||= work.type === 'whole';
    }
  }

  private takeWhole(ruleset: Ruleset): void {
    this.sets.reset();
    for (const set of ruleset.sets.values()) if (this.hasFamily(set.family)) this.sets.create(set);
    for (const { state } of this.families) {
      state.reset();
      for (const chain of ruleset.chains.values()) state.upsertChain(chain);
      for (const map of ruleset.maps.values()) state.upsertMap(map);
      state.setHooks(ruleset.hooks);
    }
  }

  private takeDelta(delta: RulesetDelta): void {
    for (const set of delta.setsCreated) if (this.hasFamily(set.family)) this.sets.create(set);
    for (const change of delta.setsChanged) if (this.sets.has(change.name)) this.sets.change(change);
    for (const name of delta.setsDeleted) if (this.sets.has(name)) this.sets.delete(name);
    for (const { state } of this.families) {
      for (const chain of delta.chainsUpserted) state.upsertChain(chain);
      for (const map of delta.mapsUpserted) state.upsertMap(map);
      for (const name of delta.chainsDeleted) state.deleteChain(name);
      for (const name of delta.mapsDeleted) state.deleteMap(name);
      if (delta.hooks !== undefined) state.setHooks(delta.hooks);
    }
  }

  private async writeSets(planned: readonly SetOperation[]): Promise<void> {
    const now = Date.now();
    const held = planned.filter((operation) => this.backoff.isHeld(familyOfSet(operation), subjectOfSet(operation), '', now));
    const operations = planned.filter((operation) => !held.includes(operation));
    if (operations.length === 0) return;
    const refusals = await this.transport.apply(operations);
    const failures = this.sets.done(operations, refusals);
    for (const operation of operations) {
      this.backoff.succeeded(familyOfSet(operation), subjectOfSet(operation));
      if (operation.type === 'add') this.counters.membersAdded += operation.members.length;
      if (operation.type === 'delete') this.counters.membersRemoved += operation.members.length;
    }
    for (const failure of failures) this.noteResult(failure.family, `set ${failure.set}`, failure.message);
  }

  private async writeFamily(family: FamilyTables): Promise<void> {
    const outcome = await family.write(this.backoff, Date.now());
    this.counters.restores += outcome.restores;
    this.counters.chainsWritten += outcome.chainsWritten;
  }

  /** What an earlier run wrote through the other backend would go on filtering: remove it once ours stands. */
  private async sweep(): Promise<void> {
    for (const { family, choice } of this.families) {
      if (this.swept.has(family) || this.backoff.isHeld(family, SWEEP, '', Date.now())) continue;
      const problem = await sweepOtherBackend(family, choice.backend, this.within);
      this.noteResult(family, SWEEP, problem);
      if (problem === undefined) this.swept.add(family);
    }
  }

  private noteResult(family: Family, subject: string, problem: string | undefined): void {
    if (problem === undefined) this.backoff.succeeded(family, subject);
    else this.backoff.failed(family, subject, '', problem, Date.now());
  }

  private reportDrift(findings: ReadonlyMap<Family, readonly string[]>): void {
    for (const [family, texts] of findings) {
      if (texts.length === 0) continue;
      this.counters.driftsRepaired++;
      this.options.onDrift?.({ family, findings: texts });
    }
  }

  private failures(): readonly NetfilterFailure[] {
    const malformed = this.sets.malformedMembers().map(({ set, family, message }) => ({ subject: `set ${set}`, family, message, attempts: 1 }));
    return [...this.backoff.failures(), ...malformed];
  }

  private reportFailures(failures: readonly NetfilterFailure[]): void {
    const text = failures.map(({ family, subject, message }) => `${family} ${subject} ${message}`).join('\n');
    if (text === this.lastFailures) return;
    this.lastFailures = text;
    this.options.onFailures?.(failures);
  }

  private scheduleRetry(): void {
    clearTimeout(this.retryTimer);
    const at = this.backoff.nextRetryAt();
    if (at === undefined || this.isStopped) return;
    this.retryTimer = setTimeout(() => this.schedule(), Math.max(SHORTEST_RETRY, at - Date.now()));
    this.retryTimer.unref();
  }

  private takeWaiters(): readonly Waiter[] {
    const waiters = this.waiters;
    this.waiters = [];
    return waiters;
  }

  private hasFamily(family: Family): boolean {
    return this.families.some((one) => one.family === family);
  }
}

/** A retry that is due already still leaves the loop some air. */
const SHORTEST_RETRY = 250;
const SWEEP = 'sweep of the other backend';

/** What the machine did to us, to be told and tried again; everything else is our own fault. */
const isEnvironment = (error: unknown): error is Error =>
  error instanceof ChildError || error instanceof SystemError || error instanceof NetlinkProtocolError || error instanceof NetlinkOverflowError;

const nameOfSet = (operation: SetOperation): string => ('set' in operation ? operation.set.name : operation.name);
const familyOfSet = (operation: SetOperation): Family => (nameOfSet(operation).startsWith('tortie6-') ? 6 : 4);
const subjectOfSet = (operation: SetOperation): string => `set ${nameOfSet(operation)}`;
