/**
 * Manifests as kubectl reads them. That is neither YAML 1.1 nor 1.2 but sigs.k8s.io/yaml, which is go-yaml v2: `0120` and `0o120`
 * are 80, `yes`, `on` and `y` are true, a key `y` is the key "true", `1:20` and dates are text. A preview that reads them
 * otherwise speaks of other ports and other labels than the cluster will have. The parser is npm's `yaml` with a schema of
 * texts alone; what a plain scalar means is decided here, by the rules of go-yaml's resolve.go and of ConvertToJSON.
 *
 * kubectl also takes a stream of JSON objects, one behind the other.
 *
 * Refused, with line and what to write, where kubectl goes on in silence or differs between its versions: a key written twice
 * (the last wins there), a `<<` that overrides a key before it, a tag that JSON has no word for.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  type Alias,
  type Document,
  type Scalar,
} from 'yaml';
import { UserError } from './errors.js';

/** BOUNDED: values of one file, those behind aliases counted each time they are used. */
const MAX_VALUES = 1_000_000;
/** BOUNDED: Go's decoder refuses deeper nesting too. */
const MAX_DEPTH = 1_000;

const TAG = 'tag:yaml.org,2002:';

/** @param from for messages: the file's name. @throws UserError that names file, line and what to write */
export function parseKubectlYaml(text: string, from: string): readonly unknown[] {
  return parseJsonStream(text) ?? parseYamlDocuments(text, from);
}

function parseYamlDocuments(text: string, from: string): readonly unknown[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    schema: 'failsafe',
    uniqueKeys: false,
    merge: false,
    lineCounter: lines,
  });
  // A stream without any document is an object of its own in the parser's types.
  const list: readonly Document.Parsed[] = Array.isArray(documents) ? documents : [];
  return list.map((document) => {
    const [error] = document.errors;
    if (error !== undefined)
      throw new UserError(
        `Cannot read ${from}, line ${lines.linePos(error.pos[0]).line}: ${error.message.split('\n')[0]}`,
      );
    return new Reading(document, from, lines).value(document.contents, 0);
  });
}

class Reading {
  private values = 0;
  /** The parser looks for an anchor through the whole document, each time. */
  private readonly targets = new Map<Alias, unknown>();

  constructor(
    private readonly document: Document.Parsed,
    private readonly from: string,
    private readonly lines: LineCounter,
  ) {}

  value(node: unknown, depth: number): unknown {
    if (++this.values > MAX_VALUES)
      this.refuse(node, `expected at most ${MAX_VALUES} values, those behind aliases included`);
    if (depth > MAX_DEPTH) this.refuse(node, `expected at most ${MAX_DEPTH} levels`);
    if (node === null || node === undefined) return null;
    if (isAlias(node)) return this.value(this.targetOf(node), depth + 1);
    if (isScalar(node)) return this.scalar(node);
    if (isSeq(node)) return node.items.map((item) => this.value(item, depth + 1));
    if (isMap(node)) return this.map(node, depth);
    return this.refuse(node, 'expected a text, a list or a mapping');
  }

  private targetOf(alias: Alias): unknown {
    if (!this.targets.has(alias)) this.targets.set(alias, alias.resolve(this.document));
    return this.targets.get(alias);
  }

  private map(
    node: { readonly items: readonly { readonly key: unknown; readonly value: unknown }[] },
    depth: number,
  ): object {
    const result = new Map<string, unknown>();
    const written = new Set<string>();
    for (const pair of node.items) {
      if (isMergeKey(pair.key)) {
        for (const [name, value] of this.merged(pair.value, depth)) {
          if (written.has(name))
            this.refuse(
              pair.key,
              `"<<" overrides "${name}", which stands before it; write "<<" first, or drop one of the two`,
            );
          result.set(name, value);
        }
        continue;
      }
      const name = this.key(pair.key, depth);
      if (written.has(name))
        this.refuse(pair.key, `key "${name}" stands twice in one mapping; kubectl takes the last; keep one`);
      written.add(name);
      result.set(name, this.value(pair.value, depth + 1));
    }
    // `__proto__` is a key like any other.
    return Object.fromEntries(result);
  }

  /** Of several mappings the first that has a key gives it. */
  private merged(node: unknown, depth: number): ReadonlyMap<string, unknown> {
    const target = isAlias(node) ? this.targetOf(node) : node;
    const sources = isSeq(target) ? target.items : [target];
    const result = new Map<string, unknown>();
    for (const source of sources) {
      const value = this.value(source, depth + 1);
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        this.refuse(node, 'expected a mapping, or a list of them, behind "<<"');
      for (const [name, one] of Object.entries(value)) if (!result.has(name)) result.set(name, one);
    }
    return result;
  }

  /** Keys are resolved as values are, then written as JSON writes them. */
  private key(node: unknown, depth: number): string {
    const value = this.value(node, depth + 1);
    if (typeof value === 'string') return value;
    if (typeof value === 'boolean') return String(value);
    // Go writes large and small ones with an exponent, by rules of its own.
    if (typeof value === 'number' && /^-?[0-9]{1,15}$|^-?[0-9]{1,4}\.[0-9]{1,3}$/.test(String(value))) {
      if (isScalar(node) && /^[^xX]*[eE]/.test(node.source ?? ''))
        this.refuse(node, 'expected a key without exponent; quote it');
      return String(value);
    }
    return this.refuse(node, 'expected a text, a number or a boolean as a key; quote it if it is a text');
  }

