/**
 * metadata.managedFields: who set which fields, and what that means for a server-side apply
 * (k8s.io/apimachinery/pkg/util/managedfields, sigs.k8s.io/structured-merge-diff/merge).
 *
 * A manager is the writer's name, its operation (Apply or Update), the API version and the subresource. Whoever changes a
 * field owns it; whoever removes it ends everybody's ownership; an Apply owns exactly what it last said.
 */
import {
  difference,
  emptySet,
  formatFieldsV1,
  intersection,
  isEmpty,
  isSameSet,
  parseFieldsV1,
  pathTexts,
  union,
  withoutTrees,
  type FieldSet,
} from './field-set.js';
import { isObject, listAt, put, textAt, type Json, type JsonObject } from './json.js';
import { formatTime } from './object-meta.js';
import type { ApiObject } from './object.js';
import { apiVersionOf, type ResourceType } from './resource-type.js';
import { compareFields, fieldsOf, type Comparison } from './typed-fields.js';
import { typedProblems } from './typed-problems.js';

export interface Manager {
  readonly name: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  readonly subresource: string;
  readonly time: string;
  readonly fields: FieldSet;
}

export interface Writer {
  readonly manager: string;
  readonly subresource: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Fields that nobody owns: the server's, and those that identify the object. */
const UNOWNED = parseFieldsV1({
  'f:apiVersion': {},
  'f:kind': {},
  'f:metadata': {
    'f:name': {},
    'f:namespace': {},
    'f:creationTimestamp': {},
    'f:selfLink': {},
    'f:uid': {},
    'f:generation': {},
    'f:managedFields': {},
    'f:resourceVersion': {},
    'f:deletionTimestamp': {},
    'f:deletionGracePeriodSeconds': {},
  },
});

/** BOUNDED, as upstream: more updaters than this are folded into one. */
const MAX_UPDATE_MANAGERS = 10;
const ANCIENT = 'ancient-changes';

const STATUS = parseFieldsV1({ 'f:status': {} });

/** What a write can own: through /status only the status, through the object everything but it. */
export function ownedThrough(type: ResourceType, subresource: string, fields: FieldSet): FieldSet {
  if (!type.hasStatus) return fields;
  const withoutStatus = withoutTrees(fields, STATUS);
  return subresource === 'status' ? difference(fields, withoutStatus) : withoutStatus;
}

/** The object with managedFields brought up to date for a create (`old` undefined) or an update. */
export function recordUpdate(type: ResourceType, old: ApiObject | undefined, object: ApiObject, by: Writer): ApiObject {
  const sent = parseManagers(object);
  if (sent === 'reset') return put(object, ['metadata', 'managedFields'], undefined);
  // As upstream: an object that cannot be seen field by field is stored all the same, and nobody owns anything of it.
  if ([old, object].some((each) => each !== undefined && !isTyped(type, each)))
    return put(object, ['metadata', 'managedFields'], undefined);
  const managers = sent.length > 0 ? sent : old === undefined ? [] : withReset(parseManagers(old));
  const change = comparison(type, old ?? skeletonOf(object), object);
  const mine = identityOf({
    name: by.manager,
    operation: 'Update',
    apiVersion: apiVersionOf(type),
    subresource: by.subresource,
  });
  const changed = ownedThrough(type, by.subresource, union(change.added, change.modified));
  const before = managers.find((manager) => identityOf(manager) === mine);
  const fields = union(difference(before?.fields ?? emptySet, change.removed), changed);
  const others = yieldFields(
    managers.filter((manager) => manager !== before),
    changed,
    change.removed,
  );
  const me: Manager = {
    name: by.manager,
    operation: 'Update',
    apiVersion: apiVersionOf(type),
    subresource: by.subresource,
    time: before !== undefined && isSameSet(before.fields, fields) ? before.time : formatTime(by.now),
    fields,
  };
  return withManagers(object, [...others, me]);
}

const isTyped = (type: ResourceType, object: ApiObject): boolean =>
  typedProblems(type.schema, object, { allowsDuplicates: true }).length === 0;

/** What differs between two objects, without the fields that nobody owns. */
export function comparison(type: ResourceType, old: ApiObject, object: ApiObject): Comparison {
  const { added, modified, removed } = compareFields(type.schema, old, object);
  return {
    added: withoutTrees(added, UNOWNED),
    modified: withoutTrees(modified, UNOWNED),
    removed: withoutTrees(removed, UNOWNED),
  };
}

/** The fields that an applied configuration sets. */
export const appliedFields = (type: ResourceType, applied: ApiObject): FieldSet =>
  withoutTrees(fieldsOf(type.schema, applied), UNOWNED);

/** The others after somebody changed and removed these fields; who owns nothing any more is gone. */
export function yieldFields(managers: readonly Manager[], changed: FieldSet, removed: FieldSet): readonly Manager[] {
  return managers
    .map((manager) => ({ ...manager, fields: difference(difference(manager.fields, changed), removed) }))
    .filter((manager) => !isEmpty(manager.fields));
}

/** Fields of others that an apply would change, as conflicts in words. */
export function conflictsOf(
  managers: readonly Manager[],
  changed: FieldSet,
): readonly { readonly manager: string; readonly field: string }[] {
  return managers.flatMap((manager) =>
    pathTexts(intersection(manager.fields, changed)).map((field) => ({ manager: managerText(manager), field })),
  );
}

function managerText(manager: Manager): string {
  const subresource = manager.subresource === '' ? '' : ` with subresource "${manager.subresource}"`;
  const details =
    manager.operation === 'Apply'
      ? ''
      : ` using ${manager.apiVersion}${manager.time === '' ? '' : ` at ${manager.time}`}`;
  return `"${manager.name}"${subresource}${details}`;
}

export const identityOf = (manager: Pick<Manager, 'name' | 'operation' | 'apiVersion' | 'subresource'>): string =>
  // An applier is the same applier in every version; an updater is not.
  JSON.stringify([
    manager.name,
    manager.operation,
    manager.operation === 'Apply' ? '' : manager.apiVersion,
    manager.subresource,
  ]);

/** Managers of an object; 'reset' when somebody wrote `managedFields: [{}]`, which clears them. */
export function parseManagers(object: ApiObject): readonly Manager[] | 'reset' {
  const entries = listAt(object, 'metadata', 'managedFields');
  if (entries.length === 1 && isObject(entries[0]) && Object.keys(entries[0]).length === 0) return 'reset';
  return entries.map((entry) => ({
    name: textAt(entry, 'manager') ?? '',
    operation: textAt(entry, 'operation') === 'Apply' ? 'Apply' : 'Update',
    apiVersion: textAt(entry, 'apiVersion') ?? '',
    subresource: textAt(entry, 'subresource') ?? '',
    time: textAt(entry, 'time') ?? '',
    fields: parseFieldsV1(isObject(entry) ? entry['fieldsV1'] : undefined),
  }));
}

export const withReset = (managers: readonly Manager[] | 'reset'): readonly Manager[] =>
  managers === 'reset' ? [] : managers;

export function withManagers(object: ApiObject, managers: readonly Manager[]): ApiObject {
  const entries = folded(managers.filter((manager) => !isEmpty(manager.fields)))
    .toSorted(byOperationAndTime)
    .map(formatManager);
  return put(object, ['metadata', 'managedFields'], entries.length === 0 ? undefined : entries);
}

function byOperationAndTime(left: Manager, right: Manager): number {
  const rank = ({ operation, time, name, subresource }: Manager): string =>
    [operation, time, name, subresource].join('\0');
  const [a, b] = [rank(left), rank(right)];
  return a < b ? -1 : Number(a > b);
}

function formatManager(manager: Manager): Json {
  const entry: JsonObject = {
    manager: manager.name,
    operation: manager.operation,
    apiVersion: manager.apiVersion,
    time: manager.time,
    fieldsType: 'FieldsV1',
    fieldsV1: formatFieldsV1(manager.fields),
  };
  return manager.subresource === '' ? entry : { ...entry, subresource: manager.subresource };
}

function folded(managers: readonly Manager[]): readonly Manager[] {
  const updaters = managers.filter((manager) => manager.operation === 'Update').toSorted(byOperationAndTime);
  const excess = updaters.slice(0, Math.max(0, updaters.length - MAX_UPDATE_MANAGERS + 1));
  const [first] = excess;
  if (updaters.length <= MAX_UPDATE_MANAGERS || first === undefined) return managers;
  const fields = excess.reduce((set, manager) => union(set, manager.fields), emptySet);
  const ancient: Manager = { ...first, name: ANCIENT, subresource: '', fields };
  return [...managers.filter((manager) => !excess.includes(manager)), ancient];
}

/** What a new object is compared with: nobody owns that there are metadata, spec and status. */
function skeletonOf(object: ApiObject): ApiObject {
  return Object.fromEntries(
    ['metadata', 'spec', 'status'].filter((name) => isObject(object[name])).map((name) => [name, {}]),
  );
}
