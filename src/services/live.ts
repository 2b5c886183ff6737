/** What questions about Services need of a live cluster, once. */
import type { IPPool } from '../api/ipam.js';
import { KubernetesClient } from '../datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../datastore/kubernetes-datastore.js';
import { readLiveObjects } from '../policy/live.js';
import type { LoadedObject } from '../policy/objects.js';

/** @throws UserError, ApiError */
export async function readLiveServices(
  kubeconfig: string | undefined,
): Promise<{ readonly objects: readonly LoadedObject[]; readonly pools: readonly IPPool[] }> {
  const datastore = new KubernetesDatastore(KubernetesClient.load(kubeconfig));
  const [objects, services, pools] = await Promise.all([
    readLiveObjects(kubeconfig),
    datastore.list('services'),
    datastore.list('ipPools'),
  ]);
  return { objects: [...objects, ...services.map((object): LoadedObject => ({ kind: 'Service', object }))], pools };
}
