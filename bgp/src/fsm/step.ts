/**
 * The finite state machine of RFC 4271 section 8.2.2 as one pure function. A row of the RFC's text is a case here; the
 * clause's event number stands in the comment of `event.ts`. Effects come back as data, in the order to carry them out.
 *
 * Where it departs from the text, and why:
 * - Every failure leads to Idle with an IdleHoldTimer (DampPeerOscillations), or to Active where the RFC says so; both
 *   pauses grow with the failures in a row and start small. The RFC's fixed 120 s would keep a booting rack waiting.
 * - A passive machine starts no ConnectRetryTimer: passive means that the peer connects.
 * - A NOTIFICATION is never answered by a NOTIFICATION (section 6.4); the RFC's "any other event" of OpenSent would.
 * - A header error in Established is reported as what it is (section 6.1), not as an FSM error.
 * - The counter of failures is cleared once a session has lived for a keepalive interval, not when it comes up: a peer
 *   that sends the same poison after every OPEN is met less and less often.
 */
import type { FsmEvent, Notification } from './event.js';
import {
  connectTime,
  idleHoldTime,
  LARGE_HOLD_TIME,
  type FsmAction,
  type FsmState,
  type FsmStateType,
} from './state.js';

export type FsmStep = readonly [state: FsmState, actions: readonly FsmAction[]];

/** The next state and what to do to get there. Never throws; an event without meaning in a state changes nothing. */
export function step(state: FsmState, event: FsmEvent): FsmStep {
  switch (state.type) {
    case 'Idle':
      return stepIdle(state, event);
    case 'Connect':
      return stepConnect(state, event);
    case 'Active':
      return stepActive(state, event);
    case 'OpenSent':
      return stepOpenSent(state, event);
    case 'OpenConfirm':
      return stepOpenConfirm(state, event);
    case 'Established':
      return stepEstablished(state, event);
  }
}

const NO_ACTIONS: readonly FsmAction[] = [];
const NO_DATA = new Uint8Array(0);

/** Error codes of RFC 4271 section 4.5; subcodes of code 5 by RFC 6608, code 8 by RFC 9687, Cease 7 by RFC 4486. */
const HOLD_TIMER_EXPIRED: Notification = { code: 4, subcode: 0, data: NO_DATA };
const SEND_HOLD_TIMER_EXPIRED: Notification = { code: 8, subcode: 0, data: NO_DATA };
const COLLISION: Notification = { code: 6, subcode: 7, data: NO_DATA };
const FSM_ERROR_SUBCODE = { OpenSent: 1, OpenConfirm: 2, Established: 3 } as const;

function stepIdle(state: FsmState, event: FsmEvent): FsmStep {
  switch (event.type) {
    case 'ManualStart':
    case 'AutomaticStart':
      return start({ ...state, connectRetryCounter: 0 }, event.passive);
    case 'IdleHoldTimerExpires':
      return state.options.dampPeerOscillations ? start(state, state.options.passive) : [state, NO_ACTIONS];
    case 'ManualStop':
      return [{ ...state, connectRetryCounter: 0 }, [{ type: 'StopAllTimers' }]];
    default:
      return [state, NO_ACTIONS];
  }
}

function start(state: FsmState, passive: boolean): FsmStep {
  if (passive) return [{ ...state, type: 'Active' }, [{ type: 'StopAllTimers' }]];
  return [{ ...state, type: 'Connect' }, [{ type: 'StopAllTimers' }, startConnectRetry(state), { type: 'Connect' }]];
}

function stepConnect(state: FsmState, event: FsmEvent): FsmStep {
  switch (event.type) {
    case 'ManualStart':
    case 'AutomaticStart':
    case 'TcpConnectionValid':
    case 'TcpConnectionInvalid':
      return [state, NO_ACTIONS];
    case 'ConnectRetryTimerExpires': {
      const next = { ...state, isDelayOpenRunning: false, connectRetryCounter: state.connectRetryCounter + 1 };
      return [
        next,
        [
          { type: 'DropConnection' },
          { type: 'StopTimer', timer: 'DelayOpen' },
          startConnectRetry(next),
          { type: 'Connect' },
        ],
      ];
    }
    case 'TcpConnectionFails':
      return state.isDelayOpenRunning ? listen(state) : fail(state);
    default:
      return stepConnected(state, event);
  }
}

