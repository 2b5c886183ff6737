/** A network in memory: addresses, listeners, and pairs of connections whose bytes take one step of the clock. */
import type { Clock } from 'node-bgp/session/clock';
import {
  TransportError,
  type Connection,
  type ConnectionEvents,
  type ConnectOutcome,
  type ConnectTarget,
  type Endpoint,
  type Listener,
  type Transport,
} from 'node-bgp/transport/transport';

export class MemoryNetwork {
  private readonly listeners = new Map<string, (connection: Connection) => void>();
  private readonly lives = new Map<string, number>();
  readonly connections: MemoryConnection[] = [];
  /** Addresses that drop everything, as behind a wrong TCP-MD5 key. */
  readonly silent = new Set<string>();
  /** Milliseconds that a SYN or a segment takes; the order within a connection is kept. */
  latency: () => number = () => 0;
  private nextPort = 40_000;

  constructor(private readonly clock: Clock) {}

  /** The transport of a process at this address. */
  host(address: string): Transport {
    const life = this.lives.get(address) ?? 0;
    const isAlive = (): boolean => (this.lives.get(address) ?? 0) === life;
    return {
      connect: (target, done) => (isAlive() ? this.connect(address, target, done) : { cancel: () => undefined }),
      listen: (endpoint, accept) => this.listen(endpoint, accept),
    };
  }

  /** Connections that stand, each counted once. */
  get open(): number {
    return this.connections.filter((connection) => connection.isOpen && connection.direction === 'outgoing').length;
  }

  /** The process at this address is killed: its sockets close without a word of BGP. */
  kill(address: string): void {
    this.lives.set(address, (this.lives.get(address) ?? 0) + 1);
    for (const connection of this.connections) if (connection.local.address === address) connection.destroy();
    for (const key of [...this.listeners.keys()]) if (key.startsWith(`${address} `)) this.listeners.delete(key);
  }

  private listen(endpoint: Endpoint, accept: (connection: Connection) => void): Promise<Listener> {
    const key = `${endpoint.address} ${endpoint.port}`;
    if (this.listeners.has(key))
      return Promise.reject(
        new TransportError(
          `Cannot listen on ${endpoint.address} port ${endpoint.port}: the port is taken`,
          'EADDRINUSE',
        ),
      );
    this.listeners.set(key, accept);
    return Promise.resolve({
      endpoint,
      setKeys: () => undefined,
      close: () => {
        this.listeners.delete(key);
        return Promise.resolve();
      },
    });
  }

  private connect(from: string, target: ConnectTarget, done: (outcome: ConnectOutcome) => void): { cancel(): void } {
    const local = { address: target.localAddress ?? from, port: this.nextPort++ };
    let isCancelled = false;
    this.clock.after(this.latency(), () => {
      if (isCancelled || this.silent.has(target.remote.address) || this.silent.has(local.address)) return;
      const accept = this.listeners.get(`${target.remote.address} ${target.remote.port}`);
      if (accept === undefined)
        return done({
          type: 'failed',
          reason: `Peer ${target.remote.address} port ${target.remote.port} refuses connections`,
        });
      const ours = new MemoryConnection(this, this.clock, local, target.remote, 'outgoing');
      // Both ends of a link have the same name here; a link-local address comes with it, as from the kernel.
      const zone = target.interface === undefined ? '' : `%${target.interface}`;
      const theirs = new MemoryConnection(
        this,
        this.clock,
        target.remote,
        { address: `${local.address}${zone}`, port: local.port },
        'incoming',
      );
      ours.other = theirs;
      theirs.other = ours;
      this.connections.push(ours, theirs);
      done({ type: 'connected', connection: ours });
      accept(theirs);
    });
    return {
      cancel: () => {
        isCancelled = true;
      },
    };
  }
}

export class MemoryConnection implements Connection {
  other: MemoryConnection | undefined;
  isOpen = true;
  /** Set: the owner does not read, and bytes pile up at the sender. */
  isStalled = false;
  queuedBytes = 0;
  password: string | undefined;
  private events: ConnectionEvents | undefined;
  private early: Uint8Array[] = [];
  private arrivesAt = 0;

  constructor(
    private readonly network: MemoryNetwork,
    private readonly clock: Clock,
    readonly local: Endpoint,
    readonly remote: Endpoint,
    readonly direction: 'outgoing' | 'incoming',
  ) {}

  open(events: ConnectionEvents): void {
    this.events = events;
    for (const bytes of this.early.splice(0)) this.receive(bytes);
  }

  write(buffers: readonly Uint8Array[]): boolean {
    for (const bytes of buffers) {
      if (this.other?.isStalled === true) this.queuedBytes += bytes.length;
      else this.deliver(() => this.other?.receive(bytes));
    }
    return this.queuedBytes < 65_536;
  }

  receive(bytes: Uint8Array): void {
    if (!this.isOpen) return;
    if (this.events === undefined) this.early.push(bytes);
    else this.events.onBytes(bytes);
  }

  setReading(): void {}
  setHopLimits(): void {}
  setPassword(password: string): void {
    this.password = password;
  }
  end(): void {
    this.close();
  }
  destroy(): void {
    this.close();
  }

  private deliver(run: () => void): void {
    if (this.network.silent.has(this.local.address) || this.network.silent.has(this.remote.address)) return;
    this.arrivesAt = Math.max(this.arrivesAt, this.clock.now() + this.network.latency());
    this.clock.after(this.arrivesAt - this.clock.now(), run);
  }

  private close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.events = undefined;
    this.deliver(() => this.other?.closedByPeer());
  }

  private closedByPeer(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    const { events } = this;
    this.events = undefined;
    events?.onClosed('The peer closed the connection');
  }
}
