/**
 * Turns of the event loop that do not grow with the work: long work asks `breathe` between its steps and goes on in the next turn when this
 * one has lasted. Timers, sockets and CNI calls come in between; so whoever asks must bear that the world has changed afterwards.
 */

/** Milliseconds that a turn may last before those who ask give way. */
const LONGEST_TURN = 10;

/** When somebody first asked in this turn. */
let askedAt: number | undefined;

/** Undefined while this turn is young: nothing to wait for. Else resolves in the next one. */
export function breathe(): Promise<void> | undefined {
  const now = performance.now();
  if (askedAt === undefined) {
    askedAt = now;
    setImmediate(() => (askedAt = undefined));
    return undefined;
  }
  return now - askedAt < LONGEST_TURN ? undefined : new Promise((resolve) => setImmediate(resolve));
}
