/**
 * Routes of both families as data, and as rtnetlink messages (RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE; linux/rtnetlink.h).
 *
 * ```
 * struct rtmsg:     family(1) dst_len(1) src_len(1) tos(1) table(1) protocol(1) scope(1) type(1) flags(4), attributes
 * struct rtnexthop: length(2) flags(1) weight-1(1) interface index(4), attributes
 * ```
 *
 * Kernel quirks that this file hides:
 * - IPv6 has no link scope: routes are global scope there and the kernel ignores what it is told.
 * - IPv6 metric 0 means 1024, and dumps say 1024; `metric` here is what the kernel holds.
 * - An IPv4 next hop that is IPv6 travels as RTA_VIA (RFC 8950).
 */
import { addressToBytes, formatPrefix, type IpAddress, type IpPrefix, prefixOf } from 'node-bgp/address';
import { AF_INET, AF_INET6 } from '../libc.js';
import { NetlinkBatch, type Subject } from './batch.js';
import { forEachAttribute, NetlinkProtocolError, Octets, type NetlinkMessage } from './message.js';
import { NetlinkError } from './netlink-error.js';
import type { NetlinkSocket } from './netlink-socket.js';
import { HEADER_SIZE, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from './protocol.js';

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

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
export type RouteType = 'unicast' | 'local' | 'broadcast' | 'anycast' | 'multicast' | 'blackhole' | 'unreachable' | 'prohibit' | 'throw' | 'nat' | 'other';

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
export type RouteRequest = Pick<Route, 'prefix' | 'protocol' | 'nextHops'> & Partial<Pick<Route, 'type' | 'table' | 'scope' | 'metric' | 'preferredSource'>>;

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
  readonly interfaceIndex?: number;
}

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;

const RTNH_F_DEAD = 1;
const RTNH_F_ONLINK = 4;
const RTNH_F_LINKDOWN = 16;
const RTM_F_CLONED = 0x200;

const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;

/** RTN_*, by number. */
const ROUTE_TYPES: readonly RouteType[] =
  ['other', 'unicast', 'local', 'broadcast', 'anycast', 'multicast', 'blackhole', 'unreachable', 'prohibit', 'throw', 'nat'];

/** Appends one change as one message. */
export function writeRouteChange(batch: NetlinkBatch, change: RouteChange): void {
  const { route } = change;
  const isDelete = change.type === 'delete';
  const flags = isDelete ? 0 : NLM_F_CREATE | (change.type === 'add' ? NLM_F_EXCL : NLM_F_REPLACE);
  batch.beginMessage(isDelete ? RTM_DELROUTE : RTM_NEWROUTE, flags, () => `${change.type} route ${formatPrefix(route.prefix)}`);
  writeRoute(batch, route, isDelete);
  batch.endMessage();
}

/** A change of a route to any prefix of a family: the message with the prefix left open. */
export interface RouteTemplate {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
  readonly subject: Subject;
}

export function routeTemplate(type: RouteChange['type'], family: 4 | 6, route: Omit<RouteRequest, 'prefix'>): RouteTemplate {
  const batch = new NetlinkBatch(256);
  // A prefix of full length, so that RTA_DST is there: it comes first.
  writeRouteChange(batch, { type, route: { ...route, prefix: { family, value: 0n, length: family === 4 ? 32 : 128 } } });
  return { family, bytes: batch.bytes.slice(), subject: (bytes, start) => `${type} route ${formatPrefix(prefixInMessage(bytes, start))}` };
}

/** Appends a template's message for a prefix; its address stands in `words` from `at` on. */
export function writeFromTemplate(batch: NetlinkBatch, { family, bytes, subject }: RouteTemplate, words: Uint32Array, at: number, length: number): void {
  const start = batch.copyMessage(bytes, subject);
  batch.patchU8(start + DST_LENGTH_AT, length);
  const count = family === 4 ? 1 : 4;
  for (let i = 0; i < count; i++) batch.patchU32be(start + DST_AT + 4 * i, words[at + i] ?? 0);
}

