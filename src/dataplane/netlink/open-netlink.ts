/** Netlink sockets of the calling thread's namespace, and their options. netlink(7), socket(7). */
import { endianness } from 'node:os';
import {
  AF_NETLINK,
  bindSocket,
  closeFd,
  openSocket,
  setSocketOption,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_RAW,
  SOL_SOCKET,
  socketName,
} from '../libc.js';
import { SystemError } from '../system-error.js';

/** struct sockaddr_nl: family(2) pad(2) port id(4, 0: the kernel chooses) groups(4) */
const ANY_PORT = new Uint8Array(Uint16Array.of(AF_NETLINK, 0, 0, 0, 0, 0).buffer);

/** A bound netlink socket of the calling thread's namespace. */
export function openNetlink(protocol: number): number {
  const fd = openSocket(AF_NETLINK, SOCK_RAW, protocol);
  try {
    bindSocket(fd, ANY_PORT);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

/** Of a bound socket. struct sockaddr_nl: family(2) pad(2) port id(4). */
export function portIdOf(fd: number): number {
  const name = socketName(fd);
  return new DataView(name.buffer, name.byteOffset).getUint32(4, endianness() === 'LE');
}

/** Beyond net.core.rmem_max where we may (CAP_NET_ADMIN), up to it otherwise. */
export function setReceiveBuffer(fd: number, size: number): void {
  if (!trySocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, size)) setSocketOption(fd, SOL_SOCKET, SO_RCVBUF, size);
}

/** As `setReceiveBuffer`, with net.core.wmem_max. */
export function setSendBuffer(fd: number, size: number): void {
  if (!trySocketOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, size)) setSocketOption(fd, SOL_SOCKET, SO_SNDBUF, size);
}

/** False if the kernel refuses the option; for options that are an improvement, not a need. */
export function trySocketOption(fd: number, level: number, option: number, value = 1): boolean {
  try {
    setSocketOption(fd, level, option, value);
    return true;
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}
