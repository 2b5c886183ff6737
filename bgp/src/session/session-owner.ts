/** Between a session and whose it is (session.ts). */
import type { BgpError } from '../codec/bgp-error.js';
import type { OpenMessage, RouteRefreshMessage } from '../codec/control-message.js';
import type { NegotiatedSession } from '../codec/negotiated.js';
import type { FsmStateType } from '../fsm/state.js';
import type { ConnectTarget, Transport } from '../transport/transport.js';
import type { Clock } from './clock.js';
import type { SessionEnd } from './session-end.js';

/** What a session needs of its owner, and tells it. No call comes from inside a constructor. */
export interface SessionOwner<Session> {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Where to connect to; asked anew for every attempt. */
  target(): ConnectTarget;
  /** Our OPEN, asked anew for every attempt. */
  localOpen(): OpenMessage;
  /** What the peer's OPEN violates, by configuration. */
  checkOpen(open: OpenMessage): BgpError | undefined;
  /** The OPEN is good. Collisions are resolved now: false if this very connection was dumped over it. */
  opened(session: Session, open: OpenMessage): boolean;
  /** The peer's KEEPALIVE came in OpenConfirm. False: not yet, the owner calls `confirm` later. */
  mayEstablish(session: Session): boolean;
  up(session: Session, negotiated: NegotiatedSession): void;
  /** An attempt or an established session is over. The machine is in Idle or Active. */
  ended(session: Session, end: SessionEnd): void;
  stateChanged(session: Session, state: FsmStateType): void;
  /** The body of an UPDATE, valid during the call. A BgpError of severity reset ends the session. */
  update(session: Session, bytes: Uint8Array, start: number, end: number): BgpError | undefined;
  routeRefresh(session: Session, message: RouteRefreshMessage): void;
  /** All of one read that had UPDATEs or ROUTE-REFRESHes has been handed over. */
  batchEnd(session: Session): void;
  /** The kernel has taken what was queued. */
  writable(session: Session): void;
}
