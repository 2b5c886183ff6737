/**
 * UDP for BFD: listeners that the kernel lets hear only packets of TTL 255, and senders with TTL 255 and a source port of their
 * own (RFC 5881 sections 4 and 5). By FFI, because Node can neither filter nor send without its event loop. Linux only.
 *
 * Kernel interfaces: socket(7) SO_ATTACH_FILTER, ip(7), ipv6(7), linux/filter.h, setpriority(2).
 */
import { createSocket, type Socket } from 'node:dgram';
import { createRequire } from 'node:module';
import { constants as osConstants } from 'node:os';
import { Port } from '../iana.js';
import { AF_INET, AF_INET6, encodeSockaddr } from '../transport/sockaddr.js';

const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_ATTACH_FILTER = 26;
const IPPROTO_IP = 0;
const IP_TOS = 1;
const IP_TTL = 2;
const IPPROTO_IPV6 = 41;
const IPV6_UNICAST_HOPS = 16;
const IPV6_V6ONLY = 26;
const IPV6_TCLASS = 67;
const PRIO_PROCESS = 0;
/** Class selector 6, as for BGP. */
const NETWORK_CONTROL = 0xc0;
const BFD_TTL = 255;
/** RFC 5881 section 4. */
const FIRST_SOURCE_PORT = 49152;
const SOURCE_PORTS = 65536 - FIRST_SOURCE_PORT;
const RECEIVE_BUFFER = 1 << 20;

interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, length: number): number;
  attachFilter(fd: number, level: number, option: number, program: { readonly len: number; readonly filter: Uint8Array }, length: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  sendto(fd: number, bytes: Uint8Array, length: number, flags: number, address: Uint8Array, addressLength: number): number;
  close(fd: number): number;
  ifNameToIndex(name: string): number;
  setpriority(which: number, who: number, priority: number): number;
  errno(): number;
}

/** Loads the system calls; throws with a sentence where they are not to be had. */
function loadLibc(): Libc {
  if (process.platform !== 'linux') throw new Error(`Cannot run BFD: it needs Linux, and the platform is ${process.platform}`);
  const koffi = loadKoffi();
  const libc = koffi.load(null);
  koffi.struct('tortie_sock_fprog', { len: 'uint16_t', filter: 'const uint8_t *' });
  return {
    socket: libc.func('int socket(int, int, int)') as Libc['socket'],
    setsockopt: libc.func('int setsockopt(int, int, int, const uint8_t *, uint32_t)') as Libc['setsockopt'],
    attachFilter: libc.func('int setsockopt(int, int, int, const tortie_sock_fprog *, uint32_t)') as Libc['attachFilter'],
    bind: libc.func('int bind(int, const uint8_t *, uint32_t)') as Libc['bind'],
    sendto: libc.func('intptr_t sendto(int, const uint8_t *, size_t, int, const uint8_t *, uint32_t)') as Libc['sendto'],
    close: libc.func('int close(int)') as Libc['close'],
    ifNameToIndex: libc.func('unsigned int if_nametoindex(const char *)') as Libc['ifNameToIndex'],
    setpriority: libc.func('int setpriority(int, uint32_t, int)') as Libc['setpriority'],
    errno: () => koffi.errno(),
  };
}

