/**
 * The system calls that Node lacks, by FFI (koffi), as functions that throw SystemError: setns(2) and sockets of families
 * that `net` and `dgram` do not know. One binding for all of the dataplane.
 *
 * Symbols come from the running process, which is linked against its libc whichever that is (glibc or musl). Every call is
 * synchronous: it runs on the calling thread, which is what setns(2) needs, and costs about 0.3 us above the call itself.
 */
import koffi, { type KoffiFunc } from 'koffi';
import { SystemError } from './system-error.js';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_RCVBUF = 8;
export const SO_RCVTIMEO = 20;
const SO_ATTACH_FILTER = 26;
export const SO_RCVBUFFORCE = 33;
export const SO_SNDBUF = 7;
export const SO_SNDBUFFORCE = 32;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;
export const MSG_PEEK = 0x2;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const CLONE_NEWNET = 0x40000000;

export const EINTR = 4;
export const EAGAIN = 11;
export const EOPNOTSUPP = 95;
export const ENOBUFS = 105;

const process_ = koffi.load(null);
/** linux/filter.h; setsockopt(2) copies the program that it points to. */
const SOCK_FPROG = koffi.struct('sock_fprog', { len: 'uint16_t', filter: 'const void *' });
const IOVEC = koffi.struct('iovec', { base: 'void *', length: 'size_t' });
const MSGHDR = koffi.struct('msghdr', {
  name: 'void *',
  nameLength: 'uint32_t',
  iov: koffi.pointer(IOVEC),
  iovLength: 'size_t',
  control: 'void *',
  controlLength: 'size_t',
  flags: 'int',
});
interface MessageHeader {
  readonly name: null;
  readonly nameLength: 0;
  readonly iov: { readonly base: Uint8Array; readonly length: number };
  readonly iovLength: 1;
  readonly control: Uint8Array;
  /** In: the room; out: what was filled. */
  controlLength: number;
  readonly flags: 0;
}
const raw = {
  recvmsg: process_.func('recvmsg', 'intptr_t', ['int', koffi.inout(koffi.pointer(MSGHDR)), 'int']) as (
    fd: number,
    message: MessageHeader,
    flags: number,
  ) => number,
  setFilter: process_.func('setsockopt', 'int', ['int', 'int', 'int', koffi.pointer(SOCK_FPROG), 'uint32_t']) as (
    fd: number,
    level: number,
    option: number,
    program: { readonly len: number; readonly filter: Uint8Array },
    length: number,
  ) => number,
  socket: process_.func('int socket(int, int, int)') as (family: number, type: number, protocol: number) => number,
  bind: process_.func('int bind(int, const void *, uint32_t)') as (
    fd: number,
    address: Uint8Array,
    length: number,
  ) => number,
  listen: process_.func('int listen(int, int)') as (fd: number, backlog: number) => number,
  close: process_.func('int close(int)') as (fd: number) => number,
  unshare: process_.func('int unshare(int)') as (flags: number) => number,
  setns: process_.func('int setns(int, int)') as (fd: number, type: number) => number,
  setsockopt: process_.func('int setsockopt(int, int, int, const void *, uint32_t)') as (
    fd: number,
    level: number,
    option: number,
    value: Uint8Array,
    length: number,
  ) => number,
  getsockopt: process_.func('int getsockopt(int, int, int, void *, void *)') as (
    fd: number,
    level: number,
    option: number,
    value: Uint8Array,
    length: Uint8Array,
  ) => number,
  getsockname: process_.func('int getsockname(int, void *, void *)') as (
    fd: number,
    address: Uint8Array,
    length: Uint8Array,
  ) => number,
  // koffi knows no ssize_t; intptr_t has its width and sign on every Linux.
  send: process_.func('intptr_t send(int, const void *, size_t, int)') as KoffiFunc<
    (fd: number, bytes: Uint8Array, length: number, flags: number) => number
  >,
  recv: process_.func('intptr_t recv(int, void *, size_t, int)') as KoffiFunc<
    (fd: number, bytes: Uint8Array, length: number, flags: number) => number
  >,
};

