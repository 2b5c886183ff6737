/**
 * Configuration files of `tortie bgpd`: YAML (of which JSON is a part), with every problem at its line.
 */
import { readFileSync } from 'node:fs';
import { formatProblem, validateConfig, type Problem } from 'node-bgp/config/validate';
import type { SpeakerConfig } from 'node-bgp/config';
import { isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import { UserError, messageOf } from '../errors.js';

/** Reads and checks a file. Throws UserError with one line per problem: `FILE:LINE: sentence`. */
export function readConfigFile(path: string): SpeakerConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`Cannot read configuration "${path}": ${messageOf(error)}`);
  }
  return parseConfig(text, path);
}

/** As readConfigFile, of text; `name` stands in front of the line numbers. */
export function parseConfig(text: string, name: string): SpeakerConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  if (document.errors.length > 0)
    throw new UserError(document.errors.map((error) => `${name}:${lines.linePos(error.pos[0]).line}: ${error.message}`).join('\n'));
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new UserError(`${name}: ${messageOf(error)}`);
  }
  const validated = validateConfig(value);
  if (validated.type === 'valid') return validated.config;
  const located = validated.problems.map((problem) => ({ problem, line: lineOf(document, lines, problem) }));
  located.sort((a, b) => a.line - b.line);
  throw new UserError(located.map(({ problem, line }) => `${name}:${line}: ${formatProblem(problem)}`).join('\n'));
}

/** Line of the value that a problem is about; of the nearest thing around it where the value is missing. */
function lineOf(document: Document, lines: LineCounter, problem: Problem): number {
  const steps = [...problem.path.matchAll(/\[(\d+)\]|[^.[\]]+/g)].map(([step, index]) => (index === undefined ? step : Number(index)));
  let node: unknown = document.contents;
  let offset = isNode(node) ? node.range?.[0] ?? 0 : 0;
  for (const step of steps) {
    if (isSeq(node)) {
      node = node.items[Number(step)];
      if (isNode(node)) offset = node.range?.[0] ?? offset;
    } else if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step));
      if (isScalar(pair?.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair?.value;
    } else node = undefined;
    if (!isNode(node)) break;
    if (isScalar(node)) offset = node.range?.[0] ?? offset;
  }
  return lines.linePos(offset).line;
}
