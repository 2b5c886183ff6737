/** Where the objects of an inventory come from: a live API server, or files as `kubectl get -o json` and `-o yaml` write them. */
import type { KindName, ObjectOf } from '../api/kinds.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { readObjectFiles } from '../object-files.js';
import type { IpamObjects } from './inventory.js';

/** A kind that the server does not serve has no objects. */
export async function readCluster(datastore: Pick<Datastore, 'list'>): Promise<IpamObjects> {
  const list = async <K extends KindName>(kind: K): Promise<readonly ObjectOf[K][]> => {
    try {
      return await datastore.list(kind);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return [];
      throw error;
    }
  };
  // What nodes have told first: a pod that goes while we read would look as if it had leaked its address.
  const published = await list('nodeAddresses');
  const [pods, pools, blocks, reservations, nodes] = [
    await list('pods'),
    await list('ipPools'),
    await list('ipamBlocks'),
    await list('ipReservations'),
    await list('nodes'),
  ];
  return { published, pods, pools, blocks, reservations, nodes };
}

/** `-` reads `stdin`. Objects of other kinds are passed over. @throws UserError */
export async function readFiles(files: readonly string[], stdin: AsyncIterable<Buffer | string>): Promise<IpamObjects> {
  const ofKind = await readObjectFiles(files, stdin);
  return {
    pools: ofKind('ipPools'),
    blocks: ofKind('ipamBlocks'),
    reservations: ofKind('ipReservations'),
    nodes: ofKind('nodes'),
    pods: ofKind('pods'),
    published: ofKind('nodeAddresses'),
  };
}
