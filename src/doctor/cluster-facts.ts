/**
 * What the doctor's checks of the cluster are made from: objects, read once from the API server. What may not be read, or is not served, is
 * said and left out: an agent's account reads less than an administrator's.
 */
import { kinds, resourcePath, type KindName, type ObjectOf } from '../api/kinds.js';
import type { Condition, KubeList, KubeObject } from '../api/meta.js';
import { ApiError } from '../datastore/datastore.js';
import type { KubernetesClient } from '../datastore/kubernetes-client.js';
import { messageOf } from '../errors.js';
import type { Unread } from './node-facts.js';

export interface ClusterFacts {
  readonly nodes: readonly ObjectOf['nodes'][];
  readonly nodeStatuses: readonly ObjectOf['nodeStatuses'][];
  readonly ipPools: readonly ObjectOf['ipPools'][];
  readonly bgpConfigurations: readonly ObjectOf['bgpConfigurations'][];
  readonly bgpPeers: readonly ObjectOf['bgpPeers'][];
  /** Of the node that is looked at: pods that have addresses of their own. */
  readonly pods?: readonly ObjectOf['pods'][];
  /** Objects that have conditions: "BGPPeer/rack". */
  readonly judged: readonly JudgedObject[];
  /** Names of ValidatingAdmissionPolicies; absent where the server has none, or tells us nothing. */
  readonly guards?: readonly string[];
  /** Names of DaemonSets. */
  readonly daemonSets?: readonly string[];
  readonly unread: readonly Unread[];
}

export interface JudgedObject {
  /** "IPPool/default", "NetworkPolicy/shop/web" */
  readonly name: string;
  readonly conditions: readonly Condition[];
}

/** Whose conditions an agent writes. */
const JUDGED: readonly KindName[] = [
  'ipPools',
  'ipReservations',
  'bgpConfigurations',
  'bgpPeers',
  'bgpFilters',
  'calicoNetworkPolicies',
  'globalNetworkPolicies',
  'clusterNetworkPolicies',
  'adminNetworkPolicies',
  'baselineAdminNetworkPolicies',
  'tiers',
  'networkSets',
  'globalNetworkSets',
  'hostEndpoints',
];

type Asks = Pick<KubernetesClient, 'request'>;
interface WithConditions extends KubeObject {
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/** @param node whose pods to read as well. @throws what the server, when it cannot be reached at all, says */
export async function readClusterFacts(client: Asks, node: string | undefined): Promise<ClusterFacts> {
  const unread: Unread[] = [];
  const list = async <T>(path: string, what: string): Promise<readonly T[] | undefined> => {
    try {
      return (await client.request<KubeList<T>>('GET', path)).items;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Not served: there are none of it. Not ours to read: that is to be expected of an agent's account.
      if (error.status !== 404) unread.push({ what, why: messageOf(error), isExpected: error.status === 403 });
      return undefined;
    }
  };
  const ofKind = async <K extends KindName>(kind: K): Promise<readonly ObjectOf[K][]> =>
    (await list<ObjectOf[K]>(resourcePath(kinds[kind]), kinds[kind].plural)) ?? [];
  const nodes = await ofKind('nodes');
  const nodeStatuses = await ofKind('nodeStatuses');
  const pods =
    node === undefined
      ? undefined
      : await list<ObjectOf['pods']>(
          `${resourcePath(kinds.pods)}?fieldSelector=${encodeURIComponent(`spec.nodeName=${node}`)}`,
          `pods of node "${node}"`,
        );
  const objects = new Map<KindName, readonly WithConditions[]>();
  for (const kind of JUDGED) objects.set(kind, (await ofKind(kind)) as readonly WithConditions[]);
  const guards = await list<KubeObject>(
    '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies',
    'ValidatingAdmissionPolicies',
  );
  const daemonSets = await list<KubeObject>('/apis/apps/v1/daemonsets', 'DaemonSets');
  const namesOf = (found: readonly KubeObject[]): readonly string[] => found.map(({ metadata }) => metadata.name);
  const got = <K extends KindName>(kind: K): readonly ObjectOf[K][] =>
    (objects.get(kind) ?? []) as unknown as readonly ObjectOf[K][];
  return {
    nodes,
    nodeStatuses,
    ipPools: got('ipPools'),
    bgpConfigurations: got('bgpConfigurations'),
    bgpPeers: got('bgpPeers'),
    judged: [...objects].flatMap(([kind, found]) => found.map((object) => judgedOf(kind, object))),
    unread,
    ...(pods === undefined ? {} : { pods }),
    ...(guards === undefined ? {} : { guards: namesOf(guards) }),
    ...(daemonSets === undefined ? {} : { daemonSets: namesOf(daemonSets) }),
  };
}

function judgedOf(kind: KindName, { metadata: { namespace, name }, status }: WithConditions): JudgedObject {
  const where = namespace === undefined ? name : `${namespace}/${name}`;
  return { name: `${kinds[kind].kind}/${where}`, conditions: status?.conditions ?? [] };
}
