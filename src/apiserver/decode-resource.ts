/**
 * From the body of a write to an object of the target's kind: type and namespace must agree with the URL, unknown fields
 * are treated as `fieldValidation` says, metadata is always decoded strictly typed.
 */
import { badRequest } from './api-error.js';
import type { Target, WriteOptions } from './cluster.js';
import { decodeObject } from './decode.js';
import { isObject, objectAt, put, textAt, type Json, type JsonObject } from './json.js';
import type { ApiObject } from './object.js';
import { apiVersionOf, type ResourceType } from './resource-type.js';
import { anySchema, type Schema } from './schema.js';
import { objectMetaSchema } from './kinds/schemas.js';

export function decodeResource(target: Target, body: Json | undefined, options: WriteOptions): ApiObject {
  const { type } = target;
  if (!isObject(body))
    throw badRequest(`the object provided is unrecognized (must be of type ${type.kind}): expected a JSON object`);
  checkTypeMeta(type, body);
  const sentNamespace = textAt(body, 'metadata', 'namespace') ?? '';
  if (type.namespaced && sentNamespace !== '' && sentNamespace !== target.namespace)
    throw badRequest(`the namespace of the provided object does not match the namespace sent on the request`);
  const object = prune(type, body, options);
  return put(put(object, ['apiVersion'], apiVersionOf(type)), ['kind'], type.kind);
}

/** Drops what the schema does not know; Strict makes that an error, Warn a warning. */
export function prune(type: ResourceType, body: JsonObject, options: WriteOptions): ApiObject {
  const what = `${type.kind} in version "${type.version}"`;
  const metadata = decodeObject(objectMetaSchema, objectAt(body, 'metadata'), 'typed', what);
  const rest = decodeObject(withoutMetadata(type.schema), body, type.manner, what);
  const unknown = [...metadata.unknownFields.map((field) => `metadata.${field}`), ...rest.unknownFields];
  if (unknown.length > 0) reportUnknown(type, unknown, options);
  return put(rest.object, ['metadata'], metadata.object);
}

function checkTypeMeta(type: ResourceType, body: JsonObject): void {
  const [apiVersion, kind] = [textAt(body, 'apiVersion') ?? '', textAt(body, 'kind') ?? ''];
  const wanted = apiVersionOf(type);
  if (apiVersion !== '' && apiVersion !== wanted)
    throw badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${wanted})`);
  if (kind !== '' && kind !== type.kind)
    throw badRequest(
      `${kind} in version "${type.version}" cannot be handled as a ${type.kind}: expected kind ${type.kind}`,
    );
}

function reportUnknown(type: ResourceType, fields: readonly string[], options: WriteOptions): void {
  const sentences = fields.map((field) => `unknown field "${field}"`);
  if (options.fieldValidation === 'Strict')
    throw badRequest(
      `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: strict decoding error: ${sentences.join(', ')}`,
    );
  if (options.fieldValidation === 'Warn') options.warnings.push(...sentences);
}

/** BOUNDED by the kinds served. */
const cache = new WeakMap<Schema, Schema>();

function withoutMetadata(schema: Schema): Schema {
  let found = cache.get(schema);
  if (found === undefined) {
    found = {
      ...schema,
      properties: {
        apiVersion: { type: 'string' },
        kind: { type: 'string' },
        ...schema.properties,
        metadata: anySchema,
      },
    };
    cache.set(schema, found);
  }
  return found;
}
