/**
 * npm run bench -- services [--services 1000,10000] [--changes 10] [--contenders NAME,...] [-o json]
 *
 * Many Services of three endpoints on one node: from the change of an endpoint at the API server to the first packet that goes the new
 * way, the first full sync, new connections a second through a Service, memory and idle processor; beside the real kube-proxy in its
 * two modes, in one run. kube-proxy is $KUBE_PROXY, or found in PATH; without it it is left out, and that is said.
 */
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { tortieArgv } from '../../src/lab/tortie-argv.js';
import { leave, readOptions } from '../options.js';
import {
  clusterIp,
  DEAD,
  endpoints,
  LIVE,
  namespaces,
  NODE,
  nodeObject,
  objects,
  poolObject,
  SERVICE_PORT,
  slicePath,
} from './objects.js';
import { connectionRate, micros, Probe, Scene, type Contender } from './scene.js';

const CONTENDERS = [
  'tortie-nftables',
  'tortie-nft',
  'tortie-legacy',
  'kube-proxy-nftables',
  'kube-proxy-iptables',
] as const;

const USAGE = {
  area: 'services',
  about: `Services on one node beside the real kube-proxy. Needs root (network namespaces), and kube-proxy in PATH or as $KUBE_PROXY.
It never judges: read the figures.`,
  options: {
    services: { value: 'N[,N]', default: '1000,10000', about: 'how many there are' },
    changes: { value: 'N', default: '10', about: 'of an endpoint' },
    contenders: { value: 'NAME[,NAME]', default: CONTENDERS.join(','), list: CONTENDERS, about: 'who takes part' },
  },
} as const;

interface Result {
  readonly contender: string;
  readonly services: number;
  readonly firstSyncMs: number;
  /** From the request at the API server to the sending of the first packet that went the new way. */
  readonly changeMs: { readonly median: number; readonly worst: number };
  readonly connectionsPerSecond: number;
  readonly megabytes: number;
  /** Share of one processor while nothing happens. */
  readonly idle: number;
}

/** kube-proxy syncs once a second at most: changes come rarely enough that none waits for that. */
const PAUSE = 1_200;
const FIRST_SYNC_WITHIN = 180_000;
const CHANGE_WITHIN = 60_000;
const RATE_FOR = 3_000;
const IDLE_FOR = 4_000;

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  const names = values.contenders.split(',');
  const kubeProxy = findKubeProxy();
  const results: Result[] = [];
  const left: string[] = [];
  for (const count of values.services.split(',').map(Number))
    for (const name of names) {
      const contender = contenderOf(name, kubeProxy);
      if (contender === undefined) left.push(`${name}: no kube-proxy in PATH, and KUBE_PROXY is not set`);
      else
        try {
          results.push(await measure(contender, count, Number(values.changes)));
        } catch (error) {
          left.push(`${name} at ${count}: ${error instanceof Error ? error.message : String(error)}`);
        }
    }
  const load = loadavg()
    .map((one) => one.toFixed(1))
    .join(' ');
  if (values.output === 'json') process.stdout.write(`${JSON.stringify({ results, left, load }, null, 2)}\n`);
  else process.stdout.write(format(results, [...new Set(left)], load));
  return 0;
}

