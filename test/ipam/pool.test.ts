import { expect } from 'chai';
import fc from 'fast-check';
import { formatPrefix, parsePrefix, prefixesOverlap, prefixOf } from 'node-bgp/address';
import {
  claimBlock,
  freeBlocks,
  MemoryBlockStore,
  parsePools,
  PoolExhaustedError,
  TakenBlocks,
  type Pool,
} from '@tortie/ipam';

const poolOf = (cidr: string, blockSize: number): Pool => {
  const [pool] = parsePools([{ name: 'blue', cidr, blockSize }]).pools;
  if (pool === undefined) throw new Error('the fixture is wrong');
  return pool;
};

describe('ipam/pool', () => {
  it('fills in block sizes and keeps both families', () => {
    const { pools, problems } = parsePools([
      { name: 'v4', cidr: '10.65.0.0/16' },
      { name: 'v6', cidr: 'fd00:65::/48' },
    ]);
    expect(problems).to.deep.equal([]);
    expect(pools.map((pool) => pool.blockLength)).to.deep.equal([26, 122]);
  });

  const wrong: readonly (readonly [string, { cidr: string; blockSize?: number }, string])[] = [
    ['not a CIDR', { cidr: '10.65.0.0' }, 'spec.cidr is "10.65.0.0"; expected CIDR notation'],
    ...[
      ['224.0.0.0/16', 'multicast (224.0.0.0/4)'],
      ['127.0.0.0/24', 'loopback (127.0.0.0/8)'],
      ['169.254.8.0/24', 'link-local addresses (169.254.0.0/16)'],
      ['0.0.0.0/0', 'this network (0.0.0.0/8)'],
      ['fe80::/64', 'IPv6 link-local addresses (fe80::/10)'],
      ['ff05::/64', 'IPv6 multicast (ff00::/8)'],
      ['::ffff:10.0.0.0/112', 'IPv4-mapped addresses (::ffff:0.0.0.0/96)'],
    ].map(
      ([cidr = '', range]) =>
        [
          `a range that is not for hosts, ${cidr},`,
          { cidr },
          `spec.cidr is "${cidr}"; expected addresses of hosts, not ${range}`,
        ] as const,
    ),
    ['a length past 32', { cidr: '10.65.0.0/33' }, 'spec.cidr is "10.65.0.0/33"'],
    ['a block too large', { cidr: '10.65.0.0/16', blockSize: 19 }, 'spec.blockSize is 19; expected 20 to 32'],
    [
      'a block larger than its pool',
      { cidr: '10.65.0.0/24', blockSize: 22 },
      'spec.blockSize is 22, larger than the pool itself',
    ],
    ['half a bit', { cidr: 'fd00::/64', blockSize: 122.5 }, 'spec.blockSize is 122.5; expected 116 to 128'],
  ];
  for (const [what, input, sentence] of wrong)
    it(`names ${what} and leaves the others alone`, () => {
      const { pools, problems } = parsePools([
        { name: 'bad', ...input },
        { name: 'good', cidr: '10.66.0.0/16' },
      ]);
      expect(pools.map((pool) => pool.name)).to.deep.equal(['good']);
      expect(problems.map((problem) => problem.message).join()).to.include(`"bad": ${sentence}`);
    });

  it('keeps the same one of two overlapping pools whatever their order', () => {
    const inputs = [
      { name: 'a', cidr: '10.65.0.0/16' },
      { name: 'b', cidr: '10.65.8.0/24' },
    ];
    for (const order of [inputs, [...inputs].reverse()]) {
      const { pools, problems } = parsePools(order);
      expect(pools.map((pool) => pool.name)).to.deep.equal(['a']);
      expect(problems[0]?.message).to.equal(
        'Cannot use pool "b": 10.65.8.0/24 overlaps 10.65.0.0/16 of pool "a", which is older',
      );
    }
  });

  it('lets the older of two overlapping pools stand, whatever its name or size', () => {
    const inputs = [
      { name: 'z', cidr: '10.65.0.0/16', createdAt: '2026-01-01T00:00:00Z' },
      { name: 'a', cidr: '10.65.8.0/24', createdAt: '2026-01-01T00:00:01Z' },
      { name: 'b', cidr: '10.0.0.0/8', createdAt: '2026-01-02T00:00:00Z' },
    ];
    for (const order of [inputs, [...inputs].reverse()]) {
      const { pools, problems } = parsePools(order);
      expect(pools.map((pool) => pool.name)).to.deep.equal(['z']);
      expect(problems.map(({ message }) => message)).to.deep.equal([
        'Cannot use pool "a": 10.65.8.0/24 overlaps 10.65.0.0/16 of pool "z", which is older',
        'Cannot use pool "b": 10.0.0.0/8 overlaps 10.65.0.0/16 of pool "z", which is older',
      ]);
    }
  });

  it('finds a range taken when a block has any address of it', () => {
    const prefix = fc
      .tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 26, max: 32 }))
      .map(([at, length]) => prefixOf(parsePrefix(`10.65.0.${at}/32`), length));
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 8 }), fc.array(prefix, { maxLength: 8 }), (blocks, ranges) => {
        const taken = new TakenBlocks(blocks);
        for (const range of ranges)
          expect(taken.overlaps(range)).to.equal(blocks.some((block) => prefixesOverlap(block, range)));
      }),
    );
    expect(new TakenBlocks([parsePrefix('::/26')]).overlaps(parsePrefix('0.0.0.0/28'))).to.equal(false);
  });

  it('claims no block inside or around another, of whatever pool and size', async () => {
    for (const [taken, size] of [
      ['10.65.0.0/29', 30],
      ['10.65.0.0/29', 28],
    ] as const) {
      const store = new MemoryBlockStore();
      await store.create({ cidr: taken, node: 'other', pool: 'gone' });
      const claims: string[] = [];
      const refused = await (async () => {
        for (;;) claims.push(formatPrefix((await claimBlock(store, poolOf('10.65.0.0/28', size), 'node1')).prefix));
      })().catch((error: unknown) => error);
      expect(claims.sort()).to.deep.equal(size === 30 ? ['10.65.0.12/30', '10.65.0.8/30'] : []);
      expect(String(refused)).to.include(
        `all addresses of 10.65.0.0/28 lie in blocks that have an owner, some in blocks of another size than /${size}`,
      );
    }
  });

  it('gives a block back when another size was created at the same time', async () => {
    const store = new MemoryBlockStore();
    const create = store.create.bind(store);
    let isFirst = true;
    store.create = async (block) => {
      if (isFirst) await create({ cidr: '10.65.0.0/28', node: 'other', pool: 'other' });
      isFirst = false;
      return create(block);
    };
    const refused = await claimBlock(store, poolOf('10.65.0.0/28', 30), 'node1').catch((error: unknown) => error);
    expect(refused).to.be.instanceOf(PoolExhaustedError);
    expect((await store.list()).map(({ node }) => node)).to.deep.equal(['other']);
  });

  it('offers every block once, starting where the name says', () => {
    const pool = poolOf('10.65.0.0/24', 26);
    const blocks = [...freeBlocks(pool, 'node1', new TakenBlocks([]))].map(formatPrefix);
    expect([...blocks].sort()).to.deep.equal(['10.65.0.0/26', '10.65.0.128/26', '10.65.0.192/26', '10.65.0.64/26']);
    expect(
      [...freeBlocks(pool, 'node1', new TakenBlocks(blocks.slice(0, 1).map((text) => parsePrefix(text))))].map(
        formatPrefix,
      ),
    ).to.deep.equal(blocks.slice(1));
  });

  it('gives racing nodes different blocks, then says that the pool is full', async () => {
    const pool = poolOf('10.65.0.0/24', 28);
    const store = new MemoryBlockStore();
    const claims = await Promise.all(Array.from({ length: 16 }, (_, i) => claimBlock(store, pool, `node${i}`)));
    expect(new Set(claims.map((block) => formatPrefix(block.prefix))).size).to.equal(16);
    const refused = await claimBlock(store, pool, 'late').catch((error: unknown) => error);
    expect(refused).to.be.instanceOf(PoolExhaustedError);
    expect(String(refused)).to.include('all 16 blocks of 10.65.0.0/24 have an owner');
  });

  it('does not take an unreachable store for a full pool', async () => {
    const store = new MemoryBlockStore();
    store.create = () => Promise.reject(new Error('connection refused'));
    expect(
      String(await claimBlock(store, poolOf('10.65.0.0/24', 26), 'n').catch((error: unknown) => error)),
    ).to.include('connection refused');
  });
});
