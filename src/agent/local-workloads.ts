/** Pods of this node as BGPPeer's localWorkloadSelector sees them: with the labels that Calico gives a workload endpoint. */
import type { Cluster } from '../cluster/cluster.js';
import type { LocalWorkload } from '../topology/node-side.js';

export interface LocalEndpoint {
  readonly hostInterface: string;
  readonly addresses: readonly string[];
  readonly owner: { readonly namespace: string; readonly pod: string };
}

/** A pod that the API server no longer has, or does not have yet, has no labels and is left out. */
export function localWorkloads(cluster: Cluster, endpoints: readonly LocalEndpoint[]): readonly LocalWorkload[] {
  return endpoints.flatMap(({ hostInterface, addresses, owner: { namespace, pod: name } }) => {
    const pod = cluster.get('pods', name, namespace);
    if (pod === undefined) return [];
    const serviceAccount = pod.spec.serviceAccountName ?? 'default';
    const labels = new Map([
      ...prefixed('pcns.', cluster.get('namespaces', namespace)?.metadata.labels),
      ...prefixed('pcsa.', cluster.get('serviceAccounts', serviceAccount, namespace)?.metadata.labels),
      ...Object.entries(pod.metadata.labels ?? {}),
      ['projectcalico.org/namespace', namespace],
      ['projectcalico.org/orchestrator', 'k8s'],
      ['projectcalico.org/serviceaccount', serviceAccount],
    ]);
    return [{ name: `${namespace}/${name}`, hostInterface, addresses, labels }];
  });
}

const prefixed = (
  prefix: string,
  labels: Readonly<Record<string, string>> = {},
): readonly (readonly [string, string])[] => Object.entries(labels).map(([key, value]) => [`${prefix}${key}`, value]);