function stepActive(state: FsmState, event: FsmEvent): FsmStep {
  switch (event.type) {
    case 'ManualStart':
    case 'AutomaticStart':
    case 'TcpConnectionValid':
    case 'TcpConnectionInvalid':
      return [state, NO_ACTIONS];
    case 'ConnectRetryTimerExpires':
      return [{ ...state, type: 'Connect' }, [startConnectRetry(state), { type: 'Connect' }]];
    case 'TcpConnectionFails':
      return fail(state);
    default:
      return stepConnected(state, event);
  }
}

/** What Connect and Active have in common: the connection stands, the OPEN may still be delayed. */
function stepConnected(state: FsmState, event: FsmEvent): FsmStep {
  switch (event.type) {
    case 'ManualStop':
      return stop(state);
    case 'TcpConnectionRequestAcked':
    case 'TcpConnectionConfirmed':
      return state.options.delayOpenTime > 0 ? delayOpen(state) : sendOpen(state);
    case 'DelayOpenTimerExpires':
      return state.isDelayOpenRunning ? sendOpen(state) : fail(state);
    case 'OpenMessage':
      return state.isDelayOpenRunning ? confirm(state, event.holdTime, [{ type: 'SendOpen' }]) : fail(state);
    case 'NotificationVersionError':
      return state.isDelayOpenRunning ? idle(state, state.connectRetryCounter) : fail(state);
    default:
      // Before our OPEN no NOTIFICATION is sent: SendNOTIFICATIONwithoutOPEN is off, old peers drop the connection over it.
      return fail(state);
  }
}

function stepOpenSent(state: FsmState, event: FsmEvent): FsmStep {
  switch (event.type) {
    case 'TcpConnectionFails':
      return listen(state);
    case 'OpenMessage':
      return confirm(state, event.holdTime, []);
    default:
      return stepOpened(state, 'OpenSent', event);
  }
}

function stepOpenConfirm(state: FsmState, event: FsmEvent): FsmStep {
  switch (event.type) {
    case 'TcpConnectionFails':
      return fail(state);
    case 'KeepaliveTimerExpires':
      return [state, keepaliveActions(state)];
    case 'KeepaliveMessage':
      return establish(state);
    default:
      return stepOpened(state, 'OpenConfirm', event);
  }
}

function stepEstablished(state: FsmState, event: FsmEvent): FsmStep {
  switch (event.type) {
    case 'TcpConnectionFails':
      return fail(state);
    case 'KeepaliveTimerExpires':
      return [state.connectRetryCounter === 0 ? state : { ...state, connectRetryCounter: 0 }, keepaliveActions(state)];
    case 'KeepaliveMessage':
    case 'UpdateMessage':
      return [state, holdActions(state)];
    case 'UpdateMessageError':
      return failWith(state, event.notification);
    default:
      return stepOpened(state, 'Established', event);
  }
}

/** What OpenSent, OpenConfirm and Established have in common: OPENs are out, so every end is told in a NOTIFICATION. */
function stepOpened(state: FsmState, name: keyof typeof FSM_ERROR_SUBCODE, event: FsmEvent): FsmStep {
  switch (event.type) {
    case 'ManualStart':
    case 'AutomaticStart':
    case 'TcpConnectionValid':
    case 'TcpConnectionInvalid':
    // A second connection with the peer is a second machine; this one learns of it only by OpenCollisionDump.
    case 'TcpConnectionRequestAcked':
    case 'TcpConnectionConfirmed':
      return [state, NO_ACTIONS];
    case 'ManualStop':
      return stop(state, event.notification);
    case 'AutomaticStop':
    case 'HeaderError':
    case 'OpenMessageError':
      return failWith(state, event.notification);
    case 'HoldTimerExpires':
      return failWith(state, HOLD_TIMER_EXPIRED);
    case 'SendHoldTimerExpires':
      return failWith(state, SEND_HOLD_TIMER_EXPIRED);
    case 'OpenCollisionDump':
      return failWith(state, COLLISION);
    case 'NotificationVersionError':
      return name === 'Established' ? fail(state) : idle(state, state.connectRetryCounter);
    case 'NotificationMessage':
      return fail(state);
    default:
      return failWith(state, { code: 5, subcode: FSM_ERROR_SUBCODE[name], data: NO_DATA });
  }
}

// ---- transitions -------------------------------------------------------------------------------------------------

function delayOpen(state: FsmState): FsmStep {
  return [
    { ...state, isDelayOpenRunning: true },
    [
      { type: 'StopTimer', timer: 'ConnectRetry' },
      { type: 'StartTimer', timer: 'DelayOpen', seconds: state.options.delayOpenTime, jitter: false },
    ],
  ];
}

