/**
 * Which refused connections are worth telling. Anybody who reaches the port can be refused as often as he likes: without a bound he
 * would write our log, and push everything else out of the history.
 */
import type { Clock } from '../session/clock.js';

/** The same address for the same reason is told once in this time, and so many in all. */
const PERIOD = 60_000;
const MOST_TOLD = 100;

export class Refusals {
  /** In this period. BOUNDED by MOST_TOLD: a period begins empty. */
  private readonly told = new Set<string>();
  private since = -Infinity;

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  isNews(address: string, reason: string): boolean {
    const now = this.clock.now();
    if (now - this.since >= PERIOD) {
      this.told.clear();
      this.since = now;
    }
    const key = `${address} ${reason}`;
    if (this.told.has(key) || this.told.size >= MOST_TOLD) return false;
    this.told.add(key);
    return true;
  }
}