/** socket(2), always close-on-exec. */
export function openSocket(family: number, type: number, protocol: number): number {
  const fd = raw.socket(family, type | SOCK_CLOEXEC, protocol);
  return checked(fd, `Cannot open a socket of family ${family}, type ${type}, protocol ${protocol}`);
}

export function bindSocket(fd: number, address: Uint8Array): void {
  checked(raw.bind(fd, address, address.length), 'Cannot bind the socket');
}

export function listenSocket(fd: number, backlog: number): void {
  checked(raw.listen(fd, backlog), 'Cannot listen on the socket');
}

/** close(2); for descriptors that no Node object owns. */
export function closeFd(fd: number): void {
  checked(raw.close(fd), `Cannot close descriptor ${fd}`);
}

/** setns(2) of the calling thread alone. Use `inNamespace` of netns.ts, which finds the way back. */
export function setNetworkNamespace(fd: number): void {
  checked(raw.setns(fd, CLONE_NEWNET), 'Cannot enter the network namespace');
}

/** unshare(2): the calling thread alone moves into a new namespace. Use `inScratchNamespace` of netns.ts. */
export function unshareNetworkNamespace(): void {
  checked(raw.unshare(CLONE_NEWNET), 'Cannot make a network namespace');
}

const int = new Int32Array(1);
const intBytes = new Uint8Array(int.buffer);

/** setsockopt(2) of an int. */
export function setSocketOption(fd: number, level: number, option: number, value: number): void {
  int[0] = value;
  setSocketBytes(fd, level, option, intBytes);
}

/** setsockopt(2) of a structure in the machine's byte order. */
export function setSocketBytes(fd: number, level: number, option: number, value: Uint8Array): void {
  checked(raw.setsockopt(fd, level, option, value, value.length), `Cannot set socket option ${level}/${option}`);
}

/** Bytes of a `struct sock_filter`: code(2) jump if true(1) jump if false(1) operand(4). */
export const FILTER_INSTRUCTION_SIZE = 8;

/** SO_ATTACH_FILTER: classic BPF that says how much of each datagram the socket is to have, 0 for nothing. socket(7). */
export function attachSocketFilter(fd: number, program: Uint8Array): void {
  const len = program.length / FILTER_INSTRUCTION_SIZE;
  const size = koffi.sizeof(SOCK_FPROG);
  checked(
    raw.setFilter(fd, SOL_SOCKET, SO_ATTACH_FILTER, { len, filter: program }, size),
    `Cannot attach a filter of ${len} instructions`,
  );
}

/** getsockopt(2) into `value`, which may carry input; returns how many bytes the kernel filled. */
export function getSocketBytes(fd: number, level: number, option: number, value: Uint8Array): number {
  const length = Uint32Array.of(value.length);
  checked(
    raw.getsockopt(fd, level, option, value, new Uint8Array(length.buffer)),
    `Cannot read socket option ${level}/${option}`,
  );
  return length[0] ?? 0;
}

/** getsockname(2): the sockaddr's bytes. */
export function socketName(fd: number): Uint8Array {
  const address = new Uint8Array(128);
  const length = Uint32Array.of(address.length);
  checked(raw.getsockname(fd, address, new Uint8Array(length.buffer)), "Cannot read the socket's name");
  return address.subarray(0, length[0]);
}

/** send(2) of the first `length` bytes; repeated when a signal interrupts it. */
export function sendBytes(fd: number, bytes: Uint8Array, length: number): void {
  for (;;) {
    if (raw.send(fd, bytes, length, 0) >= 0) return;
    const errno = koffi.errno();
    if (errno !== EINTR) throw new SystemError(`Cannot send ${length} bytes`, errno);
  }
}

