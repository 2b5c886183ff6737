/**
 * The timers of one connection. A running timer is a deadline; the system's timer behind it is only touched when it fires or
 * when a deadline comes nearer, so restarting the hold timer for every message costs one store.
 */
import type { FsmTimer } from '../fsm/state.js';
import type { Clock } from './clock.js';

interface Running {
  deadline: number;
  firesAt: number;
  handle: { cancel(): void };
}

export class Timers {
  private readonly running = new Map<FsmTimer, Running>();

  constructor(
    private readonly clock: Clock,
    private readonly expired: (timer: FsmTimer) => void,
  ) {}

  /** (Re)starts; `jitter` takes up to a quarter off (RFC 4271 section 10), but KEEPALIVEs keep a second between them (section 4.4). */
  start(timer: FsmTimer, seconds: number, jitter: boolean): void {
    const jittered = seconds * 1000 * (jitter ? 1 - this.clock.random() / 4 : 1);
    const delay = timer === 'Keepalive' ? Math.max(jittered, Math.min(seconds, 1) * 1000) : jittered;
    const deadline = this.clock.now() + delay;
    const running = this.running.get(timer);
    if (running !== undefined && running.firesAt <= deadline) {
      running.deadline = deadline;
      return;
    }
    running?.handle.cancel();
    this.running.set(timer, { deadline, firesAt: deadline, handle: this.clock.after(delay, () => this.fire(timer)) });
  }

  stop(timer: FsmTimer): void {
    this.running.get(timer)?.handle.cancel();
    this.running.delete(timer);
  }

  stopAll(): void {
    for (const { handle } of this.running.values()) handle.cancel();
    this.running.clear();
  }

  /** Milliseconds to go; undefined when it does not run. */
  remaining(timer: FsmTimer): number | undefined {
    const running = this.running.get(timer);
    return running === undefined ? undefined : Math.max(0, running.deadline - this.clock.now());
  }

  private fire(timer: FsmTimer): void {
    const running = this.running.get(timer);
    if (running === undefined) return;
    const left = running.deadline - this.clock.now();
    // Half a millisecond: setTimeout rounds, and a deadline that is as good as reached must not cost another round.
    if (left > 0.5) {
      running.firesAt = running.deadline;
      running.handle = this.clock.after(left, () => this.fire(timer));
      return;
    }
    this.running.delete(timer);
    this.expired(timer);
  }
}
