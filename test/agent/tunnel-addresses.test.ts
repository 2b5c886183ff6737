import { expect } from 'chai';
import { formatAddress } from 'node-bgp/address';
import { AddressPublisher } from '../../src/agent/address-publisher.js';
import { releaseAddresses } from '../../src/agent/release-request.js';
import { TunnelAddresses, type TunnelNeed } from '../../src/agent/tunnel-addresses.js';
import type { NodeAddresses } from '../../src/api/ipam.js';
import { createLogger } from '../../src/log.js';
import { IpamWorld, type TestNode } from './ipam-world.js';

const log = createLogger('test', { level: 'silent' });
const V4: TunnelNeed = { name: 'vxlan.tortie', family: 4, pools: ['pods'] };
const V6: TunnelNeed = { name: 'vxlan-v6.tortie', family: 6, pools: ['pods6'] };
const POOLS = { pods: { cidr: '10.65.0.0/28', blockSize: 29 }, pods6: { cidr: 'fd00:65::/124', blockSize: 125 } };

describe('agent/tunnel-addresses', () => {
  let world: IpamWorld;
  const open: TunnelAddresses[] = [];
  let released: string[];

  beforeEach(() => {
    world = new IpamWorld();
    released = [];
  });
  afterEach(async () => {
    for (const each of open.splice(0)) each.stop();
    await world.close();
  });

  const tunnelsOf = (node: TestNode): TunnelAddresses => {
    const made = new TunnelAddresses({
      allocator: node.allocator,
      ipam: node.loop,
      pool: (name) => node.cluster.get('ipPools', name),
      names: ['vxlan.tortie', 'vxlan-v6.tortie'],
      log,
      onChange: (addresses) => released.push(...addresses),
    });
    open.push(made);
    return made;
  };
  const eventually = async (what: string, holds: () => boolean): Promise<void> => {
    for (let i = 0; i < 1000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(holds(), what).to.equal(true);
  };
  const textsOf = (tunnels: TunnelAddresses): readonly string[] =>
    ['vxlan.tortie', 'vxlan-v6.tortie'].flatMap((name) => tunnels.of(name).map(formatAddress));

  it('takes an address of each family, keeps it, and tells readers', async () => {
    await world.start(['a'], POOLS);
    const tunnels = tunnelsOf(world.node(0));
    tunnels.want([V4, V6]);
    await eventually('both', () => textsOf(tunnels).length === 2);
    const first = textsOf(tunnels);
    const { allocator } = world.node(0);
    expect(allocator.owners(), 'no pod').to.deep.equal([]);
    // Its pods get all the others.
    const pods = new Set<string>();
    for (let i = 0; i < 7; i++) for (const address of await world.node(0).assign(`p${i}`)) pods.add(address);
    expect(pods.size).to.equal(14);
    for (const address of first) expect(pods.has(address)).to.equal(false);
    const again = tunnelsOf(await world.restart(0));
    again.want([V4, V6]);
    await eventually('both again', () => textsOf(again).length === 2);
    expect(textsOf(again)).to.deep.equal(first);

    let stored: NodeAddresses | undefined;
    const fresh = world.node(0).allocator;
    const publisher = new AddressPublisher({
      node: 'a',
      datastore: {
        get: (async () => undefined) as never,
        create: (async (_: unknown, object: NodeAddresses) => (stored = object)) as never,
        replace: (async (_: unknown, object: NodeAddresses) => (stored = object)) as never,
      },
      owners: () => [...fresh.owners(), ...fresh.nodeOwners()],
      hasNode: () => true,
      log,
      delay: 1,
    });
    publisher.changed();
    await eventually('told', () => stored !== undefined);
    publisher.stop();
    const told = stored?.spec.addresses?.filter(({ tunnel }) => tunnel !== undefined);
    expect(told?.map(({ address, tunnel }) => `${address} ${tunnel}`)).to.have.members([
      `${first[0]} vxlan.tortie`,
      `${first[1]} vxlan-v6.tortie`,
    ]);
  });

  it('gives it back with the tunnel, and takes another when its pool is gone', async () => {
    await world.start(['a'], POOLS);
    const node = world.node(0);
    const tunnels = tunnelsOf(node);
    tunnels.want([V4, V6]);
    await eventually('both', () => textsOf(tunnels).length === 2);
    const [v4 = '', v6 = ''] = textsOf(tunnels);
    tunnels.want([V6]);
    await eventually('one is given back', () => released.join() === v4);
    expect(textsOf(tunnels)).to.deep.equal([v6]);
    const other = { cidr: 'fd00:66::/124', blockSize: 125 };
    node.cluster.delete('ipPools', { metadata: { name: 'pods6' }, spec: POOLS.pods6 });
    node.cluster.upsert('ipPools', { metadata: { name: 'other6' }, spec: other });
    tunnels.want([{ ...V6, pools: ['other6'] }]);
    await eventually('one of the other pool', () => textsOf(tunnels)[0]?.startsWith('fd00:66::') === true);
    expect(released).to.deep.equal([v4, v6]);
  });

  for (const [what, spec] of [
    ['allowedUses without Tunnel', { allowedUses: ['Workload'] }],
    ['a disabled pool', { disabled: true }],
    ['a pool of other nodes', { nodeSelector: 'b' }],
  ] as const)
    it(`takes none of ${what}, and says so`, async () => {
      await world.start(['a'], { pods: { ...POOLS.pods, ...spec } });
      const tunnels = tunnelsOf(world.node(0));
      tunnels.want([V4]);
      await eventually('told', () => tunnels.problems().length === 1);
      expect(tunnels.problems()[0]).to.match(
        /^Cannot assign an IPv4 address to this node's tunnel: of pool "pods" none is enabled, selects this node, and has Tunnel/,
      );
      expect(textsOf(tunnels)).to.deep.equal([]);
    });

  it('a pool for tunnels alone serves tunnels and no pod', async () => {
    await world.start(['a'], { pods: { ...POOLS.pods, allowedUses: ['Tunnel'] } });
    const tunnels = tunnelsOf(world.node(0));
    tunnels.want([V4]);
    await eventually('an address', () => textsOf(tunnels).length === 1);
    expect(await world.node(0).refusal('p')).to.include('pool "pods" (IPv4) has allowedUses without Workload');
  });

  it('is nobody else to take: not a pod that asks for it, nor `tortie ipam release`', async () => {
    await world.start(['a'], POOLS);
    const node = world.node(0);
    const tunnels = tunnelsOf(node);
    tunnels.want([V4]);
    await eventually('an address', () => textsOf(tunnels).length === 1);
    const [address = ''] = textsOf(tunnels);
    expect(await node.refusal('p', [address])).to.include('the node itself has it');
    const [outcome] = await releaseAddresses([address], {
      holderOf: (text) => node.allocator.holderOf(text),
      hasPod: () => false,
      hasInterface: () => false,
      release: () => Promise.reject(new Error('it is in use')),
      keptFor: () => undefined,
      free: async () => false,
    });
    expect(outcome?.message).to.equal(`Cannot release ${address}: the node itself has it, for its tunnel`);
  });
});
