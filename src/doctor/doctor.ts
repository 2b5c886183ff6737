/**
 * `tortie doctor`: looks at this machine, where it is a node, and at the cluster, where an API server answers, and says what is wrong.
 * Changes nothing. What was looked at and what was not is in the answer.
 */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { nodeNameOf } from '../agent/node-name.js';
import { KubernetesClient } from '../datastore/kubernetes-client.js';
import { messageOf, UserError } from '../errors.js';
import { BGP_CHECKS } from './checks/bgp.js';
import { checkCluster } from './checks/cluster.js';
import { HOST_CHECKS } from './checks/host.js';
import { KERNEL_CHECKS } from './checks/kernel.js';
import { readClusterFacts, type ClusterFacts } from './cluster-facts.js';
import { nodeName, type CheckName, type Finding } from './finding.js';
import { lookAtNode } from './gather-node.js';
import type { NodeFacts } from './node-facts.js';
import { lookedAt, ordered } from './report.js';

export interface DoctorOptions {
  /** Default: NODE_NAME or the host's name, where Tortie runs on this machine. */
  readonly node?: string;
  readonly netns?: string;
  readonly kubeconfig?: string;
  readonly runDir: string;
  readonly hostRoot?: string;
  readonly cniConfDir: string;
  readonly ignored: ReadonlySet<CheckName>;
}

export interface Diagnosis {
  readonly looked: readonly string[];
  readonly findings: readonly Finding[];
}

/** A pod that was just made, or is going, has its route a moment later or no longer: what is wrong twice counts. */
const SECOND_LOOK = 3_000;
const HASTY: ReadonlySet<CheckName> = new Set<CheckName>(['pod-route', 'bgp-session', 'bgp-routes', 'node-status']);

export async function diagnose(options: DoctorOptions): Promise<Diagnosis> {
  const first = await look(options);
  if (!first.findings.some(({ check }) => HASTY.has(check) && !options.ignored.has(check))) return first;
  await new Promise((resolve) => setTimeout(resolve, SECOND_LOOK));
  const second = await look(options);
  const before = new Set(first.findings.filter(({ check }) => HASTY.has(check)).map(subjectOf));
  return {
    ...second,
    findings: second.findings.filter((finding) => !HASTY.has(finding.check) || before.has(subjectOf(finding))),
  };
}

const subjectOf = ({ check, where }: Finding): string => `${check} ${where}`;

async function look(options: DoctorOptions): Promise<Diagnosis> {
  const node = nodeToLookAt(options);
  const { cluster, problem } = await readCluster(options, node);
  if (node === undefined && cluster === undefined)
    throw new UserError(
      `There is nothing to look at: this machine runs no Tortie (no bgpd.sock in "${options.runDir}"; --run-dir, --node), ` +
        `and ${problem ?? ''}`,
    );
  const facts =
    node === undefined
      ? undefined
      : await lookAtNode({
          node,
          runDir: options.runDir,
          cniConfDir: options.cniConfDir,
          ...(options.netns === undefined ? {} : { netns: options.netns }),
          ...(options.hostRoot === undefined ? {} : { hostRoot: options.hostRoot }),
        });
  const findings: Finding[] = [
    ...(facts === undefined ? [] : checkNode(facts, cluster)),
    ...(cluster === undefined ? [unreachable(problem ?? '')] : checkCluster(cluster)),
  ];
  return { looked: lookedAt(node, cluster !== undefined), findings: ordered(findings, options.ignored) };
}

export function checkNode(facts: NodeFacts, cluster: ClusterFacts | undefined): readonly Finding[] {
  return [...KERNEL_CHECKS, ...HOST_CHECKS, ...BGP_CHECKS]
    .flatMap((check) => check(facts, cluster))
    .map((said) => ({ ...said, where: nodeName(facts.node) }));
}

const unreachable = (problem: string): Finding => ({
  check: 'unread',
  severity: 'warning',
  where: 'cluster',
  evidence: `Not looked at: the cluster: ${problem}`,
  remedy: 'Give --kubeconfig, or run it in the container "agent" of a node.',
});

function nodeToLookAt({ node, runDir }: DoctorOptions): string | undefined {
  if (node !== undefined) return node;
  const isHere = ['agent.sock', 'bgpd.sock'].some((name) => existsSync(join(runDir, name)));
  return isHere ? nodeNameOf(process.env['NODE_NAME'] ?? hostname()) : undefined;
}

async function readCluster(
  { kubeconfig }: DoctorOptions,
  node: string | undefined,
): Promise<{ readonly cluster?: ClusterFacts; readonly problem?: string }> {
  try {
    return { cluster: await readClusterFacts(KubernetesClient.load(kubeconfig), node) };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}
