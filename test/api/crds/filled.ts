/**
 * Objects that fill every list of a CRD, made from its schema alone: a list added to a schema is tried without anybody writing
 * a test for it. Properties without a list below them are left out unless they are required.
 *
 * Where a schema wants exactly one of several members, a list gets one item per member, and anything else one object per
 * member; so a schema gives several objects, which together fill every list.
 */
import { isArray, isObject, type Json, type JsonObject } from '../../../src/apiserver/json.js';
import type { Schema } from '../../../src/apiserver/schema.js';

export interface FillOptions {
  /** Other seeds give other list items, all else being the same. */
  readonly seed: number;
  /** Which lists to fill; the others stay away, with all that stands in them. */
  readonly lists: 'all' | 'merged';
}

const ITEMS = 2;

/** Alternatives that together fill the lists below a schema. `name` is the property the value stands under. */
export function filled(schema: Schema, name: string, options: FillOptions): readonly Json[] {
  if (schema.type === 'array') return [filledList(schema, name, options)];
  if (schema.type === 'object') return filledObjects(schema, options);
  return [scalar(schema, name, 0)];
}

function filledList(schema: Schema, name: string, options: FillOptions): Json {
  const { items } = schema;
  if (items === undefined) return [];
  const most = schema.maxItems ?? 100;
  if (items.enum !== undefined) return items.enum.slice(0, most);
  const isMerged = isMergedList(schema);
  // Items of a list that is one value are that value whatever the seed, unless it is this very list that is changed.
  const seeds = Array.from({ length: ITEMS }, (_, index) => options.seed * 10 + index + 1);
  const values = seeds.flatMap((seed): readonly Json[] =>
    items.type === 'object'
      ? filledObjects(items, { ...options, lists: isMerged ? options.lists : 'all' }, seed)
      : [scalar(items, name, seed)],
  );
  return values.slice(0, most);
}

function filledObjects(schema: Schema, options: FillOptions, seed = 0): readonly JsonObject[] {
  const properties = Object.entries(schema.properties ?? {});
  const isWanted = (name: string, child: Schema): boolean =>
    (schema.required ?? []).includes(name) || hasList(child, options);
  const wanted = properties.filter(([name, child]) => isWanted(name, child));
  if (schema.maxProperties === 1) {
    const chosen = wanted.length > 0 ? wanted : properties.slice(0, 1);
    return chosen.flatMap(([name, child]) => valuesOf(child, name, options, seed).map((value) => ({ [name]: value })));
  }
  const members = (wanted.length === 0 && (schema.minProperties ?? 0) > 0 ? properties.slice(0, 1) : wanted).map(
    ([name, child]) => [name, valuesOf(child, name, options, seed)] as const,
  );
  const count = Math.max(1, ...members.map(([, values]) => values.length));
  return Array.from({ length: count }, (_, index) =>
    Object.fromEntries(members.map(([name, values]) => [name, values[Math.min(index, values.length - 1)] ?? null])),
  );
}

const valuesOf = (schema: Schema, name: string, options: FillOptions, seed: number): readonly Json[] =>
  schema.type === 'object' || schema.type === 'array' ? filled(schema, name, options) : [scalar(schema, name, seed)];

const isMergedList = (schema: Schema): boolean =>
  schema['x-kubernetes-list-type'] === 'map' || schema['x-kubernetes-list-type'] === 'set';

function hasList(schema: Schema, options: FillOptions): boolean {
  if (schema.type === 'array') return options.lists === 'all' || isMergedList(schema);
  if (schema['x-kubernetes-map-type'] === 'atomic' && options.lists === 'merged') return false;
  return Object.values(schema.properties ?? {}).some((child) => hasList(child, options));
}

const ADDRESSES = new Set(['nets', 'notNets', 'expectedIPs', 'reservedCIDRs', 'networks', 'except', 'cidr', 'address']);

function scalar(schema: Schema, name: string, seed: number): Json {
  if (schema.enum !== undefined) return schema.enum[0] ?? null;
  if (schema['x-kubernetes-int-or-string'] === true) return name === 'protocol' ? 'TCP' : 8000 + seed;
  if (schema.type === 'integer' || schema.type === 'number') return Math.max(schema.minimum ?? 0, 1) + seed;
  if (schema.type === 'boolean') return true;
  if (schema.format === 'date-time') return '2026-11-30T00:00:00Z';
  if (schema.format === 'cidr' || ADDRESSES.has(name)) return `10.${seed}.0.0/16`;
  if (name === 'domainNames') return `name${seed}.example.com`;
  if (schema.pattern?.includes(':') === true && schema.maxLength === 32) return `64512:${seed}`;
  return `name${seed}`;
}

/** Paths of every list of a schema: `spec.ingress[].source.nets[]`. */
export function listPaths(schema: Schema, path: string): readonly string[] {
  if (schema.type === 'array') {
    const here = `${path}[]`;
    return [here, ...(schema.items === undefined ? [] : listPaths(schema.items, here))];
  }
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]) => listPaths(child, `${path}.${name}`));
}

/** Paths of every list that stands in a value and is not empty. */
export function filledPaths(value: Json, path: string): readonly string[] {
  if (isArray(value))
    return value.length === 0 ? [] : [`${path}[]`, ...value.flatMap((item) => filledPaths(item, `${path}[]`))];
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([name, member]) => filledPaths(member, `${path}.${name}`));
}
