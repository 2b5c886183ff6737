import { expect } from 'chai';
import { formatPrefix } from 'node-bgp/address';
import { claimBlock, freeBlocks, MemoryBlockStore, parsePools, PoolExhaustedError, type Pool } from '@tortie/ipam';

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
      expect(problems[0]?.message).to.equal('Cannot use pool "b": 10.65.8.0/24 overlaps 10.65.0.0/16 of pool "a"');
    }
  });

  it('offers every block once, starting where the name says', () => {
    const pool = poolOf('10.65.0.0/24', 26);
    const blocks = [...freeBlocks(pool, 'node1', new Set())].map(formatPrefix);
    expect([...blocks].sort()).to.deep.equal(['10.65.0.0/26', '10.65.0.128/26', '10.65.0.192/26', '10.65.0.64/26']);
    expect([...freeBlocks(pool, 'node1', new Set(blocks.slice(0, 1)))].map(formatPrefix)).to.deep.equal(
      blocks.slice(1),
    );
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
