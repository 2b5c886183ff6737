/**
 * npm run bench -- cni [--pods 100] [--runs 5] [--contenders tortie,tortie-ipv4,tortie-nftables,ptp] [-o json]
 *
 * Time of CNI ADD and DEL from exec to exit, as a runtime sees it: one after another (median of all calls) and all at once
 * (first exec to last exit, median of the runs). All contenders take turns in one run of the whole. `tortie` is the real
 * agent with both families, its address journal fsynced and a NetworkPolicy enforced before ADD answers; `ptp` with
 * `host-local` is IPv4 alone, without policy; `tortie-ipv4` is for who wants like with like,
 * `tortie-nftables` writes policy over netlink instead of through the iptables programs.
 *
 * Processor time, of the plugin and of the agent that serves it, is told beside: on a busy machine it says more than
 * waiting does. What the kernel does later and on its own account is in neither.
 *
 * With `-o json` the last line is one object; `ratios.<contender>.<phase>` is its time divided by ptp's.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { settle, World } from '../node/world.js';
import { CONTENDERS, type Contender } from './contenders.js';
import { type Job, Launcher, type Manner } from './launcher.js';
import { POD_NAMESPACE } from './node-agent.js';
import { leave, readOptions } from '../options.js';

const REFERENCE = 'ptp';
/** Pods that are connected one after another in each run. */
const ONE_BY_ONE = 20;

const PHASES = ['add_one', 'del_one', 'add_all', 'del_all'] as const;
type Phase = (typeof PHASES)[number];

/** At most this share of the reference's time. */
const AIMS: Readonly<Partial<Record<Phase, number>>> = { add_one: 0.35, del_one: 0.1, add_all: 0.3, del_all: 0.25 };

type Samples = Map<Phase, number[]>;

/** Milliseconds: how long runtimes wait, and how long processors work for one call. */
interface Taken {
  readonly time: Samples;
  readonly processor: Samples;
}

const USAGE = {
  area: 'cni',
  about: `CNI ADD and DEL of real pods through a real agent, one at a time and all at once, beside ptp and host-local. Needs root (network
namespaces), a C compiler, and for the reference containernetworking-plugins.`,
  options: {
    pods: { value: 'N', default: '100', range: [1, 200], about: 'pods at once' },
    runs: { value: 'N', default: '5', range: [1, 1000], about: 'runs of each; medians are told' },
    contenders: {
      value: 'NAME[,NAME]',
      default: Object.keys(CONTENDERS).join(','),
      list: Object.keys(CONTENDERS),
      about: 'plugins to compare',
    },
  },
} as const;

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  const [pods, runs, names] = [Number(values.pods), Number(values.runs), values.contenders.split(',')];
  const problem = problemOf(pods, runs, names);
  if (problem !== undefined) {
    process.stderr.write(`${problem}\n`);
    return 2;
  }
  const { medians, processor } = await measure(names, pods, runs);
  process.stdout.write(format('ms, median', medians, pods, AIMS));
  process.stdout.write(`\n${format('ms of processor', processor, pods, {})}`);
  if (values.output === 'json')
    process.stdout.write(
      `${JSON.stringify({
        pods,
        runs,
        medians: Object.fromEntries(medians),
        ratios: ratiosOf(medians),
        processor: Object.fromEntries(processor),
        processorRatios: ratiosOf(processor),
        aims: AIMS,
      })}\n`,
    );
  return 0;
}

function problemOf(pods: number, runs: number, names: readonly string[]): string | undefined {
  if (!Number.isInteger(pods) || pods < 1 || pods > 200)
    return `Cannot measure "${pods}" pods: expected a whole number from 1 to 200`;
  if (!Number.isInteger(runs) || runs < 1) return `Cannot measure "${runs}" runs: expected a whole number from 1 on`;
  const stranger = names.find((name) => !Object.hasOwn(CONTENDERS, name));
  if (stranger !== undefined)
    return `Cannot measure "${stranger}": expected some of ${Object.keys(CONTENDERS).join(', ')}`;
  if (names.includes(REFERENCE) && !existsSync('/usr/lib/cni/ptp'))
    return 'Cannot compare with ptp: /usr/lib/cni/ptp is missing; install containernetworking-plugins';
  return process.getuid?.() === 0
    ? undefined
    : 'Cannot measure without root: the run needs network namespaces of its own';
}

