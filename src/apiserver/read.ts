/**
 * Lists and selections: which entries a request means, in pages, as of a revision.
 *
 * A page's continue token holds the revision and the last key. The next page shows the collection as of that revision (the
 * store undoes what came since); when that is forgotten the answer is 410 Expired and the client starts over.
 */
import { ApiError, badRequest, expired } from './api-error.js';
import type { Cluster, Target } from './cluster.js';
import { parseFieldSelector } from './field-selector.js';
import { labelsOf, parseLabelSelector } from './label-selector.js';
import type { ApiObject } from './object.js';
import type { ResourceType } from './resource-type.js';
import { keyOf, type Entry } from './store.js';

/** What of a collection is wanted: everything when both selectors are empty. */
export interface Selection {
  readonly matches: (object: ApiObject) => boolean;
  /** When the selection can only be one object: its name. */
  readonly singleName: string | undefined;
}

export interface ListPage {
  readonly entries: readonly Entry[];
  readonly revision: number;
  readonly continueToken: string;
  readonly remaining: number | undefined;
}

export function parseSelection(type: ResourceType, query: URLSearchParams): Selection {
  const labelText = query.get('labelSelector') ?? '';
  const fieldText = query.get('fieldSelector') ?? '';
  const byLabels = labelText === '' ? undefined : parseLabelSelector(labelText);
  const byFields = fieldText === '' ? undefined : parseFieldSelector(fieldText, type.selectableFields);
  const named = byFields?.requirements.find(
    (requirement) => requirement.field === 'metadata.name' && requirement.isEqual,
  );
  return {
    matches: (object) => (byLabels?.(labelsOf(object)) ?? true) && (byFields?.matches(object) ?? true),
    singleName: named?.value,
  };
}

export function listObjects(cluster: Cluster, target: Target, query: URLSearchParams): ListPage {
  const selection = parseSelection(target.type, query);
  const limit = parseLimit(query.get('limit'));
  const token = query.get('continue') ?? '';
  const start = token === '' ? undefined : parseToken(token);
  const asked = start?.revision ?? parseRevision(query);
  const isExact = start !== undefined || query.get('resourceVersionMatch') === 'Exact';
  if (asked > cluster.store.revision) throw tooNew(asked, cluster.store.revision);
  const revision = isExact ? asked : cluster.store.revision;
  const all = collection(cluster, target, selection, isExact ? revision : undefined);
  const later = start === undefined ? all : all.filter((entry) => entry.key > start.after);
  const matching = later.filter((entry) => selection.matches(entry.object));
  if (limit === undefined || matching.length <= limit)
    return { entries: matching, revision, continueToken: '', remaining: undefined };
  const entries = matching.slice(0, limit);
  return {
    entries,
    revision,
    continueToken: formatToken(revision, entries.at(-1)?.key ?? ''),
    remaining: matching.length - limit,
  };
}

function collection(
  cluster: Cluster,
  target: Target,
  selection: Selection,
  revision: number | undefined,
): readonly Entry[] {
  const { bucket } = target.type;
  if (revision === undefined) {
    const isSingle = selection.singleName !== undefined && (target.namespace !== undefined || !target.type.namespaced);
    if (!isSingle) return cluster.store.list(bucket, target.namespace);
    const entry = cluster.store.get(bucket, keyOf(target.namespace, selection.singleName ?? ''));
    return entry === undefined ? [] : [entry];
  }
  const entries = cluster.store.listAt(bucket, revision, target.namespace);
  if (entries === 'expired')
    throw expired(
      'The provided continue parameter is too old to display a consistent list result. ' +
        'You must start a new list without the continue parameter.',
    );
  return entries;
}

function parseLimit(text: string | null): number | undefined {
  if (text === null || text === '' || text === '0') return undefined;
  if (!/^[0-9]+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

function parseRevision(query: URLSearchParams): number {
  const text = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  if (match !== '' && match !== 'Exact' && match !== 'NotOlderThan')
    throw badRequest(
      `resourceVersionMatch: Unsupported value: "${match}": supported values: "Exact", "NotOlderThan", ""`,
    );
  if (match !== '' && text === '')
    throw badRequest(
      'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided',
    );
  if (match === 'Exact' && text === '0')
    throw badRequest(
      'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
    );
  return revisionNumber(text);
}

export function revisionNumber(text: string): number {
  if (text === '') return 0;
  if (!/^[0-9]{1,16}$/.test(text))
    throw badRequest(
      `resourceVersion: Invalid value: ${JSON.stringify(text)}: expected a number that a list or object had`,
    );
  return Number(text);
}

/** 504, as upstream: the client has seen the future, probably of an API server that this one replaced. */
export const tooNew = (asked: number, current: number): ApiError =>
  new ApiError(504, 'Timeout', `Too large resource version: ${asked}, current: ${current}`, {
    retryAfterSeconds: 1,
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
  });

const formatToken = (revision: number, after: string): string =>
  Buffer.from(JSON.stringify({ v: 'tortie/v1', rv: revision, start: after })).toString('base64url');

function parseToken(token: string): { readonly revision: number; readonly after: string } {
  try {
    const parsed = JSON.parse(Buffer.from(token, 'base64url').toString()) as { rv?: unknown; start?: unknown };
    if (typeof parsed.rv === 'number' && typeof parsed.start === 'string')
      return { revision: parsed.rv, after: parsed.start };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw badRequest('continue key is not valid: expected a token of an earlier list');
}
