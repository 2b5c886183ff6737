/**
 * Work over many paths, in slices: dropping a lost peer's paths, sweeping stale ones, deciding again where a next hop changed, importing
 * again. Each is a walk over the path table of one family, which is one sequential read of a few columns; it starts where the peer's
 * first path is and ends early when the peer has none left.
 */
import type { FamilyTable } from './family-table.js';
import { PathFlag, type PathId } from './path-table.js';

export interface Job {
  /** What the job is about; `cancel` finds it by this. */
  readonly subject?: object;
  readonly table: FamilyTable;
  at: PathId;
  /** Every live path is shown to it; may remove that path. */
  readonly visit: (path: PathId) => void;
  /** Nothing is left to find. */
  readonly isDone?: () => boolean;
  readonly finished?: () => void;
}

/** Visiting a path that is not meant costs little; a slice in steps of work. */
const PATHS_PER_STEP = 4;

export class Jobs {
  #jobs: Job[] = [];

  get size(): number {
    return this.#jobs.length;
  }

  add(job: Job): void {
    this.#jobs.push(job);
  }

  /** Ends jobs that have become wrong; false: there are none. */
  cancel(subject: object): boolean {
    const cancelled = this.#jobs.filter((job) => job.subject === subject);
    this.#jobs = this.#jobs.filter((job) => job.subject !== subject);
    for (const job of cancelled) job.finished?.();
    return cancelled.length > 0;
  }

  /** Works on the oldest job for at most `budget` steps; returns those used. */
  step(budget: number): number {
    const job = this.#jobs[0];
    if (job === undefined) return 0;
    const { paths } = job.table;
    const from = job.at;
    const until = Math.min(paths.end, from + budget * PATHS_PER_STEP);
    for (; job.at < until; job.at++) {
      if (((paths.flags[job.at] as number) & PathFlag.live) === 0) continue;
      job.visit(job.at);
    }
    if (job.at >= paths.end || job.isDone?.() === true) {
      this.#jobs.shift();
      job.finished?.();
    }
    return Math.ceil((until - from) / PATHS_PER_STEP) + 1;
  }
}