/** The prefix of a message that came from a template. */
function prefixInMessage(bytes: Uint8Array, start: number): IpPrefix {
  const family = bytes[start + HEADER_SIZE] === AF_INET ? 4 : 6;
  return prefixOf(new Octets(bytes).address(start + DST_AT, start + DST_AT + (family === 4 ? 4 : 16)), bytes[start + DST_LENGTH_AT] ?? 0);
}

/** A change as it stands in a batch: for whoever has to know what a refused message was. */
export function decodeRouteChange(bytes: Uint8Array, start: number, end: number): { readonly isDelete: boolean; readonly prefix: IpPrefix; readonly metric: number } {
  const octets = new Octets(bytes.subarray(start, end));
  const type = octets.u16(4);
  const route = decodeRoute({ type, flags: 0, sequence: 0, portId: 0, body: new Octets(octets.slice(HEADER_SIZE, end - start)) });
  if (route === undefined) throw new NetlinkProtocolError('Cannot decode a route change of an unknown family');
  return { isDelete: type === RTM_DELROUTE, prefix: route.prefix, metric: route.metric };
}

/** Applies changes in order; returns those that the kernel refused. An empty answer means that all are in the kernel. */
export function applyRouteChanges(socket: NetlinkSocket, changes: readonly RouteChange[]): readonly RouteFailure[] {
  const { batch } = socket;
  const failures: RouteFailure[] = [];
  for (let start = 0; start < changes.length; start += CHANGES_PER_BATCH) {
    batch.clear();
    const part = changes.slice(start, start + CHANGES_PER_BATCH);
    for (const change of part) writeRouteChange(batch, change);
    for (const failure of socket.transact(batch)) {
      const change = part[failure.index];
      if (change !== undefined) failures.push({ index: start + failure.index, change, error: failure.error });
    }
  }
  return failures;
}

/** BOUNDED: keeps the batch's buffer in the cache and small. */
const CHANGES_PER_BATCH = 256;

/** Every route that the filter lets through; cached ("cloned") routes are left out. */
export function listRoutes(socket: NetlinkSocket, filter: RouteFilter = {}): Route[] {
  const families = filter.family === undefined ? ([4, 6] as const) : [filter.family];
  return families.flatMap((family) => listFamily(socket, family, filter));
}

/** Decodes RTM_NEWROUTE and RTM_DELROUTE; undefined for families other than IPv4 and IPv6. */
export function decodeRoute(message: NetlinkMessage): Route | undefined {
  const { body } = message;
  const family = body.u8(0);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const width = family === AF_INET ? 4 : 16;
  const length = body.u8(1);
  if (length > width * 8) throw new NetlinkProtocolError(`Cannot decode a route of prefix length ${length}: expected at most ${width * 8}`);
  const draft: RouteDraft = { table: body.u8(4), metric: 0, prefix: undefined, preferredSource: undefined, single: {}, multipath: [] };
  const flags = body.u32(8);
  forEachAttribute(body, RTMSG_SIZE, body.length, (type, start, end) => readRouteAttribute(draft, body, type, start, end));
  const isOnlink = (flags & RTNH_F_ONLINK) !== 0;
  const hasSingle = draft.single.via !== undefined || draft.single.interfaceIndex !== undefined;
  const nextHops = draft.multipath.length > 0 ? draft.multipath
    : hasSingle ? [withFlags(draft.single, flags, isOnlink)] : [];
  return {
    prefix: prefixOf(draft.prefix ?? { family: family === AF_INET ? 4 : 6, value: 0n }, length),
    type: ROUTE_TYPES[body.u8(7)] ?? 'other',
    table: draft.table,
    protocol: body.u8(5),
    scope: body.u8(6),
    metric: draft.metric,
    nextHops: hasWayOut(body.u8(7)) ? nextHops : [],
    preferredSource: draft.preferredSource,
    flags: flags & ~0xff,
  };
}

const RTMSG_SIZE = 12;
/** In a message that starts with RTA_DST. */
const DST_LENGTH_AT = HEADER_SIZE + 1;
const DST_AT = HEADER_SIZE + RTMSG_SIZE + 4;

interface RouteDraft {
  table: number;
  metric: number;
  prefix: IpAddress | undefined;
  preferredSource: IpAddress | undefined;
  single: { via?: IpAddress; interfaceIndex?: number };
  multipath: NextHop[];
}

