import { expect } from 'chai';
import fc from 'fast-check';
import { innerPeer, peerAt, World, type Node } from './world.js';

const A = '10.0.0.1';
const B = '10.0.0.2';

async function pair(
  world: World,
  more: { readonly a?: object; readonly b?: object; readonly aSpeaker?: object; readonly bSpeaker?: object } = {},
): Promise<readonly [Node, Node]> {
  const a = world.speaker(A);
  const b = world.speaker(B);
  await a.configure(
    a.config(64512, [peerAt(B, 64513, more.a)], {
      originate: [{ prefix: '10.65.1.0/24' }, { prefix: 'fd65:1::/64' }],
      ...more.aSpeaker,
    }),
  );
  await b.configure(
    b.config(64513, [peerAt(A, 64512, more.b)], {
      originate: [{ prefix: '10.65.2.0/24' }, { prefix: 'fd65:2::/64' }],
      ...more.bSpeaker,
    }),
  );
  return [a, b];
}

describe('bgp/speaker sessions', () => {
  it('come up and carry both families, and stop with words', async () => {
    const world = new World();
    const [a, b] = await pair(world);
    world.seconds(2);
    expect([a.state(B), b.state(A)]).to.deep.equal(['Established', 'Established']);
    expect(b.prefixes()).to.include('10.65.1.0/24');
    expect(a.prefixes()).to.include('10.65.2.0/24');
    await a.speaker.stop({ text: 'moving to rack 7' });
    world.seconds(1);
    expect(b.told('peer-down')[0]?.reason).to.contain('moving to rack 7');
    expect(b.prefixes()).to.deep.equal(['10.65.2.0/24', 'fd65:2::/64']);
    await b.speaker.stop();
    expect(world.clock.pending).to.equal(0);
  });

  it('start in either order, at any jitter, and end with exactly one connection (4271 6.8)', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: 0, max: 0.99, noNaN: true }), { minLength: 8, maxLength: 8 }),
        fc.boolean(),
        fc.integer({ min: 0, max: 900 }),
        fc.integer({ min: 0, max: 200 }),
        async (numbers, swap, lead, latency) => {
          let at = 0;
          const world = new World(() => numbers[at++ % numbers.length] ?? 0);
          world.network.latency = () => Math.round((numbers[at++ % numbers.length] ?? 0) * latency);
          const [first, second] = swap ? [B, A] : [A, B];
          const one = world.speaker(first);
          const two = world.speaker(second);
          await one.configure(one.config(64512, [peerAt(second, 64513)]));
          world.clock.advance(lead);
          await two.configure(two.config(64513, [peerAt(first, 64512)]));
          world.seconds(8);
          expect([one.state(second), two.state(first), world.network.open]).to.deep.equal([
            'Established',
            'Established',
            1,
          ]);
          world.seconds(300);
          expect([one.told('peer-down').length, two.told('peer-down').length]).to.deep.equal([0, 0]);
        },
      ),
      { numRuns: 400 },
    ));

  it('of equal router ids come up between autonomous systems (6286), not inside one', async () => {
    const world = new World();
    const a = world.speaker(A);
    const b = world.speaker(B);
    await a.configure({ ...a.config(64512, [peerAt(B, 64513)]), routerId: '10.9.9.9' });
    await b.configure({ ...b.config(64513, [peerAt(A, 64512)]), routerId: '10.9.9.9' });
    world.seconds(5);
    expect([a.state(B), b.state(A), world.network.open]).to.deep.equal(['Established', 'Established', 1]);

    const inside = new World();
    const c = inside.speaker(A);
    const d = inside.speaker(B);
    await c.configure({ ...c.config(64512, [innerPeer(B, 64512)]), routerId: '10.9.9.9' });
    await d.configure({ ...d.config(64512, [innerPeer(A, 64512, { passive: true })]), routerId: '10.9.9.9' });
    inside.seconds(1);
    expect(c.speaker.neighbor(B)?.errors.sent?.text ?? c.speaker.neighbor(B)?.errors.received?.text).to.match(
      /router id 10\.9\.9\.9/,
    );
    expect(d.speaker.neighbor(A)?.errors.sent?.text ?? d.speaker.neighbor(A)?.errors.received?.text).to.match(
      /router id 10\.9\.9\.9/,
    );
  });

  it('with the wrong AS say so on both ends', async () => {
    const world = new World();
    const a = world.speaker(A);
    const b = world.speaker(B);
    await a.configure(a.config(64512, [peerAt(B, 64999)]));
    await b.configure(b.config(64513, [peerAt(A, 64512, { passive: true })]));
    world.seconds(1);
    expect(a.speaker.neighbor(B)?.errors.sent?.text).to.equal(
      `Cannot accept OPEN: its AS is 64513; expected 64999; correct "remoteAs" of peer ${B} here, or the AS over there`,
    );
    expect(b.speaker.neighbor(A)?.errors.received?.text).to.match(/Bad Peer AS.*does not expect our AS 64513/);
  });

  it('that fail again and again are tried less and less often', async () => {
    const world = new World();
    const a = world.speaker(A);
    const b = world.speaker(B);
    await a.configure(a.config(64512, [peerAt(B, 64999)]));
    await b.configure(b.config(64513, [peerAt(A, 64512, { passive: true })]));
    world.seconds(600);
    expect(world.network.connections.length / 2).to.be.within(8, 60);
    // Told once per reason: what it answered, and that the peer then refuses for a while.
    expect(a.told('attempt-failed').map(({ reason }) => reason)).to.deep.equal([
      `Cannot accept OPEN: its AS is 64513; expected 64999; correct "remoteAs" of peer ${B} here, or the AS over there`,
      'The peer closed the connection',
    ]);
    expect(a.speaker.summary().peers[0]?.lastError).to.contain('expected 64999');
  });

  it('to a peer that does not answer name the password as a suspect', async () => {
    const world = new World();
    world.network.silent.add(B);
    const a = world.speaker(A);
    await a.configure(a.config(64512, [peerAt(B, 64513, { password: 'secret' })]));
    world.seconds(10);
    expect(a.state(B)).to.equal('Connect');
    expect(a.speaker.neighbor(B)?.errors.local?.text).to.equal(
      `No answer from peer ${B} port 1790; if a password is set, check that both ends have the same`,
    );
    expect(JSON.stringify([a.speaker.summary(), a.speaker.neighbor(B), a.events])).to.not.contain('secret');
  });

  describe('that are reset by a change of the configuration and do not come up again', () => {
    const noAnswerOf = (peer: string): string =>
      `No answer from peer ${peer} port 1790; if a password is set, check that both ends have the same`;
    const lastError = (node: Node): string | undefined => node.speaker.summary().peers[0]?.lastError;

    it('say why the attempts fail as soon as one has', async () => {
      const world = new World();
      const [a] = await pair(world);
      world.seconds(10);
      world.network.silent.add(B);
      await a.reconfigure({ peers: [peerAt(B, 64513, { password: 'secret' })] });
      expect(lastError(a)).to.equal('Configuration changed: password');
      world.seconds(20);
      expect(lastError(a)).to.equal(noAnswerOf(B));
      expect(a.speaker.neighbor(B)?.errors.sent?.text).to.equal('Configuration changed: password');
    });

    it('say so at the other end, too', async () => {
      const world = new World();
      const [a, b] = await pair(world);
      world.seconds(10);
      world.network.latency = () => 100;
      await a.reconfigure({ peers: [peerAt(B, 64513, { password: 'secret', passive: true })] });
      world.clock.advance(150);
      expect(lastError(b)).to.match(/Other Configuration Change/);
      world.network.silent.add(A);
      world.seconds(20);
      expect(lastError(b)).to.equal(noAnswerOf(A));
    });

    it('no longer say what was refused before it', async () => {
      const world = new World();
      const a = world.speaker(A);
      const b = world.speaker(B);
      await a.configure(a.config(64512, [peerAt(B, 64999)]));
      await b.configure(b.config(64513, [peerAt(A, 64512, { passive: true })]));
      world.seconds(1);
      expect(lastError(a)).to.contain('expected 64999');
      world.network.silent.add(B);
      await a.reconfigure({ peers: [peerAt(B, 64513)] });
      world.seconds(20);
      expect(lastError(a)).to.equal(noAnswerOf(B));
    });
  });

  it('end when nothing is heard for the hold time, and say so', async () => {
    const world = new World();
    const [a, b] = await pair(world, { a: { holdTime: 9 } });
    world.seconds(2);
    expect(a.speaker.neighbor(B)?.holdTime).to.equal(9);
    world.network.silent.add(B);
    world.seconds(10);
    expect(a.told('peer-down')[0]?.reason).to.equal(
      'Nothing was heard from the peer for 9 s (hold time); check the path to it, and whether it is alive',
    );
    expect(b.told('peer-down')[0]?.direction).to.equal('sent');
    world.network.silent.delete(B);
    world.seconds(30);
    expect([a.state(B), b.state(A)]).to.deep.equal(['Established', 'Established']);
  });

  it('stay up on keepalives alone', async () => {
    const world = new World(Math.random);
    const [a, b] = await pair(world, { a: { holdTime: 3 } });
    world.seconds(600);
    expect([a.told('peer-up').length, b.told('peer-up').length]).to.deep.equal([1, 1]);
  });

  it('wait for the peer when passive, and come up when only one end connects', async () => {
    const world = new World();
    const [a, b] = await pair(world, { a: { passive: true } });
    expect(a.state(B)).to.equal('Active');
    world.seconds(3);
    expect([a.state(B), b.state(A)]).to.deep.equal(['Established', 'Established']);
    expect(
      world.network.connections.filter(({ local, direction }) => local.address === A && direction === 'outgoing'),
    ).to.deep.equal([]);
  });

  it('that are not configured are refused by name', async () => {
    const world = new World();
    const a = world.speaker(A);
    const stranger = world.speaker('10.0.0.9');
    await a.configure(a.config(64512, []));
    await stranger.configure(stranger.config(64513, [peerAt(A, 64512)]));
    world.seconds(1);
    expect(a.told('connection-refused')[0]).to.include({ address: '10.0.0.9', reason: 'No peer has this address' });
  });

  it('are cleared, hard and soft', async () => {
    const world = new World();
    const [a, b] = await pair(world);
    world.seconds(2);
    expect(a.speaker.clear(B, { soft: true })).to.equal(true);
    world.seconds(1);
    expect(b.told('peer-down')).to.deep.equal([]);
    expect(a.speaker.neighbor(B)?.sent?.routeRefresh).to.equal(2);
    expect(b.speaker.neighbor(A)?.received?.routeRefresh).to.equal(6); // two requests, and each answer's begin and end
    a.speaker.clear(B);
    world.seconds(3);
    expect(b.told('peer-down')[0]?.reason).to.contain('Administrative Reset');
    expect(a.state(B)).to.equal('Established');
    expect(a.speaker.clear('nobody')).to.equal(false);
  });

  it('out of a range are made on the spot, up to the limit, and leave no trace', async () => {
    const world = new World();
    const a = world.speaker(A);
    await a.configure(
      a.config(64512, [], {
        dynamicPeers: [{ name: 'rack', range: '10.0.1.0/24', remoteAs: [64513, 64514], multihop: 2, limit: 2 }],
        originate: [{ prefix: '10.65.0.0/24' }],
      }),
    );
    const others = await Promise.all(
      ['10.0.1.1', '10.0.1.2', '10.0.1.3'].map(async (address, index) => {
        const other = world.speaker(address);
        await other.configure(other.config(64513 + (index % 2), [peerAt(A, 64512)], { gracefulRestartTime: 0 }));
        return other;
      }),
    );
    world.seconds(2);
    expect(a.speaker.neighborNames).to.deep.equal(['rack/10.0.1.1', 'rack/10.0.1.2']);
    expect(others.map((other) => other.prefixes().length)).to.deep.equal([1, 1, 0]);
    expect(a.told('connection-refused')[0]?.reason).to.equal('Range "rack" has all its 2 peers');
    await others[0]?.speaker.stop();
    world.seconds(1);
    expect(a.speaker.neighborNames).to.not.include('rack/10.0.1.1');
  });

  it('out of a range follow their range, and go with it', async () => {
    const world = new World();
    const a = world.speaker(A);
    const b = world.speaker(B);
    const ranges = (more: object) =>
      a.config(64512, [], {
        dynamicPeers: [{ name: 'rack', range: '10.0.0.0/24', remoteAs: 64513, multihop: 2, ...more }],
      });
    await a.configure(ranges({}));
    await b.configure(b.config(64513, [peerAt(A, 64512)]));
    world.seconds(10);
    await a.configure(ranges({ description: 'third rack' }));
    expect(a.speaker.neighbor(`rack/${B}`)).to.include({
      description: 'third rack',
      isEstablished: true,
      establishedCount: 1,
    });
    await a.configure(ranges({ range: '10.9.0.0/24' }));
    expect(a.speaker.neighborNames).to.deep.equal([]);
    world.seconds(1);
    expect(b.told('peer-down')[0]?.reason).to.contain('Peer De-configured');
  });
});
