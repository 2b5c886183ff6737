/** A daemon of a benchmark: a child in a namespace, its output added to a log file. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

const STOP_WITHIN = 10_000;

export function startDaemon(namespace: string, log: string, argv: readonly string[]): ChildProcess {
  const output = openSync(log, 'a');
  try {
    return spawn('ip', ['netns', 'exec', namespace, ...argv], { stdio: ['ignore', output, output] });
  } finally {
    closeSync(output); // the child has its own
  }
}

/** Settles when it is gone, by force if need be. */
export async function endDaemon(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const hurry = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN);
  await gone;
  clearTimeout(hurry);
}
