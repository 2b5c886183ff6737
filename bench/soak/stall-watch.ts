/**
 * A witness for what the machine does to everybody: a thread of its own that only sleeps, and notes each time it woke up far too late.
 * A BFD failure beside such a note is the machine's; one without is ours (or the peer's).
 *
 * Runs as the main program of a worker thread; posts one message per stall.
 */
import { parentPort } from 'node:worker_threads';

export interface Stall {
  /** Milliseconds since 1970, of the end. */
  readonly at: number;
  readonly milliseconds: number;
}

const STEP = 5;
/** A third of the BFD detection time: one packet's worth. */
const WORTH_TELLING = 50;

if (parentPort !== null) {
  const port = parentPort;
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    const before = performance.now();
    Atomics.wait(cell, 0, 0, STEP);
    const milliseconds = Math.round(performance.now() - before - STEP);
    if (milliseconds >= WORTH_TELLING) port.postMessage({ at: Date.now(), milliseconds } satisfies Stall);
  }
}
