/** Every store of blocks, each as a test opens it: for suites that all of them have to pass. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MemoryBlockStore, type BlockStore } from '@tortie/ipam';
import { KubernetesBlockStore } from '../../src/agent/kubernetes-block-store.js';
import { loadManifests } from '../../src/apiserver/manifests.js';
import { startApiServer } from '../../src/apiserver/server.js';
import type { ObjectStore } from '../../src/datastore/datastore.js';
import { openDatastore } from '../../src/datastore/open-datastore.js';
import { RedisServer, SERVERS } from './redis/redis-server.js';

export interface OpenedStore {
  /** Another client of the same store. */
  readonly another: () => Promise<BlockStore>;
  readonly datastore?: ObjectStore;
  /** For other processes. */
  readonly url?: string;
  readonly close: () => Promise<void>;
}

export interface StoreUnderTest {
  readonly name: string;
  /** Does it refuse blocks that overlap? */
  readonly isGuarded: boolean;
  readonly open: () => Promise<OpenedStore>;
}

export const CRDS = fileURLToPath(new URL('../../../manifests/crds', import.meta.url));

async function byUrl(url: string, end: () => Promise<void>): Promise<OpenedStore> {
  const opened: ObjectStore[] = [];
  const open = async (): Promise<ObjectStore> => {
    const { store } = await openDatastore(url, {});
    opened.push(store);
    return store;
  };
  return {
    another: async () => new KubernetesBlockStore(await open()),
    datastore: await open(),
    url,
    close: async () => {
      for (const store of opened) await store.close();
      await end();
    },
  };
}

async function onApiServer(): Promise<OpenedStore> {
  const directory = mkdtempSync(join(tmpdir(), 'tortie-blocks-'));
  const server = await startApiServer({ crds: loadManifests(CRDS) });
  const kubeconfig = join(directory, 'kubeconfig');
  const config = {
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [{ name: 'test', cluster: { server: server.url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'test', user: {} }],
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  return byUrl(`kubernetes:${kubeconfig}`, async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });
}

async function onDirectory(): Promise<OpenedStore> {
  const directory = mkdtempSync(join(tmpdir(), 'tortie-blocks-'));
  return byUrl(`dir:${directory}`, async () => rmSync(directory, { recursive: true }));
}

async function onRedis(program: string): Promise<OpenedStore> {
  const server = await RedisServer.start({ program });
  return byUrl(server.url, () => server.stop());
}

export const STORES: readonly StoreUnderTest[] = [
  {
    name: 'memory',
    isGuarded: false,
    open: async () => {
      const store = new MemoryBlockStore();
      return { another: async () => store, close: async () => {} };
    },
  },
  { name: "the lab's API server", isGuarded: false, open: onApiServer },
  { name: 'a directory', isGuarded: true, open: onDirectory },
  ...SERVERS.map((program) => ({ name: program, isGuarded: true, open: () => onRedis(program) })),
];
