/**
 * What finding neighbours needs of the world, as a port: a socket per interface that carries Router Solicitations and Advertisements.
 * icmpv6-socket.ts is the real one; tests have theirs.
 */
import type { IpAddress } from '../address.js';

export interface RouterSocket {
  /**
   * To all routers (ff02::2), all nodes (ff02::1), or one neighbour. An answer is the errno name of what went wrong: EADDRNOTAVAIL
   * means that our own link-local address is not usable yet.
   */
  send(bytes: Uint8Array, to: 'all-routers' | 'all-nodes' | IpAddress): string | undefined;
  /** The interface's own link-layer address; empty where there is none. */
  readonly linkLayer: Uint8Array;
  close(): void;
}

export interface RouterSocketEvents {
  /** An ICMPv6 message with hop limit 255 and a good checksum, valid during the call. `from` is the source address. */
  onMessage(bytes: Uint8Array, from: IpAddress): void;
  /** The socket is of no use any more; it is closed already. */
  onFailure(reason: string): void;
}

/** Throws DiscoveryError. */
export type OpenRouterSocket = (interfaceName: string, events: RouterSocketEvents) => RouterSocket;

/** The environment does not let us listen on an interface; the message says what to do about it. */
export class DiscoveryError extends Error {
  override readonly name = 'DiscoveryError';
}
