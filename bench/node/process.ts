/** A child in a network namespace, its output in a file that tells the story when it ends too early. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const STOP_WITHIN = 5_000;

export class NodeProcess {
  private readonly child: ChildProcess;
  private readonly log: string;

  constructor(
    netns: string,
    directory: string,
    readonly name: string,
    argv: readonly string[],
  ) {
    this.log = join(directory, `${name}.log`);
    const fd = openSync(this.log, 'a');
    this.child = spawn('nsenter', [`--net=${netns}`, ...argv], { stdio: ['ignore', fd, fd] });
    closeSync(fd);
  }

  /** nsenter becomes the program, so this is the program's. */
  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** How it ended, if it did. */
  problem(): string | undefined {
    const { exitCode, signalCode } = this.child;
    if (exitCode === null && signalCode === null) return undefined;
    return `${this.name} ended with ${exitCode ?? signalCode}: ${this.tail()}`;
  }

  tail(): string {
    return readFileSync(this.log, 'utf8').trim().split('\n').slice(-3).join('\n');
  }

  /** Settles when it is gone. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_WITHIN);
    await ended;
    clearTimeout(timer);
  }
}
