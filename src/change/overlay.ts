/**
 * What a node sees of an object while a Change is on trial there. Pure: the plain object and an entry of the Change in, the object as it
 * is seen out. What servers alone write (uid, times, status) stays the plain object's.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Change, ChangeEntry } from '../api/change.js';
import { apiVersionOf, kinds, USER_KINDS, type KindName } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';

/** What a Change may carry: what agents go by and users write. No Secrets: whoever reads a Change would read them. */
export const CHANGE_KINDS: readonly KindName[] = ['nodes', 'namespaces', 'services', 'networkPolicies', ...USER_KINDS];
/** Others write the rest of them all the time. */
export const LABELLED_KINDS: readonly KindName[] = ['nodes', 'namespaces'];

/** An entry, by the kind that it is about. */
export interface Layer {
  readonly kind: KindName;
  readonly entry: ChangeEntry;
  /** Of the Change: when what it makes new was made. */
  readonly madeAt: string;
}

/** By `layerKey`. */
export type Layers = ReadonlyMap<string, Layer>;

export const layerKey = (
  kind: KindName,
  { namespace = '', name }: { readonly namespace?: string; readonly name: string },
): string => `${kind} ${namespace}/${name}`;

/** The kind of an entry; undefined: none that a Change may carry. */
export const kindOfEntry = ({ apiVersion, kind }: Pick<ChangeEntry, 'apiVersion' | 'kind'>): KindName | undefined =>
  CHANGE_KINDS.find((each) => kinds[each].kind === kind && apiVersionOf(kinds[each]) === apiVersion);

/** Why this entry cannot be used; undefined when it can. */
export function entryProblem(entry: ChangeEntry): string | undefined {
  const kind = kindOfEntry(entry);
  if (kind === undefined)
    return `is a ${entry.kind} of ${entry.apiVersion}; expected one of ${CHANGE_KINDS.map((each) => kinds[each].kind).join(', ')}`;
  const isLabels = entry.labels !== undefined || entry.removedLabels !== undefined;
  if (isLabels !== LABELLED_KINDS.includes(kind))
    return isLabels
      ? `changes labels of a ${entry.kind}; expected its whole object, or remove`
      : `is a ${entry.kind}; expected labels or removedLabels, and nothing else of it`;
  const metadata = (entry.object as Partial<KubeObject> | undefined)?.metadata;
  if (entry.object !== undefined && (metadata?.name !== entry.name || metadata.namespace !== entry.namespace))
    return `has object.metadata.name "${metadata?.name ?? ''}"; expected "${entry.name}"`;
  return undefined;
}

/** @throws never: entries that cannot be used are `entryProblem`'s, and left out */
export function layersOf({ spec, metadata }: Change): Layers {
  const layers = new Map<string, Layer>();
  for (const entry of spec.objects ?? []) {
    const kind = kindOfEntry(entry);
    if (kind === undefined || entryProblem(entry) !== undefined) continue;
    layers.set(layerKey(kind, entry), { kind, entry, madeAt: metadata.creationTimestamp ?? '' });
  }
  return layers;
}

/** The object as it is seen; undefined: there is none to be seen. */
export function seenThrough({ entry, madeAt }: Layer, plain: KubeObject | undefined): KubeObject | undefined {
  if (entry.remove === true) return undefined;
  if (entry.object === undefined) return plain === undefined ? undefined : relabelled(plain, entry);
  const { metadata, ...rest } = entry.object as unknown as KubeObject;
  const { labels, annotations } = metadata;
  const server: KubeObject['metadata'] = plain?.metadata ?? {
    name: entry.name,
    ...(entry.namespace === undefined ? {} : { namespace: entry.namespace }),
    uid: `change-${entry.name}`,
    creationTimestamp: madeAt,
  };
  const { labels: _labels, annotations: _annotations, generation: _generation, ...kept } = server;
  const status = (plain as { readonly status?: unknown } | undefined)?.status;
  return {
    ...rest,
    metadata: { ...kept, ...(labels && { labels }), ...(annotations && { annotations }) },
    ...(status === undefined ? {} : { status }),
  } as KubeObject;
}

/** A generation would say that nothing but the status is new. */
function relabelled(plain: KubeObject, { labels, removedLabels = [] }: ChangeEntry): KubeObject {
  const { generation: _generation, ...metadata } = plain.metadata;
  const kept = Object.entries(metadata.labels ?? {}).filter(([key]) => !removedLabels.includes(key));
  return { ...plain, metadata: { ...metadata, labels: { ...Object.fromEntries(kept), ...labels } } };
}

/** Is the plain object as the layer has it? Then taking the layer away changes nothing. */
export function isAsWished(seen: KubeObject | undefined, plain: KubeObject | undefined): boolean {
  if (seen === undefined || plain === undefined) return seen === plain;
  return isDeepStrictEqual(wishOf(seen), wishOf(plain));
}

/** What users say of an object: not what servers do. Order of keys and what is undefined are nothing. */
function wishOf(object: KubeObject): unknown {
  const {
    metadata,
    status: _status,
    apiVersion: _apiVersion,
    kind: _kind,
    ...rest
  } = object as KubeObject & { readonly status?: unknown };
  const { labels = {}, annotations = {} } = metadata;
  return JSON.parse(JSON.stringify({ ...rest, labels, annotations }));
}
