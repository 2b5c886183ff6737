/**
 * CustomResourceDefinitions themselves: names are completed, the schema must be structural, and a valid definition is
 * established at once (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation).
 */
import { forbiddenField, invalidValue, required, type Problem } from '../api-error.js';
import { compileRule } from '../cel-rules.js';
import { at, draft, isObject, listAt, objectAt, put, textAt, type Json, type JsonObject } from '../json.js';
import { parseJsonPath } from '../json-path.js';
import { nameOf, type ApiObject } from '../object.js';
import type { ResourceType } from '../resource-type.js';
import { builtIn } from './built-in.js';
import { column } from './columns.js';
import { listTypeProblems } from './list-type-problems.js';

function complete(crd: ApiObject): ApiObject {
  const names = draft(objectAt(crd, 'spec', 'names'));
  const kind = textAt(names, 'kind') ?? '';
  if ((textAt(names, 'singular') ?? '') === '') names['singular'] = kind.toLowerCase();
  if ((textAt(names, 'listKind') ?? '') === '') names['listKind'] = `${kind}List`;
  const withConversion =
    at(crd, 'spec', 'conversion') === undefined ? put(crd, ['spec', 'conversion'], { strategy: 'None' }) : crd;
  return put(withConversion, ['spec', 'names'], names);
}

function established(crd: ApiObject, old: ApiObject | undefined): ApiObject {
  const time = textAt(crd, 'metadata', 'creationTimestamp') ?? '';
  const condition = (type: string, reason: string, message: string): JsonObject => {
    const before = listAt(old, 'status', 'conditions').find((entry) => textAt(entry, 'type') === type);
    return { type, status: 'True', reason, message, lastTransitionTime: textAt(before, 'lastTransitionTime') ?? time };
  };
  const storage = listAt(crd, 'spec', 'versions').find((version) => at(version, 'storage') === true);
  const stored = listAt(old, 'status', 'storedVersions');
  const name = textAt(storage, 'name') ?? '';
  return put(crd, ['status'], {
    acceptedNames: objectAt(crd, 'spec', 'names'),
    conditions: [
      condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
      condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
    ],
    storedVersions: stored.includes(name) ? stored : [...stored, name],
  });
}

function problems(crd: ApiObject, old: ApiObject | undefined): readonly Problem[] {
  const textOf = (...path: readonly string[]): string => textAt(crd, 'spec', ...path) ?? '';
  const [group, plural, kind, scope] = [
    textOf('group'),
    textOf('names', 'plural'),
    textOf('names', 'kind'),
    textOf('scope'),
  ];
  const found: Problem[] = [];
  if (group === '') found.push(required('spec.group'));
  else if (!group.includes('.'))
    found.push(invalidValue('spec.group', group, 'should be a domain with at least one dot'));
  if (plural === '') found.push(required('spec.names.plural'));
  if (kind === '') found.push(required('spec.names.kind'));
  const name = nameOf(crd);
  if (name !== `${plural}.${group}`)
    found.push(invalidValue('metadata.name', name, 'must be spec.names.plural+"."+spec.group'));
  if (scope === '') found.push(required('spec.scope'));
  const versions = listAt(crd, 'spec', 'versions');
  if (versions.filter((version) => at(version, 'storage') === true).length !== 1)
    found.push(
      invalidValue('spec.versions', versions.length, 'must have exactly one version marked as storage version'),
    );
  for (const [index, version] of versions.entries()) found.push(...versionProblems(version, `spec.versions[${index}]`));
  if (at(crd, 'spec', 'preserveUnknownFields') === true)
    found.push(
      invalidValue(
        'spec.preserveUnknownFields',
        true,
        'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
      ),
    );
  if (textOf('conversion', 'strategy') === 'Webhook')
    found.push(forbiddenField('spec.conversion.strategy', 'this server converts by changing apiVersion only (None)'));
  if (old !== undefined)
    for (const [path, text] of [
      ['spec.group', group],
      ['spec.names.plural', plural],
      ['spec.scope', scope],
    ] as const)
      if (textAt(old, ...path.split('.')) !== text) found.push(invalidValue(path, text, 'field is immutable'));
  return found;
}

