/**
 * The local pods: connected by real CNI calls, reported to the API as kubelet would, answering on the probed port through one
 * prober process that has a socket in each namespace.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { CNI_BIN, PROBER } from '../../src/lab/tortie-argv.js';
import { runPlugin } from '../../test/cni/plugin.js';
import { inParallel } from '../node/api-client.js';
import type { BenchNode } from '../node/node.js';
import { type PodName, podPath, PORT } from './cluster.js';

/** CNI calls under way at the same time. */
const WINDOW = 8;

export interface ConnectedPod extends PodName {
  /** Path of its namespace. */
  readonly netns: string;
  readonly hostInterface: string;
  /** IPv4, IPv6. */
  readonly addresses: readonly [string, string];
}

interface CniAnswer {
  readonly interfaces?: readonly { readonly name: string; readonly sandbox?: string }[];
  readonly ips?: readonly { readonly address: string }[];
}

/** @param sandboxes as many namespaces as there are pods */
export async function connectPods(
  node: BenchNode,
  nodeNetns: string,
  pods: readonly PodName[],
  sandboxes: readonly string[],
): Promise<ReadonlyMap<string, ConnectedPod>> {
  const connected = new Map<string, ConnectedPod>();
  await inParallel(pods.entries(), WINDOW, async ([index, pod]) => {
    const netns = sandboxes[index] ?? '';
    const one = await connect(node, nodeNetns, pod, netns);
    await node.api.patch(`${podPath(pod)}/status`, {
      status: { phase: 'Running', podIP: one.addresses[0], podIPs: one.addresses.map((ip) => ({ ip })) },
    });
    connected.set(pod.name, one);
  });
  return connected;
}

async function connect(node: BenchNode, nodeNetns: string, pod: PodName, netns: string): Promise<ConnectedPod> {
  const environment = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: basename(netns),
    CNI_IFNAME: 'eth0',
    CNI_NETNS: netns,
    CNI_PATH: CNI_BIN,
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name}`,
  };
  const config = JSON.stringify({ cniVersion: '1.0.0', name: 'tortie', type: 'tortie', socket: node.socketPath });
  const { code, stdout } = await runPlugin(join(CNI_BIN, 'tortie'), environment, config, [
    'nsenter',
    `--net=${nodeNetns}`,
  ]);
  const answer = JSON.parse(stdout) as CniAnswer;
  const [ipv4, ipv6] = (answer.ips ?? []).map(({ address }) => address.split('/')[0] ?? '');
  const host = answer.interfaces?.find(({ sandbox }) => sandbox === undefined || sandbox === '');
  if (code !== 0 || ipv4 === undefined || ipv6 === undefined || host === undefined)
    throw new Error(`Cannot connect pod ${pod.namespace}/${pod.name}: ${stdout.trim()}`);
  return { ...pod, netns, hostInterface: host.name, addresses: [ipv4, ipv6] };
}

/** Answers in all of them until stopped. */
export class Servers {
  private constructor(private readonly child: ChildProcess) {}

  static async start(pods: Iterable<ConnectedPod>): Promise<Servers> {
    const child = spawn(PROBER, ['session'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let expected = 0;
    for (const { netns, name } of pods) {
      child.stdin.write(`serve ${netns} ${name} udp ${PORT}\n`);
      expected++;
    }
    for await (const line of createInterface(child.stdout)) {
      if (line !== 'ok') throw new Error(`Cannot serve in a pod: ${line}`);
      if (--expected === 0) return new Servers(child);
    }
    throw new Error('Cannot serve in the pods: the prober ended');
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.end();
    await ended;
  }
}
