/**
 * What Calico's IPAM is known to do, 37 behaviours, each with the test that holds it: most are here, between several nodes and one store,
 * with the number before their title. docs/ipam.md says what is different here.
 */
import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { claimExactly } from '@tortie/ipam';
import type { IPPoolSpec } from '../../src/api/ipam.js';
import { IpamWorld, objectOf, ownerOf } from '../agent/ipam-world.js';

describe("agent: Calico's IPAM behaviours", () => {
  let world: IpamWorld;

  beforeEach(() => (world = new IpamWorld()));
  afterEach(() => world.close());

  it('I1: two nodes that take one address each take it from different blocks', async () => {
    await world.start(['a', 'b'], { p: { cidr: '10.0.0.0/24' } });
    await Promise.all(world.nodes.map((each) => each.assign(`pod-${each.name}`)));
    expect(new Set(world.nodes.flatMap((each) => each.blocks())).size).to.equal(2);
  });

  it('I4: one node gets every address of its pools, network and broadcast too, and then none', async () => {
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

  it('I7: 32 nodes that race for 16 blocks get 32 addresses and 16 owners: who has no block borrows', async () => {
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

  it('I8: pods that start at once on one node share one new block', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/24' } });
    const got = (await Promise.all(['w', 'x', 'y', 'z'].map((pod) => world.node(0).assign(pod)))).flat();
    expect(new Set(got).size).to.equal(4);
    expect(world.node(0).blocks()).to.have.length(1);
  });

  it('I9: a block gives out first what was released first, when it has rested', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/30', blockSize: 30 } });
    const order = ['c', 'a', 'd', 'b'];
    const addresses = new Map<string, readonly string[]>();
    for (const pod of ['a', 'b', 'c', 'd']) addresses.set(pod, await world.node(0).assign(pod));
    for (const pod of order) await world.node(0).allocator.release(ownerOf(pod));
    world.now += 60_000;
    for (const pod of order) expect(await world.node(0).assign(`new-${pod}`)).to.deep.equal(addresses.get(pod));
  });

  it('I10: a release that comes late, or twice, frees nothing of the next owner', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/32', blockSize: 32 } });
    const got = await world.node(0).assign('first');
    expect(await world.node(0).allocator.release(ownerOf('first'))).to.deep.equal(got);
    expect(await world.node(0).assign('second')).to.deep.equal(got);
    expect(await world.node(0).allocator.release(ownerOf('first'))).to.deep.equal([]);
    expect(await world.node(0).tryAssign('third')).to.deep.equal([]);
    expect(world.node(0).allocator.addressesOfOwner(ownerOf('second'))).to.deep.equal(got);
  });

  it('I30: an ADD that is repeated gets the same addresses', async () => {
    await world.start(['a'], { v4: { cidr: '10.0.0.0/24' }, v6: { cidr: 'fd00::/112' } });
    const got = await world.node(0).assign('a');
    expect(await world.node(0).assign('a')).to.deep.equal(got);
    expect(world.node(0).allocator.owners()).to.have.length(1);
  });

  it('I14: a reservation leaves 58 of 64, and an address that is asked for by itself is given all the same', async () => {
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

  it('I20: a pool whose selector leaves a node is given up there once it is empty, and kept while it is used', async () => {
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

  it('I26: a claim that was cut off before anybody heard of it is completed by its node', async () => {
    const claim = { cidr: '10.0.0.0/26', node: 'a', pool: 'p' };
    await world.store.create(claim);
    const restarted = await world.open('a');
    restarted.cluster.upsert('ipPools', { metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/24' } });
    restarted.cluster.upsert('ipamBlocks', objectOf(claim));
    await restarted.loop.start();
    expect(await restarted.assign('pod')).to.deep.equal(['10.0.0.0']);
    expect(await world.store.list()).to.have.length(1);
  });

  it('I29: a deleted pool gives no address, and takes back those it gave', async () => {
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

  it('I2: of 64 pods of one node in a full pool, 63 are in its own block and one borrows', async () => {
    await world.start(['a', 'b'], { p: { cidr: '10.0.0.0/25' } });
    for (const node of world.nodes) await node.assign(`first-${node.name}`);
    await world.levelAll();
    const got: string[] = [];
    for (let i = 0; i < 64; i++) {
      got.push(...(await world.node(0).assign(`c${i}`)));
      await world.levelAll();
    }
    expect(new Set(got).size).to.equal(64);
    expect(world.node(0).borrowed()).to.have.length(1);
  });

  it('I3: with strictAffinity a node has 64 addresses of a full pool, and the refusal says why there is no more', async () => {
    const pools = { one: { cidr: '192.168.1.0/26' }, two: { cidr: '192.168.1.64/26' } };
    await world.start(['a'], pools, { strictAffinity: true });
    const request = { pools: new Map([[4 as const, ['one']]]), addresses: [] };
    for (let i = 0; i < 64; i++) await world.node(0).loop.assign(ownerOf(`c${i}`), request);
    const refusal = await world.node(0).loop.assign(ownerOf('more'), request).catch(String);
    expect(refusal).to.include('pool "one"').and.include('no node borrows from another (strictAffinity)');
  });

  for (const [most, addresses] of [
    [1, 64],
    [2, 128],
  ] as const)
    it(`I5: a limit of ${most} blocks gives ${addresses} addresses of each family, and names itself`, async () => {
      const pools = { v4: { cidr: '10.0.0.0/24' }, v6: { cidr: 'fd00::/120' } };
      await world.start(['a'], pools, { maxBlocksPerHost: most, strictAffinity: true });
      const got: string[] = [];
      for (let i = 0; i < addresses; i++) got.push(...(await world.node(0).assign(`c${i}`)));
      expect(new Set(got).size).to.equal(2 * addresses);
      expect(await world.node(0).refusal('more')).to.include(
        `the limit of ${most} IPv4 blocks is reached for this node`,
      );
    });

  it('I6: maxBlocksPerHost lets a ninth pod wait until the limit is lifted', async () => {
    const pools = { p: { cidr: '10.0.0.0/28', blockSize: 30 } };
    await world.start(['a'], pools, { maxBlocksPerHost: 2, strictAffinity: true });
    for (let i = 0; i < 8; i++) await world.node(0).assign(`c${i}`);
    expect(await world.node(0).tryAssign('ninth')).to.deep.equal([]);
    world.node(0).cluster.upsert('ipamConfigurations', {
      metadata: { name: 'default' },
      spec: { maxBlocksPerHost: 0, strictAffinity: true },
    });
    expect(await world.node(0).assign('ninth')).to.have.length(1);
  });

  it('I11: an address that is released twice at once is free once', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/30', blockSize: 30 } });
    const node = world.node(0);
    const [first = ''] = await node.assign('one');
    await Promise.all([node.allocator.release(ownerOf('one')), node.allocator.release(ownerOf('one'))]);
    const got: string[] = [];
    for (let i = 0; i < 4; i++) got.push(...(await node.assign(`c${i}`)));
    expect(new Set(got).size).to.equal(4);
    expect(got).to.include(first);
    expect(await node.tryAssign('fifth')).to.deep.equal([]);
  });

  it('I12: 400 addresses of four nodes, some of a disabled pool, are released; blocks that nobody needs go', async () => {
    await world.start(['a', 'b', 'c', 'd'], { p: { cidr: '10.0.0.0/23' }, q: { cidr: '10.0.2.0/23' } });
    for (const node of world.nodes) for (let i = 0; i < 100; i++) await node.assign(`c${i}`);
    for (const { cluster } of world.nodes)
      cluster.upsert('ipPools', { metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/23', disabled: true } });
    for (const node of world.nodes)
      for (let i = 0; i < 100; i++) expect(await node.allocator.release(ownerOf(`c${i}`))).to.have.length(1);
    expect(world.nodes.flatMap(({ allocator }) => allocator.owners())).to.deep.equal([]);
    for (const { cluster } of world.nodes)
      cluster.delete('ipPools', { metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/23' } });
    for (let look = 0; look < 6; look++) for (const { loop } of world.nodes) await loop.upkeep.releaseUnused();
    for (const { cidr } of await world.store.list()) expect(cidr).to.match(/^10\.0\.[23]\./);
  });

  it('I13: a block that its node gave up, made anew, is another object: no request about the former touches it', async () => {
    await world.store.create({ cidr: '10.0.0.0/26', node: 'a', pool: 'p' });
    const before = await world.store.get('10.0.0.0/26');
    if (before === undefined) throw new Error('there is no block');
    await world.store.delete(before);
    await world.store.create({ cidr: '10.0.0.0/26', node: 'a', pool: 'p' });
    expect((await world.store.get('10.0.0.0/26'))?.version).not.to.equal(before.version);
    await world.store.delete(before);
    expect(await world.store.replace(before, { ...before, vacant: true })).to.equal(undefined);
    expect((await world.store.get('10.0.0.0/26'))?.vacant).to.equal(undefined);
  });

  it('I23: a pool for load balancers gives a pod nothing, asked for or not', async () => {
    await world.start(['a'], { lb: { cidr: '10.0.0.0/24', allowedUses: ['LoadBalancer'] } });
    expect(await world.node(0).refusal('pod')).to.include('"lb"');
    const request = { pools: new Map([[4 as const, ['lb']]]), addresses: [] };
    expect(await world.node(0).loop.assign(ownerOf('asks'), request).catch(String)).to.include('"lb"');
    const tunnel = { ...ownerOf('vxlan'), network: '.node' };
    expect(await world.node(0).loop.assignToNode(tunnel, 4, ['lb']).catch(String)).to.include('"lb"');
  });

  it('I35: unasked the pools that are enabled and match; asked for, a pool whatever its selector, unless it is disabled', async () => {
    const pools = {
      mine: { cidr: '10.0.0.0/24', nodeSelector: 'a' },
      others: { cidr: '10.0.1.0/24', nodeSelector: 'b' },
      off: { cidr: '10.0.2.0/24', disabled: true },
    };
    await world.start(['a'], pools);
    const asks = (pool: string): Promise<unknown> =>
      world
        .node(0)
        .loop.assign(ownerOf(pool), { pools: new Map([[4 as const, [pool]]]), addresses: [] })
        .catch(String);
    expect(String(await world.node(0).assign('pod'))).to.match(/^10\.0\.0\./);
    expect(String(await asks('others'))).to.match(/^10\.0\.1\./);
    expect(String(await asks('off'))).to.match(/"off".* is disabled/);
  });

  it('I36: a network address is usable, once, and one outside every pool is refused by name', async () => {
    await world.start(['a'], { p: { cidr: '192.168.1.0/24' } });
    expect(await world.node(0).assign('one', ['192.168.1.0'])).to.deep.equal(['192.168.1.0']);
    expect(await world.node(0).refusal('two', ['192.168.1.0'])).to.include('pod "default/one" has it');
    expect(await world.node(0).refusal('three', ['1.1.1.1'])).to.include('it lies in no IPPool that this node can use');
  });

  it('I37: whoever does not have an address cannot release it: another interface, another sandbox, nobody', async () => {
    await world.start(['a'], { p: { cidr: '192.168.0.0/24' } });
    const got = await world.node(0).assign('pod');
    const { allocator } = world.node(0);
    for (const wrong of [
      { ...ownerOf('pod'), interfaceName: 'net1' },
      { ...ownerOf('pod'), network: 'other' },
      ownerOf('a-former-sandbox'),
    ])
      expect(await allocator.release(wrong)).to.deep.equal([]);
    expect(allocator.addressesOfOwner(ownerOf('pod'))).to.deep.equal(got);
    expect(await allocator.release(ownerOf('pod'))).to.deep.equal(got);
    expect(await allocator.release(ownerOf('pod'))).to.deep.equal([]);
  });
});

/** Number -> where it is held, and by which test. */
const ELSEWHERE: Readonly<Record<string, readonly [file: string, title: string]>> = {
  I15: ['test/agent/ipam-loop.test.ts', 'claims another block when all of one is reserved'],
  // What a reservation does to the counts: rows of one table.
  I16: ['test/ipam-command/show.test.ts', "[['10.0.0.32/30'], '256/1/4/251', '64/1/4/59']"],
  I17: ['test/ipam-command/show.test.ts', "[['10.0.0.128/25'], '256/1/128/127', '64/1/0/63']"],
  I18: ['test/ipam-command/show.test.ts', "[['10.0.0.5/32'], '256/1/1/255', '64/1/1/63']"],
  I19: [
    'test/ipam-command/show.test.ts',
    "[['10.0.0.0/25', '10.0.0.5/32', '10.0.0.64/26'], '256/1/128/128', '64/1/64/0']",
  ],
  I21: [
    'test/agent/ipam-loop.test.ts',
    'chooses pools by the labels of the namespace, and lets a request beat selectors',
  ],
  I22: ['test/agent/ipam-loop.test.ts', 'never draws on a manual or disabled pool by itself'],
  I25: [
    'test/agent/block-lending.test.ts',
    'has one winner when owner and neighbour want the block at once, and no address twice',
  ],
  // There are no handles: what is assigned and never answered is what could leak.
  I27: ['test/ipam/allocator.test.ts', 'survives a kill: what was answered is there, a torn last line is not'],
  I31: ['test/agent/leak-sweeper.test.ts', 'releases who has neither a pod nor an interface, on the second look'],
  I32: [
    'test/agent/node-remains.test.ts',
    'deletes blocks and status of a Node that has been gone for long enough, and nobody else',
  ],
};

describe("all of Calico's 37 IPAM behaviours", () => {
  const rootUrl = new URL('../../../', import.meta.url);
  const sourceOf = (file: string): string => {
    const path = fileURLToPath(new URL(file, rootUrl));
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  const here = sourceOf('test/ipam/behaviours.test.ts');

  for (let number = 1; number <= 37; number++)
    it(`I${number} is held by a test`, () => {
      const id = `I${number}`;
      const elsewhere = ELSEWHERE[id];
      const isHere = new RegExp(`\\bit\\(['\`]${id}:`).test(here);
      expect(isHere, 'held twice, or by nobody').to.equal(elsewhere === undefined);
      if (elsewhere !== undefined) expect(sourceOf(elsewhere[0]), elsewhere.join(': ')).to.include(elsewhere[1]);
    });
});
