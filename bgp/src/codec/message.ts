/**
 * The one-message-at-a-time codec of the messages of BGP-4 (control-message.ts) but UPDATE, and the header that all of them have.
 *
 * UPDATE is the exception: it carries nearly all bytes of a session, so it has its own decoder that makes no object per
 * prefix or attribute (update.ts) and its own writer (update-writer.ts). Everything else is rare and readable here.
 *
 * ```
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                      Marker: 16 octets of ones                |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |          Length (whole)       |      Type     |   body ...
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+   RFC 4271, 4.1
 * ```
 */
import { ErrorCode, HEADER_LENGTH, HeaderError, MessageType } from '../iana.js';
import { decoded, failed, NO_BYTES, resetError, type Decoded } from './bgp-error.js';
import type { ControlMessage, KeepaliveMessage } from './control-message.js';
import { decodeNotification, encodeNotification } from './notification.js';
import { write16 } from './octets.js';
import { decodeOpen, encodeOpen } from './open.js';
import { decodeRouteRefresh, encodeRouteRefresh } from './route-refresh.js';

/** Decodes the body of any message but UPDATE, `bytes[start, end)` after the header whose type this is. */
export function decodeControlMessage(
  type: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): Decoded<ControlMessage> {
  switch (type) {
    case MessageType.open:
      return decodeOpen(bytes, start, end);
    case MessageType.notification:
      return decodeNotification(bytes, start, end);
    case MessageType.keepalive:
      return decoded(KEEPALIVE);
    case MessageType.routeRefresh:
      return decodeRouteRefresh(bytes, start, end);
    default:
      return failed(
        resetError(
          ErrorCode.messageHeader,
          HeaderError.badType,
          `Cannot decode a message of type ${type}`,
          Uint8Array.of(type),
        ),
      );
  }
}

export const KEEPALIVE: KeepaliveMessage = { type: 'keepalive' };

/** A whole message, header included, in bytes of its own. */
export function encodeControlMessage(message: ControlMessage): Uint8Array {
  switch (message.type) {
    case 'open':
      return framed(MessageType.open, encodeOpen(message));
    case 'notification':
      return framed(MessageType.notification, encodeNotification(message));
    case 'keepalive':
      return framed(MessageType.keepalive, NO_BYTES);
    case 'route-refresh':
      return framed(MessageType.routeRefresh, encodeRouteRefresh(message));
  }
}

/** Puts the header in front of a body. */
function framed(type: number, body: Uint8Array): Uint8Array {
  const message = new Uint8Array(HEADER_LENGTH + body.length);
  writeHeader(message, 0, type, message.length);
  message.set(body, HEADER_LENGTH);
  return message;
}

/** Writes the 19 octets of a header at `at`; `length` counts them too. */
export function writeHeader(out: Uint8Array, at: number, type: number, length: number): void {
  out.fill(0xff, at, at + 16);
  write16(out, at + 16, length);
  out[at + 18] = type;
}
