/**
 * The real RouterSocket: a raw ICMPv6 socket per interface (RFC 3542), which the kernel lets hear only Router Solicitations and
 * Advertisements of hop limit 255, checksums verified. Linux only, by FFI (native/libc.ts); needs root or CAP_NET_RAW.
 *
 * Node reads only descriptors that it takes for TCP, pipes or UDP. So a UDP socket is given to `dgram`, and the raw one put in its place
 * by dup3(2) in the same turn of the event loop, before libuv has told epoll about it: reads and readiness are then
 * the raw socket's. Writes go past Node, because a link-local multicast destination needs its scope.
 */
import { createSocket, type Socket } from 'node:dgram';
import { networkInterfaces, constants as osConstants } from 'node:os';
import { formatAddress, parseAddress, type IpAddress } from '../address.js';
import {
  attachFilter,
  errnoName,
  hopLimitFilter,
  ICMPV6_FILTER,
  int32,
  IPPROTO_ICMPV6,
  IPPROTO_IPV6,
  IPV6_JOIN_GROUP,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_MULTICAST_LOOP,
  IPV6_UNICAST_HOPS,
  libc,
  MSG_DONTWAIT,
  O_CLOEXEC,
  SO_BINDTODEVICE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
  type Libc,
} from '../native/libc.js';
import { AF_INET6, encodeSockaddr } from '../transport/sockaddr.js';
import { DiscoveryError, type RouterSocket, type RouterSocketEvents } from './contract.js';
import { ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION } from './router-message.js';

const GROUPS = { 'all-nodes': 'ff02::1', 'all-routers': 'ff02::2' } as const;
/** RFC 4861 section 4: nobody off the link can have sent it. */
const HOP_LIMIT = 255;

export function openRouterSocket(interfaceName: string, events: RouterSocketEvents): RouterSocket {
  const calls = libc();
  if (typeof calls === 'string') throw problem(interfaceName, calls);
  const index = calls.ifNameToIndex(interfaceName);
  if (index === 0) throw problem(interfaceName, 'it does not exist');
  const raw = openRaw(calls, interfaceName, index);
  try {
    return new IcmpV6Socket(calls, interfaceName, index, raw, events);
  } finally {
    calls.close(raw);
  }
}

class IcmpV6Socket implements RouterSocket {
  private readonly socket: Socket;
  private readonly fd: number;
  private mac: Uint8Array = new Uint8Array();

  constructor(
    private readonly calls: Libc,
    private readonly interfaceName: string,
    private readonly index: number,
    raw: number,
    events: RouterSocketEvents,
  ) {
    this.fd = calls.socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (this.fd < 0) throw callProblem(calls, interfaceName, 'make a socket');
    this.socket = createSocket('udp6');
    this.socket.on('message', (bytes, { address }) =>
      events.onMessage(bytes, parseAddress(address.split('%')[0] ?? '')),
    );
    this.socket.on('error', (error) => {
      this.socket.close();
      events.onFailure(problem(interfaceName, error.message).message);
    });
    this.socket.bind({ fd: this.fd });
    if (calls.dup3(raw, this.fd, O_CLOEXEC) < 0) {
      this.socket.close();
      throw callProblem(calls, interfaceName, 'take the raw socket');
    }
  }

  /** Node shows it with the first address that the interface has, which may come later than the interface. */
  get linkLayer(): Uint8Array {
    if (this.mac.length === 0) this.mac = macOf(this.interfaceName);
    return this.mac;
  }

  send(bytes: Uint8Array, to: 'all-routers' | 'all-nodes' | IpAddress): string | undefined {
    const target = encodeSockaddr(typeof to === 'string' ? GROUPS[to] : formatAddress(to), 0, { scopeId: this.index });
    return this.calls.sendto(this.fd, bytes, bytes.length, MSG_DONTWAIT, target, target.length) < 0
      ? errnoName(this.calls.errno())
      : undefined;
  }

  close(): void {
    this.socket.close();
  }
}

/** A raw socket with every option set, deaf until then to all but its two types: the filter is the first option. */
function openRaw(calls: Libc, interfaceName: string, index: number): number {
  const fd = calls.socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6);
  if (fd < 0) throw callProblem(calls, interfaceName, 'make a raw socket');
  const set = (level: number, option: number, value: Uint8Array, what: string): void => {
    if (calls.setsockopt(fd, level, option, value, value.length) !== 0) throw callProblem(calls, interfaceName, what);
  };
  try {
    set(IPPROTO_ICMPV6, ICMPV6_FILTER, typeFilter([ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT]), 'filter ICMPv6');
    if (attachFilter(calls, fd, hopLimitFilter(6, HOP_LIMIT)) !== 0)
      throw callProblem(calls, interfaceName, 'filter by hop limit');
    set(SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${interfaceName}\0`), 'bind to the interface');
    set(IPPROTO_IPV6, IPV6_MULTICAST_IF, int32(index), 'choose the interface');
    set(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, int32(HOP_LIMIT), 'set the hop limit');
    set(IPPROTO_IPV6, IPV6_UNICAST_HOPS, int32(HOP_LIMIT), 'set the hop limit');
    set(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, int32(0), 'turn loops off');
    // ff02::1 everybody is in.
    set(IPPROTO_IPV6, IPV6_JOIN_GROUP, membership(GROUPS['all-routers'], index), 'join the group of all routers');
    return fd;
  } catch (error) {
    calls.close(fd);
    throw error;
  }
}

/** `struct icmp6_filter`: a bit for each type, in words of 32 in host order; a set bit blocks (linux/icmpv6.h). */
function typeFilter(types: readonly number[]): Uint8Array {
  const words = new Uint32Array(8).fill(0xffffffff);
  for (const type of types) words[type >> 5] = (words[type >> 5] ?? 0) & ~(1 << (type & 31));
  return new Uint8Array(words.buffer);
}

/** `struct ipv6_mreq`: the group and the interface's index. */
function membership(group: string, index: number): Uint8Array {
  const bytes = new Uint8Array(20);
  bytes.set(encodeSockaddr(group, 0).subarray(8, 24));
  bytes.set(int32(index), 16);
  return bytes;
}

function macOf(interfaceName: string): Uint8Array {
  const mac = networkInterfaces()[interfaceName]?.[0]?.mac ?? '';
  const bytes = Uint8Array.from(
    mac.split(':').filter((part) => part !== ''),
    (part) => Number.parseInt(part, 16),
  );
  return bytes.every((octet) => octet === 0) ? new Uint8Array() : bytes;
}

function callProblem(calls: Libc, interfaceName: string, what: string): DiscoveryError {
  const errno = calls.errno();
  if (errno === osConstants.errno.EPERM || errno === osConstants.errno.EACCES)
    return problem(interfaceName, 'raw sockets need root or CAP_NET_RAW');
  return problem(interfaceName, `cannot ${what} (${errnoName(errno)})`);
}

const problem = (interfaceName: string, why: string): DiscoveryError =>
  new DiscoveryError(
    `Cannot look for a neighbour on interface ${interfaceName}: ${why}; one that connects is still accepted`,
  );
