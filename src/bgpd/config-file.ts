/**
 * Configuration files of `tortie bgpd`: YAML (of which JSON is a part), with every problem at its line.
 *
 * A file comes from an editor, a template or a mistaken path: it may be empty, binary, endless or hostile. It is read up to a bound,
 * aliases are followed up to a bound, and what is wrong is told once per line, in the order of the file.
 *
 * Plain JSON takes a short way past the YAML parser, whose syntax tree costs eight times the memory of the configuration itself:
 * 100,000 originated prefixes as JSON took 5 s and 776 MB by way of the tree.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { SpeakerConfig } from 'node-bgp/config';
import { formatProblem, validateConfig, type ParsedConfig, type Problem } from 'node-bgp/config/validate';
import {
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type YAMLError,
} from 'yaml';
import { UserError, messageOf } from '../errors.js';
import { pathSteps } from './config-path.js';
import { hasRepeatedKey } from './json-keys.js';

/** BOUNDED: as much as the socket takes (api.ts). */
const MOST_BYTES = 128 * 1024 * 1024;
/** What a person reads of a broken file; the rest is counted. */
const MOST_PROBLEMS = 100;
/** Nesting of aliases multiplies: this is YAML's own guard against bombs. */
const MOST_ALIASES = 10_000;

/** Reads and checks a file. Throws UserError with one line per problem: `FILE:LINE: sentence`. */
export function readConfigFile(path: string): ParsedConfig {
  return parseConfig(readText(path), path);
}

/** As readConfigFile, of text; `name` stands in front of the line numbers. */
export function parseConfig(text: string, name: string): ParsedConfig {
  if (text.trim() === '')
    throw new UserError(`${name}:1: The file is empty; expected at least "localAs" and "routerId"`);
  const plain = plainJson(text);
  if (plain !== undefined) return plain;
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, merge: true });
  const broken = [...document.errors, ...document.warnings];
  if (broken.length > 0) throw located(name, syntaxProblems(broken, lines, text));
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MOST_ALIASES });
  } catch (error) {
    throw new UserError(`${name}: ${messageOf(error)}`);
  }
  const validated = validateConfig(value);
  if (validated.type === 'valid') return validated.config;
  throw located(
    name,
    validated.problems.map((problem) => ({ line: lineOf(document, lines, problem), sentence: formatProblem(problem) })),
  );
}

/** RFC 8212: what a person writes for a router carries nothing over an eBGP session without policy, unless it says that it may. */
export const withDaemonDefaults = <Config extends SpeakerConfig>(config: Config): Config =>
  config.requirePolicy === undefined ? { ...config, requirePolicy: true } : config;

/** Good JSON without a key that stands twice; anything else has problems, which need lines, which need the tree. */
function plainJson(text: string): ParsedConfig | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (hasRepeatedKey(text)) return undefined;
  const validated = validateConfig(value);
  return validated.type === 'valid' ? validated.config : undefined;
}

function readText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readBounded(path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`Cannot read configuration "${path}": ${messageOf(error)}`);
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!text.includes('\0')) return text;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // how TextDecoder says "not UTF-8"
  }
  throw new UserError(`Cannot read configuration "${path}": it is not UTF-8 text; expected YAML or JSON`);
}

/** Piece by piece: neither a device nor a growing file says how long it is. */
function readBounded(path: string): Buffer {
  const fd = openSync(path, 'r');
  try {
    const pieces: Buffer[] = [];
    for (let size = 0; ; ) {
      const piece = Buffer.allocUnsafe(1024 * 1024);
      const length = readSync(fd, piece);
      if (length === 0) return Buffer.concat(pieces);
      size += length;
      if (size > MOST_BYTES)
        throw new UserError(`Cannot read configuration "${path}": it is longer than ${MOST_BYTES} bytes`);
      pieces.push(piece.subarray(0, length));
    }
  } finally {
    closeSync(fd);
  }
}

// ---- problems ------------------------------------------------------------------------------------------------------

interface Located {
  readonly line: number;
  readonly sentence: string;
}

function located(name: string, problems: readonly Located[]): UserError {
  const sorted = [...problems].sort((a, b) => a.line - b.line);
  const shown = sorted.slice(0, MOST_PROBLEMS).map(({ line, sentence }) => `${name}:${line}: ${sentence}`);
  const rest = sorted.length - shown.length;
  return new UserError([...shown, ...(rest > 0 ? [`${name}: and ${rest} more problems`] : [])].join('\n'));
}

/** One per line: what follows on a line that is broken is a consequence. */
function syntaxProblems(errors: readonly YAMLError[], lines: LineCounter, text: string): readonly Located[] {
  const byLine = new Map<number, Located>();
  for (const error of errors) {
    const { line } = lines.linePos(error.pos[0]);
    if (!byLine.has(line)) byLine.set(line, { line, sentence: sentenceOf(error, text) });
  }
  return [...byLine.values()];
}

function sentenceOf(error: YAMLError, text: string): string {
  switch (error.code) {
    case 'DUPLICATE_KEY':
      return `The key "${/^["']?([^"':\s]+)/.exec(text.slice(error.pos[0]))?.[1] ?? '?'}" stands twice in one mapping; expected it once`;
    case 'MULTIPLE_DOCS':
      return 'A second document begins here; expected one in the file';
    case 'TAB_AS_INDENT':
      return 'A tab indents this line; expected blanks';
    case 'TAG_RESOLVE_FAILED':
      return `${error.message}; expected no tags`;
    default:
      return error.message;
  }
}

/** Line of the value that a problem is about; of the nearest thing around it where the value is missing. */
function lineOf(document: Document, lines: LineCounter, problem: Problem): number {
  let node: unknown = document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const step of pathSteps(problem.path)) {
    if (isSeq(node)) {
      node = node.items[Number(step)];
      if (isNode(node)) offset = node.range?.[0] ?? offset;
    } else if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === step);
      if (isScalar(pair?.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair?.value;
    } else node = undefined;
    if (!isNode(node)) break;
    if (isScalar(node)) offset = node.range?.[0] ?? offset;
  }
  return lines.linePos(offset).line;
}
