/**
 * Creating and changing objects. One path for every way of writing: decode, complete, validate, record who set what,
 * compare-and-swap, store.
 */
import {
  alreadyExists,
  badRequest,
  forbidden,
  invalid,
  invalidValue,
  notFound,
  preconditionFailed,
  staleVersion,
  type Problem,
} from './api-error.js';
import { checkRules } from './cel-rules.js';
import { NAMESPACES, requireEntry, storeObject, type Cluster, type Target, type WriteOptions } from './cluster.js';
import { decodeResource } from './decode-resource.js';
import { applyDefaults } from './defaults.js';
import { at, isEqual, listAt, objectAt, put, type Json } from './json.js';
import { recordUpdate } from './managed-fields.js';
import { finalizersOf, isBeingDeleted, nameOf, uidOf, versionOf, type ApiObject } from './object.js';
import { carryOver, countGeneration, stampNew, validateMeta, validateMetaUpdate } from './object-meta.js';
import type { ResourceType } from './resource-type.js';
import { Entry, keyOf } from './store.js';
import { validateValue } from './validate.js';

/** What a patch or an apply came to. */
export interface PatchResult {
  readonly entry: Entry;
  readonly isCreated: boolean;
}

/** Adds managedFields to an object about to be stored. */
export type Recorder = (object: ApiObject) => ApiObject;

/** Creates an object from a request's body. */
export function createObject(cluster: Cluster, target: Target, body: Json | undefined, options: WriteOptions): Entry {
  const decoded = decodeResource(target, body, options);
  if (versionOf(decoded) !== '') throw badRequest('resourceVersion should not be set on objects to be created');
  return insert(cluster, target, decoded, options, (object) =>
    recordUpdate(target.type, undefined, object, {
      manager: options.fieldManager,
      subresource: '',
      now: cluster.now(),
    }),
  );
}

/** Stores a decoded object under a new name. `record` adds managedFields. */
export function insert(
  cluster: Cluster,
  target: Target,
  decoded: ApiObject,
  options: WriteOptions,
  record: Recorder,
): Entry {
  const { type, namespace } = target;
  if (namespace !== undefined) requireOpenNamespace(cluster, type, namespace, nameOf(decoded));
  const stamped = stampNew(decoded, namespace, cluster.now());
  const withoutStatus = type.hasStatus && type.manner === 'structural' ? put(stamped, ['status'], undefined) : stamped;
  const defaulted = applyDefaults(type.schema, withoutStatus);
  const object = type.strategy.prepareCreate?.(defaulted) ?? defaulted;
  const name = nameOf(object);
  throwProblems(type, name, [...validateMeta(type, object), ...validateBody(type, object, undefined)]);
  const key = keyOf(namespace, name);
  if (cluster.store.get(type.bucket, key) !== undefined) throw alreadyExists(type, name);
  const recorded = record(type.strategy.allocate?.(object, cluster.store.list(type.bucket)) ?? object);
  return options.dryRun ? new Entry(key, recorded, 0) : storeObject(cluster, type, key, recorded);
}

function requireOpenNamespace(cluster: Cluster, type: ResourceType, namespace: string, name: string): void {
  const found = cluster.store.get('namespaces', namespace);
  if (found === undefined) throw notFound(NAMESPACES, namespace);
  if (isBeingDeleted(found.object))
    throw forbidden(
      type,
      name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
    );
}

/** Replaces an object, or only its status, by a request's body (PUT). */
export function updateObject(cluster: Cluster, target: Target, body: Json | undefined, options: WriteOptions): Entry {
  const current = requireEntry(cluster, target);
  const decoded = decodeResource(target, body, options);
  const name = nameOf(decoded);
  if (name !== target.name)
    throw badRequest(`the name of the object (${name}) does not match the name on the URL (${target.name})`);
  if (target.type.manner === 'structural' && versionOf(decoded) === '')
    throw invalid(target.type, target.name, [
      invalidValue('metadata.resourceVersion', 0, 'must be specified for an update'),
    ]);
  return replace(cluster, target, current, decoded, options);
}

