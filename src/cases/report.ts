/**
 * The outcome as text for people and as one JSON object for programs. Pure.
 */
import { formatCell } from './case-file.js';
import { isPassed, type CaseOutcome, type ValidationOutcome } from './outcome.js';

/** BOUNDED: a broken engine gets every cell wrong, and nobody reads a thousand lines of it. */
const SHOWN_PER_CASE = 12;

export function formatOutcome(outcome: CaseOutcome): string {
  const passed = outcome.cells - outcome.wrong.length;
  const word = isPassed(outcome) ? 'ok    ' : 'FAILED';
  const head =
    `${word} ${outcome.mode} ${outcome.id}: ${passed} cells passed, ${outcome.wrong.length} failed, ` +
    `${Math.round(outcome.duration)} ms  ${outcome.title}`;
  const lines = [head, ...outcome.problems.map((problem) => `         ${problem}`)];
  for (const { step, cell, got, because } of outcome.wrong.slice(0, SHOWN_PER_CASE)) {
    const reason = because === undefined ? '' : ` (${because})`;
    lines.push(
      `         step ${step}: ${formatCell(cell)}: expected ${cell.allow ? 'allowed' : 'dropped'}, got ${got}${reason}`,
    );
  }
  if (outcome.wrong.length > SHOWN_PER_CASE) lines.push(`         and ${outcome.wrong.length - SHOWN_PER_CASE} more`);
  return lines.join('\n');
}

export function formatValidation(outcome: ValidationOutcome): string {
  if (outcome.isRight) return `ok     validation ${outcome.id}`;
  const got = outcome.found.length === 0 ? 'accepted' : `refused: ${outcome.found.join('; ')}`;
  return `FAILED validation ${outcome.id}: expected ${outcome.isValid ? 'accepted' : 'refused'}, got ${got}`;
}

export interface Totals {
  readonly cases: number;
  readonly failedCases: number;
  readonly cells: number;
  readonly failedCells: number;
  readonly validations: number;
  readonly failedValidations: number;
  readonly duration: number;
}

export function totalsOf(
  cases: readonly CaseOutcome[],
  validations: readonly ValidationOutcome[],
  duration: number,
): Totals {
  return {
    cases: cases.length,
    failedCases: cases.filter((one) => !isPassed(one)).length,
    cells: cases.reduce((sum, one) => sum + one.cells, 0),
    failedCells: cases.reduce((sum, one) => sum + one.wrong.length, 0),
    validations: validations.length,
    failedValidations: validations.filter((one) => !one.isRight).length,
    duration,
  };
}

export function formatTotals(totals: Totals): string {
  const part = (name: string, count: number, failed: number): string =>
    `${count} ${name}: ${count - failed} passed, ${failed} failed`;
  return (
    `${part('cases', totals.cases, totals.failedCases)}; ${part('cells', totals.cells, totals.failedCells)}; ` +
    `${part('validation objects', totals.validations, totals.failedValidations)}; ${(totals.duration / 1000).toFixed(1)} s`
  );
}

/** Passed means that something ran and nothing failed. */
export const isAllPassed = (totals: Totals): boolean =>
  totals.cases + totals.validations > 0 && totals.failedCases + totals.failedValidations === 0;
