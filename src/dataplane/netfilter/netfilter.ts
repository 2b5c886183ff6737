/**
 * The netfilter applier: makes the kernel hold exactly one ruleset, as far as it is ours, and keeps it so.
 *
 * Callers hand over a whole ruleset once (`sync`) and deltas from then on (`apply`), each for its part (policy, services, NAT). One loop
 * does everything that touches the kernel, one pass at a time: take in what came, look where drift is suspected, write what differs. Calls
 * that come during a pass wait for the next one and share it. How the kernel holds rules is a target's business: iptables chains and
 * ipsets, or an nftables table.
 *
 * Ours is what carries our mark: chains TORTIE-*, the jumps to them, sets tortie4-* and tortie6-*, nftables' table
 * "tortie". Nothing else is touched, and nothing is ever written before the first sync. At a start what stands is
 * adopted: what is right already is not rewritten. What somebody else breaks is seen within half a second and put back.
 *
 * Refusals never stop the rest: they are kept as failures, told to the caller and tried again with growing pauses.
 */
import type { Family, Part, Ruleset, RulesetDelta } from '@tortie/policy/ruleset';
import { breathe } from '../../breathe.js';
import { NetlinkProtocolError } from '../netlink/message.js';
import { NetlinkOverflowError } from '../netlink/netlink-loss.js';
import { SystemError } from '../system-error.js';
import { Backoff } from './backoff.js';
import { ChildError, type Within } from './child.js';
import { openTarget } from './open-target.js';
import { Unrest } from './unrest.js';
import type { Findings, PolicyTarget } from './policy-target.js';
import type {
  ApplyResult,
  BackendSetting,
  DriftRepair,
  NetfilterFailure,
  NetfilterStatus,
  Observation,
} from './status.js';

export { NetfilterSetupError } from './family-tables.js';

export interface NetfilterOptions {
  readonly families: readonly Family[];
  /** Default 'auto': what the rest of the machine uses (backend.ts). */
  readonly backend?: BackendSetting;
  /** For another network namespace than the process's own. */
  readonly within?: Within;
  /** How often to look for drift, in milliseconds; default 400. 0 looks only on kernel events. */
  readonly patrolInterval?: number;
  /** Somebody else changed what is ours, and it has been put back. */
  readonly onDrift?: (repair: DriftRepair) => void;
  /** The list of standing failures has changed. */
  readonly onFailures?: (failures: readonly NetfilterFailure[]) => void;
}

type Incoming =
  | { readonly type: 'whole'; readonly part: Part; readonly ruleset: Ruleset }
  | { readonly type: 'delta'; readonly part: Part; readonly delta: RulesetDelta };

