/**
 * The system calls that Node lacks, by FFI (koffi), with the constants they take: one declaration for TCP (transport/), BFD (bfd/) and
 * neighbour discovery (discovery/). Linux only; elsewhere, or without koffi, `libc()` is the sentence why not, and each caller says what
 * does not work without.
 *
 * Kernel interfaces: socket(7), ip(7), ipv6(7), icmpv6 in linux/icmpv6.h, linux/filter.h, setpriority(2), dup(2).
 */
import { createRequire } from 'node:module';
import { constants as osConstants } from 'node:os';

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const O_CLOEXEC = 0o2000000;
export const MSG_DONTWAIT = 0x40;

export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_RCVBUF = 8;
export const SO_BINDTODEVICE = 25;
export const SO_ATTACH_FILTER = 26;

export const IPPROTO_IP = 0;
export const IP_TOS = 1;
export const IP_TTL = 2;
export const IP_MINTTL = 21;

export const IPPROTO_IPV6 = 41;
export const IPV6_UNICAST_HOPS = 16;
export const IPV6_MULTICAST_IF = 17;
export const IPV6_MULTICAST_HOPS = 18;
export const IPV6_MULTICAST_LOOP = 19;
export const IPV6_JOIN_GROUP = 20;
export const IPV6_V6ONLY = 26;
export const IPV6_TCLASS = 67;
export const IPV6_MINHOPCOUNT = 73;

export const IPPROTO_ICMPV6 = 58;
/** linux/icmpv6.h. */
export const ICMPV6_FILTER = 1;

export const IF_NAMESIZE = 16;
export const PRIO_PROCESS = 0;
export const SCHED_RR = 2;
/** Threads that ours starts do not inherit its scheduling (sched(7)). */
export const SCHED_RESET_ON_FORK = 0x40000000;
/** Class selector 6, network control: what routers mark routing traffic with (RFC 4594 section 3.1). */
export const NETWORK_CONTROL = 0xc0;

/** Answers are those of the C functions: a negative one (0 of `ifNameToIndex`) is a failure, told by `errno`. */
export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, length: number): number;
  /** setsockopt with a `struct sock_fprog`: a count and a pointer. */
  attachFilter(
    fd: number,
    level: number,
    option: number,
    program: { readonly len: number; readonly filter: Uint8Array },
    length: number,
  ): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  /** `addressLength` is read and written. */
  recvfrom(
    fd: number,
    bytes: Uint8Array,
    length: number,
    flags: number,
    address: Uint8Array,
    addressLength: Uint32Array,
  ): number;
  sendto(
    fd: number,
    bytes: Uint8Array,
    length: number,
    flags: number,
    address: Uint8Array,
    addressLength: number,
  ): number;
  dup3(from: number, to: number, flags: number): number;
  close(fd: number): number;
  ifNameToIndex(name: string): number;
  /** Writes a name of at most IF_NAMESIZE octets, its 0 included. */
  ifIndexToName(index: number, name: Uint8Array): number;
  setpriority(which: number, who: number, priority: number): number;
  setScheduler(thread: number, policy: number, parameters: Int32Array): number;
  errno(): number;
}

/** The calls, or the sentence why they are not to be had. Loaded once per thread. */
export function libc(): Libc | string {
  cached ??= load();
  return cached;
}

let cached: Libc | string | undefined;

function load(): Libc | string {
  if (process.platform !== 'linux') return `this needs Linux, and the platform is ${process.platform}`;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const c = koffi.load(null);
    koffi.struct('node_bgp_sock_fprog', { len: 'uint16_t', filter: 'const uint8_t *' });
    return {
      socket: c.func('int socket(int, int, int)') as Libc['socket'],
      setsockopt: c.func('int setsockopt(int, int, int, const uint8_t *, uint32_t)') as Libc['setsockopt'],
      attachFilter: c.func(
        'int setsockopt(int, int, int, const node_bgp_sock_fprog *, uint32_t)',
      ) as Libc['attachFilter'],
      bind: c.func('int bind(int, const uint8_t *, uint32_t)') as Libc['bind'],
      recvfrom: c.func(
        'intptr_t recvfrom(int, _Out_ uint8_t *, size_t, int, _Out_ uint8_t *, _Inout_ uint32_t *)',
      ) as Libc['recvfrom'],
      sendto: c.func('intptr_t sendto(int, const uint8_t *, size_t, int, const uint8_t *, uint32_t)') as Libc['sendto'],
      dup3: c.func('int dup3(int, int, int)') as Libc['dup3'],
      close: c.func('int close(int)') as Libc['close'],
      ifNameToIndex: c.func('unsigned int if_nametoindex(const char *)') as Libc['ifNameToIndex'],
      ifIndexToName: c.func('size_t if_indextoname(unsigned int, _Out_ uint8_t *)') as Libc['ifIndexToName'],
      setpriority: c.func('int setpriority(int, uint32_t, int)') as Libc['setpriority'],
      setScheduler: c.func('int sched_setscheduler(int, int, const int *)') as Libc['setScheduler'],
      errno: () => koffi.errno(),
    };
  } catch (error) {
    return `this needs the package "koffi": ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** "EPERM". */
export function errnoName(errno: number): string {
  return Object.entries(osConstants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
}

/** An int as setsockopt(2) takes it. */
export const int32 = (value: number): Uint8Array => new Uint8Array(new Int32Array([value]).buffer);

/** Classic BPF (linux/filter.h): one row per instruction. */
export type BpfProgram = readonly (readonly [code: number, jumpTrue: number, jumpFalse: number, k: number])[];

/** 0, or -1 with `errno`. */
export function attachFilter(c: Libc, fd: number, program: BpfProgram): number {
  const filter = new Uint8Array(8 * program.length);
  const view = new DataView(filter.buffer);
  const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  for (const [index, [code, jumpTrue, jumpFalse, k]] of program.entries()) {
    view.setUint16(8 * index, code, isLittleEndian);
    view.setUint8(8 * index + 2, jumpTrue);
    view.setUint8(8 * index + 3, jumpFalse);
    view.setUint32(8 * index + 4, k, isLittleEndian);
  }
  // struct sock_fprog: a two-octet count, padding, a pointer.
  return c.attachFilter(fd, SOL_SOCKET, SO_ATTACH_FILTER, { len: program.length, filter }, 16);
}

/**
 * Lets only packets of this TTL or Hop Limit through (GTSM, RFC 5082), for sockets that know no IP_MINTTL: octet 8 of the IPv4 header,
 * octet 7 of the IPv6 one.
 */
export function hopLimitFilter(family: 4 | 6, hopLimit: number): BpfProgram {
  const networkHeader = 0xfff00000; // SKF_NET_OFF
  return [
    [0x30, 0, 0, networkHeader + (family === 4 ? 8 : 7)], // ldb [ttl]
    [0x15, 0, 1, hopLimit], // jeq #hopLimit, next, drop
    [0x06, 0, 0, 0xffff], // ret: all of it
    [0x06, 0, 0, 0], // ret: drop
  ];
}
