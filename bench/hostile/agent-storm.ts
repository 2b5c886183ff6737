/**
 * The storm (storm.ts) against a running agent: its objects go through the API server and a watch, and what becomes of them into the
 * kernel, while pods of the node are selected by half of them. What its loop does meanwhile is heard from inside (loop-probe.ts).
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { POLICY_KINDS } from '../../src/agent/policy-events.js';
import { kinds, type ResourceKind } from '../../src/api/kinds.js';
import type { NodeStatus } from '../../src/api/node-status.js';
import { packageFile } from '../../src/lab/tortie-argv.js';
import { connectPods } from '../load/pods.js';
import type { Write } from '../node/api-client.js';
import { BenchNode, NODE } from '../node/node.js';
import { World } from '../node/world.js';
import { hostileObject, SHAPE_NAMES, type HostileObject } from './objects.js';
import type { Block } from './loop-probe.js';
import { chance, NAMESPACES, SIZES } from './storm.js';

export interface AgentStormPlan {
  readonly minutes: number;
  readonly seed: number;
  readonly policyBackend: string;
  /** Directory. */
  readonly profiles?: string;
}

export interface AgentStorm {
  readonly events: number;
  /** Writes that the API server did not take: past the schema. */
  readonly refused: number;
  /** The longest ones, with the events shortly before. */
  readonly blocks: readonly (Block & { readonly after: readonly string[] })[];
  /** Megabytes resident, at worst. */
  readonly memory: number;
  /** What is wrong; none: it held. */
  readonly faults: readonly string[];
}

const PODS = 20;
/** BOUNDED: objects that are there at a time, and what the API server remembers of them. */
const MOST_OBJECTS = 150;
const HISTORY = 100;
/** Events whose marks are kept for a block to be explained by. */
const RECENT = 20_000;
/** Between two events: a tenant is not alone, and an API server has priorities. */
const PAUSE = 100;
const BLOCK_WITHIN = 3_000;

