/** Graceful restart, both sides (RFC 4724, RFC 8538, RFC 9494). */
import { expect } from 'chai';
import { peerAt, World, type Node } from './world.js';

const A = '10.0.0.1';
const B = '10.0.0.2';

interface Options {
  readonly a?: object;
  readonly b?: object;
  readonly aSpeaker?: object;
  readonly bSpeaker?: object;
}

async function pair(
  world: World,
  { a: aPeer, b: bPeer, aSpeaker, bSpeaker }: Options = {},
): Promise<readonly [Node, Node]> {
  const a = world.speaker(A);
  await a.configure(
    a.config(64512, [peerAt(B, 64513, aPeer)], { originate: [{ prefix: '10.65.1.0/24' }], ...aSpeaker }),
  );
  const b = await start(world, { b: bPeer, bSpeaker });
  world.seconds(10);
  expect(a.prefixes()).to.include('10.65.2.0/24');
  return [a, b];
}

async function start(world: World, { b: bPeer, bSpeaker }: Options = {}, isRestarting = false): Promise<Node> {
  const b = world.speaker(B, { isRestarting });
  await b.configure(
    b.config(64513, [peerAt(A, 64512, bPeer)], { originate: [{ prefix: '10.65.2.0/24' }], ...bSpeaker }),
  );
  return b;
}

