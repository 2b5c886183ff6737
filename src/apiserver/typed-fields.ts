/**
 * Values seen through their schema, field by field: which fields a value has, how two values differ, one merged into
 * another, fields taken out (sigs.k8s.io/structured-merge-diff, package typed).
 *
 * A list is either a set, keyed ("map"), or atomic; an object is granular unless it says atomic. What no schema describes
 * is a granular map of atomic lists.
 */
import { emptySet, fieldSet, isEmpty, keyElement, leaf, union, type FieldSet } from './field-set.js';
import { draft, isArray, isEqual, isObject, own, type Json } from './json.js';
import { listKeysOf, memberSchema, type Schema } from './schema.js';

export interface Comparison {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

const isAtomic = (schema: Schema | undefined, value: Json): boolean =>
  isArray(value)
    ? schema?.['x-kubernetes-list-type'] !== 'map' && schema?.['x-kubernetes-list-type'] !== 'set'
    : !isObject(value) || schema?.['x-kubernetes-map-type'] === 'atomic';

/** A named member of a struct, as opposed to a key of a map. */
const isField = (schema: Schema | undefined, name: string): boolean =>
  schema?.properties !== undefined && Object.hasOwn(schema.properties, name);

/** Children of a granular value by path element. Later duplicates of a list item win. */
function childrenOf(
  schema: Schema | undefined,
  value: Json,
): ReadonlyMap<string, { readonly value: Json; readonly schema: Schema | undefined }> {
  if (isArray(value))
    return new Map(value.map((item) => [itemElement(schema, item), { value: item, schema: schema?.items }]));
  if (!isObject(value)) return new Map();
  return new Map(
    Object.entries(value).map(([name, member]) => [`f:${name}`, { value: member, schema: memberSchema(schema, name) }]),
  );
}

function itemElement(schema: Schema | undefined, item: Json): string {
  const keys = schema === undefined ? undefined : listKeysOf(schema);
  if (keys === undefined || !isObject(item)) return `v:${JSON.stringify(item)}`;
  // A key that is absent counts as its default: a port without protocol is TCP.
  const values = keys.flatMap((key) => {
    const value = own(item, key) ?? memberSchema(schema?.items, key)?.default;
    return value === undefined ? [] : [[key, value] as const];
  });
  return keyElement(Object.fromEntries(values));
}

/** The fields a value sets: leaves, items of lists and maps, and empty containers. */
export function fieldsOf(schema: Schema | undefined, value: Json): FieldSet {
  if (isAtomic(schema, value)) return leaf;
  return fieldSet(
    false,
    [...childrenOf(schema, value)].map(([element, child]) => {
      const set = fieldsOf(child.schema, child.value);
      const isItself =
        isArray(value) || isEmpty(set) || (element.startsWith('f:') && !isField(schema, element.slice(2)));
      return [element, isItself ? { ...set, isMember: true } : set] as const;
    }),
  );
}

const UNCHANGED: Comparison = { added: emptySet, modified: emptySet, removed: emptySet };

/** How `right` differs from `left`. */
export function compareFields(schema: Schema | undefined, left: Json | undefined, right: Json | undefined): Comparison {
  if (left === undefined && right === undefined) return UNCHANGED;
  if (left === undefined) return { ...UNCHANGED, added: right === undefined ? emptySet : everyField(schema, right) };
  if (right === undefined) return { ...UNCHANGED, removed: everyField(schema, left) };
  if (isAtomic(schema, left) || isAtomic(schema, right) || isArray(left) !== isArray(right))
    return isEqual(left, right) ? UNCHANGED : { ...UNCHANGED, modified: leaf };
  const [before, after] = [childrenOf(schema, left), childrenOf(schema, right)];
  const parts = [...new Set([...before.keys(), ...after.keys()])].map((element) => {
    const child = after.get(element) ?? before.get(element);
    return [element, compareFields(child?.schema, before.get(element)?.value, after.get(element)?.value)] as const;
  });
  return {
    added: fieldSet(
      false,
      parts.map(([element, part]) => [element, part.added] as const),
    ),
    modified: fieldSet(
      false,
      parts.map(([element, part]) => [element, part.modified] as const),
    ),
    removed: fieldSet(
      false,
      parts.map(([element, part]) => [element, part.removed] as const),
    ),
  };
}

/** All fields of a value that came or went whole: its containers too. */
function everyField(schema: Schema | undefined, value: Json): FieldSet {
  if (isAtomic(schema, value)) return leaf;
  return fieldSet(
    true,
    [...childrenOf(schema, value)].map(([element, child]) => [element, everyField(child.schema, child.value)] as const),
  );
}

/** `right` laid over `left`: what right says wins, what it does not mention stays. */
export function mergeFields(schema: Schema | undefined, left: Json | undefined, right: Json): Json {
  if (left === undefined || isAtomic(schema, left) || isAtomic(schema, right)) return right;
  if (isArray(right)) return isArray(left) ? mergeLists(schema, left, right) : right;
  if (!isObject(left) || !isObject(right)) return right;
  const result = draft(left);
  for (const [name, value] of Object.entries(right))
    result[name] = mergeFields(memberSchema(schema, name), own(left, name), value);
  return result;
}

/** Items of right in its order; items only left has keep their place before the item they stood before. */
function mergeLists(schema: Schema | undefined, left: readonly Json[], right: readonly Json[]): readonly Json[] {
  const elementsOf = (list: readonly Json[]): readonly string[] => list.map((item) => itemElement(schema, item));
  const [leftElements, rightElements] = [elementsOf(left), elementsOf(right)];
  const wanted = new Set(rightElements);
  const result: Json[] = [];
  let taken = 0;
  const takeLeftUpTo = (end: number): void => {
    for (; taken < end; taken += 1) if (!wanted.has(leftElements[taken] ?? '')) result.push(left[taken] ?? null);
  };
  right.forEach((item, index) => {
    const position = leftElements.indexOf(rightElements[index] ?? '');
    if (position >= 0) takeLeftUpTo(position);
    result.push(mergeFields(schema?.items, position < 0 ? undefined : left[position], item));
  });
  takeLeftUpTo(left.length);
  return result;
}

/** Takes the members of `set` out of a value, each with everything below it. */
export function removeFields(schema: Schema | undefined, value: Json, set: FieldSet): Json {
  if (set.children.size === 0 || isAtomic(schema, value)) return value;
  if (isArray(value))
    return value.flatMap((item) => {
      const found = set.children.get(itemElement(schema, item));
      return found === undefined ? [item] : found.isMember ? [] : [removeFields(schema?.items, item, found)];
    });
  if (!isObject(value)) return value;
  const result = draft(value);
  for (const [name, member] of Object.entries(value)) {
    const found = set.children.get(`f:${name}`);
    if (found === undefined) continue;
    if (found.isMember) delete result[name];
    else result[name] = removeFields(memberSchema(schema, name), member, found);
  }
  return result;
}

/** With every struct field on the way to a member made a member too: who owns spec.a.b owns that there is a spec.a. */
export function withParents(schema: Schema | undefined, set: FieldSet): FieldSet {
  return fieldSet(
    set.isMember,
    [...set.children].map(([element, child]) => {
      const childSchema = element.startsWith('f:') ? memberSchema(schema, element.slice(2)) : schema?.items;
      const deep = withParents(childSchema, child);
      return [
        element,
        element.startsWith('f:') && isField(schema, element.slice(2)) ? union(deep, leaf) : deep,
      ] as const;
    }),
  );
}
