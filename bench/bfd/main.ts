/**
 * npm run bench -- bfd [--help]
 *
 * Do BFD's timers hold while a full table is processed? A table goes through bgpd to a sink and is withdrawn, again
 * and again, while BIRD and FRR watch it by BFD. What counts is read from the wire: the time between our packets, and
 * theirs, as a detection timer would have seen it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BfdStatus } from 'node-bgp/bfd/contract';
import { buildGenerator, removeWork } from '../bgp/run.js';
import { leave, readOptions } from '../options.js';
import { intervalsOf, type Intervals } from './intervals.js';
import { NEIGHBOURS, Scene } from './scene.js';

const USAGE = {
  area: 'bfd',
  about: `Time between BFD packets, ours and those of BIRD and FRR, while a full table goes through bgpd and is withdrawn
again. Needs root (network namespaces), bird, frr, tcpdump and a C compiler. Exit code 1: a BFD session failed,
one side's packets were further apart than the detection time, or the table did not get through.`,
  options: {
    prefixes: { value: 'N', default: '1000000', range: [1000, 1_000_000], about: 'of the table' },
    rounds: { value: 'N', default: '3', range: [1, 100], about: 'times through and back' },
    interval: {
      value: 'MS',
      default: '50',
      range: [10, 1000],
      about: 'between BFD packets; three missing ones are a failure',
    },
  },
} as const;

let generatorProcess: ChildProcess | undefined;
const LONGEST_START = 60_000;
/** The other end has to learn of the new pace, too: until then it sends a packet a second. */
const SETTLING = 3_000;

interface Line {
  readonly link: string;
  readonly from: string;
  readonly intervals: Intervals | undefined;
}

interface Result {
  readonly lines: readonly Line[];
  readonly failures: number;
  readonly scheduling: string;
  readonly rounds: readonly string[];
  readonly seconds: number;
  readonly load: number;
  /** CPU seconds of bgpd meanwhile, all threads. */
  readonly cpuSeconds: number;
}

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  if (process.getuid?.() !== 0)
    return leave({ code: 2, text: 'Cannot measure without root: the run needs network namespaces of its own\n' });
  const [prefixes, rounds, interval] = [
    Number(read.values.prefixes),
    Number(read.values.rounds),
    Number(read.values.interval),
  ];
  const scene = new Scene(interval);
  // Ctrl-C in the middle: nothing may stay behind.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      generatorProcess?.kill('SIGKILL');
      void scene.remove().finally(() => {
        removeWork();
        process.exit(1);
      });
    });
  try {
    const generator = buildGenerator();
    await scene.start();
    await bothUp(scene, interval);
    const result = await measure(scene, generator, prefixes, rounds);
    const isGood =
      result.failures === 0 &&
      result.lines.every(({ intervals }) => intervals !== undefined && intervals.longest < 3 * interval);
    process.stdout.write(format(result, prefixes, isGood));
    if (read.values.output === 'json')
      process.stdout.write(`${JSON.stringify({ area: 'bfd', isGood, prefixes, interval, ...result })}\n`);
    return isGood ? 0 : 1;
  } finally {
    await scene.remove();
    removeWork();
  }
}

async function bothUp(scene: Scene, interval: number): Promise<void> {
  for (const deadline = Date.now() + LONGEST_START; Date.now() < deadline; await sleep(200)) {
    const sessions = await sessionsOf(scene).catch(() => []); // the socket is not there yet
    if (
      sessions.length === NEIGHBOURS.length &&
      sessions.every(
        ({ state, detectionTime, transmitInterval }) =>
          state === 'up' && detectionTime === 3 * interval && transmitInterval === interval,
      )
    )
      return sleep(SETTLING);
  }
  throw new Error(
    `${LONGEST_START / 1000} s passed and BFD was not up with both at ${interval} ms: ${JSON.stringify(await sessionsOf(scene))}`,
  );
}

const sessionsOf = async (scene: Scene): Promise<readonly BfdStatus[]> =>
  (await scene.ask<{ readonly sessions: readonly BfdStatus[] }>('/v1/bfd')).sessions;

async function measure(scene: Scene, generator: string, prefixes: number, rounds: number): Promise<Result> {
  const [begin, cpuBegin] = [Date.now(), cpuSecondsOf(scene)];
  const told: string[] = [];
  for (let round = 0; round < rounds; round++) told.push(await passTable(generator, scene.load(prefixes)));
  const end = Date.now();
  const cpuSeconds = cpuSecondsOf(scene) - cpuBegin;
  const sessions = await sessionsOf(scene);
  const lines = NEIGHBOURS.flatMap(({ name, address, ownAddress, link }) => {
    const capture = scene.capture(link);
    return [
      { link: name, from: 'ours', intervals: intervalsOf(capture, ownAddress, begin, end) },
      { link: name, from: name, intervals: intervalsOf(capture, address, begin, end) },
    ];
  });
  // A session that ended BGP is gone from the list: that is a failure as well.
  const failures =
    sessions.reduce((sum, { failures: count }) => sum + count, 0) + (NEIGHBOURS.length - sessions.length);
  return {
    lines,
    failures,
    scheduling: sessions[0]?.scheduling ?? 'unknown',
    rounds: told,
    seconds: (end - begin) / 1000,
    load: loadavg()[0] ?? 0,
    cpuSeconds,
  };
}

function passTable(generator: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(generator, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    generatorProcess = child;
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== 0) return reject(new Error(`The table did not get through: ${err.trim().split('\n').at(-1) ?? ''}`));
      const phases = out
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as { readonly phase: string; readonly all_ms?: number });
      resolve(
        phases
          .filter(({ all_ms }) => all_ms !== undefined)
          .map(({ phase, all_ms = 0 }) => `${phase} ${Math.round(all_ms)} ms`)
          .join(', '),
      );
    });
  });
}

function cpuSecondsOf({ bgpdPid }: Scene): number {
  const ticks =
    readFileSync(`/proc/${bgpdPid ?? 0}/stat`, 'utf8')
      .split(') ')[1]
      ?.split(' ') ?? [];
  return (Number(ticks[11]) + Number(ticks[12])) / 100;
}

function format(
  { lines, failures, scheduling, rounds, seconds, load, cpuSeconds }: Result,
  prefixes: number,
  isGood: boolean,
): string {
  const table = lines.map(({ link, from, intervals }) => {
    const numbers =
      intervals === undefined
        ? 'NO PACKETS'
        : `${String(intervals.count).padStart(7)}` +
          `${[intervals.median, intervals.p99, intervals.longest].map((value) => value.toFixed(1).padStart(10)).join('')}`;
    return `  ${link.padEnd(6)}${from.padEnd(6)}${numbers}\n`;
  });
  const cost = `${seconds.toFixed(0)} s, ${cpuSeconds.toFixed(0)} s CPU of bgpd, load ${load.toFixed(1)}`;
  return `${prefixes} prefixes in ${rounds.length} rounds (${rounds.join('; ')}), ${cost}, BFD thread ${scheduling}
  link  from  packets    median       p99   longest (ms between packets)
${table.join('')}${isGood ? 'good' : 'BROKEN'}: ${failures} BFD failures\n`;
}
