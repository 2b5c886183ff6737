/** A peer that opens and ceases in a loop (RFC 4271 8.1.1): it is met less and less often, and writes neither log nor history full. */
import { expect } from 'chai';
import type { SpeakerConfig } from 'node-bgp/config';
import { encodeControlMessage } from 'node-bgp/codec/message';
import { StubPeer } from './stub-peer.js';
import { peerAt, World, type Node } from './world.js';

const [A, STUB] = ['10.0.0.1', '10.0.0.9'] as const;
const CEASE = encodeControlMessage({ type: 'notification', code: 6, subcode: 4, data: Uint8Array.of() });

const PEERS: Readonly<Record<string, Partial<SpeakerConfig>>> = {
  'a peer that dials': { peers: [peerAt(STUB, 65001, { passive: true })] },
  'a peer that both ends dial': { peers: [peerAt(STUB, 65001)] },
  'a peer out of a range': {
    dynamicPeers: [{ name: 'rack', range: '10.0.0.0/24', remoteAs: 65001, multihop: 2, limit: 3 }],
  },
};

async function looping(more: Partial<SpeakerConfig>, loop: (stub: StubPeer) => void, seconds: number) {
  const world = new World();
  const a = world.speaker(A);
  await a.configure(a.config(64512, [], more));
  const stub = new StubPeer(world.clock, STUB, () => undefined);
  for (let i = 0; i < seconds * 10; i++) {
    if (!stub.isEstablished) stub.dial(world.network.host(STUB), { address: A, port: 1790 });
    world.clock.advance(100);
    loop(stub);
  }
  return { world, a, stub };
}

const ups = (a: Node): number => a.told('peer-up').length;

describe('bgp/speaker damping', () => {
  for (const [about, more] of Object.entries(PEERS)) {
    it(`${about}, and ceases at once: ten minutes of it are some twenty sessions`, async () => {
      const { a } = await looping(more, (stub) => stub.isEstablished && stub.send(CEASE), 600);
      expect(ups(a)).to.be.within(5, 25);
      expect(a.events.length).to.be.below(400);
      expect(a.speaker.summary().peers.length).to.be.at.most(1);
    });

    it(`${about}, and hangs up at once: the same`, async () => {
      const { a } = await looping(more, (stub) => stub.isEstablished && stub.hangUp(), 600);
      expect(ups(a)).to.be.within(5, 25);
      expect(a.events.length).to.be.below(400);
    });

    it(`${about}, and stops doing so: is back within a minute, and after a session that lives all is forgotten`, async () => {
      const { a, world, stub } = await looping(more, (each) => each.isEstablished && each.send(CEASE), 120);
      const before = ups(a);
      for (let i = 0; i < 700 && !stub.isEstablished; i++) {
        stub.dial(world.network.host(STUB), { address: A, port: 1790 });
        world.clock.advance(100);
      }
      expect(ups(a)).to.equal(before + 1);
      world.seconds(70);
      stub.hangUp();
      world.clock.advance(200);
      stub.dial(world.network.host(STUB), { address: A, port: 1790 });
      world.seconds(1);
      expect(ups(a)).to.equal(before + 2);
    });
  }

  it('a peer that ceases after our OPEN, before there is a session, is refused for a while too', async () => {
    const { a } = await looping(PEERS['a peer out of a range'] ?? {}, () => undefined, 0);
    const world = new World();
    const b = world.speaker(A);
    await b.configure(b.config(64512, [], PEERS['a peer out of a range']));
    const stub = new StubPeer(world.clock, STUB, () => [6, 5]);
    for (let i = 0; i < 3000; i++) {
      stub.dial(world.network.host(STUB), { address: A, port: 1790 });
      world.clock.advance(100);
    }
    expect(stub.opens.length).to.be.within(5, 25);
    expect(b.events.length).to.be.below(200);
    expect([a.events.length, b.speaker.summary().peers.length]).to.deep.equal([1, 0]);
  });

  it('a peer that restarts a few times is met at once each time', async () => {
    const { a, world, stub } = await looping(PEERS['a peer that dials'] ?? {}, () => undefined, 1);
    for (let i = 0; i < 4; i++) {
      stub.hangUp();
      world.clock.advance(100);
      stub.dial(world.network.host(STUB), { address: A, port: 1790 });
      world.seconds(1);
    }
    expect([ups(a), stub.isEstablished]).to.deep.equal([5, true]);
  });

  describe('of a peer whose OPEN or ours was refused', () => {
    const B = '10.0.0.2';
    for (const passive of [false, true])
      it(`lets it in within seconds once the other end is corrected${passive ? ', without dialling it' : ''}`, async () => {
        const world = new World();
        const a = world.speaker(A);
        const b = world.speaker(B);
        await a.configure(a.config(64512, [peerAt(B, 64513, { passive })]));
        await b.configure(b.config(64513, [peerAt(A, 64999)]));
        world.seconds(600);
        expect(a.events.length + b.events.length).to.be.below(400);
        await b.configure(b.config(64513, [peerAt(A, 64512)]));
        world.seconds(6);
        expect([a.state(B), b.state(A)]).to.deep.equal(['Established', 'Established']);
      });

    it('hears it no more often than every few seconds', async () => {
      const world = new World();
      const a = world.speaker(A);
      await a.configure(a.config(64512, [peerAt(STUB, 65002, { passive: true })]));
      const stub = new StubPeer(world.clock, STUB, () => undefined);
      for (let i = 0; i < 6000; i++) {
        stub.dial(world.network.host(STUB), { address: A, port: 1790 });
        world.clock.advance(100);
      }
      expect(stub.opens.length).to.be.within(100, 160);
      expect(a.events.length).to.be.below(400);
    });
  });
});
