/**
 * Network interfaces as data, and as rtnetlink messages (RTM_NEWLINK, RTM_DELLINK, RTM_SETLINK, RTM_GETLINK; linux/if_link.h).
 *
 * ```
 * struct ifinfomsg: family(1) pad(1) hardware type(2) index(4) flags(4) mask of flags to change(4), attributes
 * ```
 */
import { addressToBytes, type IpAddress } from 'node-bgp/address';
import { AF_INET, AF_INET6 } from '../libc.js';
import type { NetlinkBatch } from './batch.js';
import { forEachAttribute, type NetlinkMessage, type Octets } from './message.js';
import type { NetlinkSocket } from './netlink-socket.js';
import { NLM_F_CREATE, NLM_F_EXCL } from './protocol.js';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;

/** What the kernel says of an interface's ability to carry packets (IF_OPER_*, RFC 2863). */
export type OperationalState = 'unknown' | 'not-present' | 'down' | 'lower-layer-down' | 'testing' | 'dormant' | 'up';

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Lower case with colons; empty for interfaces without one. */
  readonly mac: string;
  readonly mtu: number;
  /** IFF_UP: an administrator wants it up. */
  readonly isUp: boolean;
  /** IFF_LOWER_UP: there is a carrier. */
  readonly hasCarrier: boolean;
  readonly state: OperationalState;
  /** "veth", "bridge", ...; undefined for hardware and loopback. */
  readonly kind: string | undefined;
  /** ifalias, the free text that `ip link` shows. */
  readonly alias: string | undefined;
  readonly group: number;
  /** Of a veth, the other end's index in its own namespace. */
  readonly peerIndex: number | undefined;
  /** Our number for the namespace that the other end is in; undefined when it is in ours. */
  readonly peerNamespaceId: number | undefined;
  /** Index of the bridge, bond or VRF that it is part of. */
  readonly controllerIndex: number | undefined;
}

/** Which interface: by index where known, else by name. */
export type LinkKey = { readonly index: number } | { readonly name: string };

export interface VethRequest {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  readonly peer: {
    readonly name: string;
    /** Descriptor of the namespace that the peer is made in; default: the socket's own. */
    readonly namespaceFd?: number;
    readonly mac?: string;
    readonly mtu?: number;
  };
}

/** What to change; what is left out stays. */
export interface LinkSettings {
  readonly isUp?: boolean;
  /** A new name. */
  readonly name?: string;
  readonly alias?: string;
  readonly mac?: string;
  readonly group?: number;
  readonly mtu?: number;
  /** net.ipv4.conf.<name>.*, in the same message, by IPV4_DEVCONF number. */
  readonly ipv4Conf?: ReadonlyMap<number, number>;
  /** How IPv6 makes link-local addresses: 'none' leaves that to us. */
  readonly ipv6AddressGeneration?: 'eui64' | 'none';
}

/** IPV4_DEVCONF_* of linux/ip.h: the numbers that IFLA_INET_CONF takes. */
export const IPV4_CONF = {
  forwarding: 1,
  proxyArp: 3,
  acceptRedirects: 4,
  sendRedirects: 6,
  rpFilter: 8,
  routeLocalnet: 26,
} as const;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_AF_SPEC = 26;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_LINK_NETNSID = 37;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_LOCAL6 = 17;
const IFLA_IPTUN_LOCAL = 2;
const IFLA_INET_CONF = 1;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const RTEXT_FILTER_SKIP_STATS = 8;

const IFF_UP = 0x1;
const IFF_LOWER_UP = 0x10000;
const IFINFOMSG_SIZE = 16;

const OPERATIONAL_STATES: readonly OperationalState[] = [
  'unknown',
  'not-present',
  'down',
  'lower-layer-down',
  'testing',
  'dormant',
  'up',
];

