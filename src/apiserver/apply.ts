/**
 * Server-side apply: an applier states the fields it cares about, whole. They are merged into the live object; fields it
 * stated last time and no longer does go, unless somebody else owns them; changing what somebody else owns is a conflict
 * until it is forced.
 */
import { ApiError, applyConflict, badRequest, type Problem } from './api-error.js';
import { findEntry, type Cluster, type Target, type WriteOptions } from './cluster.js';
import { decodeResource } from './decode-resource.js';
import { difference, emptySet, isSameSet, union, type FieldSet } from './field-set.js';
import { listAt, put, textAt, type JsonObject } from './json.js';
import {
  appliedFields,
  comparison,
  conflictsOf,
  identityOf,
  ownedThrough,
  parseManagers,
  withManagers,
  withReset,
  yieldFields,
  type Manager,
} from './managed-fields.js';
import { formatTime } from './object-meta.js';
import type { ApiObject } from './object.js';
import { apiVersionOf } from './resource-type.js';
import type { Entry } from './store.js';
import { mergeFields, removeFields, withParents } from './typed-fields.js';
import { joinTypedProblems, typedProblems } from './typed-problems.js';
import { insert, replace, type PatchResult } from './write.js';

export function applyObject(cluster: Cluster, target: Target, body: JsonObject, options: WriteOptions): PatchResult {
  if (options.fieldManager === '')
    throw badRequest(
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    );
  if (listAt(body, 'metadata', 'managedFields').length > 0) throw badRequest('metadata.managedFields must be nil');
  if (textAt(body, 'apiVersion') === undefined || textAt(body, 'kind') === undefined)
    throw badRequest('Cannot apply: expected the object to name its apiVersion and kind');
  const applied = decodeResource(
    target,
    put(body, ['metadata', 'name'], textAt(body, 'metadata', 'name') ?? target.name),
    options,
  );
  requireTyped(target, applied, 'patch');
  const name = textAt(applied, 'metadata', 'name') ?? '';
  if (name !== target.name) throw badRequest(`name in URL does not match name in the body: ${target.name} and ${name}`);
  const current = findEntry(cluster, target);
  if (current === undefined) return { entry: createApplied(cluster, target, applied, options), isCreated: true };
  return { entry: updateApplied(cluster, target, current, applied, options), isCreated: false };
}

/** Upstream answers 500 with these words (k8s.io/apimachinery managedfields/internal/structuredmerge.go). */
function requireTyped(target: Target, object: ApiObject, which: 'patch' | 'live'): void {
  const problems = typedProblems(target.type.schema, object, { allowsDuplicates: which === 'live' });
  if (problems.length === 0) return;
  const { group, version, kind } = target.type;
  const what = `${target.namespace ?? ''}/${target.name}; ${group}/${version}, Kind=${kind}`;
  throw new ApiError(500, '', `failed to create typed ${which} object (${what}): ${joinTypedProblems(problems)}`);
}

function createApplied(cluster: Cluster, target: Target, applied: ApiObject, options: WriteOptions): Entry {
  if (target.subresource !== '')
    throw new ApiError(404, 'NotFound', `${target.type.plural} "${target.name}" not found`);
  const me = applier(
    target,
    options,
    ownedThrough(target.type, target.subresource, appliedFields(target.type, applied)),
    formatTime(cluster.now()),
  );
  return insert(cluster, target, applied, options, (object) => withManagers(object, [me]));
}

function updateApplied(
  cluster: Cluster,
  target: Target,
  current: Entry,
  applied: ApiObject,
  options: WriteOptions,
): Entry {
  const { type } = target;
  const live = current.object;
  requireTyped(target, live, 'live');
  const fields = ownedThrough(type, target.subresource, appliedFields(type, applied));
  const managers = withReset(parseManagers(live));
  const wanted = identityOf(applier(target, options, emptySet, ''));
  const before = managers.find((manager) => identityOf(manager) === wanted);
  const others = managers.filter((manager) => manager !== before);
  const merged = mergeFields(type.schema, live, scoped(target, applied)) as ApiObject;
  const change = comparison(type, live, merged);
  const changed = union(change.added, change.modified);
  if (!options.force) refuseConflicts(others, changed);
  const pruned = prune(target, merged, before?.fields ?? emptySet, fields, others);
  const removed = comparison(type, merged, pruned).removed;
  const time = before !== undefined && isSameSet(before.fields, fields) ? before.time : formatTime(cluster.now());
  const managersAfter = [...yieldFields(others, changed, removed), applier(target, options, fields, time)];
  const sentVersion = textAt(applied, 'metadata', 'resourceVersion');
  const sent = sentVersion === undefined ? pruned : put(pruned, ['metadata', 'resourceVersion'], sentVersion);
  return replace(cluster, target, current, sent, options, (object) => withManagers(object, managersAfter));
}

const applier = (target: Target, options: WriteOptions, fields: FieldSet, time: string): Manager => ({
  name: options.fieldManager,
  operation: 'Apply',
  apiVersion: apiVersionOf(target.type),
  subresource: target.subresource,
  time,
  fields,
});

/** The part of an applied configuration that counts: through /status only the status, through the object all but it. */
function scoped(target: Target, applied: ApiObject): ApiObject {
  if (target.subresource === 'status') return applied['status'] === undefined ? {} : { status: applied['status'] };
  return target.type.hasStatus ? put(applied, ['status'], undefined) : applied;
}

function refuseConflicts(others: readonly Manager[], changed: FieldSet): void {
  const conflicts = conflictsOf(others, changed);
  if (conflicts.length === 0) return;
  throw applyConflict(
    conflicts.map(
      ({ manager, field }): Problem => ({ type: 'FieldManagerConflict', field, message: `conflict with ${manager}` }),
    ),
  );
}

/** Takes out what this applier stated last time and nobody states now. */
function prune(
  target: Target,
  merged: ApiObject,
  before: FieldSet,
  now: FieldSet,
  others: readonly Manager[],
): ApiObject {
  const { schema } = target.type;
  const owned = others.reduce((set, manager) => union(set, manager.fields), now);
  const orphaned = difference(withParents(schema, before), withParents(schema, owned));
  return removeFields(schema, merged, orphaned) as ApiObject;
}
