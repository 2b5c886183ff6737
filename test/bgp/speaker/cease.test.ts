/** Cease subcodes (RFC 4486, 8538, 9003, 9384) at the events they are for, in the words of the other end. */
import { expect } from 'chai';
import { chain, peerAt, World, type Node } from './world.js';

const [A, B] = ['10.0.0.1', '10.0.0.2'] as const;
const many = (count: number) => Array.from({ length: count }, (_, i) => ({ prefix: `10.66.${i}.0/24` }));

interface Case {
  readonly about: string;
  readonly words: string;
  readonly happens: (a: Node, b: Node) => Promise<unknown> | void;
}

const CASES: readonly Case[] = [
  {
    about: 'too many prefixes',
    words: 'Maximum Number of Prefixes Reached',
    happens: (_, b) => b.speaker.originate(many(11)),
  },
  {
    about: 'the speaker stops, with a text (9003)',
    words: 'back at noon – grüße',
    happens: (a) => a.speaker.stop({ text: 'back at noon – grüße' }),
  },
  {
    about: 'the peer is shut down by configuration',
    words: 'Administrative Shutdown',
    happens: (a) => a.reconfigure({ peers: [peerAt(B, 64514, { shutdown: true })] }),
  },
  {
    about: 'the peer is taken out of the configuration',
    words: 'Peer De-configured',
    happens: (a) => a.reconfigure({ peers: [] }),
  },
  { about: 'the operator clears the session', words: 'Administrative Reset', happens: (a) => void a.speaker.clear(B) },
  {
    about: 'the session needs other parameters',
    words: 'Other Configuration Change',
    happens: (a) => a.reconfigure({ peers: [peerAt(B, 64514, { holdTime: 33 })] }),
  },
  { about: 'BFD sees the path fail (9384)', words: 'BFD Down', happens: (a) => a.bfd.change('up', 'down', true) },
];

describe('bgp/speaker Cease (4486)', () => {
  for (const { about, words, happens } of CASES)
    it(`${about}: the other end reads "${words}"`, async () => {
      const world = new World();
      const [a, b] = (await chain(world, [{ after: { maxPrefixes: 10, bfd: {} } }, {}])) as [Node, Node];
      await happens(a, b);
      world.seconds(1);
      expect(b.told('peer-down').map(({ direction }) => direction)).to.deep.equal(['received']);
      expect(b.told('peer-down')[0]?.reason).to.contain(words);
    });

  it('who is no peer of ours, or one too many out of a range, reads "Connection Rejected" (4)', async () => {
    for (const more of [
      {},
      { dynamicPeers: [{ name: 'rack', range: '10.0.0.0/24', remoteAs: 64513, multihop: 2, limit: 1 }] },
    ]) {
      const world = new World();
      const a = world.speaker(A);
      await a.configure(a.config(64512, [], more));
      for (const address of ['10.0.0.8', '10.0.0.9']) {
        const stranger = world.speaker(address);
        await stranger.configure(stranger.config(64513, [peerAt(A, 64512)]));
        world.seconds(1);
        if ('dynamicPeers' in more && address === '10.0.0.8') expect(stranger.state(A)).to.equal('Established');
        else expect(stranger.told('attempt-failed')[0]?.reason).to.contain('Connection Rejected');
      }
      expect(a.told('connection-refused')[0]).to.include({ address: 'dynamicPeers' in more ? '10.0.0.9' : '10.0.0.8' });
    }
  });

  it('a second connection of two is closed with "Connection Collision Resolution", and the session never notices (4271 6.8)', async () => {
    const world = new World();
    world.network.latency = () => 5;
    const [a, b] = (await chain(world, [{}, {}])) as [Node, Node];
    expect(world.network.connections.length).to.be.greaterThan(2);
    expect([
      world.network.open,
      a.told('peer-up').length,
      b.told('peer-up').length,
      a.told('peer-down').length,
      b.told('peer-down').length,
    ]).to.deep.equal([1, 1, 1, 0, 0]);
  });
});
