/**
 * Creating and removing the lab's objects in an API server, which may be the embedded one or somebody's real cluster: an
 * object that is there already and is not this lab's is never touched.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Change } from '../api/change.js';
import { apiVersionOf, kinds, resourcePath, type ResourceKind } from '../api/kinds.js';
import type { KubeList, KubeObject } from '../api/meta.js';
import { ApiError } from '../datastore/datastore.js';
import type { KubernetesClient } from '../datastore/kubernetes-client.js';
import { UserError } from '../errors.js';
import { parseKubectlYaml } from '../kubectl-yaml.js';
import { LAB_LABEL, type RackObject } from './rack-objects.js';
import { packageFile } from './tortie-argv.js';

const CRD: ResourceKind = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
};
const ESTABLISHED_WITHIN = 15_000;

/** Installs Tortie's CRDs; those that the server has already stay as they are. Settles when all are served. */
export async function createCrds(client: KubernetesClient, lab: string): Promise<void> {
  const directory = packageFile('manifests/crds');
  const files = (await readdir(directory)).filter((file) => file.endsWith('.yaml')).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')));
  const objects = texts
    .flatMap((text) => parseKubectlYaml(text, directory) as readonly (KubeObject | null)[])
    .filter((object): object is KubeObject => object !== null);
  for (const object of objects) await createUnlessThere(client, CRD, labelled(object, lab));
  for (const object of objects) await established(client, object.metadata.name);
}

async function established(client: KubernetesClient, name: string): Promise<void> {
  const deadline = Date.now() + ESTABLISHED_WITHIN;
  for (;;) {
    const crd = await client.request<{
      status?: { conditions?: readonly { type: string; status: string; message?: string }[] };
    }>('GET', resourcePath(CRD, undefined, name));
    const conditions = crd.status?.conditions ?? [];
    if (conditions.some(({ type, status }) => type === 'Established' && status === 'True')) return;
    if (Date.now() > deadline)
      throw new Error(
        `Cannot use CRD "${name}": the API server did not establish it within ${ESTABLISHED_WITHIN / 1000} s: ` +
          `${JSON.stringify(conditions)}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Creates an object of the rack, status included. A namespace that is there already is used; anything else is refused. */
export async function createObject(client: KubernetesClient, { kind, object }: RackObject): Promise<void> {
  const resource = kinds[kind];
  const isNew = await createUnlessThere(client, resource, object);
  if (!isNew && kind !== 'namespaces')
    throw new UserError(
      `Cannot create ${resource.kind} "${object.metadata.name}": the API server has one that is not this lab's; ` +
        'expected a cluster without it',
    );
  if (isNew && 'status' in object) {
    const path = `${resourcePath(resource, object.metadata.namespace, object.metadata.name)}/status`;
    await client.request('PATCH', path, {
      contentType: 'application/merge-patch+json',
      value: { status: object.status },
    });
  }
}

/** False when the server has it already. */
async function createUnlessThere(
  client: KubernetesClient,
  resource: ResourceKind,
  object: KubeObject,
): Promise<boolean> {
  try {
    const value = { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
    await client.request('POST', resourcePath(resource, object.metadata.namespace), {
      contentType: 'application/json',
      value,
    });
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.reason === 'AlreadyExists') return false;
    throw error;
  }
}

/** In this order: what uses comes before what is used. CRDs take the objects of their kinds with them. */
const REMOVED = [
  kinds.pods,
  kinds.bgpPeers,
  kinds.bgpConfigurations,
  kinds.ipPools,
  kinds.secrets,
  kinds.leases,
  kinds.nodes,
  kinds.namespaces,
  CRD,
] as const;

/** Takes everything away that carries the lab's label, and what its nodes wrote about themselves. */
export async function removeObjects(client: KubernetesClient, lab: string, nodes: readonly string[]): Promise<void> {
  const selector = `labelSelector=${encodeURIComponent(`${LAB_LABEL}=${lab}`)}`;
  await removeNodeRecords(client, new Set(nodes));
  for (const resource of REMOVED) {
    for (const object of await listUnlessUnknown(client, resource, selector)) {
      const value = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        ...(resource.kind === 'Pod' ? { gracePeriodSeconds: 0 } : {}),
      };
      await removeUnlessGone(client, resource, object, value);
    }
  }
}

/** Blocks and status of the lab's nodes carry no label: the agents wrote them. */
async function removeNodeRecords(client: KubernetesClient, nodes: ReadonlySet<string>): Promise<void> {
  const statuses = await listUnlessUnknown(client, kinds.nodeStatuses, '');
  const blocks = await listUnlessUnknown(client, kinds.ipamBlocks, '');
  const ofNode = (object: KubeObject): string => (object as { spec?: { node?: string } }).spec?.node ?? '';
  for (const object of statuses)
    if (nodes.has(object.metadata.name)) await removeUnlessGone(client, kinds.nodeStatuses, object, {});
  for (const object of await listUnlessUnknown(client, kinds.nodeAddresses, ''))
    if (nodes.has(object.metadata.name)) await removeUnlessGone(client, kinds.nodeAddresses, object, {});
  // What was tried out on this lab is of no use to another.
  for (const object of await listUnlessUnknown(client, kinds.changes, ''))
    if (nodesOf(object).some((name) => nodes.has(name))) await removeUnlessGone(client, kinds.changes, object, {});
  for (const object of blocks)
    if (nodes.has(ofNode(object))) await removeUnlessGone(client, kinds.ipamBlocks, object, {});
}

const nodesOf = (object: KubeObject): readonly string[] =>
  ((object as Change).status?.nodes ?? []).map(({ name }) => name);

async function listUnlessUnknown(
  client: KubernetesClient,
  resource: ResourceKind,
  query: string,
): Promise<readonly KubeObject[]> {
  try {
    return (
      await client.request<KubeList<KubeObject>>('GET', `${resourcePath(resource)}${query === '' ? '' : `?${query}`}`)
    ).items;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return [];
    throw error;
  }
}

async function removeUnlessGone(
  client: KubernetesClient,
  resource: ResourceKind,
  object: KubeObject,
  value: unknown,
): Promise<void> {
  try {
    await client.request('DELETE', resourcePath(resource, object.metadata.namespace, object.metadata.name), {
      contentType: 'application/json',
      value,
    });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
}

const labelled = (object: KubeObject, lab: string): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, labels: { ...object.metadata.labels, [LAB_LABEL]: lab } },
});
