/** Which watched kinds the policy engine hears of, and under which name. */
import { heldObject, type ObjectKind, type PolicyEvent } from '@tortie/policy';
import type { KindName } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import type { ClusterChange } from '../cluster/cluster.js';

export const POLICY_KINDS: ReadonlyMap<KindName, ObjectKind> = new Map([
  ['pods', 'Pod'],
  ['namespaces', 'Namespace'],
  ['nodes', 'Node'],
  ['serviceAccounts', 'ServiceAccount'],
  ['endpointSlices', 'EndpointSlice'],
  ['networkPolicies', 'NetworkPolicy'],
  ['clusterNetworkPolicies', 'ClusterNetworkPolicy'],
  ['adminNetworkPolicies', 'AdminNetworkPolicy'],
  ['baselineAdminNetworkPolicies', 'BaselineAdminNetworkPolicy'],
  ['calicoNetworkPolicies', 'CalicoNetworkPolicy'],
  ['globalNetworkPolicies', 'GlobalNetworkPolicy'],
  ['stagedNetworkPolicies', 'StagedNetworkPolicy'],
  ['stagedGlobalNetworkPolicies', 'StagedGlobalNetworkPolicy'],
  ['stagedKubernetesNetworkPolicies', 'StagedKubernetesNetworkPolicy'],
  ['tiers', 'Tier'],
  ['networkSets', 'NetworkSet'],
  ['globalNetworkSets', 'GlobalNetworkSet'],
  ['hostEndpoints', 'HostEndpoint'],
]);

/** Undefined for kinds that have nothing to do with policy. */
export function policyEventOf(change: ClusterChange): PolicyEvent | undefined {
  const kind = POLICY_KINDS.get(change.kind);
  if (kind === undefined) return undefined;
  const { metadata } = change.object;
  if (change.type === 'upsert') return { type: 'upsert', kind, object: change.object };
  return {
    type: 'delete',
    kind,
    name: metadata.name,
    ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
  };
}

/** What the node keeps of such an object: a policy past its bounds not at all, of a large one a packed copy. */
export function keeperOf(kind: KindName): (object: KubeObject) => KubeObject {
  const policyKind = POLICY_KINDS.get(kind);
  return policyKind === undefined ? (object) => object : (object) => heldObject(policyKind, object) as KubeObject;
}