describe('bgp/speaker graceful restart', () => {
  it('keeps the routes of a peer that was killed, and lets them go after its restart time (4.2)', async () => {
    const world = new World();
    const [a] = await pair(world, { bSpeaker: { gracefulRestartTime: 30 } });
    world.network.kill(B);
    world.seconds(29);
    expect(a.prefixes()).to.include('10.65.2.0/24');
    expect(a.speaker.neighbor(B)?.stale.map(({ phase }) => phase)).to.deep.equal(['restarting', 'restarting']);
    expect(a.speaker.summary().peers[0]?.families.ipv4?.stale).to.equal(1);
    world.seconds(2);
    expect(a.prefixes()).to.not.include('10.65.2.0/24');
    expect(a.told('stale-swept')[0]?.reason).to.equal('The peer was not back after 30 s');
    // The RIB has taken the peer's id back: whoever looks must not stumble over it.
    expect(a.speaker.summary().peers[0]?.families).to.deep.equal({});
    expect(a.speaker.neighbor(B)?.stale).to.deep.equal([]);
  });

  it('takes a restarted peer back without a gap, and sweeps at End-of-RIB what it no longer has', async () => {
    const world = new World();
    const [a] = await pair(world, {
      bSpeaker: { originate: [{ prefix: '10.65.2.0/24' }, { prefix: '10.65.3.0/24' }] },
    });
    world.network.kill(B);
    world.seconds(5);
    await start(world, {}, true);
    for (let i = 0; i < 100; i++) {
      world.clock.advance(100);
      expect(a.prefixes()).to.include('10.65.2.0/24');
    }
    expect(a.prefixes()).to.not.include('10.65.3.0/24');
    expect(a.speaker.neighbor(B)?.stale).to.deep.equal([]);
    expect(a.told('peer-up')).to.have.length(2);
  });

  it('forgets a peer that comes back without its forwarding state (4.2)', async () => {
    const world = new World();
    const [a] = await pair(world);
    world.network.kill(B);
    world.seconds(5);
    await start(world, { bSpeaker: { originate: [] } }, false);
    world.seconds(5);
    expect(a.told('stale-swept').map(({ reason }) => reason)).to.deep.equal([
      'The peer came back without its forwarding state',
      'The peer came back without its forwarding state',
    ]);
    expect(a.prefixes()).to.deep.equal(['10.65.1.0/24']);
  });

  it('notices by a new connection that the peer has restarted (section 5)', async () => {
    const world = new World();
    const [a] = await pair(world, { a: { passive: true } });
    // The peer's machine loses power: no FIN, and its sessions stand here until the hold time is over.
    world.network.silent.add(B);
    world.network.kill(B);
    world.seconds(10);
    expect(a.state(B)).to.equal('Established');
    world.network.silent.delete(B);
    await start(world, {}, true);
    world.seconds(3);
    expect(a.told('peer-down')[0]?.reason).to.contain('it has restarted');
    expect(a.told('peer-up')).to.have.length(2);
  });

  it('keeps nothing for a peer that said goodbye, or when we end it', async () => {
    const world = new World();
    const [a, b] = await pair(world);
    await b.speaker.stop();
    world.seconds(1);
    expect(a.told('peer-down')[0]).to.deep.include({ keptFamilies: [] });
    expect(a.told('peer-down')[0]?.reason).to.contain('Hard Reset');
    expect(a.prefixes()).to.deep.equal(['10.65.1.0/24']);
  });

  it('keeps routes over an expired hold timer where both agreed on RFC 8538', async () => {
    const world = new World();
    const [a] = await pair(world, { a: { holdTime: 9 } });
    world.network.silent.add(B);
    world.seconds(12);
    expect(a.told('peer-down')[0]).to.deep.include({ keptFamilies: [4, 6] });
    expect(a.prefixes()).to.include('10.65.2.0/24');
  });

  it('does nothing of this when it is switched off', async () => {
    const world = new World();
    const [a] = await pair(world, { a: { gracefulRestart: false } });
    world.network.kill(B);
    world.seconds(1);
    expect(a.prefixes()).to.deep.equal(['10.65.1.0/24']);
  });

  it('goes on to long-lived stale routes, of least preference, until their time is up too (9494)', async () => {
    const world = new World();
    const [a] = await pair(world, {
      bSpeaker: { gracefulRestartTime: 10, longLivedRestartTime: 100 },
      aSpeaker: { longLivedRestartTime: 100 },
    });
    world.network.kill(B);
    world.seconds(11);
    expect(a.speaker.neighbor(B)?.stale.map(({ phase }) => phase)).to.deep.equal(['long-lived', 'long-lived']);
    expect(a.prefixes()).to.include('10.65.2.0/24');
    world.seconds(100);
    expect(a.prefixes()).to.deep.equal(['10.65.1.0/24']);
  });

  describe('of a peer that is back and has not sent all yet', () => {
    /** It waits itself, for somebody who does not answer, and says nothing of what it had. */
    async function backAfter(seconds: number): Promise<readonly [World, Node]> {
      const world = new World();
      const [a] = await pair(world, {
        bSpeaker: { gracefulRestartTime: 10, longLivedRestartTime: 20 },
        aSpeaker: { longLivedRestartTime: 20 },
      });
      world.network.kill(B);
      world.seconds(seconds);
      const b = world.speaker(B, { isRestarting: true, onForwarding: () => undefined });
      await b.configure(
        b.config(64513, [peerAt(A, 64512), peerAt('10.0.0.9', 64514)], {
          gracefulRestartTime: 10,
          longLivedRestartTime: 20,
        }),
      );
      for (let i = 0; i < 60 && a.state(B) !== 'Established'; i++) world.clock.advance(50);
      expect(a.speaker.neighbor(B)?.stale.map(({ phase }) => phase)).to.deep.equal(['refreshing', 'refreshing']);
      expect(a.prefixes()).to.include('10.65.2.0/24');
      return [world, a];
    }

    for (const [what, seconds] of [
      ['stale', 5],
      ['long-lived stale', 15],
    ] as const)
      it(`lets ${what} routes go when it goes away again (4724 4.2, 9494 4.3)`, async () => {
        const [world, a] = await backAfter(seconds);
        world.network.kill(B);
        world.clock.advance(100);
        expect(a.prefixes()).to.deep.equal(['10.65.1.0/24']);
        expect(a.told('stale-swept').map(({ reason }) => reason)).to.deep.equal([
          'The peer went away again before it had repeated them (RFC 4724)',
          'The peer went away again before it had repeated them (RFC 4724)',
        ]);
      });

    it('lets long-lived stale routes go when their time is up, back or not (9494 4.3)', async () => {
      const [world, a] = await backAfter(26);
      world.seconds(5);
      expect(a.state(B)).to.equal('Established');
      expect(a.prefixes()).to.deep.equal(['10.65.1.0/24']);
    });
  });

  it('as the restarting speaker holds everything back until all peers have sent End-of-RIB (4.1)', async () => {
    const world = new World();
    const a = world.speaker(A);
    await a.configure(a.config(64512, [peerAt(B, 64513)], { originate: [{ prefix: '10.65.1.0/24' }] }));
    const c = world.speaker('10.0.0.3');
    await c.configure(
      c.config(64514, [peerAt(B, 64513, { passive: true })], { originate: [{ prefix: '10.65.3.0/24' }] }),
    );
    const b = world.speaker(B, { isRestarting: true });
    await b.configure(
      b.config(64513, [peerAt(A, 64512), peerAt('10.0.0.3', 64514)], { originate: [{ prefix: '10.65.2.0/24' }] }),
    );
    expect(b.speaker.isRestarting).to.equal(true);
    world.seconds(5);
    expect(b.told('restart-done')[0]?.reason).to.equal('Every peer has sent its End-of-RIB');
    expect(a.prefixes()).to.include.members(['10.65.2.0/24', '10.65.3.0/24']);
  });

  it('does not wait long for a peer that does not answer, nor for one that restarts too', async () => {
    const world = new World();
    const b = world.speaker(B, { isRestarting: true });
    const a = world.speaker(A, { isRestarting: true });
    await b.configure(
      b.config(64513, [peerAt(A, 64512), peerAt('10.0.0.3', 64514)], { originate: [{ prefix: '10.65.2.0/24' }] }),
    );
    await a.configure(a.config(64512, [peerAt(B, 64513)]));
    world.seconds(8);
    expect(a.told('restart-done')).to.have.length(1);
    expect(b.speaker.isRestarting).to.equal(true);
    world.seconds(11);
    expect(b.speaker.isRestarting).to.equal(false);
    expect(a.prefixes()).to.deep.equal(['10.65.2.0/24']);
  });

  it('on a graceful stop leaves the peer with our routes', async () => {
    const world = new World();
    const [a, b] = await pair(world);
    await b.speaker.stop({ graceful: true });
    world.seconds(5);
    expect(a.prefixes()).to.include('10.65.2.0/24');
  });
});