interface Waiter {
  readonly resolve: (result: ApplyResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Finds programs and backends and opens the sockets; throws NetfilterSetupError. Reads, but writes nothing. */
export async function createNetfilter(options: NetfilterOptions): Promise<Netfilter> {
  const target = await openTarget({
    families: options.families,
    backend: options.backend ?? 'auto',
    within: options.within ?? ((work) => work()),
    patrolInterval: options.patrolInterval ?? 400,
  });
  return new Netfilter(options, target);
}

/** A retry that is due already still leaves the loop some air. */
const SHORTEST_RETRY = 250;
const SHORTEST_PAUSE = 5;

export class Netfilter {
  private readonly backoff = new Backoff();
  private readonly unrest = new Unrest();
  private alarmTimer: NodeJS.Timeout | undefined;
  private incoming: Incoming[] = [];
  private waiters: Waiter[] = [];
  private running: Promise<void> | undefined;
  /** Somebody wanted a pass while one was running. */
  private isWantedAgain = false;
  /** Parts whose whole has been written. */
  private readonly synced = new Set<Part>();
  /** Parts whose whole was taken in and is not written yet. */
  private readonly unwritten = new Set<Part>();
  private isStopped = false;
  private retryTimer: NodeJS.Timeout | undefined;
  private lastFailures = '';
  private readonly counters = {
    passes: 0,
    restores: 0,
    chainsWritten: 0,
    membersAdded: 0,
    membersRemoved: 0,
    driftsRepaired: 0,
  };

  /** @internal Use createNetfilter. */
  constructor(
    private readonly options: NetfilterOptions,
    private readonly target: PolicyTarget,
  ) {}

  /** Reads what of ours is in the kernel. For people and logs: sync() looks by itself. */
  start(): Promise<Observation> {
    return this.target.observe();
  }

  /** Makes the kernel hold this ruleset and nothing else of this part; from the first call on it is kept so. */
  sync(ruleset: Ruleset, part: Part = 'policy'): Promise<ApplyResult> {
    return this.enqueue({ type: 'whole', part, ruleset });
  }

  /** Applies a delta to what was handed over of this part before. */
  apply(delta: RulesetDelta, part: Part = 'policy'): Promise<ApplyResult> {
    return this.enqueue({ type: 'delta', part, delta });
  }

  status(): NetfilterStatus {
    const failures = this.failures();
    const unrest = this.unrest.describe(Date.now());
    return {
      backends: this.target.backends,
      isSynced: this.synced.size > 0,
      isClean: failures.length === 0 && this.incoming.length === 0 && this.target.isClean,
      failures,
      ...(unrest === undefined ? {} : { unrest }),
      setTransport: this.target.setTransport,
      counters: { ...this.counters },
    };
  }

  /** Stops watching and writing; the kernel keeps what it has. Calls that wait are rejected. */
  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    clearTimeout(this.retryTimer);
    clearTimeout(this.alarmTimer);
    for (const waiter of this.takeWaiters()) waiter.reject(new Error('The netfilter applier is stopping'));
    await this.running;
    this.target.close();
  }

  private enqueue(work: Incoming): Promise<ApplyResult> {
    if (this.isStopped) return Promise.reject(new Error('The netfilter applier has been stopped'));
    if (
      work.type === 'delta' &&
      !this.synced.has(work.part) &&
      !this.unwritten.has(work.part) &&
      !this.incoming.some((one) => one.type === 'whole' && one.part === work.part)
    )
      return Promise.reject(new Error(`A delta of part "${work.part}" came before its first whole ruleset`));
    // A whole state makes what waits before it pointless.
    if (work.type === 'whole') this.incoming = this.incoming.filter(({ part }) => part !== work.part);
    this.incoming.push(work);
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject });
      this.schedule();
    });
  }

  private schedule(): void {
    if (this.isStopped) return;
    if (this.running !== undefined) {
      this.isWantedAgain = true;
      return;
    }
    this.isWantedAgain = false;
    this.running = this.runPass().finally(() => {
      this.running = undefined;
      if (this.isWantedAgain) this.schedule();
      else this.scheduleRetry();
    });
  }

  private async runPass(): Promise<void> {
    const waiters = this.takeWaiters();
    try {
      await this.pass();
      this.backoff.note(4, 'pass', undefined);
    } catch (error) {
      if (!isEnvironment(error)) {
        for (const waiter of waiters) waiter.reject(error);
        throw error;
      }
      this.backoff.note(4, 'pass', error.message);
    }
    const failures = this.failures();
    this.reportFailures(failures);
    for (const waiter of waiters) waiter.resolve({ failures });
  }

  private async pass(): Promise<void> {
    this.counters.passes++;
    this.takeIn();
    await breathe();
    const isWhole = this.unwritten.size > 0;
    if (!isWhole && this.synced.size === 0) return;
    const findings: Findings = isWhole ? new Map() : await this.target.look(this.backoff);
    if (isWhole) await this.target.lookAtAll(this.backoff, this.unwritten);
    const isComplete = await this.target.write(this.backoff, isWhole, (part) => this.count(part));
    if (!isComplete) return;
    for (const part of this.unwritten) this.synced.add(part);
    this.unwritten.clear();
    this.reportDrift(findings);
    await this.target.sweepOthers(this.backoff);
    if (!this.isStopped) this.target.watch(() => this.alarmed());
  }

  /** Something may not be as we left it. */
  private alarmed(): void {
    const wait = this.unrest.wait(Date.now());
    if (wait === 0) return this.schedule();
    this.alarmTimer ??= setTimeout(() => {
      this.alarmTimer = undefined;
      this.schedule();
    }, wait).unref();
  }

  /** Merges what waits into the wanted state. */
  private takeIn(): void {
    const incoming = this.incoming;
    this.incoming = [];
    for (const work of incoming) {
      if (work.type === 'delta') this.target.takeDelta(work.delta, work.part);
      else {
        this.target.takeWhole(work.ruleset, work.part);
        this.unwritten.add(work.part);
      }
    }
  }

  private count(part: Partial<typeof this.counters>): void {
    for (const key of ['restores', 'chainsWritten', 'membersAdded', 'membersRemoved'] as const)
      this.counters[key] += part[key] ?? 0;
  }

  private reportDrift(findings: Findings): void {
    if ([...findings.values()].some((texts) => texts.length > 0)) this.unrest.repaired(Date.now());
    for (const [family, texts] of findings) {
      if (texts.length === 0) continue;
      this.counters.driftsRepaired++;
      this.options.onDrift?.({ family, findings: texts });
    }
  }

  private failures(): readonly NetfilterFailure[] {
    return [...this.backoff.failures(), ...this.target.malformed()];
  }

  private reportFailures(failures: readonly NetfilterFailure[]): void {
    const text = failures.map(({ family, subject, message }) => `${family} ${subject} ${message}`).join('\n');
    if (text === this.lastFailures) return;
    this.lastFailures = text;
    this.options.onFailures?.(failures);
  }

  private scheduleRetry(): void {
    clearTimeout(this.retryTimer);
    const now = Date.now();
    const times = [this.backoff.nextRetryAt(), this.target.retryAt].filter((at) => at !== undefined);
    if (times.length === 0 || this.isStopped) return;
    const pause = times.reduce((soonest, at) => Math.min(soonest, at)) - now;
    this.retryTimer = setTimeout(
      () => this.schedule(),
      Math.max(this.target.retryAt === undefined ? SHORTEST_RETRY : SHORTEST_PAUSE, pause),
    );
    this.retryTimer.unref();
  }

  private takeWaiters(): readonly Waiter[] {
    const waiters = this.waiters;
    this.waiters = [];
    return waiters;
  }
}

/** What the machine did to us, to be told and tried again; everything else is our own fault. */
const isEnvironment = (error: unknown): error is Error =>
  error instanceof ChildError ||
  error instanceof SystemError ||
  error instanceof NetlinkProtocolError ||
  error instanceof NetlinkOverflowError;
