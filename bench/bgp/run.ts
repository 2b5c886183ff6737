/** One measurement: fresh namespaces, a freshly started speaker, one run of the generator; nothing is left behind. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createNetwork, networkOf, removeNetwork } from './network.js';
import { SPEAKER_AS, type Scenario } from './scenarios.js';
import type { Speaker } from './speakers.js';

/** One JSON line of the generator. */
export interface PhaseReport {
  readonly phase: string;
  readonly ok?: boolean;
  readonly all_ms?: number;
  readonly fib_ms?: number;
  readonly p50_ms?: number;
  readonly p99_ms?: number;
  readonly hwm_kb?: number;
  /** Processor time of the speaker: of all its threads, of its main threads alone. */
  readonly threads_ms?: number;
  readonly main_ms?: number;
  readonly bad?: number;
  readonly unknown?: number;
  readonly wall_s?: number;
  readonly other_cpu_s?: number;
}

export interface RunReport {
  readonly phases: readonly PhaseReport[];
  /** Every phase ended with exactly the expected routes. */
  readonly isComplete: boolean;
  /** Nothing else took more than 15 % of a core meanwhile. */
  readonly isQuiet: boolean;
  readonly problem: string | undefined;
}

const SOURCES = ['main.c', 'feed.c', 'session.c', 'measure.c', 'load.h'];
/** Speakers that run now, and the generator. */
const underWay = new Set<readonly ChildProcess[]>();
let generatorProcess: ChildProcess | undefined;
const work = join(tmpdir(), `tortie-bench-${process.pid}`);

/** Compiles the generator; throws with the compiler's words. */
export function buildGenerator(): string {
  mkdirSync(work, { recursive: true });
  const binary = join(work, 'bgpload');
  const folder = fileURLToPath(new URL('../../../bench/bgp/generator/', import.meta.url));
  const sources = SOURCES.map((name) => join(folder, name));
  if (existsSync(binary) && sources.every((source) => statSync(source).mtimeMs < statSync(binary).mtimeMs))
    return binary;
  const result = spawnSync(
    'gcc',
    ['-O2', '-Wall', '-o', binary, ...sources.filter((source) => source.endsWith('.c')), '-lm'],
    { encoding: 'utf8' },
  );
  if (result.status !== 0)
    throw new Error(`Cannot compile the load generator: ${result.error?.message ?? result.stderr}`);
  return binary;
}

export const removeWork = (): void => rmSync(work, { recursive: true, force: true });

export async function measure(
  generator: string,
  scenario: Scenario,
  speaker: Speaker,
  name: string,
): Promise<RunReport> {
  const network = networkOf(`tb${process.pid}`);
  const directory = join(work, name);
  const launch = speaker.launch(scenario.topology, directory);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  for (const [path, text] of Object.entries(launch.files)) {
    writeFileSync(path, text);
    chmodSync(path, launch.mode ?? 0o644);
  }
  for (const { path, owner } of launch.directories ?? [])
    spawnSync('install', ['-d', '-o', owner, '-g', owner, '-m', '755', path]);
  removeNetwork(network);
  createNetwork(network, scenario.topology.senders);
  const children: ChildProcess[] = [];
  underWay.add(children);
  try {
    for (const argv of launch.commands) {
      const log = openSync(join(directory, 'log'), 'a');
      children.push(spawn('ip', ['netns', 'exec', network.speaker, ...argv], { stdio: ['ignore', log, log] }));
      await sleep(launch.stagger ?? 100);
    }
    await listening(network.speaker);
    const pids = children.flatMap((child) => (child.pid === undefined ? [] : withDescendants(child.pid)));
    const args = [...scenario.load(network), '--dutas', String(SPEAKER_AS), '--pids', pids.join(','), '--label', name];
    return await load(generator, args);
  } finally {
    underWay.delete(children);
    try {
      await stop(children);
    } finally {
      removeNetwork(network);
    }
  }
}

/** Ctrl-C or SIGTERM in the middle: nothing may stay behind. */
export async function abandon(): Promise<void> {
  generatorProcess?.kill('SIGKILL');
  for (const children of underWay) await stop(children);
  removeNetwork(networkOf(`tb${process.pid}`));
  removeWork();
}

/** Until somebody listens on port 179 in the namespace, and a little longer: some listen before they are ready. */
async function listening(namespace: string): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const { stdout } = spawnSync('ip', ['netns', 'exec', namespace, 'cat', '/proc/net/tcp', '/proc/net/tcp6'], {
      encoding: 'utf8',
    });
    // Local port 179 in hexadecimal, state LISTEN.
    if (/:00B3 [0-9A-F:]+ 0A/.test(stdout)) break;
    await sleep(100);
  }
  await sleep(800);
}

function load(generator: string, args: readonly string[]): Promise<RunReport> {
  return new Promise((resolve, reject) => {
    const child = spawn(generator, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    generatorProcess = child;
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('error', reject);
    child.on('close', (code) => {
      const phases = out
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as PhaseReport);
      const end = phases.find(({ phase }) => phase === 'end');
      const isQuiet = end !== undefined && (end.other_cpu_s ?? Infinity) <= Math.max(0.1, 0.15 * (end.wall_s ?? 0));
      const isClean = phases.every(({ bad = 0, unknown = 0, ok = true }) => bad + unknown === 0 && ok);
      const problem =
        code === 0 ? undefined : err.trim().split('\n').at(-1) || 'It did not get all routes through in time';
      resolve({ phases, isComplete: code === 0 && isClean && end !== undefined, isQuiet, problem });
    });
  });
}

function withDescendants(pid: number): number[] {
  const children = (): string[] => {
    try {
      return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
        readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(/\s+/),
      );
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  };
  return [
    pid,
    ...children()
      .filter((text) => text !== '')
      .flatMap((text) => withDescendants(Number(text))),
  ];
}

function isAlive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] !== 'Z';
  } catch (error) {
    // The process may go between the look at the directory and the read: ESRCH then.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

/** A process that is gone already has been stopped. */
function signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function stop(children: readonly ChildProcess[]): Promise<void> {
  const pids = children.flatMap((child) => (child.pid === undefined ? [] : withDescendants(child.pid))).filter(isAlive);
  for (const pid of pids) signal(pid, 'SIGTERM');
  for (let i = 0; i < 50 && pids.some(isAlive); i++) await sleep(100);
  for (const pid of pids.filter(isAlive)) signal(pid, 'SIGKILL');
}
