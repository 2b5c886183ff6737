/**
 * TCP over Node's `net`: the one file through which BGP's bytes enter and leave the process.
 *
 * A client socket is made by native-socket.ts where the system has it, because TTL, TCP-MD5 and the interface must be set
 * before the first SYN; elsewhere `net` makes it and only plain sessions work. Listeners take a backlog of 1024: with the
 * usual 8, a rack that reconnects at once loses SYNs and waits for their retransmission.
 */
import { connect as netConnect, createServer, Socket, type Server } from 'node:net';
import { type NativeSockets, nativeSockets } from './native-socket.js';
import { noWay } from './no-way.js';
import {
  noAnswer,
  TransportError,
  type Connection,
  type ConnectionEvents,
  type ConnectOutcome,
  type ConnectTarget,
  type Endpoint,
  type HopLimits,
  type Listener,
  type PeerKey,
  type Transport,
} from './transport.js';

const BACKLOG = 1024;
/** Above this `write` asks its caller to wait. */
const WRITE_HIGH_WATER_MARK = 256 * 1024;
/** How long `end` waits for a peer that does not read, and, once all is in the kernel, for the peer's own end. */
const LINGER = 2000;
const LAST_READS = 250;

export const tcpTransport: Transport = { connect, listen };

function connect(target: ConnectTarget, done: (outcome: ConnectOutcome) => void): { cancel(): void } {
  let socket: Socket;
  let fd: number | undefined;
  try {
    ({ socket, fd } = dial(target));
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    const reason = connectReason(target, error);
    const immediate = setImmediate(() => done({ type: 'failed', reason }));
    return { cancel: () => clearImmediate(immediate) };
  }
  let isOver = false;
  socket.once('connect', () => {
    isOver = true;
    socket.removeAllListeners('error');
    done({ type: 'connected', connection: new TcpConnection(socket, 'outgoing', fd) });
  });
  socket.once('error', (error: NodeJS.ErrnoException) => {
    if (isOver) return;
    isOver = true;
    socket.destroy();
    done({ type: 'failed', reason: connectReason(target, error) });
  });
  return {
    cancel: () => {
      if (isOver) return;
      isOver = true;
      socket.on('error', () => undefined); // the error of an attempt that nobody waits for any more
      socket.destroy();
    },
  };
}

function dial(target: ConnectTarget): { readonly socket: Socket; readonly fd: number | undefined } {
  const { address, port } = target.remote;
  const options = { highWaterMark: WRITE_HIGH_WATER_MARK };
  const native = nativeSockets();
  if (typeof native === 'string') {
    requireNothingNative(target, native);
    const socket = netConnect({
      ...options,
      host: address,
      port,
      localAddress: target.localAddress,
      localPort: target.localPort,
    });
    return { socket, fd: undefined };
  }
  const { localAddress, localPort } = target;
  const bind =
    localAddress === undefined && localPort === undefined
      ? undefined
      : { address: localAddress ?? (address.includes(':') ? '::' : '0.0.0.0'), port: localPort ?? 0 };
  const fd = native.open(address, { hopLimits: target, interface: target.interface, bind });
  try {
    if (target.password !== undefined)
      native.setKey(fd, { address, length: address.includes(':') ? 128 : 32, password: target.password });
  } catch (error) {
    native.close(fd);
    throw error;
  }
  const host = target.interface !== undefined && isLinkLocal(address) ? `${address}%${target.interface}` : address;
  const socket = new Socket({ fd, manualStart: true, ...options } as ConstructorParameters<typeof Socket>[0]);
  socket.connect({ host, port });
  return { socket, fd };
}

function requireNothingNative(target: ConnectTarget, why: string): void {
  const wanted =
    target.password !== undefined
      ? 'a TCP-MD5 password'
      : target.minTtl !== undefined
        ? 'TTL security'
        : target.interface !== undefined
          ? 'an interface'
          : undefined;
  if (wanted !== undefined)
    throw new TransportError(`Cannot use ${wanted} for peer ${target.remote.address}: ${why}`, 'ENOTSUP');
}

export const isLinkLocal = (address: string): boolean => /^fe[89ab][0-9a-f]:/i.test(address);

