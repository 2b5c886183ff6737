/**
 * OpenAPI documents of the kinds served: version 2 as one document (old kubectl: validation, explain, strategic merge of
 * apply), version 3 per group (current kubectl). Both come from the same schemas that the server itself works with.
 *
 * The paths hold no more than kubectl looks for: a PATCH per kind with the query parameters dryRun, fieldValidation,
 * fieldManager and force, from which it concludes what the server can do.
 */
import type { Json, JsonObject } from './json.js';
import type { Registry } from './registry.js';
import { PATCH_TYPES } from './patch.js';
import { apiVersionOf, type ResourceType } from './resource-type.js';
import type { Schema } from './schema.js';
import { canonicalSchema } from './kinds/schemas.js';

export interface OpenApiDialect {
  readonly refPrefix: '#/definitions/' | '#/components/schemas/';
  readonly hasUnions: boolean;
}

const V2: OpenApiDialect = { refPrefix: '#/definitions/', hasUnions: false };
const V3: OpenApiDialect = { refPrefix: '#/components/schemas/', hasUnions: true };

const QUERY_PARAMETERS = ['dryRun', 'fieldManager', 'fieldValidation', 'force', 'pretty'] as const;

/** Keywords copied as they are. */
const KEYWORDS = [
  'description',
  'type',
  'format',
  'default',
  'enum',
  'pattern',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'uniqueItems',
  'minProperties',
  'maxProperties',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-patch-merge-key',
  'x-kubernetes-patch-strategy',
] as const satisfies readonly (keyof Schema)[];

/** Schemas by name as they are met; a name is entered before its body is rendered, so that recursion ends. */
type Definitions = Map<string, JsonObject>;

export function openApiV2(registry: Registry): JsonObject {
  const definitions: Definitions = new Map();
  const paths: Record<string, JsonObject> = {};
  for (const type of registry.all()) {
    defineKind(type, definitions, V2);
    paths[pathOf(type)] = { patch: patchOperation(type, (name, schema) => ({ name, in: 'query', ...schema })) };
  }
  return {
    swagger: '2.0',
    info: { title: 'Tortie lab', version: 'v1.32.0' },
    paths,
    definitions: Object.fromEntries(definitions),
  };
}

/** Paths of the index at /openapi/v3: "api/v1", "apis/GROUP/VERSION". */
export function openApiV3Index(registry: Registry): JsonObject {
  const paths = [...registry.groups()].flatMap(([group, versions]) =>
    versions.map((version) => rootOf(group, version)),
  );
  return {
    paths: Object.fromEntries(
      paths.map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${registry.documentHash}` }]),
    ),
  };
}

export function openApiV3(registry: Registry, group: string, version: string): JsonObject | undefined {
  const types = registry.ofVersion(group, version);
  if (types.length === 0) return undefined;
  const schemas: Definitions = new Map();
  const paths: Record<string, JsonObject> = {};
  for (const type of types) {
    defineKind(type, schemas, V3);
    paths[pathOf(type)] = { patch: patchOperation(type, (name, schema) => ({ name, in: 'query', schema })) };
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Tortie lab', version: 'v1.32.0' },
    paths,
    components: { schemas: Object.fromEntries(schemas) },
  };
}

const rootOf = (group: string, version: string): string =>
  group === '' ? `api/${version}` : `apis/${group}/${version}`;

const pathOf = (type: ResourceType): string =>
  `/${rootOf(type.group, type.version)}/${type.namespaced ? 'namespaces/{namespace}/' : ''}${type.plural}/{name}`;

const kindOf = (type: ResourceType): JsonObject => ({ group: type.group, version: type.version, kind: type.kind });

const patchOperation = (
  type: ResourceType,
  parameter: (name: string, schema: JsonObject) => JsonObject,
): JsonObject => ({
  description: `partially update the specified ${type.kind}`,
  operationId: `patch${type.namespaced ? 'Namespaced' : ''}${type.kind}${type.group}${type.version}`,
  parameters: QUERY_PARAMETERS.map((name) =>
    parameter(name, { type: name === 'force' ? 'boolean' : 'string', uniqueItems: true }),
  ),
  // From the media types kubectl concludes whether it may send a strategic merge patch.
  requestBody: { content: Object.fromEntries(patchTypesOf(type).map((media) => [media, { schema: {} }])) },
  responses: { 200: { description: 'OK' } },
  'x-kubernetes-action': 'patch',
  'x-kubernetes-group-version-kind': kindOf(type),
});

const patchTypesOf = (type: ResourceType): readonly string[] =>
  PATCH_TYPES.filter((media) => type.manner === 'typed' || media !== 'application/strategic-merge-patch+json');

function defineKind(type: ResourceType, definitions: Definitions, dialect: OpenApiDialect): void {
  const name = type.schema.definition ?? `${apiVersionOf(type)}.${type.kind}`;
  if (!definitions.has(name)) define(name, type.schema, definitions, dialect);
  definitions.set(name, { ...definitions.get(name), 'x-kubernetes-group-version-kind': [kindOf(type)] });
}

function define(name: string, schema: Schema, definitions: Definitions, dialect: OpenApiDialect): void {
  definitions.set(name, {});
  definitions.set(name, body(schema, definitions, dialect));
}

function render(schema: Schema, definitions: Definitions, dialect: OpenApiDialect): JsonObject {
  const { definition } = schema;
  if (definition === undefined) return body(schema, definitions, dialect);
  const whole = canonicalSchema(definition) ?? schema;
  if (!definitions.has(definition)) define(definition, whole, definitions, dialect);
  const reference = { $ref: `${dialect.refPrefix}${definition}` };
  const beside: Record<string, Json> = {};
  if (schema.description !== undefined && schema.description !== whole.description)
    beside['description'] = schema.description;
  if (schema.default !== undefined) beside['default'] = schema.default;
  if (!dialect.hasUnions) return { ...beside, ...reference };
  return Object.keys(beside).length === 0 ? reference : { ...beside, allOf: [reference] };
}

function body(schema: Schema, definitions: Definitions, dialect: OpenApiDialect): JsonObject {
  const result: Record<string, Json> = {};
  for (const keyword of KEYWORDS) {
    const value = schema[keyword];
    if (value !== undefined) result[keyword] = value as Json;
  }
  if (schema['x-kubernetes-int-or-string'] === true) Object.assign(result, intOrString(schema, dialect));
  if (schema.required !== undefined && schema.required.length > 0) result['required'] = schema.required;
  if (schema.properties !== undefined)
    result['properties'] = Object.fromEntries(
      Object.entries(schema.properties).map(([name, child]) => [name, render(child, definitions, dialect)]),
    );
  if (schema.items !== undefined) result['items'] = render(schema.items, definitions, dialect);
  if (typeof schema.additionalProperties === 'object')
    result['additionalProperties'] = render(schema.additionalProperties, definitions, dialect);
  return result;
}

/** Definitions IntOrString and Quantity are strings with a format in Swagger 2, as upstream has them. */
function intOrString(schema: Schema, dialect: OpenApiDialect): JsonObject {
  const isQuantity = schema.format === 'quantity';
  const format = isQuantity ? '' : 'int-or-string';
  if (!dialect.hasUnions) return { type: 'string', format };
  return {
    format,
    oneOf: [{ type: 'string' }, { type: isQuantity ? 'number' : 'integer' }],
    ...(isQuantity ? {} : { 'x-kubernetes-int-or-string': true }),
  };
}