function versionProblems(version: Json, path: string): Problem[] {
  const schema = at(version, 'schema', 'openAPIV3Schema');
  const schemaPath = `${path}.schema.openAPIV3Schema`;
  const found = isObject(schema)
    ? structuralProblems(schema, schemaPath, true)
    : [required(schemaPath, 'schemas are required')];
  const paths = (['additionalPrinterColumns', 'selectableFields'] as const).flatMap((list) =>
    listAt(version, list).flatMap((entry, index) =>
      pathProblems(textAt(entry, 'jsonPath') ?? '', `${path}.${list}[${index}].jsonPath`),
    ),
  );
  return [...found, ...paths];
}

function pathProblems(text: string, field: string): Problem[] {
  try {
    parseJsonPath(text);
    return [];
  } catch (error) {
    return [invalidValue(field, text, `is an invalid path: ${(error as Error).message}`)];
  }
}

/** Every node says its type, lists their items, maps by key their keys: what pruning and merging lean on. */
function structuralProblems(schema: JsonObject, path: string, isRoot = false): Problem[] {
  const found: Problem[] = [];
  const type = textAt(schema, 'type');
  const isOpen =
    schema['x-kubernetes-preserve-unknown-fields'] === true || schema['x-kubernetes-int-or-string'] === true;
  if (type === undefined && !isOpen)
    found.push(
      required(
        `${path}.type`,
        isRoot ? 'must not be empty at the root' : 'must not be empty for specified object fields',
      ),
    );
  if (isRoot && type !== undefined && type !== 'object')
    found.push(invalidValue(`${path}.type`, type, 'must be object at the root'));
  if (type === 'array' && !isObject(schema['items'])) found.push(required(`${path}.items`, 'must be specified'));
  found.push(...listTypeProblems(schema, path));
  const pattern = textAt(schema, 'pattern');
  if (pattern !== undefined) {
    try {
      new RegExp(pattern.replace('(?i)', ''), 'u');
    } catch (error) {
      found.push(
        invalidValue(
          `${path}.pattern`,
          pattern,
          `must be a valid regular expression, but isn't: ${(error as Error).message}`,
        ),
      );
    }
  }
  const rules = listAt(schema, 'x-kubernetes-validations');
  found.push(...rules.flatMap((rule, index) => ruleProblems(rule, `${path}.x-kubernetes-validations[${index}]`)));
  for (const [name, child] of Object.entries(objectAt(schema, 'properties'))) {
    if (isRoot && (name === 'metadata' || name === 'apiVersion' || name === 'kind')) continue;
    if (isObject(child)) found.push(...structuralProblems(child, `${path}.properties[${name}]`));
  }
  const items = schema['items'];
  if (isObject(items)) found.push(...structuralProblems(items, `${path}.items`));
  const values = schema['additionalProperties'];
  if (isObject(values)) found.push(...structuralProblems(values, `${path}.additionalProperties`));
  return found;
}

function ruleProblems(rule: Json, path: string): Problem[] {
  return (['rule', 'messageExpression'] as const).flatMap((key) => {
    const expression = textAt(rule, key);
    if (expression === undefined) return key === 'rule' ? [required(`${path}.rule`)] : [];
    try {
      compileRule(expression);
      return [];
    } catch (error) {
      return [invalidValue(`${path}.${key}`, expression, `compilation failed: ${(error as Error).message}`)];
    }
  });
}

export const customResourceDefinitions: ResourceType = builtIn({
  group: 'apiextensions.k8s.io',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  shortNames: ['crd', 'crds'],
  namespaced: false,
  hasStatus: true,
  allColumns: [
    { ...column('Name', nameOf), format: 'name' },
    column('Created At', (crd) => textAt(crd, 'metadata', 'creationTimestamp') ?? '', { type: 'date' }),
  ],
  strategy: {
    prepareCreate: (crd) => established(complete(crd), undefined),
    prepareUpdate: (crd, old) => established(complete(crd), old),
    validate: problems,
  },
});
