/**
 * npm run bench -- load [--policies 2000] [--pods 10000] [--local 100] [--seconds 60] [--resyncs 1000]
 * [--policy-backend auto|legacy|nft|nftables] [-o json]
 *
 * The real agent on one node of a large cluster, under change. First 20 label changes a second, each of which opens or closes
 * one flow between two local pods: time from the API server's acknowledgement to the first packet judged anew, by flows of one
 * datagram a millisecond. Then disturbances (resync.ts), with flows beside that must lose nothing or pass nothing. Both steady
 * flows run all the time. The agent's memory before and after.
 *
 * The figures depend on who else uses the machine: its load average stands beside them.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { BenchNode } from '../node/node.js';
import { World } from '../node/world.js';
import { clusterBase, clusterObjects, type ClusterSize, localPods } from './cluster.js';
import { flip, flippedFlows, type FlippedFlow } from './flip.js';
import { type Flow, monotonicMicros, RunningFlow } from './flow.js';
import { latenciesOf } from './latency.js';
import { connectPods, type ConnectedPod, Servers } from './pods.js';
import { format, type Report, resultOf } from './report.js';
import { resync } from './resync.js';
import { leave, readOptions } from '../options.js';

const PROBE_INTERVAL = 1;
const STEADY_INTERVAL = 5;
/** The probe pods, and one whose chains are damaged. */
const LEAST_LOCAL = 16;
const BACKENDS: readonly string[] = ['auto', 'legacy', 'nft', 'nftables'];

interface Plan extends ClusterSize {
  readonly changes: number;
  readonly resyncs: number;
  readonly policyBackend: string;
}

const USAGE = {
  area: 'load',
  about: `A real agent with an API server in a large cluster that changes all the time: from a change to the first packet that it lets
through or stops, and what the agent costs. Needs root (network namespaces). It never judges: read the figures.`,
  options: {
    policies: { value: 'N', default: '2000', about: 'network policies' },
    pods: { value: 'N', default: '10000', about: 'pods of the cluster' },
    local: { value: 'N', default: '100', about: `of these on the node, at least ${LEAST_LOCAL}` },
    seconds: { value: 'N', default: '60', about: 'of 20 changes each' },
    resyncs: { value: 'N', default: '1000', about: 'full comparisons with the kernel, some after damage' },
    'policy-backend': { value: 'NAME', default: 'auto', words: BACKENDS, about: 'what the rules are written with' },
  },
} as const;

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  const plan: Plan = {
    policies: Number(values.policies),
    pods: Number(values.pods),
    local: Number(values.local),
    changes: Number(values.seconds) * 20,
    resyncs: Number(values.resyncs),
    policyBackend: values['policy-backend'],
  };
  const problem = problemOf(plan);
  if (problem !== undefined) {
    process.stderr.write(`${problem}\n`);
    return 2;
  }
  const report = await measure(plan);
  process.stdout.write(format(report));
  if (values.output === 'json') process.stdout.write(`${JSON.stringify(resultOf(report))}\n`);
  return 0;
}

function problemOf({ policies, pods, local, changes, resyncs, policyBackend }: Plan): string | undefined {
  for (const [name, value, least] of [
    ['policies', policies, 20],
    ['local', local, LEAST_LOCAL],
    ['pods', pods, local],
    ['resyncs', resyncs, 0],
  ] as const)
    if (!Number.isInteger(value) || value < least)
      return `Cannot measure with --${name} "${value}": expected a whole number from ${least} on`;
  if (local > 250) return `Cannot measure with --local "${local}": expected at most 250`;
  if (!Number.isInteger(changes) || changes < 1)
    return 'Cannot measure for that many --seconds: expected a number of twentieths from 0.05 on';
  if (!BACKENDS.includes(policyBackend))
    return `Cannot measure with --policy-backend "${policyBackend}": expected ${BACKENDS.join(', ')}`;
  return process.getuid?.() === 0
    ? undefined
    : 'Cannot measure without root: the run needs network namespaces of its own';
}

