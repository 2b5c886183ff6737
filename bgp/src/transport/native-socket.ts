/**
 * TCP sockets as Node cannot make them (native/libc.ts): options set before they connect or listen, the descriptor handed to `net`.
 * Where the calls are not to be had, `nativeSockets()` says why not, and the transport does without: only TCP-MD5, GTSM and binding
 * to an interface are then refused.
 *
 * Kernel interfaces: ip(7), ipv6(7), tcp(7); TCP_MD5SIG in linux/tcp.h.
 */
import { endianness, constants as osConstants } from 'node:os';
import {
  errnoName,
  int32,
  IP_MINTTL,
  IP_TOS,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MINHOPCOUNT,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  libc,
  NETWORK_CONTROL,
  SO_BINDTODEVICE,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  type Libc,
} from '../native/libc.js';
import { AF_INET, encodeSockaddr, socketFamily } from './sockaddr.js';
import { TransportError, type HopLimits, type PeerKey } from './transport.js';

const IPPROTO_TCP = 6;
const TCP_MD5SIG = 14;
const TCP_MD5SIG_EXT = 32;
const TCP_MD5SIG_FLAG_PREFIX = 1;
const TCP_MD5SIG_FLAG_IFINDEX = 2;
const TCP_MD5SIG_MAXKEYLEN = 80;

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
  const calls = libc();
  return typeof calls === 'string' ? calls : new NativeSockets(calls);
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
    if (secret.length > TCP_MD5SIG_MAXKEYLEN)
      throw new TransportError(
        `Cannot set the TCP-MD5 password of peer ${key.address}: it has ${secret.length} bytes; expected at most 80`,
        'EINVAL',
      );
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
    if (this.libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, value, value.length) !== 0)
      throw this.error(`bind to interface "${name}"`);
  }

  private bind(fd: number, address: string, port: number, interfaceName: string | undefined): void {
    const scopeId = interfaceName === undefined ? 0 : this.interfaceIndex(interfaceName);
    const bytes = encodeSockaddr(address, port, { scopeId });
    if (this.libc.bind(fd, bytes, bytes.length) !== 0) throw this.error(`bind to ${address} port ${port}`);
  }

  private setNumber(fd: number, level: number, option: number, value: number): void {
    if (this.libc.setsockopt(fd, level, option, int32(value), 4) !== 0)
      throw this.error(`set socket option ${level}/${option}`);
  }

  private error(what: string): TransportError {
    const name = errnoName(this.libc.errno());
    return new TransportError(`Cannot ${what}: ${name}`, name);
  }
}
