/**
 * Deletion. An object leaves the store at once unless somebody has to finish first: finalizers, a pod's grace period (its
 * kubelet confirms with grace 0), a namespace's content. Until then it carries a deletionTimestamp.
 */
import { forbidden, preconditionFailed } from './api-error.js';
import { requireEntry, storeObject, type Cluster, type Target } from './cluster.js';
import { at, isArray, put, textAt, type Json, type JsonObject } from './json.js';
import { finalizersOf, isBeingDeleted, uidOf, type ApiObject } from './object.js';
import { formatTime } from './object-meta.js';
import type { Entry } from './store.js';
import { isFinished } from './write.js';

export type Propagation = 'Background' | 'Foreground' | 'Orphan';

export interface DeleteOptions {
  readonly graceSeconds: number | undefined;
  readonly propagation: Propagation;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly dryRun: boolean;
}

export const FOREGROUND_FINALIZER = 'foregroundDeletion';
export const ORPHAN_FINALIZER = 'orphan';

const PROTECTED_NAMESPACES: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);

export interface Deletion {
  readonly entry: Entry;
  /** False: it is marked and somebody has to finish. */
  readonly isGone: boolean;
}

export function deleteObject(cluster: Cluster, target: Target, options: DeleteOptions): Deletion {
  const { type } = target;
  const current = requireEntry(cluster, target);
  checkPreconditions(target, current, options);
  if (type.isNamespaceItself === true && PROTECTED_NAMESPACES.has(target.name))
    throw forbidden(type, target.name, 'this namespace may not be deleted');
  const marked = mark(cluster, target, current.object, options);
  if (options.dryRun) return { entry: current, isGone: isFinished(marked) };
  if (isFinished(marked)) return { entry: cluster.store.remove(type.bucket, current.key) ?? current, isGone: true };
  return {
    entry: marked === current.object ? current : storeObject(cluster, type, current.key, marked),
    isGone: false,
  };
}

function checkPreconditions(target: Target, current: Entry, options: DeleteOptions): void {
  const { type, name } = target;
  const [uid, version] = [uidOf(current.object), String(current.revision)];
  if (options.uid !== undefined && options.uid !== uid) throw preconditionFailed(type, name, 'UID', options.uid, uid);
  if (options.resourceVersion !== undefined && options.resourceVersion !== version)
    throw preconditionFailed(type, name, 'ResourceVersion', options.resourceVersion, version);
}

/** The object with its deletion requested; unchanged when that was so already and nothing got shorter. */
function mark(cluster: Cluster, target: Target, object: ApiObject, options: DeleteOptions): ApiObject {
  const { type } = target;
  const grace = type.strategy.graceSeconds?.(object, options.graceSeconds) ?? 0;
  const before = at(object, 'metadata', 'deletionGracePeriodSeconds');
  const isMarked = isBeingDeleted(object);
  const withFinalizers = isMarked
    ? object
    : put(object, ['metadata', 'finalizers'], finalizersFor(object, options.propagation));
  const shortened = isMarked && typeof before === 'number' && grace >= before;
  if (shortened) return withFinalizers;
  const timed = put(withFinalizers, ['metadata', 'deletionTimestamp'], formatTime(cluster.now() + grace * 1000));
  const stamped = put(timed, ['metadata', 'deletionGracePeriodSeconds'], grace);
  const counted = isMarked ? stamped : put(stamped, ['metadata', 'generation'], generationOf(object) + 1);
  return type.isNamespaceItself === true ? put(counted, ['status', 'phase'], 'Terminating') : counted;
}

const generationOf = (object: ApiObject): number => {
  const generation = at(object, 'metadata', 'generation');
  return typeof generation === 'number' ? generation : 0;
};

function finalizersFor(object: ApiObject, propagation: Propagation): Json | undefined {
  const kept = finalizersOf(object).filter((name) => name !== FOREGROUND_FINALIZER && name !== ORPHAN_FINALIZER);
  const added =
    propagation === 'Foreground' ? [FOREGROUND_FINALIZER] : propagation === 'Orphan' ? [ORPHAN_FINALIZER] : [];
  const all = [...kept, ...added];
  return all.length === 0 ? undefined : all;
}

/** The body and query of a DELETE request. */
export function parseDeleteOptions(body: Json | undefined, query: URLSearchParams): DeleteOptions {
  const grace = at(body, 'gracePeriodSeconds') ?? numberOf(query.get('gracePeriodSeconds'));
  const policy = textAt(body, 'propagationPolicy') ?? query.get('propagationPolicy') ?? undefined;
  const orphan = at(body, 'orphanDependents') ?? query.get('orphanDependents') === 'true';
  const dryRun = at(body, 'dryRun');
  return {
    graceSeconds: typeof grace === 'number' ? grace : undefined,
    propagation: policy === 'Foreground' || policy === 'Orphan' ? policy : orphan === true ? 'Orphan' : 'Background',
    uid: textAt(body, 'preconditions', 'uid'),
    resourceVersion: textAt(body, 'preconditions', 'resourceVersion'),
    dryRun: (isArray(dryRun) && dryRun.includes('All')) || query.getAll('dryRun').includes('All'),
  };
}

const numberOf = (text: string | null): number | undefined =>
  text === null || !/^[0-9]+$/.test(text) ? undefined : Number(text);

/** What DELETE answers when the object is gone. */
export function deletedStatus(target: Target, object: JsonObject): JsonObject {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name: target.name, group: target.type.group, kind: target.type.plural, uid: uidOf(object) },
  };
}
