import { expect } from 'chai';
import type { BfdPacket, BfdState } from 'node-bgp/bfd/packet';
import {
  detectionTime,
  newBfdSession,
  stepBfd,
  transmitDelay,
  transmitInterval,
  type BfdSession,
  type BfdSessionAction,
  type BfdSessionEvent,
} from 'node-bgp/bfd/session';

const WANTED = { desiredMinTx: 50_000, requiredMinRx: 60_000, detectMultiplier: 3, requiredMinEchoRx: 0 };

const heard = (state: BfdState, more: Partial<BfdPacket> = {}): BfdPacket => ({
  diagnostic: 0,
  state,
  poll: false,
  final: false,
  controlPlaneIndependent: false,
  demand: false,
  detectMultiplier: 4,
  myDiscriminator: 77,
  yourDiscriminator: 5,
  desiredMinTx: 100_000,
  requiredMinRx: 40_000,
  requiredMinEchoRx: 0,
  ...more,
});
const packet = (state: BfdState, more: Partial<BfdPacket> = {}): BfdSessionEvent => ({
  type: 'packet',
  packet: heard(state, more),
});

/** A session that has been through these events. */
function after(...events: readonly BfdSessionEvent[]): BfdSession {
  return events.reduce((session, event) => stepBfd(session, event)[0], newBfdSession(5, WANTED));
}
const IN: Readonly<Record<BfdState, BfdSession>> = {
  'admin-down': after({ type: 'admin-down' }),
  down: after(),
  init: after(packet('down')),
  up: after(packet('down'), packet('init')),
};
const sentBy = (actions: readonly BfdSessionAction[]): BfdPacket[] =>
  actions.flatMap((action) => (action.type === 'send' ? [action.packet] : []));

