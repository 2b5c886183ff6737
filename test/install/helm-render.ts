/**
 * As much of Helm's template language as the chart uses, so that the suite needs no helm; test/install/helm-chart.test.ts asks helm
 * itself where one is installed. Text/template's rules: "{{-" eats the white space before, "-}}" that behind.
 */
import { stringify } from 'yaml';

type Value = unknown;
type Node =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'action'; readonly pipeline: string }
  | { readonly type: 'block'; readonly word: string; readonly pipeline: string; readonly body: readonly Node[] };

interface Context {
  readonly dot: Value;
  readonly root: Value;
}

export function renderTemplate(template: string, root: Value): string {
  const tokens = tokensOf(template);
  const nodes = parseNodes(tokens, false);
  return nodes.map((node) => renderNode(node, { dot: root, root })).join('');
}

interface Token {
  readonly isAction: boolean;
  readonly text: string;
}

function tokensOf(template: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let isEating = false;
  for (const match of template.matchAll(/\{\{(-?)\s*([\s\S]*?)\s*(-?)\}\}/g)) {
    const before = template.slice(at, match.index);
    const left = isEating ? before.trimStart() : before;
    tokens.push(
      { isAction: false, text: match[1] === '-' ? left.trimEnd() : left },
      { isAction: true, text: match[2] ?? '' },
    );
    isEating = match[3] === '-';
    at = match.index + match[0].length;
  }
  const rest = template.slice(at);
  tokens.push({ isAction: false, text: isEating ? rest.trimStart() : rest });
  return tokens;
}

function parseNodes(tokens: Token[], isInside: boolean): readonly Node[] {
  const nodes: Node[] = [];
  for (let token = tokens.shift(); token !== undefined; token = tokens.shift()) {
    const [, word = '', pipeline = ''] =
      /^(range|with|if|end)\b\s*([\s\S]*)$/.exec(token.isAction ? token.text : '') ?? [];
    if (word === 'end') {
      if (!isInside) throw new Error('Cannot render: "end" of nothing');
      return nodes;
    }
    if (word !== '') nodes.push({ type: 'block', word, pipeline, body: parseNodes(tokens, true) });
    else if (token.isAction) nodes.push({ type: 'action', pipeline: token.text });
    else nodes.push({ type: 'text', text: token.text });
  }
  if (isInside) throw new Error('Cannot render: a block without "end"');
  return nodes;
}

function renderNode(node: Node, context: Context): string {
  if (node.type === 'text') return node.text;
  const value = evaluate(node.pipeline, context);
  if (node.type === 'action') return String(value);
  const body = (dot: Value): string => node.body.map((each) => renderNode(each, { ...context, dot })).join('');
  if (node.word === 'range') return (Array.isArray(value) ? value : []).map(body).join('');
  if (!isTrue(value)) return '';
  return body(node.word === 'with' ? value : context.dot);
}

const isTrue = (value: Value): boolean =>
  typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value);

function evaluate(pipeline: string, context: Context): Value {
  let piped: Value[] = [];
  for (const stage of pipeline.split(/\s+\|\s+/)) {
    const [first = '', ...rest] = stage.match(/"[^"]*"|\S+/g) ?? [];
    const args = [...rest.map((word) => operand(word, context)), ...piped];
    piped = [first in FUNCTIONS ? FUNCTIONS[first]?.(...args) : operand(first, context)];
  }
  return piped[0];
}

function operand(word: string, { dot, root }: Context): Value {
  if (word.startsWith('"')) return word.slice(1, -1);
  if (/^\d+$/.test(word)) return Number(word);
  if (!/^\$?\.[\w.]*$/.test(word)) throw new Error(`Cannot render "${word}": expected what this file knows`);
  const path = word
    .replace(/^\$?\./, '')
    .split('.')
    .filter((name) => name !== '');
  return path.reduce<Value>(
    (value, name) => (value as Record<string, Value> | undefined)?.[name],
    word.startsWith('$') ? root : dot,
  );
}

const minorOf = (version: string): number => Number(/1\.(\d+)/.exec(version)?.[1]);

const FUNCTIONS: Readonly<Record<string, (...args: readonly Value[]) => Value>> = {
  quote: (value) => JSON.stringify(String(value)),
  toYaml: (value) => stringify(value).trimEnd(),
  nindent: (spaces, text) => `\n${String(text).replace(/^/gm, ' '.repeat(Number(spaces)))}`,
  not: (value) => !isTrue(value),
  // Of ">=1.30-0" alone.
  semverCompare: (constraint, version) => minorOf(String(version)) >= minorOf(String(constraint)),
};
