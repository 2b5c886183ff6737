/**
 * Policy: events into the engine, deltas into the kernel, one application at a time.
 *
 * Events that arrive in one turn of the event loop, or while the kernel is being written, go out together. A refused
 * application is repeated whole, with growing pauses, until it holds; whoever waits for an endpoint's policy is told of the
 * failure and fails closed. Nothing is written before `start`.
 */
import { isEmptyDelta, type PolicyEngine, type PolicyEvent, type Ruleset, type RulesetDelta } from '@tortie/policy';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

/** What the loop needs of the engine. */
export type PolicySource = Pick<PolicyEngine, 'apply' | 'flush' | 'ruleset'>;

/** The kernel side: src/dataplane/netfilter. */
export interface Netfilter {
  /** Makes the kernel hold exactly this, as far as it is ours. */
  sync(ruleset: Ruleset): Promise<void>;
  /** Applies what changed since the last sync or apply. */
  apply(delta: RulesetDelta): Promise<void>;
}

const SHORTEST_PAUSE = 100;
const LONGEST_PAUSE = 10_000;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class PolicyLoop {
  private isStarted = false;
  private isRunning = false;
  private isScheduled = false;
  private isDirty = false;
  private needsSync = true;
  private failures = 0;
  private retry: NodeJS.Timeout | undefined;
  /** Wait for events taken in so far. BOUNDED by the CNI calls under way. */
  private waiters: Waiter[] = [];
  private lastProblem: string | undefined;

  constructor(private readonly engine: PolicySource, private readonly netfilter: Netfilter, private readonly log: Logger, private readonly onHealth: () => void) {}

  take(event: PolicyEvent): void {
    this.engine.apply(event);
    this.isDirty = true;
    this.schedule();
  }

  /** The first write: call once the engine has heard of everything. Resolves when the kernel holds it. */
  start(): Promise<void> {
    this.isStarted = true;
    return this.settled();
  }

  stop(): void {
    this.isStarted = false;
    clearTimeout(this.retry);
    for (const waiter of this.takeWaiters()) waiter.reject(new Error('The agent is stopping'));
  }

  /** Resolves when the kernel holds everything taken in before this call; rejects when it refused. */
  settled(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject });
      this.schedule();
    });
  }

  /** Why the kernel does not hold what it should; undefined when it does. */
  problem(): string | undefined {
    return this.lastProblem;
  }

  /** Somebody else changed what is ours beyond repair by parts. */
  requestSync(): void {
    this.needsSync = true;
    this.schedule();
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
      await this.write();
      this.failures = 0;
      this.report(undefined);
      for (const waiter of waiters) waiter.resolve();
    } catch (error) {
      this.needsSync = true;
      this.report(messageOf(error));
      for (const waiter of waiters) waiter.reject(error instanceof Error ? error : new Error(String(error)));
      this.retry = setTimeout(() => this.schedule(), Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** Math.min(this.failures++, 10)));
    } finally {
      this.isRunning = false;
    }
    if (this.waiters.length > 0 || this.isDirty) this.schedule();
  }

  private async write(): Promise<void> {
    const delta = this.engine.flush();
    if (this.needsSync) {
      await this.netfilter.sync(this.engine.ruleset());
      this.needsSync = false;
    } else if (!isEmptyDelta(delta)) await this.netfilter.apply(delta);
  }

  private report(problem: string | undefined): void {
    if (problem === this.lastProblem) return;
    if (problem !== undefined) this.log.error({ problem }, 'The kernel refused policy; trying again');
    else if (this.lastProblem !== undefined) this.log.info('The kernel holds all policy again');
    this.lastProblem = problem;
    this.onHealth();
  }

  private takeWaiters(): readonly Waiter[] {
    const waiters = this.waiters;
    this.waiters = [];
    return waiters;
  }
}
