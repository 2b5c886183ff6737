/**
 * npm run bench -- bgp [--scenario S[,S]] [--peers bird,frr,openbgpd,gobgp,bird3@sid] [--runs 5] [-o json]
 *
 * All speakers take turns in one run of the whole, on the same stream, so that what else the machine does meets them
 * alike. In brackets behind a peer's time stands ours divided by it. With `-o json` the last line is one object;
 * `ratios.<peer>.<phase>` holds the same numbers, with several scenarios under `<scenario>.<phase>`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { formatResult, OURS, summarise, type ScenarioResult } from './report.js';
import { abandon, buildGenerator, measure, removeWork, type RunReport } from './run.js';
import { rootedSpeaker } from './rooted.js';
import { SCENARIOS, type Scenario } from './scenarios.js';
import { SPEAKERS, type Speaker } from './speakers.js';
import { leave, readOptions } from '../options.js';

const DEFAULT_SCENARIOS = [
  'v4_100k',
  'v4_1m',
  'v6_200k',
  'churn_100k',
  'join_100k',
  'mp300_1r',
  'mp100_all',
  'k8s300_all',
  'conn300',
  'fib_100k',
  'lat',
  'lat_100k',
  'lat_fib',
];

const USAGE = {
  area: 'bgp',
  about: `BGP speakers take turns in one run on the same stream: sessions, tables in and out, churn, routes into the
kernel, latency. Behind a peer's time stands ours divided by it. Needs root (network namespaces), a C compiler,
and the peers: one that is missing is left out. Exit code 1: ours could not do a scenario.`,
  options: {
    scenario: {
      value: 'NAME[,NAME]',
      list: Object.keys(SCENARIOS),
      about: `what to measure; without it ${DEFAULT_SCENARIOS.length} of them`,
    },
    peers: {
      value: 'NAME[,NAME]',
      default: 'bird,frr,openbgpd,gobgp',
      about: `whom to compare with: of ${Object.keys(SPEAKERS).join(', ')}; NAME@ROOT is one of a newer Debian, as bird3@sid`,
    },
    cache: {
      value: 'DIRECTORY',
      default: '/var/cache/tortie-interop',
      about: 'where "npm run interop" keeps those Debians',
    },
    runs: { value: 'N', default: '5', range: [1, 1000], about: 'runs of each; medians are told' },
    list: { about: 'what each scenario is' },
  },
} as const;

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  if (values.list) return list();
  const names = values.scenario?.split(',') ?? DEFAULT_SCENARIOS;
  const runs = Number(values.runs);
  const problem = problemOf(names, values.peers.split(','), runs, values.cache);
  if (problem !== undefined) {
    process.stderr.write(`${problem}\n`);
    return 2;
  }
  const peers = values.peers.split(',').filter((peer) => peer !== OURS && peer !== '');
  const speakers = present([OURS, ...peers], values.cache);
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => void abandon().finally(() => process.exit(1)));
  try {
    const generator = buildGenerator();
    const results: ScenarioResult[] = [];
    for (const name of names) {
      const scenario = SCENARIOS[name];
      if (scenario === undefined) continue;
      const result = await measureScenario(generator, name, scenario, speakers, runs);
      results.push(result);
      process.stdout.write(`${formatResult(result)}\n`);
    }
    if (values.output === 'json') process.stdout.write(`${JSON.stringify(asJson(results, speakers))}\n`);
    return results.every(({ runs: counts }) => (counts[OURS]?.complete ?? 0) > 0) ? 0 : 1;
  } finally {
    removeWork();
  }
}

async function measureScenario(
  generator: string,
  name: string,
  scenario: Scenario,
  speakers: ReadonlyMap<string, Speaker>,
  runs: number,
): Promise<ScenarioResult> {
  const reports = new Map<string, RunReport[]>();
  for (let round = 0; round < runs; round++)
    for (const [speaker, definition] of speakers) {
      if (scenario.topology.installs && !definition.canInstall) continue;
      const list = reports.get(speaker) ?? [];
      reports.set(speaker, list);
      // One that could not do it twice will not do it a third time: a run that times out takes minutes.
      if (list.filter(({ isComplete }) => !isComplete).length >= 2) continue;
      const report = await measure(generator, scenario, definition, speaker);
      list.push(report);
      const times = report.phases
        .filter(({ phase }) => phase !== 'end')
        .map(({ phase, all_ms, p50_ms }) => `${phase} ${p50_ms ?? all_ms ?? '-'}`);
      process.stderr.write(
        `  ${name} ${speaker} ${round + 1}/${runs}: ${report.problem ?? times.join(', ')}${report.isQuiet ? '' : ' (machine busy)'}\n`,
      );
    }
  return summarise(name, scenario, reports);
}

function problemOf(
  scenarios: readonly string[],
  peers: readonly string[],
  runs: number,
  cache: string,
): string | undefined {
  const unknown = scenarios.find((name) => !Object.hasOwn(SCENARIOS, name));
  if (unknown !== undefined)
    return `Cannot measure scenario "${unknown}": expected one of ${Object.keys(SCENARIOS).join(', ')}`;
  const stranger = peers.find((name) => name !== '' && speakerOf(name, cache) === undefined);
  if (stranger !== undefined)
    return `Cannot compare with "${stranger}": expected one of ${Object.keys(SPEAKERS).join(', ')}, or NAME@ROOT`;
  if (!Number.isInteger(runs) || runs < 1) return `Cannot measure "${runs}" runs: expected a whole number from 1 on`;
  return process.getuid?.() === 0
    ? undefined
    : 'Cannot measure without root: the run needs network namespaces of its own';
}

const speakerOf = (name: string, cache: string): Speaker | undefined =>
  name.includes('@') ? rootedSpeaker(name, cache) : Object.hasOwn(SPEAKERS, name) ? SPEAKERS[name] : undefined;

/** Those of the speakers that are on this machine; says which are not. */
function present(names: readonly string[], cache: string): ReadonlyMap<string, Speaker> {
  const found = new Map<string, Speaker>();
  for (const name of names) {
    const speaker = speakerOf(name, cache);
    if (speaker === undefined) continue;
    if (existsSync(speaker.needs.file)) found.set(name, speaker);
    else
      process.stderr.write(
        `Without ${name}: ${speaker.needs.file} is missing; it comes with ${speaker.needs.package}\n`,
      );
  }
  return found;
}

/** What was measured against what: a claim without versions is none. */
function versionOf({ version: [command = '', ...args] }: Speaker): string {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n')[0] ?? 'unknown';
}

function asJson(results: readonly ScenarioResult[], speakers: ReadonlyMap<string, Speaker>): object {
  const isOne = results.length === 1;
  const ratios: Record<string, Record<string, number>> = {};
  for (const { scenario, ratios: of } of results)
    for (const [peer, phases] of Object.entries(of)) {
      const target = (ratios[peer] ??= {});
      for (const [phase, ratio] of Object.entries(phases)) target[isOne ? phase : `${scenario}.${phase}`] = ratio;
    }
  const versions = Object.fromEntries([...speakers].map(([name, speaker]) => [name, versionOf(speaker)]));
  return {
    area: 'bgp',
    versions,
    ratios,
    scenarios: Object.fromEntries(results.map(({ scenario, ...rest }) => [scenario, rest])),
  };
}

function list(): number {
  for (const [name, { about }] of Object.entries(SCENARIOS)) process.stdout.write(`${name.padEnd(12)} ${about}\n`);
  return 0;
}
