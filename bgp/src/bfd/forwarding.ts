/**
 * Would the kernel loop a peer's echoes? What a session says of itself (RFC 5880 section 6.8.1,
 * bfd.RequiredMinEchoRxInterval) has to be true.
 */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

/** Linux forwards IPv4 by interface, and IPv6 everywhere or nowhere (ip-sysctl.rst). false: it does not, or the address is not ours. */
export function forwardsFor(localAddress: string): boolean {
  const name = Object.entries(networkInterfaces()).find(([, addresses]) =>
    addresses?.some(({ address }) => address === localAddress),
  )?.[0];
  if (name === undefined) return false;
  const path = localAddress.includes(':')
    ? '/proc/sys/net/ipv6/conf/all/forwarding'
    : `/proc/sys/net/ipv4/conf/${name}/forwarding`;
  try {
    return readFileSync(path, 'utf8').trim() !== '0';
  } catch (error) {
    // The interface went meanwhile, or there is no IPv6.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
