/**
 * Routes of both families as data: what is read, what is written, what can go wrong. Their messages: route-message.ts; writing them:
 * route-change.ts; reading the kernel's: route-list.ts.
 *
 * `metric` is what the kernel holds: IPv6 metric 0 means 1024, and dumps say 1024.
 */
import type { IpAddress, IpPrefix } from 'node-bgp/address';
import type { NetlinkError } from './netlink-error.js';

/** The main table, which `ip route` and `route -n` show. */
export const MAIN_TABLE = 254;
/** /etc/iproute2/rt_protos: what the kernel makes itself, and Tortie's own (node-view.md). */
export const PROTOCOL_KERNEL = 2;
export const PROTOCOL_TORTIE = 171;
export const PROTOCOL_TORTIE_BGP = 172;
/** The metric that IPv6 routes get when none is given (IP6_RT_PRIO_USER). */
export const IPV6_DEFAULT_METRIC = 1024;

/** One way out. Either field may be missing, not both: a gateway alone is resolved by the kernel, an interface alone is on link. */
export interface NextHop {
  readonly via?: IpAddress;
  readonly interfaceIndex?: number;
  /** 1 (default) to 256, in proportion to the others. */
  readonly weight?: number;
  /** The gateway is taken to be on the interface's link, whatever the addresses say. */
  readonly isOnlink?: boolean;
  /** Observed only: the interface lost its carrier, or is down; the kernel does not use this next hop. */
  readonly isDead?: boolean;
  readonly isLinkDown?: boolean;
}

/** `other`: a type that this list does not know; in a deletion, whichever type the route has. */
export type RouteType =
  | 'unicast'
  | 'local'
  | 'broadcast'
  | 'anycast'
  | 'multicast'
  | 'blackhole'
  | 'unreachable'
  | 'prohibit'
  | 'throw'
  | 'nat'
  | 'other';

export interface Route {
  readonly prefix: IpPrefix;
  readonly type: RouteType;
  readonly table: number;
  readonly protocol: number;
  /** RT_SCOPE_*: 0 universe, 253 link, 254 host. */
  readonly scope: number;
  /** 0 is best. IPv6: never 0. */
  readonly metric: number;
  /** Empty for blackhole, unreachable, prohibit and throw. More than one: multipath. */
  readonly nextHops: readonly NextHop[];
  /** The nexthop object that says where the route leads (nexthop.ts). Written instead of `nextHops`. */
  readonly nexthopId?: number;
  /** Source address of packets that this machine itself sends along the route. */
  readonly preferredSource?: IpAddress;
  /** Observed only: installed in hardware, cloned and the like (RTM_F_*). */
  readonly flags?: number;
}

export interface RouteChange {
  /**
   * `add` fails with EEXIST if any route of this table, prefix and metric exists, whoever made it. `replace` takes its place,
   * *whoever made it*: look first. `delete` removes only a route of the same type, protocol and metric, and of the same next
   * hops unless it names none.
   */
  readonly type: 'add' | 'replace' | 'delete';
  readonly route: RouteRequest;
}

/** A route to write; what is left out has the defaults of `ip route`. */
export type RouteRequest = Pick<Route, 'prefix' | 'protocol' | 'nextHops'> &
  Partial<Pick<Route, 'type' | 'table' | 'scope' | 'metric' | 'preferredSource' | 'nexthopId'>>;

/** Change `index` was refused. */
export interface RouteFailure {
  readonly index: number;
  readonly change: RouteChange;
  readonly error: NetlinkError;
}

export interface RouteFilter {
  /** Default: both. */
  readonly family?: 4 | 6;
  /** Default: the main table. */
  readonly table?: number;
  readonly protocol?: number;
  /** Routes of these are passed over before they are decoded. */
  readonly notOfProtocols?: readonly number[];
  readonly interfaceIndex?: number;
}
