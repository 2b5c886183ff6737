/**
 * Finding what a person names on the command line: a node, a pod ("shop/web", or "web" if only one namespace has it), a
 * router, an outside host. And what a command run there needs to find in its environment.
 */
import { UserError } from '../errors.js';
import { callLab, LabNotRunning, type LabStatus } from './control.js';
import { buildRack, type Rack } from './rack.js';
import type { Endpoint } from './reachability.js';
import { labPaths, requireLab, type LabRecord } from './state-dir.js';
import { parseTopology } from './topology.js';
import { binDirectory } from './wrapper.js';

/** A place to run commands in. */
export interface Place {
  readonly name: string;
  readonly netns: string;
  /** On top of the caller's own; PATH is prefixed. */
  readonly env: NodeJS.ProcessEnv;
}

export const rackOf = (record: LabRecord): Rack =>
  buildRack(record.name, parseTopology(record.topologyFile, record.topology));

export async function findPlace(lab: string, name: string): Promise<Place> {
  const record = await requireLab(lab);
  const rack = rackOf(record);
  const paths = labPaths(lab);
  const common = { KUBECONFIG: paths.kubeconfig };
  const withBin = (directory: string): NodeJS.ProcessEnv => ({
    PATH: `${binDirectory(directory)}:${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`,
  });
  const node = rack.nodes.find((candidate) => candidate.name === name);
  if (node !== undefined) {
    const { root, run, state, kubeconfig } = paths.node(name);
    return {
      name,
      netns: node.netns,
      env: { TORTIE_RUN_DIR: run, TORTIE_STATE_DIR: state, KUBECONFIG: kubeconfig, ...withBin(root) },
    };
  }
  const tor = rack.tors.find((candidate) => candidate.name === name);
  if (tor !== undefined)
    return {
      name,
      netns: tor.netns,
      env: {
        ...common,
        TORTIE_RUN_DIR: `${paths.tor(name)}/run`,
        TORTIE_STATE_DIR: `${paths.tor(name)}/state`,
        ...withBin(paths.tor(name)),
      },
    };
  const outside = rack.outside.find((candidate) => candidate.name === name);
  if (outside !== undefined) return { name, netns: outside.netns, env: common };
  return { ...(await findPod(lab, name, rack)), env: common };
}

async function findPod(
  lab: string,
  name: string,
  rack: Rack,
): Promise<{ readonly name: string; readonly netns: string }> {
  const { pods } = await callLab<LabStatus>(lab, 'GET', '/v1/status').catch((error: unknown) => {
    if (error instanceof LabNotRunning) return { pods: [] };
    throw error;
  });
  const found = pods.filter((pod) => `${pod.namespace}/${pod.name}` === name || pod.name === name);
  const [pod, second] = found;
  if (second !== undefined)
    throw new UserError(
      `Cannot choose "${name}": expected NAMESPACE/NAME, one of ${found.map((each) => `${each.namespace}/${each.name}`).join(', ')}`,
      2,
    );
  if (pod !== undefined && pod.netns !== '') return { name: `${pod.namespace}/${pod.name}`, netns: pod.netns };
  if (pod !== undefined)
    throw new UserError(
      `Cannot use pod "${name}": it has no network namespace yet (${pod.state}${pod.problem === undefined ? '' : `: ${pod.problem}`})`,
    );
  const devices = [...rack.tors, ...rack.nodes, ...rack.outside].map((device) => device.name);
  throw new UserError(
    `Cannot find "${name}" in lab "${lab}": expected one of ` +
      `${[...devices, ...pods.map((each) => `${each.namespace}/${each.name}`)].join(', ')}`,
    2,
  );
}

/** Rows of the matrix: running pods, then nodes, then outside hosts. */
export function endpointsOf(rack: Rack, status: LabStatus): readonly Endpoint[] {
  const pods = status.pods.filter((pod) => pod.netns !== '' && pod.ips.length > 0 && pod.state === 'Running');
  return [
    ...pods
      .map(
        (pod): Endpoint => ({
          name: `${pod.namespace}/${pod.name}`,
          type: 'pod',
          netns: pod.netns,
          ips: pod.ips,
          node: pod.node,
        }),
      )
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    ...rack.nodes.map(
      (node): Endpoint => ({
        name: node.name,
        type: 'node',
        netns: node.netns,
        ips: [node.loopback.ipv4, node.loopback.ipv6],
      }),
    ),
    ...rack.outside.map(
      (host): Endpoint => ({
        name: host.name,
        type: 'outside',
        netns: host.netns,
        ips: [host.loopback.ipv4, host.loopback.ipv6],
      }),
    ),
  ];
}
