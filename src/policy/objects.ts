/**
 * The objects that a question about policy is asked of: files and streams as `kubectl get -o json|yaml` writes them, or a live
 * API server. Read once, told to an engine as events.
 */
import {
  objectKindOf,
  PolicyEngine,
  type KubeObject,
  type ObjectKind,
  type PodObject,
  type PolicyEvent,
} from '@tortie/policy';
import { UserError } from '../errors.js';
import { parseKubectlYaml } from '../kubectl-yaml.js';
import { readText } from '../object-files.js';

export interface LoadedObject {
  readonly kind: ObjectKind;
  readonly object: KubeObject;
}

/** Objects of the kinds that policy looks at; others are passed over. `-` reads `stdin`. @throws UserError */
export async function readObjects(
  files: readonly string[],
  stdin: AsyncIterable<Buffer | string>,
): Promise<readonly LoadedObject[]> {
  const loaded: LoadedObject[] = [];
  for (const file of files)
    for (const object of parseObjects(await readText(file, stdin), file === '-' ? 'standard input' : file))
      loaded.push(object);
  return loaded;
}

/** YAML as kubectl reads it, JSON, several of either; a List stands for its items. */
export function parseObjects(text: string, from: string): readonly LoadedObject[] {
  const loaded: LoadedObject[] = [];
  for (const value of parseKubectlYaml(text, from)) collect(value, from, loaded);
  return loaded;
}

function collect(value: unknown, from: string, into: LoadedObject[]): void {
  if (value === null || value === undefined) return;
  if (typeof value !== 'object' || Array.isArray(value))
    throw new UserError(`Cannot read ${from}: expected Kubernetes objects`);
  const object = value as KubeObject & { readonly items?: unknown };
  if (Array.isArray(object.items)) {
    // Items of a typed list ("PodList") carry no kind of their own.
    const itemKind =
      object.kind?.endsWith('List') === true && object.kind !== 'List' ? object.kind.slice(0, -4) : undefined;
    for (const item of object.items)
      collect(
        itemKind === undefined || hasKind(item)
          ? item
          : { apiVersion: object.apiVersion, kind: itemKind, ...(item as object) },
        from,
        into,
      );
    return;
  }
  if (!hasKind(object)) throw new UserError(`Cannot read ${from}: an object has no apiVersion and kind`);
  const kind = objectKindOf(object);
  if (kind === undefined) return;
  if (typeof object.metadata?.name !== 'string')
    throw new UserError(
      `Cannot read ${from}: metadata.name of a ${object.kind} is ${JSON.stringify(object.metadata?.name) ?? 'missing'}; expected ` +
        'a text (kubectl reads y, n, on, off, yes and no as booleans and 012 as 10: quote them)',
    );
  into.push({ kind, object: withNamespace(kind, object) });
}

const hasKind = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'kind' in value && 'apiVersion' in value;

const CLUSTER_KINDS: ReadonlySet<ObjectKind> = new Set<ObjectKind>([
  'Namespace',
  'Node',
  'ClusterNetworkPolicy',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'GlobalNetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'Tier',
  'GlobalNetworkSet',
  'HostEndpoint',
]);

/** As kubectl does: a namespaced object that names no namespace is meant for "default". */
function withNamespace(kind: ObjectKind, object: KubeObject): KubeObject {
  if (CLUSTER_KINDS.has(kind) || (object.metadata?.namespace ?? '') !== '') return object;
  return { ...object, metadata: { ...object.metadata, namespace: 'default' } };
}

/** Later objects replace earlier ones of the same identity. */
export const eventsOf = (objects: readonly LoadedObject[]): readonly PolicyEvent[] =>
  objects.map(({ kind, object }) => ({ type: 'upsert', kind, object }));

/** The events that take these objects away. */
export const deletionsOf = (objects: readonly LoadedObject[]): readonly PolicyEvent[] =>
  objects.map(({ kind, object }) => ({
    type: 'delete',
    kind,
    name: object.metadata?.name ?? '',
    ...(object.metadata?.namespace === undefined ? {} : { namespace: object.metadata.namespace }),
  }));

export const podsOf = (objects: readonly LoadedObject[]): readonly PodObject[] => [
  ...new Map(
    objects
      .filter((one) => one.kind === 'Pod')
      .map((one) => [`${one.object.metadata?.namespace}/${one.object.metadata?.name}`, one.object as PodObject]),
  ).values(),
];

/**
 * Namespaces that pods are in and that were not given, with no labels but their name. Without them the engine would, rightly, let
 * nothing into such pods.
 */
export function missingNamespaces(objects: readonly LoadedObject[]): readonly LoadedObject[] {
  const known = new Set(objects.filter((one) => one.kind === 'Namespace').map((one) => one.object.metadata?.name));
  const wanted = new Set(
    objects.filter((one) => one.kind === 'Pod').map((one) => one.object.metadata?.namespace ?? 'default'),
  );
  return [...wanted]
    .filter((name) => !known.has(name))
    .map((name) => ({ kind: 'Namespace', object: { metadata: { name } } }));
}

export function engineOf(events: readonly PolicyEvent[]): PolicyEngine {
  const engine = new PolicyEngine();
  for (const event of events) engine.apply(event);
  return engine;
}
