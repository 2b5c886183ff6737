/** Next hops and neighbours behind routes of the kernel that others made (RFC 4271 section 5.1.3). */
import { expect } from 'chai';
import { formatAddress, parseAddress, parsePrefix } from 'node-bgp/address';
import type { KernelRoute } from 'node-bgp/rib/contract';
import type { LocalInterface } from 'node-bgp/session/interface';
import { innerPeer, peerAt, World, type Node } from './world.js';

const A = '10.0.0.1';
const B = '10.0.0.2';
const PREFIX = '10.65.2.0/24';

const link = (name: string, text: string): LocalInterface => {
  const [address = '', length = ''] = text.split('/');
  return { name, isUp: true, addresses: [{ address: parseAddress(address), length: Number(length) }] };
};
const route = (prefix: string, interfaceName: string, gateway?: string): KernelRoute => ({
  prefix: parsePrefix(prefix),
  metric: 0,
  hops: [{ ...(gateway === undefined ? {} : { address: parseAddress(gateway) }), interfaceName, weight: 1 }],
});

/** A node whose mesh peer is a router away, and that peer. */
async function mesh(world: World): Promise<readonly [Node, Node]> {
  const [a, b] = [world.speaker(A), world.speaker(B)];
  a.speaker.setInterfaces([link('lo', '10.0.0.1/32'), link('eth0', '192.0.2.1/24')]);
  await a.configure(a.config(64512, [innerPeer(B, 64512, { localAddress: A })]));
  await b.configure(b.config(64512, [innerPeer(A, 64512)], { originate: [{ prefix: PREFIX }] }));
  world.seconds(10);
  return [a, b];
}

describe('bgp/speaker kernel routes', () => {
  it('lead to a mesh peer, as long as they are there', async () => {
    const world = new World();
    const [a] = await mesh(world);
    expect([a.state(B), a.prefixes()]).to.deep.equal(['Established', []]);
    expect([...a.speaker.nextHopTargets()].map(formatAddress)).to.include(B);
    a.speaker.setKernelRoutes([route('10.0.0.0/24', 'eth0', '192.0.2.254')]);
    world.seconds(1);
    expect(a.prefixes()).to.deep.equal([PREFIX]);
    a.speaker.setKernelRoutes([]);
    world.seconds(1);
    expect([a.state(B), a.prefixes()]).to.deep.equal(['Established', []]);
  });

  it('through the default count until the configuration says no, and again, without a reset', async () => {
    const world = new World();
    const [a] = await mesh(world);
    a.speaker.setKernelRoutes([route('0.0.0.0/0', 'eth0', '192.0.2.254')]);
    world.seconds(1);
    expect(a.prefixes()).to.deep.equal([PREFIX]);
    const peers = [innerPeer(B, 64512, { localAddress: A })];
    for (const resolveThroughDefault of [false, true]) {
      const { reset } = await a.configure(a.config(64512, peers, { resolveThroughDefault }));
      world.seconds(1);
      expect([reset, a.prefixes()], String(resolveThroughDefault)).to.deep.equal([
        [],
        resolveThroughDefault ? [PREFIX] : [],
      ]);
    }
  });

  it('survive a new RIB, which a new router id makes', async () => {
    const world = new World();
    const [a] = await mesh(world);
    a.speaker.setKernelRoutes([route('10.0.0.0/24', 'eth0', '192.0.2.254')]);
    await a.configure({ ...a.config(64512, [innerPeer(B, 64512, { localAddress: A })]), routerId: '10.9.9.9' });
    world.seconds(30);
    expect([a.state(B), a.prefixes()]).to.deep.equal(['Established', [PREFIX]]);
  });

  it('over a device make a neighbour of who is in no prefix of a link; over a gateway they do not', async () => {
    const world = new World();
    const [a, b] = [world.speaker(A), world.speaker(B)];
    a.speaker.setInterfaces([link('eth0', '10.0.0.1/32')]);
    await a.configure(a.config(64512, [{ address: B, port: 1790, remoteAs: 64513 }]));
    await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: [{ prefix: PREFIX }] }));
    world.seconds(10);
    expect(a.speaker.neighbor(B)?.heldDown).to.include('needs "multihop"');
    expect([...a.speaker.nextHopTargets()].map(formatAddress), 'the daemon looks for its route').to.deep.equal([B]);
    a.speaker.setKernelRoutes([route('10.0.0.2/32', 'eth0', '192.0.2.254')]);
    world.seconds(10);
    expect(a.speaker.neighbor(B)?.heldDown).to.include('needs "multihop"');
    a.speaker.setKernelRoutes([route('10.0.0.2/32', 'eth0')]);
    world.seconds(30);
    expect([a.state(B), a.prefixes()]).to.deep.equal(['Established', [PREFIX]]);
    await a.configure(a.config(64512, [{ address: B, port: 1790, remoteAs: 64513 }], { ignoredInterfaces: ['eth0'] }));
    world.seconds(1);
    expect([a.state(B), a.prefixes()], 'an ignored link').to.deep.equal(['Idle', []]);
  });
});
