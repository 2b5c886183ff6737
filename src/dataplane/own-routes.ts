/**
 * The node's own routes (protocol `tortie`, 171): a host route to each local pod, a blackhole for each own block.
 *
 * Desired -> observed -> difference -> applied, every time from what the kernel says. Routes of other protocols are never changed:
 * where one stands in the way, ours is refused and the refusal says so.
 */
import { formatPrefix, type IpPrefix } from 'node-bgp/address';
import { podRoute } from './endpoint-layout.js';
import { listLinks } from './netlink/link.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';
import { applyRouteChanges, listRoutes, PROTOCOL_TORTIE, type Route, type RouteChange, type RouteRequest } from './netlink/route.js';

export type OwnRoute =
  | { readonly type: 'blackhole'; readonly prefix: IpPrefix }
  | { readonly type: 'pod'; readonly prefix: IpPrefix; readonly hostInterface: string };

export class OwnRouteTable {
  constructor(private readonly socket: NetlinkSocket) {}

  /**
   * Makes our routes exactly these. A pod whose interface is not there has no route: whoever makes the interface makes it too.
   * Returns a sentence for each route that the kernel refused.
   */
  level(desired: readonly OwnRoute[]): readonly string[] {
    const indexOf = new Map(listLinks(this.socket, { kind: 'veth' }).filter((link) => link.isUp).map((link) => [link.name, link.index]));
    const wanted = new Map<string, RouteRequest>();
    for (const route of desired) {
      const request = route.type === 'blackhole' ? blackholeRoute(route.prefix) : podRouteOf(route, indexOf);
      if (request !== undefined) wanted.set(formatPrefix(route.prefix), request);
    }
    const changes = changesBetween(listRoutes(this.socket, { protocol: PROTOCOL_TORTIE }), wanted);
    return applyRouteChanges(this.socket, changes).filter(({ change, error }) => !isGoneAlready(change, error.code)).map(({ change, error }) =>
      `Cannot ${change.type} route ${formatPrefix(change.route.prefix)}: ${error.code === 'EEXIST' ? 'a route that is not ours stands there' : error.message}`);
  }
}

/** Ours that nobody wants, or that lead elsewhere, go first: the new one takes the same place. */
export function changesBetween(observed: readonly Route[], wanted: ReadonlyMap<string, RouteRequest>): readonly RouteChange[] {
  const deletions: RouteChange[] = [];
  const right = new Set<string>();
  for (const route of observed) {
    const key = formatPrefix(route.prefix);
    const request = wanted.get(key);
    if (request !== undefined && !right.has(key) && isSame(route, request)) right.add(key);
    else deletions.push({ type: 'delete', route });
  }
  const additions = [...wanted].filter(([key]) => !right.has(key)).map(([, route]): RouteChange => ({ type: 'add', route }));
  return [...deletions, ...additions];
}

const blackholeRoute = (prefix: IpPrefix): RouteRequest => ({ prefix, protocol: PROTOCOL_TORTIE, type: 'blackhole', nextHops: [] });

function podRouteOf({ prefix, hostInterface }: { readonly prefix: IpPrefix; readonly hostInterface: string }, indexOf: ReadonlyMap<string, number>): RouteRequest | undefined {
  const index = indexOf.get(hostInterface);
  return index === undefined ? undefined : podRoute(prefix, index);
}

/** IPv6 shows a blackhole with the loopback as its next hop. */
function isSame(route: Route, request: RouteRequest): boolean {
  const type = request.type ?? 'unicast';
  if (route.type !== type) return false;
  if (type === 'blackhole') return true;
  return route.nextHops.length === 1 && route.nextHops[0]?.interfaceIndex === request.nextHops[0]?.interfaceIndex && route.nextHops[0]?.via === undefined;
}

/** A link that goes takes its routes along. */
const isGoneAlready = (change: RouteChange, code: string): boolean =>
  (change.type === 'delete' && code === 'ESRCH') || (change.type !== 'delete' && (code === 'ENODEV' || code === 'ENETDOWN'));
