/** RFC 4271 section 8.2.2 as a table: every state times every event, next state and effects. */
import { expect } from 'chai';
import fc from 'fast-check';
import type { FsmEvent, FsmEventType, Notification } from 'node-bgp/fsm/event';
import { initialState, type FsmAction, type FsmOptions, type FsmState, type FsmStateType } from 'node-bgp/fsm/state';
import { step } from 'node-bgp/fsm/step';

const options: FsmOptions = {
  passive: false,
  delayOpenTime: 0,
  dampPeerOscillations: true,
  connectRetryTime: 120,
  keepaliveTime: undefined,
  sendHoldTime: 0,
};
const note = (code: number, subcode: number): Notification => ({ code, subcode, data: new Uint8Array(0) });

const events: Readonly<Record<FsmEventType, FsmEvent>> = {
  ManualStart: { type: 'ManualStart', passive: false },
  ManualStop: { type: 'ManualStop', notification: note(6, 2) },
  AutomaticStart: { type: 'AutomaticStart', passive: false },
  AutomaticStop: { type: 'AutomaticStop', notification: note(6, 1) },
  ConnectRetryTimerExpires: { type: 'ConnectRetryTimerExpires' },
  HoldTimerExpires: { type: 'HoldTimerExpires' },
  KeepaliveTimerExpires: { type: 'KeepaliveTimerExpires' },
  DelayOpenTimerExpires: { type: 'DelayOpenTimerExpires' },
  IdleHoldTimerExpires: { type: 'IdleHoldTimerExpires' },
  TcpConnectionValid: { type: 'TcpConnectionValid' },
  TcpConnectionInvalid: { type: 'TcpConnectionInvalid' },
  TcpConnectionRequestAcked: { type: 'TcpConnectionRequestAcked' },
  TcpConnectionConfirmed: { type: 'TcpConnectionConfirmed' },
  TcpConnectionFails: { type: 'TcpConnectionFails' },
  OpenMessage: { type: 'OpenMessage', holdTime: 90 },
  HeaderError: { type: 'HeaderError', notification: note(1, 1) },
  OpenMessageError: { type: 'OpenMessageError', notification: note(2, 2) },
  OpenCollisionDump: { type: 'OpenCollisionDump' },
  NotificationVersionError: { type: 'NotificationVersionError' },
  NotificationMessage: { type: 'NotificationMessage' },
  KeepaliveMessage: { type: 'KeepaliveMessage' },
  UpdateMessage: { type: 'UpdateMessage' },
  UpdateMessageError: { type: 'UpdateMessageError', notification: note(3, 1) },
  SendHoldTimerExpires: { type: 'SendHoldTimerExpires' },
};
const eventTypes = Object.keys(events) as FsmEventType[];

/** `-`: nothing changes. `Idle 6/2`: goes to Idle and sends that NOTIFICATION. `Idle`: goes to Idle in silence. */
const table: Readonly<
  Record<FsmStateType, Readonly<Partial<Record<FsmEventType, string>>> & { readonly otherwise: string }>
> = {
  Idle: { ManualStart: 'Connect', AutomaticStart: 'Connect', IdleHoldTimerExpires: 'Connect', otherwise: '-' },
  Connect: {
    ManualStart: '-',
    AutomaticStart: '-',
    TcpConnectionValid: '-',
    TcpConnectionInvalid: '-',
    ConnectRetryTimerExpires: 'Connect',
    TcpConnectionRequestAcked: 'OpenSent',
    TcpConnectionConfirmed: 'OpenSent',
    otherwise: 'Idle',
  },
  Active: {
    ManualStart: '-',
    AutomaticStart: '-',
    TcpConnectionValid: '-',
    TcpConnectionInvalid: '-',
    ConnectRetryTimerExpires: 'Connect',
    TcpConnectionRequestAcked: 'OpenSent',
    TcpConnectionConfirmed: 'OpenSent',
    otherwise: 'Idle',
  },
  OpenSent: {
    ManualStart: '-',
    AutomaticStart: '-',
    TcpConnectionValid: '-',
    TcpConnectionInvalid: '-',
    TcpConnectionRequestAcked: '-',
    TcpConnectionConfirmed: '-',
    ManualStop: 'Idle 6/2',
    AutomaticStop: 'Idle 6/1',
    HoldTimerExpires: 'Idle 4/0',
    SendHoldTimerExpires: 'Idle 8/0',
    TcpConnectionFails: 'Active',
    OpenMessage: 'OpenConfirm',
    HeaderError: 'Idle 1/1',
    OpenMessageError: 'Idle 2/2',
    OpenCollisionDump: 'Idle 6/7',
    NotificationVersionError: 'Idle',
    NotificationMessage: 'Idle',
    otherwise: 'Idle 5/1',
  },
  OpenConfirm: {
    ManualStart: '-',
    AutomaticStart: '-',
    TcpConnectionValid: '-',
    TcpConnectionInvalid: '-',
    TcpConnectionRequestAcked: '-',
    TcpConnectionConfirmed: '-',
    ManualStop: 'Idle 6/2',
    AutomaticStop: 'Idle 6/1',
    HoldTimerExpires: 'Idle 4/0',
    SendHoldTimerExpires: 'Idle 8/0',
    TcpConnectionFails: 'Idle',
    KeepaliveTimerExpires: 'OpenConfirm',
    KeepaliveMessage: 'Established',
    HeaderError: 'Idle 1/1',
    OpenMessageError: 'Idle 2/2',
    OpenCollisionDump: 'Idle 6/7',
    NotificationVersionError: 'Idle',
    NotificationMessage: 'Idle',
    otherwise: 'Idle 5/2',
  },
  Established: {
    ManualStart: '-',
    AutomaticStart: '-',
    TcpConnectionValid: '-',
    TcpConnectionInvalid: '-',
    TcpConnectionRequestAcked: '-',
    TcpConnectionConfirmed: '-',
    ManualStop: 'Idle 6/2',
    AutomaticStop: 'Idle 6/1',
    HoldTimerExpires: 'Idle 4/0',
    SendHoldTimerExpires: 'Idle 8/0',
    TcpConnectionFails: 'Idle',
    KeepaliveTimerExpires: 'Established',
    KeepaliveMessage: 'Established',
    UpdateMessage: 'Established',
    HeaderError: 'Idle 1/1',
    OpenMessageError: 'Idle 2/2',
    UpdateMessageError: 'Idle 3/1',
    OpenCollisionDump: 'Idle 6/7',
    NotificationVersionError: 'Idle',
    NotificationMessage: 'Idle',
    otherwise: 'Idle 5/3',
  },
};
const stateTypes = Object.keys(table) as FsmStateType[];

