/** HTTP servers that come and go with what they are for; a port that somebody else has is tried again and told. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { messageOf } from '../../errors.js';

const RETRY = 5_000;

export interface ListenAddress {
  /** Undefined: all addresses of both families. */
  readonly host?: string;
  readonly port: number;
}

export class Listener {
  private server: Server | undefined;
  private retry: NodeJS.Timeout | undefined;
  private isClosed = false;
  /** Why it does not listen; undefined when it does. */
  problem: string | undefined;

  constructor(
    private readonly what: string,
    readonly address: ListenAddress,
    private readonly handle: RequestListener,
    private readonly onHealth: () => void,
  ) {
    this.listen();
  }

  /** Where it listens, once it does; for tests that asked for port 0. */
  get port(): number | undefined {
    const bound = this.server?.address();
    return typeof bound === 'object' ? bound?.port : undefined;
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.retry);
    this.server?.closeAllConnections();
    this.server?.close();
  }

  private listen(): void {
    const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, this.handle);
    // BOUNDED: answers are short, and whoever asks is a load balancer or a scraper.
    server.maxConnections = 256;
    server.unref();
    server.on('error', (error) => this.failed(server, error));
    server.once('listening', () => this.tell(undefined));
    server.listen({ port: this.address.port, ...(this.address.host === undefined ? {} : { host: this.address.host }) });
    this.server = server;
  }

  private failed(server: Server, error: unknown): void {
    server.close();
    if (this.isClosed) return;
    const { host, port } = this.address;
    this.tell(`Cannot answer ${this.what} on ${host === undefined ? '' : `${host} `}port ${port}: ${messageOf(error)}`);
    this.retry = setTimeout(() => this.listen(), RETRY).unref();
  }

  private tell(problem: string | undefined): void {
    if (problem === this.problem) return;
    this.problem = problem;
    this.onHealth();
  }
}
