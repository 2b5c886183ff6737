/** What the load run found, as a table and as one object. */
import type { ClusterSize, FlipKind } from './cluster.js';
import type { Flow } from './flow.js';
import { type Latency, quantile } from './latency.js';

export interface Report {
  readonly plan: ClusterSize & { readonly policyBackend: string };
  readonly latencies: readonly (Latency & { readonly kind: FlipKind })[];
  readonly loadOfFlips: string;
  readonly disturbances: Readonly<Record<string, number>>;
  readonly flows: readonly { readonly name: string; readonly isAllowed: boolean; readonly flow: Flow }[];
  /** Megabytes. */
  readonly memory: { readonly before: number; readonly afterFlips: number; readonly after: number };
  readonly load: string;
}

/** At most; milliseconds and megabytes. */
const AIMS = { median: 10, p99: 50, memory: 200, lost: 0, passed: 0 } as const;

interface LatencyRow {
  readonly name: string;
  readonly count: number;
  /** Not enforced before the flow's next change, 200 ms later. */
  readonly late: number;
  readonly median: number;
  readonly p99: number;
  readonly worst: number;
  /** The same median from the sending of the request. */
  readonly medianSinceSent: number;
}

function rowsOf({ latencies }: Report): readonly LatencyRow[] {
  const row = (name: string, chosen: Report['latencies']): LatencyRow => {
    // A change that was late counts as endless, so that it cannot make the quantiles better.
    const values = chosen.map(({ sinceAcknowledged }) => sinceAcknowledged ?? Infinity);
    return {
      name,
      count: values.length,
      late: values.filter((value) => value === Infinity).length,
      median: quantile(values, 0.5),
      p99: quantile(values, 0.99),
      worst: quantile(values, 1),
      medianSinceSent: quantile(
        chosen.map(({ sinceSent }) => sinceSent ?? Infinity),
        0.5,
      ),
    };
  };
  const names: Readonly<Record<FlipKind, string>> = { peer: 'label of a peer', select: 'label of a selected pod' };
  const kinds: readonly FlipKind[] = ['peer', 'select'];
  return [
    row('all', latencies),
    ...kinds.flatMap((kind) =>
      [true, false].map((isAllowed) =>
        row(
          `${names[kind]}, ${isAllowed ? 'opens' : 'closes'}`,
          latencies.filter((one) => one.kind === kind && one.isAllowed === isAllowed),
        ),
      ),
    ),
  ];
}

export function resultOf(report: Report): object {
  const flows = report.flows.map(({ name, isAllowed, flow }) => ({
    name,
    isAllowed,
    sent: flow.sent,
    received: flow.received,
    error: flow.error,
  }));
  return {
    ...report.plan,
    latencies: rowsOf(report),
    disturbances: report.disturbances,
    flows,
    memory: report.memory,
    loadAverage: { afterFlips: report.loadOfFlips, after: report.load },
    aims: AIMS,
  };
}

export function format(report: Report): string {
  const latency = rowsOf(report).map(({ name, count, late, median, p99, worst, medianSinceSent }) => [
    name,
    String(count),
    milliseconds(median),
    milliseconds(p99),
    milliseconds(worst),
    String(late),
    milliseconds(medianSinceSent),
  ]);
  const flows = report.flows.map(({ name, isAllowed, flow }) => [
    name,
    String(flow.sent),
    isAllowed ? `${flow.lost} lost` : `${flow.received} passed`,
    flow.error,
  ]);
  const { before, afterFlips, after } = report.memory;
  return [
    ...table([
      ['event to packet, ms', 'changes', 'median', 'p99', 'worst', 'late', 'median since sent'],
      ...latency,
      ['aim', '', `<= ${AIMS.median}`, `<= ${AIMS.p99}`],
    ]),
    `load average after it ${report.loadOfFlips}`,
    '',
    ...table([
      ['resyncs', 'times'],
      ...Object.entries(report.disturbances).map(([name, times]) => [name, String(times)]),
    ]),
    '',
    ...table([['steady flow', 'datagrams', 'aim: 0', ''], ...flows]),
    '',
    `agent, resident MB: ${before.toFixed(0)} before, ${afterFlips.toFixed(0)} after the changes, ` +
      `${after.toFixed(0)} at the end (a new process by then where it was killed); aim < ${AIMS.memory}`,
    `load average at the end ${report.load}`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

/** Late ones have no figure but that they took longer than the flow's next change. */
const milliseconds = (value: number): string => (value === Infinity ? 'late' : value.toFixed(1));

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
