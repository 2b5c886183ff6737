/**
 * The containers of `tortie connectivity test` that end: the stand-in runs no images, and of what a pod asks for only the targets are
 * taken, for our own program. What it prints is the container's termination message.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Pod } from '../api/core.js';
import { tortieArgv } from './tortie-argv.js';

export interface ProbeOutcome {
  readonly phase: 'Succeeded' | 'Failed';
  readonly message: string;
}

/** Kubernetes' bound of a termination message. */
const MOST_MESSAGE = 4_096;

/** Undefined: the pod is no such client. */
export function probeTargets({ spec }: Pod): string | undefined {
  const [first, second, ...rest] = spec.containers[0]?.args ?? [];
  const at = rest.indexOf('--targets');
  return first === 'connectivity' && second === 'probe' && at >= 0 ? rest[at + 1] : undefined;
}

export class ProbeRun {
  private readonly child: ChildProcess;
  private readonly ended: Promise<void>;
  readonly restarts = 0;

  constructor(netns: string, targets: string, onEnd: (outcome: ProbeOutcome) => void) {
    const argv = tortieArgv('connectivity', 'probe', '--targets', targets, '--message-file', '/dev/null');
    this.child = spawn('ip', ['netns', 'exec', netns, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-MOST_MESSAGE)));
    this.child.once('error', (error) => (output = error.message));
    this.ended = new Promise((resolve) =>
      this.child.once('close', (code) => {
        onEnd({ phase: code === 0 ? 'Succeeded' : 'Failed', message: output.trim() });
        resolve();
      }),
    );
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}
