/**
 * UDP for BFD: listeners that the kernel lets hear only packets of TTL 255, and senders with TTL 255 and a source port of their
 * own (RFC 5881 sections 4 and 5). Linux only.
 *
 * A listener is read by Node's event loop, and by `drain` at once: whoever is about to judge a silence wants all that has arrived.
 *
 * Kernel interfaces: ip(7), ipv6(7); native/libc.ts declares the calls.
 */
import { createSocket } from 'node:dgram';
import { constants as osConstants } from 'node:os';
import { Port } from '../iana.js';
import {
  hopLimitFilter,
  IP_TOS,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  MSG_DONTWAIT,
  NETWORK_CONTROL,
  SO_RCVBUF,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from '../native/libc.js';
import { noWay } from '../transport/no-way.js';
import { AF_INET, AF_INET6, decodeSockaddr, encodeSockaddr } from '../transport/sockaddr.js';
import type { Libc } from './libc.js';

const BFD_TTL = 255;
/** RFC 5881 section 4. */
const FIRST_SOURCE_PORT = 49152;
const SOURCE_PORTS = 65536 - FIRST_SOURCE_PORT;
const RECEIVE_BUFFER = 1 << 20;
/** BOUNDED: a receive buffer holds fewer; a flood must not keep the timers from running. */
const MOST_DRAINED = 4096;
/** A control packet with the longest authentication section is far below. */
const LONGEST_PACKET = 256;

/** One packet socket to send from. */
export interface BfdSender {
  /** It outlives the thread that opened it, unless it is closed. */
  readonly descriptor: number;
  /** Sends to the session's peer; an answer is why not. */
  send(packet: Uint8Array): string | undefined;
  close(): void;
}

export interface BfdListener {
  /** Reads everything that has arrived, now. */
  drain(): void;
  close(): void;
}

export class BfdUdp {
  readonly #libc: Libc;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /**
   * Hears everything of one family on a port; single-hop packets of another TTL than 255 do not even reach us. Rejects when the port
   * is taken.
   */
  async listen(
    family: 4 | 6,
    multihop: boolean,
    onPacket: (bytes: Uint8Array, from: string) => void,
    onError: (error: Error) => void,
  ): Promise<BfdListener> {
    const fd = this.#open(family);
    try {
      this.#libc.set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
      if (!multihop) this.#requireTtl(fd, family);
      this.#bind(fd, family === 4 ? '0.0.0.0' : '::', multihop ? Port.bfdMultihop : Port.bfdControl, 0);
    } catch (error) {
      this.#libc.calls.close(fd);
      throw error;
    }
    const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
    socket.on('message', (bytes, { address }) => onPacket(bytes, address));
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ fd }, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    // Node closes the descriptor with the socket; its number may then be another's.
    let isOpen = true;
    socket.on('close', () => {
      isOpen = false;
    });
    socket.on('error', onError);
    return {
      drain: () => {
        if (isOpen) this.#drain(fd, onPacket);
      },
      close: () => {
        if (isOpen) socket.close();
        isOpen = false;
      },
    };
  }

  /** A socket with TTL 255 and a free port of the range; throws when there is none or the local address is not ours. */
  connect(peer: string, localAddress: string | undefined, multihop: boolean): BfdSender {
    const [address = '', zone] = peer.split('%');
    const family = address.includes(':') ? 6 : 4;
    const scopeId = zone === undefined ? 0 : this.#libc.interfaceIndex(zone);
    const fd = this.#open(family);
    try {
      this.#libc.set(fd, family === 4 ? IPPROTO_IP : IPPROTO_IPV6, family === 4 ? IP_TTL : IPV6_UNICAST_HOPS, BFD_TTL);
      this.#libc.set(
        fd,
        family === 4 ? IPPROTO_IP : IPPROTO_IPV6,
        family === 4 ? IP_TOS : IPV6_TCLASS,
        NETWORK_CONTROL,
      );
      this.#bindSource(fd, localAddress?.split('%')[0] ?? (family === 4 ? '0.0.0.0' : '::'), scopeId);
    } catch (error) {
      this.#libc.calls.close(fd);
      throw error;
    }
    const target = encodeSockaddr(address, multihop ? Port.bfdMultihop : Port.bfdControl, { scopeId });
    return {
      descriptor: fd,
      send: (packet) =>
        this.#libc.calls.sendto(fd, packet, packet.length, MSG_DONTWAIT, target, target.length) < 0
          ? this.#sendError(peer, localAddress)
          : undefined,
      close: () => void this.#libc.calls.close(fd),
    };
  }

  #sendError(peer: string, localAddress: string | undefined): string {
    const code = this.#libc.errorName();
    return noWay(code, peer, localAddress) ?? code;
  }

  #drain(fd: number, onPacket: (bytes: Uint8Array, from: string) => void): void {
    const [packet, sender, senderLength] = [new Uint8Array(LONGEST_PACKET), new Uint8Array(28), new Uint32Array(1)];
    for (let count = 0; count < MOST_DRAINED; count++) {
      senderLength[0] = sender.length;
      const length = this.#libc.calls.recvfrom(fd, packet, packet.length, MSG_DONTWAIT, sender, senderLength);
      // EAGAIN: that was all. Any other error comes back by the event loop, which tells it.
      if (length < 0) return;
      const { address, scopeId } = decodeSockaddr(sender);
      const zone = scopeId === 0 ? undefined : this.#libc.interfaceName(scopeId);
      onPacket(packet.slice(0, length), zone === undefined ? address : `${address}%${zone}`);
    }
  }

  #open(family: 4 | 6): number {
    const fd = this.#libc.calls.socket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) throw this.#libc.error('make a UDP socket');
    if (family === 6) this.#libc.set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    return fd;
  }

  /** Any port of the range: they must differ between sessions (RFC 5881 section 4), and some may be taken. */
  #bindSource(fd: number, address: string, scopeId: number): void {
    for (let attempt = 0; ; attempt++) {
      const port = FIRST_SOURCE_PORT + Math.floor(Math.random() * SOURCE_PORTS);
      const bytes = encodeSockaddr(address, port, { scopeId });
      if (this.#libc.calls.bind(fd, bytes, bytes.length) === 0) return;
      if (this.#libc.errno() !== osConstants.errno.EADDRINUSE || attempt === 100)
        throw this.#libc.error(`bind to ${address}`);
    }
  }

  #bind(fd: number, address: string, port: number, scopeId: number): void {
    const bytes = encodeSockaddr(address, port, { scopeId });
    if (this.#libc.calls.bind(fd, bytes, bytes.length) !== 0)
      throw this.#libc.error(`listen for BFD on ${address} port ${port}`);
  }

  /** GTSM for UDP, which knows no IP_MINTTL. */
  #requireTtl(fd: number, family: 4 | 6): void {
    this.#libc.filter(fd, hopLimitFilter(family, BFD_TTL));
  }
}
