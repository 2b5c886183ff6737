/** What the loops of a node cannot do with users' objects, under the names of the kinds; and what nobody could, for NodeStatus. */
import type { PoolProblem } from '@tortie/ipam';
import type { KindName } from '../api/kinds.js';
import type { Cluster, ClusterChange } from '../cluster/cluster.js';
import type { TopologyProblem } from '../topology/problems.js';
import type { NodeProblem } from './object-status.js';
import { refusalsOf } from './refusals.js';

/** How the topology calls kinds: "BGPPeer/rack-1". */
const TOPOLOGY_KINDS: ReadonlyMap<string, KindName> = new Map<string, KindName>([
  ['BGPPeer', 'bgpPeers'],
  ['BGPConfiguration', 'bgpConfigurations'],
  ['BGPFilter', 'bgpFilters'],
  ['IPPool', 'ipPools'],
]);

export function nodeProblemsOf(
  topology: readonly TopologyProblem[],
  pools: readonly PoolProblem[],
): readonly NodeProblem[] {
  const ofTopology = topology.flatMap(({ resource, field, message, severity, isLeftOut }): readonly NodeProblem[] => {
    const slash = resource.indexOf('/');
    const kind = TOPOLOGY_KINDS.get(resource.slice(0, slash));
    // A filter that nobody uses is no node's problem, and wrong all the same.
    return kind === undefined || (severity !== 'problem' && kind !== 'bgpFilters')
      ? []
      : [{ kind, key: resource.slice(slash + 1), field: field ?? '', message, ...(isLeftOut ? { isLeftOut } : {}) }];
  });
  return [
    ...ofTopology,
    ...pools.map(({ pool, field, message }): NodeProblem => ({ kind: 'ipPools', key: pool, field, message })),
  ];
}

const REFUSING_KINDS: readonly (readonly [KindName, string])[] = [
  ['ipPools', 'IPPool'],
  ['ipReservations', 'IPReservation'],
  ['ipamConfigurations', 'IPAMConfiguration'],
  ['bgpConfigurations', 'BGPConfiguration'],
  ['hostEndpoints', 'HostEndpoint'],
  ['namespaces', 'Namespace'],
];

/** Whether a change may change what `refusalSentences` says. */
export const concernsRefusals = ({ kind, object }: ClusterChange): boolean =>
  REFUSING_KINDS.some(([refusing]) => refusing === kind) || (kind === 'pods' && refusalsOf('pods', object).length > 0);

/** Everything that is refused by name, as sentences: of the cluster's objects, and of the pods that live here ("namespace/name"). */
export function refusalSentences(cluster: Cluster, pods: Iterable<string>): readonly string[] {
  const ofObjects = REFUSING_KINDS.flatMap(([kind, word]) =>
    [...cluster.all(kind)].flatMap(([key, object]) =>
      refusalsOf(kind, object).map(({ message }) => `${word}/${key} ${message}`),
    ),
  );
  const ofPods = [...pods].flatMap((key) => {
    const pod = cluster.all('pods').get(key);
    return pod === undefined ? [] : refusalsOf('pods', pod).map(({ message }) => `Pod/${key} ${message}`);
  });
  return [...ofObjects, ...ofPods];
}