  private scalar(node: Scalar): unknown {
    const text = typeof node.value === 'string' ? node.value : (node.source ?? '');
    const tag = node.tag?.startsWith(TAG) === true ? node.tag.slice(TAG.length) : node.tag;
    const isPlain = node.type === 'PLAIN' || node.type === undefined;
    if (tag === 'str') return text;
    if (tag === 'binary') return Buffer.from(text, 'base64').toString('utf8');
    if (tag !== undefined && tag !== '?' && !['int', 'float', 'bool', 'null', 'timestamp'].includes(tag))
      return this.refuse(node, `tag "${node.tag}" has no meaning in JSON; drop it`);
    const value = isPlain || tag !== undefined ? resolvePlain(text) : text;
    if (typeof value === 'number' && !Number.isFinite(value))
      this.refuse(node, `"${text}" is no number of JSON; quote it if it is a text`);
    if (tag !== undefined && !fits(tag, value)) this.refuse(node, `"${text}" is no ${tag}, which its tag says it is`);
    return value;
  }

  private refuse(node: unknown, what: string): never {
    const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined;
    const at =
      Array.isArray(range) && typeof range[0] === 'number' ? `, line ${this.lines.linePos(range[0]).line}` : '';
    throw new UserError(`Cannot read ${this.from}${at}: ${what}`);
  }
}

const isMergeKey = (key: unknown): boolean =>
  isScalar(key) && key.value === '<<' && (key.type === 'PLAIN' || key.tag === `${TAG}merge`);

const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ...cased('true', true),
  ...cased('yes', true),
  ...cased('on', true),
  ...cased('false', false),
  ...cased('no', false),
  ...cased('off', false),
  ...cased('null', null),
  ...(['y', 'Y'] as const).map((word) => [word, true] as const),
  ...(['n', 'N'] as const).map((word) => [word, false] as const),
  ['', null],
  ['~', null],
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, Number.NaN] as const),
  ...['.inf', '.Inf', '.INF'].flatMap((word) => [
    [word, Number.POSITIVE_INFINITY] as const,
    [`+${word}`, Number.POSITIVE_INFINITY] as const,
    [`-${word}`, Number.NEGATIVE_INFINITY] as const,
  ]),
]);

/** "yes", "Yes" and "YES"; "yEs" is a text. */
function cased(word: string, value: unknown): readonly (readonly [string, unknown])[] {
  return [word, word.charAt(0).toUpperCase() + word.slice(1), word.toUpperCase()].map((one) => [one, value] as const);
}

const INTEGER = /^([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]([0-7]+)|0([0-7]+)|(0|[1-9][0-9]*))$/;
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;

/** What go-yaml v2 makes of a plain scalar. Pure. */
export function resolvePlain(text: string): unknown {
  if (WORDS.has(text)) return WORDS.get(text);
  if (/^\.[0-9]/.test(text)) return FLOAT.test(text) ? Number(text) : text;
  if (!/^[-+0-9]/.test(text)) return text;
  const plain = text.replaceAll('_', '');
  const [, sign, hex, binary, octal, old, decimal] = INTEGER.exec(plain) ?? [];
  if (sign !== undefined) {
    const digits =
      hex !== undefined
        ? Number.parseInt(hex, 16)
        : binary !== undefined
          ? Number.parseInt(binary, 2)
          : (octal ?? old) !== undefined
            ? Number.parseInt(octal ?? old ?? '', 8)
            : Number(decimal);
    return sign === '-' ? 0 - digits : digits;
  }
  // 089 is no octal number: the float rule takes it, as 89.
  return FLOAT.test(plain) ? Number(plain) : text;
}

function fits(tag: string, value: unknown): boolean {
  switch (tag) {
    case 'int':
      return typeof value === 'number' && Number.isInteger(value);
    case 'float':
      return typeof value === 'number';
    case 'bool':
      return typeof value === 'boolean';
    case 'null':
      return value === null;
    default:
      return true;
  }
}

/** JSON values one behind the other, undefined when the text is not that: YAML in braces begins alike. */
function parseJsonStream(text: string): readonly unknown[] | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  const found: unknown[] = [];
  let at = 0;
  while (/\S/.test(text.slice(at))) {
    const end = endOfJson(text, at);
    if (end === undefined) return undefined;
    try {
      found.push(JSON.parse(text.slice(at, end)));
    } catch {
      return undefined; // the YAML parser says what is wrong, with the line
    }
    at = end;
  }
  return found;
}

/** Index behind the object or list that begins at or after `at`. */
function endOfJson(text: string, at: number): number | undefined {
  let depth = 0;
  let isText = false;
  for (let i = at; i < text.length; i++) {
    const character = text[i];
    if (isText) {
      if (character === '\\') i++;
      else if (character === '"') isText = false;
    } else if (character === '"') isText = true;
    else if (character === '{' || character === '[') depth++;
    else if ((character === '}' || character === ']') && --depth === 0) return i + 1;
    else if (depth === 0 && !/\s/.test(character ?? '')) return undefined;
  }
  return undefined;
}
