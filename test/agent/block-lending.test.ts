import { expect } from 'chai';
import { addressAt, formatAddress, parsePrefix } from 'node-bgp/address';
import { IpamWorld, objectOf, ownerOf } from './ipam-world.js';

/** The family's own pool of two blocks of four, for the two nodes. */
const POOLS = {
  IPv4: { pool: { cidr: '10.0.0.0/29', blockSize: 30 }, host: 32 },
  IPv6: { pool: { cidr: 'fd00::/125', blockSize: 126 }, host: 128 },
};
const RANGE = { name: 'p', prefix: parsePrefix(POOLS.IPv4.pool.cidr) };

describe('agent/block-lending', () => {
  let world: IpamWorld;

  beforeEach(() => (world = new IpamWorld()));
  afterEach(() => world.close());

  /** Nodes a and b with a block each, and nothing free beside. */
  async function twoNodes(pool = POOLS.IPv4.pool, configuration = {}): Promise<void> {
    await world.start(['a', 'b'], { p: pool }, configuration);
    for (const node of world.nodes) await node.assign(`${node.name}0`);
    expect(world.nodes.map((node) => node.blocks().length)).to.deep.equal([1, 1]);
  }
  const loans = async () => (await world.store.list()).flatMap(({ loans: each = [] }) => each);
  const fill = async (at: number, count: number): Promise<string[]> => {
    const got: string[] = [];
    for (let i = 1; i <= count; i++) got.push(...(await world.node(at).assign(`${world.node(at).name}${i}`)));
    return got;
  };

  for (const [family, { pool, host }] of Object.entries(POOLS)) {
    it(`borrows an ${family} address when no block is free, and advertises that alone`, async () => {
      await twoNodes(pool);
      const got = await fill(0, 4);
      expect(new Set(got).size).to.equal(4);
      const [borrowed = ''] = got.slice(3);
      expect(await loans()).to.deep.equal([{ address: borrowed, node: 'a' }]);
      expect(world.node(0).borrowed()).to.deep.equal([`${borrowed}/${host}`]);
      expect(world.node(1).borrowed()).to.deep.equal([]);
      expect(world.node(0).usedElsewhere).to.deep.equal([borrowed]);
    });
  }

  it('lets two nodes have every address of a pool, none of them twice, and then says so', async () => {
    await twoNodes();
    const got = [...(await fill(0, 5)), ...(await fill(1, 1))];
    expect(new Set(got).size).to.equal(6);
    expect(await world.node(1).refusal('more')).to.match(
      /all 4 addresses of this node's 1 block are in use.*; Cannot claim .*all 2 blocks.*no other node offers one$/,
    );
  });

  it('gives no address that is lent to a pod of its owner, also not after a restart of either', async () => {
    await twoNodes();
    const [borrowed = ''] = (await fill(0, 4)).slice(3);
    const owner = await world.restart(1);
    const borrower = await world.restart(0);
    expect(borrower.borrowed()).to.deep.equal([`${borrowed}/32`]);
    const got = [...(await owner.assign('x')), ...(await owner.assign('y'))];
    expect(got).to.have.length(2).and.not.include(borrowed);
    expect(await owner.tryAssign('z')).to.deep.equal([]);
  });

  it('gives a borrowed address back when its pod is gone; the owner lets it rest, then has it again', async () => {
    await twoNodes();
    const [borrowed = ''] = (await fill(0, 4)).slice(3);
    await world.node(0).release('a4');
    expect(await loans()).to.deep.equal([]);
    expect(world.node(0).borrowed()).to.deep.equal([]);
    await world.levelAll();
    expect(world.node(1).usedElsewhere).to.include(borrowed);
    world.now += 60_000;
    expect((await fill(1, 3)).sort()).to.include(borrowed);
  });

  it('gives back what it borrowed and never gave out', async () => {
    await twoNodes();
    await world.levelAll();
    const [{ cidr = '' } = {}] = (await world.store.list()).filter(({ node }) => node === 'b');
    const stored = await world.store.get(cidr);
    if (stored?.offers?.[0] === undefined) throw new Error('nothing is offered');
    await world.store.replace(stored, { ...stored, offers: [], loans: [{ address: stored.offers[0], node: 'a' }] });
    const restarted = await world.restart(0);
    restarted.cluster.upsert('ipamBlocks', { metadata: { name: 'x' }, spec: (await world.store.get(cidr)) ?? stored });
    await restarted.loop.lending.levelBorrowed();
    expect(await loans()).to.deep.equal([]);
  });

  it('takes back what it offers before its own pods lack an address', async () => {
    await twoNodes();
    await world.levelAll();
    expect((await world.store.list()).map(({ offers = [] }) => offers.length)).to.deep.equal([2, 2]);
    expect(await fill(1, 3)).to.have.length(3);
    expect(world.node(1).borrowed()).to.deep.equal([]);
  });

  it('offers nothing while a block is free that nobody owns', async () => {
    await world.start(['a', 'b'], { p: { cidr: '10.0.0.0/28', blockSize: 30 } });
    for (const node of world.nodes) await node.assign(node.name);
    await world.levelAll();
    expect((await world.store.list()).flatMap(({ offers = [] }) => offers)).to.deep.equal([]);
  });

  it('neither offers nor borrows with strictAffinity', async () => {
    await twoNodes(POOLS.IPv4.pool, { strictAffinity: true });
    await fill(0, 3);
    expect(await world.node(0).refusal('more')).to.match(
      /all 2 blocks .* no node borrows from another \(strictAffinity\)$/,
    );
    expect((await world.store.list()).flatMap(({ offers = [] }) => offers)).to.deep.equal([]);
    for (const { cluster } of world.nodes)
      cluster.upsert('ipamConfigurations', { metadata: { name: 'default' }, spec: { strictAffinity: false } });
    expect(await world.node(0).assign('more')).to.have.length(1);
  });

  it('gives a pod the very address it asks for of another node, where that is offered', async () => {
    await twoNodes();
    await world.levelAll();
    const record = (await world.store.list()).find(({ node }) => node === 'b');
    const [offered = ''] = record?.offers ?? [];
    expect(await world.node(0).assign('asks', [offered])).to.deep.equal([offered]);
    expect(await loans()).to.deep.equal([{ address: offered, node: 'a' }]);
    const [taken = ''] = world.node(1).allocator.addressesOfOwner(ownerOf('b0'));
    expect(await world.node(0).refusal('asks-more', [taken])).to.match(/of node "b", which does not offer it$/);
  });

  for (const when of ['', ', after a restart'])
    it(`keeps what it offered to itself until a lost answer has been overtaken${when}`, async () => {
      await twoNodes();
      const { replace } = world.store;
      let late: (() => Promise<unknown>) | undefined;
      world.store.replace = async (before, after) => {
        late = () => replace.call(world.store, before, after);
        throw new Error('the answer was lost');
      };
      await world.node(1).loop.upkeep.levelLending();
      world.store.replace = replace;
      expect(late, 'nothing was offered').not.to.equal(undefined);
      if (when !== '') await world.restart(1);
      // Everything of b's block goes to its own pods: what may be on offer by now is swapped back first.
      expect(await fill(1, 3)).to.have.length(3);
      await late?.();
      const record = (await world.store.list()).find(({ node }) => node === 'b');
      expect(record?.offers ?? []).to.deep.equal([]);
    });

  it('asserts a borrowed address that its record has lost', async () => {
    await twoNodes();
    const [borrowed = ''] = (await fill(0, 4)).slice(3);
    const record = (await world.store.list()).find(({ node }) => node === 'b');
    const stored = await world.store.get(record?.cidr ?? '');
    if (stored === undefined) throw new Error('the fixture is wrong');
    await world.store.replace(stored, { cidr: stored.cidr, node: 'b', pool: 'p' });
    await (await world.restart(0)).loop.lending.levelBorrowed();
    const restarted = world.node(0);
    restarted.cluster.upsert('ipamBlocks', { metadata: { name: 'none' }, spec: { ...stored, loans: [], offers: [] } });
    await restarted.loop.lending.levelBorrowed();
    expect(await loans()).to.deep.equal([{ address: borrowed, node: 'a' }]);
  });

  it('borrows none that a pod of its own has, whatever a record that was restored offers', async () => {
    await twoNodes();
    const [borrowed = ''] = (await fill(0, 4)).slice(3);
    const { lending } = world.node(0).loop;
    const cidr = world.node(1).blocks()[0] ?? '';
    const offer = async (offers: readonly string[]): Promise<void> => {
      const stored = await world.store.get(cidr);
      if (stored === undefined) throw new Error('the fixture is wrong');
      const record = { cidr, node: 'b', pool: 'p', offers };
      await world.store.replace(stored, record);
      world.node(0).cluster.upsert('ipamBlocks', objectOf(record));
    };
    await offer([borrowed]);
    expect(await lending.borrowExactly(borrowed, cidr)).to.equal(false);
    expect(await lending.borrow(4, [RANGE])).to.equal(undefined);
    expect(await loans()).to.deep.equal([]);
    const [other = ''] = [2, 3]
      .map((at) => formatAddress(addressAt(parsePrefix(cidr), at)))
      .filter((each) => each !== borrowed);
    await offer([borrowed, borrowed, borrowed, borrowed, other]);
    expect(await lending.borrow(4, [RANGE])).to.equal(other);
  });

  describe('an address on its way to a pod', () => {
    it('is not given back, however long the pod waits for its other family', async () => {
      await twoNodes();
      await world.levelAll();
      const { lending } = world.node(0).loop;
      const address = (await lending.borrow(4, [RANGE])) ?? '';
      await lending.levelBorrowed();
      expect(await loans()).to.deep.equal([{ address, node: 'a' }]);
      lending.settle(address);
      await lending.levelBorrowed();
      expect(await loans(), 'no pod has got it').to.deep.equal([]);
    });

    it('is not given back for the sake of the pod that had it before', async () => {
      await twoNodes();
      const [borrowed = ''] = (await fill(0, 4)).slice(3);
      const cidr = world.node(1).blocks()[0] ?? '';
      const { lending } = world.node(0).loop;
      await world.node(0).allocator.release(ownerOf('a4'));
      const { replace } = world.store;
      // The owner offers it again as soon as it is back.
      world.store.replace = async (before, after) => {
        world.store.replace = replace;
        return world.store.replace(before, { ...after, offers: [borrowed] });
      };
      const [, isBorrowed] = await Promise.all([
        lending.levelBorrowed(),
        lending.borrowExactly(borrowed, cidr),
        lending.levelBorrowed(),
      ]);
      expect(isBorrowed).to.equal(true);
      expect(await loans()).to.deep.equal([{ address: borrowed, node: 'a' }]);
    });
  });

  it('keeps a block of which something is lent', async () => {
    await twoNodes();
    await fill(0, 4);
    await world.node(1).release('b0');
    expect(await world.node(1).loop.claims.release(parsePrefix(world.node(1).blocks()[0] ?? ''), 'p')).to.equal(false);
    expect(world.node(1).blocks()).to.have.length(1);
  });

  describe('takeover of a block that nobody uses', () => {
    /** Node b has a block and no pod any more; a has one and no room. */
    async function idleNeighbour(): Promise<void> {
      await twoNodes(POOLS.IPv4.pool, { strictAffinity: true });
      await fill(0, 3);
      await world.node(1).release('b0');
      for (let look = 0; look < 2; look++) await world.node(1).loop.upkeep.lookAround();
    }

    it('makes a block its own that has been empty for two looks, when the pool has no other', async () => {
      await idleNeighbour();
      expect((await world.store.list()).find(({ node }) => node === 'b')?.vacant).to.equal(true);
      expect(await world.node(0).assign('more')).to.have.length(1);
      expect(world.node(0).blocks()).to.have.length(2);
      await world.node(1).loop.claims.reconcile();
      expect(world.node(1).blocks()).to.deep.equal([]);
      expect((await world.store.list()).map(({ node }) => node)).to.deep.equal(['a', 'a']);
    });

    it('has one winner when owner and neighbour want the block at once, and no address twice', async () => {
      for (let round = 0; round < 20; round++) {
        await idleNeighbour();
        const got = await Promise.all([world.node(0).tryAssign('more'), world.node(1).tryAssign('back')]);
        expect(got.flat()).to.have.length(1);
        expect(new Set((await world.store.list()).map(({ cidr }) => cidr)).size).to.equal(2);
        await world.close();
        world = new IpamWorld();
      }
    });

    it('leaves a block to its owner that has a pod, or while there are others', async () => {
      await twoNodes();
      for (let look = 0; look < 2; look++) await world.node(1).loop.upkeep.lookAround();
      expect((await world.store.list()).some(({ vacant }) => vacant === true)).to.equal(false);
      await world.close();
      world = new IpamWorld();
      await world.start(['a', 'b'], { p: { cidr: '10.0.0.0/28', blockSize: 30 } });
      for (let look = 0; look < 3; look++) await world.node(1).loop.upkeep.lookAround();
      expect((await world.store.list()).some(({ vacant }) => vacant === true)).to.equal(false);
    });

    it('takes its own vacant block back when a pod comes', async () => {
      await idleNeighbour();
      expect(await world.node(1).assign('back')).to.have.length(1);
      expect((await world.store.list()).some(({ vacant }) => vacant === true)).to.equal(false);
      expect(await world.node(0).tryAssign('more')).to.deep.equal([]);
    });
  });

  describe('limits and release', () => {
    it('claims no more blocks of a family than maxBlocksPerHost, names the limit, and borrows instead', async () => {
      const pools = { p: { cidr: '10.0.0.0/28', blockSize: 30 }, q: { cidr: 'fd00::/124', blockSize: 126 } };
      await world.start(['a'], pools, { maxBlocksPerHost: 2 });
      for (let i = 0; i < 8; i++) expect(await world.node(0).assign(`a${i}`)).to.have.length(2);
      expect(world.node(0).blocks()).to.have.length(4);
      expect(await world.node(0).refusal('more')).to.include(
        'the limit of 2 IPv4 blocks is reached for this node (spec.maxBlocksPerHost of IPAMConfiguration "default")',
      );
      world.node(0).cluster.upsert('ipamConfigurations', { metadata: { name: 'default' }, spec: {} });
      await new Promise((resolve) => setTimeout(resolve, 0));
      expect(await world.node(0).assign('more')).to.have.length(2);
    });

    it('borrows where a limit keeps it from a block that is free', async () => {
      await world.start(['a', 'b'], { p: { cidr: '10.0.0.0/28', blockSize: 30 } }, { maxBlocksPerHost: 1 });
      await world.node(1).assign('b0');
      for (let i = 0; i < 5; i++) expect(await world.node(0).assign(`a${i}`)).to.have.length(1);
      expect(world.node(0).borrowed()).to.have.length(1);
    });

    it('gives back an empty block that it can spare after two looks, never its last', async () => {
      await world.start(['a'], { p: { cidr: '10.0.0.0/28', blockSize: 30 } });
      for (let i = 0; i < 8; i++) await world.node(0).assign(`a${i}`);
      for (let i = 0; i < 8; i++) await world.node(0).release(`a${i}`);
      await world.node(0).loop.upkeep.lookAround();
      expect(world.node(0).blocks().length).to.be.at.least(2);
      for (let look = 0; look < 6; look++) await world.node(0).loop.upkeep.lookAround();
      expect(world.node(0).blocks()).to.have.length(1);
      expect(await world.store.list()).to.have.length(1);
    });

    it('claims the next block when four fifths of one are gone, and not before', async () => {
      await world.start(['a'], { p: { cidr: '10.0.0.0/24' } });
      for (let i = 0; i < 51; i++) await world.node(0).assign(`a${i}`);
      expect(await world.store.list()).to.have.length(1);
      await world.node(0).assign('a51');
      for (let i = 0; i < 100 && (await world.store.list()).length === 1; i++)
        await new Promise((resolve) => setTimeout(resolve, 10));
      expect(await world.store.list()).to.have.length(2);
    });
  });
});
