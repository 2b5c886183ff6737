/**
 * Events, which two groups serve: v1 and events.k8s.io/v1. They are kept as v1 has them; the other form has other names for the
 * same fields, and stricter rules (pkg/apis/core/validation/events.go).
 */
import { forbiddenField, invalidValue, notSupported, required, type Problem } from '../api-error.js';
import { at, draft, isEqual, textAt } from '../json.js';
import { ageSince } from '../age.js';
import type { ApiObject } from '../object.js';
import type { ResourceType } from '../resource-type.js';
import { builtIn } from './built-in.js';
import { column, type CellColumn } from './columns.js';

/** Cell of an event's age: when it was last seen. */
const lastSeen = (event: ApiObject, now: number): string =>
  ageSince(
    textAt(event, 'series', 'lastObservedTime') ??
      textAt(event, 'lastTimestamp') ??
      textAt(event, 'eventTime') ??
      textAt(event, 'metadata', 'creationTimestamp'),
    now,
  );

const involved =
  (key: string) =>
  (event: ApiObject): string =>
    textAt(event, 'involvedObject', key) ?? '';

const selectableFields = Object.fromEntries([
  ...['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map((key) => [
    `involvedObject.${key}`,
    involved(key),
  ]),
  ...['reason', 'reportingComponent', 'type'].map((key) => [key, (event: ApiObject) => textAt(event, key) ?? '']),
  ['source', (event: ApiObject) => textAt(event, 'source', 'component') ?? ''],
]) as Readonly<Record<string, (event: ApiObject) => string>>;

const eventColumns: readonly CellColumn[] = [
  column('Last Seen', lastSeen),
  column('Type', (event) => textAt(event, 'type') ?? ''),
  column('Reason', (event) => textAt(event, 'reason') ?? ''),
  column(
    'Object',
    (event) =>
      `${(textAt(event, 'involvedObject', 'kind') ?? '').toLowerCase()}/${textAt(event, 'involvedObject', 'name') ?? ''}`,
  ),
  column('Message', (event) => (textAt(event, 'message') ?? '').trim()),
  column('Count', (event) => at(event, 'series', 'count') ?? at(event, 'count') ?? 1, { type: 'integer', wide: true }),
  { ...column('Name', (event) => textAt(event, 'metadata', 'name') ?? '', { wide: true }), format: 'name' },
];

export const events: ResourceType = builtIn({
  kind: 'Event',
  plural: 'events',
  shortNames: ['ev'],
  namespaced: true,
  allColumns: eventColumns,
  selectableFields,
  strategy: { countsGenerations: false },
});

/** Of events.k8s.io/v1, then of v1. */
const NAMES = [
  ['regarding', 'involvedObject'],
  ['note', 'message'],
  ['reportingController', 'reportingComponent'],
  ['deprecatedSource', 'source'],
  ['deprecatedCount', 'count'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
] as const;

function renamed(object: ApiObject, apiVersion: string, names: ReadonlyMap<string, string>): ApiObject {
  if (object['apiVersion'] === apiVersion) return object;
  const result = draft({ apiVersion });
  for (const [key, value] of Object.entries(object)) if (key !== 'apiVersion') result[names.get(key) ?? key] = value;
  return result;
}

const TO_STORED = new Map<string, string>(NAMES);
const FROM_STORED = new Map<string, string>(NAMES.map(([group, core]) => [core, group]));
const toStored = (event: ApiObject): ApiObject => renamed(event, 'v1', TO_STORED);
const fromStored = (event: ApiObject): ApiObject => renamed(event, 'events.k8s.io/v1', FROM_STORED);

const MOST_NOTE_BYTES = 1024;
const MOST_WORD_LENGTH = 128;
const WORDS = ['reportingController', 'reportingInstance', 'action', 'reason'] as const;
const TYPES = ['Normal', 'Warning'];

function problemsOf(event: ApiObject, old: ApiObject | undefined): readonly Problem[] {
  const changed = old === undefined ? [] : changeProblems(event, old);
  const namespace = textAt(event, 'metadata', 'namespace');
  const isElsewhere = (textAt(event, 'regarding', 'namespace') ?? 'default') !== namespace;
  const count = at(event, 'series', 'count');
  return [
    ...changed,
    ...(isElsewhere ? [invalidValue('involvedObject.namespace', namespace, 'does not match event.namespace')] : []),
    ...(event['eventTime'] === undefined ? [required('eventTime')] : []),
    ...WORDS.flatMap((field) => wordProblems(field, textAt(event, field) ?? '')),
    ...(Buffer.byteLength(textAt(event, 'note') ?? '') > MOST_NOTE_BYTES
      ? [invalidValue('message', '', `can have at most ${MOST_NOTE_BYTES} characters`)]
      : []),
    ...(TYPES.includes(textAt(event, 'type') ?? '') ? [] : [notSupported('type', event['type'], TYPES)]),
    ...(typeof count === 'number' && count < 2 ? [invalidValue('series.count', count, 'should be at least 2')] : []),
    ...(event['series'] !== undefined && at(event, 'series', 'lastObservedTime') === undefined
      ? [required('series.lastObservedTime')]
      : []),
    ...NAMES.filter(([name]) => name.startsWith('deprecated') && old === undefined && event[name] !== undefined).map(
      ([, name]) => forbiddenField(name, 'needs to be unset'),
    ),
  ];
}

function wordProblems(field: string, word: string): readonly Problem[] {
  if (word === '') return [required(field)];
  return word.length > MOST_WORD_LENGTH
    ? [invalidValue(field, '', `can have at most ${MOST_WORD_LENGTH} characters`)]
    : [];
}

/** Only how often it came again may change. */
function changeProblems(event: ApiObject, old: ApiObject): readonly Problem[] {
  const fields = new Set([...Object.keys(event), ...Object.keys(old)]);
  return [...fields]
    .filter((field) => field !== 'metadata' && field !== 'series' && !isEqual(event[field], old[field]))
    .map((field) => invalidValue(field, event[field] ?? null, 'field is immutable'));
}

export const eventsOfGroup: ResourceType = builtIn({
  group: 'events.k8s.io',
  kind: 'Event',
  definition: 'GroupEvent',
  plural: 'events',
  shortNames: ['ev'],
  namespaced: true,
  shared: { bucket: events.bucket, toStored, fromStored },
  allColumns: eventColumns.map((cells) => ({ ...cells, cell: (event, now) => cells.cell(toStored(event), now) })),
  selectableFields: Object.fromEntries(
    Object.entries(selectableFields).map(([name, text]) => [name.replace('involvedObject', 'regarding'), text]),
  ),
  strategy: { countsGenerations: false, validate: problemsOf },
});
