/** Two network namespaces with a cable, and the processes in them, for tests against real BFD speakers. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BfdEvent, BfdSessionConfig, BfdStatus } from 'node-bgp/bfd/contract';

export const run = (file: string, ...args: readonly string[]): string =>
  execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const ip = (...args: readonly string[]): string => run('ip', ...args);

/** Waits until `holds` answers; throws with `what` after a time that is generous on a loaded machine. */
export async function eventually<T>(
  what: string,
  holds: () => T | undefined | Promise<T | undefined>,
  patience = 15_000,
): Promise<T> {
  const end = Date.now() + patience;
  for (;;) {
    const answer = await holds();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`Waited ${patience} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

/** `ours` has 10.99.0.1/24 and fd99::1/64 on eth0, `theirs` ends in 2. */
export class Cable {
  readonly ours = `tbfd-a-${process.pid}`;
  readonly theirs = `tbfd-b-${process.pid}`;
  readonly folder = mkdtempSync(join(tmpdir(), 'tortie-bfd-'));
  readonly #children: ChildProcess[] = [];
  readonly #cleanups: (() => void)[] = [];

  up(): void {
    for (const name of [this.ours, this.theirs]) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    ip('link', 'add', 'eth0', 'netns', this.ours, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.theirs);
    for (const [index, name] of [this.ours, this.theirs].entries()) {
      ip('-n', name, 'addr', 'add', `10.99.0.${index + 1}/24`, 'dev', 'eth0');
      ip('-n', name, 'addr', 'add', `fd99::${index + 1}/64`, 'dev', 'eth0', 'nodad');
      ip('-n', name, 'link', 'set', 'eth0', 'up');
    }
  }

  /** Runs a program to its end in the far namespace. */
  there(file: string, ...args: readonly string[]): string {
    return run('ip', 'netns', 'exec', this.theirs, file, ...args);
  }

  here(file: string, ...args: readonly string[]): string {
    return run('ip', 'netns', 'exec', this.ours, file, ...args);
  }

  spawn(namespace: string, file: string, ...args: readonly string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', namespace, file, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.push(child);
    return child;
  }

  speaker(): BfdNode {
    return new BfdNode(
      this.spawn(this.ours, process.execPath, fileURLToPath(new URL('./bfd-node.js', import.meta.url))),
    );
  }

  bird(config: string): { readonly process: ChildProcess; readonly show: () => string } {
    const [file, socket] = [join(this.folder, 'bird.conf'), join(this.folder, 'bird.ctl')];
    writeFileSync(file, config);
    const process = this.spawn(
      this.theirs,
      'bird',
      '-f',
      '-c',
      file,
      '-s',
      socket,
      '-P',
      join(this.folder, 'bird.pid'),
    );
    return { process, show: () => tryRun('birdc', '-s', socket, 'show', 'bfd', 'sessions') };
  }

  /** zebra and bfdd in a path space of their own. */
  frr(config: string): { readonly show: () => string; readonly counters: () => string } {
    const space = `tbfd${process.pid}`;
    for (const folder of [`/etc/frr/${space}`, `/var/run/frr/${space}`]) {
      mkdirSync(folder, { recursive: true });
      const [uid = 0, gid = 0] = run('id', '-u', 'frr')
        .split('\n')
        .concat(run('id', '-g', 'frr'))
        .filter(Boolean)
        .map(Number);
      chownSync(folder, uid, gid);
      this.#cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    }
    const file = `/etc/frr/${space}/bfdd.conf`;
    writeFileSync(file, config, { mode: 0o644 });
    writeFileSync(`/etc/frr/${space}/zebra.conf`, '', { mode: 0o644 });
    this.spawn(this.theirs, '/usr/lib/frr/zebra', '-N', space, '-f', `/etc/frr/${space}/zebra.conf`);
    this.spawn(this.theirs, '/usr/lib/frr/bfdd', '-N', space, '-f', file);
    return {
      show: () => tryRun('vtysh', '-N', space, '-c', 'show bfd peers brief'),
      counters: () => tryRun('vtysh', '-N', space, '-c', 'show bfd peers counters'),
    };
  }

  /** Ends everything, also when `up` failed half-way. */
  down(): void {
    for (const child of this.#children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    for (const name of [this.ours, this.theirs]) {
      try {
        ip('netns', 'del', name);
      } catch (error) {
        if (!/No such file/.test(String((error as { readonly stderr?: unknown }).stderr))) throw error;
      }
    }
    for (const cleanup of this.#cleanups) cleanup();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Output of a command, or empty while the daemon is not there yet. */
function tryRun(file: string, ...args: readonly string[]): string {
  try {
    return run(file, ...args);
  } catch {
    return '';
  }
}

interface Answer {
  readonly event?: BfdEvent;
  readonly status?: readonly BfdStatus[];
  readonly descriptors?: number;
  readonly idle?: boolean;
}

/** bfd-node.ts from outside. */
export class BfdNode {
  readonly events: BfdEvent[] = [];
  #answers: (readonly BfdStatus[])[] = [];
  /** Open files of the process, as of the last answer. */
  descriptors = 0;
  #idle = 0;
  #rest = '';

  constructor(readonly process: ChildProcess) {
    process.stdout?.on('data', (chunk: Buffer) => {
      this.#rest += chunk.toString();
      const lines = this.#rest.split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#hear(JSON.parse(line) as Answer);
    });
  }

  #hear({ event, status, idle, descriptors }: Answer): void {
    if (descriptors !== undefined) this.descriptors = descriptors;
    if (event !== undefined) this.events.push(event);
    if (status !== undefined) this.#answers.push(status);
    if (idle === true) this.#idle++;
  }

  set(...sessions: readonly BfdSessionConfig[]): void {
    this.#tell({ set: sessions });
  }

  async busy(milliseconds: number): Promise<void> {
    const before = this.#idle;
    this.#tell({ busy: milliseconds });
    await eventually('the end of the load', () => (this.#idle > before ? true : undefined), milliseconds + 15_000);
  }

  async status(): Promise<readonly BfdStatus[]> {
    this.#answers = [];
    this.#tell({ status: true });
    return eventually('an answer', () => this.#answers[0]);
  }

  /** `ip netns exec` becomes the program it runs. */
  pid(): number {
    return this.process.pid ?? 0;
  }

  /** Kills the thread inside. */
  killThread(): void {
    this.#tell({ kill: true });
  }

  close(): void {
    this.#tell({ close: true });
  }

  /** All sessions are up. */
  async up(count: number): Promise<void> {
    await eventually(`${count} sessions up`, async () => {
      const status = await this.status();
      return status.length === count && status.every(({ state }) => state === 'up') ? true : undefined;
    });
  }

  downs(): BfdEvent[] {
    return this.events.filter((event) => event.type === 'state-changed' && event.to === 'down');
  }

  #tell(command: unknown): void {
    this.process.stdin?.write(`${JSON.stringify(command)}\n`);
  }
}
