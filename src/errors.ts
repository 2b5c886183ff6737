/** Errors that a person at a terminal caused or can mend: shown as their sentence alone, without a stack. */
export class UserError extends Error {
  override readonly name = 'UserError';

  /** @param exitCode 1: the work failed; 2: the command line is wrong. */
  constructor(
    message: string,
    readonly exitCode: 1 | 2 = 1,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The sentence of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
