/**
 * Runs one short-lived system tool: input on stdin, bounded output, bounded time, argv arrays only.
 *
 * `within` makes the child start in another network namespace: fork happens inside child_process.spawn, synchronously on this
 * thread, so a child started while the thread is in a namespace stays there.
 *
 * spawn blocks the event loop in proportion to the size of this process (1 ms at 48 MB, 20 ms at 500 MB), so callers batch.
 */
import { spawn, type ChildProcess } from 'node:child_process';

/** Runs a synchronous piece of work inside a network namespace. */
export type Within = <T>(work: () => T) => T;

export const hereWithin: Within = (work) => work();

export interface ChildOutcome {
  /** Exit status; undefined when a signal ended it or it never ran. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly pid: number | undefined;
}

/** The tool could not be started, ran too long or said too much: the environment's kind of error. */
export class ChildError extends Error {
  override readonly name = 'ChildError';
}

export interface ChildOptions {
  readonly input?: string;
  readonly within?: Within;
  readonly timeout?: number;
}

const TIMEOUT = 30_000;
/** BOUNDED: iptables-save of 50,000 foreign rules is some 10 MB. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/** Rejects with ChildError; a non-zero exit is an outcome, not an error. */
export function runChild(file: string, args: readonly string[], options: ChildOptions = {}): Promise<ChildOutcome> {
  const within = options.within ?? hereWithin;
  return new Promise((resolve, reject) => {
    const command = [file, ...args].join(' ');
    const child = within(() => spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
    const timeout = options.timeout ?? TIMEOUT;
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let failure: ChildError | undefined;
    const stop = (why: string): void => {
      failure ??= new ChildError(`Cannot run "${command}": ${why}`);
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => stop(`it did not end within ${timeout} ms`), timeout);
    collect(child, stdout, stderr, stop);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new ChildError(`Cannot run "${command}": ${error.message}`));
    });
    child.on('close', (status) => {
      clearTimeout(timer);
      if (failure !== undefined) reject(failure);
      else resolve({ status: status ?? undefined, stdout: textOf(stdout), stderr: textOf(stderr), pid: child.pid });
    });
    // A child that ends before it has read everything answers with its status, not with EPIPE.
    child.stdin?.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') stop(error.message);
    });
    child.stdin?.end(options.input ?? '');
  });
}

function collect(child: ChildProcess, stdout: Buffer[], stderr: Buffer[], stop: (why: string) => void): void {
  let bytes = 0;
  for (const [stream, chunks] of [
    [child.stdout, stdout],
    [child.stderr, stderr],
  ] as const) {
    stream?.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_OUTPUT_BYTES) stop(`it printed more than ${MAX_OUTPUT_BYTES} bytes`);
      else chunks.push(chunk);
    });
  }
}

const textOf = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString('utf8');
