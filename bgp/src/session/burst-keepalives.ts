/**
 * KEEPALIVEs after a burst of UPDATEs. FRR 10 reads at most 10,000 messages into its queue and leaves the rest in its own buffer until new
 * bytes come from the same peer: the end of a table would reach it with our next KEEPALIVE, up to half a minute later. Each KEEPALIVE
 * frees 10,000 messages at most, so there are five a second for a while (100,000 routes of one UPDATE
 * each: 4.8 s to FRR 10.3, with two a second 8.7); to everybody else they are 19 octets that change nothing.
 *
 * In: how many UPDATEs were written, and when the kernel had taken them. Out: calls of `send`.
 */
import type { Clock } from './clock.js';

/** So many UPDATEs within WINDOW are a burst; a fifth of what FRR's queue holds. */
const BURST = 2000;
const WINDOW = 10_000;
/** Milliseconds between two KEEPALIVEs, and how long they go on after the last burst: 500,000 messages of FRR's. */
const INTERVAL = 200;
const DURATION = 10_000;

export class BurstKeepalives {
  private count = 0;
  private countedSince = -Infinity;
  private until = 0;
  private timer: { cancel(): void } | undefined;

  constructor(
    private readonly clock: Pick<Clock, 'now' | 'after'>,
    private readonly send: () => void,
  ) {}

  written(messages: number): void {
    const now = this.clock.now();
    if (now - this.countedSince > WINDOW) {
      this.count = 0;
      this.countedSince = now;
    }
    this.count += messages;
    if (this.count < BURST) return;
    this.until = now + DURATION;
    this.timer ??= this.clock.after(INTERVAL, () => this.tick());
  }

  /** A burst that the peer reads slowly ends when its last octet has gone. */
  drained(): void {
    if (this.timer !== undefined) this.until = this.clock.now() + DURATION;
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.count = 0;
  }

  private tick(): void {
    this.timer = undefined;
    if (this.clock.now() > this.until) return this.stop();
    this.send();
    this.timer = this.clock.after(INTERVAL, () => this.tick());
  }
}