const stateOf = (type: FsmStateType, over: Partial<FsmState> = {}): FsmState => ({
  ...initialState(options),
  type,
  holdTime: type === 'OpenConfirm' || type === 'Established' ? 90 : 0,
  ...over,
});
const summary = (actions: readonly FsmAction[]): string[] =>
  actions.map((action) => {
    switch (action.type) {
      case 'StartTimer':
        return `start ${action.timer} ${action.seconds}`;
      case 'StopTimer':
        return `stop ${action.timer}`;
      case 'SendNotification':
        return `notify ${action.notification.code}/${action.notification.subcode}`;
      default:
        return action.type;
    }
  });

describe('bgp/fsm step: every state times every event', () => {
  for (const from of stateTypes)
    for (const type of eventTypes) {
      const want = table[from][type] ?? table[from].otherwise;
      it(`${from} + ${type} -> ${want}`, () => {
        const before = stateOf(from);
        const [after, actions] = step(before, events[type]);
        if (want === '-') {
          expect(after.type).to.equal(from);
          // A stop of an idle peer also stops the timer that would wake it.
          expect(summary(actions)).to.deep.equal(from === 'Idle' && type === 'ManualStop' ? ['StopAllTimers'] : []);
          return;
        }
        const [next, notification] = want.split(' ');
        expect(after.type).to.equal(next);
        expect(summary(actions).filter((line) => line.startsWith('notify'))).to.deep.equal(
          notification === undefined ? [] : [`notify ${notification}`],
        );
        expect(actions.some((action) => action.type === 'SessionDown')).to.equal(
          from === 'Established' && next !== 'Established',
        );
        if (next === 'Idle') expect(summary(actions)).to.include('DropConnection').and.include('StopAllTimers');
      });
    }
});

