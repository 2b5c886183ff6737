/**
 * CNI errors: the specification's codes (SPEC.md, section "Error"), and the JSON object that a plugin prints for one.
 * Codes from 100 on are the plugin's own: 100 says that CHECK found something missing, 999 (as in the specification's own
 * library) that Tortie itself is at fault.
 */
import type { CniVersion } from './version.js';

export const CNI_ERROR_CODES = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  undecodable: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  /** STATUS: cannot serve ADD. */
  notAvailable: 50,
  /** STATUS: cannot serve ADD, and running containers may have limited connectivity. */
  limitedConnectivity: 51,
  checkFailed: 100,
  internal: 999,
} as const;

export type CniErrorReason = keyof typeof CNI_ERROR_CODES;

/** Thrown by handlers and parsers; the runtime sees code, message and details. */
export class CniError extends Error {
  override readonly name = 'CniError';

  /** @param details further sentences for whoever debugs, one a line. */
  constructor(
    readonly reason: CniErrorReason,
    message: string,
    readonly details: string = '',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  get code(): number {
    return CNI_ERROR_CODES[this.reason];
  }
}

/** What goes to standard output, as one line. */
export function renderCniError(error: CniError, version: CniVersion): string {
  const body = {
    cniVersion: version,
    code: error.code,
    msg: error.message,
    ...(error.details === '' ? {} : { details: error.details }),
  };
  return `${JSON.stringify(body)}\n`;
}

/** A problem with something that the runtime or the operator wrote: every one names field, value and what was expected. */
export interface CniProblem {
  readonly field: string;
  readonly value: unknown;
  readonly expected: string;
}

/** One error for all problems found; the first is the message, all are the details. */
export function errorOfProblems(reason: CniErrorReason, what: string, problems: readonly CniProblem[]): CniError {
  const sentences = problems.map(
    (problem) => `${problem.field} is ${quote(problem.value)}: expected ${problem.expected}`,
  );
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  return new CniError(reason, `Cannot use ${what}: ${sentences[0] ?? 'it is invalid'}${more}`, sentences.join('\n'));
}

/** BOUNDED: a value as it stands in an error, cut at 100 characters. */
function quote(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}
