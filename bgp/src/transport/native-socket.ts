/**
 * The socket calls that Node lacks, by FFI (koffi): make a TCP socket, set options on it before it connects or listens,
 * hand its descriptor to `net`. Linux only; elsewhere, or without koffi, `nativeSockets()` says why not, and the transport
 * does without: only TCP-MD5, GTSM and binding to an interface are then refused.
 *
 * Kernel interfaces: ip(7), ipv6(7), tcp(7); TCP_MD5SIG in linux/tcp.h.
 */
import { createRequire } from 'node:module';
import { endianness, constants as osConstants } from 'node:os';
import { AF_INET, encodeSockaddr, socketFamily } from './sockaddr.js';
import { TransportError, type HopLimits, type PeerKey } from './transport.js';

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_BINDTODEVICE = 25;
const IPPROTO_IP = 0;
const IP_TOS = 1;
const IP_TTL = 2;
const IP_MINTTL = 21;
const IPPROTO_TCP = 6;
const TCP_MD5SIG = 14;
const TCP_MD5SIG_EXT = 32;
const TCP_MD5SIG_FLAG_PREFIX = 1;
const TCP_MD5SIG_FLAG_IFINDEX = 2;
const TCP_MD5SIG_MAXKEYLEN = 80;
const IPPROTO_IPV6 = 41;
const IPV6_UNICAST_HOPS = 16;
const IPV6_V6ONLY = 26;
const IPV6_TCLASS = 67;
const IPV6_MINHOPCOUNT = 73;
/** Class selector 6, network control: what routers mark routing traffic with (RFC 4594 section 3.1). */
const NETWORK_CONTROL = 0xc0;

interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, length: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  close(fd: number): number;
  ifNameToIndex(name: string): number;
  errno(): number;
}

export interface NativeSocketOptions {
  readonly hopLimits?: HopLimits;
  readonly interface?: string;
  readonly bind?: { readonly address: string; readonly port: number };
  readonly isListener?: boolean;
}

/** The calls, or the sentence why they are not to be had. */
export function nativeSockets(): NativeSockets | string {
  cached ??= load();
  return cached;
}

let cached: NativeSockets | string | undefined;

function load(): NativeSockets | string {
  if (process.platform !== 'linux') return `this needs Linux, and the platform is ${process.platform}`;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const libc = koffi.load(null);
    return new NativeSockets({
      socket: libc.func('int socket(int, int, int)') as Libc['socket'],
      setsockopt: libc.func('int setsockopt(int, int, int, const uint8_t *, uint32_t)') as Libc['setsockopt'],
      bind: libc.func('int bind(int, const uint8_t *, uint32_t)') as Libc['bind'],
      close: libc.func('int close(int)') as Libc['close'],
      ifNameToIndex: libc.func('unsigned int if_nametoindex(const char *)') as Libc['ifNameToIndex'],
      errno: () => koffi.errno(),
    });
  } catch (error) {
    return `this needs the package "koffi": ${error instanceof Error ? error.message : String(error)}`;
  }
}

export class NativeSockets {
  constructor(private readonly libc: Libc) {}

