/**
 * The cluster's objects from its API server, once.
 */
import { POLICY_KINDS } from '../agent/policy-events.js';
import { ApiError } from '../datastore/datastore.js';
import { KubernetesClient } from '../datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../datastore/kubernetes-datastore.js';
import type { LoadedObject } from './objects.js';

/** A kind that the server does not serve has no objects. @throws UserError, ApiError */
export async function readLiveObjects(kubeconfig: string | undefined): Promise<readonly LoadedObject[]> {
  const datastore = new KubernetesDatastore(KubernetesClient.load(kubeconfig));
  const lists = await Promise.all(
    [...POLICY_KINDS].map(async ([name, kind]) => {
      try {
        return (await datastore.list(name)).map((object): LoadedObject => ({ kind, object }));
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return [];
        throw error;
      }
    }),
  );
  return lists.flat();
}
