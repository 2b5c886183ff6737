/** Whole objects of our kinds with every list filled: what filled.ts makes of their schemas, with names and what rules want. */
import { at, isObject, listAt, textAt, type Json, type JsonObject } from '../../../src/apiserver/json.js';
import type { Schema } from '../../../src/apiserver/schema.js';
import { filled, type FillOptions } from './filled.js';

export interface FilledObject {
  /** Name of the CRD. */
  readonly crd: string;
  readonly path: string;
  /** The part that is filled; a status is applied through the subresource. */
  readonly part: 'spec' | 'status';
  readonly object: JsonObject;
}

/** What rules (CEL) want beside lists. */
const ALWAYS: Readonly<Record<string, JsonObject>> = { HostEndpoint: { node: 'node1' } };

export function specSchemaOf(crd: JsonObject, part: 'spec' | 'status'): Schema {
  const schema = at(listAt(crd, 'spec', 'versions')[0], 'schema', 'openAPIV3Schema', 'properties', part);
  return isObject(schema) ? (schema as Schema) : { type: 'object' };
}

/** Rounds of objects, at most one spec and one status of each kind in a round; all are named "default". */
export function filledObjectsOf(
  crds: readonly JsonObject[],
  options: FillOptions,
): readonly (readonly FilledObject[])[] {
  const perPart = crds.flatMap((crd) => (['spec', 'status'] as const).map((part) => alternatives(crd, part, options)));
  const count = Math.max(...perPart.map((objects) => objects.length));
  return Array.from({ length: count }, (_, round) => perPart.flatMap((objects) => objects.slice(round, round + 1)));
}

function alternatives(crd: JsonObject, part: 'spec' | 'status', options: FillOptions): readonly FilledObject[] {
  const schema = specSchemaOf(crd, part);
  if (schema.properties === undefined) return [];
  const text = (...path: readonly string[]): string => textAt(crd, 'spec', ...path) ?? '';
  const [group, version, kind] = [
    text('group'),
    textAt(listAt(crd, 'spec', 'versions')[0], 'name') ?? '',
    text('names', 'kind'),
  ];
  const namespace = text('scope') === 'Namespaced' ? '/namespaces/default' : '';
  return filled(schema, part, options).map((value) => ({
    crd: textAt(crd, 'metadata', 'name') ?? '',
    path: `/apis/${group}/${version}${namespace}/${text('names', 'plural')}/default`,
    part,
    object: {
      apiVersion: `${group}/${version}`,
      kind,
      metadata: { name: 'default' },
      [part]: { ...(part === 'spec' ? ALWAYS[kind] : {}), ...(value as JsonObject) } as Json,
    },
  }));
}
