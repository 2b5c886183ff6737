/**
 * A steady flow between two pods, made of UDP datagrams each of which is a flow of its own to the kernel (a new source port), so
 * that every one of them is judged by the policy of its moment. The trace says which were answered, by their time of sending.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { PROBER } from '../../src/lab/tortie-argv.js';
import type { ConnectedPod } from './pods.js';
import { PORT } from './cluster.js';

export interface FlowPlan {
  readonly from: ConnectedPod;
  readonly to: ConnectedPod;
  readonly family: 4 | 6;
  /** Milliseconds between two datagrams. */
  readonly interval: number;
  /** Where the prober writes. */
  readonly file: string;
}

export interface Flow {
  readonly sent: number;
  readonly lost: number;
  readonly received: number;
  readonly error: string;
  /** Times of sending, ascending, of the datagrams that were answered; microseconds of CLOCK_MONOTONIC, as `monotonicMicros`. */
  readonly answered: readonly number[];
}

export const monotonicMicros = (): number => Number(process.hrtime.bigint() / 1000n);

export class RunningFlow {
  private constructor(
    private readonly child: ChildProcess,
    private readonly file: string,
  ) {}

  static start({ from, to, family, interval, file }: FlowPlan): RunningFlow {
    const fd = openSync(file, 'w');
    const target = to.addresses[family === 4 ? 0 : 1];
    const child = spawn(
      PROBER,
      [
        'stream',
        '--netns',
        from.netns,
        '--to',
        target,
        '--port',
        String(PORT),
        '--interval',
        String(interval),
        '--duration',
        '3600000',
        '--fresh',
        '--trace',
      ],
      { stdio: ['ignore', fd, 'inherit'] },
    );
    closeSync(fd);
    return new RunningFlow(child, file);
  }

  async stop(): Promise<Flow> {
    if (this.child.exitCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      await ended;
    }
    const lines = readFileSync(this.file, 'utf8').trim().split('\n');
    const tally = JSON.parse(lines.pop() ?? '{}') as Omit<Flow, 'answered'>;
    const answered = lines
      .slice(1)
      .map((line) => Number(line.slice(0, line.indexOf('\t'))))
      .sort((a, b) => a - b);
    return { ...tally, answered };
  }
}
