/** First blocks for many nodes at once, on Redis, and how long a claim takes on any store. */
import { claimBlock, type BlockStore, type Pool } from '@tortie/ipam';
import { KubernetesBlockStore } from '../../src/agent/kubernetes-block-store.js';
import type { ObjectStore } from '../../src/datastore/datastore.js';
import { openDatastore } from '../../src/datastore/open-datastore.js';
import { RedisServer } from '../../test/datastore/redis/redis-server.js';

export type Tell = (what: string, value: number | undefined, unit: string) => void;

/** The 99th percentile of the first claims of so many nodes, all begun at one moment. */
export async function claimTimes(nodes: number, pool: Pool, storeOf: (index: number) => BlockStore): Promise<number> {
  const stores = Array.from({ length: nodes }, (_, index) => storeOf(index));
  const begun = performance.now();
  const times = await Promise.all(
    Array.from({ length: nodes }, async (_, index) => {
      await claimBlock(stores[index] as BlockStore, pool, `node-${index}`);
      return performance.now() - begun;
    }),
  );
  times.sort((a, b) => a - b);
  return times[Math.floor(nodes * 0.99)] ?? 0;
}

/** As many clients as a machine may have; each node's claim is one call however many blocks there are. */
const REDIS_CLIENTS = 50;

/** Milliseconds that the server was busy with scripts: it runs one at a time, so the last of many at once waits for all. */
async function serverTime(client: ReturnType<RedisServer['client']>): Promise<number> {
  const stats = await client.info('commandstats');
  return Number(/cmdstat_evalsha:calls=\d+,usec=(\d+)/.exec(stats)?.[1] ?? 0) / 1000;
}

export async function redisClaims(nodes: number, pool: Pool, tell: Tell): Promise<void> {
  const server = await RedisServer.start({ args: ['--appendfsync', 'everysec'] });
  const client = server.client();
  const stores: ObjectStore[] = [];
  try {
    for (let index = 0; index < REDIS_CLIENTS; index++) stores.push((await openDatastore(server.url, {})).store);
    const storeOf = (index: number): BlockStore =>
      new KubernetesBlockStore(stores[index % REDIS_CLIENTS] as ObjectStore);
    // Both scripts are known to the server, as they are to one that has been there for a while.
    await claimBlock(storeOf(0), pool, 'first');
    const calls = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0);
    const before = await calls();
    tell('the same, Redis over loopback, all at one moment, p99', await claimTimes(nodes, pool, storeOf), 'ms');
    tell('  calls of one claim', ((await calls()) - before) / nodes, '');
    tell('  of it the server alone, all of them one after the other', await serverTime(client), 'ms');
    const times: number[] = [];
    for (let index = 0; index < 200; index++) {
      const begun = performance.now();
      await claimBlock(storeOf(index), pool, `one-more-${index}`);
      times.push(performance.now() - begun);
    }
    times.sort((a, b) => a - b);
    tell(`one more block beside those of ${nodes} nodes, Redis, p99 of 200`, times[197], 'ms');
  } finally {
    client.disconnect();
    for (const store of stores) await store.close();
    await server.stop();
  }
}