  /** A TCP socket of the address's family, not yet connected nor listening. The caller owns the descriptor. */
  open(address: string, options: NativeSocketOptions): number {
    const family = socketFamily(address);
    const fd = this.libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) throw this.error('make a TCP socket');
    try {
      if (family === AF_INET) this.setNumber(fd, IPPROTO_IP, IP_TOS, NETWORK_CONTROL);
      else {
        this.setNumber(fd, IPPROTO_IPV6, IPV6_TCLASS, NETWORK_CONTROL);
        this.setNumber(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
      }
      this.setNumber(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      if (options.interface !== undefined) this.bindToInterface(fd, options.interface);
      if (options.hopLimits !== undefined) this.setHopLimits(fd, address, options.hopLimits);
      if (options.bind !== undefined) this.bind(fd, options.bind.address, options.bind.port, options.interface);
      return fd;
    } catch (error) {
      this.close(fd);
      throw error;
    }
  }

  close(fd: number): void {
    this.libc.close(fd);
  }

  /** `address` is any of the socket's family. */
  setHopLimits(fd: number, address: string, limits: HopLimits): void {
    const isIpv4 = socketFamily(address) === AF_INET;
    const level = isIpv4 ? IPPROTO_IP : IPPROTO_IPV6;
    if (limits.ttl !== undefined) this.setNumber(fd, level, isIpv4 ? IP_TTL : IPV6_UNICAST_HOPS, limits.ttl);
    if (limits.minTtl !== undefined) this.setNumber(fd, level, isIpv4 ? IP_MINTTL : IPV6_MINHOPCOUNT, limits.minTtl);
  }

  /**
   * Sets the TCP-MD5 key for a peer or a range of peers, on a listener or a connection; an empty password removes it.
   * ```
   * struct tcp_md5sig: sockaddr_storage(128) flags(1) prefixlen(1) keylen(2) ifindex(4) key(80)
   * ```
   */
  setKey(fd: number, key: PeerKey, interfaceName?: string): void {
    const secret = Buffer.from(key.password);
    if (secret.length > TCP_MD5SIG_MAXKEYLEN) throw new TransportError(`Cannot set the TCP-MD5 password of peer ${key.address}: it has ${secret.length} bytes; expected at most 80`, 'EINVAL');
    const isHost = key.length === (socketFamily(key.address) === AF_INET ? 32 : 128);
    const ifIndex = interfaceName === undefined ? 0 : this.interfaceIndex(interfaceName);
    const bytes = new Uint8Array(216);
    bytes.set(encodeSockaddr(key.address, 0, { size: 128, scopeId: ifIndex }));
    const view = new DataView(bytes.buffer);
    view.setUint8(128, (isHost ? 0 : TCP_MD5SIG_FLAG_PREFIX) | (ifIndex > 0 ? TCP_MD5SIG_FLAG_IFINDEX : 0));
    view.setUint8(129, key.length);
    view.setUint16(130, secret.length, endianness() === 'LE');
    view.setInt32(132, ifIndex, endianness() === 'LE');
    bytes.set(secret, 136);
    const isPlain = isHost && ifIndex === 0;
    const result = this.libc.setsockopt(fd, IPPROTO_TCP, isPlain ? TCP_MD5SIG : TCP_MD5SIG_EXT, bytes, bytes.length);
    const removesNothing = result !== 0 && secret.length === 0 && this.libc.errno() === osConstants.errno.ENOENT;
    if (result !== 0 && !removesNothing) throw this.error(`set the TCP-MD5 password of peer ${key.address}`);
  }

  interfaceIndex(name: string): number {
    const index = this.libc.ifNameToIndex(name);
    if (index === 0) throw new TransportError(`Cannot use interface "${name}": it does not exist`, 'ENODEV');
    return index;
  }

  private bindToInterface(fd: number, name: string): void {
    const value = Buffer.from(`${name}\0`);
    if (this.libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, value, value.length) !== 0) throw this.error(`bind to interface "${name}"`);
  }

  private bind(fd: number, address: string, port: number, interfaceName: string | undefined): void {
    const scopeId = interfaceName === undefined ? 0 : this.interfaceIndex(interfaceName);
    const bytes = encodeSockaddr(address, port, { scopeId });
    if (this.libc.bind(fd, bytes, bytes.length) !== 0) throw this.error(`bind to ${address} port ${port}`);
  }

  private setNumber(fd: number, level: number, option: number, value: number): void {
    const bytes = new Uint8Array(new Int32Array([value]).buffer);
    if (this.libc.setsockopt(fd, level, option, bytes, 4) !== 0) throw this.error(`set socket option ${level}/${option}`);
  }

  private error(what: string): TransportError {
    const errno = this.libc.errno();
    const name = Object.entries(osConstants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
    return new TransportError(`Cannot ${what}: ${name}`, name);
  }
}
