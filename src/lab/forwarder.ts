/**
 * The management link: a port whose connections the supervisor carries to the API server. A node has one on 127.0.0.1 of
 * its own namespace; out of band on purpose, as a real rack's is, because cutting every link of a node must not cut it from
 * its API server. The embedded server's own front on the machine is one too.
 *
 * `open` and `sever` may alternate: a severed link refuses connections, as if the API server were down, and loses nothing.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { listenInNamespace } from '../dataplane/netns.js';

/** Where the API server really is. */
export type Target =
  | { readonly type: 'tcp'; readonly host: string; readonly port: number }
  | { readonly type: 'unix'; readonly path: string };

const LOOPBACK = '127.0.0.1';

export class Forwarder {
  private server: Server | undefined;
  /** BOUNDED by the connections of one node's processes and whoever works there. */
  private readonly sockets = new Set<Socket>();

  /**
   * @param netns name of the namespace to listen in; undefined: the machine's own
   * @param port 0 takes a free one at the first `open` and keeps it
   */
  constructor(
    private readonly netns: string | undefined,
    private port: number,
    private readonly target: Target,
  ) {}

  /** Starts to listen; settles with the port. */
  async open(): Promise<number> {
    if (this.server !== undefined) return this.port;
    const server = createServer({ noDelay: true }, (inside) => this.carry(inside));
    const where =
      this.netns === undefined
        ? { host: LOOPBACK, port: this.port }
        : { fd: listenInNamespace(`/run/netns/${this.netns}`, LOOPBACK, this.port) };
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(where, resolve));
    this.server = server;
    if (this.netns === undefined) this.port = (server.address() as AddressInfo).port;
    return this.port;
  }

  /** Breaks what is connected and refuses what comes. */
  async sever(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    for (const socket of this.sockets) socket.destroy();
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** Either side's end or failure is the other's; the client's own error handling sees it as its server's. */
  private carry(inside: Socket): void {
    const { target } = this;
    const outside =
      target.type === 'unix'
        ? connect({ path: target.path })
        : connect({ host: target.host, port: target.port, noDelay: true });
    for (const [socket, other] of [
      [inside, outside],
      [outside, inside],
    ] as const) {
      this.sockets.add(socket);
      socket.once('error', () => other.destroy());
      socket.once('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }
}
