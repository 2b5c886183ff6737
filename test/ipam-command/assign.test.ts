/** `tortie ipam assign`: addresses by handle, without an agent, on every store that sees blocks by itself and on the API server. */
import { expect } from 'chai';
import { KubernetesBlockStore } from '../../src/agent/kubernetes-block-store.js';
import { selectorMatches } from '../../src/agent/node-selector.js';
import type { ObjectStore } from '../../src/datastore/datastore.js';
import { openDatastore } from '../../src/datastore/open-datastore.js';
import { assignToHandle, releaseHandle } from '../../src/ipam/assign.js';
import { STORES, type OpenedStore } from '../datastore/block-stores.js';

for (const { name, open } of STORES.filter(({ name: each }) => each !== 'memory' && each !== 'valkey-server'))
  describe(`ipam assign: ${name}`, function () {
    this.timeout(60_000);
    let opened: OpenedStore;
    let store: ObjectStore;
    before(async () => {
      opened = await open();
      if (opened.datastore === undefined) throw new Error('a store without objects');
      store = opened.datastore;
    });
    after(() => opened?.close());
    afterEach(async () => {
      for (const kind of ['ipamBlocks', 'ipPools', 'ipReservations', 'nodes'] as const)
        for (const { metadata } of await store.list(kind)) await store.delete(kind, metadata.name);
    });
    const pool = (poolName: string, cidr: string, spec = {}) =>
      store.create('ipPools', { metadata: { name: poolName }, spec: { cidr, ...spec } });
    const assign = (node: string, handle: string, from?: string, datastore = store): Promise<readonly string[]> =>
      assignToHandle(datastore, new KubernetesBlockStore(datastore), { node, handle, pool: from }, selectorMatches);
    const refusal = (...args: Parameters<typeof assign>): Promise<string> =>
      assign(...args).then((got) => `got ${got.join()}`, String);

    it('gives a handle an address of each family, and the same ones again', async () => {
      await pool('four', '10.65.0.0/24');
      await pool('six', 'fd00:65::/112');
      const first = await assign('a', 'web');
      expect(first).to.have.length(2);
      expect(first[0]).to.match(/^10\.65\.0\./);
      expect(first[1]).to.match(/^fd00:65::/);
      expect(await assign('a', 'web')).to.deep.equal(first);
      const other = await assign('b', 'web');
      expect(other).not.to.have.members(first);
      const [block] = await store.list('ipamBlocks');
      expect(block?.spec.agentless).to.equal(true);
      expect((await store.get('nodes', 'a'))?.metadata.name).to.equal('a');
    });
    it('has room for what was given back, by its handle alone', async () => {
      await pool('p', '10.65.0.0/31', { blockSize: 31 });
      const [first] = await assign('a', '1');
      await assign('a', '2');
      expect(await refusal('a', '3')).to.match(
        /Cannot assign an address.*all 1 blocks of 10\.65\.0\.0\/31 have an owner/,
      );
      const blocks = new KubernetesBlockStore(store);
      expect(await releaseHandle(blocks, { node: 'b', handle: '1' })).to.deep.equal([]);
      expect(await releaseHandle(blocks, { node: 'a', handle: '1' })).to.deep.equal([first]);
      expect(await releaseHandle(blocks, { node: 'a', handle: '1' })).to.deep.equal([]);
      expect(await assign('b', '3'), 'of a block of node a').to.deep.equal([first]);
    });
    it('takes the pool that is asked for, and says what is wrong with it', async () => {
      await pool('p', '10.65.0.0/24');
      await pool('manual', '10.66.0.0/24', { assignmentMode: 'Manual' });
      await pool('off', '10.67.0.0/24', { disabled: true });
      await pool('six', 'fd00:65::/112');
      expect((await assign('a', '1', 'manual')).join()).to.match(/^10\.66\.0\.\d+$/);
      expect((await assign('a', '2', '10.66.0.0/24')).join()).to.match(/^10\.66\.0\.\d+$/);
      expect((await assign('a', '3', 'six')).join()).to.match(/^fd00:65::/);
      expect(await refusal('a', '4', 'off')).to.contain('"off", which is disabled');
      expect(await refusal('a', '4', 'none')).to.contain('"none", which does not exist');
    });
    it('gives nobody a reserved address, and all or nothing', async () => {
      await store.create('ipReservations', {
        metadata: { name: 'r' },
        spec: { reservedCIDRs: ['10.65.0.0/31', 'fd00:65::/127'] },
      });
      await pool('p', '10.65.0.0/30', { blockSize: 30 });
      await pool('six', 'fd00:65::/127', { blockSize: 127 });
      expect(await refusal('a', '1')).to.contain('fd00:65::/127');
      const loans = (await store.list('ipamBlocks')).flatMap(({ spec }) => spec.loans ?? []);
      expect(loans).to.deep.equal([]);
      expect(await assign('a', '1', 'p')).to.deep.equal(['10.65.0.2']);
    });
    it('lets 32 clients race for 16 blocks: 16 owners, 32 addresses', async () => {
      await pool('p', '10.65.0.0/27', { blockSize: 31 });
      const stores: ObjectStore[] = [];
      try {
        for (let index = 0; index < 8; index++) stores.push((await openDatastore(opened.url ?? '', {})).store);
        const got = await Promise.all(
          Array.from({ length: 32 }, (_, index) => assign(`n${index}`, 'x', undefined, stores[index % 8])),
        );
        expect(new Set(got.flat()).size).to.equal(32);
        const owners = (await store.list('ipamBlocks')).map(({ spec }) => spec.node);
        expect([owners.length, new Set(owners).size]).to.deep.equal([16, 16]);
      } finally {
        for (const each of stores) await each.close();
      }
    });
  });
