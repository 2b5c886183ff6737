/** Who passed what: outcomes of the scenarios as a table, for people and for docs/bgp.md. */

export interface Outcome {
  readonly scenario: string;
  readonly party: string;
  /** `cannot`: the vendor has no feature for it. */
  readonly state: 'pass' | 'fail' | 'cannot';
  /** The first words of a failure, in full. */
  readonly why?: string;
}

/** One party of one root: `bird 2.17.6`, and how it fared. */
export interface Row {
  readonly peer: string;
  readonly version: string;
  /** Which Debian it came from. */
  readonly from: string;
  readonly outcomes: readonly Outcome[];
}

const SIGNS: Readonly<Record<Outcome['state'], string>> = { pass: '✓', fail: '✗', cannot: '·' };

/** Scenarios in the order in which they were first met. */
export function scenariosOf(rows: readonly Row[]): readonly string[] {
  return [...new Set(rows.flatMap(({ outcomes }) => outcomes.map(({ scenario }) => scenario)))];
}

/** A table of peers by numbered scenarios, the numbers in words, and every failure. Blank: not run. */
export function formatMatrix(rows: readonly Row[], format: 'text' | 'markdown'): string {
  const scenarios = scenariosOf(rows);
  const cells = [
    ['peer', 'from', ...scenarios.map((_, i) => String(i + 1))],
    ...rows.map(({ peer, version, from, outcomes }) => [
      `${peer} ${version}`,
      from,
      ...scenarios.map((scenario) => {
        const outcome = outcomes.find((each) => each.scenario === scenario);
        return outcome === undefined ? '' : SIGNS[outcome.state];
      }),
    ]),
  ];
  const legend = scenarios.map((scenario, i) => `${i + 1}. ${scenario}`);
  const failures = rows.flatMap(({ peer, version, outcomes }) =>
    outcomes
      .filter(({ state }) => state === 'fail')
      .map(
        ({ scenario, why = '' }) =>
          `${peer} ${version}, ${scenarios.indexOf(scenario) + 1}: ${why.split('\n')[0] ?? ''}`,
      ),
  );
  const table = format === 'text' ? textTable(cells) : markdownTable(cells);
  const list = format === 'text' ? failures : failures.map((line) => `- ${line}`);
  return `${[table, '', ...legend, ...(list.length > 0 ? ['', ...list] : [])].join('\n')}\n`;
}

const widthsOf = (cells: readonly (readonly string[])[]): readonly number[] =>
  (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));

const padded = (row: readonly string[], widths: readonly number[]): readonly string[] =>
  row.map((cell, column) => cell.padEnd(widths[column] ?? 0));

function textTable(cells: readonly (readonly string[])[]): string {
  const widths = widthsOf(cells);
  return cells.map((row) => padded(row, widths).join('  ').trimEnd()).join('\n');
}

function markdownTable(cells: readonly (readonly string[])[]): string {
  const widths = widthsOf(cells);
  const line = (row: readonly string[]): string => `| ${padded(row, widths).join(' | ')} |`;
  const [head = [], ...body] = cells;
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body.map(line)].join('\n');
}
