import { expect } from 'chai';
import type { NegotiatedSession } from 'node-bgp/codec/negotiated';
import { OwnRestart } from 'node-bgp/speaker/own-restart';
import { FakeClock } from '../session/fake-clock.js';

/** As much of a session as a restart looks at. */
const session = (restarting: boolean): NegotiatedSession =>
  ({
    families: [4, 6],
    gracefulRestart: { type: 'graceful-restart', restarting, notification: false, restartTime: 120, families: [] },
  }) as unknown as NegotiatedSession;

describe('bgp/own-restart', () => {
  let clock = new FakeClock();
  let reasons: string[] = [];
  const restart = (peers: readonly string[]): OwnRestart => {
    clock = new FakeClock();
    reasons = [];
    const own = new OwnRestart(clock, 120, (reason) => reasons.push(reason));
    own.expect(peers);
    return own;
  };

  it('waits for both families of every peer', () => {
    const own = restart(['a', 'b']);
    for (const peer of ['a', 'b']) own.up(peer, session(false));
    own.endOfRib('a', 4);
    own.endOfRib('a', 6);
    own.endOfRib('b', 4);
    expect(reasons).to.deep.equal([]);
    own.endOfRib('b', 6);
    expect(reasons).to.deep.equal(['Every peer has sent its End-of-RIB']);
  });

  it('waits for a peer that says it restarts and tells us everything within seconds, as a fresh FRR does', () => {
    const own = restart(['a']);
    own.up('a', session(true));
    clock.advance(1_500);
    expect(reasons, 'nothing may be swept before its routes have come').to.deep.equal([]);
    own.endOfRib('a', 4);
    own.endOfRib('a', 6);
    expect(reasons).to.have.length(1);
  });

  it('does not wait long for a peer that restarts and waits for us', () => {
    restart(['a']).up('a', session(true));
    clock.advance(5_001);
    expect(reasons).to.deep.equal(['Every peer but a has sent its End-of-RIB']);
  });

  it('gives up on those that never come up, and on everybody in the end', () => {
    const own = restart(['a', 'b']);
    own.up('b', session(false));
    clock.advance(15_001);
    expect(reasons).to.deep.equal([]);
    clock.advance(105_000);
    expect(reasons).to.deep.equal(['Not every peer had sent its End-of-RIB after 120 s']);
  });
});
