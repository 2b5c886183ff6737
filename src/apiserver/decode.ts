/**
 * From a request's JSON to an object of a kind: fields nobody declared are dropped and reported, types are checked.
 *
 * Two manners, as upstream has two decoders. 'typed' (built-in kinds, Go structs): a wrong type is an error at once, null
 * is the same as absent, and empty lists and maps of optional fields vanish (Go's omitempty). 'structural' (custom
 * resources): unknown fields are pruned, but null, empty lists and wrong types stay for validation to judge.
 */
import { badRequest } from './api-error.js';
import { draft, isArray, isObject, type Json, type JsonObject } from './json.js';
import { isMap, isPreserving, memberSchema, type Schema } from './schema.js';

export type DecodingManner = 'typed' | 'structural';

export interface Decoded {
  readonly object: JsonObject;
  /** Paths of the fields that were dropped, e.g. `spec.containers[0].imagee`. */
  readonly unknownFields: readonly string[];
}

interface Walk {
  readonly manner: DecodingManner;
  readonly unknown: string[];
}

/** BOUNDED: so many unknown fields are named, no more. */
const MAX_UNKNOWN_FIELDS = 100;

/** Prunes `object` by `schema`. `what` names the kind in the error of a mistyped field. */
export function decodeObject(schema: Schema, object: JsonObject, manner: DecodingManner, what: string): Decoded {
  const walk: Walk = { manner, unknown: [] };
  try {
    return { object: decodeMembers(schema, object, '', walk), unknownFields: walk.unknown };
  } catch (error) {
    if (error instanceof MistypedField)
      throw badRequest(`${what} cannot be handled as a ${what.split(' ')[0]}: ${error.message}`);
    throw error;
  }
}

class MistypedField extends Error {}

function decodeValue(schema: Schema, value: Json, path: string, walk: Walk): Json {
  if (walk.manner === 'typed') checkType(schema, value, path);
  if (isArray(value)) {
    const items = schema.items;
    return items === undefined
      ? value
      : value.map((item, index) => decodeValue(items, item, `${path}[${index}]`, walk));
  }
  if (isObject(value)) return decodeMembers(schema, value, path, walk);
  if (schema.format === 'quantity' && typeof value === 'number' && walk.manner === 'typed') return String(value);
  return value;
}

function decodeMembers(schema: Schema, object: JsonObject, path: string, walk: Walk): JsonObject {
  const isLoose = isPreserving(schema);
  if (isLoose && schema.properties === undefined) return object;
  const result = draft();
  for (const [name, value] of Object.entries(object)) {
    const childPath = path === '' ? name : `${path}.${name}`;
    const child = memberSchema(schema, name) ?? (isEmbeddedMember(schema, name) ? {} : undefined);
    if (child === undefined) {
      if (isLoose) result[name] = value;
      else if (walk.unknown.length < MAX_UNKNOWN_FIELDS) walk.unknown.push(childPath);
      continue;
    }
    if (walk.manner === 'typed' && value === null) continue;
    const decoded = isEmbeddedMember(schema, name) ? value : decodeValue(child, value, childPath, walk);
    if (walk.manner === 'typed' && isOmitted(schema, name, child, decoded)) continue;
    result[name] = decoded;
  }
  return result;
}

/** An embedded resource always has these three, whether its schema says so or not. */
const isEmbeddedMember = (schema: Schema, name: string): boolean =>
  schema['x-kubernetes-embedded-resource'] === true &&
  ['apiVersion', 'kind', 'metadata'].includes(name) &&
  memberSchema(schema, name) === undefined;

/** Go's omitempty: an optional list or map without members is the same as none. */
function isOmitted(owner: Schema, name: string, schema: Schema, value: Json): boolean {
  if (owner.required?.includes(name) === true) return false;
  if (isArray(value)) return value.length === 0;
  return isObject(value) && isMap(schema) && Object.keys(value).length === 0;
}

function checkType(schema: Schema, value: Json, path: string): void {
  if (schema['x-kubernetes-int-or-string'] === true) {
    if (typeof value !== 'string' && typeof value !== 'number') mistyped(path, 'a number or a string', value);
    return;
  }
  switch (schema.type) {
    case undefined:
      return;
    case 'object':
      if (!isObject(value)) mistyped(path, 'an object', value);
      return;
    case 'array':
      if (!isArray(value)) mistyped(path, 'a list', value);
      return;
    case 'string':
      if (typeof value !== 'string') mistyped(path, 'a string', value);
      return;
    case 'boolean':
      if (typeof value !== 'boolean') mistyped(path, 'a boolean', value);
      return;
    case 'number':
      if (typeof value !== 'number') mistyped(path, 'a number', value);
      return;
    case 'integer':
      checkInteger(schema, value, path);
      return;
  }
}

function checkInteger(schema: Schema, value: Json, path: string): void {
  if (typeof value !== 'number' || !Number.isInteger(value)) mistyped(path, 'an integer', value);
  else if (schema.format === 'int32' && (value < -(2 ** 31) || value >= 2 ** 31))
    mistyped(path, 'a 32-bit integer', value);
}

function mistyped(path: string, wanted: string, value: Json): never {
  throw new MistypedField(`json: cannot unmarshal ${goTypeOf(value)} into field ${path}: expected ${wanted}`);
}

function goTypeOf(value: Json): string {
  if (value === null) return 'null';
  if (isArray(value)) return 'array';
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'number':
      return `number ${value}`;
    case 'string':
      return 'string';
    default:
      return 'object';
  }
}
