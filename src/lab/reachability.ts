/**
 * Who reaches whom: the matrix of `tortie lab probe`. Every pod, node and outside host tries every pod and outside host on one
 * port, all at once, by real packets from real namespaces; an answer counts only when it carries the right name.
 *
 * Planning, reading verdicts and rendering are pure; `probe` runs one prober for the whole rack.
 */
import { attempt, CommandFailed } from './command.js';
import { PROBER } from './tortie-argv.js';
import type { PortSpec } from './topology.js';

/** One row, and if it answers, one column. */
export interface Endpoint {
  /** "shop/web", "node1", "outside", "shop/web cluster:80". */
  readonly name: string;
  /** A Service is a column only. */
  readonly type: 'pod' | 'node' | 'outside' | 'service';
  readonly netns: string;
  /** One per family at most. */
  readonly ips: readonly string[];
  /** The node it runs on. */
  readonly node?: string;
  /** Of a Service: its own port, and who may answer. */
  readonly serves?: { readonly port: number; readonly answers: ReadonlySet<string> };
}

export type Verdict = 'allow' | 'drop' | 'refused' | 'unreachable' | 'error' | 'wrong';

export interface Cell {
  readonly from: string;
  readonly to: string;
  readonly family: 4 | 6;
  readonly verdict: Verdict;
  /** Round trip of what answered. */
  readonly microseconds?: number;
  /** What the prober or the kernel said, or the name that answered instead of the right one. */
  readonly detail?: string;
}

export interface Matrix {
  readonly port: PortSpec;
  readonly families: readonly (4 | 6)[];
  readonly from: readonly Endpoint[];
  readonly to: readonly Endpoint[];
  readonly cells: readonly Cell[];
}

export interface ProbeOptions {
  readonly port: PortSpec;
  readonly families: readonly (4 | 6)[];
  /** Milliseconds that a target has for its answer; default 1000. */
  readonly timeout?: number;
}

interface Target {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly family: 4 | 6;
  readonly source: string;
  readonly destination: string;
}

const familyOf = (ip: string): 4 | 6 => (ip.includes(':') ? 6 : 4);

/** All pairs that have addresses of the family; a pod to itself included, which must always work. */
function planTargets(endpoints: readonly Endpoint[], families: readonly (4 | 6)[]): readonly Target[] {
  return families.flatMap((family) =>
    endpoints.filter(isRow).flatMap((from) =>
      endpoints.filter(isColumn).flatMap((to): readonly Target[] => {
        const destination = to.ips.find((ip) => familyOf(ip) === family);
        const source = from.ips.find((ip) => familyOf(ip) === family);
        return destination === undefined || source === undefined ? [] : [{ from, to, family, source, destination }];
      }),
    ),
  );
}

const isRow = (endpoint: Endpoint): boolean => endpoint.type !== 'service';
/** Nodes offer no port of their own to try. */
const isColumn = (endpoint: Endpoint): boolean => endpoint.type !== 'node';

/** Probes all pairs; outside hosts answer on the port for as long as it takes. */
export async function probe(endpoints: readonly Endpoint[], options: ProbeOptions): Promise<Matrix> {
  const targets = planTargets(endpoints, options.families);
  const transport = options.port.transport.toLowerCase();
  const commands = [
    ...endpoints
      .filter((endpoint) => endpoint.type === 'outside')
      .map((host) => `serve ${host.netns} ${host.name} ${transport} ${options.port.port}`),
    // A host outside sends from its own address by itself; a node has several, and the kernel's choice is what its programs get.
    ...targets.map(
      (target, id) =>
        `probe ${id} ${target.from.netns} ${transport} ${target.from.type === 'node' ? '-' : target.source} ` +
        `${target.destination} ${target.to.serves?.port ?? options.port.port}`,
    ),
    'run all',
  ];
  const argv = [PROBER, 'session', '--timeout', String(options.timeout ?? 1000)];
  const result = await attempt(argv, `${commands.join('\n')}\n`);
  if (result.code !== 0) throw new CommandFailed(argv, result);
  const verdicts = new Map(
    result.stdout
      .split('\n')
      .map((line) => line.split('\t'))
      .filter((fields) => /^\d+$/.test(fields[0] ?? ''))
      .map((fields) => [Number(fields[0]), fields]),
  );
  return {
    port: options.port,
    families: options.families,
    from: endpoints.filter(isRow),
    to: endpoints.filter(isColumn),
    cells: targets.map((target, id) => parseVerdict(target, verdicts.get(id) ?? [])),
  };
}

