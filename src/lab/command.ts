/** Running a program to its end: an argument vector, optional input, its output back, and a sentence when it fails. */
import { spawn } from 'node:child_process';

/** Output kept of one command; BOUNDED so that a program that will not stop talking cannot fill our memory. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';

  constructor(
    readonly argv: readonly string[],
    readonly result: CommandResult,
  ) {
    const how = result.signal === null ? `exit code ${result.code}` : `signal ${result.signal}`;
    const said = (result.stderr.trim() || result.stdout.trim()).split('\n').slice(0, 5).join('; ');
    super(`Cannot run "${argv.join(' ').slice(0, 300)}": ${how}${said === '' ? '' : `: ${said}`}`);
  }
}

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Kill it after so many milliseconds; default: never. */
  readonly timeout?: number;
}

/** Standard output of a program that must succeed; CommandFailed otherwise. */
export async function run(argv: readonly string[], input?: string, options: CommandOptions = {}): Promise<string> {
  const result = await attempt(argv, input, options);
  if (result.code !== 0) throw new CommandFailed(argv, result);
  return result.stdout;
}

/** Runs a program and says how it ended; throws only when it cannot be started at all. */
export function attempt(argv: readonly string[], input?: string, options: CommandOptions = {}): Promise<CommandResult> {
  const [program, ...args] = argv;
  if (program === undefined) throw new Error('Cannot run an empty command');
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...options,
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < MAX_OUTPUT_BYTES) stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < MAX_OUTPUT_BYTES) stderr += text;
    });
    child.once('error', (error) => reject(new Error(`Cannot start "${program}": ${error.message}`, { cause: error })));
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    if (input !== undefined) {
      // A program that exits without reading its input closes the pipe; its exit code says what happened.
      child.stdin?.on('error', () => undefined).end(input);
    }
  });
}
