/**
 * The five messages of BGP-4 as plain data, and their one-message-at-a-time codec.
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
import type { Capability } from './capability.js';

/** RFC 4271 section 4.2. */
export interface OpenMessage {
  readonly type: 'open';
  /** Always 4 once decoded: any other version is an error. */
  readonly version: 4;
  /** The "My Autonomous System" field: AS_TRANS when the real one needs four octets. See `openAs`. */
  readonly as: number;
  /** Seconds; 0, or 3 and more. */
  readonly holdTime: number;
  /** BGP Identifier as an unsigned 32-bit number (RFC 6286: any but 0). */
  readonly identifier: number;
  /** In the order sent; unknown ones are kept as bytes. */
  readonly capabilities: readonly Capability[];
}

/** RFC 4271 section 4.5. */
export interface NotificationMessage {
  readonly type: 'notification';
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

/** RFC 4271 section 4.4: a header and nothing else. */
export interface KeepaliveMessage {
  readonly type: 'keepalive';
}

/** RFC 2918 section 3, with the subtype of RFC 7313 in what was the reserved octet. */
export interface RouteRefreshMessage {
  readonly type: 'route-refresh';
  readonly afi: number;
  readonly safi: number;
  /** request, or begin/end of a demarcated refresh; a subtype nobody knows is to be ignored (RFC 7313 section 5). */
  readonly subtype: 'request' | 'begin' | 'end' | 'unknown';
}

export type ControlMessage = OpenMessage | NotificationMessage | KeepaliveMessage | RouteRefreshMessage;
