/**
 * Loaded into the agent's own process (`NODE_OPTIONS=--import`): how long its event loop was kept from turning, at worst. What counts is
 * the time that the main thread ran.
 *
 * Writes the longest ones, with the time of day when each ended, to the file that TORTIE_LOOP_PROBE names. The bench reads it. Where
 * TORTIE_LOOP_PROFILES names a directory, seconds in which the loop was kept long leave a profile there (`.cpuprofile`, for the browser's
 * developer tools); that costs some of the time that it measures.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';
import { threadTime } from '../thread-time.js';

export interface Block {
  readonly milliseconds: number;
  /** Date.now() when it ended. */
  readonly endedAt: number;
}

const EVERY = 10;
const KEPT = 200;
/** A block that leaves a profile, and how long one profile is. */
const LONG = 60;
const PROFILED = 4_000;
const MICROSECONDS = 500;
const file = process.env['TORTIE_LOOP_PROBE'];
if (file !== undefined) {
  let blocks: readonly Block[] = [];
  let [wall, cpu] = [performance.now(), threadTime()];
  let isNews = true;
  let worst = 0;
  const profiles = process.env['TORTIE_LOOP_PROFILES'];
  if (profiles !== undefined)
    profile((text) => {
      if (worst > LONG) writeFileSync(join(profiles, `${Date.now()}-${worst.toFixed(0)}ms.cpuprofile`), text());
      worst = 0;
      [wall, cpu] = [performance.now(), threadTime()];
    });
  setInterval(() => {
    const [nowWall, nowCpu] = [performance.now(), threadTime()];
    const milliseconds = Math.min(nowWall - wall, nowCpu - cpu);
    [wall, cpu] = [nowWall, nowCpu];
    if (milliseconds <= 2 * EVERY) return;
    worst = Math.max(worst, milliseconds);
    blocks = [...blocks, { milliseconds, endedAt: Date.now() }]
      .sort((a, b) => b.milliseconds - a.milliseconds)
      .slice(0, KEPT);
    isNews = true;
  }, EVERY).unref();
  setInterval(() => {
    if (!isNews) return;
    isNews = false;
    writeFileSync(`${file}.new`, JSON.stringify(blocks));
    renameSync(`${file}.new`, file);
  }, 1_000).unref();
}

/** One profile after the other; each is offered when it ends. */
function profile(offer: (text: () => string) => void): void {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: MICROSECONDS });
  session.post('Profiler.start');
  setInterval(() => {
    // Of the same thread, so the answer is there when the call returns.
    session.post('Profiler.stop', (_error, answer) => offer(() => JSON.stringify(answer?.profile)));
    session.post('Profiler.start');
  }, PROFILED).unref();
}
