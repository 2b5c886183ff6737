/** What came of running cases: plain data for the report and for `-o json`. */
import type { Cell } from './case-file.js';

/** How a cell came out otherwise than the file says. */
export interface WrongCell {
  /** From 1. */
  readonly step: number;
  readonly cell: Cell;
  /** "allowed", "dropped", or in kernel mode also "refused", "unreachable: ..." and "answered by x/b". */
  readonly got: string;
  /** Who decided what, as far as known. */
  readonly because?: string;
}

export interface CaseOutcome {
  readonly id: string;
  readonly title: string;
  readonly mode: Mode;
  readonly cells: number;
  readonly wrong: readonly WrongCell[];
  /** Why it could not be run, or not to its end. */
  readonly problems: readonly string[];
  readonly duration: number;
}

export interface ValidationOutcome {
  readonly id: string;
  readonly isValid: boolean;
  /** What our validation found: empty means that it accepts. */
  readonly found: readonly string[];
  readonly isRight: boolean;
}

export type Mode = 'engine' | 'kernel';

export const isPassed = (outcome: CaseOutcome): boolean => outcome.wrong.length === 0 && outcome.problems.length === 0;