async function measure(
  names: readonly string[],
  podCount: number,
  runs: number,
): Promise<{ readonly medians: Medians; readonly processor: Medians }> {
  const directory = mkdtempSync(join(tmpdir(), 'tortie-bench-cni-'));
  const world = new World('tbench-cni');
  const running = new Map<string, { readonly contender: Contender; readonly netns: string; readonly samples: Taken }>();
  try {
    const launcher = new Launcher(join(directory, 'jobs'));
    const pods = world.pods(podCount);
    for (const name of names) {
      const netns = world.node(name);
      const contender = await CONTENDERS[name]?.({
        netns,
        directory: join(directory, name),
        pods: pods.map((pod) => basename(pod)),
      });
      if (contender !== undefined) running.set(name, { contender, netns, samples: noneTaken() });
    }
    // The first round warms caches, compilers and connections up, and is not counted.
    for (let round = 0; round <= runs; round++)
      for (const [name, { contender, netns, samples }] of running) {
        const counted = round === 0 ? noneTaken() : samples;
        await measureRound(launcher, contender, netns, pods, `r${round}`, counted);
        process.stderr.write(
          `  ${name} ${round === 0 ? 'warm-up' : `${round}/${runs}`}: ` +
            `${PHASES.map((phase) => `${phase} ${median(counted.time.get(phase) ?? []).toFixed(1)}`).join(', ')}\n`,
        );
      }
    return {
      medians: new Map(Array.from(running, ([name, { samples }]) => [name, mediansOf(samples.time)])),
      processor: new Map(Array.from(running, ([name, { samples }]) => [name, mediansOf(samples.processor)])),
    };
  } finally {
    for (const { contender } of running.values()) await contender.stop();
    world.remove();
    rmSync(directory, { recursive: true });
  }
}

async function measureRound(
  launcher: Launcher,
  contender: Contender,
  netns: string,
  pods: readonly string[],
  tag: string,
  samples: Taken,
): Promise<void> {
  const record = (of: Samples, phase: Phase, values: readonly number[]): void =>
    void of.set(phase, [...(of.get(phase) ?? []), ...values]);
  const run = (phase: Phase, manner: Manner, jobs: readonly Job[]): void => {
    const before = processorTimeOf(contender.servedBy);
    const { times, wall, processor } = launcher.run(netns, manner, jobs);
    record(samples.time, phase, manner === 'one' ? times : [wall]);
    record(samples.processor, phase, [(processor + processorTimeOf(contender.servedBy) - before) / jobs.length]);
  };
  for (const [manner, chosen] of [
    ['one', pods.slice(0, ONE_BY_ONE)],
    ['all', pods],
  ] as const satisfies readonly (readonly [Manner, readonly string[]])[]) {
    const jobs = chosen.map((pod) => jobOf(contender, 'ADD', pod, `${tag}-${manner}`));
    run(`add_${manner}`, manner, jobs);
    const results = jobs.map((_, index): unknown => JSON.parse(launcher.output(index)));
    run(
      `del_${manner}`,
      manner,
      chosen.map((pod, index) => jobOf(contender, 'DEL', pod, `${tag}-${manner}`, results[index])),
    );
    await settle(netns);
  }
}

function jobOf(contender: Contender, command: 'ADD' | 'DEL', netns: string, tag: string, prevResult?: unknown): Job {
  const pod = basename(netns);
  return {
    program: contender.program,
    environment: {
      ...contender.environment,
      CNI_COMMAND: command,
      CNI_CONTAINERID: `${tag}-${pod}`,
      CNI_IFNAME: 'eth0',
      CNI_NETNS: netns,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${POD_NAMESPACE};K8S_POD_NAME=${pod}`,
    },
    stdin: JSON.stringify({ ...contender.config, ...(prevResult === undefined ? {} : { prevResult }) }),
  };
}

const noneTaken = (): Taken => ({ time: new Map(), processor: new Map() });

/** Milliseconds of all its threads so far; 0 for none. */
function processorTimeOf(pid: number | undefined): number {
  if (pid === undefined) return 0;
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e6;
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] ?? NaN;

function mediansOf(samples: Samples): Readonly<Record<Phase, number>> {
  const of = (phase: Phase): number => median(samples.get(phase) ?? []);
  return { add_one: of('add_one'), del_one: of('del_one'), add_all: of('add_all'), del_all: of('del_all') };
}

type Medians = ReadonlyMap<string, Readonly<Record<Phase, number>>>;

function ratiosOf(medians: Medians): Readonly<Record<string, Readonly<Record<string, number>>>> {
  const reference = medians.get(REFERENCE);
  if (reference === undefined) return {};
  const others = [...medians].filter(([name]) => name !== REFERENCE);
  return Object.fromEntries(
    others.map(([name, times]) => [
      name,
      Object.fromEntries(PHASES.map((phase) => [phase, times[phase] / reference[phase]])),
    ]),
  );
}

function format(title: string, medians: Medians, pods: number, aimed: typeof AIMS): string {
  const ratios = ratiosOf(medians);
  const heads: Readonly<Record<Phase, string>> = {
    add_one: 'ADD',
    del_one: 'DEL',
    add_all: `${pods} ADD at once`,
    del_all: `${pods} DEL at once`,
  };
  const rows = Array.from(medians, ([name, times]) => [
    name,
    ...PHASES.map((phase) => {
      const ratio = ratios[name]?.[phase];
      return `${times[phase].toFixed(2)}${ratio === undefined ? '' : ` (${ratio.toFixed(2)})`}`;
    }),
  ]);
  const aims = ['aim', ...PHASES.map((phase) => (aimed[phase] === undefined ? '' : `<= ${aimed[phase]}`))];
  const table = [
    [title, ...PHASES.map((phase) => heads[phase])],
    ...rows,
    ...(Object.keys(ratios).length === 0 || Object.keys(aimed).length === 0 ? [] : [aims]),
  ];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  return table
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}
