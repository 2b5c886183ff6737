/**
 * npm run bench -- routes [--routes 100000] [--runs 5] [-o json]
 *
 * Kernel routes added, listed, replaced by a multipath and deleted: over our netlink socket, and by iproute2 (`ip -batch`,
 * `ip -j route`), which take turns in one namespace. Milliseconds, medians; the kernel is the greater part of each.
 *
 * With `-o json` the last line is one object; `ratios.ip.<phase>` is our time divided by iproute2's.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatPrefix, type IpAddress } from 'node-bgp/address';
import { inNamespace } from '../../src/dataplane/netns.js';
import { findLink } from '../../src/dataplane/netlink/link.js';
import { NetlinkSocket } from '../../src/dataplane/netlink/netlink-socket.js';
import { type NextHop, PROTOCOL_TORTIE_BGP, type RouteChange } from '../../src/dataplane/netlink/route.js';
import { applyRouteChanges } from '../../src/dataplane/netlink/route-change.js';
import { listRoutes } from '../../src/dataplane/netlink/route-list.js';
import { leave, readOptions } from '../options.js';

const PHASES = ['add', 'list', 'multipath', 'delete'] as const;
type Phase = (typeof PHASES)[number];
type Times = Readonly<Record<Phase, number>>;

const USAGE = {
  area: 'routes',
  about:
    'Routes into the kernel, listed and removed again, over our netlink and by iproute2. Needs root (network namespaces).',
  options: {
    routes: { value: 'N', default: '100000', range: [1, 1_000_000], about: 'routes of one family' },
    runs: { value: 'N', default: '5', range: [1, 1000], about: 'runs of each; medians are told' },
  },
} as const;

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  const [count, runs] = [Number(values.routes), Number(values.runs)];
  if (!Number.isInteger(count) || count < 1 || count > 1_000_000 || !Number.isInteger(runs) || runs < 1) {
    process.stderr.write(
      `Cannot measure "${values.routes}" routes in "${values.runs}" runs: expected 1 to 1000000 routes and at least one run\n`,
    );
    return 2;
  }
  const bench = new RouteBench(count);
  const samples = { tortie: [] as Times[], ip: [] as Times[] };
  try {
    for (let round = 0; round < runs; round++) {
      samples.tortie.push(bench.overNetlink());
      samples.ip.push(bench.byIproute2());
    }
  } finally {
    bench.remove();
  }
  const medians = { tortie: mediansOf(samples.tortie), ip: mediansOf(samples.ip) };
  const ratios = { ip: Object.fromEntries(PHASES.map((phase) => [phase, medians.tortie[phase] / medians.ip[phase]])) };
  process.stdout.write(`${count} routes, ms  ${PHASES.map((phase) => phase.padStart(16)).join('')}\n`);
  process.stdout.write(
    `${'tortie'.padEnd(`${count} routes, ms  `.length)}` +
      `${PHASES.map((phase) => `${medians.tortie[phase].toFixed(0)} (${(ratios.ip[phase] ?? NaN).toFixed(2)})`.padStart(16)).join('')}\n`,
  );
  process.stdout.write(
    `${'iproute2'.padEnd(`${count} routes, ms  `.length)}${PHASES.map((phase) => medians.ip[phase].toFixed(0).padStart(16)).join('')}\n`,
  );
  if (values.output === 'json') process.stdout.write(`${JSON.stringify({ routes: count, runs, medians, ratios })}\n`);
  return 0;
}

class RouteBench {
  private readonly namespace = `tbench-routes-${process.pid}`;
  private readonly directory = mkdtempSync(join(tmpdir(), 'tortie-bench-routes-'));
  private readonly socket: NetlinkSocket;
  private readonly single: readonly RouteChange[];
  private readonly multipath: readonly RouteChange[];

  constructor(count: number) {
    execFileSync('ip', ['netns', 'add', this.namespace]);
    this.ip('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    for (const name of ['v0', 'v1']) this.ip('link', 'set', name, 'up');
    this.ip('addr', 'add', '10.0.0.1/24', 'dev', 'v0');
    this.socket = inNamespace(`/run/netns/${this.namespace}`, () => new NetlinkSocket());
    const interfaceIndex = findLink(this.socket, { name: 'v0' })?.index;
    const via = (last: number): NextHop => ({
      via: { family: 4, value: 0x0a000000n + BigInt(last) } satisfies IpAddress,
      interfaceIndex,
    });
    const changes = (type: RouteChange['type'], nextHops: readonly NextHop[]): readonly RouteChange[] =>
      Array.from({ length: count }, (_, i) => ({
        type,
        route: {
          prefix: { family: 4, value: 0x0b000000n + BigInt(i * 16), length: 28 },
          protocol: PROTOCOL_TORTIE_BGP,
          nextHops,
        },
      }));
    this.single = changes('add', [via(2)]);
    this.multipath = changes('replace', [via(2), via(3)]);
    this.write('add', this.single, 'via 10.0.0.2 dev v0');
    this.write('replace', this.single, 'nexthop via 10.0.0.2 dev v0 nexthop via 10.0.0.3 dev v0');
    this.write('del', this.single, '');
  }

  overNetlink(): Times {
    const apply = (changes: readonly RouteChange[]) => (): void => {
      const [failure] = applyRouteChanges(this.socket, changes);
      if (failure !== undefined) throw failure.error;
    };
    const deletions = this.single.map(
      ({ route }): RouteChange => ({ type: 'delete', route: { ...route, nextHops: [] } }),
    );
    return {
      add: timed(apply(this.single)),
      list: timed(() => {
        const { length } = listRoutes(this.socket, { protocol: PROTOCOL_TORTIE_BGP });
        if (length !== this.single.length)
          throw new Error(`There are ${length} routes, expected ${this.single.length}`);
      }),
      multipath: timed(apply(this.multipath)),
      delete: timed(apply(deletions)),
    };
  }

  byIproute2(): Times {
    const batch = (name: string) => (): void => this.ip('-batch', join(this.directory, name));
    return {
      add: timed(batch('add')),
      list: timed(() => {
        const printed = execFileSync(
          'ip',
          ['-n', this.namespace, '-j', 'route', 'show', 'proto', String(PROTOCOL_TORTIE_BGP)],
          { encoding: 'utf8', maxBuffer: 1 << 30 },
        );
        const { length } = JSON.parse(printed) as readonly unknown[];
        if (length !== this.single.length)
          throw new Error(`There are ${length} routes, expected ${this.single.length}`);
      }),
      multipath: timed(batch('replace')),
      delete: timed(batch('del')),
    };
  }

  remove(): void {
    this.socket.close();
    execFileSync('ip', ['netns', 'del', this.namespace]);
    rmSync(this.directory, { recursive: true });
  }

  private write(command: string, changes: readonly RouteChange[], rest: string): void {
    const lines = changes.map(
      ({ route }) => `route ${command} ${formatPrefix(route.prefix)} proto ${PROTOCOL_TORTIE_BGP} ${rest}\n`,
    );
    writeFileSync(join(this.directory, command), lines.join(''));
  }

  private ip(...argv: readonly string[]): void {
    execFileSync('ip', ['-n', this.namespace, ...argv], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
}

function timed(work: () => void): number {
  const begun = performance.now();
  work();
  return performance.now() - begun;
}

function mediansOf(samples: readonly Times[]): Times {
  const of = (phase: Phase): number =>
    samples.map((times) => times[phase]).sort((a, b) => a - b)[(samples.length - 1) >> 1] ?? NaN;
  return { add: of('add'), list: of('list'), multipath: of('multipath'), delete: of('delete') };
}
