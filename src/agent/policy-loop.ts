/**
 * Policy, and in the same way Services: events into the engine, deltas into the kernel, one application at a time.
 *
 * Events that arrive in one turn of the event loop, or while the kernel is being written, go out together. What the kernel
 * refuses, the applier repeats by itself; whoever waits for an endpoint's policy is told of what stands against it and fails
 * closed. An applier that breaks is given the whole again, with growing pauses. Nothing is written before `start`.
 */
import { isEmptyDelta, type PolicyEngine, type PolicyEvent, type Ruleset, type RulesetDelta } from '@tortie/policy';
import { breathe } from '../breathe.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

/** What the loop needs of the engine. */
export interface RuleSource<Event> extends Pick<PolicyEngine, 'flush' | 'ruleset'> {
  apply(event: Event): void;
  /** All that `flush` has told stands in the kernel, as far as the kernel takes it; also when that was nothing. */
  stands?(): void;
  /** A part of what `flush` would do; false when nothing is left of it. */
  settleNext?(): boolean;
}
export type PolicySource = RuleSource<PolicyEvent>;

/** Something of ours that the kernel does not take; the applier goes on trying. */
export interface NetfilterFailure {
  /** "filter/TORTIE-FORWARD", "set tortie4-abc", ... */
  readonly subject: string;
  readonly message: string;
}

/** The kernel side: src/dataplane/netfilter. Repairs and repeats by itself. */
export interface Netfilter {
  /** Makes the kernel hold exactly this, as far as it is ours. */
  sync(ruleset: Ruleset): Promise<{ readonly failures: readonly NetfilterFailure[] }>;
  /** Applies what changed since the last sync or apply. */
  apply(delta: RulesetDelta): Promise<{ readonly failures: readonly NetfilterFailure[] }>;
  /** What the kernel does not take at this moment. */
  failures(): readonly NetfilterFailure[];
  /** Why what it has taken may not stay: a sentence about others' changes. */
  unrest?(): string | undefined;
}

const SHORTEST_PAUSE = 100;
const LONGEST_PAUSE = 10_000;
/** BOUNDED: what is left of a storm that does not end is settled at one go. */
const MOST_STEPS = 2_000;

interface Waiter {
  readonly resolve: (failures: readonly NetfilterFailure[]) => void;
  readonly reject: (error: Error) => void;
}

export class PolicyLoop<Event = PolicyEvent> {
  private isStarted = false;
  private isRunning = false;
  private isScheduled = false;
  private isDirty = false;
  private needsSync = true;
  private attempts = 0;
  private retry: NodeJS.Timeout | undefined;
  /** Wait for events taken in so far. BOUNDED by the CNI calls under way. */
  private waiters: Waiter[] = [];
  private breakdown: string | undefined;

  constructor(
    private readonly engine: RuleSource<Event>,
    private readonly netfilter: Netfilter,
    private readonly log: Logger,
    private readonly onHealth: () => void,
    /** What the rules are about, for people. */
    private readonly subject = 'policy',
  ) {}

  take(event: Event): void {
    this.engine.apply(event);
    this.isDirty = true;
    this.schedule();
  }

  /** The first write: call once the engine has heard of everything. Resolves when the kernel holds it. */
  start(): Promise<readonly NetfilterFailure[]> {
    this.isStarted = true;
    return this.settled();
  }

  stop(): void {
    this.isStarted = false;
    clearTimeout(this.retry);
    for (const waiter of this.takeWaiters()) waiter.reject(new Error('The agent is stopping'));
  }

  /** Resolves when everything taken in before this call has been written, with what the kernel refused; rejects when the applier broke. */
  settled(): Promise<readonly NetfilterFailure[]> {
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject });
      this.schedule();
    });
  }

  /** Why the kernel does not hold what it should, in sentences. */
  problems(): readonly string[] {
    if (this.breakdown !== undefined) return [this.breakdown];
    const unrest = this.netfilter.unrest?.();
    return [...(unrest === undefined ? [] : [unrest]), ...this.netfilter.failures().map(({ message }) => message)];
  }

  private schedule(): void {
    if (this.isScheduled || this.isRunning || !this.isStarted) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      void this.run();
    });
  }

  private async run(): Promise<void> {
    if (this.isRunning || !this.isStarted) return;
    this.isRunning = true;
    this.isDirty = false;
    clearTimeout(this.retry);
    const waiters = this.takeWaiters();
    try {
      const failures = await this.write();
      this.attempts = 0;
      this.report(undefined);
      for (const waiter of waiters) waiter.resolve(failures);
    } catch (error) {
      this.needsSync = true;
      this.report(messageOf(error));
      for (const waiter of waiters) waiter.reject(error instanceof Error ? error : new Error(String(error)));
      this.retry = setTimeout(
        () => this.schedule(),
        Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** Math.min(this.attempts++, 10)),
      );
    } finally {
      this.isRunning = false;
    }
    if (this.waiters.length > 0 || this.isDirty) this.schedule();
  }

  private async write(): Promise<readonly NetfilterFailure[]> {
    for (let step = 0; step < MOST_STEPS; step++) {
      await breathe();
      if (this.engine.settleNext?.() !== true) break;
    }
    const failures = await this.writeDelta(this.engine.flush());
    this.engine.stands?.();
    return failures;
  }

  private async writeDelta(delta: RulesetDelta): Promise<readonly NetfilterFailure[]> {
    if (this.needsSync) {
      const { failures } = await this.netfilter.sync(this.engine.ruleset());
      this.needsSync = false;
      return failures;
    }
    if (isEmptyDelta(delta)) return this.netfilter.failures();
    await breathe();
    return (await this.netfilter.apply(delta)).failures;
  }

  private report(breakdown: string | undefined): void {
    if (breakdown === this.breakdown) return;
    if (breakdown !== undefined)
      this.log.error({ problem: breakdown }, `Cannot write ${this.subject} into the kernel; trying again`);
    else this.log.info(`The kernel holds all ${this.subject} again`);
    this.breakdown = breakdown;
    this.onHealth();
  }

  private takeWaiters(): readonly Waiter[] {
    const waiters = this.waiters;
    this.waiters = [];
    return waiters;
  }
}
