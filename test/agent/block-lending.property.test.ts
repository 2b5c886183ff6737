/**
 * Lending under everything that goes wrong: nodes claim, offer, borrow, take over and give back at once, pools change, nodes are killed
 * between any two effects, answers are lost and their writes arrive late, Nodes are deleted. No address is ever held twice, and when
 * all is quiet nothing is left that `tortie ipam check` would not be content with, nor an address that nobody can have.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Allocator, MemoryBlockStore, type BlockStore, type Owner, type Pool } from '@tortie/ipam';
import { formatPrefix, parsePrefix, prefixesOverlap } from 'node-bgp/address';
import { BlockClaims } from '../../src/agent/block-claims.js';
import { KeptAddresses } from '../../src/agent/kept-addresses.js';
import { BlockLending } from '../../src/agent/block-lending.js';
import { blockName } from '../../src/agent/kubernetes-block-store.js';
import { withoutNode } from '../../src/agent/node-remains.js';
import { Turn } from '../../src/agent/turn.js';
import type { Pod } from '../../src/api/core.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { checkIpam } from '../../src/ipam/check.js';
import { inventoryOf } from '../../src/ipam/inventory.js';
import { createLogger } from '../../src/log.js';

const NAMES = ['a', 'b', 'c'];
const COMING = ['StatefulSet s/web-0', 'StatefulSet s/web-1'];
const poolOf = (cidr: string, blockLength: number): Pool => ({
  name: `${cidr} ${blockLength}`,
  prefix: parsePrefix(cidr),
  blockLength,
  isDisabled: false,
});
/** Two blocks, or as many of another size, or half of that. */
const POOLS = [poolOf('10.0.0.0/29', 30), poolOf('10.0.0.0/29', 29), poolOf('10.0.0.4/30', 31)];

/** Calls to the store wait here until a step opens one. */
class Gates {
  private readonly waiting: (() => void)[] = [];
  isOpen = false;

  pass(): Promise<void> {
    return this.isOpen ? Promise.resolve() : new Promise((resolve) => this.waiting.push(resolve));
  }

  open(at: number): void {
    this.waiting.splice(at % Math.max(1, this.waiting.length), 1)[0]?.();
  }

  close(): void {
    this.isOpen = false;
  }

