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
/** A block that leaves a profile, in which it stands as `long` (times as the profile's), and how long one profile is. */
const LONG = 60;
const PROFILED = 4_000;
const MICROSECONDS = 500;
const file = process.env['TORTIE_LOOP_PROBE'];
if (file !== undefined) {
  let blocks: readonly Block[] = [];
  let [wall, cpu] = [performance.now(), threadTime()];
  let isNews = true;
  let long: { readonly milliseconds: number; readonly from: number; readonly to: number }[] = [];
  const profiles = process.env['TORTIE_LOOP_PROFILES'];
  if (profiles !== undefined)
    profile(
      (made) => {
        const worst = long.reduce((most, { milliseconds }) => Math.max(most, milliseconds), 0);
        const file = join(profiles, `${Date.now()}-${worst.toFixed(0)}ms.cpuprofile`);
        if (long.length > 0) writeFileSync(file, JSON.stringify({ ...made(), long }));
        long = [];
      },
      () => {
        [wall, cpu] = [performance.now(), threadTime()];
      },
    );
  setInterval(() => {
    const [nowWall, nowCpu] = [performance.now(), threadTime()];
    const took = nowWall - wall;
    const milliseconds = Math.min(took, nowCpu - cpu);
    [wall, cpu] = [nowWall, nowCpu];
    if (milliseconds <= 2 * EVERY) return;
    const to = Number(process.hrtime.bigint() / 1_000n);
    if (milliseconds > LONG) long.push({ milliseconds, from: to - 1_000 * took, to });
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
function profile(offer: (made: () => object) => void, onBegun: () => void): void {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: MICROSECONDS });
  session.post('Profiler.start');
  setInterval(() => {
    // Of the same thread, so the answer is there when the call returns.
    session.post('Profiler.stop', (error, answer) =>
      offer(() => {
        if (error !== null) throw error;
        return answer.profile;
      }),
    );
    session.post('Profiler.start');
    onBegun();
  }, PROFILED).unref();
}