function findKubeProxy(): string | undefined {
  const candidates = [
    process.env['KUBE_PROXY'] ?? '',
    ...(process.env['PATH'] ?? '').split(':').map((folder) => join(folder, 'kube-proxy')),
  ];
  return candidates.find((file) => {
    try {
      if (file === '') return false;
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function contenderOf(name: string, kubeProxy: string | undefined): Contender | undefined {
  const [, program = '', mode = ''] = /^(tortie|kube-proxy)-(.*)$/.exec(name) ?? [];
  if (program === 'tortie')
    return {
      name,
      argv: (directory) =>
        tortieArgv(
          'agent',
          ...['--node', NODE, '--kubeconfig', join(directory, 'kubeconfig'), '--run-dir', directory],
          ...['--state-dir', join(directory, 'state'), '--policy-backend', mode, '--services', 'on'],
        ),
    };
  if (kubeProxy === undefined) return undefined;
  return {
    name,
    argv: (directory) => [
      kubeProxy,
      ...['--kubeconfig', join(directory, 'kubeconfig'), '--hostname-override', NODE, '--proxy-mode', mode],
      ...['--cluster-cidr', '10.64.0.0/12', '--conntrack-max-per-core', '0'],
    ],
  };
}

async function measure(contender: Contender, count: number, changes: number): Promise<Result> {
  const tag = `tbs${process.pid}`;
  const directory = mkdtempSync(join(tmpdir(), 'tortie-services-'));
  const scene = await Scene.build(tag, directory, [[nodeObject, poolObject, ...namespaces(count)], objects(count)]);
  let probe: Probe | undefined;
  try {
    const began = micros();
    scene.serve(contender);
    const firstSyncMs = ((await untilServed(scene, count)) - began) / 1000;
    await pause(PAUSE);
    probe = new Probe(scene.node, clusterIp(0), SERVICE_PORT);
    const latencies: number[] = [];
    for (let change = 0; change < changes; change++) {
      await scene.api.patch(slicePath(0), { endpoints: endpoints([DEAD]) });
      await pause(PAUSE);
      const asked = micros();
      await scene.api.patch(slicePath(0), { endpoints: endpoints([LIVE]) });
      latencies.push(((await probe.answeredAfter(asked, CHANGE_WITHIN)) - asked) / 1000);
      await pause(PAUSE);
    }
    probe.stop();
    const connectionsPerSecond = connectionRate(scene.node, clusterIp(0), SERVICE_PORT, RATE_FOR);
    await pause(PAUSE);
    const before = scene.cost();
    await pause(IDLE_FOR);
    const after = scene.cost();
    latencies.sort((a, b) => a - b);
    return {
      contender: contender.name,
      services: count,
      firstSyncMs,
      changeMs: {
        median: latencies[Math.floor(latencies.length / 2)] ?? 0,
        worst: latencies[latencies.length - 1] ?? 0,
      },
      connectionsPerSecond,
      megabytes: after.megabytes,
      idle: (after.processor - before.processor) / IDLE_FOR,
    };
  } finally {
    probe?.stop();
    await scene.takeDown();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The last Service of all answers. Settles with the time of the first datagram that was answered. */
async function untilServed(scene: Scene, count: number): Promise<number> {
  const probe = new Probe(scene.node, clusterIp(count - 1), SERVICE_PORT);
  let timer: NodeJS.Timeout | undefined;
  const watch = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      const problem = scene.problem();
      if (problem !== undefined) reject(new Error(problem));
    }, 100).unref();
  });
  try {
    return await Promise.race([probe.answeredAfter(0, FIRST_SYNC_WITHIN), watch]);
  } finally {
    clearInterval(timer);
    probe.stop();
  }
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

function format(results: readonly Result[], left: readonly string[], load: string): string {
  const lines = results.map(({ contender, services, firstSyncMs, changeMs, connectionsPerSecond, megabytes, idle }) =>
    [
      contender.padEnd(20),
      `${services}`.padStart(6),
      ` first sync ${firstSyncMs.toFixed(0).padStart(6)} ms`,
      ` change ${changeMs.median.toFixed(1).padStart(7)} ms (worst ${changeMs.worst.toFixed(0)})`,
      ` ${connectionsPerSecond.toFixed(0).padStart(6)} connections/s`,
      ` ${megabytes.toFixed(0).padStart(4)} MB`,
      ` idle ${(idle * 100).toFixed(1)} %`,
    ].join(' '),
  );
  return `${[...lines, ...left.map((one) => `left out: ${one}`), `load average ${load}`].join('\n')}\n`;
}
