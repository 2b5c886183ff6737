/**
 * Structural schemas: what a kind's objects look like. Kinds built into the server and kinds of CRDs use the same form,
 * the OpenAPI v3 subset of apiextensions.k8s.io/v1 JSONSchemaProps with its x-kubernetes-* extensions.
 *
 * The walks over a schema are elsewhere: decode.ts (unknown fields, types), defaults.ts, validate.ts, strategic-merge.ts,
 * typed-fields.ts, openapi.ts. A schema may contain itself (JSONSchemaProps does), so walks follow data, never the schema.
 */
import type { Json } from './json.js';

export interface Schema {
  /** Name in /openapi when the schema stands there by itself, e.g. "io.k8s.api.core.v1.PodSpec". */
  readonly definition?: string;
  readonly description?: string;
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly format?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly default?: Json;
  readonly nullable?: boolean;
  readonly enum?: readonly Json[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly not?: Schema;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-embedded-resource'?: boolean;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: 'atomic' | 'granular';
  readonly 'x-kubernetes-patch-merge-key'?: string;
  /** "merge", "replace", "retainKeys" or "merge,retainKeys". */
  readonly 'x-kubernetes-patch-strategy'?: string;
  readonly 'x-kubernetes-validations'?: readonly ValidationRule[];
}

/** A CEL rule of a CRD. */
export interface ValidationRule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired' | 'FieldValueDuplicate';
  readonly fieldPath?: string;
  readonly optionalOldSelf?: boolean;
}

/** The schema of a member: its own property, or the map's value schema; undefined when the schema does not know it. */
export function memberSchema(schema: Schema | undefined, name: string): Schema | undefined {
  if (schema?.properties !== undefined && Object.hasOwn(schema.properties, name)) return schema.properties[name];
  return typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

export const isPreserving = (schema: Schema): boolean => schema['x-kubernetes-preserve-unknown-fields'] === true;

/** An object whose members the user names: a map, not a struct. */
export const isMap = (schema: Schema): boolean =>
  schema.properties === undefined && typeof schema.additionalProperties === 'object';

/** Keys of a list merged by key; undefined for sets and atomic lists. */
export const listKeysOf = (schema: Schema): readonly string[] | undefined =>
  schema['x-kubernetes-list-type'] === 'map' ? schema['x-kubernetes-list-map-keys'] : undefined;

/** Anything: for values no schema describes. */
export const anySchema: Schema = { 'x-kubernetes-preserve-unknown-fields': true };
