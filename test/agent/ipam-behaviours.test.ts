/** What Calico's IPAM is known to do, between several nodes and one store; docs/ipam.md has the table, with what is different here. */
import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Allocator, MemoryBlockStore, type BlockRecord, type BlockStore, type Owner } from '@tortie/ipam';
import { formatPrefix } from 'node-bgp/address';
import { IpamLoop } from '../../src/agent/ipam-loop.js';
import { blockName } from '../../src/agent/kubernetes-block-store.js';
import type { IPPoolSpec } from '../../src/api/ipam.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { createLogger } from '../../src/log.js';

const ownerOf = (pod: string): Owner => ({
  network: 'tortie',
  containerId: pod,
  interfaceName: 'eth0',
  namespace: 'default',
  pod,
});

class TestNode {
  readonly cluster = new Cluster(['ipPools', 'ipamBlocks', 'ipReservations', 'namespaces', 'nodes']);
  readonly loop: IpamLoop;

  constructor(
    readonly name: string,
    readonly allocator: Allocator,
    store: BlockStore,
  ) {
    this.cluster.upsert('nodes', { metadata: { name, labels: { node: name } } });
    this.loop = new IpamLoop({
      node: name,
      cluster: this.cluster,
      allocator,
      store,
      matches: (selector, labels) => labels.get('node') === selector,
      log: createLogger('test', { level: 'silent' }),
      onBlocks: () => {},
      onHealth: () => {},
    });
  }

  assign(pod: string, addresses: readonly string[] = []): Promise<readonly string[]> {
    return this.loop.assign(ownerOf(pod), { pools: new Map(), addresses });
  }

  async tryAssign(pod: string): Promise<readonly string[]> {
    return this.assign(pod).catch(() => []);
  }

  blocks(): readonly string[] {
    return this.allocator.ownBlocks().map(({ prefix }) => formatPrefix(prefix));
  }
}