async function measure(plan: Plan): Promise<Report> {
  const directory = mkdtempSync(join(tmpdir(), 'tortie-bench-load-'));
  const world = new World('tbench-load');
  let node: BenchNode | undefined;
  let servers: Servers | undefined;
  try {
    say(
      `${plan.policies} policies, ${plan.pods} pods, ${plan.local} of them local; policy backend ${plan.policyBackend}`,
    );
    const netns = world.node('node1');
    const sandboxes = world.pods(plan.local);
    node = await BenchNode.start({ netns, directory, policyBackend: plan.policyBackend }, [
      clusterBase(plan),
      clusterObjects(plan),
    ]);
    const pods = await connectPods(node, netns, localPods(plan), sandboxes);
    servers = await Servers.start(pods.values());
    return await underLoad(plan, node, netns, pods, directory);
  } finally {
    await servers?.stop();
    await node?.stop();
    world.remove();
    rmSync(directory, { recursive: true });
  }
}

async function underLoad(
  plan: Plan,
  node: BenchNode,
  netns: string,
  pods: ReadonlyMap<string, ConnectedPod>,
  directory: string,
): Promise<Report> {
  const memoryBefore = memoryOf(node.agentPid);
  const steady = [4, 6].flatMap((family) =>
    ['steady', 'denied'].map((name) => ({
      name,
      family,
      running: start(pods, `${name}-client`, `${name}-server`, family === 4 ? 4 : 6, STEADY_INTERVAL, directory),
    })),
  );
  say(`${plan.changes} label changes, 20 a second; load average ${load()}`);
  const flipped = flippedFlows(pods);
  const probes = flipped.map((flow, index) => ({
    flow,
    running: start(pods, flow.client.name, flow.server.name, index % 2 === 0 ? 4 : 6, PROBE_INTERVAL, directory),
  }));
  await flip(node.api, flipped, plan.changes);
  const end = monotonicMicros();
  const traces = await Promise.all(probes.map(async ({ flow, running }) => ({ flow, trace: await running.stop() })));
  const loadOfFlips = load();
  const memoryBetween = memoryOf(node.agentPid);
  say(`${plan.resyncs} resyncs; load average ${load()}`);
  const disturbances = await resync(
    {
      node,
      netns,
      policyBackend: plan.policyBackend,
      deniedServer: podOf(pods, 'denied-server'),
      bystander: podOf(pods, 'pod1'),
    },
    plan.resyncs,
  );
  const flows = await Promise.all(
    steady.map(async ({ name, family, running }) => ({
      name: `${name === 'steady' ? 'allowed' : 'denied'}, IPv${family}`,
      isAllowed: name === 'steady',
      flow: await running.stop(),
    })),
  );
  return {
    plan,
    loadOfFlips,
    load: load(),
    disturbances,
    flows,
    latencies: traces.flatMap(({ flow, trace }) => measured(flow, trace, end)),
    memory: { before: memoryBefore, afterFlips: memoryBetween, after: memoryOf(node.agentPid) },
  };
}

const measured = ({ kind, flips }: FlippedFlow, trace: Flow, end: number): Report['latencies'] =>
  latenciesOf(flips, trace.answered, PROBE_INTERVAL * 1000, end).map((latency) => ({ kind, ...latency }));

function start(
  pods: ReadonlyMap<string, ConnectedPod>,
  from: string,
  to: string,
  family: 4 | 6,
  interval: number,
  directory: string,
): RunningFlow {
  return RunningFlow.start({
    from: podOf(pods, from),
    to: podOf(pods, to),
    family,
    interval,
    file: join(directory, `${from}-${family}.trace`),
  });
}

function podOf(pods: ReadonlyMap<string, ConnectedPod>, name: string): ConnectedPod {
  const pod = pods.get(name);
  if (pod === undefined) throw new Error(`Cannot find pod "${name}" among those connected`);
  return pod;
}

/** Megabytes resident. */
function memoryOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? NaN) / 1024;
}

const load = (): string => loadavg()[0]?.toFixed(1) ?? '';

const say = (text: string): void => void process.stderr.write(`  ${text}\n`);
