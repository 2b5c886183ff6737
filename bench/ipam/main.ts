/**
 * npm run bench -- ipam [--pods 2000] [--nodes 1000] [--blocks 100000] [-o json]
 *
 * Addresses: assigned and released in one node, with the journal on the disk and in memory, beside host-local (a process and a file
 * for each, as every runtime starts it); a first block for many nodes at once, by the store in memory, by the lab's API server and by
 * Redis; requests to the store for each pod; memory that a cluster's blocks take in an agent.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  Allocator,
  claimBlock,
  MemoryBlockStore,
  type BlockRecord,
  type BlockStore,
  type Owner,
  type Pool,
  type StoredBlock,
} from '@tortie/ipam';
import { addressAt, formatPrefix, parsePrefix, prefixOf } from 'node-bgp/address';
import { AddressPublisher } from '../../src/agent/address-publisher.js';
import { IpamLoop } from '../../src/agent/ipam-loop.js';
import { blockName, KubernetesBlockStore } from '../../src/agent/kubernetes-block-store.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { KubernetesClient } from '../../src/datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../../src/datastore/kubernetes-datastore.js';
import { loadManifests } from '../../src/apiserver/manifests.js';
import { startApiServer } from '../../src/apiserver/server.js';
import { createLogger } from '../../src/log.js';
import { leave, readOptions } from '../options.js';
import { claimTimes, redisClaims, type Tell } from './redis-claims.js';

const USAGE = {
  area: 'ipam',
  about: `Addresses: assign and release in one node beside host-local, first blocks for many nodes at once, requests to the store for each
pod, memory for many blocks. The reference needs containernetworking-plugins; without them it is left out.`,
  options: {
    pods: { value: 'N', default: '2000', range: [10, 100_000], about: 'pods that come and go in one node' },
    nodes: { value: 'N', default: '1000', range: [2, 5_000], about: 'nodes that claim their first block at once' },
    blocks: {
      value: 'N',
      default: '100000',
      range: [1, 1_000_000],
      about: 'blocks of the cluster, for the memory they take',
    },
  },
} as const;

const HOST_LOCAL = '/usr/lib/cni/host-local';
const HOST_LOCAL_PODS = 50;
/** Pods of a node that are there at once, and calls under way at once. */
const STANDING = 110;
const AT_ONCE = 32;

const POOL: Pool = { name: 'pods', prefix: parsePrefix('10.64.0.0/10'), blockLength: 26, isDisabled: false };

const ownerOf = (id: number): Owner => ({
  network: 'tortie',
  containerId: id.toString(16).padStart(64, '0'),
  interfaceName: 'eth0',
  namespace: 'default',
  pod: `pod-${id}`,
  uid: `uid-${id}`,
});

interface Result {
  readonly what: string;
  readonly value: number | undefined;
  readonly unit: string;
}

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  const results: Result[] = [];
  const tell = (what: string, value: number | undefined, unit: string): void => {
    results.push({ what, value, unit });
    const text = value === undefined ? 'not measured' : value >= 100 ? value.toFixed(0) : value.toPrecision(3);
    process.stdout.write(`${what.padEnd(62)}${text.padStart(12)} ${unit}\n`);
  };
  const directory = mkdtempSync(join(tmpdir(), 'tortie-bench-ipam-'));
  try {
    await assignments(Number(values.pods), directory, tell);
    await redisClaims(Number(values.nodes), POOL, tell);
    await claims(Number(values.nodes), directory, tell);
    await requests(Number(values.pods), directory, tell);
    await memory(Number(values.blocks), tell);
  } finally {
    rmSync(directory, { recursive: true });
  }
  if (values.output === 'json') process.stdout.write(`${JSON.stringify({ results })}\n`);
  return 0;
}