/** send(2) on a thread of libuv's pool, for requests that make the kernel wait (deleting interfaces); no EINTR there. */
export function sendBytesAsync(fd: number, bytes: Uint8Array, length: number): Promise<void> {
  return new Promise((resolve, reject) => {
    raw.send.async(fd, bytes, length, 0, (error: Error | null, sent: number) => {
      if (error !== null) reject(error);
      else if (sent >= 0) resolve();
      else reject(new SystemError(`Cannot send ${length} bytes`, koffi.errno()));
    });
  });
}

/**
 * recv(2). The number of bytes the datagram has (with MSG_TRUNC possibly more than the buffer's), or undefined when there
 * is nothing to read now (EAGAIN). Throws SystemError for everything else, ENOBUFS among them.
 */
export function receiveBytes(fd: number, bytes: Uint8Array, flags: number): number | undefined {
  for (;;) {
    const received = raw.recv(fd, bytes, bytes.length, flags);
    if (received >= 0) return received;
    const errno = koffi.errno();
    if (errno === EAGAIN) return undefined;
    if (errno !== EINTR) throw new SystemError('Cannot receive from the socket', errno);
  }
}

/**
 * recvmsg(2) of one datagram without waiting: how many bytes it has and how many of ancillary data came with it; undefined when there is
 * nothing to read now. Throws SystemError for everything else, ENOBUFS among them.
 */
export function receiveWithControl(
  fd: number,
  bytes: Uint8Array,
  control: Uint8Array,
): { readonly length: number; readonly controlLength: number } | undefined {
  for (;;) {
    const message: MessageHeader = {
      name: null,
      nameLength: 0,
      iov: { base: bytes, length: bytes.length },
      iovLength: 1,
      control,
      controlLength: control.length,
      flags: 0,
    };
    const length = raw.recvmsg(fd, message, MSG_DONTWAIT | MSG_TRUNC);
    if (length >= 0) return { length, controlLength: Number(message.controlLength) };
    const errno = koffi.errno();
    if (errno === EAGAIN) return undefined;
    if (errno !== EINTR) throw new SystemError('Cannot receive from the socket', errno);
  }
}

/** `receiveBytes` on a thread of libuv's pool, for what the kernel takes long to make. The buffer is the call's until then. */
export function receiveBytesAsync(fd: number, bytes: Uint8Array, flags: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    raw.recv.async(fd, bytes, bytes.length, flags, (error: Error | null, received: number) => {
      const errno = received < 0 ? koffi.errno() : 0;
      if (error !== null) reject(error);
      else if (received >= 0) resolve(received);
      else if (errno === EAGAIN) resolve(undefined);
      else reject(new SystemError('Cannot receive from the socket', errno));
    });
  });
}

/**
 * Calls back in a turn of the event loop whenever the descriptor is readable or has an error to read, until closed. Level-
 * triggered: what is left unread calls back again. The process stays alive for it unless `unref`ed.
 *
 * Three traps of the native handle are dealt with here. Its callback runs outside Node's callback scope (an exception is
 * lost, promises do not go on), so the work is put into the loop's next phase. libuv ends polling at an error condition such
 * as a netlink overrun (EPOLLERR), so it is begun again. A handle that nothing refers to is collected and falls silent, so
 * live ones are held on to.
 */
export function pollReadable(fd: number, onReadable: () => void): { close(): void; unref(): void } {
  let isScheduled = false;
  const onPoll = (status: unknown): void => {
    const hasEnded = typeof status === 'number' && status < 0;
    if (isScheduled || !livePolls.has(handle)) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      if (!livePolls.has(handle)) return;
      if (hasEnded) handle.start({ readable: true }, onPoll);
      onReadable();
    });
  };
  const handle = koffi.node.poll(fd, { readable: true }, onPoll);
  livePolls.add(handle);
  return {
    close: () => {
      if (livePolls.delete(handle)) handle.close();
    },
    unref: () => handle.unref(),
  };
}

/** BOUNDED by the watches that are open. */
const livePolls = new Set<ReturnType<typeof koffi.node.poll>>();

function checked(result: number, attempt: string): number {
  if (result < 0) throw new SystemError(attempt, koffi.errno());
  return result;
}