function loadKoffi(): typeof import('koffi') {
  try {
    return createRequire(import.meta.url)('koffi') as typeof import('koffi');
  } catch (error) {
    throw new Error(`Cannot run BFD: it needs the package "koffi": ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** One packet socket to send from. */
export interface BfdSender {
  /** Sends to the session's peer; an answer is why not. */
  send(packet: Uint8Array): string | undefined;
  close(): void;
}

export class BfdUdp {
  readonly #libc = loadLibc();

  /**
   * Puts this thread (not the process) in front of others, so that its timers hold under load. Without the privilege it stays
   * where it is, which costs precision only.
   */
  raisePriority(): boolean {
    return this.#libc.setpriority(PRIO_PROCESS, 0, -20) === 0;
  }

  /**
   * Hears everything of one family on a port; single-hop packets of another TTL than 255 do not even reach us. Rejects when the port
   * is taken.
   */
  async listen(family: 4 | 6, multihop: boolean, onPacket: (bytes: Uint8Array, from: string) => void): Promise<Socket> {
    const fd = this.#open(family);
    try {
      this.#set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
      if (!multihop) this.#requireTtl(fd, family);
      this.#bind(fd, family === 4 ? '0.0.0.0' : '::', multihop ? Port.bfdMultihop : Port.bfdControl, 0);
    } catch (error) {
      this.#libc.close(fd);
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
    return socket;
  }

  /** A socket with TTL 255 and a free port of the range; throws when there is none or the local address is not ours. */
  connect(peer: string, localAddress: string | undefined, multihop: boolean): BfdSender {
    const [address = '', zone] = peer.split('%');
    const family = address.includes(':') ? 6 : 4;
    const scopeId = zone === undefined ? 0 : this.#interfaceIndex(zone);
    const fd = this.#open(family);
    try {
      this.#set(fd, family === 4 ? IPPROTO_IP : IPPROTO_IPV6, family === 4 ? IP_TTL : IPV6_UNICAST_HOPS, BFD_TTL);
      this.#set(fd, family === 4 ? IPPROTO_IP : IPPROTO_IPV6, family === 4 ? IP_TOS : IPV6_TCLASS, NETWORK_CONTROL);
      this.#bindSource(fd, localAddress?.split('%')[0] ?? (family === 4 ? '0.0.0.0' : '::'), scopeId);
    } catch (error) {
      this.#libc.close(fd);
      throw error;
    }
    const target = encodeSockaddr(address, multihop ? Port.bfdMultihop : Port.bfdControl, { scopeId });
    return {
      send: (packet) => (this.#libc.sendto(fd, packet, packet.length, MSG_DONTWAIT, target, target.length) < 0 ? this.#errorName() : undefined),
      close: () => void this.#libc.close(fd),
    };
  }

  #open(family: 4 | 6): number {
    const fd = this.#libc.socket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) throw this.#error('make a UDP socket');
    if (family === 6) this.#set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    return fd;
  }

  /** Any port of the range: they must differ between sessions (RFC 5881 section 4), and some may be taken. */
  #bindSource(fd: number, address: string, scopeId: number): void {
    for (let attempt = 0; ; attempt++) {
      const port = FIRST_SOURCE_PORT + Math.floor(Math.random() * SOURCE_PORTS);
      const bytes = encodeSockaddr(address, port, { scopeId });
      if (this.#libc.bind(fd, bytes, bytes.length) === 0) return;
      if (this.#libc.errno() !== osConstants.errno.EADDRINUSE || attempt === 100) throw this.#error(`bind to ${address}`);
    }
  }

  #bind(fd: number, address: string, port: number, scopeId: number): void {
    const bytes = encodeSockaddr(address, port, { scopeId });
    if (this.#libc.bind(fd, bytes, bytes.length) !== 0) throw this.#error(`listen for BFD on ${address} port ${port}`);
  }

  /**
   * GTSM for UDP, which knows no IP_MINTTL: a classic BPF program reads the TTL (IPv4, octet 8 of the header) or Hop Limit (IPv6,
   * octet 7) and drops all but 255.
   */
  #requireTtl(fd: number, family: 4 | 6): void {
    const networkHeader = 0xfff00000; // SKF_NET_OFF
    const program: readonly (readonly [code: number, jt: number, jf: number, k: number])[] = [
      [0x30, 0, 0, networkHeader + (family === 4 ? 8 : 7)], // ldb [ttl]
      [0x15, 0, 1, BFD_TTL], // jeq #255, next, drop
      [0x06, 0, 0, 0xffff], // ret: all of it
      [0x06, 0, 0, 0], // ret: drop
    ];
    const filter = new Uint8Array(8 * program.length);
    const view = new DataView(filter.buffer);
    for (const [index, [code, jt, jf, k]] of program.entries()) {
      view.setUint16(8 * index, code, true);
      view.setUint8(8 * index + 2, jt);
      view.setUint8(8 * index + 3, jf);
      view.setUint32(8 * index + 4, k, true);
    }
    // struct sock_fprog: a two-octet count, padding, a pointer.
    if (this.#libc.attachFilter(fd, SOL_SOCKET, SO_ATTACH_FILTER, { len: program.length, filter }, 16) !== 0) throw this.#error('attach the TTL filter of BFD');
  }

  #interfaceIndex(name: string): number {
    const index = this.#libc.ifNameToIndex(name);
    if (index === 0) throw new Error(`Cannot send BFD through interface "${name}": it does not exist`);
    return index;
  }

  #set(fd: number, level: number, option: number, value: number): void {
    if (this.#libc.setsockopt(fd, level, option, new Uint8Array(new Int32Array([value]).buffer), 4) !== 0) throw this.#error(`set socket option ${level}/${option}`);
  }

  #error(what: string): Error {
    return new Error(`Cannot ${what}: ${this.#errorName()}`);
  }

  #errorName(): string {
    const errno = this.#libc.errno();
    return Object.entries(osConstants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
  }
}
