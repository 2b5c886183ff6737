/**
 * npm run bench -- flows [--rate 5000] [--seconds 20] [--rounds 3] [--policy-backend NAME] [-o json]
 *
 * What recording flows costs: the real agent on a node with four pods, with `--flows off` and `on` in turns. At a steady rate of new
 * connections its processor time and memory; then what goes through at most, requests on one connection and new connections, which is
 * where the kernel's own part of the cost shows. With `on` also how many of the connections it knows of, and what it says it lost.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Flow, FlowLine, FlowLosses } from '../../src/flows/flow.js';
import { NO_LOSSES } from '../../src/flows/flow.js';
import { askAgent } from '../../src/flows/flow-client.js';
import { PROBER } from '../../src/lab/tortie-argv.js';
import { connectPods, type ConnectedPod } from '../load/pods.js';
import { BenchNode, NODE } from '../node/node.js';
import { World } from '../node/world.js';
import { leave, readOptions } from '../options.js';

const USAGE = {
  area: 'flows',
  about: `What recording flows costs a node: processor time and memory of the agent at a rate of new connections, and what the packet path
loses, with and without. Needs root (network namespaces) and python3. It never judges: read the figures.`,
  options: {
    rate: { value: 'N', default: '5000', isWhole: true, range: [1, 50_000], about: 'new connections a second' },
    seconds: { value: 'N', default: '20', isWhole: true, range: [1, 600], about: 'of them, a round' },
    rounds: { value: 'N', default: '3', isWhole: true, range: [1, 100], about: 'with and without each' },
    'policy-backend': { value: 'NAME', default: 'auto', about: 'what the rules are written with' },
  },
} as const;

const MODES = ['off', 'on'] as const;
type Mode = (typeof MODES)[number];
const PODS = ['client-0', 'server-0', 'client-1', 'server-1'];
/** For the agent to settle after its start. */
const REST = 3_000;
const PATH_TIME = 4_000;

/** So many connections a second: a datagram from each of many sockets in turn, each a connection of its own when its turn comes again. */
const GENERATOR = `import socket, sys, time
target, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
socks = []
for i in range(min(rate * 3, 15000)):
  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((target, 81)); socks.append(s)
start = time.monotonic(); sent = failed = 0
while True:
  due = int((time.monotonic() - start) * rate)
  if due >= rate * seconds: break
  while sent < due:
    try: socks[sent % len(socks)].send(b'x' * 100)
    except OSError: failed += 1
    sent += 1
  time.sleep(0.002)
print(sent - failed, time.monotonic() - start)`;

interface Round {
  readonly mode: Mode;
  /** Share of one core, in hundredths. */
  readonly processor: number;
  readonly residentMb: number;
  readonly requests: number;
  readonly connections: number;
  readonly sent: number;
  readonly recorded?: number;
  readonly lost?: FlowLosses;
}

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  if (process.getuid?.() !== 0) {
    process.stderr.write('Cannot measure without root: the run needs network namespaces of its own\n');
    return 2;
  }
  const rounds = await measure(
    Number(values.rate),
    Number(values.seconds),
    Number(values.rounds),
    values['policy-backend'],
  );
  process.stdout.write(formatRounds(rounds));
  if (values.output === 'json') process.stdout.write(`${JSON.stringify({ rounds, summary: summaryOf(rounds) })}\n`);
  return 0;
}

async function measure(rate: number, seconds: number, count: number, policyBackend: string): Promise<readonly Round[]> {
  const directory = mkdtempSync(join(tmpdir(), 'tortie-bench-flows-'));
  const world = new World('tbench-flows');
  const children: ChildProcess[] = [];
  let node: BenchNode | undefined;
  try {
    const netns = world.node('node1');
    const sandboxes = world.pods(PODS.length);
    for (const [name, value] of [
      ['udp_timeout', 1],
      ['udp_timeout_stream', 1],
      ['tcp_timeout_time_wait', 1],
      ['tcp_timeout_close', 1],
    ])
      execFileSync('nsenter', [`--net=${netns}`, 'sysctl', '-qw', `net.netfilter.nf_conntrack_${name}=${value}`]);
    node = await BenchNode.start({ netns, directory, policyBackend, agentFlags: ['--flows', 'off'] }, [
      clusterObjects(),
    ]);
    const pods = await connectPods(
      node,
      netns,
      PODS.map((name) => ({ namespace: 'bench', name })),
      sandboxes,
    );
    children.push(await serve(pods));
    const rounds: Round[] = [];
    for (let round = 0; round < count; round++)
      for (const mode of round % 2 === 0 ? MODES : [...MODES].reverse()) {
        await node.replaceAgent(['--flows', mode]);
        rounds.push(await measureRound(node, directory, pods, mode, rate, seconds));
        process.stderr.write(`${JSON.stringify(rounds.at(-1))} load average ${loadavg()[0]?.toFixed(1)}\n`);
      }
    return rounds;
  } finally {
    for (const child of children) child.kill();
    await node?.stop();
    world.remove();
    rmSync(directory, { recursive: true });
  }
}

async function measureRound(
  node: BenchNode,
  runDir: string,
  pods: ReadonlyMap<string, ConnectedPod>,
  mode: Mode,
  rate: number,
  seconds: number,
): Promise<Round> {
  await new Promise((resolve) => setTimeout(resolve, REST));
  const before = processorTime(node.agentPid);
  const begun = performance.now();
  const since = new Date().toISOString();
  const sent = await generate(pods, rate, seconds);
  const elapsed = performance.now() - begun;
  const processor = (100 * (processorTime(node.agentPid) - before)) / elapsed;
  const recorded = mode === 'on' ? await recordedBy(runDir, since) : {};
  const [requests, connections] = [throughput(pods, 'rr'), throughput(pods, 'crr')];
  return { mode, processor, residentMb: residentMb(node.agentPid), requests, connections, sent, ...recorded };
}

