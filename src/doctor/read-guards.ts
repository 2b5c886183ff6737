/** What `tortie doctor --guards` goes by, read once from the API server. */
import { kinds, resourcePath, type KindName, type ObjectOf } from '../api/kinds.js';
import type { KubeList, KubeObject } from '../api/meta.js';
import { ApiError } from '../datastore/datastore.js';
import type { KubernetesClient } from '../datastore/kubernetes-client.js';
import type { GuardFacts } from './guards.js';

const POLICIES = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';

/** @throws ApiError for objects that may not be read; policies that may not are not known */
export async function readGuardFacts(client: Pick<KubernetesClient, 'request'>): Promise<GuardFacts> {
  const ofKind = async <K extends KindName>(kind: K): Promise<readonly ObjectOf[K][]> =>
    (await client.request<KubeList<ObjectOf[K]>>('GET', resourcePath(kinds[kind]))).items;
  return {
    bgpPeers: await ofKind('bgpPeers'),
    bgpConfigurations: await ofKind('bgpConfigurations'),
    bgpFilters: await ofKind('bgpFilters'),
    ipPools: await ofKind('ipPools'),
    policies: await policies(client),
  };
}

async function policies(client: Pick<KubernetesClient, 'request'>): Promise<readonly string[] | undefined> {
  try {
    return (await client.request<KubeList<KubeObject>>('GET', POLICIES)).items.map(({ metadata }) => metadata.name);
  } catch (error) {
    if (error instanceof ApiError && (error.status === 403 || error.status === 404)) return undefined;
    throw error;
  }
}
