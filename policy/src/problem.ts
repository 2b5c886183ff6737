/**
 * What is wrong with an object, part by part: the operator's kind of error. All problems of an object are collected; the
 * rest of the object, and of the cluster, goes on working.
 */

import { MOST_PROBLEMS } from './model/bounds.js';

/** One sentence about one field. */
export interface Problem {
  /** Path inside the object: "spec.ingress[0].from[1].ipBlock.cidr". */
  readonly field: string;
  /** The offending value as JSON text would show it; "" when the field is missing. */
  readonly value: string;
  /** What was wanted: 'must be a strict subset of `cidr`'. */
  readonly expected: string;
  /** Kubernetes' StatusReasons for causes. */
  readonly reason:
    | 'FieldValueInvalid'
    | 'FieldValueRequired'
    | 'FieldValueNotSupported'
    | 'FieldValueForbidden'
    | 'FieldValueTooLong'
    | 'FieldValueTooMany'
    | 'FieldValueTypeInvalid'
    | 'FieldValueDuplicate';
  /** The whole sentence as Kubernetes words it: 'spec.x: Invalid value: "y": must ...'. */
  readonly message: string;
}

const words = {
  FieldValueInvalid: 'Invalid value',
  FieldValueRequired: 'Required value',
  FieldValueNotSupported: 'Unsupported value',
  FieldValueForbidden: 'Forbidden',
  FieldValueTooLong: 'Too long',
  FieldValueTooMany: 'Too many',
  FieldValueTypeInvalid: 'Invalid value',
  FieldValueDuplicate: 'Duplicate value',
} as const;

function problem(reason: Problem['reason'], field: string, value: unknown, expected: string): Problem {
  const shown = value === undefined ? '' : showValue(value);
  const quoted =
    shown === '' || reason === 'FieldValueRequired' || reason === 'FieldValueForbidden' ? '' : `: ${shown}`;
  return {
    field,
    value: shown,
    expected,
    reason,
    message: `${field}: ${words[reason]}${quoted}${expected === '' ? '' : `: ${expected}`}`,
  };
}

export const invalid = (field: string, value: unknown, expected: string): Problem =>
  problem('FieldValueInvalid', field, value, expected);
export const required = (field: string, expected = ''): Problem =>
  problem('FieldValueRequired', field, undefined, expected);
export const forbidden = (field: string, expected: string): Problem =>
  problem('FieldValueForbidden', field, undefined, expected);
export const duplicate = (field: string, value: unknown): Problem => problem('FieldValueDuplicate', field, value, '');
export const wrongType = (field: string, value: unknown, expected: string): Problem =>
  problem('FieldValueTypeInvalid', field, value, `must be ${expected}`);
export const notSupported = (field: string, value: unknown, supported: readonly string[]): Problem =>
  problem('FieldValueNotSupported', field, value, `supported values: ${supported.map((one) => `"${one}"`).join(', ')}`);
export const tooMany = (field: string, count: number, most: number): Problem =>
  problem('FieldValueTooMany', field, count, `must have at most ${most} items`);
export const tooLong = (field: string, most: number): Problem =>
  problem('FieldValueTooLong', field, undefined, `may not be more than ${most} bytes`);

/** Adds one by one: a call takes no more arguments than fit on the stack, and users write longer lists. */
export function addProblems(into: Problem[], found: readonly Problem[]): void {
  for (const one of found) into.push(one);
}

/** The first few, and how many more there are: an object's problems must fit into a log line and a status condition. */
export function fewProblems(problems: readonly Problem[]): readonly Problem[] {
  const rest = problems.length - MOST_PROBLEMS;
  return rest <= 0
    ? problems
    : [...problems.slice(0, MOST_PROBLEMS), invalid('', undefined, `and ${rest} more problems like these`)];
}

const LONGEST_VALUE = 120;
const DEEPEST_VALUE = 6;

/** Long values are cut, before they are written out: a value may be a megabyte, or nested deeper than the stack. */
function showValue(value: unknown): string {
  const text = JSON.stringify(beginningOf(value, DEEPEST_VALUE)) ?? String(value);
  return text.length <= LONGEST_VALUE ? text : `${text.slice(0, LONGEST_VALUE - 3)}...`;
}

function beginningOf(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.slice(0, LONGEST_VALUE);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return '...';
  if (Array.isArray(value)) return value.slice(0, LONGEST_VALUE).map((item) => beginningOf(item, depth - 1));
  const kept: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const key of Object.keys(value).slice(0, LONGEST_VALUE))
    kept[key.slice(0, LONGEST_VALUE)] = beginningOf((value as Record<string, unknown>)[key], depth - 1);
  return kept;
}
