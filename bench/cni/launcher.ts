/**
 * Runs batches of CNI calls through launch.c, inside the node's namespace, and reads what it measured.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFile } from '../../src/lab/tortie-argv.js';

/** One execution of a plugin. */
export interface Job {
  readonly program: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly stdin: string;
}

export interface Measured {
  /** Milliseconds from exec to exit of each job, in order. */
  readonly times: readonly number[];
  /** Milliseconds from the first exec to the last exit. */
  readonly wall: number;
  /** Milliseconds of processor time of the jobs and of the processes that they started. */
  readonly processor: number;
}

/** `one`: each starts when the one before it has ended; `all`: at once. */
export type Manner = 'one' | 'all';

export class Launcher {
  private readonly program: string;

  constructor(private readonly directory: string) {
    mkdirSync(directory, { recursive: true });
    this.program = join(directory, 'launch');
    execFileSync('gcc', ['-O2', '-o', this.program, packageFile('bench/cni/launch.c')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }

  /** Throws if a job fails, with its output: a failed call is no measurement. */
  run(netns: string, manner: Manner, jobs: readonly Job[]): Measured {
    for (const [index, job] of jobs.entries()) {
      const strings = [job.program, ...Object.entries(job.environment).map(([key, value]) => `${key}=${value}`)];
      writeFileSync(join(this.directory, `${index}.env`), `${strings.join('\0')}\0`);
      writeFileSync(join(this.directory, `${index}.in`), job.stdin);
    }
    const printed = execFileSync(
      'nsenter',
      [`--net=${netns}`, this.program, manner, this.directory, '0', String(jobs.length)],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const lines = printed.trim().split('\n');
    const [wall = NaN, processor = NaN] = (lines.pop() ?? '')
      .split(' ')
      .slice(1)
      .map((micros) => Number(micros) / 1000);
    const times = lines.map((line, index) => {
      const [status, micros] = line.split(' ').map(Number);
      if (status !== 0)
        throw new Error(
          `Cannot measure ${jobs[index]?.program ?? ''}: it exits with ${status ?? '?'}: ${this.output(index).trim()}`,
        );
      return (micros ?? NaN) / 1000;
    });
    return { times, wall, processor };
  }

  /** What job `index` of the last run printed. */
  output(index: number): string {
    return readFileSync(join(this.directory, `${index}.out`), 'utf8');
  }
}
