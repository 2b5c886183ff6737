/**
 * The state of one BGP connection's machine and the effects it may ask for. Both are plain data: `step` reads one and
 * returns the next, and whoever owns sockets and timers (session/) carries the effects out in order.
 *
 * One machine is one connection. A peer may have two for a moment, ours and theirs, until section 6.8 leaves one; the
 * peer composes them, the machine does not know.
 */
import type { Notification } from './event.js';

export type FsmStateType = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

/** Optional session attributes of RFC 4271 section 8.1.1, fixed for the life of a machine. Times in seconds. */
export interface FsmOptions {
  /** PassiveTcpEstablishment: never connect, only accept. */
  readonly passive: boolean;
  /** DelayOpen: wait so long for the peer's OPEN before sending ours; 0 is off. */
  readonly delayOpenTime: number;
  /** Leave Idle again by ourselves after a failure, later and later. Off: the machine stays Idle until started. */
  readonly dampPeerOscillations: boolean;
  /** Longest pause between two attempts; the first ones are much shorter. */
  readonly connectRetryTime: number;
  /** Most seconds between two KEEPALIVEs; a third of the hold time bounds it (RFC 4271 section 4.4), and is the default. */
  readonly keepaliveTime: number | undefined;
  /** SendHoldTime of RFC 9687; 0 is off. */
  readonly sendHoldTime: number;
}

export interface FsmState {
  readonly type: FsmStateType;
  readonly options: FsmOptions;
  /** Failures in a row; decides how long the next pause is. */
  readonly connectRetryCounter: number;
  /** Event 19 becomes event 20 while this is set. */
  readonly isDelayOpenRunning: boolean;
  /** Negotiated, in seconds; 0 means no keepalives. Meaningful from OpenConfirm on. */
  readonly holdTime: number;
}

export type FsmTimer = 'ConnectRetry' | 'Hold' | 'Keepalive' | 'DelayOpen' | 'IdleHold' | 'SendHold';

export type FsmAction =
  /** (Re)start; `jitter` asks for the random factor 0.75..1 of RFC 4271 section 10. */
  | { readonly type: 'StartTimer'; readonly timer: FsmTimer; readonly seconds: number; readonly jitter: boolean }
  | { readonly type: 'StopTimer'; readonly timer: FsmTimer }
  | { readonly type: 'StopAllTimers' }
  | { readonly type: 'Connect' }
  | { readonly type: 'DropConnection' }
  | { readonly type: 'SendOpen' }
  | { readonly type: 'SendKeepalive' }
  | { readonly type: 'SendNotification'; readonly notification: Notification }
  /** Established is entered: start exchanging routes. */
  | { readonly type: 'SessionUp' }
  /** Established is left: the peer's routes go (or become stale, RFC 4724). */
  | { readonly type: 'SessionDown' };

/** A machine at rest. */
export function initialState(options: FsmOptions): FsmState {
  return { type: 'Idle', options, connectRetryCounter: 0, isDelayOpenRunning: false, holdTime: 0 };
}

/** "HoldTimer large" of RFC 4271 section 8.2.2: how long to wait for the peer's OPEN. */
export const LARGE_HOLD_TIME = 240;

const FIRST_IDLE_HOLD_TIME = 0.25;
const FIRST_CONNECT_TIME = 2;

/**
 * Pause in Idle after so many failures in a row. RFC 4271 asks for growth and leaves the figures open: a rack that boots
 * needs the first retries within a second, a peer that stays away must not cost more than one SYN every two minutes.
 */
export function idleHoldTime(failures: number, connectRetryTime: number): number {
  return Math.min(connectRetryTime, FIRST_IDLE_HOLD_TIME * 2 ** Math.max(0, failures - 1));
}

/** How long one attempt to connect may take. The kernel repeats a lost SYN after 1, 3 and 7 s; a new attempt starts afresh. */
export function connectTime(failures: number, connectRetryTime: number): number {
  return Math.min(connectRetryTime, FIRST_CONNECT_TIME * 2 ** failures);
}
