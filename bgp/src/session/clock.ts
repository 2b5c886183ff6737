/** Time as sessions see it; tests put their own in its place. */
export interface Clock {
  /** Milliseconds that never run backwards. */
  now(): number;
  /** Milliseconds since 1970, for people. */
  wallTime(): number;
  after(delay: number, run: () => void): { cancel(): void };
  /** Runs at the end of this turn of the event loop, after everything that is readable now has been read. */
  soon(run: () => void): void;
  /** Runs once what waits in the sockets has been read. */
  afterPoll(run: () => void): void;
  /** 0 <= x < 1, for jitter. */
  random(): number;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  after: (delay, run) => {
    const timer = setTimeout(run, delay);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (run) => {
    setImmediate(run);
  },
  // The first setImmediate still runs before the poll phase if we come from a timer; the second runs after it.
  afterPoll: (run) => {
    setImmediate(() => setImmediate(run));
  },
  random: Math.random,
};