/** Stores a decoded new version of `current`; `record` adds managedFields (default: an update by options.fieldManager). */
export function replace(
  cluster: Cluster,
  target: Target,
  current: Entry,
  sent: ApiObject,
  options: WriteOptions,
  record?: Recorder,
): Entry {
  const { type } = target;
  const old = current.object;
  checkVersion(target, sent, current);
  const carried = carryOver(partOf(target, sent, old), old);
  const defaulted = applyDefaults(type.schema, carried);
  const prepared = type.strategy.prepareUpdate?.(defaulted, old) ?? defaulted;
  const allocated = type.strategy.allocate?.(prepared, cluster.store.list(type.bucket)) ?? prepared;
  const object = type.strategy.countsGenerations === false ? allocated : countGeneration(allocated, old);
  const judged = target.subresource === 'status' ? object : put(object, ['metadata'], objectAt(sent, 'metadata'));
  throwProblems(type, target.name, [...validateMetaUpdate(type, judged, old), ...validateBody(type, object, old)]);
  const recorded =
    record?.(object) ??
    recordUpdate(type, old, object, {
      manager: options.fieldManager,
      subresource: target.subresource,
      now: cluster.now(),
    });
  if (isEqual(withoutManagers(recorded), withoutManagers(old)) && sameManagers(recorded, old)) return current;
  if (options.dryRun) return new Entry(current.key, recorded, current.revision);
  if (isFinished(recorded)) return cluster.store.remove(type.bucket, current.key) ?? current;
  return storeObject(cluster, type, current.key, recorded);
}

/** What of a sent object counts: through /status only the status (metadata stays), through the object all but the status. */
function partOf(target: Target, sent: ApiObject, old: ApiObject): ApiObject {
  if (target.subresource !== 'status') return target.type.hasStatus ? put(sent, ['status'], at(old, 'status')) : sent;
  const managers = at(sent, 'metadata', 'managedFields') ?? at(old, 'metadata', 'managedFields');
  return put(put(old, ['status'], at(sent, 'status')), ['metadata', 'managedFields'], managers);
}

function checkVersion(target: Target, sent: ApiObject, current: Entry): void {
  const seen = versionOf(sent);
  if (seen !== '' && seen !== String(current.revision)) throw staleVersion(target.type, target.name);
  const [uid, stored] = [uidOf(sent), uidOf(current.object)];
  if (uid !== '' && uid !== stored) throw preconditionFailed(target.type, target.name, 'UID', uid, stored);
}

function validateBody(type: ResourceType, object: ApiObject, old: ApiObject | undefined): readonly Problem[] {
  const body = put(object, ['metadata'], undefined);
  const isStructural = type.manner === 'structural';
  const schemaProblems = validateValue(type.schema, isStructural ? put(body, ['metadata'], {}) : body, '', {
    requiredFields: isStructural,
  });
  const problems = [...schemaProblems, ...(type.strategy.validate?.(object, old) ?? [])];
  return problems.length > 0 || !isStructural ? problems : checkRules(type.schema, object, old);
}

function throwProblems(type: ResourceType, name: string, problems: readonly Problem[]): void {
  if (problems.length > 0) throw invalid(type, name, problems);
}

/** Being deleted, and nobody holds it any more. (Namespaces are held by spec.finalizers too.) */
export const isFinished = (object: ApiObject): boolean =>
  isBeingDeleted(object) &&
  finalizersOf(object).length === 0 &&
  listAt(object, 'spec', 'finalizers').length === 0 &&
  (at(object, 'metadata', 'deletionGracePeriodSeconds') ?? 0) === 0;

const withoutManagers = (object: ApiObject): ApiObject => put(object, ['metadata', 'managedFields'], undefined);

/** The same owners of the same fields; when they last wrote does not count. */
function sameManagers(left: ApiObject, right: ApiObject): boolean {
  const timeless = (object: ApiObject): readonly Json[] =>
    listAt(object, 'metadata', 'managedFields').map((entry) => put(entry as ApiObject, ['time'], undefined));
  return isEqual(timeless(left), timeless(right));
}
