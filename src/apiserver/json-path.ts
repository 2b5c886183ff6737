/**
 * The JSONPath of printer columns and selectable fields: `.spec.cidr`, `.status.conditions[?(@.type=="Ready")].status`,
 * `.spec.ports[0].port`, `.spec.ports[*].name`, `.metadata.labels.kubernetes\.io/os`, `['a.b']`. Read once, run often.
 */
import { isArray, isEqual, isObject, own, type Json } from './json.js';

type Step =
  | { readonly type: 'member'; readonly name: string }
  | { readonly type: 'index'; readonly index: number }
  | { readonly type: 'all' }
  | { readonly type: 'filter'; readonly path: readonly string[]; readonly operator: '==' | '!='; readonly value: Json };

/** All values a path finds. */
export type JsonPath = (root: Json) => readonly Json[];

const STEP =
  /\.((?:\\.|[^.[\]\\])+)|\[\s*(?:(-?\d+)|(\*)|'([^']*)'|"([^"]*)"|\?\(\s*@\.([^=!\s]+)\s*(==|!=)\s*('[^']*'|"[^"]*"|[^)\s]+)\s*\))\s*\]/y;

/** Throws an Error whose sentence quotes the path. */
export function parseJsonPath(text: string): JsonPath {
  const source = text.startsWith('{') && text.endsWith('}') ? text.slice(1, -1) : text;
  const steps: Step[] = [];
  STEP.lastIndex = 0;
  while (STEP.lastIndex < source.length) {
    const position = STEP.lastIndex;
    const match = STEP.exec(source);
    if (match === null) throw new Error(`Cannot parse JSONPath "${text}" at "${source.slice(position)}"`);
    steps.push(stepOf(match));
  }
  return (root) =>
    steps.reduce<readonly Json[]>((values, step) => values.flatMap((value) => follow(step, value)), [root]);
}

function stepOf(match: RegExpExecArray): Step {
  const [, member, index, all, single, double, path, operator, literal] = match;
  if (member !== undefined) return { type: 'member', name: member.replaceAll(/\\(.)/g, '$1') };
  if (index !== undefined) return { type: 'index', index: Number(index) };
  if (all !== undefined) return { type: 'all' };
  if (path !== undefined)
    return {
      type: 'filter',
      path: path.split('.'),
      operator: operator === '!=' ? '!=' : '==',
      value: literalOf(literal ?? ''),
    };
  return { type: 'member', name: single ?? double ?? '' };
}

function literalOf(text: string): Json {
  if (/^['"]/.test(text)) return text.slice(1, -1);
  return text === 'true' ? true : text === 'false' ? false : Number(text);
}

function follow(step: Step, value: Json): readonly Json[] {
  switch (step.type) {
    case 'member': {
      const found = isObject(value) ? own(value, step.name) : undefined;
      return found === undefined ? [] : [found];
    }
    case 'index': {
      const found = isArray(value) ? value.at(step.index) : undefined;
      return found === undefined ? [] : [found];
    }
    case 'all':
      return isArray(value) ? value : isObject(value) ? Object.values(value) : [];
    case 'filter':
      return isArray(value) ? value.filter((item) => passes(step, item)) : [];
  }
}

function passes(step: Extract<Step, { type: 'filter' }>, item: Json): boolean {
  let current: Json | undefined = item;
  for (const name of step.path) current = isObject(current) ? own(current, name) : undefined;
  return (current !== undefined && isEqual(current, step.value)) === (step.operator === '==');
}
