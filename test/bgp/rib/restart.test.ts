/** Sessions that go and come back: RFC 4724 section 4.2, RFC 9494 section 4, RFC 7313 section 4, from the RIB's side. */
import { expect } from 'chai';
import { parsePrefix } from 'node-bgp/address';
import { reach, ribPeer, RibWorld, sequence, type WirePeer } from './rib-world.js';

const PATH = { asPath: sequence(65001) };
const SENDER = ribPeer('sender', { role: 'ebgp', at: '10.1.0.1' });
const V4 = '192.0.2.0/24';
const V6 = '2001:db8::/32';

function world(): { world: RibWorld; to: WirePeer } {
  const made = new RibWorld();
  const to = made.up(ribPeer('to', { role: 'ebgp', at: '10.2.0.1', remoteAs: 65002 }));
  made.up(SENDER);
  made.announce(
    'sender',
    reach(V4, '10.1.0.1', PATH),
    reach('198.51.100.0/24', '10.1.0.1', PATH),
    reach(V6, 'fd00::1', PATH),
  );
  made.settle();
  return { world: made, to };
}

describe('Rib over restarts', () => {
  it('drops the paths of a session that ended for good', () => {
    const { world: made, to } = world();
    made.down('sender', 'drop');
    made.settle();
    expect(to.heard.size).to.equal(0);
    expect(made.rib.queries.peerId('sender')).to.equal(undefined);
  });

  it('keeps those of the families named, stale and in use, and drops the others', () => {
    const { world: made, to } = world();
    const { id } = made.peer('sender');
    made.down('sender', [4]);
    made.settle();
    expect([...to.heard.keys()].sort()).to.deep.equal(['192.0.2.0/24', '198.51.100.0/24']);
    expect(made.rib.queries.counts(id, 4).stale).to.equal(2);
    expect(made.rib.queries.paths(parsePrefix(V4))[0]?.isStale).to.equal(true);
  });

  it('gives them back to the session that returns, without a word to others, and sweeps at End-of-RIB what it did not repeat', () => {
    const { world: made, to } = world();
    const { id } = made.peer('sender');
    made.down('sender', [4, 6]);
    const { updates } = to;
    const again = made.up(SENDER);
    expect(again.id).to.equal(id);
    made.announce('sender', reach(V4, '10.1.0.1', PATH));
    made.settle();
    expect(to.updates, 'nothing has changed for anybody').to.equal(updates);
    made.rib.endOfRib(id, 4);
    made.rib.endOfRib(id, 6);
    made.settle();
    expect([...to.heard.keys()]).to.deep.equal([V4]);
    expect(made.rib.queries.counts(id, 4)).to.include({ received: 1, stale: 0 });
  });

  it('sweeps when time is up, and lets go of the peer with the last family', () => {
    const { world: made, to } = world();
    const { id } = made.peer('sender');
    made.down('sender', [4, 6]);
    made.rib.sweepStale(id, 4);
    made.settle();
    expect([...to.heard.keys()]).to.deep.equal([V6]);
    made.rib.sweepStale(id, 6);
    made.settle();
    expect(to.heard.size).to.equal(0);
    expect(() => made.rib.queries.counts(id, 4)).to.throw(RangeError);
  });

  it('lets go at once, over a second restart, of what the session between had not repeated (4724 4.2)', () => {
    for (const isSwept of [false, true]) {
      const { world: made, to } = world();
      made.down('sender', [4]);
      made.settle();
      const { id } = made.up(SENDER);
      made.announce('sender', reach(V4, '10.1.0.1', PATH), reach('203.0.113.0/24', '10.1.0.1', PATH));
      // The sweep has not come to anything yet.
      if (isSwept) made.rib.endOfRib(id, 4);
      made.down('sender', [4]);
      made.settle();
      expect([...to.heard.keys()].sort(), String(isSwept)).to.deep.equal([V4, '203.0.113.0/24']);
      expect(made.rib.queries.counts(id, 4)).to.include({ received: 2, stale: 2 });
      made.up(SENDER);
      made.announce('sender', reach(V4, '10.1.0.1', PATH));
      made.rib.endOfRib(id, 4);
      made.settle();
      expect([...to.heard.keys()]).to.deep.equal([V4]);
      expect(made.rib.queries.counts(id, 4)).to.include({ received: 1, stale: 0 });
    }
  });

  it('keeps what the next session repeats while the rest of before is still to go', () => {
    const { world: made, to } = world();
    made.down('sender', [4]);
    made.up(SENDER);
    made.down('sender', [4]);
    const { id } = made.up(SENDER);
    made.announce('sender', reach(V4, '10.1.0.1', PATH));
    made.settle();
    expect([...to.heard.keys()]).to.deep.equal([V4]);
    expect(made.rib.queries.counts(id, 4)).to.include({ received: 1, stale: 0 });
  });

  it('keeps what an enhanced refresh has marked when the session goes in its midst (7313)', () => {
    const { world: made, to } = world();
    const { id } = made.peer('sender');
    made.rib.beginRefresh(id, 4);
    made.down('sender', [4]);
    made.settle();
    expect(to.heard.size).to.equal(2);
    expect(made.rib.queries.counts(id, 4)).to.include({ received: 2, stale: 2 });
  });

  it('never takes the paths of a returning session for those being dropped', () => {
    const { world: made, to } = world();
    made.down('sender', 'drop');
    made.up(SENDER);
    made.announce('sender', reach(V4, '10.1.0.1', PATH));
    made.settle();
    expect([...to.heard.keys()]).to.deep.equal([V4]);
    expect(made.rib.queries.counts(made.peer('sender').id, 4).received).to.equal(1);
  });

  it('lets a returning session announce what its old family was just dropped for', () => {
    const { world: made, to } = world();
    made.down('sender', [4]);
    made.up(SENDER);
    made.announce('sender', reach(V6, 'fd00::1', PATH));
    made.settle();
    expect(to.heard.has(V6)).to.equal(true);
  });

  it('uses a PeerId again only when nothing remembers the old owner', () => {
    const { world: made, to } = world();
    const { id } = made.peer('sender');
    made.down('sender', 'drop');
    const next = made.up(ribPeer('next', { role: 'ebgp', at: '10.1.0.5', routerId: 5 }));
    expect(next.id, 'the old paths are still being dropped').to.not.equal(id);
    made.settle();
    expect(to.heard.size).to.equal(0);
    expect(made.up(ribPeer('third', { role: 'ebgp', at: '10.1.0.6', routerId: 6 })).id).to.equal(id);
  });

  describe('long-lived (9494)', () => {
    it('lets long-lived stale paths go when the peer goes away again before it has repeated them', () => {
      const { world: made, to } = world();
      const { id } = made.peer('sender');
      made.down('sender', [4]);
      made.rib.keepLongLived(id, 4);
      made.settle();
      made.up(SENDER);
      made.announce('sender', reach(V4, '10.1.0.1', PATH));
      made.down('sender', [4]);
      made.settle();
      expect([...to.heard.keys()]).to.deep.equal([V4]);
      expect(made.rib.queries.paths(parsePrefix('198.51.100.0/24'))).to.deep.equal([]);
    });

    it('keeps stale paths as a last resort with LLGR_STALE, and not those that forbid it', () => {
      const { world: made } = world();
      const internal = made.up(ribPeer('internal', { role: 'ibgp', at: '10.3.0.1', longLivedGracefulRestart: true }));
      made.announce('sender', reach('198.51.100.0/24', '10.1.0.1', { ...PATH, communities: [0xffff0007] }));
      const { id } = made.peer('sender');
      made.down('sender', [4]);
      made.rib.keepLongLived(id, 4);
      made.settle();
      expect([...internal.heard.keys()].filter((key) => !key.includes(':'))).to.deep.equal([V4]);
      expect(internal.heard.get(V4)).to.contain('4294901766');
      expect(made.rib.queries.counts(id, 4)).to.include({ received: 1, stale: 1 });
      made.up(ribPeer('other', { role: 'ebgp', at: '10.1.0.9', remoteAs: 65009 }));
      made.announce('other', reach(V4, '10.1.0.9', { asPath: sequence(65009, 1, 2, 3, 4, 5) }));
      expect(made.rib.queries.why(parsePrefix(V4)).candidates.map(({ decidedBy }) => decidedBy)).to.deep.equal([
        'long-lived-stale',
        'long-lived-stale',
      ]);
      expect(made.rib.queries.paths(parsePrefix(V4))[0]?.source).to.include({ peer: 'other' });
    });

    it('makes a path fresh again when the peer repeats it', () => {
      const { world: made, to } = world();
      const { id } = made.peer('sender');
      made.down('sender', [4]);
      made.rib.keepLongLived(id, 4);
      made.settle();
      expect(to.heard.has(V4), 'a peer without LLGR is not told').to.equal(false);
      made.up(SENDER);
      made.announce('sender', reach(V4, '10.1.0.1', PATH));
      made.settle();
      expect(to.heard.get(V4)).to.not.contain('4294901766');
      expect(made.rib.queries.paths(parsePrefix(V4))[0]?.isStale).to.equal(false);
    });
  });

  it('sweeps after an enhanced refresh what was not repeated (7313)', () => {
    const { world: made, to } = world();
    const { id } = made.peer('sender');
    made.rib.beginRefresh(id, 4);
    made.announce('sender', reach(V4, '10.1.0.1', PATH));
    made.rib.endRefresh(id, 4);
    made.settle();
    expect([...to.heard.keys()].sort()).to.deep.equal([V4, V6].sort());
  });
});