function sendOpen(state: FsmState): FsmStep {
  return [
    { ...state, type: 'OpenSent', isDelayOpenRunning: false },
    [
      { type: 'StopTimer', timer: 'ConnectRetry' },
      { type: 'StopTimer', timer: 'DelayOpen' },
      { type: 'SendOpen' },
      { type: 'StartTimer', timer: 'Hold', seconds: LARGE_HOLD_TIME, jitter: false },
    ],
  ];
}

function confirm(state: FsmState, holdTime: number, first: readonly FsmAction[]): FsmStep {
  const next: FsmState = { ...state, type: 'OpenConfirm', isDelayOpenRunning: false, holdTime };
  return [
    next,
    [
      ...first,
      { type: 'StopTimer', timer: 'ConnectRetry' },
      { type: 'StopTimer', timer: 'DelayOpen' },
      ...keepaliveActions(next),
      ...(holdTime > 0 ? holdActions(next) : [{ type: 'StopTimer', timer: 'Hold' } as const]),
    ],
  ];
}

function establish(state: FsmState): FsmStep {
  const { sendHoldTime } = state.options;
  const next: FsmState = {
    ...state,
    type: 'Established',
    connectRetryCounter: state.holdTime === 0 ? 0 : state.connectRetryCounter,
  };
  return [
    next,
    [
      ...holdActions(state),
      ...(sendHoldTime > 0
        ? [{ type: 'StartTimer', timer: 'SendHold', seconds: sendHoldTime, jitter: false } as const]
        : []),
      { type: 'SessionUp' },
    ],
  ];
}

/** Back to Active, where both sides may connect; the next attempt of ours comes after a growing pause. */
function listen(state: FsmState): FsmStep {
  const connectRetryCounter = state.connectRetryCounter + 1;
  const pause = idleHoldTime(connectRetryCounter, state.options.connectRetryTime);
  const retry: readonly FsmAction[] = state.options.passive
    ? []
    : [{ type: 'StartTimer', timer: 'ConnectRetry', seconds: pause, jitter: true }];
  return [
    { ...state, type: 'Active', isDelayOpenRunning: false, holdTime: 0, connectRetryCounter },
    [{ type: 'StopAllTimers' }, { type: 'DropConnection' }, ...retry],
  ];
}

const fail = (state: FsmState): FsmStep => idle(state, state.connectRetryCounter + 1);

const failWith = (state: FsmState, notification: Notification): FsmStep =>
  idle(state, state.connectRetryCounter + 1, notification);

/** An operator's stop: Idle, and no timer that would leave it. */
function stop(state: FsmState, notification?: Notification): FsmStep {
  return [atRest(state, 0), leaving(state.type, notification)];
}

function idle(state: FsmState, connectRetryCounter: number, notification?: Notification): FsmStep {
  const actions = leaving(state.type, notification);
  const { dampPeerOscillations, connectRetryTime } = state.options;
  if (dampPeerOscillations)
    actions.push({
      type: 'StartTimer',
      timer: 'IdleHold',
      seconds: idleHoldTime(connectRetryCounter, connectRetryTime),
      jitter: true,
    });
  return [atRest(state, connectRetryCounter), actions];
}

function atRest(state: FsmState, connectRetryCounter: number): FsmState {
  return { type: 'Idle', options: state.options, connectRetryCounter, isDelayOpenRunning: false, holdTime: 0 };
}

function leaving(from: FsmStateType, notification: Notification | undefined): FsmAction[] {
  const actions: FsmAction[] = [{ type: 'StopAllTimers' }];
  if (notification !== undefined) actions.push({ type: 'SendNotification', notification });
  actions.push({ type: 'DropConnection' });
  if (from === 'Established') actions.push({ type: 'SessionDown' });
  return actions;
}

// ---- timers ------------------------------------------------------------------------------------------------------

function startConnectRetry(state: FsmState): FsmAction {
  const seconds = connectTime(state.connectRetryCounter, state.options.connectRetryTime);
  return { type: 'StartTimer', timer: 'ConnectRetry', seconds, jitter: true };
}

/** Section 4.4: a third of the hold time, or less where configured; none when it is zero. */
function keepaliveActions(state: FsmState): readonly FsmAction[] {
  if (state.holdTime === 0) return [{ type: 'SendKeepalive' }];
  const seconds = Math.min(state.options.keepaliveTime ?? Infinity, state.holdTime / 3);
  return [{ type: 'SendKeepalive' }, { type: 'StartTimer', timer: 'Keepalive', seconds, jitter: true }];
}

function holdActions(state: FsmState): readonly FsmAction[] {
  return state.holdTime === 0
    ? NO_ACTIONS
    : [{ type: 'StartTimer', timer: 'Hold', seconds: state.holdTime, jitter: false }];
}
