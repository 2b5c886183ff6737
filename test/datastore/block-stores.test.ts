/** What every store of blocks promises (ipam/src/block-store.ts). */
import { expect } from 'chai';
import { claimBlock, claimExactly, PoolExhaustedError, type BlockStore, type Pool } from '@tortie/ipam';
import { formatPrefix, parsePrefix, prefixesOverlap } from 'node-bgp/address';
import type { IPAMBlock } from '../../src/api/ipam.js';
import { eventually } from '../apiserver/api-client.js';
import { STORES, type OpenedStore } from './block-stores.js';

const block = (cidr: string, node: string) => ({ cidr, node, pool: 'p' });
const poolOf = (cidr: string, blockLength: number): Pool => ({
  name: 'p',
  prefix: parsePrefix(cidr),
  blockLength,
  isDisabled: false,
});

for (const { name, isGuarded, open } of STORES)
  describe(`block store: ${name}`, function () {
    this.timeout(60_000);
    let opened: OpenedStore;
    let store: BlockStore;
    before(async () => {
      opened = await open();
      store = await opened.another();
    });
    after(() => opened?.close());
    afterEach(async () => {
      for (const record of await store.list()) await store.delete(record);
      expect(await store.list()).to.deep.equal([]);
    });

    it('creates a block once: its owner holds it, for others it exists', async () => {
      const other = await opened.another();
      expect(await store.create(block('10.65.0.0/26', 'a'))).to.equal('created');
      expect(await store.create(block('10.65.0.0/26', 'a'))).to.equal('held');
      expect(await other.create(block('10.65.0.0/26', 'b'))).to.equal('exists');
      expect(await other.create(block('10.65.0.0/26', 'a'), true)).to.equal('held');
      expect((await other.get('10.65.0.0/26'))?.node).to.equal('a');
      expect((await other.list()).map(({ cidr, node, pool }) => ({ cidr, node, pool }))).to.deep.equal([
        block('10.65.0.0/26', 'a'),
      ]);
    });
    it('lets one of many have a block', async () => {
      const clients = await Promise.all(Array.from({ length: 4 }, () => opened.another()));
      for (const cidr of ['10.65.0.64/26', 'fd00:65::40/122']) {
        const outcomes = await Promise.all(
          Array.from({ length: 16 }, (_, index) => clients[index % 4]?.create(block(cidr, `n${index}`))),
        );
        expect(outcomes.filter((outcome) => outcome === 'created')).to.have.length(1);
        expect(outcomes.filter((outcome) => outcome === 'exists')).to.have.length(15);
        expect((await store.get(cidr))?.node).to.equal(`n${outcomes.indexOf('created')}`);
      }
    });
    it('swaps what is lent, once for each version', async () => {
      const cidr = '10.65.1.0/26';
      await store.create(block(cidr, 'a'));
      const first = await store.get(cidr);
      if (first === undefined) throw new Error('it is not there');
      const lent = { ...block(cidr, 'a'), offers: ['10.65.1.5'], loans: [{ address: '10.65.1.4', node: 'b' }] };
      const second = await store.replace(first, lent);
      expect(second).to.deep.include(lent);
      expect(await store.replace(first, block(cidr, 'c')), 'an old version').to.equal(undefined);
      expect(await store.get(cidr)).to.deep.include(lent);
      const racers = await Promise.all(
        Array.from({ length: 8 }, async (_, index) =>
          (await opened.another()).replace(second ?? first, { ...block(cidr, `r${index}`), vacant: true }),
        ),
      );
      expect(racers.filter((outcome) => outcome !== undefined)).to.have.length(1);
      const winner = `r${racers.findIndex((outcome) => outcome !== undefined)}`;
      const last = await store.get(cidr);
      expect([last?.node, last?.vacant, last?.offers ?? []]).to.deep.equal([winner, true, []]);
      await store.delete(block(cidr, winner));
      expect(await store.replace(last ?? first, block(cidr, 'a')), 'one that is gone').to.equal(undefined);
      expect(await store.get(cidr)).to.equal(undefined);
    });
    it('gives a block back for its owner alone, and only as it is', async () => {
      const cidr = '10.65.2.0/26';
      await store.create(block(cidr, 'a'));
      const before = await store.get(cidr);
      await store.delete(block(cidr, 'b'));
      expect(await store.get(cidr)).not.to.equal(undefined);
      if (before !== undefined) await store.replace(before, { ...block(cidr, 'a'), offers: ['10.65.2.1'] });
      await store.delete({ ...block(cidr, 'a'), version: before?.version ?? '' });
      expect((await store.get(cidr))?.offers).to.deep.equal(['10.65.2.1']);
      await store.delete(block(cidr, 'a'));
      await store.delete(block(cidr, 'a'));
      expect(await store.get(cidr)).to.equal(undefined);
      expect(await store.create(block(cidr, 'b'))).to.equal('created');
    });
    if (isGuarded)
      it('refuses a block that shares an address with one of another size', async () => {
        for (const [cidr, around, within, beside] of [
          ['10.65.4.64/26', '10.65.4.0/24', '10.65.4.96/28', '10.65.4.128/26'],
          ['fd00:65::40/122', 'fd00:65::/120', 'fd00:65::7f/128', 'fd00:65::/122'],
        ] as const) {
          expect(await store.create(block(cidr, 'a'))).to.equal('created');
          expect(await store.create(block(around, 'b'))).to.equal('exists');
          expect(await store.create(block(within, 'b'))).to.equal('exists');
          expect(await store.create(block(within, 'a')), 'not even to its owner').to.equal('exists');
          expect(await store.create(block(beside, 'b'))).to.equal('created');
          await store.delete(block(cidr, 'a'));
          expect(await store.create(block(within, 'b'))).to.equal('created');
        }
      });
    for (const [cidr, length] of [
      ['10.66.0.0/28', 30],
      ['fd00:66::/124', 126],
      ['255.255.255.0/28', 30],
    ] as const)
      it(`gives ${cidr} to four of eight nodes, and tells the others that it is full`, async () => {
        const outcomes = await Promise.all(
          Array.from({ length: 8 }, async (_, index) =>
            claimBlock(await opened.another(), poolOf(cidr, length), `node${index}`).catch((error: unknown) => error),
          ),
        );
        const got = outcomes.filter((outcome) => !(outcome instanceof Error)) as { readonly prefix: never }[];
        expect(new Set(got.map(({ prefix }) => formatPrefix(prefix))).size).to.equal(4);
        const refused = outcomes.filter((outcome) => outcome instanceof Error);
        expect(refused).to.have.length(4);
        for (const error of refused) {
          expect(error).to.be.instanceOf(PoolExhaustedError);
          expect(String(error)).to.contain(`all 4 blocks of ${cidr} have an owner`);
        }
      });
    it('claims around blocks of other sizes and of those that are held', async () => {
      const range = parsePrefix('10.67.0.0/27');
      await store.create(block('10.67.0.4/31', 'old'));
      await store.create(block('10.67.0.16/29', 'old'));
      const got = new Set<string>();
      for (let index = 0; index < 4; index++) {
        const { prefix } = await claimBlock(store, poolOf('10.67.0.0/27', 30), `n${index}`, [
          parsePrefix('10.67.0.8/30'),
        ]);
        got.add(formatPrefix(prefix));
      }
      expect([...got].sort()).to.deep.equal(['10.67.0.0/30', '10.67.0.12/30', '10.67.0.24/30', '10.67.0.28/30']);
      const full = await claimBlock(store, { ...poolOf('10.67.0.0/27', 30), prefix: range }, 'late', [
        parsePrefix('10.67.0.8/30'),
      ]).catch(String);
      expect(full).to.contain('some in blocks of another size than /30');
    });
    it('never lets two nodes have blocks that overlap, whatever their sizes', async () => {
      const sizes = [26, 27, 28, 29] as const;
      const claims = await Promise.all(
        Array.from({ length: 12 }, async (_, index) => {
          const cidr = formatPrefix({ ...parsePrefix('10.68.0.0/26'), length: sizes[index % 4] ?? 26 });
          return { cidr, isOurs: await claimExactly(await opened.another(), block(cidr, `n${index}`)) };
        }),
      );
      const ours = claims.filter(({ isOurs }) => isOurs).map(({ cidr }) => parsePrefix(cidr));
      for (const [index, prefix] of ours.entries())
        for (const other of ours.slice(index + 1)) expect(prefixesOverlap(prefix, other)).to.equal(false);
      if (isGuarded) expect(ours).to.have.length(1);
    });
    it('tells those who watch of every block, its changes and its end', async function () {
      if (opened.datastore === undefined) return this.skip();
      const seen = new Map<string, IPAMBlock>();
      let isListed = false;
      const isVacant = (key: string): boolean => seen.get(key)?.spec.vacant === true;
      await store.create(block('10.69.0.0/26', 'a'));
      const watch = opened.datastore.watch('ipamBlocks', {
        upsert: (_, object) => void seen.set(object.metadata.name, object),
        delete: (_, object) => void seen.delete(object.metadata.name),
        firstListDone: () => (isListed = true),
        health: () => {},
      });
      try {
        await eventually('the list', () => isListed && seen.size === 1);
        await store.create(block('10.69.0.64/26', 'b'));
        const stored = await store.get('10.69.0.0/26');
        if (stored !== undefined) await store.replace(stored, { ...block('10.69.0.0/26', 'a'), vacant: true });
        await eventually(
          'both changes',
          () => [...seen.keys()].sort().join() === '10-69-0-0-26,10-69-0-64-26' && isVacant('10-69-0-0-26'),
        );
        await store.delete(block('10.69.0.0/26', 'a'));
        await eventually('the end of one', () => [...seen.keys()].join() === '10-69-0-64-26');
      } finally {
        watch.stop();
      }
    });
  });
