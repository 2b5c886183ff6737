/**
 * A thousand disturbances at 20 a second that must not be felt by the flows that stay allowed or denied: policies written again
 * unchanged, policies changed beside the point, labels that move a pod between two denying policies, watches cut, our rules
 * damaged from outside, the agent killed.
 */
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchNode } from '../node/node.js';
import { podPath, policyPath, shutIngress, SHUT_POLICIES, steadyIngress, STEADY_POLICY } from './cluster.js';
import type { ConnectedPod } from './pods.js';

const PER_SECOND = 20;

export interface Ground {
  readonly node: BenchNode;
  /** Path of the node's namespace. */
  readonly netns: string;
  readonly policyBackend: string;
  readonly deniedServer: ConnectedPod;
  /** Whose chains are damaged: no measured flow comes to it. */
  readonly bystander: ConnectedPod;
}

type Disturbance = (ground: Ground, index: number) => Promise<void>;

const ROWS: Readonly<Record<string, Disturbance>> = {
  'policy written again, unchanged': async ({ node }, index) => {
    const policy = [STEADY_POLICY, ...SHUT_POLICIES][index % 3] ?? STEADY_POLICY;
    await node.api.patch(policyPath(policy), { metadata: { annotations: { touched: String(index) } } });
  },
  'policy changed beside the point': async ({ node }, index) => {
    const [policy, ingress] =
      index % 3 === 0
        ? [STEADY_POLICY, steadyIngress(index % 50)]
        : [SHUT_POLICIES[index % 2] ?? STEADY_POLICY, shutIngress(index % 50)];
    await node.api.patch(policyPath(policy), { spec: { ingress } });
  },
  'pod moved between denying policies': async ({ node, deniedServer }, index) => {
    await node.api.patch(podPath(deniedServer), { metadata: { labels: { shut: (index >> 2) % 2 === 0 ? 'a' : 'b' } } });
  },
  'our rules damaged from outside': async (ground) => damage(ground),
  'all watches cut': async ({ netns }) => within(netns, 'ss', '-K', 'dst', '127.0.0.1', 'dport', '=', '6443'),
  'agent killed and started': async ({ node }) => node.replaceAgent(),
};

/** Which of them comes at a place: the rare ones first. */
function rowAt(index: number): string {
  if (index % 250 === 125) return 'agent killed and started';
  if (index % 100 === 50) return 'all watches cut';
  if (index % 20 === 10) return 'our rules damaged from outside';
  return (
    ['policy written again, unchanged', 'policy changed beside the point', 'pod moved between denying policies'][
      index % 3
    ] ?? ''
  );
}

/** How often each disturbance came. */
export async function resync(ground: Ground, count: number): Promise<Readonly<Record<string, number>>> {
  const done: Record<string, number> = {};
  for (let index = 0; index < count; index++) {
    const due = performance.now() + 1000 / PER_SECOND;
    const name = rowAt(index);
    await ROWS[name]?.(ground, index);
    done[name] = (done[name] ?? 0) + 1;
    await sleep(Math.max(0, due - performance.now()));
  }
  return done;
}

/** Empties a chain of a pod that nothing measured comes to; the agent has to put it back. */
function damage({ netns, policyBackend, bystander }: Ground): void {
  const chain = `TORTIE-TO-${bystander.hostInterface}`;
  if (policyBackend === 'nftables') within(netns, 'nft', 'flush', 'chain', 'inet', 'tortie', chain);
  else
    within(
      netns,
      policyBackend === 'legacy' ? 'iptables-legacy' : policyBackend === 'nft' ? 'iptables-nft' : 'iptables',
      '-w',
      '5',
      '-F',
      chain,
    );
}

function within(netns: string, ...argv: readonly string[]): void {
  execFileSync('nsenter', [`--net=${netns}`, ...argv], { stdio: ['ignore', 'ignore', 'pipe'] });
}
