/** Random histories of the RIB, of interfaces and of resyncs that read while the RIB goes on writing, against the kernel. */
import { expect } from 'chai';
import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import { setImmediate as turn } from 'node:timers/promises';
import { formatPrefix, type Family, type IpPrefix } from 'node-bgp/address';
import type { ForwardingEntry, ForwardingSink } from 'node-bgp/rib/forwarding-entry';
import { wordsOf } from 'node-bgp/rib/prefix-table';
import { FibWriter } from '../../src/bgpd/fib-writer.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import {
  applyRouteChanges,
  listNexthops,
  listRoutes,
  NetlinkSocket,
  PROTOCOL_TORTIE_BGP,
} from '../../src/dataplane/netlink/index.js';

const NAMESPACE = `tfibprop${process.pid}`;
const isRoot = process.getuid?.() === 0;

/** Which of four next hops a prefix has, as bits; 0: none. Two are behind eth0, two behind eth1. */
type Hops = number;
type Step =
  | { readonly type: 'change'; readonly first: number; readonly count: number; readonly hops: Hops }
  | { readonly type: 'resync' }
  | { readonly type: 'turns'; readonly count: number }
  | { readonly type: 'vanish'; readonly index: number }
  | { readonly type: 'stray'; readonly index: number }
  | { readonly type: 'flap'; readonly interfaceName: 'eth0' | 'eth1' }
  | { readonly type: 'nexthop'; readonly index: number };

/** Enough for several datagrams of a dump and for sends on the pool thread. */
const PREFIXES = 2000;
const prefixAt = (index: number): IpPrefix =>
  index % 2 === 0
    ? { family: 4, value: 0x0b000000n + BigInt(index * 256), length: 24 }
    : { family: 6, value: (0x2001n << 112n) + (BigInt(index) << 64n), length: 64 };

const change = fc.record({
  type: fc.constant('change' as const),
  first: fc.nat(PREFIXES - 1),
  count: fc.integer({ min: 1, max: PREFIXES }),
  hops: fc.nat(15),
});
const quiet = fc.oneof(
  { weight: 4, arbitrary: change },
  { weight: 3, arbitrary: fc.constant({ type: 'resync' as const }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 12 }) }) },
);
const rough = fc.oneof(
  { weight: 8, arbitrary: quiet },
  fc.record({
    type: fc.constantFrom('vanish' as const, 'stray' as const, 'nexthop' as const),
    index: fc.nat(PREFIXES - 1),
  }),
  fc.record({ type: fc.constant('flap' as const), interfaceName: fc.constantFrom('eth0' as const, 'eth1' as const) }),
);
/** From how many routes on a nexthop object pays: all, some, hardly any. */
const from = fc.constantFrom(1, 40, 900);

