import { expect } from 'chai';
import fc from 'fast-check';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Allocator, MemoryBlockStore, type BlockRecord, type BlockStore, type Owner } from '@tortie/ipam';
import { formatPrefix, parsePrefix, type IpPrefix } from 'node-bgp/address';
import { BlockClaims } from '../../src/agent/block-claims.js';
import { isBlockOf } from '../../src/agent/stray-addresses.js';
import { blockName } from '../../src/agent/kubernetes-block-store.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { Turn } from '../../src/agent/turn.js';
import { createLogger } from '../../src/log.js';

const RANGE = { name: 'blue', prefix: parsePrefix('10.65.0.0/28') };
const poolOf = (blockLength: number) => ({ ...RANGE, blockLength, isDisabled: false });
const NODES = ['node1', 'node2', 'node3'];

/** Calls of the store that wait for their turn: before they act, and before they answer. */
class Gates {
  private readonly waiting: (() => void)[] = [];

  pass(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  open(at: number): void {
    this.waiting.splice(at % Math.max(1, this.waiting.length), 1)[0]?.();
  }
}

/** A node that can be killed between any two effects. */
class TestNode {
  private life = 0;
  private pods = 0;
  private readonly cluster = new Cluster(['ipamBlocks', 'nodes']);
  private claims: BlockClaims | undefined;
  allocator: Allocator | undefined;

  constructor(
    private readonly name: string,
    private readonly directory: string,
    private readonly store: MemoryBlockStore,
    private readonly stamps: ReadonlyMap<string, string>,
    private readonly gates: Gates,
  ) {
    this.cluster.upsert('nodes', { metadata: { name } });
  }

  async start(): Promise<void> {
    this.life++;
    const allocator = await Allocator.open({ journalPath: join(this.directory, this.name), now: () => 0 });
    this.allocator = allocator;
    await this.watch();
    this.claims = new BlockClaims({
      node: this.name,
      cluster: this.cluster,
      allocator,
      store: this.storeOf(this.life),
      isBlock: () => true,
      turn: new Turn(),
      log: createLogger('test', { level: 'silent' }),
      onBlocks: () => {},
      onForeign: (foreign) => allocator.holdBack({ reserved: [], foreign }),
    });
    void this.claims.reconcile();
  }

  async kill(): Promise<void> {
    this.life++;
    this.claims?.stop();
    await this.allocator?.close();
    await this.start();
  }

  /** The watch catches up. */
  async watch(): Promise<void> {
    const records = new Map((await this.store.list()).map((record) => [blockName(record.cidr), record]));
    for (const [name, block] of [...this.cluster.all('ipamBlocks')])
      if (!records.has(name)) this.cluster.delete('ipamBlocks', block);
    for (const [name, spec] of records)
      this.cluster.upsert('ipamBlocks', {
        metadata: { name, uid: name, creationTimestamp: this.stamps.get(spec.cidr) ?? '' },
        spec,
      });
    void this.claims?.reconcile();
  }

  claim(blockLength: number): void {
    this.claims?.claimFrom([poolOf(blockLength)]).catch(() => {});
  }

  async assign(): Promise<void> {
    await this.allocator?.assign({ owner: this.owner(this.pods++), families: [4], pools: [RANGE] }).catch(() => {});
  }

  async end(which: number): Promise<void> {
    const owners = this.allocator?.owners() ?? [];
    const pod = owners[which % Math.max(1, owners.length)];
    if (pod !== undefined) await this.allocator?.release(pod.owner);
  }

  giveBack(which: number): void {
    const blocks = this.allocator?.ownBlocks() ?? [];
    const block = blocks[which % Math.max(1, blocks.length)];
    if (block !== undefined) this.claims?.release(block.prefix, block.pool).catch(() => {});
  }

  private owner(pod: number): Owner {
    const id = `${this.name}-${this.life}-${pod}`;
    return { network: 'tortie', containerId: id, interfaceName: 'eth0', namespace: 'default', pod: id };
  }

