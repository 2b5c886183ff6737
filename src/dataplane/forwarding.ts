/**
 * Makes this machine a router, in the families its kernel has, without taking the machine's own routes away.
 *
 * A router does not listen to Router Advertisements: the moment IPv6 forwarding is turned on, the kernel throws away every default route
 * learned from one (rt6_purge_dflt_routers) and takes no further one, unless accept_ra of the interface is 2 (ip-sysctl.rst). So wherever
 * the machine listened before, it is told to go on, first.
 */
import type { Family } from 'node-bgp/address';
import { INTERFACE_PREFIX } from './endpoint-name.js';
import { listLinks } from './netlink/link.js';
import { NetlinkSocket } from './netlink/netlink-socket.js';
import { ensureSysctl, readSysctl, SysctlError, writeSysctl } from './sysctl.js';

export interface Forwarding {
  /** Those that the kernel has: IPv6 may have been switched off by ipv6.disable=1. */
  readonly families: readonly Family[];
  /** Interfaces that were told to go on listening to Router Advertisements. */
  readonly stillListening: readonly string[];
}

const ALL_FORWARDING = ['net', 'ipv6', 'conf', 'all', 'forwarding'];
const LISTENS_UNLESS_ROUTER = '1';
const LISTENS_ALWAYS = '2';

/** In the namespace of the calling thread. @throws SysctlError when a switch cannot be set */
export function enableForwarding(): Forwarding {
  ensureSysctl(['net', 'ipv4', 'ip_forward'], 1);
  const forwarding = tryReadSysctl(ALL_FORWARDING);
  if (forwarding === undefined) return { families: [4], stillListening: [] };
  const stillListening = forwarding === '0' ? keepListening() : [];
  ensureSysctl(ALL_FORWARDING, 1);
  return { families: [4, 6], stillListening };
}

/** The larger of "all" and the interface's own counts (ip-sysctl.rst), and 2 is the weaker check. A sentence when it is so. */
export function looseReversePath(): string | undefined {
  if (readSysctl(['net', 'ipv4', 'conf', 'all', 'rp_filter']) !== '2') return undefined;
  return (
    'net.ipv4.conf.all.rp_filter is 2: any source that has a route becomes a neighbour, so a pod can fill the table of ARP; ' +
    'expected 0 or 1'
  );
}

function keepListening(): readonly string[] {
  return interfaceNames().filter((name) => {
    const acceptRa = ['net', 'ipv6', 'conf', name, 'accept_ra'];
    if (name === 'lo' || name.startsWith(INTERFACE_PREFIX) || tryReadSysctl(acceptRa) !== LISTENS_UNLESS_ROUTER)
      return false;
    writeSysctl(acceptRa, LISTENS_ALWAYS);
    return true;
  });
}

function interfaceNames(): readonly string[] {
  const socket = new NetlinkSocket();
  try {
    return listLinks(socket).map(({ name }) => name);
  } finally {
    socket.close();
  }
}

function tryReadSysctl(path: readonly string[]): string | undefined {
  try {
    return readSysctl(path);
  } catch (error) {
    if (error instanceof SysctlError && error.isMissing) return undefined;
    throw error;
  }
}
