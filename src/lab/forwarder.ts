/**
 * A node's management link: a port on 127.0.0.1 of the node's namespace whose connections the supervisor carries to the API
 * server from the machine's own namespace. Out of band on purpose, as a real rack's is: cutting every link of a node must
 * not cut it from its API server.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { listenInNamespace } from '../dataplane/netns.js';
import type { ServerAddress } from './node-kubeconfig.js';

export class Forwarder {
  private readonly server: Server;
  /** BOUNDED by the connections of one node's agent and whoever works on it. */
  private readonly sockets = new Set<Socket>();

  constructor(private readonly netns: string, private readonly port: number, private readonly target: ServerAddress) {
    this.server = createServer({ noDelay: true }, (inside) => this.carry(inside));
  }

  async start(): Promise<void> {
    const fd = listenInNamespace(`/run/netns/${this.netns}`, '127.0.0.1', this.port);
    await new Promise<void>((resolve, reject) => this.server.once('error', reject).listen({ fd }, resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  /** Either side's end or failure is the other's; the client's own error handling sees it as its server's. */
  private carry(inside: Socket): void {
    const outside = connect({ host: this.target.host, port: this.target.port, noDelay: true });
    for (const [socket, other] of [[inside, outside], [outside, inside]] as const) {
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
