/**
 * From a CustomResourceDefinition to the kinds it makes the server serve, one per served version.
 *
 * Versions share their objects and differ in apiVersion only (conversion strategy None).
 */
import type { FieldText } from './field-selector.js';
import { isObject, listAt, objectAt, textAt, at, type Json } from './json.js';
import { parseJsonPath } from './json-path.js';
import { ageSince } from './age.js';
import type { ApiObject } from './object.js';
import type { ResourceType } from './resource-type.js';
import type { Schema } from './schema.js';
import { ageColumn, nameColumn, rowOf, type CellColumn } from './kinds/columns.js';
import { objectMetaSchema } from './kinds/schemas.js';

export const CRD_BUCKET = 'customresourcedefinitions.apiextensions.k8s.io';

/** Kinds of a stored, validated CRD. */
export function typesOf(crd: ApiObject): readonly ResourceType[] {
  return listAt(crd, 'spec', 'versions')
    .filter((version) => at(version, 'served') === true)
    .map((version) => typeOf(crd, version));
}

/** Where a CRD's objects are kept. */
export const bucketOf = (crd: ApiObject): string =>
  `${textAt(crd, 'spec', 'names', 'plural') ?? ''}.${textAt(crd, 'spec', 'group') ?? ''}`;

function typeOf(crd: ApiObject, version: Json): ResourceType {
  const names = objectAt(crd, 'spec', 'names');
  const kind = textAt(names, 'kind') ?? '';
  const texts = (key: string): readonly string[] =>
    listAt(names, key).filter((value): value is string => typeof value === 'string');
  const columns = listAt(version, 'additionalPrinterColumns').map(printerColumn);
  const group = textAt(crd, 'spec', 'group') ?? '';
  const versionName = textAt(version, 'name') ?? '';
  const schema = at(version, 'schema', 'openAPIV3Schema');
  return {
    group,
    version: versionName,
    kind,
    listKind: textAt(names, 'listKind') ?? `${kind}List`,
    plural: textAt(names, 'plural') ?? '',
    singular: textAt(names, 'singular') ?? kind.toLowerCase(),
    shortNames: texts('shortNames'),
    categories: texts('categories'),
    namespaced: textAt(crd, 'spec', 'scope') === 'Namespaced',
    bucket: bucketOf(crd),
    schema: withTypeMeta(
      isObject(schema) ? (schema as Schema) : {},
      `${group.split('.').reverse().join('.')}.${versionName}.${kind}`,
    ),
    manner: 'structural',
    hasStatus: at(version, 'subresources', 'status') !== undefined,
    subresources: {},
    ...rowOf(columns.length === 0 ? [nameColumn, ageColumn] : [nameColumn, ...columns]),
    selectableFields: Object.fromEntries(
      listAt(version, 'selectableFields').map((entry) => selectableField(textAt(entry, 'jsonPath') ?? '')),
    ),
    strategy: {},
  };
}

/** Every custom resource has these, whatever its CRD says about them. */
const withTypeMeta = (schema: Schema, definition: string): Schema => ({
  ...schema,
  type: 'object',
  definition,
  properties: {
    ...schema.properties,
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: objectMetaSchema,
  },
});

function printerColumn(definition: Json): CellColumn {
  const type = textAt(definition, 'type') ?? 'string';
  const path = parseJsonPath(textAt(definition, 'jsonPath') ?? '');
  const priority = at(definition, 'priority');
  return {
    name: textAt(definition, 'name') ?? '',
    type,
    format: textAt(definition, 'format') ?? '',
    description: textAt(definition, 'description') ?? '',
    priority: typeof priority === 'number' ? priority : 0,
    cell: (object, now) => cellOf(type, path(object), now),
  };
}

/** k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor: several values are joined, none is empty. */
function cellOf(type: string, values: readonly Json[], now: number): Json {
  const [first] = values;
  if (first === undefined || first === null) return null;
  switch (type) {
    case 'integer':
      return typeof first === 'number' ? Math.trunc(first) : null;
    case 'number':
      return typeof first === 'number' ? first : null;
    case 'boolean':
      return typeof first === 'boolean' ? first : null;
    case 'date':
      return typeof first === 'string' ? ageSince(first, now) : '<unknown>';
    default:
      return values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(',');
  }
}

function selectableField(path: string): readonly [string, FieldText] {
  const read = parseJsonPath(path);
  const text: FieldText = (object) => {
    const [value] = read(object);
    return value === undefined || value === null ? '' : String(value);
  };
  return [path.replace(/^\./, ''), text];
}
