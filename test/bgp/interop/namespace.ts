/** Network namespaces of one test run: named after the process, swept after it and after crashed ones. */
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, openSync, readdirSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PREFIX = 'tio';

export class Namespace {
  readonly name: string;
  private readonly children: ChildProcess[] = [];

  constructor(readonly role: string) {
    this.name = `${PREFIX}${process.pid}-${role}`;
    ip('netns', 'add', this.name);
    this.ip('link', 'set', 'lo', 'up');
    // Addresses are usable at once: nobody waits for duplicate detection.
    this.exec(
      'sysctl',
      '-qw',
      'net.ipv6.conf.all.accept_dad=0',
      'net.ipv6.conf.default.accept_dad=0',
      'net.ipv4.ip_forward=1',
      'net.ipv6.conf.all.forwarding=1',
    );
  }

  /** `ip` inside, synchronously. */
  ip(...argv: readonly string[]): string {
    return ip('-n', this.name, ...argv);
  }

  exec(...argv: readonly string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.name, ...argv], { encoding: 'utf8' });
  }

  /** Standard output of a command inside; empty if it fails. */
  async ask(...argv: readonly string[]): Promise<string> {
    try {
      return (await run('ip', ['netns', 'exec', this.name, ...argv], { maxBuffer: 64 * 1024 * 1024, timeout: 10_000 }))
        .stdout;
    } catch {
      return ''; // the daemon is not up yet, or has no answer: callers wait for one
    }
  }

  /** 300 echo requests 20 ms apart, longer where the machine is busy; what ping says of them in the end. */
  async traffic(from: string, to: string): Promise<string> {
    const ping = ['ping', '-n', '-q', '-i', '0.02', '-c', '300', '-W', '1', '-I', from, to];
    try {
      return (await run('ip', ['netns', 'exec', this.name, ...ping], { timeout: 60_000 })).stdout;
    } catch (error) {
      const { message, stdout } = error as Error & { readonly stdout: string };
      return `${message}\n${stdout}`;
    }
  }

  /** A daemon inside, its output in a file. */
  daemon(logFile: string, argv: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
    const log = openSync(logFile, 'a');
    const child = spawn('ip', ['netns', 'exec', this.name, ...argv], { stdio: ['ignore', log, log], env });
    this.children.push(child);
    return child;
  }

  async remove(): Promise<void> {
    await Promise.all(this.children.map((child) => end(child, 'SIGKILL')));
    // Daemons that have put themselves into the background.
    for (const pid of ip('netns', 'pids', this.name)
      .split('\n')
      .filter((line) => line !== ''))
      kill(Number(pid));
    ip('netns', 'del', this.name);
  }
}

/** A cable: names are unique per run because both ends start in the root namespace's list. */
export function cable(a: Namespace, aName: string, b: Namespace, bName: string): void {
  ip('link', 'add', aName, 'netns', a.name, 'type', 'veth', 'peer', 'name', bName, 'netns', b.name);
  a.ip('link', 'set', aName, 'up');
  b.ip('link', 'set', bName, 'up');
}

export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await gone;
}

/** Namespaces of runs whose process is gone. */
export function sweepOld(): void {
  for (const name of existsSync('/run/netns') ? readdirSync('/run/netns') : []) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    for (const child of ip('netns', 'pids', name)
      .split('\n')
      .filter((line) => line !== ''))
      kill(Number(child));
    ip('netns', 'del', name);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function ip(...argv: readonly string[]): string {
  return execFileSync('ip', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Waits until `check` holds; throws with what it last saw. */
export async function eventually(
  what: string,
  check: () => boolean | Promise<boolean>,
  detail: () => string | Promise<string> = () => '',
  timeout = 20_000,
): Promise<void> {
  const deadline = Date.now() + timeout;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`Not within ${timeout / 1000} s: ${what}\n${await detail()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
