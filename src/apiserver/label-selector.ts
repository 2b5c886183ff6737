/**
 * Label selectors in text (`?labelSelector=app=web,tier in (a,b),!old`), as k8s.io/apimachinery/pkg/labels reads them.
 * NotIn and `!=` match objects that lack the key.
 */
import { badRequest } from './api-error.js';
import { objectAt, own, type JsonObject } from './json.js';

export type LabelMatcher = (labels: JsonObject) => boolean;

type Operator = 'in' | 'notin' | 'exists' | 'absent' | 'gt' | 'lt';

interface Requirement {
  readonly key: string;
  readonly operator: Operator;
  readonly values: readonly string[];
}

const TOKEN = /\s*(==|!=|[=!<>(),]|[^\s=!<>(),]+)\s*/y;

/** Throws a 400 whose sentence quotes the selector. */
export function parseLabelSelector(text: string): LabelMatcher {
  const tokens = tokenize(text);
  const requirements: Requirement[] = [];
  let position = 0;
  const peek = (): string | undefined => tokens[position];
  const next = (): string => {
    const token = tokens[position++];
    if (token === undefined) throw unparseable(text, 'found the end of the text too early');
    return token;
  };
  const values = (): string[] => {
    if (next() !== '(') throw unparseable(text, "expected '('");
    const found: string[] = [];
    for (;;) {
      const token = next();
      if (token === ')') return found.length === 0 ? [''] : found;
      if (token !== ',') found.push(token);
      else if (peek() === ',' || peek() === ')') found.push('');
    }
  };
  while (position < tokens.length) {
    requirements.push(requirement(next, peek, values));
    if (peek() === undefined) break;
    if (next() !== ',') throw unparseable(text, "expected ','");
  }
  return (labels) => requirements.every((wanted) => isMet(wanted, labels));
}

function requirement(next: () => string, peek: () => string | undefined, values: () => string[]): Requirement {
  const key = (): string => {
    const token = next();
    if (/^[=!<>(),]/.test(token))
      throw badRequest(`unable to parse requirement: expected a label key, found "${token}"`);
    return token;
  };
  if (peek() === '!') {
    next();
    return { key: key(), operator: 'absent', values: [] };
  }
  const first = key();
  const operator = peek();
  const one = (): string[] => {
    next();
    const value = peek();
    if (value !== undefined && /^[=!<>()]/.test(value))
      throw badRequest(`unable to parse requirement: expected a label value, found "${value}"`);
    return value === undefined || value === ',' ? [''] : [next()];
  };
  switch (operator) {
    case '=':
    case '==':
      return { key: first, operator: 'in', values: one() };
    case '!=':
      return { key: first, operator: 'notin', values: one() };
    case '>':
      return { key: first, operator: 'gt', values: one() };
    case '<':
      return { key: first, operator: 'lt', values: one() };
    case 'in':
      next();
      return { key: first, operator: 'in', values: values() };
    case 'notin':
      next();
      return { key: first, operator: 'notin', values: values() };
    default:
      return { key: first, operator: 'exists', values: [] };
  }
}

function isMet({ key, operator, values }: Requirement, labels: JsonObject): boolean {
  const value = own(labels, key);
  switch (operator) {
    case 'exists':
      return value !== undefined;
    case 'absent':
      return value === undefined;
    case 'in':
      return typeof value === 'string' && values.includes(value);
    case 'notin':
      return typeof value !== 'string' || !values.includes(value);
    case 'gt':
      return typeof value === 'string' && Number(value) > Number(values[0]);
    case 'lt':
      return typeof value === 'string' && Number(value) < Number(values[0]);
  }
}

function tokenize(text: string): string[] {
  const tokens: string[] = [];
  const trimmed = text.trim();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < trimmed.length) {
    const match = TOKEN.exec(trimmed);
    if (match?.[1] === undefined) throw unparseable(text, 'unexpected character');
    tokens.push(match[1]);
  }
  const keys = tokens.filter(
    (token, index) => !/^[=!<>(),]/.test(token) && !(index > 0 && /^[=<>(]/.test(tokens[index - 1] ?? '')),
  );
  const wrong = keys.find((key) => key.length > 317 || !/^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$/.test(key));
  if (wrong !== undefined) throw unparseable(text, `invalid label key "${wrong}"`);
  return tokens;
}

const unparseable = (text: string, why: string): Error =>
  badRequest(`unable to parse requirement: cannot parse label selector "${text}": ${why}`);

/** The labels of an object. */
export const labelsOf = (object: JsonObject): JsonObject => objectAt(object, 'metadata', 'labels');
