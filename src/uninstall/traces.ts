/** What Tortie leaves, as data: one trace is one thing that is taken away by itself, and how both kinds of plans show it. Pure. */
import { formatTable } from '../bgpd/show/text-table.js';

export interface Trace {
  /** "file", "route", "CustomResourceDefinition". */
  readonly kind: string;
  /** Its path, prefix or name. */
  readonly name: string;
  readonly detail?: string;
}

export interface UninstallPlan {
  /** "node1", or the URL of the API server. */
  readonly where: string;
  readonly traces: readonly Trace[];
  /** What stays although Tortie has touched it, each with the reason. */
  readonly left: readonly string[];
  /** What people lose by it. */
  readonly warnings: readonly string[];
}

export interface UninstallResult {
  readonly removed: number;
  /** What could not be removed, a sentence each. */
  readonly problems: readonly string[];
  /** What is there after all. */
  readonly remaining: readonly Trace[];
}

const COLUMNS = [
  { title: 'KIND', text: ({ kind }: Trace) => kind },
  { title: 'NAME', text: ({ name }: Trace) => name },
  { title: 'DETAIL', text: ({ detail = '' }: Trace) => detail },
] as const;

const sentences = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

export function planText({ where, traces, left, warnings }: UninstallPlan): string {
  if (traces.length === 0)
    return sentences([`Nothing of Tortie is on ${where}.`, ...left.map((line) => `Stays: ${line}`)]);
  return sentences([
    `To be removed from ${where}:`,
    formatTable(COLUMNS, traces),
    ...warnings.map((line) => `ATTENTION: ${line}`),
    ...left.map((line) => `Stays: ${line}`),
  ]);
}

export function resultText({ removed, problems, remaining }: UninstallResult): string {
  if (problems.length === 0 && remaining.length === 0) return `Removed ${removed}; nothing is left.\n`;
  return sentences([
    `Removed ${removed}.`,
    ...problems,
    ...(remaining.length === 0 ? [] : ['Still there:', formatTable(COLUMNS, remaining)]),
  ]);
}
