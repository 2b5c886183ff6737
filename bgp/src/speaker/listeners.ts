/**
 * The sockets on which a speaker accepts: opened, closed and given their TCP-MD5 keys to match a wanted set. One that cannot be
 * opened is tried again every few seconds; the others work meanwhile.
 *
 * New ones come before old ones go, so that a peer always finds us: one that is not wanted any more stays until a wanted one of its
 * family is open. Sessions are never touched: a connection that was accepted lives on without its listener.
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
  /** Open, but not wanted any more. */
  private outgoing: readonly Listener[] = [];
  private keys: readonly PeerKey[] = [];
  private retry: { cancel(): void } | undefined;
  private isStopped = false;

  constructor(private readonly owner: ListenersOwner) {}

  get endpoints(): readonly { readonly address: string; readonly port: number }[] {
    return this.open.map(({ endpoint }) => endpoint);
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
    for (const [key, { listener }] of [...this.sockets])
      if (!wanted.has(key)) {
        this.sockets.delete(key);
        if (listener !== undefined) this.outgoing = [...this.outgoing, listener];
      }
    for (const [key, endpoint] of wanted)
      if (!this.sockets.has(key))
        this.sockets.set(key, { wanted: endpoint, listener: this.takeBack(endpoint), failure: undefined });
    this.setKeys(keys);
    await this.openMissing(listen === undefined);
  }

  /** The whole set, at once. */
  setKeys(keys: readonly PeerKey[]): void {
    this.keys = keys;
    for (const listener of this.open) this.applyKeys(listener);
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.retry?.cancel();
    const closing = this.open.map((listener) => listener.close());
    this.sockets.clear();
    this.outgoing = [];
    await Promise.all(closing);
  }

  private get open(): readonly Listener[] {
    const wanted = [...this.sockets.values()].flatMap(({ listener }) => (listener === undefined ? [] : [listener]));
    return [...wanted, ...this.outgoing];
  }

  /** Wanted again before it was closed. */
  private takeBack({ address, port }: Required<ListenConfig>): Listener | undefined {
    const found = this.outgoing.find(({ endpoint }) => endpoint.address === address && endpoint.port === port);
    this.outgoing = this.outgoing.filter((listener) => listener !== found);
    return found;
  }

  /** `isDefault`: nobody asked for IPv6, so a system without it is no failure. */
  private async openMissing(isDefault: boolean): Promise<void> {
    this.retry?.cancel();
    for (const socket of [...this.sockets.values()])
      if (socket.listener === undefined) await this.tryToOpen(socket, isDefault);
    const isReplaced = (old: Listener): boolean => {
      const alike = [...this.sockets.values()].filter(({ wanted }) => isIpv6(wanted) === isIpv6(old.endpoint));
      return alike.length === 0 || alike.some(({ listener }) => listener !== undefined);
    };
    this.closeOld(isReplaced);
    if (this.failures.length > 0 && !this.isStopped)
      this.retry = this.owner.clock.after(RETRY, () => void this.openMissing(isDefault));
  }

  private closeOld(which: (listener: Listener) => boolean): void {
    const old = this.outgoing.filter(which);
    this.outgoing = this.outgoing.filter((listener) => !old.includes(listener));
    // Not awaited: the port is free at once, but the promise waits for the end of every connection that was accepted there.
    for (const listener of old) void listener.close();
  }

  private async tryToOpen(socket: Socket, isDefault: boolean): Promise<void> {
    const { wanted } = socket;
    try {
      const listener = await this.listen(wanted);
      if (this.isStopped || ![...this.sockets.values()].includes(socket)) return await listener.close();
      socket.listener = listener;
      socket.failure = undefined;
      this.applyKeys(listener);
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

  /** An old one of ours may be in the way: 10.0.0.1 port 179 cannot be taken while 0.0.0.0 port 179 is. */
  private async listen(wanted: Required<ListenConfig>): Promise<Listener> {
    const take = (): Promise<Listener> =>
      this.owner.transport.listen(wanted, (connection) => this.owner.accept(connection));
    const isInTheWay = ({ endpoint }: Listener): boolean =>
      endpoint.port === wanted.port && isIpv6(endpoint) === isIpv6(wanted);
    try {
      return await take();
    } catch (error) {
      const isTaken = error instanceof TransportError && error.code === 'EADDRINUSE';
      if (!isTaken || !this.outgoing.some(isInTheWay)) throw error;
      this.closeOld(isInTheWay);
      return await take();
    }
  }

  private applyKeys(listener: Listener): void {
    try {
      listener.setKeys(this.keys);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      this.owner.listenFailed({ ...listener.endpoint, reason: error.message });
    }
  }
}

const isIpv6 = ({ address }: { readonly address: string }): boolean => address.includes(':');
