/**
 * Strategic merge patch (k8s.io/apimachinery/pkg/util/strategicpatch): like a JSON merge patch, but lists whose schema has
 * a merge key are merged item by item.
 *
 * Directives in the patch: `$patch: replace|delete|merge` in a map or list item, `$deleteFromPrimitiveList/FIELD`,
 * `$setElementOrder/FIELD`, `$retainKeys`. Only built-in kinds know merge keys; for custom resources the server answers 415.
 */
import { badRequest } from './api-error.js';
import { draft, isArray, isEqual, isObject, listAt, own, type Draft, type Json, type JsonObject } from './json.js';
import { memberSchema, type Schema } from './schema.js';

const PATCH = '$patch';
const RETAIN_KEYS = '$retainKeys';
const DELETE_PREFIX = '$deleteFromPrimitiveList/';
const ORDER_PREFIX = '$setElementOrder/';

/** `original` with `patch` applied. Throws 400 on directives that make no sense. */
export function strategicMerge(schema: Schema | undefined, original: JsonObject, patch: JsonObject): JsonObject {
  const directive = own(patch, PATCH);
  if (directive === 'replace') return withoutDirectives(schema, patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge')
    throw badRequest(`Unknown patch type found: ${String(directive)}`);
  const result = retained(original, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key === PATCH || key === RETAIN_KEYS || key.startsWith(ORDER_PREFIX)) continue;
    if (key.startsWith(DELETE_PREFIX)) deletePrimitives(result, key.slice(DELETE_PREFIX.length), value);
    else if (value === null) delete result[key];
    else result[key] = mergeMember(memberSchema(schema, key), result[key], value);
  }
  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith(ORDER_PREFIX)) continue;
    const field = key.slice(ORDER_PREFIX.length);
    const list = result[field];
    if (isArray(list) && isArray(value))
      result[field] = reorder(list, value, listAt(original, field), mergeKeyOf(memberSchema(schema, field)));
  }
  return result;
}

function mergeMember(schema: Schema | undefined, original: Json | undefined, value: Json): Json {
  if (isObject(value)) {
    const isReplaced = strategyOf(schema).includes('replace');
    return strategicMerge(schema, isObject(original) && !isReplaced ? original : {}, value);
  }
  if (!isArray(value)) return value;
  const base = isArray(original) ? original : [];
  if (!strategyOf(schema).includes('merge'))
    return value.map((item) => (isObject(item) ? withoutDirectives(schema?.items, item) : item));
  const mergeKey = mergeKeyOf(schema);
  const merged =
    mergeKey === undefined
      ? [...base, ...value.filter((item) => !base.some((existing) => isEqual(existing, item)))]
      : mergeItems(schema?.items, base, value, mergeKey);
  return reorder(merged, value, base, mergeKey);
}

const strategyOf = (schema: Schema | undefined): readonly string[] =>
  (schema?.['x-kubernetes-patch-strategy'] ?? '').split(',');

const mergeKeyOf = (schema: Schema | undefined): string | undefined => schema?.['x-kubernetes-patch-merge-key'];

function mergeItems(
  schema: Schema | undefined,
  original: readonly Json[],
  patch: readonly Json[],
  mergeKey: string,
): readonly Json[] {
  const items = patch.map((item) => {
    if (!isObject(item)) throw badRequest('invalid patch: list items merged by key must be objects');
    return item;
  });
  if (items.some((item) => own(item, PATCH) === 'replace'))
    return items.filter((item) => own(item, PATCH) !== 'replace').map((item) => withoutDirectives(schema, item));
  const result: Json[] = [...original];
  for (const item of items) {
    const key = own(item, mergeKey);
    if (key === undefined)
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`);
    const index = result.findIndex((existing) => isObject(existing) && isEqual(own(existing, mergeKey), key));
    const existing = result[index];
    if (own(item, PATCH) === 'delete') {
      if (index >= 0) result.splice(index, 1);
    } else if (isObject(existing)) result[index] = strategicMerge(schema, existing, item);
    else result.push(withoutDirectives(schema, item));
  }
  return result;
}

const withoutDirectives = (schema: Schema | undefined, patch: JsonObject): JsonObject => {
  const { [PATCH]: _directive, ...rest } = patch;
  return strategicMerge(schema, {}, rest);
};

function retained(original: JsonObject, patch: JsonObject): Draft {
  const result = draft(original);
  const keys = own(patch, RETAIN_KEYS);
  if (!isArray(keys)) return result;
  for (const key of Object.keys(result)) if (!keys.includes(key)) delete result[key];
  return result;
}

function deletePrimitives(result: Draft, field: string, values: Json): void {
  const list = result[field];
  if (isArray(list) && isArray(values))
    result[field] = list.filter((item) => !values.some((value) => isEqual(value, item)));
}

/** Items that the patch names stand in its order; those only the server has keep their place between them. */
function reorder(
  list: readonly Json[],
  order: readonly Json[],
  serverList: readonly Json[],
  mergeKey: string | undefined,
): readonly Json[] {
  const identity = (item: Json): Json =>
    mergeKey === undefined ? item : isObject(item) ? (own(item, mergeKey) ?? null) : item;
  const position = (items: readonly Json[], item: Json): number =>
    items.findIndex((other) => isEqual(identity(other), identity(item)));
  const named = list
    .filter((item) => position(order, item) >= 0)
    .sort((a, b) => position(order, a) - position(order, b));
  const others = list.filter((item) => position(order, item) < 0);
  const result: Json[] = [];
  while (named.length > 0 && others.length > 0) {
    const [left, right] = [position(serverList, named[0] ?? null), position(serverList, others[0] ?? null)];
    const takesNamed = left < 0 || (right >= 0 && left < right);
    const next = takesNamed ? named.shift() : others.shift();
    if (next !== undefined) result.push(next);
  }
  return [...result, ...named, ...others];
}