function parseVerdict(
  { from, to, family }: Target,
  [, verdict = 'error', detail = 'the prober gave no verdict', time]: readonly string[],
): Cell {
  const base = { from: from.name, to: to.name, family };
  const isRight = to.serves === undefined ? detail === to.name : to.serves.answers.has(detail);
  switch (verdict) {
    case 'allow':
      return {
        ...base,
        verdict: isRight ? 'allow' : 'wrong',
        microseconds: Number(time),
        ...(isRight ? {} : { detail }),
      };
    case 'drop':
    case 'refused':
      return { ...base, verdict };
    case 'unreachable':
      return { ...base, verdict, detail };
    default:
      return { ...base, verdict: 'error', detail };
  }
}

const SIGNS: Readonly<Record<Verdict, string>> = {
  allow: 'ok',
  drop: '-',
  refused: 'ref',
  unreachable: 'unr',
  error: 'err',
  wrong: 'WRONG',
};

/** One table per family; columns are numbered like the rows, so that any number of pods lines up. */
export function renderMatrix(matrix: Matrix): string {
  const numbers = new Map(matrix.to.map((endpoint, index) => [endpoint.name, index + 1]));
  const tables = matrix.families.map((family) => renderFamily(matrix, family, numbers));
  const details = matrix.cells
    .filter((cell) => cell.detail !== undefined)
    .map(
      (cell) =>
        `${cell.from} -> ${cell.to} IPv${cell.family}: ${cell.verdict === 'wrong' ? `"${cell.detail}" answered` : cell.detail}`,
    );
  const used = new Set(matrix.cells.map((cell) => cell.verdict));
  const services = matrix.to
    .filter(({ type }) => type === 'service')
    .map(({ name, ips }) => `>${numbers.get(name)} ${name} ${ips.join(' ')}`);
  const legend = (Object.keys(SIGNS) as Verdict[])
    .filter((verdict) => used.has(verdict))
    .map((verdict) => `${SIGNS[verdict]} ${MEANINGS[verdict]}`);
  return [...tables, ...services, legend.join(', '), ...new Set(details)].join('\n');
}

const MEANINGS: Readonly<Record<Verdict, string>> = {
  allow: 'answers',
  drop: 'silence',
  refused: 'no such port there',
  unreachable: 'no way there',
  error: 'not probed',
  wrong: 'somebody else answers',
};

function renderFamily(matrix: Matrix, family: 4 | 6, numbers: ReadonlyMap<string, number>): string {
  const cells = new Map(
    matrix.cells
      .filter((cell) => cell.family === family)
      .map((cell) => [`${cell.from} ${cell.to}`, SIGNS[cell.verdict]]),
  );
  const rows = matrix.from.map((from) => [
    numbers.has(from.name) ? String(numbers.get(from.name)) : '',
    from.name,
    from.ips.find((ip) => familyOf(ip) === family) ?? '',
    from.node ?? '',
    ...matrix.to.map((to) => cells.get(`${from.name} ${to.name}`) ?? ''),
  ]);
  const head = [
    '#',
    `from, port ${matrix.port.port}/${matrix.port.transport}`,
    `IPv${family}`,
    'on',
    ...matrix.to.map((to) => `>${numbers.get(to.name)}`),
  ];
  return renderTable([head, ...rows]);
}

/** Columns as wide as their widest cell, two blanks between. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  return (
    rows
      .map((row) =>
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd(),
      )
      .join('\n') + '\n'
  );
}
