/** What Calico's IPAM is known to do, between several nodes and one store; docs/ipam.md has the table, with what is different here. */
import { expect } from 'chai';
import { claimExactly } from '@tortie/ipam';
import type { IPPoolSpec } from '../../src/api/ipam.js';
import { IpamWorld, objectOf, ownerOf } from './ipam-world.js';

describe("agent: Calico's IPAM behaviours", () => {
  let world: IpamWorld;

  beforeEach(() => (world = new IpamWorld()));
  afterEach(() => world.close());

  it('two nodes that take one address each take it from different blocks', async () => {
    await world.start(['a', 'b'], { p: { cidr: '10.0.0.0/24' } });
    await Promise.all(world.nodes.map((each) => each.assign(`pod-${each.name}`)));
    expect(new Set(world.nodes.flatMap((each) => each.blocks())).size).to.equal(2);
  });

  it('one node gets every address of its pools, network and broadcast too, and then none', async () => {
    await world.start(['a'], {
      v4: { cidr: '10.0.0.0/27', blockSize: 29 },
      v6: { cidr: 'fd00::/123', blockSize: 125 },
    });
    const got: string[] = [];
    for (let i = 0; i < 32; i++) got.push(...(await world.node(0).assign(`c${i}`)));
    expect(new Set(got).size).to.equal(64);
    expect(got).to.include.members(['10.0.0.0', '10.0.0.31', 'fd00::', 'fd00::1f']);
    expect(await world.node(0).tryAssign('more')).to.deep.equal([]);
  });

  it('32 nodes that race for 16 blocks get 32 addresses and 16 owners: who has no block borrows', async () => {
    const names = Array.from({ length: 32 }, (_, i) => `node${i}`);
    await world.start(names, { p: { cidr: '10.0.0.0/26', blockSize: 30 } });
    const got = (await Promise.all(world.nodes.map((each) => each.tryAssign(`pod-${each.name}`)))).flat();
    expect(got).to.have.length(32);
    expect(new Set(got).size).to.equal(32);
    const records = await world.store.list();
    expect(new Set(records.map(({ node: owner }) => owner)).size).to.equal(16);
    for (const each of world.nodes)
      expect(each.blocks()).to.deep.equal(
        records.filter((record) => record.node === each.name).map(({ cidr }) => cidr),
      );
  });

  it('pods that start at once on one node share one new block', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/24' } });
    const got = (await Promise.all(['w', 'x', 'y', 'z'].map((pod) => world.node(0).assign(pod)))).flat();
    expect(new Set(got).size).to.equal(4);
    expect(world.node(0).blocks()).to.have.length(1);
  });

  it('a block gives out first what was released first, when it has rested', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/30', blockSize: 30 } });
    const order = ['c', 'a', 'd', 'b'];
    const addresses = new Map<string, readonly string[]>();
    for (const pod of ['a', 'b', 'c', 'd']) addresses.set(pod, await world.node(0).assign(pod));
    for (const pod of order) await world.node(0).allocator.release(ownerOf(pod));
    world.now += 60_000;
    for (const pod of order) expect(await world.node(0).assign(`new-${pod}`)).to.deep.equal(addresses.get(pod));
  });

  it('a release that comes late, or twice, frees nothing of the next owner', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/32', blockSize: 32 } });
    const got = await world.node(0).assign('first');
    expect(await world.node(0).allocator.release(ownerOf('first'))).to.deep.equal(got);
    expect(await world.node(0).assign('second')).to.deep.equal(got);
    expect(await world.node(0).allocator.release(ownerOf('first'))).to.deep.equal([]);
    expect(await world.node(0).tryAssign('third')).to.deep.equal([]);
    expect(world.node(0).allocator.addressesOfOwner(ownerOf('second'))).to.deep.equal(got);
  });

  it('an ADD that is repeated gets the same addresses', async () => {
    await world.start(['a'], { v4: { cidr: '10.0.0.0/24' }, v6: { cidr: 'fd00::/112' } });
    const got = await world.node(0).assign('a');
    expect(await world.node(0).assign('a')).to.deep.equal(got);
    expect(world.node(0).allocator.owners()).to.have.length(1);
  });

  it('a reservation leaves 58 of 64, and an address that is asked for by itself is given all the same', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/26' } });
    world.node(0).cluster.upsert('ipReservations', {
      metadata: { name: 'r' },
      spec: { reservedCIDRs: ['10.0.0.1/32', '10.0.0.32/30', '10.0.0.17/32'] },
    });
    const got: string[] = [];
    for (let i = 0; i < 58; i++) got.push(...(await world.node(0).assign(`c${i}`)));
    expect(await world.node(0).tryAssign('more')).to.deep.equal([]);
    expect(got).not.to.include.members(['10.0.0.1']);
    for (const reserved of ['10.0.0.1', '10.0.0.17', '10.0.0.32', '10.0.0.33', '10.0.0.34', '10.0.0.35'])
      expect(got).not.to.include(reserved);
    expect(await world.node(0).assign('asks', ['10.0.0.33'])).to.deep.equal(['10.0.0.33']);
  });

  it('a pool whose selector leaves a node is given up there once it is empty, and kept while it is used', async () => {
    const of = (nodeSelector: string): IPPoolSpec => ({ cidr: '10.0.0.0/24', nodeSelector });
    await world.start(['a', 'b'], { p: of('a') });
    await world.node(0).assign('pod');
    expect(await world.node(1).tryAssign('other')).to.deep.equal([]);
    for (const { cluster } of world.nodes) cluster.upsert('ipPools', { metadata: { name: 'p' }, spec: of('b') });
    expect(await world.node(0).tryAssign('next')).to.deep.equal([]);
    expect(await world.node(1).assign('other')).to.have.length(1);
    for (let i = 0; i < 2; i++) await world.node(0).loop.upkeep.releaseUnused();
    expect(world.node(0).blocks()).to.have.length(1);
    await world.node(0).allocator.release(ownerOf('pod'));
    for (let i = 0; i < 2; i++) await world.node(0).loop.upkeep.releaseUnused();
    expect(world.node(0).blocks()).to.deep.equal([]);
    expect((await world.store.list()).map((record) => record.node)).to.deep.equal(['b']);
  });

  it('a claim that was cut off before anybody heard of it is completed by its node', async () => {
    const claim = { cidr: '10.0.0.0/26', node: 'a', pool: 'p' };
    await world.store.create(claim);
    const restarted = await world.open('a');
    restarted.cluster.upsert('ipPools', { metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/24' } });
    restarted.cluster.upsert('ipamBlocks', objectOf(claim));
    await restarted.loop.start();
    expect(await restarted.assign('pod')).to.deep.equal(['10.0.0.0']);
    expect(await world.store.list()).to.have.length(1);
  });

  it('a deleted pool gives no address, and takes back those it gave', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/24' } });
    const got = await world.node(0).assign('pod');
    world.node(0).cluster.delete('ipPools', { metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/24' } });
    expect(await world.node(0).tryAssign('next')).to.deep.equal([]);
    expect(await world.node(0).allocator.release(ownerOf('pod'))).to.deep.equal(got);
  });

  it('I24: every block of a range has one owner, whoever asks for it by itself, and no part of a block has another', async () => {
    const cidrs = [0, 64, 128, 192].map((last) => `10.0.0.${last}/26`);
    const claim = (cidr: string, node: string): Promise<boolean> =>
      claimExactly(world.store, { cidr, node, pool: 'p' });
    for (const cidr of cidrs) expect(await claim(cidr, 'a'), cidr).to.equal(true);
    for (const cidr of cidrs) expect(await claim(cidr, 'b'), cidr).to.equal(false);
    for (const cidr of ['10.0.0.0/27', '10.0.0.255/32', '10.0.0.0/24'])
      expect(await claim(cidr, 'b'), cidr).to.equal(false);
    expect((await world.store.list()).map(({ node }) => node)).to.deep.equal(['a', 'a', 'a', 'a']);
  });

  it('I28: a released address is given to nobody for 30 s while there is another, then again; who names it gets it at once', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/29', blockSize: 29 } });
    const node = world.node(0);
    const got = (await Promise.all([0, 1, 2, 3].map((i) => node.assign(`p${i}`)))).flat();
    const [first = '', second = ''] = got;
    for (const pod of ['p0', 'p1']) await node.allocator.release(ownerOf(pod));
    world.now += 29_000;
    for (let i = 0; i < 4; i++)
      expect(await node.assign(`q${i}`))
        .to.not.include.members([first])
        .and.not.include.members([second]);
    expect(await node.assign('asks', [second]), 'by name').to.deep.equal([second]);
    await node.allocator.release(ownerOf('q0'));
    world.now += 1_000;
    expect(await node.assign('later'), 'the one that has rested').to.deep.equal([first]);
  });

  it('I33: with 4 addresses kept, as Windows wants it, and 5 more, 55 of 64 are given', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/26' } });
    const reserve = (name: string, ...reservedCIDRs: readonly string[]): void =>
      world.node(0).cluster.upsert('ipReservations', { metadata: { name }, spec: { reservedCIDRs } });
    reserve('windows', '10.0.0.0', '10.0.0.1', '10.0.0.2', '10.0.0.63');
    reserve('others', '10.0.0.20/30', '10.0.0.40');
    const got: string[] = [];
    for (let i = 0; i < 55; i++) got.push(...(await world.node(0).assign(`c${i}`)));
    expect(new Set(got).size).to.equal(55);
    expect(await world.node(0).tryAssign('more')).to.deep.equal([]);
  });

  it('I34: a node that starts among many asks the store twice for its block, however many there are', async () => {
    const names = Array.from({ length: 50 }, (_, i) => `node${i}`);
    await world.start(names, { p: { cidr: '10.0.0.0/16' } });
    await Promise.all(world.nodes.map((node) => node.assign(`pod-${node.name}`)));
    const last = await world.open('last');
    last.cluster.upsert('ipPools', { metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/16' } });
    for (const record of await world.store.list()) last.cluster.upsert('ipamBlocks', objectOf(record));
    const before = world.calls.length;
    await last.loop.start();
    await last.assign('pod');
    expect(world.calls.slice(before)).to.deep.equal(['create', 'list']);
  });
});
