/** What a session sends, message by message, on whichever connection it has; and how much of it. */
import type { OpenMessage, RouteRefreshMessage } from '../codec/control-message.js';
import { encodeControlMessage, KEEPALIVE } from '../codec/message.js';
import type { Notification } from '../fsm/event.js';
import type { Connection } from '../transport/transport.js';
import { BurstKeepalives } from './burst-keepalives.js';
import type { Clock } from './clock.js';
import { noMessages, type MessageCounters } from './message-counters.js';

const KEEPALIVE_BYTES = encodeControlMessage(KEEPALIVE);

export class SessionOutput {
  readonly sent: MessageCounters = noMessages();
  readonly burst: BurstKeepalives;

  /** `mayPad`: KEEPALIVEs may follow a burst of UPDATEs. */
  constructor(
    clock: Clock,
    private readonly connection: () => Connection | undefined,
    mayPad: () => boolean,
  ) {
    this.burst = new BurstKeepalives(clock, () => {
      // Behind UPDATEs that still wait here a KEEPALIVE says nothing new.
      if (mayPad() && this.queuedBytes === 0) this.keepalive();
    });
  }

  get queuedBytes(): number {
    return this.connection()?.queuedBytes ?? 0;
  }

  open(open: OpenMessage): void {
    this.sent.open++;
    this.write([encodeControlMessage(open)]);
  }

  keepalive(): void {
    this.sent.keepalive++;
    this.write([KEEPALIVE_BYTES]);
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
    this.burst.written(messages);
    return this.write(buffers);
  }

  private write(buffers: readonly Uint8Array[]): boolean {
    for (const bytes of buffers) this.sent.bytes += bytes.length;
    return this.connection()?.write(buffers) ?? false;
  }
}