  openAll(): void {
    this.isOpen = true;
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

class World {
  readonly store = new MemoryBlockStore();
  readonly gates = new Gates();
  pool: Pool = POOLS[0] ?? poolOf('10.0.0.0/29', 30);
  now = 0;
  /** Pods that come again by their standing, and where they are. */
  readonly present = new Map<string, TestNode>();

  constructor(readonly directory: string) {}
}

class TestNode {
  private readonly cluster = new Cluster(['ipamBlocks', 'nodes']);
  private life = 0;
  private disk = 0;
  private pods = 0;
  private losses = 0;
  private claims: BlockClaims | undefined;
  private turn = new Turn();
  private lending: BlockLending | undefined;
  allocator: Allocator | undefined;

  constructor(
    readonly name: string,
    private readonly world: World,
  ) {
    this.cluster.upsert('nodes', { metadata: { name } });
    this.cluster.onChange((change) => {
      if (change.kind === 'ipamBlocks') this.lending?.blockChanged(change.type, change.object);
    });
  }

  async start(): Promise<void> {
    this.life++;
    this.turn = new Turn();
    const { world, cluster } = this;
    const journalPath = join(world.directory, `${this.name}${this.disk}`);
    const allocator = await Allocator.open({ journalPath, now: () => world.now });
    this.allocator = allocator;
    const common = {
      node: this.name,
      cluster,
      allocator,
      store: this.storeOf(this.life),
      turn: this.turn,
      log: createLogger('test', { level: 'silent' }),
    };
    this.lending = new BlockLending({ ...common, onBorrowed: () => {}, onUsedElsewhere: () => {} });
    this.claims = new BlockClaims({
      isBlock: () => true,
      ...common,
      onBlocks: () => {},
      onForeign: (foreign) => allocator.holdBack({ reserved: [], foreign }),
    });
    await this.watch();
    for (const block of cluster.all('ipamBlocks').values()) this.lending.blockChanged('upsert', block);
    void this.lending.levelBorrowed();
  }

  async kill(): Promise<void> {
    this.life++;
    this.claims?.stop();
    await this.allocator?.close();
    await this.start();
  }

  /** Its Node is deleted, with no pod on it; what it left is cleared up, and a new machine has its name. */
  async replace(): Promise<void> {
    if ((this.allocator?.owners().length ?? 0) > 0) return;
    this.life++;
    this.claims?.stop();
    await this.allocator?.close();
    for (const record of await this.world.store.list()) {
      const stored = await this.world.store.get(record.cidr);
      if (stored === undefined) continue;
      const loans = stored.loans?.filter(({ node }) => node !== this.name) ?? [];
      const left = { ...stored, loans };
      const spec = stored.node === this.name ? withoutNode(left, () => true) : left;
      if (spec === 'delete') await this.world.store.delete(stored);
      else await this.world.store.replace(stored, spec);
    }
    this.disk++;
    await this.start();
  }

  async watch(): Promise<void> {
    const records = new Map((await this.world.store.list()).map((record) => [blockName(record.cidr), record]));
    for (const [name, block] of [...this.cluster.all('ipamBlocks')])
      if (!records.has(name)) this.cluster.delete('ipamBlocks', block);
    for (const [name, spec] of records) this.cluster.upsert('ipamBlocks', { metadata: { name, uid: name }, spec });
    void this.claims?.reconcile();
  }

  claim(): void {
    this.claims?.claimFrom([this.world.pool]).catch(() => {});
  }

  giveBack(which: number): void {
    const blocks = this.allocator?.ownBlocks() ?? [];
    const block = blocks[which % Math.max(1, blocks.length)];
    if (block !== undefined) this.claims?.release(block.prefix, block.pool).catch(() => {});
  }

  async assign(): Promise<void> {
    await this.allocator?.assign({ owner: this.owner(), families: [4], pools: [this.world.pool] }).catch(() => {});
  }

  /** As IpamLoop.assign does when nothing else is left. */
  borrow(): void {
    const { allocator, lending } = this;
    if (allocator === undefined || lending === undefined) return;
    void (async () => {
      const address = await lending.borrow(4, [this.world.pool]);
      if (address === undefined) return;
      try {
        await allocator.assign({ owner: this.owner(), families: [4], pools: [this.world.pool], borrowed: [address] });
      } finally {
        lending.settle(address);
      }
    })().catch(() => {});
  }

  /** As IpamLoop.assign does for a pod that comes again, unless it is somewhere already. */
  comeAgain(keptFor: string): void {
    const { allocator, lending, world } = this;
    if (allocator === undefined || lending === undefined || world.present.has(keptFor)) return;
    world.present.set(keptFor, this);
    const owner = { ...this.owner(), keep: { keptFor, seconds: 100 } };
    const kept = new KeptAddresses({
      node: this.name,
      cluster: this.cluster,
      allocator,
      lending,
      mayBorrow: () => true,
      log: createLogger('test', { level: 'silent' }),
    });
    void (async () => {
      const { own, borrowed } = await kept.recall(keptFor, () => true);
      try {
        await allocator.assign({ owner, families: [4], pools: [world.pool], addresses: own, borrowed });
      } catch {
        world.present.delete(keptFor);
      } finally {
        for (const address of [...own, ...borrowed]) lending.settle(address);
      }
    })();
  }

  /** Where the pod is that comes again, if its node has one. */
  async leave(keptFor: string): Promise<void> {
    const pod = this.allocator?.owners().find(({ owner }) => owner.keep?.keptFor === keptFor);
    if (pod === undefined) return;
    await this.allocator?.release(pod.owner).catch(() => {});
    this.world.present.delete(keptFor);
    void this.lending?.levelBorrowed();
  }

  reclaim(): void {
    this.lending?.reclaim(4, [this.world.pool]).catch(() => {});
  }

  offer(offers: number, isVacant: boolean, isKept = true): Promise<void> {
    return this.lending?.levelOwn(() => ({ offers, isVacant, isKept: () => isKept })) ?? Promise.resolve();
  }

  async end(which: number): Promise<void> {
    const owners = this.allocator?.owners() ?? [];
    const pod = owners[which % Math.max(1, owners.length)];
    if (pod === undefined) return;
    await this.allocator?.release(pod.owner).catch(() => {});
    if (pod.owner.keep !== undefined) this.world.present.delete(pod.owner.keep.keptFor);
    void this.lending?.levelBorrowed();
  }

  lose(): void {
    this.losses++;
  }

  held(): readonly string[] {
    return this.allocator?.owners().flatMap(({ addresses }) => addresses) ?? [];
  }

  async quiet(): Promise<void> {
    this.losses = 0;
    await this.watch();
    // Whatever waits for its turn first, and what that began.
    await this.turn.run(async () => {});
    await this.claims?.reconcile();
    await this.turn.run(async () => {});
    await this.lending?.levelBorrowed();
    await this.offer(0, false, false);
  }

  private owner(): Owner {
    const id = `${this.name}-${this.disk}-${this.life}-${this.pods++}`;
    return { network: 'tortie', containerId: id, interfaceName: 'eth0', namespace: 'default', pod: id };
  }

  /** Requests travel, are done, and answers travel back; any of it may outlive the process, and an answer may never come. */
  private storeOf(life: number): BlockStore {
    const { gates, store } = this.world;
    const gated = async <T>(act: () => Promise<T>): Promise<T> => {
      if (life !== this.life) throw new Error('killed before');
      await gates.pass();
      if (this.losses > 0) {
        this.losses--;
        void gates.pass().then(act);
        throw new Error('timed out');
      }
      const answer = await act();
      await gates.pass();
      if (life !== this.life) throw new Error('killed after');
      return answer;
    };
    return {
      list: () => gated(() => store.list()),
      get: (cidr) => gated(() => store.get(cidr)),
      replace: (before, after) => gated(() => store.replace(before, after)),
      create: (block) => gated(() => store.create(block)),
      delete: (block) => gated(() => store.delete(block)),
    };
  }
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** Journals are flushed to a disk, however long that takes. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await settled();
}

describe('agent/block-lending, histories', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'tortie-lending-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  const WHAT =
    'claim open open open open open open open assign assign end borrow borrow offer offer vacate reclaim giveBack ' +
    'watch watch watch come come come leave leave keep forget ' +
    'moves moves kill lose pool replace rivals rivals lateOffer lateOffer emptied emptied twoBorrow';
  const step = fc.record({
    what: fc.constantFrom(...WHAT.split(' ')),
    node: fc.nat(NAMES.length - 1),
    at: fc.integer({ min: 0, max: 1000 }),
  });

  const openSome = async (world: World, count: number, at: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      world.gates.open(at + i);
      await settled();
    }
  };

  /**
   * What chance alone seldom brings about, and what single rules of the code are there for. In between anything may be under way, and
   * what these begin is finished, or not, by the steps that follow.
   */
  const PLOTS: Readonly<Record<string, (world: World, node: TestNode, other: TestNode, at: number) => Promise<void>>> =
    {
      /** Two nodes claim blocks of different sizes at once; one may be killed before it knows. */
      rivals: async (world, node, other, at) => {
        world.pool = POOLS[at % POOLS.length] ?? world.pool;
        node.claim();
        world.pool = POOLS[(at + 1) % POOLS.length] ?? world.pool;
        other.claim();
        await openSome(world, at % 7, at);
        if (at % 5 === 0) await node.kill();
        await openSome(world, at % 11, at);
        for (const each of [node, other]) await each.assign();
      },
      /** The answer to an offer is lost and its write arrives when the owner has changed its mind. */
      lateOffer: async (world, node, other, at) => {
        node.lose();
        void node.offer(3, false);
        await openSome(world, 1 + (at % 4), at);
        void node.offer(0, false);
        await openSome(world, at % 7, at);
        for (let i = 0; i < 3; i++) await node.assign();
        await openSome(world, at % 5, at);
        await other.watch();
        other.borrow();
        await openSome(world, at % 6, at);
      },
      /** A block is given back while somebody borrows of it, or while a pod comes. */
      emptied: async (world, node, other, at) => {
        void node.offer(2, false);
        await openSome(world, at % 7, at);
        while (node.held().length > 0) await node.end(0);
        await other.watch();
        if (at % 2 === 0) other.borrow();
        node.giveBack(at);
        await openSome(world, at % 5, at);
        if (at % 3 === 0) await node.assign();
        await openSome(world, at % 9, at);
      },
      /** A pod goes and comes again, here or elsewhere, while its node tells that its address is kept. */
      moves: async (world, node, other, at) => {
        const keptFor = COMING[at % COMING.length] ?? '';
        const home = world.present.get(keptFor) ?? node;
        home.comeAgain(keptFor);
        await openSome(world, at % 4, at);
        await home.leave(keptFor);
        if (at % 5 === 0) home.lose();
        void home.offer(0, false);
        await openSome(world, at % 7, at);
        if (at % 11 === 0) await home.kill();
        await other.watch();
        (at % 3 === 0 ? home : other).comeAgain(keptFor);
        await openSome(world, at % 6, at);
      },
      /** A node looks for what it can give back while it waits for what it borrows. */
      twoBorrow: async (world, node, _other, at) => {
        await node.watch();
        node.borrow();
        await openSome(world, at % 5, at);
        node.borrow();
        await node.end(at);
        await openSome(world, at % 7, at);
      },
    };

  async function take(world: World, node: TestNode, other: TestNode, what: string, at: number): Promise<void> {
    const plot = PLOTS[what];
    if (plot !== undefined) await plot(world, node, other, at);
    else if (what === 'open')
      for (let i = 0; i <= at % 8; i++) {
        world.gates.open(at);
        await settled();
      }
    else if (what === 'claim') node.claim();
    else if (what === 'assign') await node.assign();
    else if (what === 'borrow') node.borrow();
    else if (what === 'offer') void node.offer(at % 4, false);
    else if (what === 'vacate') void node.offer(0, true);
    else if (what === 'reclaim') node.reclaim();
    else if (what === 'come') node.comeAgain(COMING[at % COMING.length] ?? '');
    else if (what === 'leave') await node.leave(COMING[at % COMING.length] ?? '');
    else if (what === 'keep') void node.offer(0, false);
    else if (what === 'forget') void node.offer(0, false, false);
    else if (what === 'giveBack') node.giveBack(at);
    else if (what === 'end') await node.end(at);
    else if (what === 'watch') await node.watch();
    else if (what === 'lose') node.lose();
    else if (what === 'kill') await node.kill();
    else if (what === 'replace') await node.replace();
    else world.pool = POOLS[at % POOLS.length] ?? world.pool;
  }

  const expectAlone = (nodes: readonly TestNode[]): number => {
    const held = nodes.flatMap((node) => node.held());
    expect(held, 'an address is held twice').to.have.length(new Set(held).size);
    return held.length;
  };

  /** Two nodes with a block each, offers known to all, and pods; a third node that borrows. */
  async function begin(world: World, nodes: readonly TestNode[], loans: number): Promise<void> {
    world.gates.openAll();
    const lenders = nodes.slice(0, 2);
    for (const node of lenders) {
      node.claim();
      await until(() => node.allocator?.ownBlocks().length === 1);
      await node.assign();
    }
    // A node offers of a block that the watch has told it of.
    for (const node of lenders) await node.watch();
    for (const node of lenders) await node.offer(2, false);
    for (const node of nodes) await node.watch();
    for (let i = 0; i < loans; i++) nodes[2]?.borrow();
    await until(() => nodes[2]?.held().length === loans);
    world.gates.close();
  }

  /** Everything is answered, and everybody knows everything. */
  async function quiet(world: World, nodes: readonly TestNode[]): Promise<void> {
    world.gates.openAll();
    for (let round = 0; round < 4; round++)
      for (const node of nodes) {
        await node.quiet();
        await settled();
      }
  }

  async function expectSound(world: World, nodes: readonly TestNode[]): Promise<void> {
    const records = await world.store.list();
    const pods = nodes.flatMap((node) =>
      (node.allocator?.owners() ?? []).map(
        ({ owner, addresses }): Pod => ({
          metadata: { name: owner.pod, namespace: owner.namespace },
          spec: { nodeName: node.name, containers: [] },
          status: { phase: 'Running', podIPs: addresses.map((ip) => ({ ip })) },
        }),
      ),
    );
    const problems = checkIpam(
      inventoryOf({
        pools: [{ metadata: { name: 'all' }, spec: { cidr: '10.0.0.0/24', blockSize: 31 } }],
        blocks: records.map((spec) => ({ metadata: { name: blockName(spec.cidr) }, spec })),
        reservations: [],
        nodes: NAMES.map((name) => ({ metadata: { name } })),
        pods,
        published: nodes.map((node) => ({
          metadata: { name: node.name },
          spec: {
            publishedAt: '2026-01-01T00:00:00Z',
            addresses: (node.allocator?.owners() ?? []).flatMap(({ owner, addresses }) =>
              addresses.map((address) => ({ ...owner, address })),
            ),
          },
        })),
      }),
    );
    expect(problems.map(({ message }) => message)).to.deep.equal([]);
    expect(
      records.flatMap(({ offers = [] }) => offers),
      'left on offer',
    ).to.deep.equal([]);
    expect(
      records.flatMap(({ kept = [] }) => kept),
      'left kept',
    ).to.deep.equal([]);
    for (const node of nodes)
      expect(
        node.allocator
          ?.ownBlocks()
          .map(({ prefix }) => formatPrefix(prefix))
          .sort(),
      ).to.deep.equal(
        records
          .filter((record) => record.node === node.name)
          .map(({ cidr }) => cidr)
          .sort(),
      );
  }

  /** Every address of every block can be had once all pods are gone: none has leaked. */
  async function expectNoLeak(world: World, nodes: readonly TestNode[]): Promise<void> {
    for (const node of nodes) while (node.held().length > 0) await node.end(0);
    await quiet(world, nodes);
    for (const node of nodes) {
      const blocks = node.allocator?.ownBlocks() ?? [];
      for (const { prefix, pool } of blocks)
        for (let i = 0; i < 2 ** (32 - prefix.length); i++)
          await node.allocator?.assign({
            owner: {
              network: 'n',
              containerId: `${pool}-${formatPrefix(prefix)}-${i}`,
              interfaceName: 'e',
              namespace: 'x',
              pod: 'p',
            },
            families: [4],
            pools: [{ name: pool, prefix }],
          });
    }
    expectAlone(nodes);
    const all = nodes.flatMap(({ allocator }) => allocator?.ownBlocks() ?? []);
    for (const [index, one] of all.entries())
      for (const other of all.slice(index + 1)) expect(prefixesOverlap(one.prefix, other.prefix)).to.equal(false);
  }

  it('never holds an address twice, and leaves nothing behind when all is quiet', async function () {
    this.timeout(300_000);
    let run = 0;
    let seen = { held: 0, lent: 0, kept: 0 };
    const runs = Number(process.env['TORTIE_LENDING_RUNS'] ?? 120);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 160 }), fc.boolean(), async (steps, isBare) => {
        const world = new World(join(directory, `run${run++}`));
        const nodes = NAMES.map((name) => new TestNode(name, world));
        try {
          for (const node of nodes) await node.start();
          // Where nobody owns anything yet, claims meet.
          if (!isBare) await begin(world, nodes, steps.length % 3);
          for (const { what, node: which, at } of steps) {
            const node = nodes[which];
            const other = nodes[(which + 1 + (at % 2)) % nodes.length];
            if (node !== undefined && other !== undefined) await take(world, node, other, what, at);
            await settled();
            const records = await world.store.list();
            seen = {
              held: seen.held + expectAlone(nodes),
              lent: seen.lent + records.flatMap(({ loans = [] }) => loans).length,
              kept: seen.kept + records.flatMap(({ kept = [] }) => kept).length,
            };
          }
          await quiet(world, nodes);
          expectAlone(nodes);
          await expectSound(world, nodes);
          await expectNoLeak(world, nodes);
        } finally {
          for (const node of nodes) await node.allocator?.close();
        }
      }),
      { numRuns: runs, endOnFailure: true },
    );
    expect(seen.held, 'the histories do something').to.be.above(500);
    expect(seen.lent, 'something is lent').to.be.above(1000);
    expect(seen.kept, 'something is kept').to.be.above(500);
  });
});
