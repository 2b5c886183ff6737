/** Real kubectl programs for tests: the machine's, and Debian's 1.20, fetched once into a folder of its own, never installed. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface KubectlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One kubectl program talking to one server. */
export class Kubectl {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tortie-kubectl-'));

  constructor(
    readonly program: string,
    url: string,
  ) {
    writeFileSync(
      join(this.#folder, 'config'),
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'lab', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
        users: [{ name: 'lab', user: {} }],
        contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
        'current-context': 'lab',
      }),
      { mode: 0o600 },
    );
  }

  /** Path of the kubeconfig it uses, for other clients of the same server. */
  get kubeconfig(): string {
    return join(this.#folder, 'config');
  }

  /** Runs to the end; `input` is its standard input. */
  run(args: readonly string[], input = ''): Promise<KubectlResult> {
    return new Promise((resolve, reject) => {
      const child = this.start(args);
      let [stdout, stderr] = ['', ''];
      child.stdout?.on('data', (chunk: Buffer) => {
        stdout += chunk.toString();
      });
      child.stderr?.on('data', (chunk: Buffer) => {
        stderr += chunk.toString();
      });
      child.on('error', reject);
      child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
      child.stdin?.on('error', () => undefined); // it may end without reading
      child.stdin?.end(input);
    });
  }

  start(args: readonly string[]): ChildProcess {
    return spawn(this.program, args, {
      env: {
        ...process.env,
        KUBECONFIG: this.kubeconfig,
        HOME: this.#folder,
        KUBE_EDITOR: process.env['KUBE_EDITOR'] ?? 'true',
      },
      timeout: 60_000,
    });
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const OLD_FOLDER = join(tmpdir(), 'tortie-kubectl-1.20');

/** Path of kubectl 1.20 from Debian 12's kubernetes-client; undefined when it cannot be had here. */
export async function oldKubectl(): Promise<string | undefined> {
  const program = join(OLD_FOLDER, 'usr/bin/kubectl');
  if (existsSync(program)) return program;
  const folder = mkdtempSync(join(tmpdir(), 'tortie-deb-'));
  try {
    await run('apt-get', ['download', 'kubernetes-client'], { cwd: folder, timeout: 60_000 });
    const archive = readdirSync(folder).find((name) => name.endsWith('.deb'));
    if (archive === undefined) return undefined;
    mkdirSync(OLD_FOLDER, { recursive: true });
    await run('dpkg', ['-x', join(folder, archive), OLD_FOLDER]);
    return existsSync(program) ? program : undefined;
  } catch (error) {
    process.stderr.write(`kubectl 1.20 cannot be had here: ${(error as Error).message}\n`);
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** "1.32" of a program. */
export async function versionOf(program: string): Promise<string> {
  const { stdout } = await run(program, ['version', '--client', '-o', 'json']);
  const { clientVersion } = JSON.parse(stdout) as { clientVersion: { major: string; minor: string } };
  return `${clientVersion.major}.${clientVersion.minor}`;
}
