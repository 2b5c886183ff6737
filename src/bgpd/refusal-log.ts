/**
 * What the kernel refuses and what others keep taking away, in the log: the first few routes of each reason by name, the rest as a count.
 * One missing privilege or one full table refuses a hundred thousand routes at once, and a log that says so a hundred thousand times
 * hides everything else.
 */
import type { Logger } from '../log.js';
import type { FibProblem } from './fib-refusals.js';

/** Routes named per reason, and how long it is before others are named again. */
const MOST_NAMED = 5;
const QUIET = 10_000;

interface Group {
  readonly isSolved: boolean;
  /** Of the routes that are not named. */
  readonly summary: (count: number) => string;
  count: number;
}

export class RefusalLog {
  /** Routes told or held back in this interval, by what is the same about them. BOUNDED by the reasons the kernel has. */
  private readonly groups = new Map<string, Group>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly log: Pick<Logger, 'info' | 'error'>) {}

  tell(problem: FibProblem): void {
    const group = this.groupOf(problem);
    const { prefix, reason } = problem;
    if (++group.count <= MOST_NAMED) this.write(group, { prefix, reason }, sentenceOf(problem));
    if (this.timer === undefined) {
      this.timer = setTimeout(() => this.sum(), QUIET);
      this.timer.unref();
    }
  }

  /** Says what was held back. */
  sum(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const group of this.groups.values()) {
      const held = group.count - MOST_NAMED;
      if (held > 0) this.write(group, { routes: held }, group.summary(held));
    }
    this.groups.clear();
  }

  private groupOf(problem: FibProblem): Group {
    const { type, reason } = problem;
    // How often and how long is said of each contest apart.
    const key = `${type} ${reason === undefined ? '' : type === 'refused' ? reason : 'now'}`;
    const group = this.groups.get(key) ?? { isSolved: reason === undefined, summary: summaryOf(problem), count: 0 };
    this.groups.set(key, group);
    return group;
  }

  private write(group: Group, fields: object, text: string): void {
    if (group.isSolved) this.log.info(fields, text);
    else this.log.error(fields, text);
  }
}

function sentenceOf({ type, prefix, reason }: FibProblem): string {
  switch (type) {
    case 'refused':
      return reason === undefined
        ? `the kernel no longer refuses the route to ${prefix}`
        : `the kernel refuses the route to ${prefix}: ${reason}${remedy(reason)}`;
    case 'contested':
      return reason === undefined
        ? `nobody takes away the route to ${prefix} any more`
        : `somebody keeps changing or removing our route to ${prefix}: ${reason}`;
  }
}

function summaryOf({ type, reason }: FibProblem): (count: number) => string {
  switch (type) {
    case 'refused':
      return (count) =>
        reason === undefined
          ? `the kernel no longer refuses ${count} more routes`
          : `the kernel refuses ${count} more routes: ${reason}`;
    case 'contested':
      return (count) =>
        reason === undefined
          ? `nobody takes away ${count} more routes any more`
          : `somebody keeps changing or removing ${count} more of our routes`;
  }
}

const remedy = (reason: string): string =>
  /EPERM|not permitted/i.test(reason) ? '; writing routes needs root or CAP_NET_ADMIN, or leave installRoutes out' : '';
