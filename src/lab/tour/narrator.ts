/**
 * Tells the tour: headings, commands with what they printed, and claims with what was found when they were checked.
 *
 * A claim's check returns the evidence as a sentence or throws ClaimFailed; a failed claim is told and counted, and the
 * tour goes on, because the rest may explain it.
 */
import { messageOf } from '../../errors.js';

/** The claim does not hold; the message says what was found instead. */
export class ClaimFailed extends Error {
  override readonly name = 'ClaimFailed';
}

export class Narrator {
  private chapter = 0;
  private held = 0;
  readonly failures: string[] = [];

  constructor(private readonly write: (text: string) => void) {}

  heading(text: string): void {
    this.chapter += 1;
    this.write(`\n${this.chapter}. ${text}\n${'-'.repeat(text.length + 3)}\n`);
  }

  note(text: string): void {
    this.write(`${text}\n`);
  }

  /** A command as somebody would type it, and its output. */
  show(command: string, output: string): void {
    if (output.trim() === '') return this.write(`\n  $ ${command}\n\n`);
    this.write(
      `\n  $ ${command}\n${output
        .trimEnd()
        .split('\n')
        .map((line) => `  ${line}`.trimEnd())
        .join('\n')}\n\n`,
    );
  }

  /** Checks, tells, and counts; true when it holds. */
  async claim(text: string, check: () => Promise<string>): Promise<boolean> {
    try {
      const evidence = await check();
      this.held += 1;
      this.write(`  [held]   ${text}\n           ${evidence}\n`);
      return true;
    } catch (error) {
      this.failures.push(text);
      this.write(`  [FAILED] ${text}\n           ${messageOf(error)}\n`);
      return false;
    }
  }

  summary(): string {
    const total = this.held + this.failures.length;
    return this.failures.length === 0
      ? `All ${total} claims held, each checked by a packet or a router.`
      : `${this.failures.length} of ${total} claims failed:\n${this.failures.map((failure) => `  ${failure}`).join('\n')}`;
  }
}

/** Repeats `check` until it does not throw ClaimFailed or the time is over; the last failure is the one that counts. */
export async function eventually<T>(within: number, check: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + within;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (!(error instanceof ClaimFailed) || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