describe('bgp/fsm step: clauses', () => {
  it('walks from start to Established (8.2.2)', () => {
    let state = initialState(options);
    const seen: string[] = [];
    for (const type of ['AutomaticStart', 'TcpConnectionRequestAcked', 'OpenMessage', 'KeepaliveMessage'] as const) {
      const [next, actions] = step(state, events[type]);
      state = next;
      seen.push(`${state.type}: ${summary(actions).join(', ')}`);
    }
    expect(seen).to.deep.equal([
      'Connect: StopAllTimers, start ConnectRetry 2, Connect',
      'OpenSent: stop ConnectRetry, stop DelayOpen, SendOpen, start Hold 240',
      'OpenConfirm: stop ConnectRetry, stop DelayOpen, SendKeepalive, start Keepalive 30, start Hold 90',
      'Established: start Hold 90, SessionUp',
    ]);
  });

  it('a negotiated hold time of zero starts neither hold nor keepalive timer (4.2)', () => {
    const [confirm, actions] = step(stateOf('OpenSent'), { type: 'OpenMessage', holdTime: 0 });
    expect(summary(actions)).to.deep.equal(['stop ConnectRetry', 'stop DelayOpen', 'SendKeepalive', 'stop Hold']);
    expect(summary(step(confirm, events.KeepaliveMessage)[1])).to.deep.equal(['SessionUp']);
  });

  it('DelayOpen waits for the peer, whose OPEN is event 20', () => {
    const slow = stateOf('Active', { options: { ...options, delayOpenTime: 5 } });
    const [waiting, first] = step(slow, events.TcpConnectionConfirmed);
    expect([waiting.type, ...summary(first)]).to.deep.equal(['Active', 'stop ConnectRetry', 'start DelayOpen 5']);
    const [confirm, second] = step(waiting, events.OpenMessage);
    expect(confirm.type).to.equal('OpenConfirm');
    expect(summary(second).slice(0, 1)).to.deep.equal(['SendOpen']);
    expect(step(waiting, events.DelayOpenTimerExpires)[0].type).to.equal('OpenSent');
    expect(step({ ...waiting, type: 'Connect' }, events.TcpConnectionFails)[0].type).to.equal('Active');
    const [refused, third] = step(waiting, events.NotificationVersionError);
    expect([refused.type, refused.connectRetryCounter]).to.deep.equal(['Idle', 0]);
    expect(summary(third)).to.not.include('SendNotification');
  });

  it('a passive machine never connects', () => {
    const passive = stateOf('Idle', { options: { ...options, passive: true } });
    expect(summary(step(passive, { type: 'ManualStart', passive: true })[1])).to.deep.equal(['StopAllTimers']);
    expect(step(passive, events.IdleHoldTimerExpires)[0].type).to.equal('Active');
    const lost = step({ ...passive, type: 'OpenSent' }, events.TcpConnectionFails);
    expect([lost[0].type, ...summary(lost[1])]).to.deep.equal(['Active', 'StopAllTimers', 'DropConnection']);
  });

  it('pauses grow with the failures in a row and are bounded', () => {
    let state = stateOf('Connect');
    const pauses: number[] = [];
    for (let i = 0; i < 12; i++) {
      const [idle, actions] = step(state, events.TcpConnectionFails);
      for (const action of actions)
        if (action.type === 'StartTimer' && action.timer === 'IdleHold') pauses.push(action.seconds);
      state = step(idle, events.IdleHoldTimerExpires)[0];
    }
    expect(pauses).to.deep.equal([0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 120, 120, 120]);
  });

  it('without damping a failed machine stays Idle', () => {
    const [idle, actions] = step(
      stateOf('Connect', { options: { ...options, dampPeerOscillations: false } }),
      events.TcpConnectionFails,
    );
    expect(summary(actions)).to.deep.equal(['StopAllTimers', 'DropConnection']);
    expect(step(idle, events.IdleHoldTimerExpires)[0].type).to.equal('Idle');
  });

  it('forgets failures only after a keepalive interval in Established', () => {
    const [up] = step(stateOf('OpenConfirm', { connectRetryCounter: 5 }), events.KeepaliveMessage);
    expect(up.connectRetryCounter).to.equal(5);
    expect(step(up, events.KeepaliveTimerExpires)[0].connectRetryCounter).to.equal(0);
  });

  it('an operator stop leaves no timer that would start the peer again', () => {
    for (const from of stateTypes)
      expect(
        step(stateOf(from), events.ManualStop)[1].filter((action) => action.type === 'StartTimer'),
        from,
      ).to.deep.equal([]);
  });

  it('a third of the hold time between keepalives (4.4), and RFC 9687 watches our own sending', () => {
    const guarded = stateOf('OpenConfirm', { options: { ...options, sendHoldTime: 480 } });
    expect(summary(step(guarded, events.KeepaliveMessage)[1])).to.deep.equal([
      'start Hold 90',
      'start SendHold 480',
      'SessionUp',
    ]);
    expect(summary(step(stateOf('Established'), events.KeepaliveTimerExpires)[1])).to.deep.equal([
      'SendKeepalive',
      'start Keepalive 30',
    ]);
  });

  it('less than a third of the hold time between keepalives where configured, never more (4.4)', () => {
    const every = (keepaliveTime: number): readonly string[] =>
      summary(
        step(stateOf('Established', { options: { ...options, keepaliveTime } }), events.KeepaliveTimerExpires)[1],
      );
    expect([every(10), every(60)]).to.deep.equal([
      ['SendKeepalive', 'start Keepalive 10'],
      ['SendKeepalive', 'start Keepalive 30'],
    ]);
  });

  it('any history: up and down alternate, and a session that is not Established left a SessionDown', () =>
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...eventTypes), { maxLength: 60 }), (history) => {
        let state = initialState(options);
        let up = false;
        for (const type of history) {
          const [next, actions] = step(state, events[type]);
          for (const action of actions) {
            if (action.type === 'SessionUp') {
              expect(up).to.equal(false);
              up = true;
            }
            if (action.type === 'SessionDown') {
              expect(up).to.equal(true);
              up = false;
            }
          }
          state = next;
          expect(up).to.equal(state.type === 'Established');
        }
      }),
    ));
});
