/** What a cluster says of itself that its installation depends on. Reads only. */
import { parse } from 'yaml';
import { ApiError } from '../datastore/datastore.js';
import type { KubernetesClient } from '../datastore/kubernetes-client.js';

export interface ClusterFacts {
  /** "v1.37.2". */
  readonly version: string;
  /** Of kubeadm's own configuration; none where kubeadm did not make the cluster. */
  readonly podCidrs: readonly string[];
  /** Pools that are there already, by name: of an earlier installation, or of Calico. */
  readonly pools: readonly string[];
  readonly hasKubeProxy: boolean;
  /** Other networks whose DaemonSets run: "calico-node". */
  readonly networks: readonly string[];
}

const NETWORKS = ['calico-node', 'cilium', 'kube-flannel-ds', 'kube-router', 'weave-net', 'antrea-agent'];

type Asks = Pick<KubernetesClient, 'request' | 'url'>;

export async function lookAtCluster(client: Asks): Promise<ClusterFacts> {
  const [version, kubeadm, daemonSets, pools] = await Promise.all([
    client.request<{ readonly gitVersion?: string }>('GET', '/version'),
    found<{ readonly data?: { readonly ClusterConfiguration?: string } }>(
      client,
      '/api/v1/namespaces/kube-system/configmaps/kubeadm-config',
    ),
    found<Named>(client, '/apis/apps/v1/daemonsets'),
    found<Named>(client, '/apis/projectcalico.org/v3/ippools'),
  ]);
  const names = namesOf(daemonSets);
  return {
    version: version.gitVersion ?? '',
    podCidrs: podSubnets(kubeadm?.data?.ClusterConfiguration),
    pools: namesOf(pools),
    hasKubeProxy: names.includes('kube-proxy'),
    networks: NETWORKS.filter((name) => names.includes(name)),
  };
}

interface Named {
  readonly items?: readonly { readonly metadata: { readonly name: string } }[];
}

const namesOf = (list: Named | undefined): readonly string[] =>
  (list?.items ?? []).map(({ metadata }) => metadata.name);

/** Undefined when there is none, or its kind is not served. */
async function found<T>(client: Asks, path: string): Promise<T | undefined> {
  try {
    return await client.request<T>('GET', path);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

/** `networking.podSubnet` of kubeadm's ClusterConfiguration: one CIDR, or two with a comma between. */
export function podSubnets(configuration: string | undefined): readonly string[] {
  const read: unknown = configuration === undefined ? undefined : parse(configuration);
  const { networking } = (read ?? {}) as { readonly networking?: { readonly podSubnet?: unknown } };
  const subnet = networking?.podSubnet;
  return typeof subnet === 'string' ? subnet.split(',').map((part) => part.trim()) : [];
}