function readRouteAttribute(draft: RouteDraft, body: Octets, type: number, start: number, end: number): void {
  switch (type) {
    case RTA_DST:
      draft.prefix = body.address(start, end);
      return;
    case RTA_OIF:
      draft.single.interfaceIndex = body.u32(start);
      return;
    case RTA_GATEWAY:
      draft.single.via = body.address(start, end);
      return;
    case RTA_VIA:
      // struct rtvia: family(2) address
      draft.single.via = body.address(start + 2, end);
      return;
    case RTA_PRIORITY:
      draft.metric = body.u32(start);
      return;
    case RTA_PREFSRC:
      draft.preferredSource = body.address(start, end);
      return;
    case RTA_TABLE:
      draft.table = body.u32(start);
      return;
    case RTA_MULTIPATH:
      draft.multipath = readNextHops(body, start, end);
      return;
    default:
  }
}

function readNextHops(body: Octets, start: number, end: number): NextHop[] {
  const hops: NextHop[] = [];
  let at = start;
  while (at + RTNEXTHOP_SIZE <= end) {
    const length = body.u16(at);
    if (length < RTNEXTHOP_SIZE || at + length > end)
      throw new NetlinkProtocolError(`Cannot decode a next hop of length ${length}: expected ${RTNEXTHOP_SIZE} to ${end - at}`);
    const hop: { via?: IpAddress; interfaceIndex?: number; weight?: number } = { interfaceIndex: body.u32(at + 4), weight: body.u8(at + 3) + 1 };
    forEachAttribute(body, at + RTNEXTHOP_SIZE, at + length, (type, from, to) => {
      if (type === RTA_GATEWAY) hop.via = body.address(from, to);
      else if (type === RTA_VIA) hop.via = body.address(from + 2, to);
    });
    const flags = body.u8(at + 2);
    hops.push(withFlags(hop, flags, (flags & RTNH_F_ONLINK) !== 0));
    at += (length + 3) & ~3;
  }
  return hops;
}

const RTNEXTHOP_SIZE = 8;

/** Only flags that are set appear, so that equal next hops have equal fields. */
function withFlags(hop: NextHop, flags: number, isOnlink: boolean): NextHop {
  if ((flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) === 0 && !isOnlink) return hop;
  return {
    ...hop,
    ...(isOnlink ? { isOnlink } : {}),
    ...((flags & RTNH_F_DEAD) !== 0 ? { isDead: true } : {}),
    ...((flags & RTNH_F_LINKDOWN) !== 0 ? { isLinkDown: true } : {}),
  };
}

/** Blackhole, unreachable, prohibit and throw lead nowhere (IPv6 shows them on `lo`). */
const hasWayOut = (type: number): boolean => type < 6 || type > 9;

function listFamily(socket: NetlinkSocket, family: 4 | 6, filter: RouteFilter): Route[] {
  const table = filter.table ?? MAIN_TABLE;
  const routes: Route[] = [];
  const { batch } = socket;
  batch.clear();
  batch.beginMessage(RTM_GETROUTE, 0, () => `list IPv${family} routes`);
  writeHeader(batch, { family, length: 0, table, protocol: filter.protocol ?? 0, scope: 0, type: 0, flags: 0 });
  // With NETLINK_GET_STRICT_CHK the kernel filters by these; without, everything comes and is filtered below.
  batch.attributeU32(RTA_TABLE, table);
  if (filter.interfaceIndex !== undefined) batch.attributeU32(RTA_OIF, filter.interfaceIndex);
  batch.endMessage();
  const keep = (message: NetlinkMessage): void => {
    if (message.type !== RTM_NEWROUTE) return;
    const route = decodeRoute(message);
    // A kernel without IPv6 answers with all families that it has.
    if (route?.prefix.family === family && passes(route, table, filter)) routes.push(route);
  };
  try {
    socket.dump(batch, keep, () => routes.splice(0));
  } catch (error) {
    // Tables come to be with their first route.
    if (!(error instanceof NetlinkError && error.code === 'ENOENT')) throw error;
  }
  return routes;
}