function connectReason(target: ConnectTarget, error: NodeJS.ErrnoException | TransportError): string {
  const where = `${target.remote.address} port ${target.remote.port}`;
  const zone = isLinkLocal(target.remote.address) && target.interface !== undefined ? `%${target.interface}` : '';
  // The same codes of bind(2) or setsockopt(2) say nothing of routes.
  const isOfConnect = 'syscall' in error && error.syscall === 'connect';
  const hindrance = isOfConnect
    ? noWay(error.code ?? '', `${target.remote.address}${zone}`, target.localAddress)
    : undefined;
  if (hindrance !== undefined) return `No route to peer ${where}: ${hindrance}`;
  switch (error.code) {
    case 'ECONNREFUSED':
      return `Peer ${where} refuses connections`;
    case 'ETIMEDOUT':
      return noAnswer(target.remote);
    case 'EADDRNOTAVAIL':
      return `Cannot connect to peer ${where}: local address ${target.localAddress ?? ''} is on no interface`;
    case 'EADDRINUSE':
      return `Cannot connect to peer ${where}: local port ${target.localPort ?? ''} is taken`;
    default:
      return `Cannot connect to peer ${where}: ${error.message}`;
  }
}

// ---- listening ---------------------------------------------------------------------------------------------------

async function listen(endpoint: Endpoint, accept: (connection: Connection) => void): Promise<Listener> {
  const native = nativeSockets();
  const server = createServer(
    { pauseOnConnect: true, noDelay: true, highWaterMark: WRITE_HIGH_WATER_MARK },
    (socket) => {
      if (socket.remoteAddress === undefined)
        socket.destroy(); // gone before we looked
      else accept(new TcpConnection(socket, 'incoming', descriptorOf(socket)));
    },
  );
  let fd: number | undefined;
  try {
    // Whose SYN it is is known only after the kernel has answered it: a peer with GTSM takes that answer with TTL 255
    // only (RFC 5082 section 3).
    if (typeof native !== 'string')
      fd = native.open(endpoint.address, { bind: endpoint, isListener: true, hopLimits: { ttl: 255 } });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(
        fd === undefined
          ? { host: endpoint.address, port: endpoint.port, backlog: BACKLOG, ipv6Only: true }
          : { fd, backlog: BACKLOG },
        () => {
          server.removeListener('error', reject);
          resolve();
        },
      );
    });
  } catch (error) {
    if (fd !== undefined && typeof native !== 'string' && !server.listening) native.close(fd);
    throw listenError(endpoint, error as NodeJS.ErrnoException);
  }
  return new TcpListener(server, endpoint, fd, native);
}

function listenError(endpoint: Endpoint, error: NodeJS.ErrnoException): TransportError {
  const where = `${endpoint.address} port ${endpoint.port}`;
  const code = error.code ?? 'EUNKNOWN';
  const sentence =
    code === 'EADDRINUSE'
      ? `Cannot listen on ${where}: the port is taken; another BGP daemon may be running`
      : code === 'EACCES' || code === 'EPERM'
        ? `Cannot listen on ${where}: ports below 1024 need root or CAP_NET_BIND_SERVICE`
        : code === 'EADDRNOTAVAIL'
          ? `Cannot listen on ${where}: the address is on no interface`
          : `Cannot listen on ${where}: ${error.message}`;
  return new TransportError(sentence, code, { cause: error });
}

class TcpListener implements Listener {
  readonly endpoint: Endpoint;
  private keys: readonly PeerKey[] = [];

  constructor(
    private readonly server: Server,
    endpoint: Endpoint,
    private readonly fd: number | undefined,
    private readonly native: NativeSockets | string,
  ) {
    const bound = server.address();
    this.endpoint =
      typeof bound === 'object' && bound !== null ? { address: endpoint.address, port: bound.port } : endpoint;
    // Running out of descriptors must not end the process: the peer tries again, and so does accept.
    server.on('error', () => undefined);
  }

