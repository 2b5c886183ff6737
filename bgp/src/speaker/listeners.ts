/**
 * The sockets on which a speaker accepts: opened, closed and given their TCP-MD5 keys to match a wanted set. One that cannot be
 * opened is tried again every few seconds; the others work meanwhile.
 */
import { bitsOf, formatAddress } from '../address.js';
import type { DynamicPeersConfig, ListenConfig } from '../config.js';
import type { Clock } from '../session/clock.js';
import {
  TransportError,
  type Connection,
  type Listener,
  type PeerKey,
  type Transport,
} from '../transport/transport.js';
import type { PeerSettings } from './peer-settings.js';

const RETRY = 5000;

export interface ListenFailure {
  readonly address: string;
  readonly port: number;
  readonly reason: string;
}

export interface ListenersOwner {
  readonly transport: Transport;
  readonly clock: Clock;
  accept(connection: Connection): void;
  listening(address: string, port: number): void;
  listenFailed(failure: ListenFailure): void;
}

interface Socket {
  readonly wanted: Required<ListenConfig>;
  listener: Listener | undefined;
  failure: string | undefined;
}

/** RFC 4271 section 8: port 179; both families. */
const EVERYWHERE: readonly ListenConfig[] = [{ address: '0.0.0.0' }, { address: '::' }];

/** TCP-MD5 keys of all who have one. A peer whose address is not known yet gets its key with the address. */
export function keysOf(settings: Iterable<PeerSettings>, ranges: readonly DynamicPeersConfig[]): readonly PeerKey[] {
  const peers = [...settings].flatMap(({ address, password }) =>
    password === undefined || address === undefined
      ? []
      : [{ address: formatAddress(address), length: bitsOf(address.family), password }],
  );
  return [
    ...peers,
    ...ranges.flatMap(({ range, password }) =>
      password === undefined
        ? []
        : [{ address: range.split('/')[0] ?? '', length: Number(range.split('/')[1]), password }],
    ),
  ];
}

export class Listeners {
  private readonly sockets = new Map<string, Socket>();
  private keys: readonly PeerKey[] = [];
  private retry: { cancel(): void } | undefined;
  private isStopped = false;

  constructor(private readonly owner: ListenersOwner) {}

  get endpoints(): readonly { readonly address: string; readonly port: number }[] {
    return [...this.sockets.values()].flatMap(({ listener }) => (listener === undefined ? [] : [listener.endpoint]));
  }

  get failures(): readonly ListenFailure[] {
    return [...this.sockets.values()].flatMap(({ wanted, failure }) =>
      failure === undefined ? [] : [{ ...wanted, reason: failure }],
    );
  }

  /** Makes it so; resolves when every socket has been tried once. Keys are in the kernel before anybody can connect with them. */
  async configure(listen: readonly ListenConfig[] | undefined, keys: readonly PeerKey[]): Promise<void> {
    const wanted = new Map(
      (listen ?? EVERYWHERE).map(({ address, port = 179 }) => [`${address} ${port}`, { address, port }]),
    );
    for (const [key, socket] of this.sockets)
      if (!wanted.has(key)) {
        this.sockets.delete(key);
        await socket.listener?.close();
      }
    for (const [key, endpoint] of wanted)
      if (!this.sockets.has(key)) this.sockets.set(key, { wanted: endpoint, listener: undefined, failure: undefined });
    this.setKeys(keys);
    await this.openMissing(listen === undefined);
  }

  /** The whole set, at once. */
  setKeys(keys: readonly PeerKey[]): void {
    this.keys = keys;
    for (const socket of this.sockets.values()) if (socket.listener !== undefined) this.applyKeys(socket);
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.retry?.cancel();
    const closing = [...this.sockets.values()].map(({ listener }) => listener?.close());
    this.sockets.clear();
    await Promise.all(closing);
  }

  /** `isDefault`: nobody asked for IPv6, so a system without it is no failure. */
  private async openMissing(isDefault: boolean): Promise<void> {
    this.retry?.cancel();
    for (const socket of [...this.sockets.values()])
      if (socket.listener === undefined) await this.open(socket, isDefault);
    if (this.failures.length > 0 && !this.isStopped)
      this.retry = this.owner.clock.after(RETRY, () => void this.openMissing(isDefault));
  }

  private async open(socket: Socket, isDefault: boolean): Promise<void> {
    const { wanted } = socket;
    try {
      const listener = await this.owner.transport.listen(wanted, (connection) => this.owner.accept(connection));
      if (this.isStopped || ![...this.sockets.values()].includes(socket)) return await listener.close();
      socket.listener = listener;
      socket.failure = undefined;
      this.applyKeys(socket);
      this.owner.listening(listener.endpoint.address, listener.endpoint.port);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      if (isDefault && wanted.address === '::' && error.code === 'EAFNOSUPPORT') {
        this.sockets.delete(`${wanted.address} ${wanted.port}`);
        return;
      }
      const isNews = socket.failure !== error.message;
      socket.failure = error.message;
      if (isNews) this.owner.listenFailed({ ...wanted, reason: error.message });
    }
  }

  private applyKeys(socket: Socket): void {
    try {
      socket.listener?.setKeys(this.keys);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      this.owner.listenFailed({ ...socket.wanted, reason: error.message });
    }
  }
}
