/**
 * The routes that this node has for itself, protocol `tortie` (171): one per local pod address, a blackhole per own block, so that a
 * packet to an address nobody has does not leave by the default route and come back, one to each BGP peer that a resource says
 * is behind a gateway, and those to other nodes' pods that go through a tunnel, or would if the node were farther away.
 *
 * Level-triggered: the caller states the whole set; observe, diff, apply. Only routes of our protocol in the main table are
 * ever removed. A route of somebody else with the same prefix and metric stays and becomes a sentence in the answer.
 * Learned routes (protocol 172) are the BGP daemon's.
 */
import { bitsOf, formatAddress, formatPrefix, type IpAddress, type IpPrefix } from 'node-bgp/address';
import { findLink, listLinks } from './netlink/link.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';
import {
  IPV6_DEFAULT_METRIC,
  PROTOCOL_TORTIE,
  type Route,
  type RouteChange,
  type RouteFailure,
  type RouteRequest,
} from './netlink/route.js';
import { applyRouteChanges } from './netlink/route-change.js';
import { listRoutes } from './netlink/route-list.js';
import { protocolName } from './netlink/route-protocol.js';
import { RepairLedger } from './repair-ledger.js';

export type OwnRoute =
  | { readonly type: 'pod'; readonly prefix: IpPrefix; readonly hostInterface: string }
  /** Never for a block of one address: that would be its pod's own route. */
  | { readonly type: 'blackhole'; readonly prefix: IpPrefix }
  /** Over whichever link the gateway is on. `field`: who asked for it and where, as `BGPPeer/rack spec.reachableBy`. */
  | { readonly type: 'gateway'; readonly prefix: IpPrefix; readonly gateway: IpAddress; readonly field: string }
  /** To pods of another node. Without an interface over whichever link the gateway is on. */
  | {
      readonly type: 'overlay';
      readonly prefix: IpPrefix;
      readonly gateway: IpAddress;
      readonly interfaceName?: string;
    };

/** What leads to pods of other nodes goes before what BGP has learned (by default 20, src/bgpd/daemon.ts), whatever else that does. */
const OVERLAY_METRIC = 5;

export class OwnRouteTable {
  /**
   * Interface indexes by name, as last seen. An entry that is out of date does no harm: the interface took its route along, so
   * the route is missing, and then the name is looked up again. BOUNDED by the routes of the last call.
   */
  private indexes = new Map<string, number>();
  /** What the kernel had after the last call: what of it is missing now, somebody has taken away. BOUNDED by the routes of the call. */
  private before: ReadonlyMap<bigint, RouteRequest> = new Map();
  private readonly repairs = new RepairLedger(() => performance.now());

  /** @param socket of family 'route', in the node's namespace; also used by others, between calls. */
  constructor(private readonly socket: NetlinkSocket) {}

  /**
   * Makes the kernel's routes of our protocol exactly these; returns a sentence for each that it refused. A pod whose
   * interface does not exist has no route, and that is no refusal: it is being connected or disconnected. A route that somebody takes away
   * again and again is put back ever more rarely, and has a sentence too.
   */
  level(routes: readonly OwnRoute[]): readonly string[] {
    const observed = listRoutes(this.socket, { protocol: PROTOCOL_TORTIE });
    const desired = this.resolve(routes, observed);
    const { now: changes, heldBack } = this.admit(diffRoutes(desired, observed));
    // ENODEV, ESRCH: interface and route went between the look and the deed.
    const failures = applyRouteChanges(this.socket, changes);
    const missing = new Set(failures.map(({ change }) => keyOf(change.route)));
    this.before = new Map(desired.map((route) => [keyOf(route), route] as const).filter(([key]) => !missing.has(key)));
    const refused = failures.filter(({ error }) => error.code !== 'ENODEV' && error.code !== 'ESRCH');
    return [
      ...(refused.length === 0 ? [] : this.explain(refused, routes)),
      ...heldBack.map(
        (prefix) =>
          `Cannot keep the route to ${prefix}: somebody else keeps changing or removing it; ` +
          'it is put right ever more rarely, up to once a minute',
      ),
    ];
  }

  /** Which changes are made now: all but repairs of what has been repaired too often. */
  private admit(changes: readonly RouteChange[]): {
    readonly now: readonly RouteChange[];
    readonly heldBack: readonly string[];
  } {
    this.repairs.forget();
    const isRepair = ({ route }: RouteChange): boolean => isSameRequest(this.before.get(keyOf(route)), route);
    const repaired = changes.filter((change) => change.type === 'add' && isRepair(change));
    const { now } = this.repairs.admit(repaired, ({ route }) => formatPrefix(route.prefix));
    const admitted = new Set(now);
    const heldBack = new Set(
      repaired.filter((change) => !admitted.has(change)).map(({ route }) => formatPrefix(route.prefix)),
    );
    // A strange route in our place goes when ours comes.
    return {
      now: changes.filter(({ route }) => !heldBack.has(formatPrefix(route.prefix))),
      heldBack: [...heldBack],
    };
  }

