/**
 * Runs a CNI plugin as a runtime does: environment, standard input, exit code, standard output.
 */
import { spawn } from 'node:child_process';

export interface PluginRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param prefix argv to run the plugin with, such as `nsenter --net=...`. */
export function runPlugin(
  program: string,
  env: Readonly<Record<string, string>>,
  stdin: string | Uint8Array,
  prefix: readonly string[] = [],
): Promise<PluginRun> {
  const [command = program, ...argv] = [...prefix, program];
  const child = spawn(command, argv, { env: { PATH: process.env['PATH'] ?? '', ...env } });
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject).once('close', (code) => resolve({ code, stdout, stderr }));
    // A plugin that refuses early closes its end; the run's result says why.
    child.stdin.on('error', () => undefined).end(stdin);
  });
}
