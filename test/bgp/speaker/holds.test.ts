/** What holds a peer down, and that the configuration change which cures it lifts the hold at once. */
import { expect } from 'chai';
import { parseAddress } from 'node-bgp/address';
import type { PeerConfig } from 'node-bgp/config';
import type { LocalInterface } from 'node-bgp/session/interface';
import { peerAt, World, type Node } from './world.js';

const [A, B, FAR] = ['10.0.0.1', '10.0.0.2', '10.9.9.9'] as const;

const link = (name: string, address: string, length: number, isUp = true): LocalInterface => ({
  name,
  isUp,
  addresses: [{ address: parseAddress(address), length }],
});
const LINKS = [link('eth0', A, 24), link('eth1', '192.0.2.1', 24, false), link('lo', '10.0.7.1', 32)];

/** One node with these links, whose one peer answers as AS 64513, and what holds it. */
async function held(peer: PeerConfig, address: string): Promise<readonly [World, Node, string | undefined]> {
  const world = new World();
  const [a, b] = [world.speaker(A), world.speaker(address)];
  a.speaker.setInterfaces(LINKS);
  await b.configure(
    b.config(
      64513,
      [A, '10.0.7.1'].map((each) => peerAt(each, 64512, { passive: true })),
      {
        originate: Array.from({ length: 9 }, (_, i) => ({ prefix: `10.66.${i}.0/24` })),
      },
    ),
  );
  await a.configure(a.config(64512, [peer]));
  world.seconds(10);
  return [world, a, a.speaker.neighbor('peer')?.heldDown];
}

interface Case {
  readonly about: string;
  readonly at: string;
  readonly holds: string;
  readonly before: object;
  readonly after: object;
}

const CASES: readonly Case[] = [
  { about: 'multihop', at: FAR, holds: 'needs "multihop"', before: {}, after: { multihop: 2 } },
  { about: 'ttlSecurityHops', at: FAR, holds: 'needs "multihop"', before: {}, after: { ttlSecurityHops: 3 } },
  {
    about: 'ttlSecurityHops raised',
    at: FAR,
    holds: 'needs "multihop"',
    before: { ttlSecurityHops: 1 },
    after: { ttlSecurityHops: 2 },
  },
  {
    about: 'localAddress taken away',
    at: B,
    holds: 'Local address 10.0.7.9 is on no interface',
    before: { localAddress: '10.0.7.9' },
    after: {},
  },
  {
    about: 'localAddress that is there',
    at: B,
    holds: 'Local address 10.0.7.9 is on no interface',
    before: { multihop: 2, localAddress: '10.0.7.9' },
    after: { multihop: 2, localAddress: '10.0.7.1' },
  },
  {
    about: 'address on a link that is up',
    at: B,
    holds: 'No interface that is up',
    before: { address: '192.0.2.2' },
    after: {},
  },
  {
    about: 'shutdown taken away',
    at: B,
    holds: 'Shut down by configuration',
    before: { shutdown: true },
    after: {},
  },
  {
    about: 'maxPrefixes raised',
    at: B,
    holds: 'the limit is 5',
    before: { maxPrefixes: 5 },
    after: { maxPrefixes: 20 },
  },
  {
    about: 'maxPrefixesWarnOnly',
    at: B,
    holds: 'the limit is 5',
    before: { maxPrefixes: 5 },
    after: { maxPrefixes: 5, maxPrefixesWarnOnly: true },
  },
  {
    about: 'maxPrefixes left to the default',
    at: B,
    holds: 'the limit is 5',
    before: { maxPrefixes: 5, maxPrefixesRestartAfter: 3600 },
    after: {},
  },
];

describe('bgp/speaker holds', () => {
  for (const { about, at, holds, before, after } of CASES)
    it(`${about}: lifts what held the peer, and it comes up at once`, async () => {
      const peer = (more: object): PeerConfig => ({ name: 'peer', address: at, port: 1790, remoteAs: 64513, ...more });
      const [world, a, reason] = await held(peer(before), at);
      expect(reason).to.contain(holds);
      await a.reconfigure({ peers: [peer(after)] });
      world.seconds(3);
      expect([a.speaker.neighbor('peer')?.heldDown, a.state('peer')]).to.deep.equal([undefined, 'Established']);
    });

  it('a limit that is still too low holds it again', async () => {
    const peer = (maxPrefixes: number): PeerConfig => peerAt(B, 64513, { name: 'peer', maxPrefixes });
    const [world, a] = await held(peer(5), B);
    await a.reconfigure({ peers: [peer(6)] });
    world.seconds(3);
    expect(a.speaker.neighbor('peer')?.heldDown).to.contain('the limit is 6');
  });

  it('a change that cures nothing lifts nothing, and the reason keeps its words', async () => {
    const peer = (more: object): PeerConfig => ({ name: 'peer', address: '192.0.2.2', remoteAs: 64513, ...more });
    const world = new World();
    const a = world.speaker(A);
    a.speaker.setInterfaces(LINKS.map((each) => ({ ...each, isUp: true })));
    await a.configure(a.config(64512, [peer({})]));
    a.speaker.setInterfaces(LINKS);
    await a.reconfigure({ peers: [peer({ description: 'rack 7' })] });
    expect(a.speaker.neighbor('peer')?.heldDown).to.equal('Interface eth1 is down or has lost its carrier');
  });
});