  /** Interface names to indexes. A look-up in the kernel only where the route is not there as remembered. */
  private resolve(routes: readonly OwnRoute[], observed: readonly Route[]): readonly RouteRequest[] {
    const present = new Map(observed.map((route) => [keyOf(route), route.nextHops[0]?.interfaceIndex]));
    const indexes = new Map<string, number>();
    const indexOf = (name: string, route: Omit<RouteRequest, 'nextHops'>): number | undefined => {
      const known = indexes.get(name) ?? this.indexes.get(name);
      const isConfirmed = known !== undefined && present.get(keyOf({ ...route, nextHops: [] })) === known;
      const index = isConfirmed ? known : findLink(this.socket, { name })?.index;
      if (index !== undefined) indexes.set(name, index);
      return index;
    };
    const requests = routes.flatMap((route): RouteRequest[] => {
      const base = { prefix: route.prefix, protocol: PROTOCOL_TORTIE };
      if (route.type === 'blackhole')
        return route.prefix.length === bitsOf(route.prefix.family)
          ? []
          : [{ ...base, type: 'blackhole', nextHops: [] }];
      if (route.type === 'gateway') return [{ ...base, type: 'unicast', nextHops: [{ via: route.gateway }] }];
      if (route.type === 'overlay') {
        const { gateway: via, interfaceName } = route;
        const unicast = { ...base, type: 'unicast', metric: OVERLAY_METRIC } as const;
        if (interfaceName === undefined) return [{ ...unicast, nextHops: [{ via }] }];
        const interfaceIndex = indexOf(interfaceName, unicast);
        // No address of the tunnel's makes an IPv4 gateway one of its link. IPv6 gateways are link-local.
        return interfaceIndex === undefined
          ? []
          : [{ ...unicast, nextHops: [{ via, interfaceIndex, isOnlink: via.family === 4 }] }];
      }
      const interfaceIndex = indexOf(route.hostInterface, base);
      return interfaceIndex === undefined ? [] : [{ ...base, type: 'unicast', nextHops: [{ interfaceIndex }] }];
    });
    this.indexes = indexes;
    return requests;
  }

  /** Who is in the way, where somebody is. */
  private explain(refused: readonly RouteFailure[], routes: readonly OwnRoute[]): readonly string[] {
    const isTaken = refused.some(({ error }) => error.code === 'EEXIST');
    const present = new Map(isTaken ? listRoutes(this.socket).map((route) => [keyOf(route), route]) : []);
    const names = new Map(isTaken ? listLinks(this.socket).map(({ index, name }) => [index, name]) : []);
    return refused.map(({ error, change }) => {
      const wanted = routes.find(({ prefix }) => formatPrefix(prefix) === formatPrefix(change.route.prefix));
      if (wanted?.type === 'gateway' && isUnreachable(error.code))
        return `${wanted.field} is "${formatAddress(wanted.gateway)}"; expected a gateway on a link of this node: ${error.message}`;
      const other = error.code === 'EEXIST' ? present.get(keyOf(change.route)) : undefined;
      return other === undefined
        ? error.message
        : `${error.message}; somebody has the route "${describe(other, names)}"`;
    });
  }
}

const isSameRequest = (a: RouteRequest | undefined, b: RouteRequest): boolean =>
  a !== undefined &&
  (a.type ?? 'unicast') === (b.type ?? 'unicast') &&
  a.nextHops.length === b.nextHops.length &&
  a.nextHops.every(({ via, interfaceIndex }, index) => {
    const other = b.nextHops[index];
    return other?.interfaceIndex === interfaceIndex && other?.via?.value === via?.value;
  });

/**
 * Changes that turn the observed routes into the desired ones. A route that changes is deleted and added, not replaced:
 * the kernel replaces the first route of that prefix, which might be somebody else's.
 */
export function diffRoutes(desired: readonly RouteRequest[], observed: readonly Route[]): readonly RouteChange[] {
  const missing = new Map(desired.map((route) => [keyOf(route), route]));
  const changes: RouteChange[] = [];
  for (const route of observed) {
    const key = keyOf(route);
    const wanted = missing.get(key);
    if (wanted !== undefined && isAsWanted(route, wanted)) missing.delete(key);
    else changes.push({ type: 'delete', route });
  }
  for (const route of missing.values()) changes.push({ type: 'add', route });
  return changes;
}

/** What makes two routes the same place in a table, in one number: address, length, metric, family. */
function keyOf({ prefix, metric = prefix.family === 6 ? IPV6_DEFAULT_METRIC : 0 }: RouteRequest): bigint {
  return (prefix.value << 48n) | BigInt((prefix.length * 0x1_0000_0000 + metric) * 2 + (prefix.family === 6 ? 1 : 0));
}

function isAsWanted(route: Route, wanted: RouteRequest): boolean {
  const [hop] = route.nextHops;
  const [wantedHop] = wanted.nextHops;
  return (
    route.type === (wanted.type ?? 'unicast') &&
    route.nextHops.length === wanted.nextHops.length &&
    hop?.via?.value === wantedHop?.via?.value &&
    ((wantedHop?.via !== undefined && wantedHop.interfaceIndex === undefined) ||
      hop?.interfaceIndex === wantedHop?.interfaceIndex)
  );
}

/** The gateway is on no link (IPv4, IPv6), or is this node itself. */
const isUnreachable = (code: string): boolean => ['ENETUNREACH', 'EHOSTUNREACH', 'EINVAL'].includes(code);

/** As `ip route` shows it. */
function describe(route: Route, names: ReadonlyMap<number, string>): string {
  const hops = route.nextHops.map(({ via, interfaceIndex }) => {
    const name = interfaceIndex === undefined ? undefined : (names.get(interfaceIndex) ?? 'an interface that has gone');
    return `${via === undefined ? '' : ` via ${formatAddress(via)}`}${name === undefined ? '' : ` dev ${name}`}`;
  });
  const type = route.type === 'unicast' ? '' : `${route.type} `;
  return `${type}${formatPrefix(route.prefix)}${hops.join(' nexthop')} proto ${protocolName(route.protocol)}`;
}
