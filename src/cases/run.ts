/**
 * `tortie cases`: reads a file, runs what the options ask for, prints as it goes, and says whether everything came out as the
 * file wants.
 */
import { readFileSync } from 'node:fs';
import { messageOf, UserError } from '../errors.js';
import { isBroken, type BrokenCase, type Case, type CaseFile } from './case-file.js';
import { runOnEngine } from './engine-run.js';
import type { CaseOutcome, ValidationOutcome } from './outcome.js';
import { CaseFileError, readCaseFile } from './read-case-file.js';
import { formatOutcome, formatTotals, formatValidation, isAllPassed, totalsOf } from './report.js';
import { runValidation } from './validation-run.js';

const BACKENDS = ['auto', 'legacy', 'nft', 'nftables'] as const;

/** As given on the command line. */
export interface RunOptions {
  readonly engine?: boolean;
  readonly kernel?: boolean;
  readonly filter?: string;
  readonly family?: string;
  readonly backend: string;
  readonly output: string;
}

/** Throws UserError for what only the caller can mend. */
export async function runCases(path: string, options: RunOptions): Promise<boolean> {
  checkOptions(options);
  const file = select(load(path), options);
  const isText = options.output === 'text';
  const start = performance.now();
  const validations = file.validation.map(runValidation);
  if (isText) for (const one of validations) if (!one.isRight) print(formatValidation(one));
  const cases: CaseOutcome[] = [];
  const take = (outcome: CaseOutcome): void => {
    cases.push(outcome);
    if (isText) print(formatOutcome(outcome));
  };
  if (options.engine === true || options.kernel !== true) for (const one of file.cases) take(runOnEngine(one));
  if (options.kernel === true) await runOnKernel(file.cases, options, take);
  const totals = totalsOf(cases, validations, performance.now() - start);
  print(isText ? formatTotals(totals) : JSON.stringify(jsonOf(cases, validations, totals)));
  return isAllPassed(totals);
}

async function runOnKernel(
  cases: readonly (Case | BrokenCase)[],
  options: RunOptions,
  take: (outcome: CaseOutcome) => void,
): Promise<void> {
  const { KernelRun } = await import('./kernel/kernel-run.js');
  const backend = BACKENDS.find((one) => one === options.backend) ?? 'auto';
  let isInterrupted = false;
  const onSignal = (): void => void (isInterrupted = true);
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const run = await KernelRun.start({ backend });
  try {
    for (const one of cases) {
      if (isInterrupted) throw new UserError('Interrupted: the remaining cases did not run');
      take(await run.run(one));
    }
  } finally {
    await run.stop();
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

function load(path: string): CaseFile {
  try {
    return readCaseFile(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof CaseFileError) throw new UserError(`${path}: ${error.message}`, 1, { cause: error });
    throw new UserError(`Cannot read "${path}": ${messageOf(error)}`, 1, { cause: error });
  }
}

function checkOptions(options: RunOptions): void {
  const check = (option: string, value: string, allowed: readonly string[]): void => {
    if (!allowed.includes(value))
      throw new UserError(`Cannot use ${option} "${value}": expected ${allowed.join(', ')}`, 2);
  };
  if (options.family !== undefined) check('--family', options.family, ['4', '6']);
  check('--backend', options.backend, BACKENDS);
  check('--output', options.output, ['text', 'json']);
}

function select(file: CaseFile, options: RunOptions): CaseFile {
  const pattern = patternOf(options.filter);
  const matches = (id: string, title: string): boolean => pattern.test(id) || pattern.test(title);
  return {
    cases: file.cases.filter((one) => matches(one.id, one.title)).map((one) => ofFamily(one, options.family)),
    validation: file.validation.filter((one) => matches(one.id, '')),
  };
}

function patternOf(filter: string | undefined): RegExp {
  try {
    return new RegExp(filter ?? '', 'i');
  } catch (error) {
    throw new UserError(`Cannot use --filter "${filter ?? ''}": ${messageOf(error)}`, 2, { cause: error });
  }
}

function ofFamily(one: Case | BrokenCase, family: string | undefined): Case | BrokenCase {
  if (family === undefined || isBroken(one)) return one;
  return {
    ...one,
    steps: one.steps.map((step) => ({ ...step, cells: step.cells.filter((cell) => String(cell.family) === family) })),
  };
}

function jsonOf(
  cases: readonly CaseOutcome[],
  validations: readonly ValidationOutcome[],
  totals: ReturnType<typeof totalsOf>,
): unknown {
  return { passed: isAllPassed(totals), totals, cases, validation: validations };
}

const print = (text: string): void => void process.stdout.write(`${text}\n`);
