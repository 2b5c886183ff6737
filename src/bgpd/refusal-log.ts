/**
 * What the kernel refuses, in the log: the first few routes of each reason by name, the rest as a count. One missing privilege or one
 * full table refuses a hundred thousand routes at once, and a log that says so a hundred thousand times hides everything else.
 */
import type { Logger } from '../log.js';

export interface RouteProblem {
  readonly prefix: string;
  /** Undefined: the kernel takes the route again. */
  readonly reason: string | undefined;
}

/** Routes named per reason, and how long it is before others are named again. */
const MOST_NAMED = 5;
const QUIET = 10_000;

export class RefusalLog {
  /** Routes told or held back in this interval. BOUNDED by the reasons the kernel has. */
  private readonly counts = new Map<string | undefined, number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly log: Pick<Logger, 'info' | 'error'>) {}

  tell({ prefix, reason }: RouteProblem): void {
    const count = (this.counts.get(reason) ?? 0) + 1;
    this.counts.set(reason, count);
    if (count <= MOST_NAMED) {
      if (reason === undefined) this.log.info({ prefix }, `the kernel takes the route to ${prefix} again`);
      else this.log.error({ prefix, reason }, `the kernel refuses the route to ${prefix}: ${reason}${remedy(reason)}`);
    }
    if (this.timer === undefined) {
      this.timer = setTimeout(() => this.sum(), QUIET);
      this.timer.unref();
    }
  }

  /** Says what was held back. */
  sum(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const [reason, count] of this.counts) {
      const held = count - MOST_NAMED;
      if (held <= 0) continue;
      if (reason === undefined) this.log.info({ routes: held }, `the kernel takes ${held} more routes again`);
      else this.log.error({ routes: held, reason }, `the kernel refuses ${held} more routes: ${reason}`);
    }
    this.counts.clear();
  }
}

const remedy = (reason: string): string =>
  /EPERM|not permitted/i.test(reason) ? '; writing routes needs root or CAP_NET_ADMIN, or leave installRoutes out' : '';
