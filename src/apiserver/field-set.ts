/**
 * Sets of field paths: what managedFields says somebody owns (sigs.k8s.io/structured-merge-diff, package fieldpath).
 *
 * A path is a list of elements in their FieldsV1 spelling: `f:NAME` a member, `k:{"name":"web"}` the list item with these
 * keys, `v:"x"` the item of a set. A set is a tree; `isMember` says that the path down to here is in the set itself
 * (FieldsV1 writes `"."` for that where there are children, and `{}` where there are none).
 */
import { isObject, type Json, type JsonObject } from './json.js';

export interface FieldSet {
  readonly isMember: boolean;
  readonly children: ReadonlyMap<string, FieldSet>;
}

export const emptySet: FieldSet = { isMember: false, children: new Map() };
export const leaf: FieldSet = { isMember: true, children: new Map() };

export const isEmpty = (set: FieldSet): boolean => !set.isMember && set.children.size === 0;

/** A set of the children; those that are empty are left out. */
export function fieldSet(isMember: boolean, children: Iterable<readonly [string, FieldSet]>): FieldSet {
  return { isMember, children: new Map([...children].filter(([, child]) => !isEmpty(child))) };
}

export const union = (left: FieldSet, right: FieldSet): FieldSet => combine(left, right, (a, b) => a || b);

export const intersection = (left: FieldSet, right: FieldSet): FieldSet => combine(left, right, (a, b) => a && b);

export const difference = (left: FieldSet, right: FieldSet): FieldSet => combine(left, right, (a, b) => a && !b);

function combine(left: FieldSet, right: FieldSet, isIn: (left: boolean, right: boolean) => boolean): FieldSet {
  const names = new Set([...left.children.keys(), ...right.children.keys()]);
  return fieldSet(
    isIn(left.isMember, right.isMember),
    [...names].map(
      (name) =>
        [name, combine(left.children.get(name) ?? emptySet, right.children.get(name) ?? emptySet, isIn)] as const,
    ),
  );
}

/** Without whole subtrees: a path in `roots` takes everything below it along. */
export function withoutTrees(set: FieldSet, roots: FieldSet): FieldSet {
  if (roots.isMember) return emptySet;
  return fieldSet(
    set.isMember,
    [...set.children].map(
      ([name, child]) => [name, withoutTrees(child, roots.children.get(name) ?? emptySet)] as const,
    ),
  );
}

export function isSameSet(left: FieldSet, right: FieldSet): boolean {
  return (
    left.isMember === right.isMember &&
    left.children.size === right.children.size &&
    [...left.children].every(([name, child]) => {
      const other = right.children.get(name);
      return other !== undefined && isSameSet(child, other);
    })
  );
}

/** All member paths as people read them: `.spec.containers[name="web"].image`. */
export function pathTexts(set: FieldSet, prefix = ''): readonly string[] {
  const here = set.isMember ? [prefix] : [];
  return [...here, ...[...set.children].flatMap(([name, child]) => pathTexts(child, prefix + elementText(name)))];
}

function elementText(element: string): string {
  const rest = element.slice(2);
  switch (element.slice(0, 2)) {
    case 'f:':
      return `.${rest}`;
    case 'v:':
      return `[=${rest}]`;
    case 'k:': {
      const keys = JSON.parse(rest) as JsonObject;
      return `[${Object.entries(keys)
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join(',')}]`;
    }
    default:
      return `[${rest}]`;
  }
}

/** From FieldsV1. Anything that is no object counts as an empty one. */
export function parseFieldsV1(fields: Json | undefined): FieldSet {
  if (!isObject(fields)) return emptySet;
  const children = Object.entries(fields)
    .filter(([name]) => name !== '.')
    .map(([name, child]) => {
      const set = parseFieldsV1(child);
      return [canonicalElement(name), isEmpty(set) ? leaf : set] as const;
    });
  return { isMember: Object.hasOwn(fields, '.'), children: new Map(children) };
}

/** Keys may come in any order; here they are sorted. */
function canonicalElement(name: string): string {
  if (!name.startsWith('k:')) return name;
  try {
    return keyElement(JSON.parse(name.slice(2)) as JsonObject);
  } catch {
    return name; // somebody else's spelling: kept, it just never matches
  }
}

/** The path element of the list item with these keys. */
export const keyElement = (keys: JsonObject): string =>
  `k:${JSON.stringify(Object.fromEntries(Object.entries(keys).sort(([a], [b]) => (a < b ? -1 : 1))))}`;

/** To FieldsV1. The root itself is never written. */
export function formatFieldsV1(set: FieldSet): JsonObject {
  const children = [...set.children]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, child]) => {
      const inner = formatFieldsV1(child);
      return [name, child.isMember && child.children.size > 0 ? { '.': {}, ...inner } : inner] as const;
    });
  return Object.fromEntries(children);
}
