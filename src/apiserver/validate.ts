/**
 * Does a value obey its schema? All problems are collected, each in upstream's sentence (kube-openapi's validate package,
 * as apiextensions-apiserver words it), so that kubectl prints what it prints against a real cluster.
 *
 * CEL rules are not here but in cel-rules.ts; a value is checked by them only when this walk found nothing.
 */
import { duplicate, invalidValue, notSupported, required, type Problem } from './api-error.js';
import { hasFormat } from './formats.js';
import { canonicalText, isArray, isEqual, isObject, own, type Json, type JsonObject } from './json.js';
import { listKeysOf, memberSchema, type Schema } from './schema.js';

/** BOUNDED: a value cannot make a Status of any size. */
const MAX_PROBLEMS = 100;

/** What to skip: built-in kinds check required fields by hand, because the API is laxer than its own OpenAPI. */
export interface ValidationOptions {
  readonly requiredFields: boolean;
}

export function validateValue(
  schema: Schema,
  value: Json,
  path: string,
  options: ValidationOptions,
): readonly Problem[] {
  const problems: Problem[] = [];
  check(schema, value, path, options, problems);
  return problems.slice(0, MAX_PROBLEMS);
}

function check(schema: Schema, value: Json, path: string, options: ValidationOptions, problems: Problem[]): void {
  if (problems.length >= MAX_PROBLEMS) return;
  if (value === null) {
    if (schema.nullable !== true && !allowsAnything(schema)) problems.push(typeProblem(schema, value, path));
    return;
  }
  if (!hasType(schema, value)) {
    problems.push(typeProblem(schema, value, path));
    return;
  }
  if (schema.enum !== undefined && !schema.enum.some((allowed) => isEqual(allowed, value)))
    problems.push(notSupported(path, value, schema.enum.map(String)));
  if (typeof value === 'string') checkString(schema, value, path, problems);
  else if (typeof value === 'number') checkNumber(schema, value, path, problems);
  else if (isArray(value)) checkList(schema, value, path, options, problems);
  else if (isObject(value)) checkObject(schema, value, path, options, problems);
  checkCombinations(schema, value, path, options, problems);
}

const allowsAnything = (schema: Schema): boolean =>
  schema.type === undefined && schema['x-kubernetes-int-or-string'] !== true;

function hasType(schema: Schema, value: Json): boolean {
  if (schema['x-kubernetes-int-or-string'] === true)
    return typeof value === 'string' || (typeof value === 'number' && Number.isInteger(value));
  switch (schema.type) {
    case undefined:
      return true;
    case 'object':
      return isObject(value);
    case 'array':
      return isArray(value);
    case 'string':
      return typeof value === 'string';
    case 'boolean':
      return typeof value === 'boolean';
    case 'number':
      return typeof value === 'number';
    case 'integer':
      return typeof value === 'number' && Number.isInteger(value);
  }
}

function typeProblem(schema: Schema, value: Json, path: string): Problem {
  const wanted = schema['x-kubernetes-int-or-string'] === true ? 'integer,string' : (schema.type ?? 'object');
  const actual = typeName(value);
  return {
    ...invalidValue(path, actual, `${path} in body must be of type ${wanted}: "${actual}"`),
    type: 'FieldValueTypeInvalid',
  };
}

function typeName(value: Json): string {
  if (value === null) return 'null';
  if (isArray(value)) return 'array';
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
}

function checkString(schema: Schema, value: string, path: string, problems: Problem[]): void {
  const length = [...value].length;
  if (schema.maxLength !== undefined && length > schema.maxLength)
    problems.push({
      type: 'FieldValueTooLong',
      field: path,
      message: `Too long: may not be more than ${schema.maxLength} bytes`,
    });
  if (schema.minLength !== undefined && length < schema.minLength)
    problems.push(invalidValue(path, value, `${path} in body should be at least ${schema.minLength} chars long`));
  if (schema.pattern !== undefined && !compiledPattern(schema.pattern).test(value))
    problems.push(invalidValue(path, value, `${path} in body should match '${schema.pattern}'`));
  if (schema.format !== undefined && !hasFormat(schema.format, value))
    problems.push(
      invalidValue(path, value, `${path} in body must be of type ${schema.format}: ${JSON.stringify(value)}`),
    );
}

/** BOUNDED by the schemas' patterns. */
const patterns = new Map<string, RegExp>();

/** Go's RE2 and JavaScript agree on what CRDs use, but for the inline flag (?i), which JavaScript wants outside. */
export function compiledPattern(source: string): RegExp {
  let compiled = patterns.get(source);
  if (compiled === undefined) {
    const isCaseless = source.includes('(?i)');
    compiled = new RegExp(source.replace('(?i)', ''), isCaseless ? 'iu' : 'u');
    patterns.set(source, compiled);
  }
  return compiled;
}

