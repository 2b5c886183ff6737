/**
 * x-kubernetes-validations: the CEL rules of custom resources, checked once a value obeys its schema.
 *
 * A rule that names oldSelf is about a change: it runs on updates only, and only where the old value can be told (list items
 * by their keys; items of sets and atomic lists have no past). CEL's standard functions are known, and of Kubernetes' own
 * isCIDR and isIP; a CRD whose rule needs more is refused when it is created, not when an object fails.
 */
import { Environment } from '@marcbachmann/cel-js';
import { tryParseAddress, tryParsePrefix } from 'node-bgp/address';
import { forbiddenField, invalidValue, required, type Problem } from './api-error.js';
import { isArray, isEqual, isObject, own, type Json, type JsonObject } from './json.js';
import type { ApiObject } from './object.js';
import { listKeysOf, memberSchema, type Schema, type ValidationRule } from './schema.js';

type Program = (context: Record<string, unknown>) => unknown;

const environment = new Environment({ homogeneousAggregateLiterals: false })
  .registerVariable('self', 'dyn')
  .registerVariable('oldSelf', 'dyn')
  .registerFunction('isCIDR(string): bool', (text: string) => tryParsePrefix(text) !== undefined)
  .registerFunction('isIP(string): bool', (text: string) => tryParseAddress(text) !== undefined);

/** BOUNDED by the rules of the CRDs ever stored in this process. */
const programs = new Map<string, Program>();

/** Throws an Error that says what is wrong with the expression. */
export function compileRule(expression: string): Program {
  let program = programs.get(expression);
  if (program === undefined) {
    const checked = environment.check(expression);
    if (!checked.valid) throw new Error(checked.error?.message ?? 'does not compile');
    program = environment.parse(expression) as unknown as Program;
    programs.set(expression, program);
  }
  return program;
}

/** Problems of an object by all rules of its schema; `old` is the stored object on an update. */
export function checkRules(schema: Schema, object: ApiObject, old: ApiObject | undefined): readonly Problem[] {
  const problems: Problem[] = [];
  visit(schema, object, old, '', problems);
  return problems;
}

function visit(schema: Schema, value: Json, old: Json | undefined, path: string, problems: Problem[]): void {
  for (const rule of schema['x-kubernetes-validations'] ?? []) checkRule(schema, rule, value, old, path, problems);
  if (isObject(value)) {
    for (const [name, member] of Object.entries(value)) {
      const child = memberSchema(schema, name);
      if (child !== undefined)
        visit(
          child,
          member,
          isObject(old) ? own(old, name) : undefined,
          path === '' ? name : `${path}.${name}`,
          problems,
        );
    }
  } else if (isArray(value)) {
    const items = schema.items;
    if (items !== undefined)
      for (const [index, item] of value.entries())
        visit(items, item, pastOf(schema, item, old), `${path}[${index}]`, problems);
  }
}

/** The same list item before the change. */
function pastOf(schema: Schema, item: Json, old: Json | undefined): Json | undefined {
  const keys = listKeysOf(schema);
  if (keys === undefined || !isObject(item) || !isArray(old)) return undefined;
  return old.find((before) => isObject(before) && keys.every((key) => isEqual(own(before, key), own(item, key))));
}

function checkRule(
  schema: Schema,
  rule: ValidationRule,
  value: Json,
  old: Json | undefined,
  path: string,
  problems: Problem[],
): void {
  const isTransition = /\boldSelf\b/.test(rule.rule);
  if (isTransition && old === undefined) return;
  const field = `${path}${rule.fieldPath ?? ''}`;
  const context = { self: celValue(schema, value), ...(old === undefined ? {} : { oldSelf: celValue(schema, old) }) };
  const why = rule.message ?? `failed rule: ${rule.rule}`;
  try {
    if (compileRule(rule.rule)(context) === true) return;
    problems.push(problemOf(rule, field, value, messageOf(rule, context) ?? why));
  } catch (error) {
    problems.push(problemOf(rule, field, value, `${(error as Error).message} evaluating rule: ${why}`));
  }
}

function messageOf(rule: ValidationRule, context: Record<string, unknown>): string | undefined {
  if (rule.messageExpression === undefined) return undefined;
  try {
    const text = compileRule(rule.messageExpression)(context);
    return typeof text === 'string' && text.trim() !== '' ? text : undefined;
  } catch {
    return undefined; // as upstream: the fixed message stands in for one that cannot be made
  }
}

function problemOf(rule: ValidationRule, field: string, value: Json, why: string): Problem {
  switch (rule.reason) {
    case 'FieldValueForbidden':
      return forbiddenField(field, why);
    case 'FieldValueRequired':
      return required(field, why);
    default: {
      const shown = isObject(value) ? 'object' : isArray(value) ? 'array' : value;
      return { ...invalidValue(field, shown, why), type: rule.reason ?? 'FieldValueInvalid' };
    }
  }
}

/** CEL tells integers and doubles apart, JSON does not: the schema says which a number is. */
function celValue(schema: Schema | undefined, value: Json): unknown {
  if (typeof value === 'number') return Number.isInteger(value) && schema?.type !== 'number' ? BigInt(value) : value;
  if (isArray(value)) return value.map((item) => celValue(schema?.items, item));
  if (isObject(value)) return celMap(schema, value);
  return value;
}

const celMap = (schema: Schema | undefined, value: JsonObject): ReadonlyMap<string, unknown> =>
  new Map(
    Object.entries(value).map(([name, member]) => [
      name,
      celValue(schema === undefined ? undefined : memberSchema(schema, name), member),
    ]),
  );
