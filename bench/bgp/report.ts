/** From runs to medians and ratios: what is printed, and the one JSON object at the end. */
import type { RunReport } from './run.js';
import type { Scenario } from './scenarios.js';

/** Median milliseconds (memory: MB) per speaker and phase, of the complete runs. */
export type Medians = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface ScenarioResult {
  readonly scenario: string;
  readonly medians: Medians;
  /** Ours divided by the peer's, per peer and phase. */
  readonly ratios: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly targets: readonly TargetResult[];
  /** Complete runs, and of these those during which nothing else used the machine. */
  readonly runs: Readonly<
    Record<string, { readonly complete: number; readonly quiet: number; readonly problem?: string }>
  >;
}

export interface TargetResult {
  readonly phase: string;
  readonly against: string;
  readonly wanted: number;
  readonly got: number | undefined;
  readonly isMet: boolean;
}

export const OURS = 'tortie';

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] ?? NaN;

/** Figures of one run by phase; the kernel's share and memory are phases of their own. */
function figures({ phases }: RunReport): Map<string, number> {
  const found = new Map<string, number>();
  let memory = 0;
  for (const { phase, all_ms, p50_ms, fib_ms, hwm_kb = 0, threads_ms, main_ms } of phases) {
    memory = Math.max(memory, hwm_kb / 1024);
    if (phase === 'end') continue;
    const time = p50_ms ?? all_ms;
    if (time !== undefined && time >= 0) found.set(phase, time);
    if (fib_ms !== undefined && fib_ms >= 0) found.set(`${phase}-fib`, fib_ms);
    if (main_ms !== undefined) found.set(`${phase}-main-cpu`, main_ms);
    if (threads_ms !== undefined) found.set(`${phase}-cpu`, threads_ms);
  }
  if (memory > 0) found.set('memory', memory);
  return found;
}

export function summarise(
  name: string,
  scenario: Scenario,
  reports: ReadonlyMap<string, readonly RunReport[]>,
): ScenarioResult {
  const medians: Record<string, Record<string, number>> = {};
  const runs: Record<string, { complete: number; quiet: number; problem?: string }> = {};
  for (const [speaker, all] of reports) {
    const complete = all.filter(({ isComplete }) => isComplete);
    const quiet = complete.filter(({ isQuiet }) => isQuiet);
    const used = (quiet.length * 2 >= complete.length ? quiet : complete).map(figures);
    const phases = new Set(used.flatMap((run) => [...run.keys()]));
    medians[speaker] = Object.fromEntries(
      [...phases].map((phase) => [phase, round(median(used.flatMap((run) => run.get(phase) ?? [])))]),
    );
    const problem = all.find((run) => run.problem !== undefined)?.problem;
    runs[speaker] = { complete: complete.length, quiet: quiet.length, ...(problem === undefined ? {} : { problem }) };
  }
  const ratios = ratiosOf(medians);
  return { scenario: name, medians, ratios, targets: targetsOf(scenario, medians, ratios), runs };
}

function ratiosOf(medians: Medians): Record<string, Record<string, number>> {
  const ours = medians[OURS] ?? {};
  const peers = Object.entries(medians).filter(([speaker]) => speaker !== OURS);
  return Object.fromEntries(
    peers.map(([speaker, theirs]) => [
      speaker,
      Object.fromEntries(
        Object.entries(ours).flatMap(([phase, time]) => {
          const other = theirs[phase];
          return other === undefined || other === 0 ? [] : [[phase, Math.round((time / other) * 1000) / 1000]];
        }),
      ),
    ]),
  );
}

function targetsOf(
  scenario: Scenario,
  medians: Medians,
  ratios: Readonly<Record<string, Readonly<Record<string, number>>>>,
): TargetResult[] {
  return Object.entries(scenario.targets).map(([phase, { against, ratio, ms }]) => {
    const wanted = ratio ?? ms ?? NaN;
    const got =
      ratio === undefined
        ? medians[OURS]?.[phase]
        : against === 'best'
          ? worstRatio(ratios, phase)
          : ratios[against]?.[phase];
    return { phase, against, wanted, got, isMet: got !== undefined && got <= wanted };
  });
}

/** Against the best peer the ratio is the largest. */
function worstRatio(
  ratios: Readonly<Record<string, Readonly<Record<string, number>>>>,
  phase: string,
): number | undefined {
  const found = Object.values(ratios).flatMap((of) => of[phase] ?? []);
  return found.length === 0 ? undefined : Math.max(...found);
}

const round = (value: number): number => (value >= 100 ? Math.round(value) : Math.round(value * 1000) / 1000);

export function formatResult({ scenario, medians, ratios, targets, runs }: ScenarioResult): string {
  const phases = [...new Set(Object.values(medians).flatMap((of) => Object.keys(of)))];
  const speakers = Object.keys(medians);
  const cell = (speaker: string, phase: string): string => {
    const value = medians[speaker]?.[phase];
    const ratio = ratios[speaker]?.[phase];
    return value === undefined ? '-' : `${value}${ratio === undefined ? '' : ` (${ratio})`}`;
  };
  const rows = [
    ['', ...speakers],
    ...phases.map((phase) => [
      phase === 'memory' ? 'peak memory, MB' : `${phase}, ms`,
      ...speakers.map((speaker) => cell(speaker, phase)),
    ]),
    ['runs (quiet)', ...speakers.map((speaker) => `${runs[speaker]?.complete ?? 0} (${runs[speaker]?.quiet ?? 0})`)],
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const table = rows.map((row) =>
    row
      .map((text, column) =>
        column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart((widths[column] ?? 0) + 2),
      )
      .join(''),
  );
  const problems = Object.entries(runs).flatMap(([speaker, { problem }]) =>
    problem === undefined ? [] : [`  ${speaker}: ${problem}`],
  );
  const goals = targets.map(
    ({ phase, against, wanted, got, isMet }) =>
      `  ${isMet ? 'met   ' : 'MISSED'} ${phase}: ${got ?? 'not measured'}, wanted at most ` +
      `${wanted}${against === 'none' ? ' ms' : ` of ${against}`}`,
  );
  return [`${scenario}`, ...table.map((line) => `  ${line}`), ...goals, ...problems, ''].join('\n');
}