/** Pairs of assign and release in a second. */
async function assignments(pods: number, directory: string, tell: Tell): Promise<void> {
  const disk = await pairsPerSecond(join(directory, 'journal'), pods, AT_ONCE);
  tell(`assign and release, journal on disk, ${AT_ONCE} at once`, disk, 'a second');
  tell('the same, one after the other', await pairsPerSecond(join(directory, 'single'), pods, 1), 'a second');
  const isMemory = existsSync('/dev/shm') && statfsSync('/dev/shm').type === 0x01021994;
  const shared = isMemory ? mkdtempSync('/dev/shm/tortie-bench-ipam-') : undefined;
  try {
    tell(
      `assign and release, journal in memory, ${AT_ONCE} at once`,
      shared === undefined ? undefined : await pairsPerSecond(join(shared, 'journal'), pods * 10, AT_ONCE),
      'a second',
    );
  } finally {
    if (shared !== undefined) rmSync(shared, { recursive: true });
  }
  tell(
    'host-local ADD and DEL, one process each',
    existsSync(HOST_LOCAL) ? hostLocal(directory) : undefined,
    'a second',
  );
}

async function pairsPerSecond(journalPath: string, pods: number, atOnce: number): Promise<number> {
  const allocator = await Allocator.open({ journalPath, now: Date.now });
  for (let i = 0; i < 4; i++)
    await allocator.addBlock({ prefix: prefixOf(addressAt(POOL.prefix, BigInt(i * 64)), 26), pool: POOL.name });
  const request = { families: [4] as const, pools: [POOL] };
  for (let i = 0; i < STANDING; i++) await allocator.assign({ ...request, owner: ownerOf(1_000_000 + i) });
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < pods) {
      const owner = ownerOf(next++);
      await allocator.assign({ ...request, owner });
      await allocator.release(owner);
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: atOnce }, worker));
  const seconds = (performance.now() - begun) / 1000;
  await allocator.close();
  return pods / seconds;
}

function hostLocal(directory: string): number {
  const config = JSON.stringify({
    cniVersion: '1.0.0',
    name: 'reference',
    type: 'ptp',
    ipam: { type: 'host-local', dataDir: join(directory, 'host-local'), ranges: [[{ subnet: '10.66.0.0/16' }]] },
  });
  const call = (command: string, id: number): void => {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: `c${id}`,
      CNI_NETNS: '/proc/self/ns/net',
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/usr/lib/cni',
    };
    const { status, stdout } = spawnSync(HOST_LOCAL, [], { input: config, env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`host-local ${command} failed: ${stdout}`);
  };
  const begun = performance.now();
  for (let id = 0; id < HOST_LOCAL_PODS; id++) {
    call('ADD', id);
    call('DEL', id);
  }
  return HOST_LOCAL_PODS / ((performance.now() - begun) / 1000);
}

/** Every node claims a block at the same moment. */
async function claims(nodes: number, directory: string, tell: Tell): Promise<void> {
  const shared = new MemoryBlockStore();
  const memory = await claimTimes(nodes, POOL, () => shared);
  tell(`first block of ${nodes} nodes at once, store in memory, p99`, memory, 'ms');
  const server = await startApiServer({ crds: await loadManifests(CRDS) });
  try {
    const kubeconfig = join(directory, 'kubeconfig');
    writeFileSync(kubeconfig, kubeconfigOf(server.url ?? ''));
    const store = new CountedStore(
      new KubernetesBlockStore(new KubernetesDatastore(KubernetesClient.load(kubeconfig))),
    );
    tell("the same, the lab's API server in this process, p99", await claimTimes(nodes, POOL, () => store), 'ms');
    tell('  requests of one claim', store.calls / nodes, '');
    store.calls = 0;
    store.records = 0;
    const begun = performance.now();
    await claimBlock(store, POOL, 'one-more');
    tell(`one more block beside those of ${nodes} nodes, alone`, performance.now() - begun, 'ms');
    tell('  its requests', store.calls, '');
    tell('  records in their answers', store.records, '');
  } finally {
    await server.close();
  }
}

const CRDS = fileURLToPath(new URL('../../../manifests/crds', import.meta.url));

const kubeconfigOf = (server: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'bench',
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    clusters: [{ name: 'bench', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'bench', user: {} }],
  });