  private storeOf(life: number): BlockStore {
    const gated = async <T>(act: () => Promise<T>): Promise<T> => {
      await this.gates.pass();
      if (life !== this.life) throw new Error('killed before');
      const answer = await act();
      await this.gates.pass();
      if (life !== this.life) throw new Error('killed after');
      return answer;
    };
    return {
      list: () => gated(() => this.store.list()),
      get: (cidr) => gated(() => this.store.get(cidr)),
      replace: (before, after) => gated(() => this.store.replace(before, after)),
      create: (block) => gated(() => this.store.create(block)),
      delete: (block) => gated(() => this.store.delete(block)),
    };
  }
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe('agent/block-claims', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'tortie-claims-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  const at = fc.integer({ min: 0, max: 1000 });
  const what = fc.constantFrom(...'claim race open open open open assign assign end giveBack watch kill'.split(' '));
  const step = fc.record({ what, node: fc.nat(NODES.length - 1), at, length: fc.integer({ min: 28, max: 31 }) });

  it('never lets two pods have one address, whatever sizes are claimed, given back and cut off at once', async function () {
    this.timeout(120_000);
    let run = 0;
    let assigned = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120 }), async (steps) => {
        const gates = new Gates();
        const stamps = new Map<string, string>();
        const store = new MemoryBlockStore();
        const path = join(directory, `run${run++}`);
        const nodes = NODES.map((name) => new TestNode(name, path, store, stamps, gates));
        for (const node of nodes) await node.start();
        try {
          for (const each of steps) {
            const node = nodes[each.node];
            if (each.what === 'open')
              for (let i = 0; i <= each.at % 8; i++) {
                gates.open(each.at);
                await settled();
              }
            else if (each.what === 'claim') node?.claim(each.length);
            else if (each.what === 'race') nodes.forEach((racer, i) => racer.claim(28 + ((each.at + i) % 4)));
            else if (each.what === 'assign') for (const assigning of nodes) await assigning.assign();
            else if (each.what === 'end') await node?.end(each.at);
            else if (each.what === 'giveBack') node?.giveBack(each.at);
            else if (each.what === 'watch') await node?.watch();
            else await node?.kill();
            // Servers' clocks differ, so a stamp says little.
            for (const { cidr } of await store.list())
              if (!stamps.has(cidr)) stamps.set(cidr, `2026-01-01T00:00:0${each.at % 10}Z`);
            await settled();
            const held = nodes.flatMap(
              ({ allocator }) => allocator?.owners().flatMap((owner) => owner.addresses) ?? [],
            );
            expect(held, 'an address is held twice').to.have.length(new Set(held).size);
            assigned += held.length;
          }
        } finally {
          for (const node of nodes) await node.allocator?.close();
        }
      }),
      { numRuns: 150, endOnFailure: true },
    );
    expect(assigned, 'the histories do something').to.be.above(1000);
  });

  interface Block extends BlockRecord {
    readonly at: string;
  }
  const claimsOf = async (
    blocks: readonly Block[],
    journal: readonly string[],
    isBlock: (prefix: IpPrefix) => boolean = () => true,
  ): Promise<{ allocator: Allocator; store: MemoryBlockStore; claims: BlockClaims }> => {
    const store = new MemoryBlockStore();
    const cluster = new Cluster(['ipamBlocks', 'nodes']);
    cluster.upsert('nodes', { metadata: { name: 'node1' } });
    for (const { at: creationTimestamp, ...spec } of blocks) {
      await store.create(spec);
      const name = blockName(spec.cidr);
      cluster.upsert('ipamBlocks', { metadata: { name, uid: name, creationTimestamp }, spec });
    }
    const allocator = await Allocator.open({ journalPath: join(directory, 'journal'), now: Date.now });
    for (const cidr of journal) await allocator.addBlock({ prefix: parsePrefix(cidr), pool: 'blue' });
    const claims = new BlockClaims({
      node: 'node1',
      cluster,
      allocator,
      store,
      isBlock,
      turn: new Turn(),
      log: createLogger('test', { level: 'silent' }),
      onBlocks: () => {},
      onForeign: (foreign) => allocator.holdBack({ reserved: [], foreign }),
    });
    await claims.reconcile();
    claims.stop();
    return { allocator, store, claims };
  };
  const owned = (allocator: Allocator): readonly string[] =>
    allocator.ownBlocks().map(({ prefix }) => formatPrefix(prefix));

  it('takes no block that no node could have claimed, whoever wrote it, and says so', async () => {
    const strange = ['0.0.0.0/1', '192.0.2.0/30', '10.65.0.0/29', '10.65.0.8/31', 'fd00::/64'];
    const { allocator, store, claims } = await claimsOf(
      [...strange, '10.65.0.4/30'].map((cidr) => ({
        cidr,
        node: 'node1',
        pool: 'blue',
        at: '2026-01-01T00:00:01Z',
      })),
      [],
      (prefix) => isBlockOf(prefix, [{ metadata: { name: 'blue' }, spec: { cidr: '10.65.0.0/28', blockSize: 30 } }]),
    );
    expect(owned(allocator)).to.deep.equal(['10.65.0.4/30']);
    expect(claims.problems()).to.have.length(strange.length);
    for (const cidr of strange) expect(claims.problems().join()).to.contain(`Block ${cidr} is said to be this node's`);
    expect(await store.list(), 'left where they are').to.have.length(strange.length + 1);
    await allocator.close();
  });

  it('leaves blocks alone that no agent gives out of, though they are said to be its own', async () => {
    const shared = { cidr: '10.65.0.4/30', node: 'node1', pool: 'blue', agentless: true, at: '2026-01-01T00:00:01Z' };
    const { allocator, store, claims } = await claimsOf([shared], [], () => true);
    expect(owned(allocator)).to.deep.equal([]);
    expect(claims.problems()).to.deep.equal([]);
    expect(await store.list()).to.have.length(1);
    await allocator.close();
  });

  it('gives back what it created and never confirmed when another has an address of it', async () => {
    const { allocator, store } = await claimsOf(
      [
        { cidr: '10.65.0.0/29', node: 'node2', pool: 'green', at: '2026-01-01T00:00:09Z' },
        { cidr: '10.65.0.4/30', node: 'node1', pool: 'blue', at: '2026-01-01T00:00:01Z' },
        { cidr: '10.65.0.8/30', node: 'node1', pool: 'blue', at: '2026-01-01T00:00:01Z' },
      ],
      [],
    );
    expect(owned(allocator)).to.deep.equal(['10.65.0.8/30']);
    expect((await store.list()).map(({ cidr }) => cidr)).to.deep.equal(['10.65.0.0/29', '10.65.0.8/30']);
    await allocator.close();
  });

  it('leaves a block to its record when somebody writes into it while it is given back', async () => {
    const cidr = '10.65.0.0/30';
    const { allocator, store, claims } = await claimsOf(
      [{ cidr, node: 'node1', pool: 'blue', at: '2026-01-01T00:00:01Z' }],
      [cidr],
    );
    const loans = [{ address: '10.65.0.1', node: 'node2' }];
    const read = store.get.bind(store);
    // Another node asserts what a pod of it has, after this one has looked.
    store.get = async (asked) => {
      const stored = await read(asked);
      if (stored !== undefined) await store.replace(stored, { ...stored, loans });
      return stored;
    };
    await claims.release(parsePrefix(cidr), 'blue');
    expect((await store.list()).map((record) => [record.cidr, record.node, record.loans])).to.deep.equal([
      [cidr, 'node1', loans],
    ]);
    await allocator.close();
  });

  for (const [age, at] of [
    ['older', '2026-01-01T00:00:01Z'],
    ['younger', '2026-01-01T00:00:09Z'],
  ] as const)
    it(`keeps a block it uses when one that is ${age} overlaps it, and says who gives out what`, async () => {
      const { allocator, claims } = await claimsOf(
        [
          { cidr: '10.65.0.0/30', node: 'node1', pool: 'blue', at: '2026-01-01T00:00:05Z' },
          { cidr: '10.65.0.2/31', node: 'node2', pool: 'green', at },
        ],
        ['10.65.0.0/30'],
      );
      expect(owned(allocator)).to.deep.equal(['10.65.0.0/30']);
      expect(claims.problems()).to.deep.equal([
        `Block 10.65.0.0/30 of this node overlaps 10.65.0.2/31 of node "node2", which is ` +
          (age === 'older'
            ? 'older: what both have is not given out here'
            : 'younger and must not give out what both have'),
      ]);
      const got: string[] = [];
      for (let i = 0; i < 4; i++) {
        const owner = { network: 'n', containerId: `c${i}`, interfaceName: 'eth0', namespace: 'a', pod: `c${i}` };
        got.push(...(await allocator.assign({ owner, families: [4], pools: [RANGE] }).catch(() => [])));
      }
      expect(got).to.have.length(age === 'older' ? 2 : 4);
      await allocator.close();
    });
});
