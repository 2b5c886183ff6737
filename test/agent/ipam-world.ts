/**
 * Nodes with an allocator and an IPAM loop each, around one store, whose every write each node's watch hears of at once. As an API server
 * with manifests/base/node-guard.yaml would, it refuses what a node's token may not write.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Allocator, MemoryBlockStore, type BlockRecord, type BlockStore, type Owner } from '@tortie/ipam';
import { formatPrefix, type Family } from 'node-bgp/address';
import { IpamLoop } from '../../src/agent/ipam-loop.js';
import { blockName } from '../../src/agent/kubernetes-block-store.js';
import type { IPAMConfigurationSpec, IPPoolSpec } from '../../src/api/ipam.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { createLogger } from '../../src/log.js';
import { isAdmitted, type AgentWrite } from '../api/node-guard.js';

export const ownerOf = (pod: string): Owner => ({
  network: 'tortie',
  containerId: pod,
  interfaceName: 'eth0',
  namespace: 'default',
  pod,
});

export const objectOf = ({ cidr, node, pool, offers = [], loans = [], vacant = false, kept = [] }: BlockRecord) => ({
  metadata: { name: blockName(cidr) },
  spec: { cidr, node, pool, offers, loans, vacant, kept },
});

export class TestNode {
  readonly cluster = new Cluster([
    'ipPools',
    'ipamBlocks',
    'ipReservations',
    'ipamConfigurations',
    'namespaces',
    'nodes',
  ]);
  readonly loop: IpamLoop;
  /** Addresses that somebody else may have used, as told. */
  readonly usedElsewhere: string[] = [];

  constructor(
    readonly name: string,
    readonly allocator: Allocator,
    store: BlockStore,
  ) {
    this.cluster.upsert('nodes', { metadata: { name, labels: { node: name } } });
    this.loop = new IpamLoop({
      node: name,
      cluster: this.cluster,
      allocator,
      store,
      matches: (selector, labels) => labels.get('node') === selector,
      log: createLogger('test', { level: 'silent' }),
      onBlocks: () => {},
      onUsedElsewhere: (addresses) => this.usedElsewhere.push(...addresses),
      onHealth: () => {},
    });
  }

  /** A pod that comes again by this standing; `life` tells its sandboxes apart. */
  assignKept(keptFor: string, life: string, seconds = 600): Promise<readonly string[]> {
    const owner = { ...ownerOf(life), keep: { keptFor, seconds } };
    return this.loop.assign(owner, { pools: new Map<Family, readonly string[]>(), addresses: [] });
  }

  assign(pod: string, addresses: readonly string[] = []): Promise<readonly string[]> {
    return this.loop.assign(ownerOf(pod), { pools: new Map<Family, readonly string[]>(), addresses });
  }

  async tryAssign(pod: string): Promise<readonly string[]> {
    return this.assign(pod).catch(() => []);
  }

  refusal(pod: string, addresses: readonly string[] = []): Promise<string> {
    return this.assign(pod, addresses).then(
      (got) => `got ${got.join()}`,
      (error: unknown) => String(error),
    );
  }

  async release(pod: string): Promise<void> {
    await this.allocator.release(ownerOf(pod));
    await this.loop.lending.levelBorrowed();
  }

  blocks(): readonly string[] {
    return this.allocator.ownBlocks().map(({ prefix }) => formatPrefix(prefix));
  }

  borrowed(): readonly string[] {
    return this.loop.borrowedRecords().map(({ cidr }) => cidr);
  }
}

export class IpamWorld {
  readonly store = new MemoryBlockStore();
  readonly nodes: TestNode[] = [];
  /** What the nodes have asked of the store: 'list', 'create', ... */
  readonly calls: string[] = [];
  now = 0;
  private readonly directory = mkdtempSync(join(tmpdir(), 'tortie-ipam-'));

  async close(): Promise<void> {
    for (const node of this.nodes) await this.stop(node);
    rmSync(this.directory, { recursive: true });
  }

  async start(
    names: readonly string[],
    pools: Readonly<Record<string, IPPoolSpec>>,
    configuration?: IPAMConfigurationSpec,
  ): Promise<void> {
    for (const name of names) {
      const node = await this.open(name);
      for (const [pool, spec] of Object.entries(pools))
        node.cluster.upsert('ipPools', { metadata: { name: pool }, spec });
      if (configuration !== undefined)
        node.cluster.upsert('ipamConfigurations', { metadata: { name: 'default' }, spec: configuration });
    }
    await Promise.all(this.nodes.map(({ loop }) => loop.start()));
  }

  /** A node that hears of everything and has not started. Its disk is its own. */
  async open(name: string): Promise<TestNode> {
    const allocator = await Allocator.open({ journalPath: join(this.directory, name), now: () => this.now });
    const node = new TestNode(name, allocator, this.watched(name));
    this.nodes.push(node);
    return node;
  }

  node(at: number): TestNode {
    const found = this.nodes[at];
    if (found === undefined) throw new Error('the fixture is wrong');
    return found;
  }

  async stop(node: TestNode): Promise<void> {
    node.loop.stop();
    await node.allocator.close();
  }

  /** Stops a node as kill -9 does, and starts it on the same disk. */
  async restart(at: number): Promise<TestNode> {
    const old = this.node(at);
    await this.stop(old);
    const fresh = await this.open(old.name);
    this.nodes.splice(at, 1, fresh);
    this.nodes.pop();
    for (const kind of ['ipPools', 'ipamBlocks', 'ipamConfigurations'] as const)
      for (const object of old.cluster.all(kind).values()) fresh.cluster.upsert(kind, object);
    await fresh.loop.start();
    return fresh;
  }

  /** Everybody offers what there is to offer. */
  async levelAll(): Promise<void> {
    for (const { loop } of this.nodes) await loop.upkeep.levelLending();
  }

  private watched(node: string): BlockStore {
    const { calls, store, nodes } = this;
    const specOf = (block: BlockRecord | undefined): unknown => (block === undefined ? null : objectOf(block));
    const admit = (operation: AgentWrite['operation'], object?: BlockRecord, old?: BlockRecord): void => {
      if (!isAdmitted('ipamblocks', { node, operation, object: specOf(object), oldObject: specOf(old) }))
        throw new Error(`the guard refuses node ${node}: ${operation} ${JSON.stringify([old, object])}`);
    };
    return {
      list: () => {
        calls.push('list');
        return store.list();
      },
      get: (cidr) => store.get(cidr),
      replace: async (before, after) => {
        // Of what is outdated an API server says so before it asks a guard.
        const stored = await store.get(before.cidr);
        if (stored?.version === before.version) admit('UPDATE', after, stored);
        const written = await store.replace(before, after);
        if (written !== undefined) for (const { cluster } of nodes) cluster.upsert('ipamBlocks', objectOf(after));
        return written;
      },
      create: async (block) => {
        calls.push('create');
        admit('CREATE', block);
        const outcome = await store.create(block);
        if (outcome === 'created') for (const { cluster } of nodes) cluster.upsert('ipamBlocks', objectOf(block));
        return outcome;
      },
      delete: async (block) => {
        const stored = await store.get(block.cidr);
        if (stored?.node === block.node) admit('DELETE', undefined, stored);
        await store.delete(block);
        if ((await store.get(block.cidr)) === undefined)
          for (const { cluster } of nodes) cluster.delete('ipamBlocks', objectOf(block));
      },
    };
  }
}
