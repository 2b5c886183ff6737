/** The reference runtime library, libcni (Go), as a process that is asked line by line: built on the spot where Go is there. */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { packageFile } from '../../src/lab/tortie-argv.js';

export interface LibcniCall {
  readonly command: 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS';
  readonly list: Readonly<Record<string, unknown>>;
  readonly containerId?: string;
  readonly netns?: string;
  readonly ifName?: string;
  readonly args?: readonly (readonly [string, string])[];
  /** Of GC; null is sent as null. */
  readonly valid?: readonly { readonly containerID: string; readonly ifname: string }[] | null;
}

export interface LibcniAnswer {
  /** The plugin's, 1 for what is no answer of a plugin, 0 when all is well. */
  readonly code: number;
  readonly message?: string;
  readonly result?: { readonly ips?: readonly { readonly address: string }[] };
}

const BUILD_WITHIN = 120_000;

export class Libcni {
  private constructor(
    private readonly child: ChildProcessByStdio<Writable, Readable, null>,
    private readonly lines: Interface,
  ) {}

  /** The program, or why it cannot be built here. */
  static build(directory: string): { readonly program: string } | { readonly why: string } {
    const program = join(directory, 'libcni');
    const { status, stderr, error } = spawnSync('go', ['build', '-trimpath', '-o', program, '.'], {
      cwd: packageFile('test/cni/libcni'),
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false' },
      encoding: 'utf8',
      timeout: BUILD_WITHIN,
    });
    if (error !== undefined) return { why: `Go does not run: ${error.message}` };
    return status === 0 ? { program } : { why: `libcni cannot be built: ${stderr.trim().split('\n').at(-1)}` };
  }

  static start(program: string, plugins: string, cache: string): Libcni {
    const child = spawn(program, [plugins, cache], { stdio: ['pipe', 'pipe', 'inherit'] });
    return new Libcni(child, createInterface({ input: child.stdout }));
  }

  async call(call: LibcniCall): Promise<LibcniAnswer> {
    const answer = new Promise<string>((resolve, reject) => {
      const onEnd = (): void => reject(new Error(`Cannot ${call.command}: libcni ended with ${this.child.exitCode}`));
      this.lines.once('close', onEnd);
      this.lines.once('line', (line) => {
        this.lines.off('close', onEnd);
        resolve(line);
      });
    });
    this.child.stdin.write(`${JSON.stringify(call)}\n`);
    return JSON.parse(await answer) as LibcniAnswer;
  }

  stop(): void {
    this.child.stdin.end();
  }
}
