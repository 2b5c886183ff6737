/**
 * metadata: what the server fills in, what it keeps from the stored object, and what it refuses
 * (k8s.io/apimachinery/pkg/api/validation/objectmeta.go, k8s.io/apiserver/pkg/registry/rest).
 */
import { randomUUID } from 'node:crypto';
import { duplicate, forbiddenField, invalidValue, required, type Problem } from './api-error.js';
import {
  draft,
  isArray,
  isEqual,
  isObject,
  listAt,
  objectAt,
  put,
  textAt,
  type Json,
  type JsonObject,
} from './json.js';
import { finalizersOf, isBeingDeleted, nameOf, type ApiObject } from './object.js';
import { generateName, labelValueFault, nameFault, qualifiedNameFault } from './names.js';
import type { ResourceType } from './resource-type.js';

const MAX_ANNOTATION_BYTES = 256 * 1024;

/** RFC 3339 with whole seconds, as metav1.Time. */
export const formatTime = (milliseconds: number): string => `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;

/** metadata of an object about to be stored for the first time. */
export function stampNew(object: ApiObject, namespace: string | undefined, now: number): ApiObject {
  const metadata = draft(objectAt(object, 'metadata'));
  for (const key of ['resourceVersion', 'selfLink', 'deletionTimestamp', 'deletionGracePeriodSeconds'])
    delete metadata[key];
  const prefix = textAt(metadata, 'generateName');
  if ((textAt(metadata, 'name') ?? '') === '' && prefix !== undefined && prefix !== '')
    metadata['name'] = generateName(prefix);
  if (namespace === undefined) delete metadata['namespace'];
  else metadata['namespace'] = namespace;
  metadata['uid'] = randomUUID();
  metadata['creationTimestamp'] = formatTime(now);
  metadata['generation'] = 1;
  return put(object, ['metadata'], metadata);
}

/** Members that only the server changes: an update keeps the stored values. */
const KEPT = [
  'uid',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generation',
  'selfLink',
  'namespace',
  'name',
] as const;

/** metadata of a new version of `old`. The resourceVersion is the store's business. */
export function carryOver(object: ApiObject, old: ApiObject): ApiObject {
  const metadata = draft(objectAt(object, 'metadata'));
  const stored = objectAt(old, 'metadata');
  for (const key of KEPT) {
    const value = stored[key];
    if (value === undefined) delete metadata[key];
    else metadata[key] = value;
  }
  const version = stored['resourceVersion'];
  if (version !== undefined) metadata['resourceVersion'] = version;
  return put(object, ['metadata'], metadata);
}

/** Raises metadata.generation when anything outside metadata and status changed. */
export function countGeneration(object: ApiObject, old: ApiObject): ApiObject {
  const desired = (value: ApiObject): JsonObject => put(put(value, ['metadata'], undefined), ['status'], undefined);
  if (isEqual(desired(object), desired(old))) return object;
  const generation = objectAt(old, 'metadata')['generation'];
  return put(object, ['metadata', 'generation'], (typeof generation === 'number' ? generation : 0) + 1);
}

/** All problems of metadata on create. */
export function validateMeta(type: ResourceType, object: ApiObject): readonly Problem[] {
  const metadata = objectAt(object, 'metadata');
  const problems: Problem[] = [];
  const name = textAt(metadata, 'name') ?? '';
  const rule = type.strategy.nameRule ?? 'subdomain';
  if (name === '') problems.push(required('metadata.name', 'name or generateName is required'));
  else {
    const fault = nameFault(rule, name);
    if (fault !== undefined) problems.push(invalidValue('metadata.name', name, fault));
  }
  problems.push(
    ...labelProblems(metadata),
    ...annotationProblems(metadata),
    ...finalizerProblems(metadata),
    ...ownerProblems(metadata),
  );
  return problems;
}

/** The same on update, and what may not change. `sent` is what the client wrote, before carryOver. */
export function validateMetaUpdate(type: ResourceType, sent: ApiObject, old: ApiObject): readonly Problem[] {
  const problems = [...validateMeta(type, put(sent, ['metadata', 'name'], nameOf(old)))];
  for (const key of ['name', 'namespace', 'uid'] as const) {
    const [next, before] = [textAt(sent, 'metadata', key), textAt(old, 'metadata', key)];
    if (next !== undefined && next !== '' && next !== before)
      problems.push(invalidValue(`metadata.${key}`, next, 'field is immutable'));
  }
  if (isBeingDeleted(old)) {
    const before = new Set(finalizersOf(old));
    const added = finalizersOf(sent)
      .filter((finalizer) => !before.has(finalizer))
      .map((text) => JSON.stringify(text));
    if (added.length > 0)
      problems.push(
        forbiddenField(
          'metadata.finalizers',
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.join(', ')}}`,
        ),
      );
  }
  return problems;
}

function labelProblems(metadata: JsonObject): Problem[] {
  return Object.entries(objectAt(metadata, 'labels')).flatMap(([key, value]) => {
    const fault = qualifiedNameFault(key);
    if (fault !== undefined) return [invalidValue('metadata.labels', key, fault)];
    const valueFault = typeof value === 'string' ? labelValueFault(value) : 'must be a string';
    return valueFault === undefined ? [] : [invalidValue('metadata.labels', value, valueFault)];
  });
}

function annotationProblems(metadata: JsonObject): Problem[] {
  const annotations = Object.entries(objectAt(metadata, 'annotations'));
  const problems = annotations.flatMap(([key]) => {
    const fault = qualifiedNameFault(key.toLowerCase());
    return fault === undefined ? [] : [invalidValue('metadata.annotations', key, fault)];
  });
  const bytes = annotations.reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(String(value)),
    0,
  );
  if (bytes <= MAX_ANNOTATION_BYTES) return problems;
  return [
    ...problems,
    {
      type: 'FieldValueTooLong',
      field: 'metadata.annotations',
      message: `Too long: may not be more than ${MAX_ANNOTATION_BYTES} bytes`,
    },
  ];
}

function finalizerProblems(metadata: JsonObject): Problem[] {
  return listAt(metadata, 'finalizers').flatMap((finalizer, index) => {
    const field = `metadata.finalizers[${index}]`;
    const fault = typeof finalizer === 'string' ? qualifiedNameFault(finalizer) : 'must be a string';
    return fault === undefined ? [] : [invalidValue(field, finalizer, fault)];
  });
}

function ownerProblems(metadata: JsonObject): Problem[] {
  const owners: readonly Json[] = isArray(metadata['ownerReferences']) ? metadata['ownerReferences'] : [];
  const controllers = owners.filter((owner) => isObject(owner) && owner['controller'] === true);
  const missing = owners.flatMap((owner, index) =>
    (['apiVersion', 'kind', 'name', 'uid'] as const)
      .filter((key) => (textAt(owner, key) ?? '') === '')
      .map((key) => invalidValue(`metadata.ownerReferences[${index}].${key}`, '', `${key} must not be empty`)),
  );
  return controllers.length <= 1
    ? missing
    : [...missing, duplicate('metadata.ownerReferences', 'Only one reference can have Controller set to true')];
}