export async function agentStorm(plan: AgentStormPlan, say: (text: string) => void): Promise<AgentStorm> {
  if (process.getuid?.() !== 0) throw new Error('Cannot measure without root: it needs network namespaces');
  const directory = mkdtempSync(join(tmpdir(), 'tortie-hostile-'));
  const world = new World('tbench-hostile');
  const probe = join(directory, 'blocks.json');
  let node: BenchNode | undefined;
  process.env['TORTIE_LOOP_PROBE'] = probe;
  if (plan.profiles !== undefined) {
    mkdirSync(plan.profiles, { recursive: true });
    process.env['TORTIE_LOOP_PROFILES'] = resolve(plan.profiles);
  }
  try {
    const netns = world.node('node1');
    const sandboxes = world.pods(PODS);
    node = await BenchNode.start(
      {
        ...{ netns, directory, policyBackend: plan.policyBackend, history: HISTORY },
        agentNodeOptions: `--import=${packageFile('dist/bench/hostile/loop-probe.js')}`,
      },
      [base(), pods()],
    );
    const names = Array.from({ length: PODS }, (_, at) => ({ namespace: 'here', name: `pod-${at}` }));
    await connectPods(node, netns, names, sandboxes);
    return await new Storm(node, probe, plan, say).run();
  } finally {
    await node?.stop();
    world.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Stored {
  readonly path: string;
}

class Storm {
  private readonly stored = new Map<string, Stored>();
  private marks: { readonly at: number; readonly text: string }[] = [];
  private refused = 0;
  private events = 0;
  private readonly startedAt = Date.now();
  private memory = 0;

  constructor(
    private readonly node: BenchNode,
    private readonly probe: string,
    private readonly plan: AgentStormPlan,
    private readonly say: (text: string) => void,
  ) {}

  async run(): Promise<AgentStorm> {
    const random = chance(this.plan.seed);
    const end = Date.now() + this.plan.minutes * 60_000;
    let told = Date.now();
    while (Date.now() < end && this.node.agentProblem() === undefined) {
      await this.step(random);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      if (Date.now() - told < 60_000) continue;
      told = Date.now();
      const [worst] = this.blocks();
      this.say(`${this.events} events, worst block ${(worst?.milliseconds ?? 0).toFixed(0)} ms, ${this.memory} MB`);
    }
    return {
      ...{ events: this.events, refused: this.refused, memory: this.memory },
      faults: await this.faults(),
      blocks: this.blocks().map((block) => ({ ...block, after: this.before(block) })),
    };
  }

  private async step(random: () => number): Promise<void> {
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
    const name = `storm-${Math.floor(random() * MOST_OBJECTS)}`;
    const [shape, size, namespace] = [pick(SHAPE_NAMES), pick(SIZES), pick(NAMESPACES)];
    const known = this.stored.get(name);
    const made =
      known !== undefined && random() < 0.4 ? undefined : hostileObject({ shape, name, namespace, size: size });
    this.events++;
    // A name may come back as another kind.
    if (known !== undefined) {
      this.mark(`delete ${known.path}`);
      await this.node.api.delete(known.path);
      this.stored.delete(name);
    }
    if (made !== undefined) await this.create(made, `${shape} of ${size} in ${namespace}`);
    this.memory = Math.max(this.memory, residentMegabytes(this.node.agentPid));
  }

  private async create(made: HostileObject, text: string): Promise<void> {
    const kind = kindOf(made);
    const path = collectionOf(kind, made.object.metadata?.namespace);
    const name = made.object.metadata?.name ?? '';
    const apiVersion = kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
    this.mark(`create ${text}`);
    try {
      await this.node.api.create(path, { apiVersion, kind: kind.kind, ...made.object });
      this.stored.set(name, { path: `${path}/${name}` });
    } catch (error) {
      if (!String(error).includes('HTTP 4')) throw error;
      this.refused++;
    }
  }

  private mark(text: string): void {
    this.marks.push({ at: Date.now(), text });
    if (this.marks.length > 2 * RECENT) this.marks = this.marks.slice(-RECENT);
  }

  private blocks(): readonly Block[] {
    // The start of the agent is not what is measured.
    const all = JSON.parse(readFileSync(this.probe, 'utf8')) as readonly Block[];
    return all.filter(({ endedAt, milliseconds }) => endedAt - milliseconds > this.startedAt);
  }

  private before({ endedAt, milliseconds }: Block): readonly string[] {
    return this.marks
      .filter(({ at }) => at < endedAt && at > endedAt - milliseconds - BLOCK_WITHIN)
      .slice(-2)
      .map(({ at, text }) => `${endedAt - at} ms before: ${text}`);
  }

  /** Never dead, never silent: it lives, and says of its node what is wrong with the objects. */
  private async faults(): Promise<readonly string[]> {
    const problem = this.node.agentProblem();
    if (problem !== undefined) return [problem];
    const isTold = (status: NodeStatus): boolean =>
      status.status?.conditions?.some(({ type, message }) => type === 'PolicyReady' && message !== '') === true;
    const end = Date.now() + 60_000;
    for (;;) {
      const status = (await this.node.api.get(`/apis/tortie.dev/v1alpha1/nodestatuses/${NODE}`)) as NodeStatus;
      if (isTold(status)) return [];
      if (Date.now() > end) return [`the node says nothing of its objects: ${JSON.stringify(status.status)}`];
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

function kindOf({ kind }: HostileObject): ResourceKind {
  for (const [name, own] of POLICY_KINDS) if (own === kind) return kinds[name];
  throw new Error(`Cannot write a ${kind}: no such kind is served`);
}

const collectionOf = ({ group, version, plural, namespaced }: ResourceKind, namespace: string | undefined): string =>
  `${group === '' ? '/api' : `/apis/${group}`}/${version}${namespaced ? `/namespaces/${namespace}` : ''}/${plural}`;

function* base(): Generator<Write> {
  for (const name of NAMESPACES)
    yield { path: '/api/v1/namespaces', object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name } } };
  const addresses = [{ type: 'InternalIP', address: '10.0.0.1' }];
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: NODE }, status: { addresses } };
  yield { path: '/api/v1/nodes', object: node };
  for (const [name, cidr, blockSize] of [
    ['ipv4', '10.65.0.0/16', 26],
    ['ipv6', 'fd00:65::/112', 122],
  ] as const) {
    const pool = { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name }, spec: { cidr, blockSize } };
    yield { path: '/apis/projectcalico.org/v3/ippools', object: pool };
  }
}

function* pods(): Generator<Write> {
  for (let at = 0; at < PODS; at++) {
    const metadata = { name: `pod-${at}`, labels: { app: `a${at % 7}`, n: `${at}` } };
    const spec = { nodeName: NODE, containers: [{ name: 'main', image: 'main' }] };
    yield { path: '/api/v1/namespaces/here/pods', object: { apiVersion: 'v1', kind: 'Pod', metadata, spec } };
  }
}

const residentMegabytes = (pid: number): number =>
  Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? NaN) / 1_024);
