import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Allocator, MemoryBlockStore, NoAddressError, type Owner } from '@tortie/ipam';
import { formatPrefix, parsePrefix, type Family } from 'node-bgp/address';
import { IpamLoop } from '../../src/agent/ipam-loop.js';
import type { IPPoolSpec } from '../../src/api/ipam.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { createLogger } from '../../src/log.js';

const owner = (id: string): Owner => ({
  network: 'tortie',
  containerId: id,
  interfaceName: 'eth0',
  namespace: 'default',
  pod: id,
});

describe('agent/ipam-loop', () => {
  let directory: string;
  let cluster: Cluster;
  let store: MemoryBlockStore;
  let allocator: Allocator;
  let loop: IpamLoop;

  const pool = (name: string, spec: IPPoolSpec): void => cluster.upsert('ipPools', { metadata: { name }, spec });
  const ask = (
    id: string,
    { 4: v4 = [], 6: v6 = [], addresses = [] }: { 4?: string[]; 6?: string[]; addresses?: string[] },
  ): Promise<readonly string[]> => {
    const pools = new Map<Family, readonly string[]>([
      [4, v4],
      [6, v6],
    ]);
    return loop.assign(owner(id), { pools, addresses });
  };
  const assign = (id: string): Promise<readonly string[]> => ask(id, {});
  const refusal = async (assigning: Promise<unknown>): Promise<string> =>
    String(
      await assigning.then(
        () => 'nothing was refused',
        (thrown: unknown) => thrown,
      ),
    );
  const ownCidrs = (): string[] =>
    allocator
      .ownBlocks()
      .map((block) => formatPrefix(block.prefix))
      .sort();
  const eventually = async (holds: () => boolean): Promise<void> => {
    for (let i = 0; i < 400 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(holds(), 'the condition never held').to.equal(true);
  };

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-agent-'));
    cluster = new Cluster(['ipPools', 'ipamBlocks', 'ipReservations', 'ipamConfigurations', 'namespaces', 'nodes']);
    store = new MemoryBlockStore();
    allocator = await Allocator.open({ journalPath: join(directory, 'ipam.journal'), now: Date.now });
    loop = new IpamLoop({
      node: 'node1',
      cluster,
      allocator,
      store,
      log: createLogger('test', { level: 'silent' }),
      matches: (selector, labels) => labels.get(selector) !== undefined,
      onBlocks: () => {},
      onUsedElsewhere: () => {},
      onHealth: () => {},
    });
    cluster.upsert('nodes', { metadata: { name: 'node1', labels: { rack: '1' } } });
  });
  afterEach(async () => {
    loop.stop();
    await allocator.close();
    rmSync(directory, { recursive: true });
  });

  it('claims a block of each family before anybody asks, and assigns from both', async () => {
    pool('v4', { cidr: '10.65.0.0/24' });
    pool('v6', { cidr: 'fd00:65::/64' });
    await loop.start();
    await eventually(() => ownCidrs().length === 2);
    expect(await assign('a')).to.have.length(2);
    expect((await store.list()).map((block) => block.node)).to.deep.equal(['node1', 'node1']);
  });

  it('waits for the claim when a pod is faster', async () => {
    pool('v4', { cidr: '10.65.0.0/24' });
    await loop.start();
    expect(await assign('a')).to.have.length(1);
  });

  it('claims the next block ahead of need, and says when the pool is exhausted', async () => {
    pool('v4', { cidr: '10.65.0.0/29', blockSize: 30 });
    await loop.start();
    for (let i = 0; i < 8; i++) await assign(`c${i}`);
    expect(ownCidrs()).to.deep.equal(['10.65.0.0/30', '10.65.0.4/30']);
    const error = await assign('one-too-many').catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(NoAddressError);
    expect(String(error)).to.include(
      'Cannot assign an IPv4 address from pool "v4": all 8 addresses of this node\'s 2 blocks are in use; Cannot ' +
        'claim a block of pool "v4": all 2 blocks of 10.65.0.0/29 have an owner',
    );
    expect(loop.problems().join()).to.include('all 2 blocks');
  });

  it('goes on from owned blocks while the store is away', async () => {
    pool('v4', { cidr: '10.65.0.0/24' });
    await loop.start();
    await eventually(() => ownCidrs().length === 1);
    store.list = () => Promise.reject(new Error('connection refused'));
    for (let i = 0; i < 60; i++) expect(await assign(`c${i}`)).to.have.length(1);
    await eventually(() => loop.problems().join().includes('connection refused'));
  });

  it('takes back blocks the API says are ours, and gives up those that are not', async () => {
    pool('v4', { cidr: '10.65.0.0/24' });
    await allocator.addBlock({ prefix: parsePrefix('10.65.0.64/26'), pool: 'v4' });
    cluster.upsert('ipamBlocks', {
      metadata: { name: 'a' },
      spec: { cidr: '10.65.0.0/26', node: 'node1', pool: 'v4' },
    });
    cluster.upsert('ipamBlocks', {
      metadata: { name: 'b' },
      spec: { cidr: '10.65.0.64/26', node: 'node2', pool: 'v4' },
    });
    await store.create({ cidr: '10.65.0.0/26', node: 'node1', pool: 'v4' });
    await store.create({ cidr: '10.65.0.64/26', node: 'node2', pool: 'v4' });
    await loop.start();
    await eventually(() => ownCidrs().join() === '10.65.0.0/26');
  });

  it('claims nothing beside what is its own already, whatever its disk says', async () => {
    for (const [name, cidr, block] of [
      ['v4', '10.65.0.0/24', '10.65.0.0/26'],
      ['v6', 'fd00:65::/64', 'fd00:65::/122'],
    ] as const) {
      pool(name, { cidr });
      cluster.upsert('ipamBlocks', { metadata: { name }, spec: { cidr: block, node: 'node1', pool: name } });
      await store.create({ cidr: block, node: 'node1', pool: name });
    }
    const starting = loop.start();
    // Whatever wakes it meanwhile.
    cluster.upsert('nodes', { metadata: { name: 'node1', labels: { rack: '2' } } });
    await starting;
    expect(await assign('a')).to.have.length(2);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(ownCidrs()).to.deep.equal(['10.65.0.0/26', 'fd00:65::/122']);
    expect(await store.list()).to.have.length(2);
  });

  it('claims again what somebody deleted under it', async () => {
    pool('v4', { cidr: '10.65.0.0/24' });
    await allocator.addBlock({ prefix: parsePrefix('10.65.0.64/26'), pool: 'v4' });
    await loop.start();
    await eventually(() => allocator.usageOf('10.65.0.64/26') !== undefined);
    expect((await store.list()).map((block) => `${block.cidr} ${block.node}`)).to.include('10.65.0.64/26 node1');
  });

  it('serves only pools that select this node, and names those it cannot use', async () => {
    pool('elsewhere', { cidr: '10.66.0.0/24', nodeSelector: 'zone' });
    pool('here', { cidr: '10.65.0.0/24', nodeSelector: 'rack' });
    pool('bad', { cidr: 'rubbish' });
    pool('uplink', { cidr: '10.67.0.0/24', allowedUses: ['LoadBalancer'] });
    await loop.start();
    expect((await assign('a'))[0]).to.match(/^10\.65\.0\./);
    expect(loop.problems().join()).to.include('Cannot use pool "bad": spec.cidr is "rubbish"');
    expect(await refusal(ask('b', { 4: ['uplink'] }))).to.include(
      'Cannot assign an IPv4 address: the pod asks for pool "uplink", which has allowedUses without Workload',
    );
  });

  it('never draws on a manual or disabled pool by itself', async () => {
    pool('manual', { cidr: '10.66.0.0/24', assignmentMode: 'Manual' });
    pool('off', { cidr: '10.67.0.0/24', disabled: true });
    await loop.start();
    expect(await refusal(assign('a'))).to.include(
      'Cannot assign an address: no IPPool serves this pod: pool "manual" (IPv4) has assignmentMode Manual, so pods must ' +
        'ask for it; pool "off" (IPv4) is disabled',
    );
    expect((await ask('b', { 4: ['manual'] }))[0]).to.match(/^10\.66\.0\./);
    expect(await refusal(ask('c', { 4: ['off'] }))).to.include('the pod asks for pool "off", which is disabled');
  });

  /** Another node's block, in the store and in the watch. */
  const others = async (cidr: string, from = 'green', node = 'node9'): Promise<void> => {
    await store.create({ cidr, node, pool: from });
    cluster.upsert('ipamBlocks', { metadata: { name: cidr }, spec: { cidr, node, pool: from } });
  };
  const namespace = (labels: Record<string, string>): void =>
    cluster.upsert('namespaces', { metadata: { name: 'default', labels } });

  it('claims nothing inside blocks of a pool that was made anew with other sizes', async () => {
    await others('10.67.0.0/29');
    await others('10.67.0.8/29');
    pool('green', { cidr: '10.67.0.0/28', blockSize: 30 });
    await loop.start();
    expect(await refusal(assign('a'))).to.include(
      'Cannot claim a block of pool "green": all addresses of 10.67.0.0/28 lie in blocks that have an owner, some in ' +
        'blocks of another size than /30',
    );
    expect(await store.list()).to.have.length(2);
    expect(loop.problems().join()).to.include('all addresses of 10.67.0.0/28');
  });

  it('takes nothing more from a block it holds once its pool is disabled, and claims from another', async () => {
    pool('pods', { cidr: '10.65.0.0/24' });
    await loop.start();
    expect((await assign('a'))[0]).to.match(/^10\.65\./);
    pool('zfresh', { cidr: '10.67.2.0/24' });
    pool('pods', { cidr: '10.65.0.0/24', disabled: true });
    expect((await assign('b'))[0]).to.match(/^10\.67\.2\./);
    expect(await refusal(ask('c', { 4: ['pods'] }))).to.include('the pod asks for pool "pods", which is disabled');
    expect(await assign('a'), 'a repeated ADD').to.have.length(1);
  });

  for (const [how, change] of [
    ['is deleted', () => cluster.delete('ipPools', { metadata: { name: 'pods' }, spec: { cidr: '10.65.0.0/24' } })],
    ['has another range now', () => pool('pods', { cidr: '10.66.0.0/24' })],
    ['is elsewhere by nodeSelector', () => pool('pods', { cidr: '10.65.0.0/24', nodeSelector: 'zone' })],
  ] as const)
    it(`gives a block back that is empty at two looks when its pool ${how}`, async () => {
      pool('pods', { cidr: '10.65.0.0/24' });
      pool('other', { cidr: '10.68.0.0/24' });
      await loop.start();
      await ask('a', { 4: ['pods'] });
      await ask('b', { 4: ['other'] });
      change();
      const inPods = (): boolean => ownCidrs().some((cidr) => cidr.startsWith('10.65.'));
      for (let i = 0; i < 3; i++) await loop.upkeep.releaseUnused();
      expect(inPods(), 'in use').to.equal(true);
      await allocator.release(owner('a'));
      await allocator.release(owner('b'));
      await loop.upkeep.releaseUnused();
      expect(inPods(), 'at the first look').to.equal(true);
      await loop.upkeep.releaseUnused();
      expect(inPods()).to.equal(false);
      expect((await store.list()).some(({ cidr }) => cidr.startsWith('10.65.'))).to.equal(false);
      expect(
        ownCidrs().some((cidr) => cidr.startsWith('10.68.')),
        "a live pool's last",
      ).to.equal(true);
    });

  it('goes on from the blocks of a pool that has another name now, and not from one that is too small for them', async () => {
    pool('before', { cidr: '10.65.0.0/26' });
    await loop.start();
    await assign('a');
    cluster.delete('ipPools', { metadata: { name: 'before' }, spec: { cidr: '10.65.0.0/26' } });
    pool('after', { cidr: '10.65.0.0/26' });
    expect((await ask('b', { 4: ['after'] }))[0]).to.equal('10.65.0.1');
    pool('after', { cidr: '10.65.0.0/27' });
    expect(await refusal(assign('c'))).to.include('all addresses of 10.65.0.0/27 lie in blocks that have an owner');
  });

  it('gives the other family when one has manual or disabled pools only, unless the pod asks', async () => {
    pool('v4', { cidr: '10.65.0.0/24', assignmentMode: 'Manual' });
    pool('v4-off', { cidr: '10.66.0.0/24', disabled: true });
    pool('v6', { cidr: 'fd00:65::/64' });
    await loop.start();
    const [address, ...more] = await assign('a');
    expect([address?.startsWith('fd00:65:'), more]).to.deep.equal([true, []]);
    expect(await ask('b', { 4: ['v4'] })).to.have.length(2);
    expect(await refusal(ask('c', { 4: ['v6'] }))).to.include(
      'Cannot assign an IPv4 address: the pod asks for pool "v6", which is an IPv6 pool',
    );
  });

  it('forgets a problem with the pod that had it', async () => {
    await others('10.66.0.0/30', 'manual');
    pool('manual', { cidr: '10.66.0.0/30', blockSize: 30, assignmentMode: 'Manual' });
    pool('v4', { cidr: '10.65.0.0/24' });
    await loop.start();
    expect(await refusal(ask('a', { 4: ['manual'] }))).to.include(
      'Cannot assign an IPv4 address from pool "manual": this node owns no block of it yet; Cannot claim a block of pool ' +
        '"manual": all 1 blocks of 10.66.0.0/30 have an owner',
    );
    expect(loop.problems()).to.deep.equal([]);
  });

  it('forgets that a pool was full once it is not needed any more', async () => {
    await others('10.65.0.0/30');
    pool('v4', { cidr: '10.65.0.0/30', blockSize: 30 });
    await loop.start();
    await eventually(() => loop.problems().length === 1);
    pool('v4', { cidr: '10.65.0.0/30', blockSize: 30, disabled: true });
    await eventually(() => loop.problems().length === 0);
  });

  it('chooses pools by the labels of the namespace, and lets a request beat selectors', async () => {
    pool('red', { cidr: '10.65.0.0/24', namespaceSelector: 'red' });
    pool('blue', { cidr: '10.66.0.0/24', namespaceSelector: 'blue' });
    pool('fenced', { cidr: '10.67.0.0/24', nodeSelector: 'zone' });
    await loop.start();
    const why = await refusal(assign('a'));
    for (const [name, field] of [
      ['red', "a namespaceSelector that does not match the pod's namespace"],
      ['blue', "a namespaceSelector that does not match the pod's namespace"],
      ['fenced', 'a nodeSelector that does not match this node'],
    ])
      expect(why).to.include(`pool "${name}" (IPv4) has ${field}`);
    namespace({ red: '' });
    expect((await assign('a'))[0]).to.match(/^10\.65\./);
    namespace({ blue: '' });
    expect((await assign('b'))[0]).to.match(/^10\.66\./);
    expect((await ask('c', { 4: ['red'] }))[0]).to.match(/^10\.65\./);
    expect((await ask('d', { 4: ['fenced'] }))[0]).to.match(/^10\.67\./);
  });

  it('knows a pool by any spelling of its CIDR', async () => {
    pool('v4', { cidr: '10.65.0.0/24' });
    pool('v6', { cidr: 'fd00:65::/64' });
    await loop.start();
    expect(await ask('a', { 4: ['10.65.0.9/24'], 6: ['FD00:0065:0:0::/64'] })).to.have.length(2);
    expect(await refusal(ask('b', { 4: ['10.65.0.0/23'] }))).to.include('pool "10.65.0.0/23", which does not exist');
  });

  it('gives a pod the very addresses it asks for, or says why not', async () => {
    pool('v4', { cidr: '10.65.0.0/24', blockSize: 28 });
    pool('v6', { cidr: 'fd00:65::/120', blockSize: 124 });
    pool('off', { cidr: '10.66.0.0/24', disabled: true });
    cluster.upsert('ipReservations', { metadata: { name: 'kept' }, spec: { reservedCIDRs: ['10.65.0.7'] } });
    await others('10.65.0.32/28', 'v4');
    await loop.start();
    const both = ['10.65.0.7', 'fd00:65::77'];
    expect(await ask('a', { addresses: both })).to.deep.equal(both);
    expect(await ask('a', { addresses: both }), 'a repeated ADD').to.deep.equal(both);
    expect(await ask('b', { addresses: ['10.65.0.0'] }), 'the network address').to.deep.equal(['10.65.0.0']);
    for (const [address, why] of [
      ['10.65.0.7', 'pod "default/a" has it'],
      ['1.1.1.1', 'it lies in no IPPool that this node can use'],
      ['10.66.0.1', 'pool "off" is disabled'],
      ['10.65.0.33', 'it lies in block 10.65.0.32/28 of node "node9"'],
    ] as const)
      expect(await refusal(ask('c', { addresses: [address] }))).to.match(
        new RegExp(`Cannot assign address ${address}.*: ${why}`),
      );
    expect(allocator.addressesOfOwner(owner('c'))).to.deep.equal([]);
  });

  it('gives no reserved address to a pod that does not ask for it', async () => {
    pool('v4', { cidr: '10.82.0.0/29', blockSize: 29 });
    cluster.upsert('ipReservations', {
      metadata: { name: 'kept' },
      spec: { reservedCIDRs: ['10.82.0.0/30', 'rubbish', '10.82.0.6/32'] },
    });
    await loop.start();
    const got = [await assign('a'), await assign('b'), await assign('c')].flat();
    expect(got).to.deep.equal(['10.82.0.4', '10.82.0.5', '10.82.0.7']);
    expect(await refusal(assign('d'))).to.include('are in use or held back (5)');
    cluster.delete('ipReservations', { metadata: { name: 'kept' }, spec: {} });
    expect(await assign('d')).to.deep.equal(['10.82.0.0']);
  });

  it('claims another block when all of one is reserved', async () => {
    pool('v4', { cidr: '10.82.0.0/29', blockSize: 30 });
    const spec = { cidr: '10.82.0.0/30', node: 'node1', pool: 'v4' };
    await store.create(spec);
    cluster.upsert('ipamBlocks', { metadata: { name: 'a' }, spec });
    cluster.upsert('ipReservations', { metadata: { name: 'kept' }, spec: { reservedCIDRs: ['10.82.0.0/30'] } });
    await loop.start();
    expect(await assign('a')).to.deep.equal(['10.82.0.4']);
  });

  it('gives its blocks up and claims none when its Node is gone', async () => {
    pool('v4', { cidr: '10.65.0.0/24' });
    await loop.start();
    await assign('a');
    const [cidr = ''] = ownCidrs();
    const record = { cidr, node: 'node1', pool: 'v4' };
    cluster.upsert('ipamBlocks', { metadata: { name: cidr }, spec: record });
    cluster.delete('nodes', { metadata: { name: 'node1' } });
    await store.delete(record);
    cluster.delete('ipamBlocks', { metadata: { name: cidr }, spec: record });
    await eventually(() => ownCidrs().length === 0);
    expect(await refusal(assign('b'))).to.include('there is no Node "node1"');
    expect(await store.list()).to.deep.equal([]);
  });

  it('takes up what is its own before it claims more', async () => {
    pool('v4', { cidr: '10.65.0.0/24' });
    const spec = { cidr: '10.65.0.0/26', node: 'node1', pool: 'v4' };
    await store.create(spec);
    cluster.upsert('ipamBlocks', { metadata: { name: 'a' }, spec });
    const list = store.list.bind(store);
    let isAway = true;
    store.list = () => (isAway ? Promise.reject(new Error('connection refused')) : list());
    await loop.start();
    await eventually(() => loop.problems().join().includes('connection refused'));
    isAway = false;
    expect(await assign('a')).to.deep.equal(['10.65.0.0']);
    expect(await store.list()).to.have.length(1);
  });
});
