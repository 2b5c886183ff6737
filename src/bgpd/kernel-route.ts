/**
 * A forwarding entry of the RIB as a kernel route, and whether a route that the kernel holds is that one. Pure.
 */
import type { Family, IpAddress, IpPrefix } from 'node-bgp/address';
import type { ForwardingEntry, ForwardingHop } from 'node-bgp/rib/forwarding-entry';
import { PROTOCOL_TORTIE_BGP, type NextHop, type Route, type RouteRequest } from '../dataplane/netlink/index.js';

export interface KernelRouteContext {
  /** Metric of routes whose policy asked for none. */
  readonly metric: number;
  /** Of IPv6 ones; default: the same. */
  readonly metricIpv6?: number;
  /** Source address of what this machine itself sends, per family; the kernel's choice where there is none. */
  readonly preferredSource: Readonly<Partial<Record<Family, IpAddress>>>;
  readonly indexOf: (interfaceName: string) => number | undefined;
}

/**
 * BOUNDED: octets of next hops in a message that lists the route. One of more than 3.7 KB ends every listing by a reader that has not read
 * before, `ip route` among them, with success and without the routes that follow; with a nexthop object no less, since listings spell
 * that out. 218 IPv4 next hops, 125 IPv6 ones.
 */
const MOST_HOP_OCTETS = 3_500;

/** struct rtnexthop, and the gateway as RTA_GATEWAY or, of the other family, RTA_VIA. */
function octetsOf({ via }: NextHop, family: Family): number {
  if (via === undefined) return 8;
  if (via.family !== family) return 8 + 24;
  return 8 + (via.family === 4 ? 8 : 20);
}

/**
 * Next hops beyond what a route can have are left out: `nextHops` is shorter then. Undefined when an interface is unknown by now: its
 * removal is about to arrive.
 */
export function kernelRoute(
  prefix: IpPrefix,
  entry: ForwardingEntry,
  context: KernelRouteContext,
): RouteRequest | undefined {
  const nextHops: NextHop[] = [];
  const isMultipath = entry.hops.length > 1;
  let octets = 0;
  for (const hop of entry.hops) {
    const nextHop = kernelNextHop(hop, isMultipath, context);
    if (nextHop === undefined) return undefined;
    octets += octetsOf(nextHop, prefix.family);
    if (octets > MOST_HOP_OCTETS) break;
    nextHops.push(nextHop);
  }
  const preferredSource = context.preferredSource[prefix.family];
  return {
    prefix,
    protocol: PROTOCOL_TORTIE_BGP,
    metric: entry.metric ?? (prefix.family === 6 ? (context.metricIpv6 ?? context.metric) : context.metric),
    nextHops,
    ...(preferredSource === undefined ? {} : { preferredSource }),
  };
}

function kernelNextHop(hop: ForwardingHop, isMultipath: boolean, context: KernelRouteContext): NextHop | undefined {
  const interfaceIndex = hop.interfaceName === undefined ? undefined : context.indexOf(hop.interfaceName);
  if (hop.interfaceName !== undefined && interfaceIndex === undefined) return undefined;
  return {
    ...(hop.address === undefined ? {} : { via: hop.address }),
    ...(interfaceIndex === undefined ? {} : { interfaceIndex }),
    ...(hop.isOnlink === true ? { isOnlink: true } : {}),
    ...(isMultipath ? { weight: Math.min(256, Math.max(1, hop.weight)) } : {}),
  };
}

/**
 * Does the one lead where the other would? Through a nexthop object, its number says where a route leads. A route
 * without says so itself, and is as good as one through the object; the order of its next hops does not count, the
 * kernel keeps its own.
 */
export function isSameRoute(held: Route, wanted: Omit<RouteRequest, 'prefix'>): boolean {
  return (
    held.type === 'unicast' &&
    held.metric === (wanted.metric ?? 0) &&
    sameAddress(held.preferredSource, wanted.preferredSource) &&
    (held.nexthopId === undefined
      ? held.nextHops.length === wanted.nextHops.length && hopsText(held.nextHops) === hopsText(wanted.nextHops)
      : held.nexthopId === wanted.nexthopId)
  );
}

const sameAddress = (a: IpAddress | undefined, b: IpAddress | undefined): boolean =>
  a?.family === b?.family && a?.value === b?.value;

const hopsText = (hops: readonly NextHop[]): string =>
  hops
    .map(
      ({ via, interfaceIndex, weight }) =>
        `${via?.family ?? ''} ${via?.value ?? ''} ${interfaceIndex ?? ''} ${weight ?? 1}`,
    )
    .sort()
    .join(',');
