/**
 * npm run bench -- policy [--sizes 0,100,1000,10000] [--contenders ...] [--runs 3] [--duration 700] [-o json]
 * npm run bench -- policy --load [--backend nftables] [--policies 2000] [--pods 10000] [--changes 400] [--resyncs 1000] [-o json]
 *
 * The packet path between two pods of one node, and what programming costs, with policies in the cluster from none to
 * many. All contenders of a size stand side by side and take turns; figures are medians, ratios are to "established": a
 * filter that does nothing but accept what is established. With --load: event to enforced packet under churn (load.ts).
 *
 * With `-o json` the last line is one object: `ratios.<size>.<contender>.<metric>`.
 */
import { podAt, type ClusterSize } from './cluster.js';
import { CONTENDERS, median, type Contender, type ContenderName } from './contenders.js';
import { buildProber, hasIperf, measure, METRICS, Servers, type Metric } from './path.js';
import { Rig } from './rig.js';
import { leave, readOptions } from '../options.js';

const LOCAL_PODS = 100;
const REFERENCE: ContenderName = 'established';

interface Row {
  readonly policies: number;
  readonly contender: ContenderName;
  readonly path: Readonly<Partial<Record<Metric, number>>>;
  readonly load: number;
  readonly change: number | undefined;
}

const USAGE = {
  area: 'policy',
  about: `What NetworkPolicy costs a packet, and what it costs to program, beside a ruleset that only accepts established
traffic and one that is linear. With --load: changes and resyncs on one backend. Needs root (network namespaces)
and a C compiler.`,
  options: {
    sizes: { value: 'N[,N]', default: '0,100,1000,10000', about: 'numbers of policies to measure at' },
    contenders: {
      value: 'NAME[,NAME]',
      default: Object.keys(CONTENDERS).join(','),
      list: Object.keys(CONTENDERS),
      about: 'rulesets to compare',
    },
    runs: { value: 'N', default: '3', range: [1, 1000], about: 'runs of each' },
    duration: {
      value: 'MS',
      default: '700',
      range: [10, 600_000],
      about: 'milliseconds of traffic in one measurement',
    },
    load: { about: 'measure programming instead of packets' },
    backend: { value: 'NAME', default: 'nftables', about: 'with --load: the backend' },
    policies: { value: 'N', default: '2000', range: [1, 100_000], about: 'with --load: policies' },
    pods: { value: 'N', default: '10000', range: [1, 1_000_000], about: 'with --load: pods' },
    changes: { value: 'N', default: '400', range: [1, 1_000_000], about: 'with --load: changes' },
    resyncs: { value: 'N', default: '1000', range: [0, 1_000_000], about: 'with --load: resyncs' },
  },
} as const;

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  if (process.getuid?.() !== 0) {
    process.stderr.write('Cannot measure without root: the run needs network namespaces of its own\n');
    return 2;
  }
  buildProber();
  if (values.load) {
    const { runLoad } = await import('./load.js');
    return runLoad({
      backend: values.backend,
      policies: Number(values.policies),
      pods: Number(values.pods),
      changes: Number(values.changes),
      resyncs: Number(values.resyncs),
      isJson: values.output === 'json',
    });
  }
  const names = values.contenders.split(',').filter((name): name is ContenderName => Object.hasOwn(CONTENDERS, name));
  const sizes = values.sizes.split(',').map(Number);
  if (
    names.length !== values.contenders.split(',').length ||
    sizes.some((size) => !Number.isInteger(size) || size < 0)
  ) {
    process.stderr.write(
      `Cannot measure "${values.contenders}" at "${values.sizes}": expected some of ` +
        `${Object.keys(CONTENDERS).join(', ')} and whole numbers\n`,
    );
    return 2;
  }
  const rows: Row[] = [];
  for (const policies of sizes)
    rows.push(...(await measureSize(policies, names, Number(values.runs), Number(values.duration))));
  process.stdout.write(formatTable(rows));
  if (values.output === 'json') process.stdout.write(`${JSON.stringify({ rows, ratios: ratiosOf(rows) })}\n`);
  return 0;
}

async function measureSize(
  policies: number,
  names: readonly ContenderName[],
  runs: number,
  duration: number,
): Promise<readonly Row[]> {
  const size: ClusterSize = { policies, pods: Math.max(LOCAL_PODS, policies * 2), local: LOCAL_PODS };
  const withIperf = hasIperf();
  if (!withIperf) process.stderr.write('Throughput is left out: iperf3 is not installed\n');
  const metrics = METRICS.filter((metric) => withIperf || metric !== 'megabits');
  const standing = new Map<
    ContenderName,
    {
      readonly rig: Rig;
      readonly servers: Servers;
      readonly contender: Contender;
      readonly samples: Map<Metric, number[]>;
    }
  >();
  try {
    for (const name of names) {
      const rig = new Rig(name, [podAt(size, 0), podAt(size, 1)]);
      const servers = new Servers();
      await servers.start(rig, withIperf);
      standing.set(name, {
        rig,
        servers,
        contender: await CONTENDERS[name](rig, size),
        samples: new Map(metrics.map((metric) => [metric, []])),
      });
      process.stderr.write(`  ${policies} policies: ${name} stands\n`);
    }
    // The first round warms caches up and is not counted.
    for (let round = 0; round <= runs; round++)
      for (const [name, { rig, samples }] of standing)
        for (const metric of metrics) {
          const value = measure(rig, metric, duration);
          if (round > 0) samples.get(metric)?.push(value);
          process.stderr.write(
            `  ${policies} policies, round ${round}/${runs}: ${name} ${Math.round(value)} ${metric}\n`,
          );
        }
    const rows: Row[] = [];
    for (const [contender, { contender: running, samples }] of standing) {
      const path = Object.fromEntries([...samples].map(([metric, values]) => [metric, median(values)]));
      rows.push({ policies, contender, path, load: running.load, change: await running.changeOne() });
    }
    return rows;
  } finally {
    for (const { rig, servers, contender } of standing.values()) {
      await contender.stop();
      await servers.stop();
      await rig.close();
    }
  }
}

function ratiosOf(rows: readonly Row[]): Record<string, Record<string, Record<string, number>>> {
  const ratios: Record<string, Record<string, Record<string, number>>> = {};
  for (const row of rows) {
    const reference = rows.find((one) => one.policies === row.policies && one.contender === REFERENCE);
    const entry: Record<string, number> = {};
    for (const metric of METRICS) {
      const [own, base] = [row.path[metric], reference?.path[metric]];
      if (own !== undefined && base !== undefined) entry[metric] = Number((own / base).toFixed(3));
    }
    (ratios[String(row.policies)] ??= {})[row.contender] = entry;
  }
  return ratios;
}

function formatTable(rows: readonly Row[]): string {
  const ratios = ratiosOf(rows);
  const head = [
    'policies',
    'contender',
    'requests/s',
    'connections/s',
    'Mbit/s',
    'of established (rr, crr, thr)',
    'full load ms',
    'one change ms',
  ];
  const lines = rows.map((row) => {
    const ratio = ratios[String(row.policies)]?.[row.contender] ?? {};
    const share = METRICS.map((metric) => ratio[metric]?.toFixed(2) ?? '-').join(' ');
    const number = (value: number | undefined, digits = 0): string =>
      value === undefined || value === 0 ? '-' : value.toFixed(digits);
    return [
      String(row.policies),
      row.contender,
      number(row.path.requests),
      number(row.path.connections),
      number(row.path.megabits),
      share,
      number(row.load),
      number(row.change, 2),
    ];
  });
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i]?.length ?? 0)));
  return [head, ...lines]
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
