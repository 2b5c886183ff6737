/** Options that concern no session change without one noticing: cluster id, multipath, comparison of MED. */
import { expect } from 'chai';
import type { ForwardingEntry } from 'node-bgp/rib/forwarding-entry';
import type { RouteView } from 'node-bgp/rib/answers';
import { innerPeer, peerAt, World, type Node } from './world.js';

const [A, B, C, D] = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'] as const;
const PREFIX = '10.65.0.0/24';

const best = (node: Node): RouteView | undefined => node.best(PREFIX);
const flaps = (nodes: readonly Node[]): number => nodes.reduce((sum, node) => sum + node.told('peer-down').length, 0);

describe('bgp/speaker retune', () => {
  it('a new cluster id goes out with everything reflected, and no session ends (4456)', async () => {
    const world = new World();
    const [a, b, c] = [world.speaker(A), world.speaker(B), world.speaker(C)];
    const reflector = (clusterId: string) =>
      a.config(
        64512,
        [innerPeer(B, 64512, { routeReflectorClient: true }), innerPeer(C, 64512, { routeReflectorClient: true })],
        { clusterId },
      );
    await a.configure(reflector('10.255.0.1'));
    await b.configure(b.config(64512, [innerPeer(A, 64512)], { originate: [{ prefix: PREFIX }] }));
    await c.configure(c.config(64512, [innerPeer(A, 64512)]));
    world.seconds(10);
    expect(best(c)?.attributes.clusterList).to.deep.equal([0x0aff0001]);
    expect(a.speaker.plan(reflector('10.255.0.2')).reset).to.deep.equal([]);
    await a.configure(reflector('10.255.0.2'));
    world.seconds(5);
    expect(best(c)?.attributes.clusterList).to.deep.equal([0x0aff0002]);
    expect(flaps([a, b, c])).to.equal(0);
  });

  it('a new cluster id makes what has passed that cluster a loop, and the old one no longer (4456 8)', async () => {
    const world = new World();
    const [a, b, c] = [world.speaker(A), world.speaker(B), world.speaker(C)];
    const inCluster = (clusterId: string) => a.config(64512, [innerPeer(B, 64512)], { clusterId });
    await a.configure(inCluster('10.255.0.1'));
    await b.configure(
      b.config(
        64512,
        [innerPeer(A, 64512, { routeReflectorClient: true }), innerPeer(C, 64512, { routeReflectorClient: true })],
        { clusterId: '10.255.0.2' },
      ),
    );
    await c.configure(c.config(64512, [innerPeer(B, 64512)], { originate: [{ prefix: PREFIX }] }));
    world.seconds(10);
    expect(best(a)?.attributes.clusterList).to.deep.equal([0x0aff0002]);
    await a.configure(inCluster('10.255.0.2'));
    world.seconds(2);
    expect(a.paths(PREFIX).map(({ unusable }) => unusable)).to.deep.equal(['cluster-loop']);
    await a.configure(inCluster('10.255.0.3'));
    world.seconds(2);
    expect(best(a)).to.not.equal(undefined);
    expect(flaps([a, b, c])).to.equal(0);
  });

  it('another maximum of paths moves the forwarding alone', async () => {
    const world = new World();
    const entries: (ForwardingEntry | undefined)[] = [];
    const a = world.speaker(A, { onForwarding: () => undefined });
    const take = (): number | undefined => {
      while (a.speaker.takeForwarding((_family, _words, _offset, _length, entry) => void entries.push(entry)));
      return entries.at(-1)?.hops.length;
    };
    const shared = (ebgp: number) =>
      a.config(
        64512,
        [B, C, D].map((address, i) => peerAt(address, 64513 + i)),
        { multipath: { ebgp } },
      );
    await a.configure(shared(16));
    const others = [B, C, D].map((address) => world.speaker(address));
    for (const [i, other] of others.entries())
      await other.configure(other.config(64513 + i, [peerAt(A, 64512)], { originate: [{ prefix: PREFIX }] }));
    world.seconds(10);
    expect(take()).to.equal(3);
    expect(a.speaker.plan(shared(2)).reset).to.deep.equal([]);
    await a.configure(shared(2));
    world.seconds(1);
    expect(take()).to.equal(2);
    await a.configure(shared(1));
    world.seconds(1);
    expect(take()).to.equal(1);
    expect(flaps([a, ...others])).to.equal(0);
  });

  it('MED between different neighbours counts from the moment it is asked for (4271 9.1.2.2 c)', async () => {
    const world = new World();
    const a = world.speaker(A);
    const measured = (alwaysCompareMed: boolean) =>
      a.config(64512, [peerAt(B, 64513), peerAt(C, 64514)], { alwaysCompareMed });
    const metric = (med: number) => ({
      originate: [{ prefix: PREFIX }],
      filters: { metric: { rules: [{ set: { med }, action: 'accept' as const }] } },
    });
    await a.configure(measured(false));
    const [b, c] = [world.speaker(B), world.speaker(C)];
    await b.configure(b.config(64513, [peerAt(A, 64512, { export: ['metric'] })], metric(20)));
    await c.configure(c.config(64514, [peerAt(A, 64512, { export: ['metric'] })], metric(10)));
    world.seconds(10);
    expect(best(a)?.attributes).to.deep.include({ med: 20 }); // the lower router id
    await a.configure(measured(true));
    world.seconds(1);
    expect(best(a)?.attributes).to.deep.include({ med: 10 });
    expect(flaps([a, b, c])).to.equal(0);
  });
});
