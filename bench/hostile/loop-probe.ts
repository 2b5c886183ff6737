/**
 * Loaded into the agent's own process (`NODE_OPTIONS=--import`): how long its event loop was kept from turning, at worst. What counts is
 * the time that the main thread ran.
 *
 * Writes the longest ones, with the time of day when each ended, to the file that TORTIE_LOOP_PROBE names. The bench reads it.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { threadTime } from '../thread-time.js';

export interface Block {
  readonly milliseconds: number;
  /** Date.now() when it ended. */
  readonly endedAt: number;
}

const EVERY = 10;
const KEPT = 200;
const file = process.env['TORTIE_LOOP_PROBE'];
if (file !== undefined) {
  let blocks: readonly Block[] = [];
  let [wall, cpu] = [performance.now(), threadTime()];
  let isNews = true;
  setInterval(() => {
    const [nowWall, nowCpu] = [performance.now(), threadTime()];
    const milliseconds = Math.min(nowWall - wall, nowCpu - cpu);
    [wall, cpu] = [nowWall, nowCpu];
    if (milliseconds <= 2 * EVERY) return;
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
