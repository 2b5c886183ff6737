/** What was measured as a table, and as ratios to kube-proxy's two modes. Pure but for the load average. */
import { loadavg } from 'node:os';

export interface Result {
  readonly contender: string;
  readonly services: number;
  /** From the start of the process to the first packet that the last Service answered. */
  readonly firstSyncMs?: number;
  /** From the request at the API server to the sending of the first packet that went the new way, change by change. */
  readonly changeMs?: readonly number[];
  /** From the node itself, one after the other. */
  readonly connectionsPerSecond?: number;
  /** The same beside connections to an address of the endpoint's host that is no Service's, at the same moment. */
  readonly shareOfDirect?: number;
  readonly megabytes: number;
  /** Share of one processor while nothing happens: the median of six times five seconds, since a runtime tidies up once. */
  readonly idle: number;
  /** Of the machine, over the minute before. */
  readonly load: number;
}

export const busy = (): number => loadavg()[0] ?? 0;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const WITHOUT = 'tortie-off';
const HEADS = [
  'services',
  'contender',
  'first sync',
  'change',
  'worst',
  'connections/s',
  'of direct',
  'memory',
  'idle',
  'load',
];

export function format(results: readonly Result[], left: readonly string[]): string {
  const rows = results.map((one) => [
    `${one.services}`,
    one.contender,
    withUnit(one.firstSyncMs, 0, ' ms'),
    withUnit(one.changeMs && median(one.changeMs), 1, ' ms'),
    withUnit(one.changeMs && Math.max(...one.changeMs), 1, ' ms'),
    withUnit(one.connectionsPerSecond, 0, ''),
    withUnit(one.shareOfDirect, 2, ''),
    withUnit(one.megabytes, 0, ' MB'),
    withUnit(one.idle * 100, 1, ' %'),
    one.load.toFixed(1),
  ]);
  const ratios = ratiosOf(results);
  const parts = [table([HEADS, ...rows])];
  if (ratios.length > 0) parts.push(`beside kube-proxy (1.00: as much as it):\n${table([RATIO_HEADS, ...ratios])}`);
  const growth = growthOf(results);
  if (growth.length > 0) parts.push(`${growth.join('\n')}\n`);
  if (left.length > 0) parts.push(`${[...new Set(left)].map((one) => `left out: ${one}`).join('\n')}\n`);
  return parts.join('\n');
}

const RATIO_HEADS = [
  'services',
  'contender',
  'beside',
  'first sync',
  'change',
  'connections/s',
  'of direct',
  'memory',
  'idle',
];

/** Ours beside theirs; memory and idle processor without what the agent takes that serves no Services. */
function ratiosOf(results: readonly Result[]): readonly (readonly string[])[] {
  const rows: string[][] = [];
  for (const ours of results) {
    if (!ours.contender.startsWith('tortie-') || ours.contender === WITHOUT) continue;
    const same = results.filter(({ services }) => services === ours.services);
    const floor = same.find(({ contender }) => contender === WITHOUT);
    for (const theirs of same) {
      if (!theirs.contender.startsWith('kube-proxy-')) continue;
      rows.push([
        `${ours.services}`,
        ours.contender,
        theirs.contender,
        ratio(ours.firstSyncMs, theirs.firstSyncMs),
        ratio(ours.changeMs && median(ours.changeMs), theirs.changeMs && median(theirs.changeMs)),
        ratio(ours.connectionsPerSecond, theirs.connectionsPerSecond),
        ratio(ours.shareOfDirect, theirs.shareOfDirect),
        ratio(ours.megabytes - (floor?.megabytes ?? 0), theirs.megabytes),
        ratio(ours.idle - (floor?.idle ?? 0), theirs.idle),
      ]);
    }
  }
  return rows;
}

/** What a packet pays for many Services. */
function growthOf(results: readonly Result[]): readonly string[] {
  return [...new Set(results.map(({ contender }) => contender))].flatMap((contender) => {
    const own = results
      .filter((one) => one.contender === contender && one.shareOfDirect !== undefined)
      .sort((a, b) => a.services - b.services);
    const [first, ...rest] = own;
    return rest.map(
      (one) =>
        `${contender}: connections at ${one.services} beside ${first?.services}: ` +
        `${ratio(one.connectionsPerSecond, first?.connectionsPerSecond)}, of direct ${ratio(one.shareOfDirect, first?.shareOfDirect)}`,
    );
  });
}

const withUnit = (value: number | undefined, digits: number, unit: string): string =>
  value === undefined ? '-' : `${value.toFixed(digits)}${unit}`;

/** kube-proxy's idle processor is often too little to be counted. */
const ratio = (ours: number | undefined, theirs: number | undefined): string =>
  ours === undefined || theirs === undefined || theirs === 0 ? '-' : (ours / theirs).toFixed(2);

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const isWord = (column: number): boolean => /[a-z]-[a-z]/.test(rows[1]?.[column] ?? '');
  return rows
    .map((row) =>
      row
        .map((cell, column) => (isWord(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}
