/**
 * Who reaches whom on one port: every end against every end, as verdicts of the engine.
 */
import type { Family } from 'node-bgp/address';
import type { FlowEnd, PodObject, PolicyEngine } from '@tortie/policy';
import { formatEnd, formatProbe, type Probe } from './question.js';

export interface Matrix {
  readonly probe: Probe;
  readonly family: Family;
  readonly ends: readonly FlowEnd[];
  /** rows[i][j]: from ends[i] to ends[j]; undefined where one of them has no address of the family. */
  readonly rows: readonly (readonly (boolean | undefined)[])[];
}

/** Pods that take part in pod networking, by namespace and name. */
export function podEnds(pods: readonly PodObject[], namespaces: readonly string[]): readonly FlowEnd[] {
  const wanted = pods.filter(
    (pod) =>
      (namespaces.length === 0 || namespaces.includes(pod.metadata?.namespace ?? '')) &&
      pod.status?.phase !== 'Succeeded' &&
      pod.status?.phase !== 'Failed',
  );
  const ends = wanted.map(
    (pod): FlowEnd => ({ type: 'pod', namespace: pod.metadata?.namespace ?? '', name: pod.metadata?.name ?? '' }),
  );
  return ends.sort((a, b) => (formatEnd(a) < formatEnd(b) ? -1 : 1));
}

export function computeMatrix(engine: PolicyEngine, ends: readonly FlowEnd[], probe: Probe, family: Family): Matrix {
  const rows = ends.map((from) =>
    ends.map((to) => {
      const verdict = engine.verdict({ from, to, family, ...probe });
      const isUnanswerable = [verdict.egress, verdict.ingress].some(
        ({ decision }) => decision.type === 'unknown' && /address/.test(decision.why),
      );
      return isUnanswerable ? undefined : verdict.allowed;
    }),
  );
  return { probe, family, ends, rows };
}

/** Numbered columns, since names would make it wider than any screen. */
export function formatMatrix(matrix: Matrix): string {
  const names = matrix.ends.map(formatEnd);
  const width = names.reduce((most, name) => Math.max(most, name.length), 4);
  const column = String(names.length).length + 1;
  const cell = (text: string): string => text.padStart(column);
  const lines = [
    `${formatProbe(matrix.probe)} IPv${matrix.family}: rows send, columns receive; + allowed, . denied, blank ` +
      'where an end has no such address',
    `${''.padEnd(column + 1 + width)} ${names.map((_, index) => cell(String(index + 1))).join('')}`,
    ...matrix.rows.map((row, index) =>
      (
        `${cell(String(index + 1))} ${(names[index] ?? '').padEnd(width)} ` +
        `${row.map((allowed) => cell(allowed === undefined ? '' : allowed ? '+' : '.')).join('')}`
      ).trimEnd(),
    ),
  ];
  return lines.join('\n');
}

export const matrixJson = (matrix: Matrix): unknown => ({
  port: matrix.probe.port,
  protocol: matrix.probe.protocol,
  family: matrix.family,
  endpoints: matrix.ends.map(formatEnd),
  rows: matrix.rows.map((row) => row.map((allowed) => (allowed === undefined ? '-' : allowed ? '1' : '0')).join('')),
});
