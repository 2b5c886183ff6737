/**
 * Fills in what a schema declares as default. A default applies inside an object that exists: a missing parent stays
 * missing unless it has a default itself (then the defaults inside that one apply too).
 */
import { draft, isArray, isObject, type Draft, type Json, type JsonObject } from './json.js';
import { memberSchema, type Schema } from './schema.js';

/** Returns the same value when nothing was missing. A null where null is not allowed counts as missing. */
export function applyDefaults<T extends Json>(schema: Schema, value: T): T {
  return defaulted(schema, value) as T;
}

function defaulted(schema: Schema, value: Json): Json {
  if (isArray(value)) {
    const items = schema.items;
    return items === undefined ? value : mapChanged(value, (item) => defaulted(items, item));
  }
  return isObject(value) ? defaultedMembers(schema, value) : value;
}

function defaultedMembers(schema: Schema, object: JsonObject): JsonObject {
  let copy: Draft | undefined;
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    if (child.default === undefined) continue;
    const isMissing = !Object.hasOwn(object, name) || (object[name] === null && child.nullable !== true);
    if (isMissing) (copy ??= draft(object))[name] = child.default;
  }
  for (const [name, value] of Object.entries(copy ?? object)) {
    const child = memberSchema(schema, name);
    const next = child === undefined ? value : defaulted(child, value);
    if (next !== value) (copy ??= draft(object))[name] = next;
  }
  return copy ?? object;
}

function mapChanged(list: readonly Json[], change: (item: Json) => Json): readonly Json[] {
  const next = list.map(change);
  return next.some((item, index) => item !== list[index]) ? next : list;
}
