/** The messages of BGP-4 as plain data. UPDATE is not among them: it is never one object (update.ts, update-writer.ts). */
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
