/**
 * Which of a Service port's endpoints this node sends to, by traffic policy, readiness and topology hints; kube-proxy's rules
 * (pkg/proxy/topology.go, KEP-2433, KEP-1669, KEP-4444), fall-backs included.
 */
import type { Endpoint } from './endpoint.js';

/** What of the node matters. */
export interface NodeView {
  readonly name: string;
  readonly zone: string | undefined;
}

/** Which lists a port needs. */
export interface Needs {
  readonly cluster: boolean;
  readonly local: boolean;
}

/** Why an endpoint is not sent to, for people. */
export type Absence =
  | 'not ready'
  | 'terminating'
  | 'on another node'
  | 'hinted for other nodes'
  | 'hinted for other zones';

export interface Choice {
  /** Where the policy is Cluster; empty when no policy asks for it. */
  readonly cluster: readonly Endpoint[];
  /** Where the policy is Local. */
  readonly local: readonly Endpoint[];
  /** Does anything serve this port anywhere? Without: refuse; otherwise traffic that finds nothing here is dropped. */
  readonly hasAny: boolean;
  readonly topology: Topology;
}

export type Topology = 'none' | 'same-node' | 'same-zone';

export function chooseEndpoints(endpoints: readonly Endpoint[], needs: Needs, node: NodeView): Choice {
  const topology = needs.cluster ? topologyOf(endpoints, node) : 'none';
  const cluster = needs.cluster ? clusterEndpoints(endpoints, topology, node) : [];
  if (!needs.local) return { cluster, local: [], hasAny: cluster.length > 0, topology };
  const usable = endpoints.filter((one) => one.isReady || isLastResort(one));
  return { cluster, local: orLastResort(endpoints.filter(isLocal)), hasAny: usable.length > 0, topology };
}

/** Why `endpoint` is not among the chosen; undefined if it is. */
export function absenceOf(endpoint: Endpoint, list: 'cluster' | 'local', choice: Choice): Absence | undefined {
  if (choice[list].includes(endpoint)) return undefined;
  if (list === 'local' && !endpoint.isLocal) return 'on another node';
  if (endpoint.isTerminating) return 'terminating';
  if (!endpoint.isReady) return 'not ready';
  return choice.topology === 'same-node' ? 'hinted for other nodes' : 'hinted for other zones';
}

const isLocal = (endpoint: Endpoint): boolean => endpoint.isLocal;
const isLastResort = (endpoint: Endpoint): boolean => endpoint.isServing && endpoint.isTerminating;

/** The ready ones, or where there is none those that still serve while they end. */
function orLastResort(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const ready = endpoints.filter(({ isReady }) => isReady);
  return ready.length > 0 ? ready : endpoints.filter((one) => !one.isReady && isLastResort(one));
}

function clusterEndpoints(endpoints: readonly Endpoint[], topology: Topology, node: NodeView): readonly Endpoint[] {
  const chosen = orLastResort(endpoints);
  // Topology is about ready endpoints: with none of them there was nothing to take hints from.
  switch (topology) {
    case 'none':
      return chosen;
    case 'same-node':
      return chosen.filter(({ nodeHints }) => nodeHints.includes(node.name));
    case 'same-zone':
      return chosen.filter(({ zoneHints }) => zoneHints.includes(node.zone ?? ''));
  }
}

/** Hints hold only where every ready endpoint has them and one is for us: a half-written slice must not send everything to one pod. */
function topologyOf(endpoints: readonly Endpoint[], node: NodeView): Topology {
  const ready = endpoints.filter(({ isReady }) => isReady);
  if (ready.length === 0) return 'none';
  if (
    ready.every(({ nodeHints }) => nodeHints.length > 0) &&
    ready.some(({ nodeHints }) => nodeHints.includes(node.name))
  )
    return 'same-node';
  const { zone } = node;
  if (
    zone !== undefined &&
    ready.every(({ zoneHints }) => zoneHints.length > 0) &&
    ready.some(({ zoneHints }) => zoneHints.includes(zone))
  )
    return 'same-zone';
  return 'none';
}
