/** Addresses that stay with pods that come again: on the node, over its restart, on another node and back, and for how long. */
import { expect } from 'chai';
import fc from 'fast-check';
import type { BlockRecord } from '@tortie/ipam';
import { IpamWorld, ownerOf } from './ipam-world.js';

const WEB = 'StatefulSet shop/web-0';
const DB = 'StatefulSet shop/db-0';
const POOLS = { v4: { cidr: '10.0.0.0/24', blockSize: 28 }, v6: { cidr: 'fd00::/112', blockSize: 124 } };

describe('agent/kept-addresses', () => {
  let world: IpamWorld;
  beforeEach(() => (world = new IpamWorld()));
  afterEach(() => world.close());

  const keptIn = async (): Promise<readonly string[]> =>
    (await world.store.list()).flatMap(({ kept = [] }: BlockRecord) =>
      kept.map(({ address, keptFor }) => `${address} ${keptFor}`),
    );

  it('gives a pod its former addresses on its node, and nobody else', async () => {
    await world.start(['a'], POOLS);
    const first = await world.node(0).assignKept(WEB, 'life1');
    await world.node(0).release('life1');
    for (let i = 0; i < 14; i++) expect(await world.node(0).assign(`p${i}`)).not.to.include.members([...first]);
    expect(await world.node(0).refusal('greedy', [first[0] ?? ''])).to.match(
      /it is kept for StatefulSet shop\/web-0 until/,
    );
    expect(await world.node(0).assignKept(DB, 'db')).not.to.include.members([...first]);
    expect(await world.node(0).assignKept(WEB, 'life2')).to.have.members([...first]);
    expect(world.node(0).allocator.kept()).to.deep.equal([]);
  });

  it('asks the store nothing when the pod comes back before anybody was told', async () => {
    await world.start(['a'], POOLS);
    const first = await world.node(0).assignKept(WEB, 'life1');
    await world.node(0).release('life1');
    const versions = JSON.stringify(await world.store.list());
    expect(await world.node(0).assignKept(WEB, 'life2')).to.have.members([...first]);
    expect(JSON.stringify(await world.store.list())).to.equal(versions);
  });

  it('remembers over a kill -9 what it keeps, told or not', async () => {
    await world.start(['a'], POOLS);
    const web = await world.node(0).assignKept(WEB, 'web');
    const db = await world.node(0).assignKept(DB, 'db');
    await world.node(0).release('web');
    await world.levelAll();
    await world.node(0).release('db');
    const node = await world.restart(0);
    expect(await node.assignKept(DB, 'db2')).to.have.members([...db]);
    expect(await node.assignKept(WEB, 'web2')).to.have.members([...web]);
    await world.levelAll();
    expect(await keptIn()).to.deep.equal([]);
  });

  it('lets the pod have its addresses on another node, which advertises them alone, and on the way back', async () => {
    await world.start(['a', 'b'], POOLS);
    const first = await world.node(0).assignKept(WEB, 'life1');
    await world.node(0).release('life1');
    await world.levelAll();
    expect(await keptIn()).to.have.members(first.map((address) => `${address} ${WEB}`));
    expect(await world.node(1).assignKept(WEB, 'life2')).to.have.members([...first]);
    expect(await keptIn()).to.deep.equal([]);
    expect(world.node(1).borrowed()).to.have.members(first.map((each) => `${each}/${each.includes(':') ? 128 : 32}`));
    await world.node(1).release('life2');
    await world.levelAll();
    expect(world.node(1).borrowed()).to.deep.equal([]);
    expect(await world.node(0).assignKept(WEB, 'life3')).to.have.members([...first]);
    const loans = (await world.store.list()).flatMap(({ loans: each = [] }) => each);
    expect(loans).to.deep.equal([]);
  });

  it('borrows nothing where no node may (strictAffinity), and then the pod gets others', async () => {
    await world.start(['a', 'b'], POOLS, { strictAffinity: true });
    const first = await world.node(0).assignKept(WEB, 'life1');
    await world.node(0).release('life1');
    await world.levelAll();
    const second = await world.node(1).assignKept(WEB, 'life2');
    expect(second).to.have.length(2);
    expect(second).not.to.include.members([...first]);
  });

  it('frees them when their time is over', async () => {
    await world.start(['a'], POOLS);
    const first = await world.node(0).assignKept(WEB, 'life1', 60);
    await world.node(0).release('life1');
    await world.levelAll();
    world.now += 59_000;
    await world.levelAll();
    expect(await keptIn()).to.have.length(2);
    world.now += 2_000;
    await world.levelAll();
    expect(await keptIn()).to.deep.equal([]);
    expect(world.node(0).allocator.kept()).to.deep.equal([]);
    expect(await world.node(0).assign('asks', [first[0] ?? ''])).to.deep.equal([first[0]]);
  });

  it('frees them when the record says so: the controller has seen that nobody comes again', async () => {
    await world.start(['a'], POOLS);
    await world.node(0).assignKept(WEB, 'life1');
    await world.node(0).release('life1');
    await world.levelAll();
    for (const record of await world.store.list()) {
      const stored = await world.store.get(record.cidr);
      if (stored !== undefined) await world.store.replace(stored, { ...stored, kept: [] });
    }
    await world.node(0).loop.lending.levelOwn(() => ({ offers: 1, isVacant: false }));
    expect(world.node(0).allocator.kept()).to.deep.equal([]);
  });

  it('gives no address of a pool that is disabled, and frees it', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/24' }, q: { cidr: '10.0.1.0/24' } });
    const [first = ''] = await world.node(0).assignKept(WEB, 'life1');
    await world.node(0).release('life1');
    const spec = { cidr: first.startsWith('10.0.0.') ? '10.0.0.0/24' : '10.0.1.0/24', disabled: true };
    world.node(0).cluster.upsert('ipPools', { metadata: { name: first.startsWith('10.0.0.') ? 'p' : 'q' }, spec });
    expect(await world.node(0).assignKept(WEB, 'life2')).not.to.include(first);
    await world.levelAll();
    expect(world.node(0).allocator.kept()).to.deep.equal([]);
  });

  it('counts what is kept as gone, claims ahead, gives no such block back, and says so when nothing is left', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/30', blockSize: 30 } });
    for (let i = 0; i < 3; i++) await world.node(0).assignKept(`StatefulSet shop/web-${i}`, `life${i}`);
    for (let i = 0; i < 3; i++) await world.node(0).release(`life${i}`);
    expect(world.node(0).allocator.usageOf('10.0.0.0/30')).to.deep.include({ kept: 3, free: 1, assigned: 0 });
    for (let i = 0; i < 3; i++) await world.node(0).loop.upkeep.lookAround();
    expect(world.node(0).blocks()).to.deep.equal(['10.0.0.0/30']);
    await world.node(0).assign('one');
    expect(await world.node(0).refusal('two')).to.include('held back (3, 3 of them for pods that may come again)');
  });

  it('keeps 256 addresses a node at most: what is released beyond is free', async () => {
    await world.start(['a'], { p: { cidr: '10.0.0.0/16', blockSize: 20 } });
    for (let i = 0; i < 260; i++) await world.node(0).assignKept(`StatefulSet shop/web-${i}`, `life${i}`);
    for (let i = 0; i < 260; i++) await world.node(0).allocator.release(ownerOf(`life${i}`));
    expect(world.node(0).allocator.kept()).to.have.length(256);
  });

  it('gives every pod of any history of moves, kills and strangers its own address, and nobody two pods', async function () {
    this.timeout(120_000);
    const move = fc.record({
      pod: fc.nat(2),
      to: fc.nat(2),
      what: fc.constantFrom('move', 'move', 'move', 'restart', 'stranger', 'level'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(move, { minLength: 5, maxLength: 25 }), async (moves) => {
        const run = new IpamWorld();
        try {
          await run.start(['a', 'b', 'c'], { p: { cidr: '10.0.0.0/26', blockSize: 28 } });
          const homes = new Map<number, { readonly node: number; readonly life: string; readonly address: string }>();
          let lives = 0;
          for (const { pod, to, what } of moves) {
            if (what === 'restart') await run.restart(to);
            else if (what === 'stranger') await run.node(to).tryAssign(`stranger${lives++}`);
            else if (what === 'level') await run.levelAll();
            else {
              const before = homes.get(pod);
              if (before !== undefined) {
                await run.node(before.node).release(before.life);
                // What takes the scheduler longer than the agents.
                await run.levelAll();
              }
              const life = `life${lives++}`;
              const [address = ''] = await run.node(to).assignKept(`StatefulSet s/web-${pod}`, life);
              if (before !== undefined) expect(address).to.equal(before.address);
              homes.set(pod, { node: to, life, address });
            }
            const held = run.nodes.flatMap(({ allocator }) => allocator.owners().flatMap(({ addresses }) => addresses));
            expect(new Set(held).size).to.equal(held.length);
          }
        } finally {
          await run.close();
        }
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });
});
