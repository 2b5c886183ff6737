/**
 * A node under churn: many policies, many pods (two of them with traffic between them), twenty label changes a second.
 * Measured with packets: from the event to the first new flow that passes, or to the last one that still does. Then
 * whole resyncs under traffic, and policies that flip: no packet of an allowed flow may be lost, none of a denied one
 * may pass.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PolicyEngine } from '@tortie/policy/engine';
import { hostInterfaceName } from '../../src/dataplane/endpoint-name.js';
import { createNetfilter, type Netfilter } from '../../src/dataplane/netfilter/netfilter.js';
import type { BackendSetting } from '../../src/dataplane/netfilter/status.js';
import { appOf, clusterEvents, endpointEvent, podAt, podEvent, policyEvent, type ClusterSize } from './cluster.js';
import { median } from './contenders.js';
import { Servers } from './path.js';
import { Rig } from './rig.js';

export interface LoadOptions {
  readonly backend: string;
  readonly policies: number;
  readonly pods: number;
  /** Label changes; every fourth is of the pod that sends. */
  readonly changes: number;
  readonly resyncs: number;
  readonly isJson: boolean;
}

const BACKENDS: readonly BackendSetting[] = ['auto', 'legacy', 'nft', 'nftables'];
const LOCAL_PODS = 100;
const PAUSE_BETWEEN_CHANGES = 50;
const PROBER = fileURLToPath(new URL('../../bin/tortie-prober', import.meta.url));

interface Node {
  readonly size: ClusterSize;
  readonly engine: PolicyEngine;
  readonly netfilter: Netfilter;
  readonly rig: Rig;
}