describe('bgp/bfd/session', () => {
  const transitions: readonly (readonly [from: BfdState, event: BfdSessionEvent, to: BfdState, diagnostic: number])[] =
    [
      ['down', packet('down'), 'init', 0],
      ['down', packet('init'), 'up', 0],
      ['down', packet('up'), 'down', 0],
      ['down', packet('admin-down'), 'down', 0],
      ['init', packet('down'), 'init', 0],
      ['init', packet('init'), 'up', 0],
      ['init', packet('up'), 'up', 0],
      ['init', packet('admin-down'), 'down', 3],
      ['up', packet('down'), 'down', 3],
      ['up', packet('init'), 'up', 0],
      ['up', packet('up'), 'up', 0],
      ['up', packet('admin-down'), 'down', 3],
      ['admin-down', packet('down'), 'admin-down', 7],
      ['admin-down', packet('init'), 'admin-down', 7],
      ['admin-down', packet('up'), 'admin-down', 7],
      ['admin-down', packet('admin-down'), 'admin-down', 7],
      ['down', { type: 'detection-timer' }, 'down', 0],
      ['init', { type: 'detection-timer' }, 'down', 1],
      ['up', { type: 'detection-timer' }, 'down', 1],
      ['admin-down', { type: 'detection-timer' }, 'admin-down', 7],
      ['down', { type: 'admin-down' }, 'admin-down', 7],
      ['init', { type: 'admin-down' }, 'admin-down', 7],
      ['up', { type: 'admin-down' }, 'admin-down', 7],
      ['admin-down', { type: 'enable' }, 'down', 0],
      ['up', { type: 'enable' }, 'up', 0],
      ['down', { type: 'transmit-timer' }, 'down', 0],
      ['init', { type: 'transmit-timer' }, 'init', 0],
      ['up', { type: 'transmit-timer' }, 'up', 0],
      ['admin-down', { type: 'transmit-timer' }, 'admin-down', 7],
      ['up', { type: 'configure', wanted: { ...WANTED, desiredMinTx: 10_000 } }, 'up', 0],
      ['down', { type: 'configure', wanted: WANTED }, 'down', 0],
    ];
  for (const [from, event, to, diagnostic] of transitions) {
    const what = event.type === 'packet' ? `hears ${event.packet.state}` : `sees ${event.type}`;
    it(`${from} ${what}: ${to} (RFC 5880 section 6.8.6)`, () => {
      const [next, actions] = stepBfd(IN[from], event);
      expect([next.state, next.diagnostic]).to.deep.equal([to, diagnostic]);
      const change = actions.find((action) => action.type === 'state-changed');
      expect(change).to.deep.equal(from === to ? undefined : { type: 'state-changed', from, to });
      // A change is told at once.
      if (from !== to) expect(sentBy(actions)[0]).to.include({ state: to, diagnostic });
    });
  }

  it('sends once a second at most until it is up (section 6.8.3)', () => {
    for (const state of ['down', 'init', 'admin-down'] as const) {
      expect(transmitInterval(IN[state]), state).to.be.at.least(1_000_000);
      expect(sentBy(stepBfd(IN[state], { type: 'transmit-timer' })[1])[0]?.desiredMinTx).to.equal(1_000_000);
    }
    expect(transmitInterval(IN.up)).to.equal(50_000);
  });
  it('never sends faster than the peer can receive, and not at all to one that wants nothing', () => {
    expect(transmitInterval(stepBfd(IN.up, packet('up', { requiredMinRx: 300_000 }))[0])).to.equal(300_000);
    expect(transmitInterval(stepBfd(IN.up, packet('up', { requiredMinRx: 0 }))[0])).to.equal(undefined);
  });
  it('watches for the peer’s multiplier times the slower of both paces (section 6.8.4)', () => {
    expect(detectionTime(IN.down)).to.equal(undefined);
    expect(detectionTime(IN.up)).to.equal(4 * 100_000);
    expect(detectionTime(stepBfd(IN.up, packet('up', { desiredMinTx: 10_000, detectMultiplier: 2 }))[0])).to.equal(
      2 * 60_000,
    );
  });
  it('jitters between 75 and 100 %, at most 90 % when one loss is fatal (section 6.8.7)', () => {
    const lone = { ...IN.up, wanted: { ...WANTED, detectMultiplier: 1 } };
    expect([transmitDelay(IN.up, 0), transmitDelay(IN.up, 0.9999999)]).to.deep.equal([37_500, 49_999]);
    expect([transmitDelay(lone, 0), transmitDelay(lone, 0.9999999)]).to.deep.equal([37_500, 44_999]);
  });
  it('answers a poll at once with F and without P (section 6.5)', () => {
    const [next, actions] = stepBfd(IN.up, packet('up', { poll: true }));
    expect(sentBy(actions)).to.have.length(1);
    expect(sentBy(actions)[0]).to.include({ final: true, poll: false, state: 'up' });
    expect(next.isPolling).to.equal(true);
  });
  it('polls when it comes up until the peer answers', () => {
    expect(sentBy(stepBfd(IN.up, { type: 'transmit-timer' })[1])[0]).to.include({ poll: true, desiredMinTx: 50_000 });
    const [settled] = stepBfd(IN.up, packet('up', { final: true }));
    expect(sentBy(stepBfd(settled, { type: 'transmit-timer' })[1])[0]).to.include({ poll: false });
  });
  it('slows down, and detects faster, only after the peer has answered the poll (section 6.8.3)', () => {
    const settled = stepBfd(IN.up, packet('up', { final: true, desiredMinTx: 10_000 }))[0];
    const [polling] = stepBfd(settled, {
      type: 'configure',
      wanted: { desiredMinTx: 500_000, requiredMinRx: 20_000, detectMultiplier: 3, requiredMinEchoRx: 0 },
    });
    expect([transmitInterval(polling), detectionTime(polling), polling.isPolling]).to.deep.equal([
      50_000,
      4 * 60_000,
      true,
    ]);
    expect(sentBy(stepBfd(polling, { type: 'transmit-timer' })[1])[0]).to.include({
      desiredMinTx: 500_000,
      requiredMinRx: 20_000,
      poll: true,
    });
    const [done] = stepBfd(polling, packet('up', { final: true, desiredMinTx: 10_000 }));
    expect([transmitInterval(done), detectionTime(done), done.isPolling]).to.deep.equal([500_000, 4 * 20_000, false]);
  });
  it('speeds up, and detects slower, at once', () => {
    const settled = stepBfd(IN.up, packet('up', { final: true, desiredMinTx: 10_000, requiredMinRx: 1 }))[0];
    const [polling] = stepBfd(settled, {
      type: 'configure',
      wanted: { desiredMinTx: 10_000, requiredMinRx: 200_000, detectMultiplier: 3, requiredMinEchoRx: 0 },
    });
    expect([transmitInterval(polling), detectionTime(polling)]).to.deep.equal([10_000, 4 * 200_000]);
  });
  it('is silent towards a peer in demand mode once both are up, but polls (section 6.6)', () => {
    const [polling] = stepBfd(IN.up, packet('up', { demand: true }));
    expect(transmitInterval(polling)).to.equal(50_000);
    const [silent] = stepBfd(polling, packet('up', { demand: true, final: true }));
    expect(transmitInterval(silent)).to.equal(undefined);
  });
  it('forgets the peer’s discriminator when it falls silent (section 6.8.1)', () => {
    expect(IN.up.remoteDiscriminator).to.equal(77);
    expect(stepBfd(IN.up, { type: 'detection-timer' })[0].remoteDiscriminator).to.equal(0);
  });
  it('has the peer slow down to a packet a second while echoes watch the path, by polls (section 6.8.3)', () => {
    const settled = stepBfd(IN.up, packet('up', { final: true }))[0];
    const [echoing, actions] = stepBfd(settled, { type: 'echo', isActive: true });
    expect(actions).to.deep.equal([{ type: 'schedule-transmit' }]);
    expect(sentBy(stepBfd(echoing, { type: 'transmit-timer' })[1])[0]).to.include({
      poll: true,
      requiredMinRx: 1_000_000,
      desiredMinTx: 50_000,
    });
    // The peer slows down any time from now.
    expect(detectionTime(echoing)).to.equal(4 * 1_000_000);
    const [slow] = stepBfd(echoing, packet('up', { final: true }));
    expect([detectionTime(slow), slow.isPolling, stepBfd(slow, { type: 'echo', isActive: true })[1]]).to.deep.equal([
      4 * 1_000_000,
      false,
      [],
    ]);
    // Back: the peer may still be slow until it has answered.
    const [ending] = stepBfd(slow, { type: 'echo', isActive: false });
    expect([
      detectionTime(ending),
      sentBy(stepBfd(ending, { type: 'transmit-timer' })[1])[0]?.requiredMinRx,
    ]).to.deep.equal([4 * 1_000_000, 60_000]);
    expect(detectionTime(stepBfd(ending, packet('up', { final: true }))[0])).to.equal(4 * 100_000);
  });
  it('goes down with "echo function failed" when echoes are lost, and forgets them (section 6.8.5)', () => {
    const echoing = stepBfd(IN.up, { type: 'echo', isActive: true })[0];
    const [down, actions] = stepBfd(echoing, { type: 'echo-lost' });
    expect(down).to.include({ state: 'down', diagnostic: 2, isEchoActive: false });
    expect(sentBy(actions)[0]).to.include({ state: 'down', diagnostic: 2, requiredMinRx: 60_000 });
    expect(stepBfd(IN.down, { type: 'echo-lost' })).to.deep.equal([IN.down, []]);
    expect(stepBfd(IN.init, { type: 'echo', isActive: true })).to.deep.equal([IN.init, []]);
  });
  it('says what echoes it loops, and hears what the peer loops (section 6.8.1)', () => {
    const [looping] = stepBfd(IN.up, { type: 'configure', wanted: { ...WANTED, requiredMinEchoRx: 50_000 } });
    expect(sentBy(stepBfd(looping, { type: 'transmit-timer' })[1])[0]).to.include({
      requiredMinEchoRx: 50_000,
      poll: true,
    });
    expect(stepBfd(IN.up, packet('up', { requiredMinEchoRx: 70_000 }))[0].remoteMinEchoRx).to.equal(70_000);
    expect(
      stepBfd(stepBfd(IN.up, packet('up', { requiredMinEchoRx: 70_000 }))[0], { type: 'detection-timer' })[0]
        .remoteMinEchoRx,
    ).to.equal(0);
  });
  it('reschedules only when its pace changes', () => {
    const settled = stepBfd(IN.up, packet('up', { final: true }))[0];
    const kinds = (event: BfdSessionEvent): string[] => stepBfd(settled, event)[1].map(({ type }) => type);
    expect(kinds(packet('up'))).to.deep.equal(['schedule-detection']);
    expect(kinds(packet('up', { requiredMinRx: 900_000 }))).to.deep.equal(['schedule-detection', 'schedule-transmit']);
  });
});