function passes(route: Route, table: number, filter: RouteFilter): boolean {
  return route.table === table
    && ((route.flags ?? 0) & RTM_F_CLONED) === 0
    && (filter.protocol === undefined || route.protocol === filter.protocol)
    && (filter.interfaceIndex === undefined || route.nextHops.some((hop) => hop.interfaceIndex === filter.interfaceIndex));
}

interface RtmsgFields {
  readonly family: 4 | 6;
  readonly length: number;
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  readonly type: number;
  readonly flags: number;
}

function writeHeader(batch: NetlinkBatch, fields: RtmsgFields): void {
  batch.u8(fields.family === 4 ? AF_INET : AF_INET6);
  batch.u8(fields.length);
  batch.u16(0);
  batch.u8(fields.table < 256 ? fields.table : 0);
  batch.u8(fields.protocol);
  batch.u8(fields.scope);
  batch.u8(fields.type);
  batch.u32(fields.flags);
}

function writeRoute(batch: NetlinkBatch, route: RouteRequest, isDelete: boolean): void {
  const { prefix, nextHops } = route;
  const type = route.type ?? 'unicast';
  const table = route.table ?? MAIN_TABLE;
  const [only] = nextHops;
  const isMultipath = nextHops.length > 1;
  writeHeader(batch, {
    family: prefix.family,
    length: prefix.length,
    table,
    protocol: route.protocol,
    scope: route.scope ?? (isDelete ? RT_SCOPE_NOWHERE : defaultScope(route)),
    type: ROUTE_TYPES.indexOf(type),
    flags: !isMultipath && only?.isOnlink === true ? RTNH_F_ONLINK : 0,
  });
  writeAddress(batch, RTA_DST, prefix);
  if (table > 255) batch.attributeU32(RTA_TABLE, table);
  if (route.metric !== undefined && route.metric !== 0) batch.attributeU32(RTA_PRIORITY, route.metric);
  if (route.preferredSource !== undefined && !isDelete) writeAddress(batch, RTA_PREFSRC, route.preferredSource);
  if (isMultipath) writeMultipath(batch, prefix.family, nextHops);
  else if (only !== undefined) {
    if (only.interfaceIndex !== undefined) batch.attributeU32(RTA_OIF, only.interfaceIndex);
    if (only.via !== undefined) writeGateway(batch, prefix.family, only.via);
  }
}

/** As iproute2 chooses: a unicast route without gateway is on link; everything else is universe. */
function defaultScope(route: RouteRequest): number {
  const isOnLink = (route.type ?? 'unicast') === 'unicast' && route.nextHops.length === 1 && route.nextHops[0]?.via === undefined;
  return isOnLink && route.prefix.family === 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

function writeMultipath(batch: NetlinkBatch, family: 4 | 6, hops: readonly NextHop[]): void {
  const nest = batch.beginNest(RTA_MULTIPATH);
  for (const hop of hops) {
    const start = batch.mark;
    batch.u16(0);
    batch.u8(hop.isOnlink === true ? RTNH_F_ONLINK : 0);
    batch.u8((hop.weight ?? 1) - 1);
    batch.u32(hop.interfaceIndex ?? 0);
    if (hop.via !== undefined) writeGateway(batch, family, hop.via);
    batch.patchU16(start, batch.mark - start);
  }
  batch.endNest(nest);
}

function writeGateway(batch: NetlinkBatch, family: 4 | 6, via: IpAddress): void {
  if (via.family === family) {
    writeAddress(batch, RTA_GATEWAY, via);
    return;
  }
  batch.attributeHeader(RTA_VIA, 18);
  batch.u16(via.family === 4 ? AF_INET : AF_INET6);
  batch.octets(addressToBytes(via));
  batch.pad();
}

function writeAddress(batch: NetlinkBatch, type: number, address: IpAddress): void {
  if (address.family === 4) batch.attributeU32be(type, Number(address.value));
  else {
    batch.attributeHeader(type, 16);
    batch.u64be(address.value >> 64n);
    batch.u64be(address.value & 0xffff_ffff_ffff_ffffn);
  }
}
