/**
 * The kernel's routes as the configuration lets them count: what next hops may be reached through, and which addresses are on a link that
 * has no prefix with them in it.
 */
import { containsAddress, type IpAddress } from '../address.js';
import type { SpeakerConfig } from '../config.js';
import type { KernelRoute } from '../rib/contract.js';
import { isIgnored } from './connectivity.js';

/** Without defaults where they must not count, and without links that are ignored. */
export function countingRoutes(
  routes: readonly KernelRoute[],
  { resolveThroughDefault = true, ignoredInterfaces = [] }: SpeakerConfig,
): readonly KernelRoute[] {
  const isLink = ({ hops }: KernelRoute): boolean =>
    hops.some(
      ({ address, interfaceName }) =>
        address === undefined && interfaceName !== undefined && isIgnored(interfaceName, ignoredInterfaces),
    );
  return routes.filter((route) => (resolveThroughDefault || route.prefix.length > 0) && !isLink(route));
}

/** Is there a route to the address that leads over a link, to nobody in between? */
export const isOnDevice = (routes: readonly KernelRoute[], address: IpAddress): boolean =>
  routes.some(
    ({ prefix, hops }) =>
      prefix.length > 0 &&
      prefix.family === address.family &&
      containsAddress(prefix, address) &&
      hops.length > 0 &&
      hops.every((hop) => hop.address === undefined),
  );
