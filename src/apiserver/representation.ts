/**
 * How objects go over the wire: as they are, as rows of a Table (kubectl get), or as metadata alone (metadata informers).
 * The Accept header chooses; what nobody here speaks (protobuf, CBOR) falls back to JSON, never to 406.
 */
import { at, objectAt, put, textAt, type Json, type JsonObject } from './json.js';
import type { ApiObject } from './object.js';
import { apiVersionOf, type ResourceType } from './resource-type.js';
import type { Entry } from './store.js';

export interface Representation {
  /** One object, in full. */
  readonly object: (type: ResourceType, entry: Entry) => string;
  readonly list: (type: ResourceType, entries: readonly Entry[], metadata: JsonObject) => string;
  /** The `object` of a watch event. */
  readonly event: (type: ResourceType, entry: Entry, isFirst: boolean) => string;
}

/** Reads Accept (and, for tables, ?includeObject). */
export function chooseRepresentation(accept: string, query: URLSearchParams, now: () => number): Representation {
  for (const part of accept.split(',')) {
    const parameters = new Map(
      part
        .split(';')
        .slice(1)
        .map((text) => text.trim().split('=', 2) as [string, string]),
    );
    if (!part.includes('application/json') && !part.includes('*/*')) continue;
    const [as, group, version] = [parameters.get('as'), parameters.get('g'), parameters.get('v') ?? 'v1'];
    if (as === undefined) return plain;
    if (group !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1')) continue;
    if (as === 'Table') return tables(`meta.k8s.io/${version}`, query.get('includeObject') ?? 'Metadata', now);
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') return partial(`meta.k8s.io/${version}`);
  }
  return plain;
}

/** The object's JSON in the version that was asked for. */
export function textOf(type: ResourceType, entry: Entry): string {
  const object = inVersion(type, entry.object);
  return object === entry.object ? entry.text : JSON.stringify(object);
}

/** Versions of one kind differ in apiVersion only, where the kind does not say otherwise. */
function inVersion(type: ResourceType, object: ApiObject): ApiObject {
  const wanted = apiVersionOf(type);
  if (textAt(object, 'apiVersion') === wanted) return object;
  return type.conversion?.fromStored(object) ?? put(object, ['apiVersion'], wanted);
}

const listText = (kind: string, apiVersion: string, metadata: JsonObject, items: readonly string[]): string =>
  `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":${JSON.stringify(metadata)},"items":[${items.join(',')}]}`;

const plain: Representation = {
  object: textOf,
  list: (type, entries, metadata) =>
    listText(
      type.listKind,
      apiVersionOf(type),
      metadata,
      entries.map((entry) => textOf(type, entry)),
    ),
  event: textOf,
};

function partial(apiVersion: string): Representation {
  const render = (_type: ResourceType, entry: Entry): string =>
    JSON.stringify(partialMetadata(apiVersion, entry.object));
  return {
    object: render,
    list: (type, entries, metadata) =>
      listText(
        'PartialObjectMetadataList',
        apiVersion,
        metadata,
        entries.map((entry) => render(type, entry)),
      ),
    event: render,
  };
}

const partialMetadata = (apiVersion: string, object: ApiObject): JsonObject => ({
  kind: 'PartialObjectMetadata',
  apiVersion,
  metadata: objectAt(object, 'metadata'),
});

function tables(apiVersion: string, includeObject: string, now: () => number): Representation {
  const row = (type: ResourceType, entry: Entry): JsonObject => {
    const cells = type.cells(entry.object, now());
    switch (includeObject) {
      case 'None':
        return { cells };
      case 'Object':
        return { cells, object: inVersion(type, entry.object) };
      default:
        return { cells, object: partialMetadata(apiVersion, entry.object) };
    }
  };
  const table = (type: ResourceType, metadata: JsonObject, rows: readonly JsonObject[], hasHeaders: boolean): string =>
    JSON.stringify({
      kind: 'Table',
      apiVersion,
      metadata,
      columnDefinitions: hasHeaders ? (type.columns as unknown as Json) : null,
      rows,
    });
  const single = (type: ResourceType, entry: Entry, hasHeaders: boolean): string =>
    table(
      type,
      { resourceVersion: at(entry.object, 'metadata', 'resourceVersion') ?? '' },
      [row(type, entry)],
      hasHeaders,
    );
  return {
    object: (type, entry) => single(type, entry, true),
    list: (type, entries, metadata) =>
      table(
        type,
        metadata,
        entries.map((entry) => row(type, entry)),
        true,
      ),
    event: (type, entry, isFirst) => single(type, entry, isFirst),
  };
}