/** Appends the creation of a veth pair; fails with EEXIST if a name is taken, on either side. Both ends start down. */
export function writeVeth(batch: NetlinkBatch, request: VethRequest): void {
  batch.beginMessage(
    RTM_NEWLINK,
    NLM_F_CREATE | NLM_F_EXCL,
    () => `create veth "${request.name}" with peer "${request.peer.name}"`,
  );
  writeHeader(batch, 0);
  writeNames(batch, request);
  const info = batch.beginNest(IFLA_LINKINFO);
  batch.attributeText(IFLA_INFO_KIND, 'veth');
  const data = batch.beginNest(IFLA_INFO_DATA);
  const peer = batch.beginNest(VETH_INFO_PEER);
  writeHeader(batch, 0);
  writeNames(batch, request.peer);
  if (request.peer.namespaceFd !== undefined) batch.attributeU32(IFLA_NET_NS_FD, request.peer.namespaceFd);
  batch.endNest(peer);
  batch.endNest(data);
  batch.endNest(info);
  batch.endMessage();
}

/** A device without carrier of its own that wraps packets for other nodes; linux/if_link.h, linux/if_tunnel.h. */
export interface TunnelRequest {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  readonly data:
    | { readonly kind: 'vxlan'; readonly vni: number; readonly port: number; readonly local: IpAddress }
    | { readonly kind: 'ipip'; readonly local: IpAddress };
}

/** Appends the creation of a tunnel's device, down. It learns nothing: who is where, others write. */
export function writeTunnel(batch: NetlinkBatch, request: TunnelRequest): void {
  const { data } = request;
  batch.beginMessage(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, () => `create ${data.kind} interface "${request.name}"`);
  writeHeader(batch, 0);
  writeNames(batch, request);
  const info = batch.beginNest(IFLA_LINKINFO);
  batch.attributeText(IFLA_INFO_KIND, data.kind);
  const nest = batch.beginNest(IFLA_INFO_DATA);
  const local = addressToBytes(data.local);
  if (data.kind === 'ipip') batch.attribute(IFLA_IPTUN_LOCAL, local);
  else {
    batch.attributeU32(IFLA_VXLAN_ID, data.vni);
    batch.attribute(data.local.family === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, local);
    batch.attributeU16be(IFLA_VXLAN_PORT, data.port);
    batch.attributeU8(IFLA_VXLAN_LEARNING, 0);
  }
  batch.endNest(nest);
  batch.endNest(info);
  batch.endMessage();
}

/** What a tunnel's device was made with, of an RTM_NEWLINK; undefined for other kinds. */
export function decodeTunnel({ body }: NetlinkMessage): TunnelRequest['data'] | undefined {
  let kind = '';
  let vni = 0;
  let port = 0;
  let local: IpAddress | undefined;
  const readData = (type: number, start: number, end: number): void => {
    if (kind === 'ipip' ? type === IFLA_IPTUN_LOCAL : [IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6].includes(type))
      local = body.address(start, end);
    else if (kind === 'vxlan' && type === IFLA_VXLAN_ID) vni = body.u32(start);
    else if (kind === 'vxlan' && type === IFLA_VXLAN_PORT) port = body.u16be(start);
  };
  forEachAttribute(body, IFINFOMSG_SIZE, body.length, (type, start, end) => {
    if (type !== IFLA_LINKINFO) return;
    forEachAttribute(body, start, end, (inner, from, to) => {
      if (inner === IFLA_INFO_KIND) kind = body.text(from, to);
      else if (inner === IFLA_INFO_DATA && (kind === 'vxlan' || kind === 'ipip'))
        forEachAttribute(body, from, to, readData);
    });
  });
  if (local === undefined) return undefined;
  return kind === 'vxlan' ? { kind, vni, port, local } : kind === 'ipip' ? { kind, local } : undefined;
}

