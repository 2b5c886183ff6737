/**
 * Redis Cluster, three masters with a replica each: everything of a fleet is in one slot, whoever is asked first; claims race there as on
 * one server; and when the master of that slot is killed its replica goes on with all that was acknowledged.
 */
import { expect } from 'chai';
import { claimBlock, type Pool } from '@tortie/ipam';
import { formatPrefix, parsePrefix, prefixesOverlap } from 'node-bgp/address';
import { KubernetesBlockStore } from '../../../src/agent/kubernetes-block-store.js';
import { Cluster } from '../../../src/cluster/cluster.js';
import type { ObjectStore } from '../../../src/datastore/datastore.js';
import { openDatastore } from '../../../src/datastore/open-datastore.js';
import { eventually } from '../../apiserver/api-client.js';
import { RedisCluster, whyNoCluster } from './redis-cluster.js';
import type { RedisServer } from './redis-server.js';

const MASTERS = 3;
const SETTLE = 3_000;
const POOL: Pool = { name: 'p', prefix: parsePrefix('10.0.0.0/26'), blockLength: 29, isDisabled: false };
const NODES = 16;
const PATIENCE = 45_000;

describe('datastore: a Redis Cluster', function () {
  this.timeout(180_000);
  let cluster: RedisCluster | undefined;
  const stores: ObjectStore[] = [];

  before(async function () {
    const why = whyNoCluster();
    if (why !== undefined) {
      process.stderr.write(`Redis Cluster is not tested: ${why}\n`);
      this.skip();
    }
    cluster = await RedisCluster.start(MASTERS);
  });
  after(async () => {
    for (const store of stores) await store.close();
    await cluster?.stop();
  });

  const servers = (): readonly RedisServer[] => cluster?.servers ?? [];
  const urlOf = (hosts: readonly RedisServer[], more = ''): string =>
    `redis-cluster://${hosts.map(({ port }) => `127.0.0.1:${port}`).join(',')}?wait=1&settle=${SETTLE}${more}`;
  const open = async (hosts = servers()): Promise<ObjectStore> => {
    const { store } = await openDatastore(urlOf(hosts), {});
    stores.push(store);
    return store;
  };

  it('is refused without a quorum, since a failover may lose what no replica had', async () => {
    const problem = await openDatastore(urlOf(servers(), '&wait=0').replace('wait=1&', ''), {}).then(
      ({ store }) => store.close().then(() => 'opened'),
      (error: unknown) => String(error),
    );
    expect(problem).to.include('wait=0; expected the number of replicas');
  });

  it('gives each block of a race one owner, whichever server each node knows, and all keys lie in one slot', async () => {
    const first = await open();
    await first.create('ipPools', { metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/26', blockSize: 29 } });
    // A client that knows one server alone finds the others; replicas do as well.
    const clients = await Promise.all(servers().map((server) => open([server])));
    await new Promise((resolve) => setTimeout(resolve, SETTLE));
    const claims = Array.from({ length: NODES }, (_, index) =>
      claimBlock(new KubernetesBlockStore(clients[index % clients.length] ?? first), POOL, `n${index}`).then(
        ({ prefix }) => formatPrefix(prefix),
        (error: unknown) => String(error),
      ),
    );
    const outcomes = await Promise.all(claims);
    const got = outcomes.filter((outcome) => outcome.startsWith('10.'));
    expect(got, outcomes.join('\n')).to.have.length(NODES / 2);
    expect(new Set(got).size).to.equal(NODES / 2);
    for (const other of outcomes.filter((each) => !each.startsWith('10.')))
      expect(other).to.include('all 8 blocks of 10.0.0.0/26 have an owner');
    const blocks = new KubernetesBlockStore(first);
    expect(await blocks.create({ cidr: '10.0.0.0/28', node: 'x', pool: 'p' }), 'another size').to.equal('exists');
    const keys = (await cluster?.each((client) => client.keys('*'))) ?? [];
    const having = keys.filter((each) => each.length > 0);
    expect(having.length, 'a master and its replica').to.equal(2);
    const slots = await cluster?.each((client) =>
      Promise.all(having.flat().map((key) => client.cluster('KEYSLOT', key))),
    );
    expect(new Set(slots?.flat()).size).to.equal(1);
  });

  it('goes on with all that was acknowledged when the master of the slot is killed: nobody else gets a block, watches go on', async () => {
    const store = await open();
    const seen = new Cluster(['ipamBlocks', 'nodes']);
    const watches = (['ipamBlocks', 'nodes'] as const).map((kind) => store.watch(kind, seen));
    try {
      await seen.synced;
      const before = [...seen.all('ipamBlocks').values()].map(({ spec }) => `${spec.cidr} ${spec.node}`).sort();
      expect(before).to.have.length(NODES / 2);
      const state = await cluster?.each(async (client, server) => ({
        server,
        isMaster: (await client.info('replication')).includes('role:master'),
        keys: (await client.keys('*')).length,
      }));
      const master = state?.find(({ isMaster, keys }) => isMaster && keys > 0)?.server;
      if (master === undefined) throw new Error('no server has the keys');
      await master.kill();
      const blocks = new KubernetesBlockStore(store);
      const [one = ''] = before;
      const [cidr = '', node = ''] = one.split(' ');
      const outcomeOf = (): Promise<string> =>
        blocks.create({ cidr, node, pool: 'p' }, true).catch((error: unknown) => String(error));
      const within = async (wanted: RegExp): Promise<void> => {
        const until = Date.now() + PATIENCE;
        for (let outcome = ''; !wanted.test(outcome); await new Promise((resolve) => setTimeout(resolve, 100))) {
          outcome = await outcomeOf();
          if (Date.now() > until) throw new Error(`waited in vain for ${wanted}: ${outcome}`);
        }
      };
      // Its replica is the master now, and has none itself: who asks for a quorum is told so.
      await within(/0 of 1 replicas have it/);
      await master.run();
      await within(/^held$/);
      expect(await blocks.create({ cidr, node: 'thief', pool: 'p' }).catch(String)).to.match(/exists|settl|promoted/);
      const after = (await blocks.list()).map((record) => `${record.cidr} ${record.node}`).sort();
      expect(after).to.deep.equal(before);
      const prefixes = after.map((each) => parsePrefix(each.split(' ')[0] ?? ''));
      for (const [index, prefix] of prefixes.entries())
        for (const other of prefixes.slice(index + 1)) expect(prefixesOverlap(prefix, other)).to.equal(false);
      await eventually('a write that a replica has, too', () =>
        store.create('nodes', { metadata: { name: 'late' } } as never).then(
          () => true,
          (error: unknown) => /AlreadyExists|already exists/.test(String(error)),
        ),
      );
      await eventually('the watch to hear of it', async () => seen.get('nodes', 'late') !== undefined);
      expect(seen.problems().size).to.equal(0);
    } finally {
      for (const watch of watches) watch.stop();
    }
  });
});
