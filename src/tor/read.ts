/** The objects that a plan is made from: of a live cluster, or of files. */
import type { BGPPassword } from '../api/bgp.js';
import type { KindName, ObjectOf } from '../api/kinds.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { readObjectFiles } from '../object-files.js';
import type { SecretReader, TorObjects } from './plan.js';

export interface TorSource {
  readonly objects: TorObjects;
  /** Reads the secrets that the objects name. */
  readonly secrets: () => Promise<SecretReader>;
}

/** @param namespace of the secrets */
export async function readTorCluster(
  datastore: Pick<Datastore, 'list' | 'get'>,
  namespace: string,
): Promise<TorSource> {
  const list = async <K extends KindName>(kind: K): Promise<readonly ObjectOf[K][]> => {
    try {
      return await datastore.list(kind);
    } catch (error) {
      // A kind that the server does not serve has no objects.
      if (error instanceof ApiError && error.status === 404) return [];
      throw error;
    }
  };
  const objects: TorObjects = {
    nodes: await list('nodes'),
    nodeStatuses: await list('nodeStatuses'),
    bgpConfigurations: await list('bgpConfigurations'),
    bgpPeers: await list('bgpPeers'),
    bgpFilters: await list('bgpFilters'),
    ipPools: await list('ipPools'),
  };
  const secrets = async (): Promise<SecretReader> => {
    const found = new Map<string, ObjectOf['secrets']>();
    for (const name of secretNames(objects)) {
      const secret = await datastore.get('secrets', name, namespace);
      if (secret !== undefined) found.set(name, secret);
    }
    return reader(found);
  };
  return { objects, secrets };
}

/** `-` reads `stdin`. @throws UserError */
export async function readTorFiles(
  files: readonly string[],
  stdin: AsyncIterable<Buffer | string>,
  namespace: string,
): Promise<TorSource> {
  const ofKind = await readObjectFiles(files, stdin);
  const secrets = ofKind('secrets').filter(({ metadata }) => metadata.namespace === namespace);
  return {
    objects: {
      nodes: ofKind('nodes'),
      nodeStatuses: ofKind('nodeStatuses'),
      bgpConfigurations: ofKind('bgpConfigurations'),
      bgpPeers: ofKind('bgpPeers'),
      bgpFilters: ofKind('bgpFilters'),
      ipPools: ofKind('ipPools'),
    },
    secrets: async () => reader(new Map(secrets.map((secret) => [secret.metadata.name, secret]))),
  };
}

function reader(found: ReadonlyMap<string, ObjectOf['secrets']>): SecretReader {
  return (name, key) => {
    const value = found.get(name)?.data?.[key];
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
  };
}

function secretNames({ bgpPeers, bgpConfigurations }: TorObjects): ReadonlySet<string> {
  const named: readonly (BGPPassword | undefined)[] = [
    ...bgpPeers.map(({ spec }) => spec.password),
    ...bgpConfigurations.map(({ spec }) => spec.nodeMeshPassword),
  ];
  return new Set(named.flatMap((password) => password?.secretKeyRef?.name ?? []));
}
