/**
 * `npm run bench -- hostile`: what objects that ask for much cost the agent's loop.
 *
 * A thousand objects of up to a megabyte go into an engine with local pods: first such that select none of them, then such that select
 * them all. Measured in time of this process's main thread (the machine may be busy): the slowest event with the flush after it, and the
 * heap kept.
 */
import { loadavg } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { heldObject, PolicyEngine, type KubeObject } from '@tortie/policy';
import { readOptions } from '../options.js';
import { agentStorm } from './agent-storm.js';
import { threadTime } from '../thread-time.js';
import { hostileObjects } from './objects.js';
import { storm } from './storm.js';

const MOST_MILLISECONDS = 50;
/** With the agent's copy of the objects; half of it is what the network sets hold. */
const MOST_MEGABYTES = 60;

const USAGE = {
  area: 'hostile',
  about:
    'A thousand objects of up to 1 MB against the policy engine of a node with 100 pods. Exits 1 when an object that selects no pod of ' +
    `the node costs the loop more than ${MOST_MILLISECONDS} ms of CPU, or all of them keep more than ${MOST_MEGABYTES} MB.`,
  options: {
    count: { value: 'N', default: '1000', range: [1, 100_000], isWhole: true, about: 'objects' },
    size: {
      value: 'N',
      default: '1000000',
      range: [1_000, 3_000_000],
      isWhole: true,
      about: 'characters of JSON each',
    },
    seconds: {
      value: 'N',
      default: '0',
      range: [0, 86_400],
      isWhole: true,
      about: 'instead: such objects by chance, written, changed and deleted, for so long',
    },
    minutes: {
      value: 'N',
      default: '0',
      range: [0, 1_440],
      about: 'instead: the same through an API server against a running agent (root), for so long',
    },
    backend: {
      value: 'NAME',
      default: 'nftables',
      words: ['auto', 'legacy', 'nft', 'nftables'],
      about: "that agent's",
    },
    profiles: {
      value: 'DIRECTORY',
      about: 'of a running agent: profiles of seconds in which its loop was kept long go there',
    },
    seed: { value: 'N', default: '1', range: [0, 4_294_967_295], isWhole: true, about: 'of chance' },
  },
} as const;

interface Pass {
  readonly title: string;
  readonly slowest: readonly { readonly shape: string; readonly milliseconds: number }[];
  readonly megabytes: number;
  readonly problems: number;
}

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') {
    (read.code === 0 ? process.stdout : process.stderr).write(read.text);
    return read.code;
  }
  const [count, size] = [Number(read.values.count), Number(read.values.size)];
  const seconds = Number(read.values.seconds);
  const seed = Number(read.values.seed);
  const minutes = Number(read.values.minutes);
  if (minutes > 0) return await runAgentStorm(minutes, seed, read.values.backend, read.values.profiles);
  if (seconds > 0) return await runStorm(seconds, seed);
  const passes = [
    await measure('select no pod of the node', 'elsewhere', count, size),
    await measure('select every pod of the node', 'here', Math.ceil(count / 20), size),
  ];
  for (const { title, slowest, megabytes, problems } of passes) {
    process.stdout.write(`\n${title}: ${megabytes.toFixed(1)} MB kept, ${problems} objects with problems\n`);
    for (const { shape, milliseconds } of slowest)
      process.stdout.write(`  ${milliseconds.toFixed(1).padStart(7)} ms  ${shape}\n`);
  }
  if (read.values.output === 'json') process.stdout.write(`${JSON.stringify({ count, size, passes })}\n`);
  const [elsewhere] = passes;
  const isWell =
    elsewhere !== undefined &&
    elsewhere.megabytes <= MOST_MEGABYTES &&
    elsewhere.slowest.every(({ milliseconds }) => milliseconds <= MOST_MILLISECONDS);
  process.stdout.write(isWell ? '\nwithin bounds\n' : '\nNOT within bounds\n');
  return isWell ? 0 : 1;
}

/** What one event may keep the loop. */
const MOST_OF_STORM = 100;

