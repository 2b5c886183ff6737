/**
 * One process at a time: flock(2) on a file. The kernel lets go when the holder ends, however it ends, so nothing has to be swept.
 *
 * Within a process calls take turns by themselves, for a lock belongs to the open file.
 */
import koffi from 'koffi';
import { closeSync, openSync } from 'node:fs';

const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;
/** Milliseconds between two tries. */
const [SHORTEST, LONGEST] = [1, 20];

const flock = koffi.load(null).func('int flock(int fd, int operation)') as (fd: number, operation: number) => number;

/** Does `work` while no other process does any under the lock of this file. @throws when the lock is not to be had in time */
export async function withFileLock<T>(path: string, patience: number, work: () => T): Promise<T> {
  const fd = openSync(path, 'a', 0o600);
  try {
    const until = performance.now() + patience;
    while (flock(fd, LOCK_EX | LOCK_NB) !== 0) {
      if (koffi.errno() !== EWOULDBLOCK) throw new Error(`Cannot lock ${path}: errno ${koffi.errno()}`);
      if (performance.now() > until)
        throw new Error(`Cannot lock ${path}: another process has held it for ${patience} ms`);
      await new Promise((resolve) => setTimeout(resolve, SHORTEST + Math.random() * (LONGEST - SHORTEST)));
    }
    return work();
  } finally {
    closeSync(fd);
  }
}
