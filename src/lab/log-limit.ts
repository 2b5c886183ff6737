/**
 * Keeps a lab's logs from filling /run, which is memory: a log that has grown past its limit becomes NAME.1 and starts anew.
 * Its writer has the file open for appending and does not notice.
 */
import { copyFile, readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';

const MOST_BYTES = 20 * 1024 * 1024;
const LOOK_EVERY = 30_000;

/** Looks from time to time until stopped. What is written between copy and truncation is lost; these are logs. */
export function limitLogs(directory: string, onError: (error: unknown) => void): { stop(): void } {
  const timer = setInterval(() => void limitOnce(directory, MOST_BYTES).catch(onError), LOOK_EVERY);
  return { stop: () => clearInterval(timer) };
}

export async function limitOnce(directory: string, mostBytes: number): Promise<void> {
  for (const name of (await readdir(directory)).filter((entry) => entry.endsWith('.log'))) {
    const path = join(directory, name);
    if ((await stat(path)).size <= mostBytes) continue;
    await copyFile(path, `${path}.1`);
    await truncate(path);
  }
}
