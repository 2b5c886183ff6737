/**
 * One long-running process of the lab, kept alive as systemd would keep it: started, restarted after a short pause when it
 * ends by itself, ended with SIGTERM and, when that does not help, SIGKILL.
 *
 * Output goes straight to a log file that the child itself has open, so a supervisor that dies takes no log line with it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';

export interface DaemonSpec {
  /** "node1 agent"; unique in the lab. */
  readonly name: string;
  readonly argv: readonly string[];
  /** Run inside this network namespace; absent: the machine's own. */
  readonly netns?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Another process's socket, without which this one cannot start. */
  readonly after?: string;
}

export interface DaemonStatus {
  readonly name: string;
  readonly pid: number | undefined;
  readonly restarts: number;
  /** How it ended last; absent while it has never ended. */
  readonly lastExit?: string;
}

const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;
/** After so long it counts as healthy and the pause starts small again. */
const HEALTHY_AFTER = 10_000;
const LOOK_AGAIN_AFTER = 50;
const KILL_AFTER = 5_000;

export class Daemon {
  private child: ChildProcess | undefined;
  private timer: NodeJS.Timeout | undefined;
  private pause = FIRST_PAUSE;
  private startedAt = 0;
  private restarts = 0;
  private lastExit: string | undefined;
  private isWanted = false;

  constructor(
    readonly spec: DaemonSpec,
    private readonly logDirectory: string,
    private readonly onExit: (daemon: Daemon, how: string) => void,
  ) {}

  get status(): DaemonStatus {
    return {
      name: this.spec.name,
      pid: this.child?.pid,
      restarts: this.restarts,
      ...(this.lastExit === undefined ? {} : { lastExit: this.lastExit }),
    };
  }

  start(): void {
    this.isWanted = true;
    if (this.child === undefined && this.timer === undefined) this.spawn();
  }

  /** Sends a signal, as kill(1) would; false when the process is not running. */
  signal(signal: NodeJS.Signals): boolean {
    return this.child?.kill(signal) ?? false;
  }

  /** Ends it for good; settles when it is gone. */
  async stop(): Promise<void> {
    this.isWanted = false;
    clearTimeout(this.timer);
    this.timer = undefined;
    const child = this.child;
    if (child === undefined) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER);
      child.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      child.kill('SIGTERM');
    });
  }

  private spawn(): void {
    const { argv, netns, env, name, after } = this.spec;
    if (after !== undefined && !existsSync(after)) {
      this.timer = setTimeout(() => this.resume(), LOOK_AGAIN_AFTER);
      return;
    }
    const [program, ...args] = netns === undefined ? argv : ['ip', 'netns', 'exec', netns, ...argv];
    if (program === undefined) throw new Error(`Cannot start "${name}": its command is empty`);
    const log = openSync(join(this.logDirectory, `${name.replaceAll(' ', '-')}.log`), 'a', 0o600);
    try {
      this.child = spawn(program, args, { stdio: ['ignore', log, log], env: { ...process.env, ...env } });
    } finally {
      closeSync(log);
    }
    this.startedAt = performance.now();
    this.child.once('error', (error) => this.ended(`cannot start: ${error.message}`));
    this.child.once('exit', (code, signal) => this.ended(signal === null ? `exit code ${code}` : `signal ${signal}`));
  }

  private resume(): void {
    this.timer = undefined;
    this.spawn();
  }

  private ended(how: string): void {
    if (this.child === undefined) return;
    this.child = undefined;
    this.lastExit = how;
    if (!this.isWanted) return;
    this.onExit(this, how);
    if (performance.now() - this.startedAt > HEALTHY_AFTER) this.pause = FIRST_PAUSE;
    this.timer = setTimeout(() => {
      this.restarts += 1;
      this.resume();
    }, this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }
}
