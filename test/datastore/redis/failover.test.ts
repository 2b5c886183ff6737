/**
 * A primary that is killed under load, with Sentinel: nodes claim all the time, the replica is promoted, every node says again what is
 * its own, and afterwards no address has two owners, in the store or in anybody's memory.
 */
import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Allocator } from '@tortie/ipam';
import { formatPrefix, parsePrefix, prefixesOverlap } from 'node-bgp/address';
import { KubernetesBlockStore } from '../../../src/agent/kubernetes-block-store.js';
import { IpamLoop } from '../../../src/agent/ipam-loop.js';
import { Cluster } from '../../../src/cluster/cluster.js';
import type { ObjectStore } from '../../../src/datastore/datastore.js';
import { openDatastore } from '../../../src/datastore/open-datastore.js';
import { createLogger } from '../../../src/log.js';
import { eventually } from '../../apiserver/api-client.js';
import { freePort, RedisServer } from './redis-server.js';

const KINDS = ['ipPools', 'ipamBlocks', 'ipReservations', 'ipamConfigurations', 'namespaces', 'nodes'] as const;
const NODES = 6;
const PATIENCE = 60_000;

async function within(what: string, isMet: () => boolean | Promise<boolean>): Promise<void> {
  const until = Date.now() + PATIENCE;
  while (!(await isMet())) {
    if (Date.now() > until) throw new Error(`Waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A node that asks for one pod's addresses after the other, as fast as it gets them. */
class BusyNode {
  readonly addresses = new Map<string, string>();
  private isStopped = false;
  private pods = 0;
  private work: Promise<void> | undefined;

  private constructor(
    readonly name: string,
    readonly store: ObjectStore,
    readonly cluster: Cluster,
    readonly allocator: Allocator,
    readonly loop: IpamLoop,
  ) {}

  static async start(name: string, url: string, directory: string): Promise<BusyNode> {
    const { store } = await openDatastore(url, {});
    const cluster = new Cluster(KINDS);
    for (const kind of KINDS) store.watch(kind, cluster);
    const allocator = await Allocator.open({ journalPath: join(directory, name), now: Date.now });
    const nothing = (): void => {};
    const loop = new IpamLoop({
      node: name,
      cluster,
      allocator,
      store: new KubernetesBlockStore(store),
      matches: () => true,
      log: createLogger('failover', { level: 'silent' }),
      onBlocks: nothing,
      onHealth: nothing,
      onUsedElsewhere: nothing,
    });
    await cluster.synced;
    await loop.start();
    const node = new BusyNode(name, store, cluster, allocator, loop);
    node.work = node.run();
    return node;
  }

  blocks(): readonly string[] {
    return this.allocator.ownBlocks().map(({ prefix }) => formatPrefix(prefix));
  }

  /** Stops asking; goes on keeping its blocks. */
  async rest(): Promise<void> {
    this.isStopped = true;
    await this.work;
  }

  async close(): Promise<void> {
    await this.rest();
    this.loop.stop();
    await this.allocator.close();
    await this.store.close();
  }

  private async run(): Promise<void> {
    while (!this.isStopped) {
      const pod = `${this.name}-${this.pods++}`;
      const owner = { network: 'x', containerId: pod, interfaceName: 'eth0', namespace: 'x', pod };
      const got = await this.loop.assign(owner, { pools: new Map(), addresses: [] }).catch(() => []);
      for (const address of got) this.addresses.set(address, pod);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

describe('datastore: a Redis that fails over', function () {
  this.timeout(240_000);
  const servers: RedisServer[] = [];
  const nodes: BusyNode[] = [];
  let first: ObjectStore | undefined;
  let sentinel: ChildProcess | undefined;
  let directory: string;

  before(() => (directory = mkdtempSync(join(tmpdir(), 'tortie-failover-'))));
  after(async () => {
    for (const node of nodes) await node.close();
    await first?.close();
    sentinel?.kill('SIGKILL');
    for (const server of servers) await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function startSentinel(primary: RedisServer): Promise<number> {
    const port = await freePort();
    const file = join(directory, 'sentinel.conf');
    writeFileSync(
      file,
      [
        `port ${port}`,
        'bind 127.0.0.1',
        `dir ${directory}`,
        `sentinel monitor main 127.0.0.1 ${primary.port} 1`,
        'sentinel down-after-milliseconds main 1000',
        'sentinel failover-timeout main 5000',
        '',
      ].join('\n'),
    );
    sentinel = spawn('redis-sentinel', [file], { stdio: 'ignore' });
    return port;
  }

  it('gives no address to two nodes, whatever it forgot', async () => {
    const primary = await RedisServer.start();
    servers.push(primary);
    const replica = await RedisServer.start({ args: ['--replicaof', '127.0.0.1', String(primary.port)] });
    servers.push(replica);
    const [client, other] = [primary.client(), replica.client()];
    try {
      await eventually('the replica', async () => (await client.info('replication')).includes('state=online'));
      const url = `redis-sentinel://127.0.0.1:${await startSentinel(primary)}/main?accept-loss=true&settle=4000`;
      // No quorum is asked for: the failover may lose what it likes.
      await within('Sentinel', () =>
        openDatastore(url, {}).then(
          ({ store }) => {
            first = store;
            return true;
          },
          () => false,
        ),
      );
      await first?.create('ipPools', { metadata: { name: 'p' }, spec: { cidr: '10.77.0.0/18', blockSize: 29 } });
      for (let index = 0; index < NODES; index++)
        await first?.create('nodes', { metadata: { name: `n${index}` } } as never);
      for (let index = 0; index < NODES; index++) nodes.push(await BusyNode.start(`n${index}`, url, directory));
      await within('a load of addresses', () => nodes.every(({ addresses }) => addresses.size > 10));
      const blocks = '{tortie}:objects:ipamblocks.tortie.dev';
      // "online" is also said of one that has yet to load: a fleet without its pool has nothing to go on with.
      await within(
        'the replica to have the pool and blocks',
        async () =>
          (await other.hlen('{tortie}:objects:ippools.projectcalico.org')) === 1 && (await other.hlen(blocks)) > 0,
      );
      // From here on the replica hears of nothing, so the promotion forgets for sure.
      await client.call('ACL', 'SETUSER', 'default', '-psync', '-sync');
      await client.call('CLIENT', 'KILL', 'TYPE', 'replica');
      await within(
        'blocks that the replica does not know',
        async () => (await client.hlen(blocks)) > (await other.hlen(blocks)) + 2,
      );
      const before = nodes.map(({ addresses }) => addresses.size);
      await primary.kill();
      await within('the promotion', async () => (await other.info('replication')).includes('role:master'));
      await within('new addresses on every node', () =>
        nodes.every(({ addresses }, index) => addresses.size > (before[index] ?? 0) + 16),
      );
      for (const node of nodes) await node.rest();
      const store = new KubernetesBlockStore(nodes[0]?.store as ObjectStore);
      await within('every node and the store to say the same', async () => {
        const said = (await store.list()).map(({ cidr, node }) => `${cidr} ${node}`).sort();
        const known = nodes.flatMap((node) => node.blocks().map((cidr) => `${cidr} ${node.name}`)).sort();
        return said.join() === known.join();
      });
      const owners = new Map<string, string>();
      for (const node of nodes)
        for (const address of node.addresses.keys()) {
          expect(owners.get(address), `${address} of ${node.name}`).to.equal(undefined);
          owners.set(address, node.name);
        }
      const prefixes = nodes.flatMap((node) => node.blocks().map((cidr) => parsePrefix(cidr)));
      for (const [index, prefix] of prefixes.entries())
        for (const later of prefixes.slice(index + 1)) expect(prefixesOverlap(prefix, later)).to.equal(false);
    } finally {
      client.disconnect();
      other.disconnect();
    }
  });
});
