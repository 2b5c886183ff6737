/** Cease NOTIFICATIONs (RFC 4486): made, recognised, and made to mean what they say where RFC 8538 is agreed. */
import { encodeControlMessage } from '../codec/message.js';
import { encodeHardReset } from '../codec/notification.js';
import type { Notification } from '../fsm/event.js';
import { CeaseCode, ErrorCode } from '../iana.js';
import type { SessionEnd } from '../session/session-end.js';
import type { Session } from '../session/session.js';
import type { Connection } from '../transport/transport.js';

const NO_DATA = new Uint8Array(0);

export const cease = (subcode: number, data: Uint8Array = NO_DATA): Notification => ({
  code: ErrorCode.cease,
  subcode,
  data,
});

/**
 * RFC 8538 section 3: where a NOTIFICATION no longer means the end of all routes, an end for good has to be a Hard Reset, or the
 * peer would go on sending packets for as long as it would wait for a restart.
 */
export function hardened(notification: Notification, session: Session): Notification {
  const { code, subcode } = notification;
  const isForGood = code === ErrorCode.cease && FOR_GOOD.has(subcode);
  return isForGood && session.negotiated?.notificationRestart === true
    ? encodeHardReset({ type: 'notification', ...notification })
    : notification;
}

const FOR_GOOD: ReadonlySet<number> = new Set([
  CeaseCode.maximumPrefixes,
  CeaseCode.administrativeShutdown,
  CeaseCode.peerDeconfigured,
]);

/** RFC 4486 section 4: nobody wants this connection, which was accepted before that was known. The other side is told. */
export function rejectConnection(connection: Connection): void {
  connection.open({ onBytes: () => undefined, onDrain: () => undefined, onClosed: () => undefined });
  connection.write([encodeControlMessage({ type: 'notification', ...cease(CeaseCode.connectionRejected) })]);
  connection.end();
}

export const isCollision = (end: SessionEnd): boolean =>
  end.notification?.code === ErrorCode.cease && end.notification.subcode === CeaseCode.connectionCollision;
