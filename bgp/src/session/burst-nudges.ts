/**
 * Messages after a burst of UPDATEs that say nothing new. FRR 10 reads at most 10,000 messages into its queue and leaves the rest in its
 * own buffer until new bytes come from the same peer: the end of a table would reach it with our next KEEPALIVE, up to half a minute later.
 * So for a while some bytes follow, five times a second, because each message frees 10,000 at most (100,000 routes of one UPDATE each: half
 * the time of one a second).
 *
 * One a second is a KEEPALIVE; more often none may be sent (RFC 4271 section 4.4). In between it is the last UPDATE again: nothing has been
 * sent after it, so to repeat it is to announce a route as it stands announced, or to withdraw what is withdrawn.
 *
 * In: what UPDATEs were written, and when the kernel had taken them. Out: calls of the port.
 */
import { HEADER_LENGTH } from '../iana.js';
import type { Clock } from './clock.js';

/** So many UPDATEs within WINDOW are a burst; a fifth of what FRR's queue holds. */
const BURST = 2000;
const WINDOW = 10_000;
/** Milliseconds between two nudges, and how long they go on after the last burst: 500,000 messages of FRR's. */
const INTERVAL = 200;
const DURATION = 10_000;

export interface NudgePort {
  /** May bytes follow now that say nothing new? */
  mayPad(): boolean;
  /** Sends a KEEPALIVE if the last one was at least a second ago; false: it was not. */
  keepalive(): boolean;
  /** Sends a message that was sent before. */
  again(message: Uint8Array): void;
}

export class BurstNudges {
  private count = 0;
  private countedSince = -Infinity;
  private until = 0;
  private timer: { cancel(): void } | undefined;
  /** Whole messages, the last of them the last UPDATE that was written; kept as long as it may be sent again. */
  private last: Uint8Array | undefined;

  constructor(
    private readonly clock: Pick<Clock, 'now' | 'after'>,
    private readonly port: NudgePort,
  ) {}

  written(buffers: readonly Uint8Array[], messages: number): void {
    const now = this.clock.now();
    if (now - this.countedSince > WINDOW) {
      this.count = 0;
      this.countedSince = now;
    }
    this.count += messages;
    if (this.count >= BURST) {
      this.until = now + DURATION;
      this.timer ??= this.clock.after(INTERVAL, () => this.tick());
    }
    if (this.timer !== undefined) this.last = buffers.findLast(({ length }) => length > 0) ?? this.last;
  }

  /** A burst that the peer reads slowly ends when its last octet has gone. */
  drained(): void {
    if (this.timer !== undefined) this.until = this.clock.now() + DURATION;
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.last = undefined;
    this.count = 0;
  }

  private tick(): void {
    this.timer = undefined;
    if (this.clock.now() > this.until) return this.stop();
    if (this.port.mayPad() && !this.port.keepalive() && this.last !== undefined) {
      this.last = lastMessage(this.last);
      this.port.again(this.last);
    }
    this.timer = this.clock.after(INTERVAL, () => this.tick());
  }
}

/** A copy: the buffer it was in need not stay for it. */
function lastMessage(bytes: Uint8Array): Uint8Array {
  let start = 0;
  for (;;) {
    const length = ((bytes[start + 16] ?? 0) << 8) | (bytes[start + 17] ?? 0);
    if (length < HEADER_LENGTH) throw new Error(`Cannot repeat an UPDATE: its length is ${length}`);
    if (start + length >= bytes.length) return Uint8Array.prototype.slice.call(bytes, start);
    start += length;
  }
}