/** Appends a change of one interface. A new name together with a key by name is not possible: give the index. */
export function writeLinkSettings(batch: NetlinkBatch, key: LinkKey, settings: LinkSettings): void {
  if (settings.name !== undefined && !('index' in key))
    throw new RangeError('A renamed interface is addressed by its index');
  batch.beginMessage(RTM_SETLINK, 0, () => `change interface ${formatKey(key)}`);
  const up = settings.isUp === undefined ? undefined : settings.isUp ? IFF_UP : 0;
  writeHeader(batch, 'index' in key ? key.index : 0, up ?? 0, up === undefined ? 0 : IFF_UP);
  const name = settings.name ?? ('name' in key ? key.name : undefined);
  if (name !== undefined) batch.attributeText(IFLA_IFNAME, name);
  if (settings.alias !== undefined) batch.attribute(IFLA_IFALIAS, Buffer.from(settings.alias, 'utf8'));
  if (settings.mac !== undefined) batch.attribute(IFLA_ADDRESS, parseMac(settings.mac));
  if (settings.group !== undefined) batch.attributeU32(IFLA_GROUP, settings.group);
  if (settings.mtu !== undefined) batch.attributeU32(IFLA_MTU, settings.mtu);
  if (settings.ipv4Conf !== undefined || settings.ipv6AddressGeneration !== undefined)
    writeFamilySettings(batch, settings);
  batch.endMessage();
}

/** Appends the deletion of one interface; of a veth, both ends go. */
export function writeLinkDeletion(batch: NetlinkBatch, key: LinkKey): void {
  batch.beginMessage(RTM_DELLINK, 0, () => `delete interface ${formatKey(key)}`);
  writeHeader(batch, 'index' in key ? key.index : 0);
  if ('name' in key) batch.attributeText(IFLA_IFNAME, key.name);
  batch.endMessage();
}

/** Appends the deletion of every interface of a group at once: forty times cheaper each than one by one. */
export function writeGroupDeletion(batch: NetlinkBatch, group: number): void {
  batch.beginMessage(RTM_DELLINK, 0, () => `delete the interfaces of group ${group}`);
  writeHeader(batch, 0);
  batch.attributeU32(IFLA_GROUP, group);
  batch.endMessage();
}

/** Appends a look-up; the answer is one RTM_NEWLINK. */
export function writeLinkQuery(batch: NetlinkBatch, key: LinkKey): void {
  batch.beginMessage(RTM_GETLINK, 0, () => `look up interface ${formatKey(key)}`);
  writeHeader(batch, 'index' in key ? key.index : 0);
  if ('name' in key) batch.attributeText(IFLA_IFNAME, key.name);
  batch.attributeU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  batch.endMessage();
}

/** Appends a listing of every interface; the answer is an RTM_NEWLINK each. */
export function writeLinkDump(batch: NetlinkBatch): void {
  batch.beginMessage(RTM_GETLINK, 0, () => 'list interfaces');
  writeHeader(batch, 0);
  batch.attributeU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  batch.endMessage();
}

/** One interface, or undefined if there is none of that name or index. `also` sees all that the kernel says of it. */
export function findLink(
  socket: NetlinkSocket,
  key: LinkKey,
  also?: (message: NetlinkMessage) => void,
): Link | undefined {
  let found: Link | undefined;
  socket.batch.clear();
  writeLinkQuery(socket.batch, key);
  const failure = socket.tryQuery(socket.batch, (message) => {
    if (message.type !== RTM_NEWLINK) return;
    found = decodeLink(message);
    also?.(message);
  });
  if (failure !== undefined && failure.code !== 'ENODEV') throw failure.error;
  return found;
}

/** Every interface of the namespace; `kind` filters. */
export function listLinks(socket: NetlinkSocket, filter: { readonly kind?: string } = {}): Link[] {
  const links: Link[] = [];
  const { batch } = socket;
  batch.clear();
  writeLinkDump(batch);
  const keep = (message: NetlinkMessage): void => {
    if (message.type !== RTM_NEWLINK) return;
    const link = decodeLink(message);
    if (filter.kind === undefined || link.kind === filter.kind) links.push(link);
  };
  socket.dump(batch, keep, () => links.splice(0));
  return links;
}

