/** From a flow's trace to the time that each change took. Pure. */

/** One label change, times in microseconds. */
export interface Flip {
  readonly isAllowed: boolean;
  /** The request left. */
  readonly sentAt: number;
  /** The API server acknowledged. */
  readonly acknowledgedAt: number;
}

export interface Latency {
  readonly isAllowed: boolean;
  /**
   * Milliseconds from the acknowledgement to the first packet judged anew; 0 when it was judged so before. Undefined
   * when the next change came first.
   */
  readonly sinceAcknowledged: number | undefined;
  readonly sinceSent: number | undefined;
}

/**
 * Allowed: the first answered datagram. Denied: the datagram after the last answered one, sent `interval` later. A datagram that
 * the busy machine loses would look like a denial, but an answered one after it shows that it was not.
 *
 * @param answered ascending times of sending; @param interval microseconds between datagrams; @param end when the last flip's time is over
 */
export function latenciesOf(
  flips: readonly Flip[],
  answered: readonly number[],
  interval: number,
  end: number,
): readonly Latency[] {
  let next = 0;
  return flips.map((flip, index) => {
    const until = flips[index + 1]?.sentAt ?? end;
    while (next < answered.length && (answered[next] ?? 0) < flip.sentAt) next++;
    const first = answered[next];
    let last: number | undefined;
    while (next < answered.length && (answered[next] ?? 0) < until) last = answered[next++];
    const enforcedAt = flip.isAllowed
      ? last === undefined
        ? undefined
        : first
      : (last ?? flip.sentAt - interval) + interval;
    if (enforcedAt === undefined || enforcedAt >= until)
      return { isAllowed: flip.isAllowed, sinceAcknowledged: undefined, sinceSent: undefined };
    return {
      isAllowed: flip.isAllowed,
      sinceAcknowledged: Math.max(0, enforcedAt - flip.acknowledgedAt) / 1000,
      sinceSent: (enforcedAt - flip.sentAt) / 1000,
    };
  });
}

/** @param share 0.5 is the median */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}
