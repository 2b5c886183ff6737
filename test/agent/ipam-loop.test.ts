import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Allocator, MemoryBlockStore, NoAddressError, type Owner } from '@tortie/ipam';
import { formatPrefix, parsePrefix } from 'node-bgp/address';
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
  const assign = (id: string): Promise<readonly string[]> => loop.assign(owner(id), new Map());
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
    cluster = new Cluster(['ipPools', 'ipamBlocks', 'nodes']);
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
    const wanted = await loop.assign(owner('b'), new Map([[4, ['elsewhere']]])).catch((thrown: unknown) => thrown);
    expect(String(wanted)).to.include('the pod asks for pool "elsewhere"');
  });

  it('never draws on a manual or disabled pool by itself', async () => {
    pool('manual', { cidr: '10.66.0.0/24', assignmentMode: 'Manual' });
    pool('off', { cidr: '10.67.0.0/24', disabled: true });
    await loop.start();
    expect(String(await assign('a').catch((thrown: unknown) => thrown))).to.include('Cannot assign an IPv4 address');
    expect((await loop.assign(owner('b'), new Map([[4, ['manual']]])))[0]).to.match(/^10\.66\.0\./);
  });
});