(isRoot ? describe : describe.skip)('bgpd fib-writer, any history', () => {
  const indexes = new Map<string, number>();
  const ip = (...argv: readonly string[]): string =>
    execFileSync('ip', ['-n', NAMESPACE, ...argv], { encoding: 'utf8' });
  const open = (options?: ConstructorParameters<typeof NetlinkSocket>[0]): NetlinkSocket =>
    inNamespace(`/run/netns/${NAMESPACE}`, () => new NetlinkSocket(options));
  let tool: NetlinkSocket;

  const addAddresses = (name: string): void => {
    const index = name === 'eth0' ? 0 : 1;
    ip('addr', 'replace', `10.0.${index}.1/24`, 'dev', name);
    ip('addr', 'replace', `fd00:${index}::1/64`, 'dev', name, 'nodad');
  };

  before(() => {
    execFileSync('ip', ['netns', 'add', NAMESPACE]);
    for (const name of ['eth0', 'eth1']) {
      ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`);
      for (const end of [name, `${name}p`]) ip('link', 'set', end, 'up');
      addAddresses(name);
      indexes.set(name, Number(ip('-o', 'link', 'show', name).split(':')[0]));
    }
    tool = open();
  });
  after(() => {
    tool.close();
    execFileSync('ip', ['netns', 'del', NAMESPACE]);
  });

  const hopsOf = (family: Family, bits: Hops): ForwardingEntry | undefined =>
    bits === 0
      ? undefined
      : {
          hops: [0, 1, 2, 3]
            .filter((bit) => (bits & (1 << bit)) !== 0)
            .map((bit) => ({
              interfaceName: `eth${bit >> 1}`,
              weight: 1,
              address:
                family === 4
                  ? { family, value: 0x0a000009n + BigInt(bit >> 1) * 256n + BigInt(bit & 1) }
                  : { family, value: (0xfd00n << 112n) + (BigInt(bit >> 1) << 96n) + 9n + BigInt(bit & 1) },
            })),
        };

  /** Plays the steps; answers what each resync changed, and proves that the kernel ends as the RIB does. */
  async function play(steps: readonly Step[], nexthopsFrom: number): Promise<readonly number[]> {
    const wanted = new Map<number, Hops>();
    const queue = new Map<number, Hops>();
    const take = (sink: ForwardingSink, limit: number): boolean => {
      for (const [index, hops] of [...queue].slice(0, limit)) {
        queue.delete(index);
        const prefix = prefixAt(index);
        sink(prefix.family, wordsOf(prefix), 0, prefix.length, hopsOf(prefix.family, hops));
      }
      return queue.size > 0;
    };
    const context = { metric: 20, preferredSource: {}, indexOf: (name: string) => indexes.get(name) };
    const fib = new FibWriter({
      open,
      // What is lost here is found by resyncs alone.
      watch: () => ({ close: () => undefined }),
      nexthopsFrom,
      context: () => context,
      take,
      onProblem: () => undefined,
      onNoNexthops: (reason) => {
        throw new Error(reason);
      },
    });
    const resyncs: Promise<number>[] = [];
    fib.start();
    fib.sweep();
    for (const step of steps)
      switch (step.type) {
        case 'change':
          for (let i = 0; i < step.count; i++) {
            const index = (step.first + i) % PREFIXES;
            wanted.set(index, step.hops);
            queue.set(index, step.hops);
          }
          fib.wake();
          break;
        case 'resync':
          resyncs.push(fib.resync());
          break;
        case 'turns':
          for (let i = 0; i < step.count; i++) await turn();
          break;
        case 'vanish':
          applyRouteChanges(tool, [
            {
              type: 'delete',
              route: { prefix: prefixAt(step.index), protocol: PROTOCOL_TORTIE_BGP, metric: 20, nextHops: [] },
            },
          ]);
          break;
        case 'stray':
          applyRouteChanges(tool, [
            {
              type: 'add',
              route: {
                prefix: prefixAt(step.index),
                protocol: PROTOCOL_TORTIE_BGP,
                metric: 30,
                nextHops: [{ interfaceIndex: indexes.get('eth1') }],
              },
            },
          ]);
          break;
        case 'nexthop': {
          const objects = listNexthops(tool);
          const object = objects[step.index % Math.max(1, objects.length)];
          if (object !== undefined) ip('nexthop', 'del', 'id', String(object.id));
          break;
        }
        case 'flap':
          ip('link', 'set', step.interfaceName, 'down');
          ip('link', 'set', step.interfaceName, 'up');
          addAddresses(step.interfaceName);
          fib.loss();
          break;
      }
    const corrected = await Promise.all(resyncs);
    while (queue.size > 0) await turn();
    await fib.whenIdle();
    await fib.resync();
    await fib.whenIdle();
    const [again, routes, objects, status] = [
      await fib.resync(),
      listRoutes(tool, { protocol: PROTOCOL_TORTIE_BGP }),
      listNexthops(tool),
      fib.status(),
    ];
    fib.stop();
    await fib.whenIdle();
    fib.removeAll();
    fib.close();
    expect(again).to.equal(0);
    const live = [...wanted].filter(([, hops]) => hops !== 0);
    const expected = live
      .map(([index, hops]) => `${formatPrefix(prefixAt(index))} ${(hopsOf(4, hops)?.hops ?? []).length}`)
      .sort();
    expect(routes.map(({ prefix, nextHops }) => `${formatPrefix(prefix)} ${nextHops.length}`).sort()).to.deep.equal(
      expected,
    );
    expect(status).to.include({ routes: live.length, refused: 0, stale: 0 });
    const inUse = new Set(routes.flatMap(({ nexthopId }) => (nexthopId === undefined ? [] : [nexthopId])));
    for (const object of objects)
      if (object.type === 'group' && inUse.has(object.id)) for (const { id } of object.members) inUse.add(id);
    // A route written before its next hops had an object, or when an object that vanished unseen left none to be made, goes on without, and
    // the object goes with the last route of the kind.
    if (routes.every(({ nexthopId }) => nexthopId !== undefined))
      expect(objects.map(({ id }) => id).sort()).to.deep.equal([...inUse].sort());
    else expect(objects.map(({ id }) => id)).to.include.members([...inUse]);
    expect(listNexthops(tool)).to.deep.equal([]);
    return corrected;
  }

  it('a resync never corrects what the RIB itself changed meanwhile', async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(fc.array(quiet, { minLength: 4, maxLength: 24 }), from, async (steps, nexthopsFrom) => {
        for (const corrected of await play(steps, nexthopsFrom)) expect(corrected).to.equal(0);
      }),
      { numRuns: 25 },
    );
  });

  it('routes that vanish, strays, dropped interfaces and nexthop objects end in the wanted table', async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(fc.array(rough, { minLength: 4, maxLength: 24 }), from, async (steps, nexthopsFrom) => {
        await play(steps, nexthopsFrom);
      }),
      { numRuns: 25 },
    );
  });
});