/** A node's loop with pods that come and go, and a store that counts. */
async function requests(pods: number, directory: string, tell: Tell): Promise<void> {
  const counted = new CountedStore(new MemoryBlockStore());
  const cluster = new Cluster(['ipPools', 'ipamBlocks', 'ipReservations', 'ipamConfigurations', 'namespaces', 'nodes']);
  counted.onCreate = (spec) => cluster.upsert('ipamBlocks', { metadata: { name: blockName(spec.cidr) }, spec });
  cluster.upsert('nodes', { metadata: { name: 'node' } });
  cluster.upsert('ipPools', { metadata: { name: 'pods' }, spec: { cidr: '10.64.0.0/10' } });
  const allocator = await Allocator.open({ journalPath: join(directory, 'requests'), now: Date.now });
  const log = createLogger('bench', { level: 'silent' });
  const nothing = (): void => {};
  const loop = new IpamLoop({
    node: 'node',
    cluster,
    allocator,
    store: counted,
    matches: () => true,
    log,
    onBlocks: nothing,
    onHealth: nothing,
    onUsedElsewhere: nothing,
  });
  let writes = 0;
  const publisher = new AddressPublisher({
    node: 'node',
    datastore: { get: async () => undefined, create: count, replace: count },
    owners: () => allocator.owners(),
    hasNode: () => true,
    log,
  });
  async function count<T>(_: unknown, object: T): Promise<T> {
    writes++;
    return object;
  }
  await loop.start();
  for (let id = 0; id < pods; id++) {
    await loop.assign(ownerOf(id), { pools: new Map(), addresses: [] });
    if (id >= STANDING) await allocator.release(ownerOf(id - STANDING));
    publisher.changed();
  }
  loop.stop();
  publisher.stop();
  await allocator.close();
  tell(
    `requests to the store for each of ${pods} pods, ${STANDING} there at once`,
    (counted.calls + writes) / pods,
    'a pod',
  );
}

/** Counts requests, and the records that lists answer. */
class CountedStore implements BlockStore {
  calls = 0;
  records = 0;
  onCreate: (block: BlockRecord) => void = () => {};

  constructor(private readonly store: BlockStore) {}

  async list(): Promise<readonly BlockRecord[]> {
    this.calls++;
    const records = await this.store.list();
    this.records += records.length;
    return records;
  }

  get(cidr: string): Promise<StoredBlock | undefined> {
    this.calls++;
    return this.store.get(cidr);
  }

  async create(block: BlockRecord): Promise<'created' | 'held' | 'exists'> {
    this.calls++;
    const outcome = await this.store.create(block);
    if (outcome === 'created') this.onCreate(block);
    return outcome;
  }

  replace(before: StoredBlock, after: BlockRecord): Promise<StoredBlock | undefined> {
    this.calls++;
    return this.store.replace(before, after);
  }

  delete(block: BlockRecord): Promise<void> {
    this.calls++;
    return this.store.delete(block);
  }
}

/** What an agent or a controller keeps of the cluster's blocks. */
async function memory(blocks: number, tell: Tell): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const before = process.memoryUsage().heapUsed;
  const cluster = new Cluster(['ipamBlocks']);
  for (let index = 0; index < blocks; index++) {
    const cidr = formatPrefix(prefixOf(addressAt(POOL.prefix, BigInt(index) * 32n), 27));
    const spec = { cidr, node: `node-${index >> 2}`, pool: 'pods' };
    const metadata = {
      name: blockName(cidr),
      uid: `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`,
      resourceVersion: String(index),
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
    };
    // As JSON.parse would make it: no text is shared.
    cluster.upsert('ipamBlocks', JSON.parse(JSON.stringify({ metadata, spec })));
  }
  collect();
  tell(`memory of ${blocks} blocks`, (process.memoryUsage().heapUsed - before) / 1e6, 'MB');
  if (cluster.all('ipamBlocks').size !== blocks) throw new Error('the fixture is wrong: blocks share names');
}
