/**
 * Turns of the event loop that do not grow with the work: long work asks `breathe` before each of its steps and waits when this turn has
 * lasted. Timers, sockets and CNI calls come in between; so whoever asks must bear that the world has changed afterwards.
 */

/** Milliseconds that a turn may last before those who ask give way. */
const LONGEST_TURN = 10;

/** When somebody first asked in this turn. */
let askedAt: number | undefined;
/** In the order in which they gave way. BOUNDED by the loops of the process. */
const waiting: (() => void)[] = [];

/** Undefined while this turn is young: nothing to wait for. Else resolves in a later one, which nobody else who waits goes on in. */
export function breathe(): Promise<void> | undefined {
  const now = performance.now();
  if (askedAt === undefined) begin(now);
  else if (now - askedAt >= LONGEST_TURN) return new Promise((resolve) => waiting.push(resolve));
  return undefined;
}

/** The first immediate may still belong to this turn, behind what sockets brought; the second does not. */
function begin(now: number): void {
  askedAt = now;
  setImmediate(() =>
    setImmediate(() => {
      askedAt = undefined;
      waiting.shift()?.();
      if (waiting.length > 0) begin(performance.now());
    }),
  );
}
