/** The objects of a live cluster that a plan is made of, read once. Nothing is written, and no Secret but those that peers name. */
import { POLICY_KINDS } from '../agent/policy-events.js';
import { apiVersionOf, kinds, type KindName } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { ofKind, worldOf, type World } from './world.js';

/** What the agents go by. */
const READ: readonly KindName[] = [
  ...POLICY_KINDS.keys(),
  'services',
  'ipPools',
  'ipReservations',
  'bgpConfigurations',
  'bgpPeers',
  'bgpFilters',
  'ipamBlocks',
  'nodeAddresses',
];

/** @param secretNamespace where agents look for passwords @throws ApiError */
export async function readWorld(datastore: Pick<Datastore, 'list' | 'get'>, secretNamespace: string): Promise<World> {
  const lists = await Promise.all(READ.map((kind) => readKind(datastore, kind)));
  const world = new Map(worldOf(lists.flat()));
  const secrets = await readSecrets(datastore, secretsNamed(world), secretNamespace);
  if (secrets !== undefined) world.set('secrets', secrets);
  return world;
}

/** A kind that the server does not serve has no objects. */
export async function readKind(datastore: Pick<Datastore, 'list'>, kind: KindName): Promise<readonly KubeObject[]> {
  try {
    const typed = { apiVersion: apiVersionOf(kinds[kind]), kind: kinds[kind].kind };
    return (await datastore.list(kind)).map((object) => ({ ...object, ...typed }));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return [];
    throw error;
  }
}

function secretsNamed(world: World): ReadonlySet<string> {
  const names = [
    ...ofKind(world, 'bgpPeers').map(({ spec }) => spec.password?.secretKeyRef?.name),
    ...ofKind(world, 'bgpConfigurations').map(({ spec }) => spec.nodeMeshPassword?.secretKeyRef?.name),
  ];
  return new Set(names.filter((name) => name !== undefined && name !== '') as readonly string[]);
}

/** Undefined: they may not be read. */
async function readSecrets(
  datastore: Pick<Datastore, 'get'>,
  names: ReadonlySet<string>,
  namespace: string,
): Promise<ReadonlyMap<string, KubeObject> | undefined> {
  const secrets = new Map<string, KubeObject>();
  for (const name of names)
    try {
      const secret = await datastore.get('secrets', name, namespace);
      if (secret !== undefined) secrets.set(`${namespace}/${name}`, secret);
    } catch (error) {
      if (error instanceof ApiError && error.status === 403) return undefined;
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  return secrets;
}
