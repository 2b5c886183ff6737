/** Our daemon, as users run it: a process in a namespace, told and asked over its socket. */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SpeakerConfig } from 'node-bgp/config';
import type { PeerDetail } from 'node-bgp/speaker/view';
import { requestOverUnixSocket } from '../../../src/unix-http.js';
import type { RouteJson } from '../../../src/bgpd/route-view.js';
import { end, eventually, type Namespace } from './namespace.js';

const CLI = new URL('../../../src/cli.js', import.meta.url).pathname;

export class BgpdProcess {
  private child: ChildProcess | undefined;

  constructor(
    private readonly namespace: Namespace,
    readonly directory: string,
  ) {
    mkdirSync(directory, { recursive: true });
  }

  get logFile(): string {
    return join(this.directory, 'bgpd.log');
  }
  get log(): string {
    return readFileSync(this.logFile, 'utf8');
  }
  private get socket(): string {
    return join(this.directory, 'bgpd.sock');
  }

  async start(): Promise<void> {
    this.child = this.namespace.daemon(this.logFile, [
      process.execPath,
      CLI,
      'bgpd',
      '--run-dir',
      this.directory,
      '--state-dir',
      join(this.directory, 'state'),
      '--log-format',
      'text',
    ]);
    await eventually(
      'bgpd answers',
      async () => (await this.tryAsk('GET', '/v1/status')) !== undefined,
      () => this.log,
    );
  }

  /** These tests are not about policy: sessions without filters carry everything, unless a configuration says otherwise (RFC 8212). */
  async configure(config: SpeakerConfig): Promise<unknown> {
    return await this.ask('PUT', '/v1/config', { requirePolicy: false, ...config });
  }

  async kill(): Promise<void> {
    if (this.child !== undefined) await end(this.child, 'SIGKILL');
  }

  async stop(): Promise<void> {
    if (this.child !== undefined) await end(this.child, 'SIGTERM');
  }

  async neighbor(name: string): Promise<PeerDetail> {
    return (await this.ask('GET', `/v1/neighbors/${encodeURIComponent(name)}`)) as PeerDetail;
  }

  async routes(query: string): Promise<readonly RouteJson[]> {
    return ((await this.ask('GET', `/v1/routes?${query}`)) as { readonly routes: readonly RouteJson[] }).routes;
  }

  async clear(peer: string, soft: boolean): Promise<void> {
    await this.ask('POST', '/v1/clear', { peer, soft });
  }

  async isEstablished(name: string): Promise<boolean> {
    return (
      ((await this.tryAsk('GET', `/v1/neighbors/${encodeURIComponent(name)}`)) as PeerDetail | undefined)
        ?.isEstablished ?? false
    );
  }

  async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await requestOverUnixSocket(this.socket, method, path, body);
    if (answer.status !== 200) throw new Error(`bgpd answers ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  private async tryAsk(method: string, path: string): Promise<unknown> {
    try {
      return await this.ask(method, path);
    } catch {
      return undefined; // not up yet: the caller asks again
    }
  }
}
