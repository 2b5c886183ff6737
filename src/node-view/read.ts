/** Nodes and their NodeStatus, from the API server. */
import type { Node } from '../api/core.js';
import type { NodeStatus } from '../api/node-status.js';
import { ApiError } from '../datastore/datastore.js';
import { KubernetesClient } from '../datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../datastore/kubernetes-datastore.js';
import { UserError } from '../errors.js';

/** @throws UserError where the cluster has no Tortie */
export async function readNodeStatuses(
  kubeconfig: string | undefined,
): Promise<{ readonly nodes: readonly Node[]; readonly statuses: readonly NodeStatus[] }> {
  const store = new KubernetesDatastore(KubernetesClient.load(kubeconfig ?? process.env['KUBECONFIG']));
  try {
    return { nodes: await store.list('nodes'), statuses: await store.list('nodeStatuses') };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404)
      throw new UserError('This cluster serves no NodeStatus: Tortie is not installed there', 1, { cause: error });
    throw error;
  }
}