  setKeys(keys: readonly PeerKey[]): void {
    const isIpv6 = this.endpoint.address.includes(':');
    const wanted = keys.filter((key) => key.address.includes(':') === isIpv6);
    if (wanted.length === 0 && this.keys.length === 0) return;
    if (typeof this.native === 'string' || this.fd === undefined)
      throw new TransportError(`Cannot use a TCP-MD5 password: ${String(this.native)}`, 'ENOTSUP');
    const same = (a: PeerKey, b: PeerKey): boolean => a.address === b.address && a.length === b.length;
    for (const old of this.keys)
      if (!wanted.some((key) => same(key, old))) this.native.setKey(this.fd, { ...old, password: '' });
    for (const key of wanted)
      if (!this.keys.some((old) => same(key, old) && old.password === key.password)) this.native.setKey(this.fd, key);
    this.keys = wanted;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
  }
}

// ---- connections -------------------------------------------------------------------------------------------------

/** libuv's descriptor of an accepted socket; `_handle` is not public, so its absence is dealt with. */
function descriptorOf(socket: Socket): number | undefined {
  const fd = (socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null })._handle?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

class TcpConnection implements Connection {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  private events: ConnectionEvents | undefined;

  constructor(
    private readonly socket: Socket,
    readonly direction: 'outgoing' | 'incoming',
    private readonly fd: number | undefined,
  ) {
    this.local = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 };
    this.remote = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    socket.setNoDelay(true);
    let failure: string | undefined;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failure = closeReason(error);
    });
    socket.on('close', () => this.report(failure ?? 'The connection was closed'));
    // The peer has finished sending. BGP has no half-open sessions.
    socket.on('end', () => {
      this.report('The peer closed the connection');
      socket.destroy();
    });
  }

  open(events: ConnectionEvents): void {
    this.events = events;
    this.socket.on('data', (bytes: Buffer) => this.events?.onBytes(bytes));
    this.socket.on('drain', () => this.events?.onDrain());
    this.socket.resume();
    if (this.socket.destroyed) setImmediate(() => this.report('The connection was closed'));
  }

  write(buffers: readonly Uint8Array[]): boolean {
    const { socket } = this;
    if (socket.destroyed) return true;
    if (buffers.length > 1) socket.cork(); // one writev for all
    let mayGoOn = true;
    for (const bytes of buffers) mayGoOn = socket.write(bytes);
    if (buffers.length > 1) socket.uncork();
    return mayGoOn;
  }

  get queuedBytes(): number {
    return this.socket.writableLength;
  }

  setReading(on: boolean): void {
    if (on) this.socket.resume();
    else this.socket.pause();
  }

  setHopLimits(limits: HopLimits): void {
    const native = nativeSockets();
    if (typeof native !== 'string' && this.fd !== undefined) native.setHopLimits(this.fd, this.local.address, limits);
    else if (limits.minTtl !== undefined)
      throw new TransportError(`Cannot use TTL security for peer ${this.remote.address}: ${String(native)}`, 'ENOTSUP');
  }

  setPassword(password: string): void {
    const native = nativeSockets();
    const address = this.remote.address.split('%')[0] ?? '';
    if (typeof native === 'string' || this.fd === undefined)
      throw new TransportError(`Cannot use a TCP-MD5 password: ${String(native)}`, 'ENOTSUP');
    native.setKey(this.fd, { address, length: address.includes(':') ? 128 : 32, password });
  }

  end(): void {
    this.events = undefined;
    this.socket.resume(); // or the peer's bytes would keep the FIN from being seen
    let timer = setTimeout(() => this.socket.destroy(), LINGER);
    // Not at once: closing while bytes of the peer are unread makes the kernel send a reset, which may overtake our last words.
    this.socket.end(() => {
      clearTimeout(timer);
      timer = setTimeout(() => this.socket.destroy(), LAST_READS);
    });
    this.socket.once('close', () => clearTimeout(timer));
  }

  destroy(): void {
    this.events = undefined;
    this.socket.destroy();
  }

  private report(reason: string): void {
    const { events } = this;
    this.events = undefined;
    events?.onClosed(reason);
  }
}

function closeReason(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ECONNRESET':
      return 'The peer reset the connection';
    case 'EPIPE':
      return 'The peer closed the connection';
    case 'ETIMEDOUT':
      return 'The connection timed out: the peer no longer acknowledges';
    default:
      return `The connection failed: ${error.message}`;
  }
}
