import { expect } from 'chai';
import fc from 'fast-check';
import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parsePrefix } from 'node-bgp/address';
import { Allocator, JournalError, NoAddressError, type Owner } from '@tortie/ipam';

const owner = (containerId: string): Owner => ({
  network: 'tortie',
  containerId,
  interfaceName: 'eth0',
  namespace: 'default',
  pod: containerId,
});

const V4 = { name: 'v4', prefix: parsePrefix('10.65.0.0/16') };
const V6 = { name: 'v6', prefix: parsePrefix('fd00::/64') };

describe('ipam/allocator', () => {
  let directory: string;
  let now: number;
  const path = (): string => join(directory, 'ipam.journal');
  const open = (journalPath = path()): Promise<Allocator> =>
    Allocator.open({ journalPath, coolDown: 1000, now: () => now });
  const assign = (allocator: Allocator, id: string): Promise<readonly string[]> =>
    allocator.assign({ owner: owner(id), families: [4, 6], pools: [V4, V6] });

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-ipam-'));
    now = 1_000_000;
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  async function withBlocks(length4 = 30, length6 = 126): Promise<Allocator> {
    const allocator = await open();
    await allocator.addBlock({ prefix: parsePrefix(`10.65.0.0/${length4}`), pool: 'v4' });
    await allocator.addBlock({ prefix: parsePrefix(`fd00::/${length6}`), pool: 'v6' });
    return allocator;
  }

  it('assigns both families, and the same again to the same owner', async () => {
    const allocator = await withBlocks();
    expect(await assign(allocator, 'a')).to.deep.equal(['10.65.0.0', 'fd00::']);
    expect(await assign(allocator, 'a')).to.deep.equal(['10.65.0.0', 'fd00::']);
    expect(await assign(allocator, 'b')).to.deep.equal(['10.65.0.1', 'fd00::1']);
    await allocator.close();
  });

  it('says something else of an owner, whose addresses and turn stay, and nothing of one it does not know', async () => {
    const allocator = await withBlocks();
    await assign(allocator, 'a');
    await assign(allocator, 'b');
    await allocator.amend({ ...owner('a'), netns: '/run/netns/other' });
    await allocator.amend(owner('nobody'));
    const said = [
      ['/run/netns/other', ['10.65.0.0', 'fd00::']],
      [undefined, ['10.65.0.1', 'fd00::1']],
    ];
    const owners = (of: Allocator) => of.owners().map(({ owner: { netns }, addresses }) => [netns, addresses]);
    expect(owners(allocator)).to.deep.equal(said);
    await allocator.close();
    const again = await open();
    expect(owners(again)).to.deep.equal(said);
    await again.close();
  });

  it('gives nothing at all when one family has nothing left', async () => {
    const allocator = await withBlocks(30, 127);
    await assign(allocator, 'a');
    await assign(allocator, 'b');
    const error = await assign(allocator, 'c').catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(NoAddressError);
    expect(String(error)).to.include(
      'Cannot assign an IPv6 address from pool "v6": all 2 addresses of this node\'s 1 block are in use',
    );
    expect(allocator.usageOf('10.65.0.0/30')?.assigned).to.equal(2);
    await allocator.close();
  });

  it('lets an address rest, and takes the longest rested first', async () => {
    const allocator = await withBlocks();
    for (const id of ['a', 'b', 'c']) await assign(allocator, id);
    await allocator.release(owner('b'));
    await allocator.release(owner('a'));
    expect((await assign(allocator, 'd'))[0]).to.equal('10.65.0.3');
    now += 2000;
    expect((await assign(allocator, 'e'))[0]).to.equal('10.65.0.1');
    expect((await assign(allocator, 'f'))[0]).to.equal('10.65.0.0');
    await allocator.close();
  });

  it('draws only on blocks in the range of a pool, whatever pool they were claimed for', async () => {
    const allocator = await withBlocks();
    const elsewhere = { name: 'v4', prefix: parsePrefix('10.66.0.0/16') };
    const inside = { name: 'v4', prefix: parsePrefix('10.65.0.0/31') };
    for (const pool of [elsewhere, inside]) {
      const error = await allocator
        .assign({ owner: owner('a'), families: [4], pools: [pool] })
        .catch((thrown: unknown) => thrown);
      expect(String(error)).to.include('from pool "v4": this node owns no block of it yet');
    }
    const renamed = { name: 'new', prefix: V4.prefix };
    expect(await allocator.assign({ owner: owner('a'), families: [4], pools: [renamed] })).to.deep.equal(['10.65.0.0']);
    await allocator.close();
  });

  it('gives reserved addresses only to who names one, and those of an older block to nobody', async () => {
    const allocator = await withBlocks(29);
    allocator.holdBack({ reserved: [parsePrefix('10.65.0.0/31')], foreign: [parsePrefix('10.65.0.4/30')] });
    expect(allocator.wantsBlock(4, [V4])).to.equal(false);
    const one = (id: string, addresses: readonly string[] = []): Promise<readonly string[]> =>
      allocator.assign({ owner: owner(id), families: [4], pools: [V4], addresses });
    expect([await one('a'), await one('b')]).to.deep.equal([['10.65.0.2'], ['10.65.0.3']]);
    expect(allocator.wantsBlock(4, [V4])).to.equal(true);
    const full = await one('c').catch((thrown: unknown) => thrown);
    expect(String(full)).to.include("all 8 addresses of this node's 1 block are in use or held back (6)");
    expect(await one('d', ['10.65.0.1'])).to.deep.equal(['10.65.0.1']);
    for (const [address, why] of [
      ['10.65.0.1', 'pod "default/d" has it'],
      ['10.65.0.4', 'an older block of another node has it too'],
      ['10.65.1.0', 'it lies in no block of this node'],
    ] as const)
      expect(String(await one('e', [address]).catch((thrown: unknown) => thrown))).to.include(
        `Cannot assign address ${address}: ${why}`,
      );
    allocator.holdBack({ reserved: [], foreign: [] });
    const rest = [await one('f'), await one('g'), await one('h'), await one('i'), await one('j')].flat();
    expect(rest.sort()).to.deep.equal(['10.65.0.0', '10.65.0.4', '10.65.0.5', '10.65.0.6', '10.65.0.7']);
    await allocator.close();
  });

  it('gives an address once though two blocks of the node have it', async () => {
    const allocator = await open();
    await allocator.addBlock({ prefix: parsePrefix('10.65.0.0/30'), pool: 'v4' });
    await allocator.addBlock({ prefix: parsePrefix('10.65.0.0/31'), pool: 'v4' });
    const got: string[] = [];
    for (const id of ['a', 'b', 'c', 'd'])
      got.push(...(await allocator.assign({ owner: owner(id), families: [4], pools: [V4] })));
    expect(new Set(got).size).to.equal(4);
    expect(
      await allocator.assign({ owner: owner('e'), families: [4], pools: [V4] }).catch((thrown: unknown) => thrown),
    ).to.be.instanceOf(NoAddressError);
    await allocator.close();
  });

  it('gives a block back only when nobody has an address of it', async () => {
    const allocator = await withBlocks();
    await assign(allocator, 'a');
    expect(await allocator.removeIfEmpty(V4.prefix)).to.equal(false);
    expect(await allocator.removeIfEmpty(parsePrefix('10.65.0.0/30'))).to.equal(false);
    await allocator.release(owner('a'));
    expect(await allocator.removeIfEmpty(parsePrefix('10.65.0.0/30'))).to.equal(true);
    expect(allocator.ownBlockRecords().map(({ cidr }) => cidr)).to.deep.equal(['fd00::/126']);
    await allocator.close();
  });

  it('reuses a resting address rather than refuse a pod', async () => {
    const allocator = await withBlocks(32, 128);
    await assign(allocator, 'a');
    await allocator.release(owner('a'));
    expect((await assign(allocator, 'b'))[0]).to.equal('10.65.0.0');
    await allocator.close();
  });

  it('asks for a block before the last address is gone', async () => {
    const allocator = await withBlocks(29);
    expect(allocator.wantsBlock(4, [V4])).to.equal(false);
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g'])
      await allocator.assign({ owner: owner(id), families: [4], pools: [V4] });
    expect(allocator.wantsBlock(4, [V4])).to.equal(true);
    expect(allocator.wantsBlock(4, [{ name: 'other', prefix: parsePrefix('10.66.0.0/16') }])).to.equal(true);
    await allocator.close();
  });

  it('survives a kill: what was answered is there, a torn last line is not', async () => {
    const allocator = await withBlocks();
    await assign(allocator, 'a');
    copyFileSync(path(), `${path()}.crash`);
    appendFileSync(`${path()}.crash`, '{"op":"assign","address":"10.65.0.1","ow');
    const second = await open(`${path()}.crash`);
    expect(second.owners().map((entry) => entry.addresses)).to.deep.equal([['10.65.0.0', 'fd00::']]);
    expect(await assign(second, 'b')).to.deep.equal(['10.65.0.1', 'fd00::1']);
    await second.close();
    const third = await open(`${path()}.crash`);
    expect(third.owners()).to.have.length(2);
    await third.close();
    await allocator.close();
    expect(statSync(path()).mode & 0o777).to.equal(0o600);
  });

  it('refuses a journal that is damaged in the middle, naming the line', async () => {
    writeFileSync(
      path(),
      '{"op":"block","cidr":"10.0.0.0/26","pool":"v4"}\nrubbish\n{"op":"unblock","cidr":"10.0.0.0/26"}\n',
    );
    const error = await open().catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(JournalError);
    expect(String(error)).to.include('line 2 is not JSON');
  });

  it('rewrites a journal of mostly dead lines and loses nothing by it', async function () {
    this.timeout(60_000);
    const allocator = await withBlocks(26, 122);
    await assign(allocator, 'keeper');
    const churn = async (id: string): Promise<void> => {
      for (let i = 0; i < 60; i++) {
        await assign(allocator, id);
        await allocator.release(owner(id));
        now += 5000;
      }
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => churn(`c${i}`)));
    const owners = allocator.owners();
    await allocator.close();
    expect(readFileSync(path(), 'utf8').split('\n').length).to.be.lessThan(4200);
    const again = await open();
    expect(again.owners()).to.deep.equal(owners);
    expect(again.ownBlocks()).to.have.length(2);
    await again.close();
  });

  it('never gives one address to two owners, whatever happens and however often it restarts', async function () {
    this.timeout(120_000);
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant('assign' as const), id: fc.integer({ min: 0, max: 9 }) }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('release' as const), id: fc.integer({ min: 0, max: 9 }) }) },
      fc.record({ do: fc.constant('wait' as const), id: fc.integer({ min: 0, max: 1500 }) }),
      fc.record({ do: fc.constant('restart' as const), id: fc.constant(0) }),
    );
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const file = join(directory, `run${run++}`);
        let allocator = await open(file);
        await allocator.addBlock({ prefix: parsePrefix('10.65.0.0/29'), pool: 'v4' });
        const held = new Map<string, string>();
        for (const { do: what, id } of steps) {
          const name = `c${id}`;
          if (what === 'wait') now += id;
          else if (what === 'restart') {
            await allocator.close();
            allocator = await open(file);
          } else if (what === 'release') {
            await allocator.release(owner(name));
            held.delete(name);
          } else {
            const got = await allocator
              .assign({ owner: owner(name), families: [4], pools: [V4] })
              .catch((error: unknown) => {
                if (error instanceof NoAddressError) return [];
                throw error;
              });
            if (got.length === 0) expect(held.size, 'refused although something is free').to.equal(8);
            else held.set(name, got[0] ?? '');
          }
          expect(new Set(held.values()).size).to.equal(held.size);
          expect(allocator.owners().length).to.equal(held.size);
        }
        await allocator.close();
      }),
      { numRuns: 60 },
    );
  });
});