function checkNumber(schema: Schema, value: number, path: string, problems: Problem[]): void {
  const { minimum, maximum } = schema;
  const wanted = (what: string): number =>
    problems.push(invalidValue(path, value, `${path} in body should be ${what}`));
  const orEqual = (isExclusive: boolean | undefined): string => (isExclusive === true ? '' : ' or equal to');
  if (minimum !== undefined && (schema.exclusiveMinimum === true ? value <= minimum : value < minimum))
    wanted(`greater than${orEqual(schema.exclusiveMinimum)} ${minimum}`);
  if (maximum !== undefined && (schema.exclusiveMaximum === true ? value >= maximum : value > maximum))
    wanted(`less than${orEqual(schema.exclusiveMaximum)} ${maximum}`);
  if (schema.multipleOf !== undefined && value % schema.multipleOf !== 0) wanted(`a multiple of ${schema.multipleOf}`);
  if (schema.format === 'int32' && (value < -(2 ** 31) || value >= 2 ** 31))
    problems.push(invalidValue(path, value, `${path} in body must be of type int32: "${value}"`));
}

function checkList(
  schema: Schema,
  value: readonly Json[],
  path: string,
  options: ValidationOptions,
  problems: Problem[],
): void {
  if (schema.maxItems !== undefined && value.length > schema.maxItems)
    problems.push({
      type: 'FieldValueTooMany',
      field: path,
      message: `Too many: ${value.length}: must have at most ${schema.maxItems} items`,
    });
  if (schema.minItems !== undefined && value.length < schema.minItems)
    problems.push(invalidValue(path, value.length, `${path} in body should have at least ${schema.minItems} items`));
  // A dual-stack Node has two addresses of type InternalIP: built-in lists are maps for merging, not for validation.
  if (options.requiredFields) checkUnique(schema, value, path, problems);
  const items = schema.items;
  if (items !== undefined)
    for (const [index, item] of value.entries()) check(items, item, `${path}[${index}]`, options, problems);
}

function checkUnique(schema: Schema, value: readonly Json[], path: string, problems: Problem[]): void {
  const keys = listKeysOf(schema);
  if (keys === undefined && schema['x-kubernetes-list-type'] !== 'set' && schema.uniqueItems !== true) return;
  const seen = new Set<string>();
  value.forEach((item, index) => {
    const identity = keys === undefined ? item : Object.fromEntries(keys.map((key) => [key, keyOf(schema, item, key)]));
    const text = canonicalText(identity);
    if (seen.has(text)) problems.push(duplicate(`${path}[${index}]`, identity));
    seen.add(text);
  });
}

/** A list key's value; a key that is absent counts as its default. */
const keyOf = (schema: Schema, item: Json, key: string): Json =>
  (isObject(item) ? own(item, key) : undefined) ??
  (schema.items === undefined ? undefined : memberSchema(schema.items, key)?.default) ??
  null;

function checkObject(
  schema: Schema,
  value: JsonObject,
  path: string,
  options: ValidationOptions,
  problems: Problem[],
): void {
  const names = Object.keys(value);
  if (options.requiredFields)
    for (const name of schema.required ?? [])
      if (!Object.hasOwn(value, name)) problems.push(required(join(path, name)));
  if (schema.maxProperties !== undefined && names.length > schema.maxProperties)
    problems.push({
      type: 'FieldValueTooMany',
      field: path,
      message: `Too many: ${names.length}: must have at most ${schema.maxProperties} items`,
    });
  if (schema.minProperties !== undefined && names.length < schema.minProperties)
    problems.push(
      invalidValue(path, names.length, `${path} in body should have at least ${schema.minProperties} properties`),
    );
  for (const name of names) {
    const child = memberSchema(schema, name);
    const member = value[name];
    if (child !== undefined && member !== undefined) check(child, member, join(path, name), options, problems);
  }
}

function checkCombinations(
  schema: Schema,
  value: Json,
  path: string,
  options: ValidationOptions,
  problems: Problem[],
): void {
  const passes = (option: Schema): boolean => validateValue(option, value, path, options).length === 0;
  const refuse = (why: string): number =>
    problems.push(invalidValue(path, shown(value), `${path} in body must ${why}`));
  for (const part of schema.allOf ?? []) check(part, value, path, options, problems);
  if (schema.anyOf !== undefined && !schema.anyOf.some(passes)) refuse('validate at least one schema (anyOf)');
  if (schema.oneOf !== undefined) {
    const count = schema.oneOf.filter(passes).length;
    if (count !== 1) refuse(`validate one and only one schema (oneOf). Found ${count} valid alternatives`);
  }
  if (schema.not !== undefined && passes(schema.not)) refuse('not validate the schema (not)');
}

const shown = (value: Json): Json => (isObject(value) || isArray(value) ? JSON.stringify(value).slice(0, 200) : value);

const join = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);
