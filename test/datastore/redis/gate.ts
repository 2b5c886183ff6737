/** A way to a server on loopback that can be shut: connections end, and new ones are refused until it opens again. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class Gate {
  private readonly sockets = new Set<Socket>();
  private isShut = false;

  private constructor(
    readonly port: number,
    private readonly server: Server,
    private readonly target: number,
  ) {}

  static async to(target: number): Promise<Gate> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const gate = new Gate(address.port, server, target);
    server.on('connection', (socket) => gate.pass(socket));
    return gate;
  }

  shut(): void {
    this.isShut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  open(): void {
    this.isShut = false;
  }

  async close(): Promise<void> {
    this.shut();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private pass(from: Socket): void {
    if (this.isShut) {
      from.destroy();
      return;
    }
    const to = connect(this.target, '127.0.0.1');
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ] as const) {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }
}
