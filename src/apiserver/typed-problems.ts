/**
 * Can a value be seen field by field at all? What a real API server finds out before it merges anything
 * (sigs.k8s.io/structured-merge-diff, typed/validate.go and typed/helpers.go), in its words.
 *
 * A set tells its items apart by their value, which only scalars have: a CRD may well declare a set of objects (the schema is
 * valid, and client-side apply works), but no server-side apply of it ever succeeds. A keyed list needs an object with at least
 * one key in each item. Lists an applier sends have no item twice; lists already stored may.
 */
import { keyElement } from './field-set.js';
import { isArray, isObject, own, type Json, type JsonObject } from './json.js';
import { listKeysOf, memberSchema, type Schema } from './schema.js';

export interface TypedOptions {
  /** Stored objects may hold duplicates; what somebody applies may not. */
  readonly allowsDuplicates: boolean;
}

/** Sentences such as `.spec.ranges: element 0: associative list without keys has an element that's a map type`. */
export function typedProblems(schema: Schema | undefined, value: Json, options: TypedOptions): readonly string[] {
  const problems: string[] = [];
  visit(schema, value, '', options, problems);
  return problems;
}

/** Several problems in one text, as upstream writes them. */
export const joinTypedProblems = (problems: readonly string[]): string =>
  problems.length === 1 ? (problems[0] ?? '') : ['errors:', ...problems.map((problem) => `  ${problem}`)].join('\n');

function visit(schema: Schema | undefined, value: Json, path: string, options: TypedOptions, problems: string[]): void {
  if (isArray(value)) visitList(schema, value, path, options, problems);
  else if (isObject(value))
    for (const [name, member] of Object.entries(value))
      visit(memberSchema(schema, name), member, `${path}.${name}`, options, problems);
}

function visitList(
  schema: Schema | undefined,
  list: readonly Json[],
  path: string,
  options: TypedOptions,
  problems: string[],
): void {
  const listType = schema?.['x-kubernetes-list-type'];
  if (schema === undefined || (listType !== 'set' && listType !== 'map')) {
    list.forEach((item, index) => visit(schema?.items, item, `${path}[${index}]`, options, problems));
    return;
  }
  const seen = new Set<string>();
  for (const [index, item] of list.entries()) {
    const keys = listKeysOf(schema);
    const problem = keys === undefined ? setItemProblem(item) : keyedItemProblem(schema, keys, item);
    if (problem !== undefined) {
      problems.push(`${path}: element ${index}: ${problem}`);
      return; // as upstream: without a path to it nothing can be said of the item, nor of those after it
    }
    const element = elementText(schema, keys, item);
    if (seen.has(element) && !options.allowsDuplicates) problems.push(`${path}: duplicate entries for key ${element}`);
    seen.add(element);
    visit(schema.items, item, `${path}${element}`, options, problems);
  }
}

function setItemProblem(item: Json): string | undefined {
  if (item === null) return "associative list without keys has an element that's an explicit null";
  if (isArray(item)) return 'not supported: associative list with lists as elements';
  return isObject(item) ? "associative list without keys has an element that's a map type" : undefined;
}

function keyedItemProblem(schema: Schema, keys: readonly string[], item: Json): string | undefined {
  if (item === null) return 'associative list with keys may not have a null element';
  if (!isObject(item)) return 'associative list with keys may not have non-map elements';
  if (Object.keys(keyValues(schema, keys, item)).length > 0) return undefined;
  const names = keys.map((key) => JSON.stringify(key)).join(' ');
  return (
    `associative list with keys has an element that omits all key fields [${names}] ` +
    "(and doesn't have default values for any key fields)"
  );
}

/** Keys of an item; one that is absent counts as its default. */
const keyValues = (schema: Schema, keys: readonly string[], item: JsonObject): JsonObject =>
  Object.fromEntries(
    keys.flatMap((key) => {
      const value = own(item, key) ?? memberSchema(schema.items, key)?.default;
      return value === undefined ? [] : [[key, value] as const];
    }),
  );

/** `[=1]` of a set, `[name="web",port=80]` of a keyed list. */
function elementText(schema: Schema, keys: readonly string[] | undefined, item: Json): string {
  if (keys === undefined || !isObject(item)) return `[=${JSON.stringify(item)}]`;
  const sorted = JSON.parse(keyElement(keyValues(schema, keys, item)).slice(2)) as JsonObject;
  return `[${Object.entries(sorted)
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join(',')}]`;
}
