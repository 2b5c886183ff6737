/** What a session sends, message by message, on whichever connection it has; and how much of it. */
import type { OpenMessage, RouteRefreshMessage } from '../codec/control-message.js';
import { encodeControlMessage, KEEPALIVE } from '../codec/message.js';
import type { Notification } from '../fsm/event.js';
import type { Connection } from '../transport/transport.js';
import { BurstNudges } from './burst-nudges.js';
import type { Clock } from './clock.js';
import { noMessages, type MessageCounters } from './message-counters.js';

const KEEPALIVE_BYTES = encodeControlMessage(KEEPALIVE);
/** Milliseconds: RFC 4271 section 4.4. */
const LEAST_BETWEEN_KEEPALIVES = 1000;

export class SessionOutput {
  readonly sent: MessageCounters = noMessages();
  readonly burst: BurstNudges;
  /** When the last KEEPALIVE went out that no timer had asked for. */
  private paddedAt = -Infinity;
  private keptAliveAt = -Infinity;

  /** `mayPad`: messages that say nothing new may follow a burst of UPDATEs. */
  constructor(
    private readonly clock: Clock,
    private readonly connection: () => Connection | undefined,
    mayPad: () => boolean,
  ) {
    this.burst = new BurstNudges(clock, {
      // Behind UPDATEs that still wait here nothing need be added.
      mayPad: () => mayPad() && this.queuedBytes === 0,
      keepalive: () => this.padWithKeepalive(),
      again: (message) => {
        this.sent.update++;
        this.write([message]);
      },
    });
  }

  get queuedBytes(): number {
    return this.connection()?.queuedBytes ?? 0;
  }

  open(open: OpenMessage): void {
    this.sent.open++;
    this.write([encodeControlMessage(open)]);
  }

  /** As a timer or the state machine asks; not right behind one that said the same. */
  keepalive(): void {
    if (this.clock.now() - this.paddedAt >= LEAST_BETWEEN_KEEPALIVES) this.sendKeepalive();
  }

  notification(notification: Notification): void {
    this.sent.notification++;
    this.write([encodeControlMessage({ type: 'notification', ...notification })]);
  }

  routeRefresh(message: RouteRefreshMessage): void {
    this.sent.routeRefresh++;
    this.write([encodeControlMessage(message)]);
  }

  /** Whole messages in each buffer. False: the kernel has not taken all of it yet. */
  updates(buffers: readonly Uint8Array[], messages: number): boolean {
    this.sent.update += messages;
    this.burst.written(buffers, messages);
    return this.write(buffers);
  }

  private padWithKeepalive(): boolean {
    const now = this.clock.now();
    if (now - this.keptAliveAt < LEAST_BETWEEN_KEEPALIVES) return false;
    this.paddedAt = now;
    this.sendKeepalive();
    return true;
  }

  private sendKeepalive(): void {
    this.keptAliveAt = this.clock.now();
    this.sent.keepalive++;
    this.write([KEEPALIVE_BYTES]);
  }

  private write(buffers: readonly Uint8Array[]): boolean {
    for (const bytes of buffers) this.sent.bytes += bytes.length;
    return this.connection()?.write(buffers) ?? false;
  }
}
