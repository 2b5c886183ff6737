/**
 * Running a synchronous function inside another network namespace, and sockets that live there while the process does not.
 *
 * A socket belongs for life to the namespace of the thread that made it; setns(2) moves the calling thread alone. So: enter,
 * make the socket, come back; 20-30 us. The window must be synchronous, with three traps:
 * - libuv makes its thread pool at the first asynchronous file, DNS or zlib call; made inside the window, its threads would
 *   stay in the namespace for ever. It is therefore made before the first window.
 * - Whatever is deferred to the event loop (a promise, `dgram.bind`, `net.connect`) happens outside. A function that returns
 *   a promise is refused.
 * - If the way back fails, the process would go on working in a pod's namespace: it aborts.
 *
 * /proc/sys/net and /proc/net show the namespace of the calling thread, so sysctls of a pod are written in a window too.
 * Named namespaces are made by `ip netns` and by runtimes, not here. setns(2), network_namespaces(7).
 */
import { closeSync, constants, fstatSync, openSync, stat, writeSync } from 'node:fs';
import { encodeSockaddr, socketFamily } from 'node-bgp/transport/sockaddr';
import {
  AF_INET6,
  bindSocket,
  closeFd,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  listenSocket,
  openSocket,
  setNetworkNamespace,
  setSocketOption,
  SO_REUSEADDR,
  SOCK_STREAM,
  SOL_SOCKET,
  unshareNetworkNamespace,
} from './libc.js';

/** A namespace by the path that it is mounted or linked at (/run/netns/x, /proc/1/ns/net), or by an open descriptor of it. */
export type Namespace = string | number;

/** The path is no network namespace, or none any more. */
export class NamespaceError extends Error {
  override readonly name = 'NamespaceError';

  constructor(
    message: string,
    /** True when there is nothing at the path. */ readonly isGone: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Calls `task` with the calling thread inside the namespace and returns what it returns. Synchronous only. Throws
 * NamespaceError if there is no such namespace, and what `task` throws.
 */
export function inNamespace<T>(namespace: Namespace, task: () => T): T {
  warmThreadPool();
  const back = currentFd();
  const fd = typeof namespace === 'number' ? namespace : openNamespace(namespace);
  try {
    setNetworkNamespace(fd);
    current = fd;
    let result: T;
    try {
      result = task();
    } finally {
      comeBack(back);
    }
    if (isThenable(result))
      throw new TypeError('A task inside a network namespace must be synchronous, but it returned a promise');
    return result;
  } finally {
    if (typeof namespace === 'string') closeSync(fd);
  }
}

/**
 * As `inNamespace`, in a new namespace without a name or a path: empty, its loopback down, gone with the last socket that was
 * made in it. For trying things out on a kernel.
 */
export function inScratchNamespace<T>(task: () => T): T {
  warmThreadPool();
  const back = currentFd();
  unshareNetworkNamespace();
  let fd: number | undefined;
  try {
    fd = openSync('/proc/thread-self/ns/net', constants.O_RDONLY);
  } finally {
    comeBack(back);
  }
  try {
    return inNamespace(fd, task);
  } finally {
    closeSync(fd);
  }
}

/** A descriptor of the namespace at a path, for `inNamespace` and for netlink; the caller closes it (`closeSync`). */
export function openNamespace(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY);
  } catch (error) {
    const isGone = isErrno(error, 'ENOENT') || isErrno(error, 'ESRCH');
    throw new NamespaceError(
      `Cannot open network namespace "${path}": ${isGone ? 'there is none at that path' : String(error)}`,
      isGone,
      { cause: error },
    );
  }
  if (isNamespaceFile(fd)) return fd;
  closeSync(fd);
  // `ip netns` leaves a plain file behind when the mount is lost: that too is a namespace that has gone.
  throw new NamespaceError(
    `Cannot use "${path}" as a network namespace: expected a file of /proc/<pid>/ns/net or a mount of one`,
    true,
  );
}

/** Identity of a namespace, equal for all paths that lead to it: "4026531840". */
export function namespaceIdentity(namespace: Namespace): string {
  const fd = typeof namespace === 'number' ? namespace : openNamespace(namespace);
  try {
    return fstatSync(fd, { bigint: true }).ino.toString();
  } finally {
    if (typeof namespace === 'string') closeSync(fd);
  }
}

/**
 * A listening TCP socket inside the namespace, as a descriptor for `server.listen({ fd })`; port 0 takes a free one. An IPv6
 * socket listens for IPv6 alone. The caller hands it to Node or closes it.
 */
export function listenInNamespace(namespace: Namespace, address: string, port: number, backlog = 511): number {
  return inNamespace(namespace, () => {
    const family = socketFamily(address);
    const fd = openSocket(family, SOCK_STREAM, 0);
    try {
      setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      if (family === AF_INET6) setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
      bindSocket(fd, encodeSockaddr(address, port));
      listenSocket(fd, backlog);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
    return fd;
  });
}

/** An unconnected TCP socket inside the namespace, for `new net.Socket({ fd, manualStart: true }).connect(...)`. */
export function socketInNamespace(namespace: Namespace, family: number): number {
  return inNamespace(namespace, () => openSocket(family, SOCK_STREAM, 0));
}

let isPoolWarm = false;

/** uv_queue_work makes all of the pool's threads, and waits until they run, inside the first call. */
function warmThreadPool(): void {
  if (isPoolWarm) return;
  isPoolWarm = true;
  stat('/', () => undefined);
}

/** The namespace that this thread is in; windows nest. Each worker thread has its own copy of this module and so of this. */
let current: number | undefined;

/** Opened once, while the thread is at home. */
function currentFd(): number {
  current ??= openSync('/proc/thread-self/ns/net', constants.O_RDONLY);
  return current;
}

function comeBack(fd: number): void {
  try {
    setNetworkNamespace(fd);
    current = fd;
  } catch (error) {
    writeSync(
      2,
      `Cannot come back from a network namespace: ${String(error)}; the process ends so that it does nothing in the wrong one\n`,
    );
    process.abort();
  }
}

let namespaceDevice: number | undefined;

/** Every namespace's file is on the one nsfs, and nothing else is. statfs(2) would walk the path once more, at ten times the cost. */
function isNamespaceFile(fd: number): boolean {
  namespaceDevice ??= fstatSync(currentFd()).dev;
  return fstatSync(fd).dev === namespaceDevice;
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