describe("agent: Calico's IPAM behaviours", () => {
  let directory: string;
  let store: MemoryBlockStore;
  let nodes: TestNode[];
  let now: number;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-behaviours-'));
    store = new MemoryBlockStore();
    nodes = [];
    now = 0;
  });
  afterEach(async () => {
    for (const { loop, allocator } of nodes) {
      loop.stop();
      await allocator.close();
    }
    rmSync(directory, { recursive: true });
  });

  /** The store, which tells every node's watch. */
  const watched = (): BlockStore => ({
    list: () => store.list(),
    get: (cidr) => store.get(cidr),
    replace: async (before, after) => {
      const stored = await store.replace(before, after);
      if (stored !== undefined) for (const { cluster } of nodes) cluster.upsert('ipamBlocks', objectOf(after));
      return stored;
    },
    create: async (block) => {
      const outcome = await store.create(block);
      if (outcome === 'created') for (const { cluster } of nodes) cluster.upsert('ipamBlocks', objectOf(block));
      return outcome;
    },
    delete: async (block) => {
      await store.delete(block);
      for (const { cluster } of nodes) cluster.delete('ipamBlocks', objectOf(block));
    },
  });
  const objectOf = (spec: BlockRecord) => ({ metadata: { name: blockName(spec.cidr) }, spec });

  async function start(names: readonly string[], pools: Readonly<Record<string, IPPoolSpec>>): Promise<void> {
    for (const name of names) {
      const allocator = await Allocator.open({ journalPath: join(directory, name), now: () => now });
      const node = new TestNode(name, allocator, watched());
      nodes.push(node);
      for (const [pool, spec] of Object.entries(pools))
        node.cluster.upsert('ipPools', { metadata: { name: pool }, spec });
    }
    await Promise.all(nodes.map(({ loop }) => loop.start()));
  }
  const node = (at: number): TestNode => {
    const found = nodes[at];
    if (found === undefined) throw new Error('the fixture is wrong');
    return found;
  };

  it('two nodes that take one address each take it from different blocks', async () => {
    await start(['a', 'b'], { p: { cidr: '10.0.0.0/24' } });
    await Promise.all(nodes.map((each) => each.assign(`pod-${each.name}`)));
    expect(new Set(nodes.flatMap((each) => each.blocks())).size).to.equal(2);
  });

  it('one node gets every address of its pools, network and broadcast too, and then none', async () => {
    await start(['a'], { v4: { cidr: '10.0.0.0/27', blockSize: 29 }, v6: { cidr: 'fd00::/123', blockSize: 125 } });
    const got: string[] = [];
    for (let i = 0; i < 32; i++) got.push(...(await node(0).assign(`c${i}`)));
    expect(new Set(got).size).to.equal(64);
    expect(got).to.include.members(['10.0.0.0', '10.0.0.31', 'fd00::', 'fd00::1f']);
    expect(await node(0).tryAssign('more')).to.deep.equal([]);
  });

  it('32 nodes that race for 16 blocks get 16 owners and no address twice', async () => {
    const names = Array.from({ length: 32 }, (_, i) => `node${i}`);
    await start(names, { p: { cidr: '10.0.0.0/26', blockSize: 30 } });
    const got = (await Promise.all(nodes.map((each) => each.tryAssign(`pod-${each.name}`)))).flat();
    expect(got).to.have.length(16);
    expect(new Set(got).size).to.equal(16);
    const records = await store.list();
    expect(new Set(records.map(({ node: owner }) => owner)).size).to.equal(16);
    for (const each of nodes)
      expect(each.blocks()).to.deep.equal(
        records.filter((record) => record.node === each.name).map(({ cidr }) => cidr),
      );
  });

  it('pods that start at once on one node share one new block', async () => {
    await start(['a'], { p: { cidr: '10.0.0.0/24' } });
    const got = (await Promise.all(['w', 'x', 'y', 'z'].map((pod) => node(0).assign(pod)))).flat();
    expect(new Set(got).size).to.equal(4);
    expect(node(0).blocks()).to.have.length(1);
  });

  it('a block gives out first what was released first, when it has rested', async () => {
    await start(['a'], { p: { cidr: '10.0.0.0/30', blockSize: 30 } });
    const order = ['c', 'a', 'd', 'b'];
    const addresses = new Map<string, readonly string[]>();
    for (const pod of ['a', 'b', 'c', 'd']) addresses.set(pod, await node(0).assign(pod));
    for (const pod of order) await node(0).allocator.release(ownerOf(pod));
    now += 60_000;
    for (const pod of order) expect(await node(0).assign(`new-${pod}`)).to.deep.equal(addresses.get(pod));
  });

  it('a release that comes late, or twice, frees nothing of the next owner', async () => {
    await start(['a'], { p: { cidr: '10.0.0.0/32', blockSize: 32 } });
    const got = await node(0).assign('first');
    expect(await node(0).allocator.release(ownerOf('first'))).to.deep.equal(got);
    expect(await node(0).assign('second')).to.deep.equal(got);
    expect(await node(0).allocator.release(ownerOf('first'))).to.deep.equal([]);
    expect(await node(0).tryAssign('third')).to.deep.equal([]);
    expect(node(0).allocator.addressesOfOwner(ownerOf('second'))).to.deep.equal(got);
  });

  it('an ADD that is repeated gets the same addresses', async () => {
    await start(['a'], { v4: { cidr: '10.0.0.0/24' }, v6: { cidr: 'fd00::/112' } });
    const got = await node(0).assign('a');
    expect(await node(0).assign('a')).to.deep.equal(got);
    expect(node(0).allocator.owners()).to.have.length(1);
  });

  it('a reservation leaves 58 of 64, and an address that is asked for by itself is given all the same', async () => {
    await start(['a'], { p: { cidr: '10.0.0.0/26' } });
    node(0).cluster.upsert('ipReservations', {
      metadata: { name: 'r' },
      spec: { reservedCIDRs: ['10.0.0.1/32', '10.0.0.32/30', '10.0.0.17/32'] },
    });
    const got: string[] = [];
    for (let i = 0; i < 58; i++) got.push(...(await node(0).assign(`c${i}`)));
    expect(await node(0).tryAssign('more')).to.deep.equal([]);
    expect(got).not.to.include.members(['10.0.0.1']);
    for (const reserved of ['10.0.0.1', '10.0.0.17', '10.0.0.32', '10.0.0.33', '10.0.0.34', '10.0.0.35'])
      expect(got).not.to.include(reserved);
    expect(await node(0).assign('asks', ['10.0.0.33'])).to.deep.equal(['10.0.0.33']);
  });

  it('a pool whose selector leaves a node is given up there once it is empty, and kept while it is used', async () => {
    const of = (nodeSelector: string): IPPoolSpec => ({ cidr: '10.0.0.0/24', nodeSelector });
    await start(['a', 'b'], { p: of('a') });
    await node(0).assign('pod');
    expect(await node(1).tryAssign('other')).to.deep.equal([]);
    for (const { cluster } of nodes) cluster.upsert('ipPools', { metadata: { name: 'p' }, spec: of('b') });
    expect(await node(0).tryAssign('next')).to.deep.equal([]);
    expect(await node(1).assign('other')).to.have.length(1);
    for (let i = 0; i < 2; i++) await node(0).loop.releaseUnused();
    expect(node(0).blocks()).to.have.length(1);
    await node(0).allocator.release(ownerOf('pod'));
    for (let i = 0; i < 2; i++) await node(0).loop.releaseUnused();
    expect(node(0).blocks()).to.deep.equal([]);
    expect((await store.list()).map((record) => record.node)).to.deep.equal(['b']);
  });

  it('a claim that was cut off before anybody heard of it is completed by its node', async () => {
    await store.create({ cidr: '10.0.0.0/26', node: 'a', pool: 'p' });
    const allocator = await Allocator.open({ journalPath: join(directory, 'a'), now: () => now });
    const restarted = new TestNode('a', allocator, watched());
    nodes.push(restarted);
    restarted.cluster.upsert('ipPools', { metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/24' } });
    restarted.cluster.upsert('ipamBlocks', objectOf({ cidr: '10.0.0.0/26', node: 'a', pool: 'p' }));
    await restarted.loop.start();
    expect(await restarted.assign('pod')).to.deep.equal(['10.0.0.0']);
    expect(await store.list()).to.have.length(1);
  });

  it('a deleted pool gives no address, and takes back those it gave', async () => {
    await start(['a'], { p: { cidr: '10.0.0.0/24' } });
    const got = await node(0).assign('pod');
    node(0).cluster.delete('ipPools', { metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/24' } });
    expect(await node(0).tryAssign('next')).to.deep.equal([]);
    expect(await node(0).allocator.release(ownerOf('pod'))).to.deep.equal(got);
  });
});
