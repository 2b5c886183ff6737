/**
 * Routes as rtnetlink messages (RTM_NEWROUTE, RTM_DELROUTE; linux/rtnetlink.h).
 *
 * ```
 * struct rtmsg:     family(1) dst_len(1) src_len(1) tos(1) table(1) protocol(1) scope(1) type(1) flags(4), attributes
 * struct rtnexthop: length(2) flags(1) weight-1(1) interface index(4), attributes
 * ```
 *
 * Kernel quirks that this file hides:
 * - IPv6 has no link scope: routes are global scope there and the kernel ignores what it is told.
 * - An IPv4 next hop that is IPv6 travels as RTA_VIA (RFC 8950).
 * - A route through a nexthop object names the object and nothing of what the object says. Read back it has both, unless the
 *   sysctl net.ipv4.nexthop_compat_mode is 0: then `nextHops` is empty.
 */
import { addressToBytes, type IpAddress, prefixOf } from 'node-bgp/address';
import { AF_INET, AF_INET6 } from '../libc.js';
import type { NetlinkBatch } from './batch.js';
import { forEachAttribute, NetlinkProtocolError, type NetlinkMessage, type Octets } from './message.js';
import { MAIN_TABLE, type NextHop, type Route, type RouteRequest, type RouteType } from './route.js';

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

const RTA_DST = 1;
export const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_MULTIPATH = 9;
export const RTA_TABLE = 15;
const RTA_VIA = 18;
const RTA_NH_ID = 30;

const RTNH_F_DEAD = 1;
const RTNH_F_ONLINK = 4;
const RTNH_F_LINKDOWN = 16;

const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;

/** RTN_*, by number. */
const ROUTE_TYPES: readonly RouteType[] = [
  'other',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
  'nat',
];

/** Decodes RTM_NEWROUTE and RTM_DELROUTE; undefined for families other than IPv4 and IPv6. */
export function decodeRoute(message: NetlinkMessage): Route | undefined {
  const { body } = message;
  const family = body.u8(0);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const width = family === AF_INET ? 4 : 16;
  const length = body.u8(1);
  if (length > width * 8)
    throw new NetlinkProtocolError(`Cannot decode a route of prefix length ${length}: expected at most ${width * 8}`);
  const draft: RouteDraft = {
    table: body.u8(4),
    metric: 0,
    prefix: undefined,
    preferredSource: undefined,
    nexthopId: undefined,
    single: {},
    multipath: [],
  };
  const flags = body.u32(8);
  forEachAttribute(body, RTMSG_SIZE, body.length, (type, start, end) =>
    readRouteAttribute(draft, body, type, start, end),
  );
  const isOnlink = (flags & RTNH_F_ONLINK) !== 0;
  const hasSingle = draft.single.via !== undefined || draft.single.interfaceIndex !== undefined;
  const nextHops =
    draft.multipath.length > 0 ? draft.multipath : hasSingle ? [withFlags(draft.single, flags, isOnlink)] : [];
  return {
    prefix: prefixOf(draft.prefix ?? { family: family === AF_INET ? 4 : 6, value: 0n }, length),
    type: ROUTE_TYPES[body.u8(7)] ?? 'other',
    table: draft.table,
    protocol: body.u8(5),
    scope: body.u8(6),
    metric: draft.metric,
    nextHops: hasWayOut(body.u8(7)) ? nextHops : [],
    preferredSource: draft.preferredSource,
    ...(draft.nexthopId === undefined ? {} : { nexthopId: draft.nexthopId }),
    flags: flags & ~0xff,
  };
}

export const RTMSG_SIZE = 12;

interface RouteDraft {
  table: number;
  metric: number;
  prefix: IpAddress | undefined;
  preferredSource: IpAddress | undefined;
  nexthopId: number | undefined;
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
    case RTA_NH_ID:
      draft.nexthopId = body.u32(start);
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
      throw new NetlinkProtocolError(
        `Cannot decode a next hop of length ${length}: expected ${RTNEXTHOP_SIZE} to ${end - at}`,
      );
    const hop: { via?: IpAddress; interfaceIndex?: number; weight?: number } = {
      interfaceIndex: body.u32(at + 4),
      weight: body.u8(at + 3) + 1,
    };
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

interface RtmsgFields {
  readonly family: 4 | 6;
  readonly length: number;
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  readonly type: number;
  readonly flags: number;
}

export function writeRouteHeader(batch: NetlinkBatch, fields: RtmsgFields): void {
  batch.u8(fields.family === 4 ? AF_INET : AF_INET6);
  batch.u8(fields.length);
  batch.u16(0);
  batch.u8(fields.table < 256 ? fields.table : 0);
  batch.u8(fields.protocol);
  batch.u8(fields.scope);
  batch.u8(fields.type);
  batch.u32(fields.flags);
}

/** The body of a message. Deletions by a nexthop object's number hit only a route through that object. */
export function writeRoute(batch: NetlinkBatch, route: RouteRequest, isDelete: boolean): void {
  const { prefix, nextHops } = route;
  const type = route.type ?? 'unicast';
  const table = route.table ?? MAIN_TABLE;
  const [only] = nextHops;
  const isMultipath = nextHops.length > 1;
  writeRouteHeader(batch, {
    family: prefix.family,
    length: prefix.length,
    table,
    protocol: route.protocol,
    scope: route.scope ?? (isDelete ? RT_SCOPE_NOWHERE : defaultScope(route)),
    type: ROUTE_TYPES.indexOf(type),
    flags: route.nexthopId === undefined && !isMultipath && only?.isOnlink === true ? RTNH_F_ONLINK : 0,
  });
  writeAddress(batch, RTA_DST, prefix);
  if (table > 255) batch.attributeU32(RTA_TABLE, table);
  if (route.metric !== undefined && route.metric !== 0) batch.attributeU32(RTA_PRIORITY, route.metric);
  if (route.preferredSource !== undefined && !isDelete) writeAddress(batch, RTA_PREFSRC, route.preferredSource);
  if (route.nexthopId !== undefined) batch.attributeU32(RTA_NH_ID, route.nexthopId);
  else if (isMultipath) writeMultipath(batch, prefix.family, nextHops);
  else if (only !== undefined) {
    if (only.interfaceIndex !== undefined) batch.attributeU32(RTA_OIF, only.interfaceIndex);
    if (only.via !== undefined) writeGateway(batch, prefix.family, only.via);
  }
}

/** As iproute2 chooses: a unicast route without gateway is on link; everything else is universe. */
function defaultScope(route: RouteRequest): number {
  const isOnLink =
    (route.type ?? 'unicast') === 'unicast' &&
    route.nexthopId === undefined &&
    route.nextHops.length === 1 &&
    route.nextHops[0]?.via === undefined;
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
