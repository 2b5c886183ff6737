/**
 * The objects of a cluster, at rest: what a plan is made of, before a change and after it.
 *
 * A change is what `kubectl apply -f` or `kubectl delete -f` would do to the objects, without defaults that an API server fills in.
 */
import { kinds, type KindName, type ObjectOf } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import { UserError } from '../errors.js';
import { fieldDifferences, SERVER_FIELDS } from '../object-fields.js';
import { kindOf } from '../object-files.js';

export type Objects<K extends KindName> = ReadonlyMap<string, ObjectOf[K]>;

/** By kind, then by "name" or "namespace/name". A kind that is not there was not read, or has no objects. */
export type World = ReadonlyMap<KindName, ReadonlyMap<string, KubeObject>>;

export const ofKind = <K extends KindName>(world: World, kind: K): readonly ObjectOf[K][] => [
  ...((world.get(kind) ?? new Map()) as Objects<K>).values(),
];

/** One object that a change makes, changes or takes away. */
export interface ObjectChange {
  readonly kind: KindName;
  readonly key: string;
  readonly before: KubeObject | undefined;
  readonly after: KubeObject | undefined;
}

/** Objects of kinds that nothing here reads are passed over. */
export function worldOf(objects: Iterable<KubeObject>): World {
  const world = new Map<KindName, Map<string, KubeObject>>();
  for (const object of objects) {
    const kind = kindOf(object);
    if (kind === undefined) continue;
    const ofKind = world.get(kind) ?? new Map<string, KubeObject>();
    const placed = inNamespace(kind, object);
    world.set(kind, ofKind.set(keyOf(kind, placed), placed));
  }
  return world;
}

/** As kubectl does: a namespaced object that names no namespace is meant for "default". */
function inNamespace(kind: KindName, object: KubeObject): KubeObject {
  if (!kinds[kind].namespaced || (object.metadata.namespace ?? '') !== '') return object;
  return { ...object, metadata: { ...object.metadata, namespace: 'default' } };
}

const keyOf = (kind: KindName, { metadata: { namespace = '', name } }: KubeObject): string =>
  kinds[kind].namespaced ? `${namespace}/${name}` : name;

/** What `kubectl apply -f` of these objects would leave. @param now RFC 3339: when those that are new were made */
export function apply(
  world: World,
  given: Iterable<KubeObject>,
  now = `${new Date().toISOString().slice(0, 19)}Z`,
): readonly ObjectChange[] {
  return [...worldOf(given)].flatMap(([kind, objects]) =>
    [...objects].map(([key, object]): ObjectChange => {
      const before = world.get(kind)?.get(key);
      return { kind, key, before, after: before === undefined ? made(object, now) : applied(before, object) };
    }),
  );
}

/** What `kubectl delete -f` would. Objects that are not there are passed over. */
export function remove(world: World, given: Iterable<KubeObject>): readonly ObjectChange[] {
  return [...worldOf(given)].flatMap(([kind, objects]) =>
    [...objects.keys()].flatMap((key): readonly ObjectChange[] => {
      const before = world.get(kind)?.get(key);
      return before === undefined ? [] : [{ kind, key, before, after: undefined }];
    }),
  );
}

/** "rack=a" sets, "rack-" takes away, as `kubectl label node` has it. @throws UserError */
export function label(world: World, node: string, wish: string): ObjectChange {
  const before = nodeNamed(world, node);
  const labels = new Map(Object.entries(before.metadata.labels ?? {}));
  const [, key = '', value] = /^([^=]+)=(.*)$/.exec(wish) ?? [];
  if (value !== undefined) labels.set(key, value);
  else if (wish.length > 1 && wish.endsWith('-')) labels.delete(wish.slice(0, -1));
  else throw new UserError(`Cannot plan: --label is "${wish}"; expected KEY=VALUE, or KEY- to take a label away`, 2);
  const after = { ...before, metadata: { ...before.metadata, labels: Object.fromEntries(labels) } };
  return { kind: 'nodes', key: node, before, after };
}

/** As `kubectl cordon`. @throws UserError */
export function cordon(world: World, node: string): ObjectChange {
  const before = nodeNamed(world, node);
  const after = { ...before, spec: { ...(before as { spec?: object }).spec, unschedulable: true } };
  return { kind: 'nodes', key: node, before, after };
}

/** The Node, and what goes with it: its pods, the blocks that are its own, what it has told. @throws UserError */
export function removeNode(world: World, node: string): readonly ObjectChange[] {
  const gone = (kind: KindName, isOf: (object: KubeObject) => boolean): readonly ObjectChange[] =>
    [...(world.get(kind) ?? [])]
      .filter(([, object]) => isOf(object))
      .map(([key, before]) => ({ kind, key, before, after: undefined }));
  const specOf = (object: KubeObject): { readonly node?: string; readonly nodeName?: string } =>
    (object as { spec?: object }).spec ?? {};
  return [
    { kind: 'nodes', key: node, before: nodeNamed(world, node), after: undefined },
    ...gone('pods', (pod) => specOf(pod).nodeName === node),
    ...gone('ipamBlocks', (block) => specOf(block).node === node),
    ...gone('nodeAddresses', ({ metadata }) => metadata.name === node),
  ];
}

function nodeNamed(world: World, node: string): KubeObject {
  const found = world.get('nodes')?.get(node);
  if (found !== undefined) return found;
  const known = [...(world.get('nodes')?.keys() ?? [])].sort().slice(0, 10).join(', ');
  throw new UserError(
    `Cannot plan: there is no node "${node}"; expected one of: ${known === '' ? 'none is known' : known}`,
  );
}

export function changed(world: World, changes: readonly ObjectChange[]): World {
  const after = new Map([...world].map(([kind, objects]) => [kind, new Map(objects)]));
  for (const { kind, key, after: object } of changes) {
    const objects = after.get(kind) ?? new Map<string, KubeObject>();
    if (object === undefined) objects.delete(key);
    else objects.set(key, object);
    after.set(kind, objects);
  }
  return after;
}

/** Of two that cannot both be the older stands: this one is younger than all that is there. */
const made = (object: KubeObject, now: string): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, creationTimestamp: now },
});

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** kubectl's three-way merge: what is given, without what was given before and is no more, over what is there. Status stays. */
function applied(before: KubeObject, given: KubeObject): KubeObject {
  const { status: _ignored, ...wished } = given as KubeObject & { status?: unknown };
  const merged = merge(before, wished, lastApplied(before)) as KubeObject;
  const kept = Object.fromEntries(Object.entries(before.metadata).filter(([field]) => SERVER_FIELDS.includes(field)));
  return { ...merged, metadata: { ...merged.metadata, ...kept } };
}

function lastApplied({ metadata }: KubeObject): unknown {
  try {
    return JSON.parse(metadata.annotations?.[LAST_APPLIED] ?? '{}');
  } catch {
    // Not written by kubectl: it would not go by it either.
    return {};
  }
}

function merge(present: unknown, given: unknown, last: unknown): unknown {
  if (!isRecord(given)) return given;
  const there = isRecord(present) ? present : {};
  const former = isRecord(last) ? last : {};
  const kept = Object.entries(there).filter(([key]) => !(key in former) || key in given);
  const asked = Object.entries(given).map(([key, value]) => [key, merge(there[key], value, former[key])] as const);
  return Object.fromEntries([...kept, ...asked]);
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Fields whose values differ, as paths such as "spec.nodeSelector"; what only a server writes is none of them. */
export const changedFields = ({ before, after }: ObjectChange): readonly string[] =>
  before === undefined || after === undefined ? [] : fieldDifferences(before, after).map(({ path }) => path);
