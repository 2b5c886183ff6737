/** Real servers, redis-server and valkey-server, each in a directory and on a port of loopback of its own. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

const isInstalled = (program: string): boolean => spawnSync(program, ['--version']).status === 0;

/** Those that this machine has; redis-server is always there (scripts/run.mjs). */
export const SERVERS: readonly string[] = ['redis-server', ...['valkey-server'].filter(isInstalled)];

const PATIENCE = 30_000;

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export interface ServerOptions {
  readonly program?: string;
  readonly port?: number;
  /** Beside: no snapshots, append-only file with every write. */
  readonly args?: readonly string[];
  /** It wants TLS: whoever waits for it looks at its port alone. */
  readonly isSecure?: boolean;
  readonly password?: string;
}

export class RedisServer {
  private child: ChildProcess | undefined;
  private said = '';

  private constructor(
    readonly port: number,
    readonly directory: string,
    private readonly options: ServerOptions,
  ) {}

  static async start(options: ServerOptions = {}): Promise<RedisServer> {
    const directory = mkdtempSync(join(tmpdir(), 'tortie-redis-'));
    const server = new RedisServer(options.port ?? (await freePort()), directory, options);
    try {
      await server.run();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Again, on its port and with its files. */
  async run(): Promise<void> {
    const { program = 'redis-server', args = [], isSecure } = this.options;
    const argv = [
      ...(isSecure === true ? [] : ['--port', String(this.port)]),
      ...[
        '--bind',
        '127.0.0.1',
        '--dir',
        this.directory,
        '--save',
        '',
        '--appendonly',
        'yes',
        '--appendfsync',
        'always',
      ],
      ...['--daemonize', 'no', '--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'],
      ...args,
    ];
    const child = spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (this.said += String(chunk)));
    await this.answering();
  }

  /** A client for the test's own questions; closed by whoever asked for it. */
  client(): Redis {
    const { password } = this.options;
    const client = new Redis({
      port: this.port,
      host: '127.0.0.1',
      protocol: 2,
      maxRetriesPerRequest: 2,
      ...(password === undefined ? {} : { password }),
    });
    client.on('error', () => {});
    return client;
  }

  /** Without a word to anybody. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.child;
    this.child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise((resolve) => {
      child.once('exit', resolve);
      child.kill(signal);
      child.kill('SIGCONT');
    });
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }

  private async answering(): Promise<void> {
    const until = Date.now() + PATIENCE;
    for (;;) {
      if (this.child?.exitCode !== null) throw new Error(`the server ended: ${this.said.slice(-2000)}`);
      const isOpen = await new Promise<boolean>((resolve) => {
        const socket = connect(this.port, '127.0.0.1', () => {
          socket.destroy();
          resolve(true);
        });
        socket.on('error', () => resolve(false));
      });
      if (isOpen && /Ready to accept connections/.test(this.said)) return;
      if (Date.now() > until) throw new Error(`the server does not answer: ${this.said.slice(-2000)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