async function runAgentStorm(
  minutes: number,
  seed: number,
  policyBackend: string,
  profiles: string | undefined,
): Promise<number> {
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  say(`seed ${seed}, ${minutes} minutes, ${policyBackend}; load average ${loadavg()[0]?.toFixed(1)}`);
  const { events, refused, blocks, memory, faults } = await agentStorm(
    { minutes, seed, policyBackend, ...(profiles === undefined ? {} : { profiles }) },
    say,
  );
  const [worst] = blocks;
  for (const { milliseconds, after } of blocks.slice(0, 15))
    say(`  ${milliseconds.toFixed(0).padStart(5)} ms  ${after.join('; ')}`);
  for (const fault of faults) say(`FAULT ${fault}`);
  const past = blocks.filter(({ milliseconds }) => milliseconds > MOST_OF_STORM).length;
  say(
    `${events} events, ${refused} of them refused by the API server; ` +
      `the loop was kept ${(worst?.milliseconds ?? 0).toFixed(0)} ms at worst, ${past} times more than ${MOST_OF_STORM} ms; ` +
      `${memory} MB at most; load average ${loadavg()[0]?.toFixed(1)}`,
  );
  const isWell = past === 0 && faults.length === 0;
  say(isWell ? 'within bounds' : 'NOT within bounds');
  return isWell ? 0 : 1;
}

async function runStorm(seconds: number, seed: number): Promise<number> {
  process.stdout.write(`seed ${seed}, ${seconds} s\n`);
  const { events, slowest, problems, objects } = await storm(engineWithPods(), seconds, seed);
  const isWell = slowest.elsewhere.milliseconds <= MOST_OF_STORM && problems > 0;
  process.stdout.write(
    `${events} events; the slowest took ${inWords(slowest.elsewhere)} where it selects no pod of the node, ` +
      `${inWords(slowest.here)} where it selects all; ${problems} of ${objects} objects have problems, and say so\n` +
      `${isWell ? 'within bounds' : 'NOT within bounds'}\n`,
  );
  return isWell ? 0 : 1;
}

const inWords = ({ milliseconds, event }: { readonly milliseconds: number; readonly event: string }): string =>
  `${milliseconds.toFixed(1)} ms (${event})`;

async function measure(title: string, namespace: string, count: number, size: number): Promise<Pass> {
  const engine = engineWithPods();
  // Once before the clock runs, so that code is compiled.
  for (const { kind, object } of hostileObjects({ count: 40, namespace: 'warm', size })) {
    engine.apply({ type: 'upsert', kind, object });
    engine.flush();
    engine.apply({
      type: 'delete',
      kind,
      name: object.metadata?.name ?? '',
      namespace: object.metadata?.namespace ?? '',
    });
    engine.flush();
  }
  /** As the agent's copy of the cluster keeps them. */
  const kept = new Map<string, KubeObject>();
  const before = heap();
  const slowest = new Map<string, number>();
  for (const { shape, kind, object } of hostileObjects({ count, namespace, size })) {
    sweep();
    const start = threadTime();
    const held = heldObject(kind, object);
    kept.set(held.metadata?.name ?? '', held);
    engine.apply({ type: 'upsert', kind, object: held });
    engine.flush();
    const milliseconds = threadTime() - start;
    slowest.set(shape, Math.max(slowest.get(shape) ?? 0, milliseconds));
    // As between the events of a watch; until then a weak reference that was made or read is a strong one.
    await new Promise(setImmediate);
  }
  const megabytes = (heap() - before) / 1_000_000;
  kept.clear();
  return {
    title,
    megabytes,
    problems: engine.problems().length,
    slowest: [...slowest]
      .map(([shape, milliseconds]) => ({ shape, milliseconds }))
      .sort((a, b) => b.milliseconds - a.milliseconds),
  };
}

function engineWithPods(): PolicyEngine {
  const engine = new PolicyEngine({ nodeName: 'node1' });
  for (const name of ['here', 'elsewhere', 'warm'])
    engine.apply({
      type: 'upsert',
      kind: 'Namespace',
      object: { metadata: { name, labels: { 'kubernetes.io/metadata.name': name } } },
    });
  for (let at = 0; at < 100; at++) {
    const [namespace, name, address] = ['here', `pod-${at}`, `10.65.0.${at + 1}`];
    const pod = {
      metadata: { namespace, name, labels: { app: `a${at % 7}` } },
      spec: { nodeName: 'node1', containers: [] },
      status: { phase: 'Running', podIPs: [{ ip: address }] },
    };
    engine.apply({ type: 'upsert', kind: 'Pod', object: pod });
    engine.apply({
      type: 'endpoint-upsert',
      endpoint: { namespace, name, interface: `tort${at}`, addresses: [address] },
    });
  }
  engine.flush();
  return engine;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options?: { readonly type: 'minor' | 'major' }) => void;

/** What this bench throws away is not the engine's to sweep. */
const sweep = (): void => collect({ type: 'minor' });

function heap(): number {
  for (let round = 0; round < 3; round++) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