async function recordedBy(runDir: string, since: string): Promise<Pick<Round, 'recorded' | 'lost'>> {
  const lines: FlowLine[] = [];
  for await (const line of askAgent(runDir, { since, port: '81/UDP' }, false)) lines.push(line);
  const flows = lines.filter((line): line is Flow => line.type === 'flow');
  const lost = lines.find((line) => line.type === 'lost') ?? NO_LOSSES;
  const { connections, reports, unreported, subjects } = lost;
  return {
    recorded: flows.reduce((sum, flow) => sum + flow.begun, 0),
    lost: { connections, reports, unreported, subjects },
  };
}

async function generate(pods: ReadonlyMap<string, ConnectedPod>, rate: number, seconds: number): Promise<number> {
  const { netns = '' } = pods.get('client-0') ?? {};
  const target = pods.get('server-0')?.addresses[0] ?? '';
  const child = spawn(
    'nsenter',
    [`--net=${netns}`, 'python3', '-c', GENERATOR, target, String(rate), String(seconds)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const [text] = (await once(child.stdout, 'data')) as [Buffer];
  return Number(text.toString().split(' ')[0]);
}

/** Per second, as much as there is, on another pair of pods. */
function throughput(pods: ReadonlyMap<string, ConnectedPod>, kind: 'rr' | 'crr'): number {
  const { netns = '' } = pods.get('client-1') ?? {};
  const to = pods.get('server-1')?.addresses[0] ?? '';
  const argv = ['rate', '--netns', netns, '--to', to, '--port', '80', '--kind', kind, '--duration', String(PATH_TIME)];
  return (JSON.parse(execFileSync(PROBER, argv, { encoding: 'utf8' })) as { readonly perSecond: number }).perSecond;
}

async function serve(pods: ReadonlyMap<string, ConnectedPod>): Promise<ChildProcess> {
  const child = spawn(PROBER, ['session'], { stdio: ['pipe', 'pipe', 'inherit'] });
  for (const { name, netns } of pods.values())
    if (name.startsWith('server')) child.stdin.write(`serve ${netns} ${name} tcp 80\n`);
  await once(child.stdout, 'data');
  return child;
}

/** Milliseconds that the process has run. */
function processorTime(pid: number): number {
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const fields = rest.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

const residentMb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;

function* clusterObjects(): Iterable<{ readonly path: string; readonly object: unknown }> {
  const metadata = { name: NODE };
  yield {
    path: '/api/v1/nodes',
    object: {
      apiVersion: 'v1',
      kind: 'Node',
      metadata,
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    },
  };
  yield { path: '/api/v1/namespaces', object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'bench' } } };
  for (const cidr of ['10.65.0.0/16', 'fd00:65::/48'])
    yield {
      path: '/apis/projectcalico.org/v3/ippools',
      object: {
        apiVersion: 'projectcalico.org/v3',
        kind: 'IPPool',
        metadata: { name: cidr.includes(':') ? 'v6' : 'v4' },
        spec: { cidr },
      },
    };
  for (const name of PODS)
    yield {
      path: '/api/v1/namespaces/bench/pods',
      object: {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'bench', labels: { role: name.split('-')[0] } },
        spec: { nodeName: NODE, containers: [{ name: 'main', image: 'none' }] },
      },
    };
  yield {
    path: '/apis/networking.k8s.io/v1/namespaces/bench/networkpolicies',
    object: {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'servers', namespace: 'bench' },
      spec: {
        podSelector: { matchLabels: { role: 'server' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { role: 'client' } } }] }],
      },
    },
  };
}

const MEASURES = ['processor', 'residentMb', 'requests', 'connections'] as const;

/** Medians of each mode. */
function summaryOf(
  rounds: readonly Round[],
): Readonly<Record<(typeof MEASURES)[number], Readonly<Record<Mode, number>>>> {
  const medianOf = (measure: (typeof MEASURES)[number], mode: Mode): number => {
    const values = rounds.filter((round) => round.mode === mode).map((round) => round[measure]);
    return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  };
  const both = (measure: (typeof MEASURES)[number]): Readonly<Record<Mode, number>> => ({
    off: medianOf(measure, 'off'),
    on: medianOf(measure, 'on'),
  });
  return {
    processor: both('processor'),
    residentMb: both('residentMb'),
    requests: both('requests'),
    connections: both('connections'),
  };
}

function formatRounds(rounds: readonly Round[]): string {
  const { processor, residentMb: memory, requests, connections } = summaryOf(rounds);
  const ratio = ({ on, off }: Readonly<Record<Mode, number>>): string => (on / off).toFixed(3);
  const on = rounds.filter(({ mode }) => mode === 'on');
  const sum = (read: (round: Round) => number): number => on.reduce((total, round) => total + read(round), 0);
  return [
    `Medians of ${on.length} rounds each; load average ${loadavg()[0]?.toFixed(1)}`,
    `agent's processor time, % of a core: off ${processor.off.toFixed(1)}, on ${processor.on.toFixed(1)}`,
    `agent's memory, MB: off ${memory.off.toFixed(0)}, on ${memory.on.toFixed(0)}`,
    `requests a second: off ${requests.off.toFixed(0)}, on ${requests.on.toFixed(0)}, ratio ${ratio(requests)}`,
    `new connections a second: off ${connections.off.toFixed(0)}, on ${connections.on.toFixed(0)}, ratio ${ratio(connections)}`,
    `connections sent ${sum(({ sent }) => sent)}, recorded ${sum(({ recorded = 0 }) => recorded)}, ` +
      `events lost ${sum(({ lost }) => lost?.connections ?? 0)}`,
    '',
  ].join('\n');
}
