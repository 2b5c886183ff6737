/** Reads a Calico cluster's resources from both groups that it may have them in. A group or kind that is not served has none. */
import { kinds, resourcePath, type KindName } from '../api/kinds.js';
import { ApiError } from '../datastore/datastore.js';
import type { KubernetesClient } from '../datastore/kubernetes-client.js';
import { CALICO_KINDS, type CalicoObject, type CalicoResources } from './calico-plan.js';

type Asks = Pick<KubernetesClient, 'request'>;

const STORED = '/apis/crd.projectcalico.org/v1';
/** Kinds of Calico with objects of users that nothing here serves. */
const OTHER_KINDS: Readonly<Record<string, string>> = {
  felixconfigurations: 'FelixConfiguration',
  kubecontrollersconfigurations: 'KubeControllersConfiguration',
  caliconodestatuses: 'CalicoNodeStatus',
};

export async function readCalico(client: Asks): Promise<CalicoResources> {
  const byKind = async (
    pathOf: (kind: KindName) => string,
  ): Promise<ReadonlyMap<KindName, readonly CalicoObject[]>> => {
    const found = new Map<KindName, readonly CalicoObject[]>();
    for (const kind of CALICO_KINDS) found.set(kind, await listed(client, pathOf(kind)));
    return found;
  };
  const otherKinds: string[] = [];
  for (const [plural, kind] of Object.entries(OTHER_KINDS))
    if ((await listed(client, `${STORED}/${plural}`)).length > 0) otherKinds.push(kind);
  return {
    served: await byKind((kind) => resourcePath(kinds[kind])),
    stored: await byKind((kind) => `${STORED}/${kinds[kind].plural}`),
    ipamConfigs: await listed(client, `${STORED}/ipamconfigs`),
    blocks: await listed(client, `${STORED}/ipamblocks`),
    otherKinds,
  };
}

async function listed(client: Asks, path: string): Promise<readonly CalicoObject[]> {
  try {
    return (await client.request<{ readonly items?: readonly CalicoObject[] }>('GET', path)).items ?? [];
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return [];
    throw error;
  }
}
