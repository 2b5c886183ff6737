/**
 * The forwarding table as a stream of changes in plain text: what a program that is no kernel wants to hear of routes.
 *
 * Nothing queues here. The RIB keeps a log of what has changed since its reader looked; a reader that is slow finds, for each prefix,
 * only where it stands now. So there is one reader at a time, as for `Speaker.takeForwarding`.
 */
import { formatAddress, formatPrefix, type Family } from '../address.js';
import type { ForwardingEntry, ForwardingSink } from '../rib/forwarding-entry.js';

export interface RouteChange {
  /** "10.65.0.0/26" */
  readonly prefix: string;
  /** Where packets go from now on, several for equal-cost paths; empty: the prefix is gone. */
  readonly via: readonly RouteHop[];
}

export interface RouteHop {
  /** Absent: the prefix is on the link itself. */
  readonly address?: string;
  readonly interfaceName?: string;
  readonly weight: number;
}

/** A way to wait for the RIB to have something. `wake` may be called before anybody waits. */
export class Bell {
  private hasRung = false;
  private waiting: (() => void) | undefined;

  ring(): void {
    this.hasRung = true;
    this.waiting?.();
  }

  async heard(): Promise<void> {
    if (!this.hasRung)
      await new Promise<void>((resolve) => {
        this.waiting = resolve;
      });
    this.hasRung = false;
    this.waiting = undefined;
  }
}

/** Changes taken at a time: a turn of the event loop lies between two such. */
const BATCH = 256;

/** Until the reader leaves its loop or `signal` aborts. */
export async function* routeStream(
  take: (sink: ForwardingSink, limit: number) => boolean,
  bell: Bell,
  signal?: AbortSignal,
): AsyncGenerator<RouteChange, void, undefined> {
  const ended = (): void => bell.ring();
  signal?.addEventListener('abort', ended);
  try {
    while (signal?.aborted !== true) {
      const batch: RouteChange[] = [];
      const hasMore = take(
        (family, words, offset, length, entry) => batch.push(changeOf(family, words, offset, length, entry)),
        BATCH,
      );
      for (const change of batch) yield change;
      if (hasMore)
        await new Promise<void>((resolve) => {
          setImmediate(resolve);
        });
      else await bell.heard();
    }
  } finally {
    signal?.removeEventListener('abort', ended);
  }
}

function changeOf(
  family: Family,
  words: Uint32Array,
  offset: number,
  length: number,
  entry: ForwardingEntry | undefined,
): RouteChange {
  const value = words
    .subarray(offset, offset + (family === 4 ? 1 : 4))
    .reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
  const via = (entry?.hops ?? []).map(({ address, interfaceName, weight }) => ({
    ...(address === undefined ? {} : { address: formatAddress(address) }),
    ...(interfaceName === undefined ? {} : { interfaceName }),
    weight,
  }));
  return { prefix: formatPrefix({ family, value, length }), via };
}