/** Decodes RTM_NEWLINK and RTM_DELLINK. */
export function decodeLink(message: NetlinkMessage): Link {
  const { body } = message;
  const flags = body.u32(8);
  const draft: { -readonly [K in keyof Link]: Link[K] } = {
    index: body.i32(4),
    name: '',
    mac: '',
    mtu: 0,
    isUp: (flags & IFF_UP) !== 0,
    hasCarrier: (flags & IFF_LOWER_UP) !== 0,
    state: 'unknown',
    kind: undefined,
    alias: undefined,
    group: 0,
    peerIndex: undefined,
    peerNamespaceId: undefined,
    controllerIndex: undefined,
  };
  forEachAttribute(body, IFINFOMSG_SIZE, body.length, (type, start, end) =>
    readLinkAttribute(draft, body, type, start, end),
  );
  return draft;
}

function readLinkAttribute(
  draft: { -readonly [K in keyof Link]: Link[K] },
  body: Octets,
  type: number,
  start: number,
  end: number,
): void {
  switch (type) {
    case IFLA_ADDRESS:
      draft.mac = formatMac(body.slice(start, end));
      return;
    case IFLA_IFNAME:
      draft.name = body.text(start, end);
      return;
    case IFLA_MTU:
      draft.mtu = body.u32(start);
      return;
    case IFLA_LINK:
      draft.peerIndex = body.u32(start);
      return;
    case IFLA_LINK_NETNSID:
      draft.peerNamespaceId = body.i32(start);
      return;
    case IFLA_MASTER:
      draft.controllerIndex = body.u32(start);
      return;
    case IFLA_OPERSTATE:
      draft.state = OPERATIONAL_STATES[body.u8(start)] ?? 'unknown';
      return;
    case IFLA_LINKINFO:
      forEachAttribute(body, start, end, (inner, from, to) => {
        if (inner === IFLA_INFO_KIND) draft.kind = body.text(from, to);
      });
      return;
    case IFLA_IFALIAS:
      draft.alias = body.text(start, end);
      return;
    case IFLA_GROUP:
      draft.group = body.u32(start);
      return;
    default:
  }
}

/** "ee:ee:ee:ee:ee:ee" of its bytes. */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Six bytes of "ee:ee:ee:ee:ee:ee"; throws RangeError for anything else. */
export function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text))
    throw new RangeError(`Cannot parse MAC address "${text}": expected six bytes such as ee:ee:ee:ee:ee:ee`);
  return Uint8Array.from(text.split(':'), (byte) => parseInt(byte, 16));
}

function writeHeader(batch: NetlinkBatch, index: number, flags = 0, change = 0): void {
  batch.u32(0);
  batch.i32(index);
  batch.u32(flags);
  batch.u32(change);
}

function writeNames(
  batch: NetlinkBatch,
  end: { readonly name: string; readonly mac?: string; readonly mtu?: number },
): void {
  batch.attributeText(IFLA_IFNAME, end.name);
  if (end.mac !== undefined) batch.attribute(IFLA_ADDRESS, parseMac(end.mac));
  if (end.mtu !== undefined) batch.attributeU32(IFLA_MTU, end.mtu);
}

function writeFamilySettings(batch: NetlinkBatch, settings: LinkSettings): void {
  const spec = batch.beginNest(IFLA_AF_SPEC);
  if (settings.ipv4Conf !== undefined) {
    const family = batch.beginNest(AF_INET);
    const conf = batch.beginNest(IFLA_INET_CONF);
    for (const [number, value] of settings.ipv4Conf) batch.attributeU32(number, value);
    batch.endNest(conf);
    batch.endNest(family);
  }
  if (settings.ipv6AddressGeneration !== undefined) {
    const family = batch.beginNest(AF_INET6);
    batch.attributeU8(IFLA_INET6_ADDR_GEN_MODE, settings.ipv6AddressGeneration === 'none' ? 1 : 0);
    batch.endNest(family);
  }
  batch.endNest(spec);
}

const formatKey = (key: LinkKey): string => ('index' in key ? String(key.index) : `"${key.name}"`);
