/**
 * npm run bench -- services [--services 1000,10000] [--changes 10] [--contenders NAME,...] [-o json]
 *
 * Many Services of three endpoints on one node: from the change of an endpoint at the API server to the first packet that goes the new
 * way, the first full sync, new connections a second through a Service, memory and idle processor; beside the real kube-proxy in its
 * two modes, all of them one after the other on the same cluster. Without a kube-proxy those are left out, and that is said.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leave, readOptions } from '../options.js';
import { CONTENDERS, contenderOf, findKubeProxy, type Contender } from './contenders.js';
import {
  BESIDE,
  clusterIp,
  DEAD,
  endpoints,
  LIVE,
  namespaces,
  nodeObject,
  objects,
  poolObject,
  SERVICE_PORT,
  slicePath,
  TARGET_PORT,
} from './objects.js';
import { busy, format, median, type Result } from './report.js';
import { connectionRate, micros, Probe, Scene } from './scene.js';

const USAGE = {
  area: 'services',
  about: `Services on one node beside the real kube-proxy. Needs root (network namespaces), and kube-proxy as $KUBE_PROXY, in
$TORTIE_REAL/bin (npm run real -- build) or in PATH. The contender tortie-off is the agent that serves no Services: what the
others of tortie take beside it is what Services take. It never judges: read the figures.`,
  options: {
    services: { value: 'N[,N]', default: '10,1000,10000', about: 'how many there are' },
    changes: { value: 'N', default: '10', range: [1, 1000], about: 'of an endpoint' },
    contenders: { value: 'NAME[,NAME]', default: CONTENDERS.join(','), list: CONTENDERS, about: 'who takes part' },
  },
} as const;

/** kube-proxy syncs once a second at most, and takes its time: changes come rarely enough that none waits for the one before. */
const pauseAt = (count: number): number => 1_200 + count / 10;
const FIRST_SYNC_WITHIN = 300_000;
const CHANGE_WITHIN = 60_000;
const RATE_FOR = 1_500;
const RATES = 3;
/** Whatever looks again at what was written does so meanwhile. */
const REST = 20_000;
const IDLE_FOR = 5_000;
const IDLES = 6;

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  const counts = values.services.split(',').map(Number);
  if (!counts.every((count) => Number.isInteger(count) && count >= 2 && count <= 60_000)) {
    const text = `Cannot measure services: --services "${values.services}" is not a list of whole numbers from 2 to 60000\n`;
    return leave({ code: 2, text });
  }
  const kubeProxy = findKubeProxy();
  const left: string[] = [];
  const results: Result[] = [];
  const contenders: Contender[] = [];
  for (const name of values.contenders.split(',')) {
    const contender = contenderOf(name, kubeProxy);
    if (contender === undefined) left.push(`${name}: no kube-proxy in $KUBE_PROXY, $TORTIE_REAL/bin or PATH`);
    else contenders.push(contender);
  }
  for (const count of counts) {
    const directory = mkdtempSync(join(tmpdir(), 'tortie-services-'));
    const objectsOfAll = [[nodeObject, poolObject, ...namespaces(count)], objects(count)];
    const scene = await Scene.build(`tbs${process.pid}`, directory, objectsOfAll);
    try {
      for (const contender of contenders)
        try {
          process.stderr.write(`${contender.name}, ${count} Services\n`);
          results.push(await measure(scene, join(directory, contender.name), contender, count, Number(values.changes)));
        } catch (error) {
          left.push(`${contender.name} at ${count}: ${error instanceof Error ? error.message : String(error)}`);
        } finally {
          await scene.clear();
        }
    } finally {
      await scene.takeDown();
      rmSync(directory, { recursive: true, force: true });
    }
  }
  if (values.output === 'json') process.stdout.write(`${JSON.stringify({ results, left }, null, 2)}\n`);
  else process.stdout.write(format(results, left));
  return 0;
}

async function measure(
  scene: Scene,
  directory: string,
  contender: Contender,
  count: number,
  changes: number,
): Promise<Result> {
  mkdirSync(directory);
  const load = busy();
  const began = micros();
  scene.serve(contender, directory);
  if (!contender.serves) {
    return { contender: contender.name, services: count, ...(await restOf(scene)), load };
  }
  const firstSyncMs = ((await untilServed(scene, count)) - began) / 1000;
  await pause(pauseAt(count));
  const changeMs = await changesOf(scene, count, changes);
  const rates = Array.from({ length: RATES }, () => {
    const direct = connectionRate(scene.node, BESIDE, TARGET_PORT, RATE_FOR);
    const through = connectionRate(scene.node, clusterIp(0), SERVICE_PORT, RATE_FOR);
    return { through, share: through / direct };
  });
  return {
    contender: contender.name,
    services: count,
    firstSyncMs,
    changeMs,
    connectionsPerSecond: median(rates.map(({ through }) => through)),
    shareOfDirect: median(rates.map(({ share }) => share)),
    ...(await restOf(scene)),
    load,
  };
}

async function changesOf(scene: Scene, count: number, changes: number): Promise<readonly number[]> {
  const probe = new Probe(scene.node, clusterIp(0), SERVICE_PORT);
  const latencies: number[] = [];
  try {
    for (let change = 0; change < changes; change++) {
      await scene.api.patch(slicePath(0), { endpoints: endpoints([DEAD]) });
      await pause(pauseAt(count));
      const asked = micros();
      await scene.api.patch(slicePath(0), { endpoints: endpoints([LIVE]) });
      latencies.push(((await probe.answeredAfter(asked, CHANGE_WITHIN)) - asked) / 1000);
      await pause(pauseAt(count));
    }
  } finally {
    probe.stop();
  }
  return latencies;
}

/** While nothing happens. */
async function restOf(scene: Scene): Promise<{ readonly megabytes: number; readonly idle: number }> {
  await pause(REST);
  const shares: number[] = [];
  for (let time = 0; time < IDLES; time++) {
    const before = scene.cost();
    await pause(IDLE_FOR);
    shares.push((scene.cost().processor - before.processor) / IDLE_FOR);
  }
  return { megabytes: scene.cost().megabytes, idle: median(shares) };
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
