/**
 * Reading a YAML file that a person wrote: every value is checked where it stands, every problem is kept with its line, and
 * the caller gets either the whole typed value or all problems at once.
 *
 * A `Reader<T>` takes a place in the document and returns T, or reports a problem and returns undefined. Readers combine:
 * `list(object({ name: required(name), as: optional(asNumber) }))`. Unknown keys are problems too, because a misspelt key
 * would otherwise be ignored in silence.
 */
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { UserError } from '../errors.js';

export interface Problem {
  /** `nodes[1].tors[0]`; empty: the file as a whole. */
  readonly path: string;
  /** Counted from 1; 0 when there is no line to point at. */
  readonly line: number;
  /** What stands there, as text. */
  readonly value: string;
  readonly expected: string;
}

export interface Place {
  readonly node: unknown;
  readonly path: string;
  readonly line: number;
  readonly source: Source;
}

interface Source {
  readonly problems: Problem[];
  readonly lineAt: (node: unknown, otherwise: number) => number;
}

export type Reader<T> = (place: Place) => T | undefined;

interface Field<T> {
  readonly read: Reader<T>;
  readonly isRequired: boolean;
}

/** The file has problems; the message lists them all, one a line. */
export class FileProblems extends UserError {
  constructor(
    file: string,
    readonly problems: readonly Problem[],
  ) {
    super(
      [
        `Cannot use ${file}: ${problems.length === 1 ? '1 problem' : `${problems.length} problems`}`,
        ...problems.map((problem) => `  ${formatProblem(problem)}`),
      ].join('\n'),
      2,
    );
  }
}

export function formatProblem({ path, line, value, expected }: Problem): string {
  return `${line > 0 ? `line ${line}: ` : ''}${path === '' ? '' : `${path}: `}${expected}${value === '' ? '' : `; is ${value}`}`;
}

/** Parses `text` and reads it with `read`; then lets `check` report what only shows when the whole is known. */
export function readYaml<T>(
  file: string,
  text: string,
  read: Reader<T>,
  check: (value: T, report: Report) => void = () => undefined,
): T {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problems: Problem[] = document.errors.map((error) => ({
    path: '',
    line: lines.linePos(error.pos[0]).line,
    value: '',
    expected: error.message,
  }));
  if (problems.length > 0) throw new FileProblems(file, problems);
  const source: Source = { problems, lineAt: (node, otherwise) => lineOf(lines, node, otherwise) };
  const value = read({ node: document.contents, path: '', line: source.lineAt(document.contents, 1), source });
  if (value !== undefined && problems.length === 0) {
    const report: Report = (path, actual, expected) => {
      const keys = path
        .split(/[.[\]]+/)
        .filter((key) => key !== '')
        .map((key) => (/^\d+$/.test(key) ? Number(key) : key));
      problems.push({ path, value: actual, expected, line: source.lineAt(document.getIn(keys, true), 0) });
    };
    check(value, report);
  }
  if (value === undefined || problems.length > 0) throw new FileProblems(file, problems);
  return value;
}

export type Report = (path: string, value: string, expected: string) => void;

function lineOf(lines: LineCounter, node: unknown, otherwise: number): number {
  const range =
    typeof node === 'object' && node !== null && 'range' in node
      ? (node as { range?: [number, number, number] | null }).range
      : undefined;
  return range ? lines.linePos(range[0]).line : otherwise;
}

export const required = <T>(read: Reader<T>): Field<T> => ({ read, isRequired: true });
export const optional = <T>(read: Reader<T>): Field<T | undefined> => ({ read, isRequired: false });

/** Reports a problem at this place; always undefined, so that a reader can return it. */
export function wanted(place: Place, expected: string): undefined {
  place.source.problems.push({ path: place.path, line: place.line, value: describe(place.node), expected });
  return undefined;
}

/** A mapping with these keys and no others. */
export function object<T extends object>(fields: { readonly [K in keyof T]-?: Field<T[K]> }): Reader<T> {
  const table = new Map<string, Field<unknown>>(Object.entries(fields));
  return (place) => {
    if (!isMap(place.node)) return wanted(place, `expected a mapping with ${[...table.keys()].join(', ')}`);
    const before = place.source.problems.length;
    const result: Record<string, unknown> = {};
    const seen = new Set<string>();
    for (const pair of place.node.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : describe(pair.key);
      const line = place.source.lineAt(pair.key, place.line);
      const inner: Place = {
        node: pair.value,
        path: place.path === '' ? key : `${place.path}.${key}`,
        line: place.source.lineAt(pair.value, line),
        source: place.source,
      };
      const field = table.get(key);
      seen.add(key);
      if (field === undefined)
        wanted({ ...inner, node: undefined, line }, `unknown key; known are ${[...table.keys()].join(', ')}`);
      else if (!field.isRequired && isNull(pair.value)) continue;
      else result[key] = field.read(inner);
    }
    for (const [key, field] of table)
      if (field.isRequired && !seen.has(key)) wanted({ ...place, node: undefined }, `expected key "${key}"`);
    return place.source.problems.length === before ? (result as T) : undefined;
  };
}

/** A mapping of any keys to values of one form. */
export function mapping<T>(read: Reader<T>): Reader<Readonly<Record<string, T>>> {
  return (place) => {
    if (!isMap(place.node)) return wanted(place, 'expected a mapping');
    const entries = place.node.items.map((pair) => {
      const key = isScalar(pair.key) ? String(pair.key.value) : describe(pair.key);
      return [
        key,
        read({
          node: pair.value,
          path: `${place.path}.${key}`,
          line: place.source.lineAt(pair.value, place.line),
          source: place.source,
        }),
      ] as const;
    });
    return Object.fromEntries(
      entries.filter((entry): entry is readonly [string, Exclude<T, undefined>] => entry[1] !== undefined),
    );
  };
}

export function list<T>(read: Reader<T>): Reader<readonly T[]> {
  return (place) => {
    if (!isSeq(place.node)) return wanted(place, 'expected a list');
    const items = place.node.items.map((node, index) =>
      read({
        node,
        path: `${place.path}[${index}]`,
        line: place.source.lineAt(node, place.line),
        source: place.source,
      }),
    );
    return items.filter((item): item is Exclude<T, undefined> => item !== undefined);
  };
}

/** A text, given to `parse`, which returns undefined when the text is not of the wanted form. */
export function text<T = string>(expected: string, parse: (text: string) => T | undefined): Reader<T> {
  return (place) => {
    if (!isScalar(place.node) || (typeof place.node.value !== 'string' && typeof place.node.value !== 'number'))
      return wanted(place, `expected ${expected}`);
    return parse(String(place.node.value)) ?? wanted(place, `expected ${expected}`);
  };
}

export function integer(min: number, max: number): Reader<number> {
  return (place) => {
    const value: unknown = isScalar(place.node) ? place.node.value : undefined;
    return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
      ? value
      : wanted(place, `expected an integer from ${min} to ${max}`);
  };
}

const isNull = (node: unknown): boolean => node === null || (isScalar(node) && node.value === null);

function describe(node: unknown): string {
  if (node === undefined) return '';
  if (isNull(node)) return 'empty';
  if (isScalar(node)) return JSON.stringify(node.value);
  return isSeq(node) ? 'a list' : 'a mapping';
}