/** 0 when nothing was lost and nothing leaked. */
export async function runLoad(options: LoadOptions): Promise<number> {
  const backend = BACKENDS.find((one) => one === options.backend);
  if (backend === undefined) {
    process.stderr.write(`Cannot use backend "${options.backend}": expected ${BACKENDS.join(', ')}\n`);
    return 2;
  }
  const size: ClusterSize = { policies: options.policies, pods: options.pods, local: LOCAL_PODS };
  const rig = new Rig('load', [podAt(size, 0), podAt(size, 1)]);
  const servers = new Servers();
  try {
    await servers.start(rig, false);
    const node = await startNode(size, rig, backend);
    try {
      const churn = await measureChurn(node, options.changes);
      const resyncs = await measureResyncs(node, options.resyncs);
      const flips = await measureFlips(node, options.resyncs);
      const result = {
        backend,
        policies: options.policies,
        pods: options.pods,
        rssMegabytes: Math.round(process.memoryUsage().rss / 1e6),
        churn,
        resyncs,
        flips,
        counters: node.netfilter.status().counters,
      };
      process.stdout.write(
        options.isJson ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, undefined, 2)}\n`,
      );
      return resyncs.lost + resyncs.leaked + flips.lost + flips.leaked === 0 ? 0 : 1;
    } finally {
      await node.netfilter.stop();
    }
  } finally {
    await servers.stop();
    await rig.close();
  }
}

async function startNode(size: ClusterSize, rig: Rig, backend: BackendSetting): Promise<Node> {
  const engine = new PolicyEngine();
  for (const event of clusterEvents(size)) engine.apply(event);
  for (let i = 0; i < size.local; i++) {
    const { namespace, name } = podAt(size, i);
    engine.apply(endpointEvent(size, i, hostInterfaceName(namespace, name)));
  }
  engine.flush();
  const netfilter = await createNetfilter({
    families: [4, 6],
    backend,
    within: rig.within,
    onFailures: (failures) => {
      for (const failure of failures) process.stderr.write(`${failure.message}\n`);
    },
  });
  await netfilter.sync(engine.ruleset());
  return { size, engine, netfilter, rig };
}

interface Spread {
  readonly count: number;
  readonly median: number;
  readonly p99: number;
  readonly worst: number;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(2));
  return { count: sorted.length, median: Number(median(sorted).toFixed(2)), p99: at(0.99), worst: at(1) };
}

/** Milliseconds from the event to the applied kernel, and from the event to the packets. */
async function measureChurn(
  node: Node,
  changes: number,
): Promise<{ readonly applied: Spread; readonly opened: Spread; readonly closed: Spread }> {
  const stream = startStream(node.rig, 80, 1, true);
  await stream.started;
  const events: { readonly at: number; readonly opens: boolean }[] = [];
  const applied: number[] = [];
  let isOpen = true;
  await sleep(200);
  for (let i = 0; i < changes; i++) {
    const isMeasured = i % 4 === 0;
    if (isMeasured) isOpen = !isOpen;
    const index = isMeasured ? 0 : 2 + ((i * 7919) % (node.size.pods - 2));
    const app = isMeasured ? (isOpen ? 'front' : 'job') : `${appOf(index + i)}`;
    const at = monotonicMicroseconds();
    node.engine.apply(podEvent(node.size, index, app));
    await node.netfilter.apply(node.engine.flush());
    applied.push((monotonicMicroseconds() - at) / 1000);
    if (isMeasured) events.push({ at, opens: isOpen });
    await sleep(Math.max(0, PAUSE_BETWEEN_CHANGES - (monotonicMicroseconds() - at) / 1000));
  }
  const { answered } = await stream.stop();
  node.engine.apply(podEvent(node.size, 0, 'front'));
  await node.netfilter.apply(node.engine.flush());
  return {
    applied: spreadOf(applied),
    opened: spreadOf(opens(events, answered)),
    closed: spreadOf(closes(events, answered)),
  };
}

/** From each opening to the first answered flow that began after it. */
function opens(
  events: readonly { readonly at: number; readonly opens: boolean }[],
  answered: readonly number[],
): readonly number[] {
  return events
    .filter((event) => event.opens)
    .flatMap((event) => {
      const first = answered.find((sent) => sent >= event.at);
      return first === undefined ? [] : [(first - event.at) / 1000];
    });
}

/** From each closing to the last answered flow before the next opening; 0 if none was answered any more. */
function closes(
  events: readonly { readonly at: number; readonly opens: boolean }[],
  answered: readonly number[],
): readonly number[] {
  return events.flatMap((event, i) => {
    const until = events[i + 1]?.at;
    if (event.opens || until === undefined) return [];
    const last = answered.filter((sent) => sent >= event.at && sent < until).pop();
    return [last === undefined ? 0 : (last - event.at) / 1000];
  });
}

interface Traffic {
  readonly sent: number;
  readonly lost: number;
  readonly deniedSent: number;
  readonly leaked: number;
}

/** The whole state again and again, under traffic. */
async function measureResyncs(
  node: Node,
  count: number,
): Promise<Traffic & { readonly resyncs: number; readonly sync: Spread }> {
  const times: number[] = [];
  const traffic = await underTraffic(node, async () => {
    for (let i = 0; i < count; i++) {
      const start = performance.now();
      await node.netfilter.sync(node.engine.ruleset());
      times.push(performance.now() - start);
    }
  });
  return { resyncs: count, ...traffic, sync: spreadOf(times) };
}

/** Policies of the two pods change, come and go; none of them decides about the two flows. */
async function measureFlips(node: Node, count: number): Promise<Traffic & { readonly flips: number }> {
  const traffic = await underTraffic(node, async () => {
    for (let i = 0; i < count; i++) {
      const index = [2, 3, 4, 6, 7][i % 5] ?? 2;
      const event = policyEvent(index, 0);
      const name = event.type === 'upsert' ? (event.object.metadata?.name ?? '') : '';
      node.engine.apply(i % 2 === 0 ? { type: 'delete', kind: 'NetworkPolicy', namespace: 'ns0', name } : event);
      await node.netfilter.apply(node.engine.flush());
    }
  });
  return { flips: count, ...traffic };
}

/** New flows every millisecond, one kind always allowed and one always denied, while `work` goes on. */
async function underTraffic(node: Node, work: () => Promise<void>): Promise<Traffic> {
  const allowed = startStream(node.rig, 80, 1, false);
  const denied = startStream(node.rig, 81, 1, false);
  await Promise.all([allowed.started, denied.started]);
  await work();
  const [good, bad] = await Promise.all([allowed.stop(), denied.stop()]);
  return { sent: good.tally.sent, lost: good.tally.lost, deniedSent: bad.tally.sent, leaked: bad.tally.received };
}

interface Tally {
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
}

/** A flow of fresh UDP connections between the two pods. */
function startStream(
  rig: Rig,
  port: number,
  interval: number,
  isTraced: boolean,
): {
  readonly started: Promise<unknown>;
  stop(): Promise<{ readonly tally: Tally; readonly answered: readonly number[] }>;
} {
  const target = rig.pods[1].addresses[0] ?? '';
  const child = spawn(
    PROBER,
    [
      'stream',
      '--netns',
      rig.pod(0),
      '--to',
      target,
      '--port',
      String(port),
      '--interval',
      String(interval),
      '--fresh',
      ...(isTraced ? ['--trace'] : []),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  const started = once(child.stdout, 'data');
  return {
    started,
    stop: async () => {
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
      const lines = text.trim().split('\n');
      const answered = lines
        .flatMap((line) => (/^\d+\t\d+$/.test(line) ? [Number(line.split('\t')[0])] : []))
        .sort((a, b) => a - b);
      return { tally: JSON.parse(lines[lines.length - 1] ?? '{}') as Tally, answered };
    },
  };
}

/** The clock that the prober prints. */
const monotonicMicroseconds = (): number => Number(process.hrtime.bigint() / 1000n);
