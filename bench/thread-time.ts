/**
 * Milliseconds that this process's main thread has run, as the scheduler keeps them (Documentation/scheduler/sched-stats.rst): neither
 * others' turns on a busy machine nor the collector's own threads are the loop's time.
 */
import { readFileSync } from 'node:fs';

export const threadTime = (): number =>
  Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
