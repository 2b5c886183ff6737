/**
 * What sessions need of TCP, as an interface: one implementation over Node's `net` (tcp-transport.ts), one in memory for
 * tests. Nothing else of the library touches a socket of BGP.
 *
 * A failed attempt and a closed connection carry a sentence for people; what it means for the peer is the FSM's business.
 */

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** What the owner of a connection hears. Never called after `onClosed`. */
export interface ConnectionEvents {
  /** Bytes in the order sent. The buffer is the receiver's to keep. */
  onBytes(bytes: Uint8Array): void;
  /** Everything queued has gone to the kernel, after `write` had returned false. */
  onDrain(): void;
  /** Closed by the peer, the network or the kernel; not called for `end` and `destroy`. */
  onClosed(reason: string): void;
}

/** How far packets of this session may have travelled (RFC 5082), and how far ours may go. Absent: the kernel's default. */
export interface HopLimits {
  /** TTL of what we send: 1 for a direct neighbour, 255 with GTSM. */
  readonly ttl?: number;
  /** Least TTL that is taken: 255 - hops + 1. */
  readonly minTtl?: number;
}

export interface Connection {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Who dialled. */
  readonly direction: 'outgoing' | 'incoming';
  /** Bytes start to flow; called once. */
  open(events: ConnectionEvents): void;
  /** Queues buffers, which must not change afterwards. False: enough is queued, wait for `onDrain`. */
  write(buffers: readonly Uint8Array[]): boolean;
  /** Bytes the kernel has not taken yet. */
  readonly queuedBytes: number;
  /** Stops or goes on reading: back-pressure towards the peer. */
  setReading(on: boolean): void;
  /** Only for accepted connections, whose peer was not known when the socket was made. Throws what the kernel refuses. */
  setHopLimits(limits: HopLimits): void;
  /** Exchanges the TCP-MD5 key of a living connection. */
  setPassword(password: string): void;
  /** Sends what is queued, then closes. A peer that does not read is cut off after a moment. */
  end(): void;
  /** Closes at once, dropping what is queued. */
  destroy(): void;
}

export interface ConnectTarget extends HopLimits {
  readonly remote: Endpoint;
  /** Source address; absent: the kernel's choice. */
  readonly localAddress?: string;
  readonly localPort?: number;
  /** Bind to this interface; needed for link-local addresses. */
  readonly interface?: string;
  readonly password?: string;
}

export type ConnectOutcome =
  | { readonly type: 'connected'; readonly connection: Connection }
  | { readonly type: 'failed'; readonly reason: string };

/** A TCP-MD5 key and the peers it is for; `length` 32 or 128 is one peer. */
export interface PeerKey {
  readonly address: string;
  readonly length: number;
  readonly password: string;
}

export interface Listener {
  /** Where it really listens: port 0 has become a number. */
  readonly endpoint: Endpoint;
  /** The whole set of keys; what is no longer in it is removed from the kernel. */
  setKeys(keys: readonly PeerKey[]): void;
  close(): Promise<void>;
}

export interface Transport {
  /** One attempt; `done` is called once, and never after `cancel`. */
  connect(target: ConnectTarget, done: (outcome: ConnectOutcome) => void): { cancel(): void };
  /** Rejects with a TransportError that says what to do about it. */
  listen(endpoint: Endpoint, accept: (connection: Connection) => void): Promise<Listener>;
}

/** A wrong TCP-MD5 key makes the kernel drop every segment in silence: all that a speaker can see is this. */
export function noAnswer(remote: Endpoint): string {
  return `No answer from peer ${remote.address} port ${remote.port}; if a password is set, check that both ends have the same`;
}

/** The environment refused something; `code` is the errno name, such as EADDRINUSE. */
export class TransportError extends Error {
  override readonly name = 'TransportError';

  constructor(
    message: string,
    readonly code: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
