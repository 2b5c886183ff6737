/**
 * One iptables-restore that stays: it reads tables from its standard input for as long as that is open and commits each at its
 * COMMIT, so a change costs what the kernel takes (0.1 ms for a chain) instead of a process (12-25 ms, more in a big parent).
 *
 * With --verbose it echoes comment lines to standard output, at once, when it comes to them: a comment behind the last COMMIT is the
 * acknowledgement. Whatever it refuses ends it with a message and a status, as it would a short-lived one; line numbers in messages
 * count from the process's start. It holds the xtables lock only between a table's header and its COMMIT. When we die, its input
 * ends and so does it; a table without its COMMIT is dropped.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { ChildError, type ChildOutcome, type Within } from './child.js';

/** Bounds the wait for the xtables lock. */
const TIMEOUT = 30_000;
/** And what a line may take, on a busy machine: ten thousand Services are forty thousand lines, and a try that is cut off begins anew. */
const TIMEOUT_PER_LINE = 5;
/** BOUNDED: what a failing program may say. */
const MAX_STDERR = 64 * 1024;

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

interface Waiting {
  readonly token: string;
  readonly resolve: (outcome: ChildOutcome | 'done') => void;
  readonly reject: (error: Error) => void;
}

export class RestoreSession {
  private child: Child | undefined;
  private waiting: Waiting | undefined;
  private stderr = '';
  private unread = '';
  /** Lines sent to the running child before the current input. */
  private lines = 0;
  private tokens = 0;
  private isClosed = false;

  constructor(
    private readonly file: string,
    private readonly args: readonly string[],
    private readonly within: Within,
  ) {}

  /** Process id of the running child, started if need be. */
  open(): number | undefined {
    this.child ??= this.start();
    return this.child.pid;
  }

  /**
   * 'done' when everything is committed; otherwise how the program ended, and how many lines it had read before this input. One at
   * a time. Rejects with ChildError.
   */
  restore(input: string): Promise<{ readonly outcome: ChildOutcome | 'done'; readonly linesBefore: number }> {
    if (this.waiting !== undefined) throw new Error('A restore session takes one input at a time');
    this.open();
    const linesBefore = this.lines;
    const token = `# tortie ${this.tokens++}`;
    const lines = countLines(input);
    const timeout = TIMEOUT + TIMEOUT_PER_LINE * lines;
    this.lines += lines + 1;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.abort(`it did not answer within ${timeout} ms; somebody else may hold the xtables lock`),
        timeout,
      );
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(timer);
          this.waiting = undefined;
          then(value);
        };
      this.waiting = { token, resolve: settle((outcome) => resolve({ outcome, linesBefore })), reject: settle(reject) };
      this.child?.stdin.write(`${input}${token}\n`);
    });
  }

  close(): void {
    this.isClosed = true;
    this.child?.stdin.end();
    this.child?.unref();
    this.child = undefined;
  }

  private start(): Child {
    const child = this.within(() => spawn(this.file, this.args, { stdio: ['pipe', 'pipe', 'pipe'] }));
    this.stderr = '';
    this.unread = '';
    this.lines = 0;
    child.stdout.on('data', (chunk: Buffer) => this.read(child, chunk.toString('utf8')));
    child.stderr.on(
      'data',
      (chunk: Buffer) => (this.stderr = (this.stderr + chunk.toString('utf8')).slice(-MAX_STDERR)),
    );
    child.stdin.on('error', () => undefined); // it has ended: 'close' says how
    child.on('error', (error) =>
      this.end(child, undefined, new ChildError(`Cannot run "${this.command}": ${error.message}`)),
    );
    child.on('close', (status) => this.end(child, status ?? undefined));
    // An idle session is no reason for this process to stay.
    child.unref();
    for (const stream of [child.stdin, child.stdout, child.stderr])
      if ('unref' in stream && typeof stream.unref === 'function') stream.unref();
    return child;
  }

  private read(child: Child, text: string): void {
    if (child !== this.child) return;
    const lines = (this.unread + text).split('\n');
    this.unread = lines.pop() ?? '';
    for (const line of lines) if (line === this.waiting?.token) this.waiting.resolve('done');
  }

  private end(child: Child, status: number | undefined, error?: ChildError): void {
    if (child !== this.child) return;
    this.child = undefined;
    const waiting = this.waiting;
    const outcome: ChildOutcome = { status, stdout: '', stderr: this.stderr, pid: child.pid };
    // A new one starts at once, so that the next input does not wait for it.
    if (!this.isClosed && error === undefined && waiting !== undefined) this.child = this.start();
    if (error !== undefined) waiting?.reject(error);
    else if (status === 0 || status === undefined)
      waiting?.reject(new ChildError(`Cannot run "${this.command}": it ended before it had answered`));
    else waiting?.resolve(outcome);
  }

  private abort(why: string): void {
    const { child, waiting } = this;
    this.child = undefined;
    child?.kill('SIGKILL');
    waiting?.reject(new ChildError(`Cannot run "${this.command}": ${why}`));
  }

  private get command(): string {
    return [this.file, ...this.args].join(' ');
  }
}

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
  return count;
}
