/**
 * The interfaces of this node that wrap pods' packets for other nodes: one for VXLAN of each family, one for IP in IP, each with its
 * own addresses and with what it has to know of the nodes at the other ends. The kernel learns nothing by itself: a neighbour entry
 * says which MAC address a node's gateway has, a forwarding entry where frames to that MAC address go. IP in IP needs neither: the
 * gateway is the node.
 *
 * Level-triggered: the caller states the whole; observe, diff, apply. Only interfaces of our names are looked at; one of our name that
 * was made otherwise is made anew. The routes that lead into them are own-routes.ts'.
 */
import { compareAddresses, formatAddress, type Family, type IpAddress } from 'node-bgp/address';
import type { NetlinkBatch } from './netlink/batch.js';
import {
  listInterfaceAddresses,
  writeInterfaceAddress,
  writeInterfaceAddressDeletion,
} from './netlink/interface-address.js';
import {
  decodeTunnel,
  findLink,
  IPV4_CONF,
  listLinks,
  writeLinkDeletion,
  writeLinkSettings,
  writeTunnel,
  type Link,
  type TunnelRequest,
} from './netlink/link.js';
import {
  listForwarding,
  listNeighbours,
  writeForwardingDeletion,
  writeForwardingEntry,
  writeNeighbourDeletion,
  writePermanentNeighbour,
} from './netlink/neighbour.js';
import type { BatchFailure, NetlinkSocket } from './netlink/netlink-socket.js';

/** IANA's port (RFC 7348), and the network identifier that Calico has. */
export const VXLAN_PORT = 4789;
export const VXLAN_VNI = 4096;

/** Of our own names, so that what another CNI has left, or still uses, is not mistaken for ours. 15 characters at most (IFNAMSIZ). */
export const TUNNEL_NAMES = { vxlan4: 'vxlan.tortie', vxlan6: 'vxlan-v6.tortie', ipip4: 'ipip.tortie' } as const;
export type TunnelName = (typeof TUNNEL_NAMES)[keyof typeof TUNNEL_NAMES];

export const isTunnelName = (name: string): boolean =>
  (Object.values(TUNNEL_NAMES) as readonly string[]).includes(name);

/** What wrapping costs: outer IP header, for VXLAN also UDP 8, VXLAN 8, inner Ethernet 14. */
export const OVERHEAD: Readonly<Record<TunnelName, number>> = {
  'vxlan.tortie': 50,
  'vxlan-v6.tortie': 70,
  'ipip.tortie': 20,
};

export interface TunnelPeer {
  /** Where wrapped packets for it go. */
  readonly address: IpAddress;
  /** The next hop of routes to its pods. */
  readonly gateway: IpAddress;
  readonly mac: string;
}

export interface Tunnel {
  readonly name: TunnelName;
  readonly kind: 'vxlan' | 'ipip';
  /** Of the node: what wrapped packets come from. */
  readonly local: IpAddress;
  readonly mac: string;
  /** Absent: what the kernel thinks. */
  readonly mtu?: number;
  /** The node's own in the tunnel: what it sends itself comes from them. */
  readonly addresses: readonly IpAddress[];
  readonly peers: readonly TunnelPeer[];
}

export interface TunnelFailure {
  readonly name: TunnelName;
  /** A sentence. */
  readonly message: string;
}

/** What the device does not have for certain: it may come with the next level. */
const isGone = ({ code }: BatchFailure): boolean => ['ENOENT', 'ENODEV', 'EADDRNOTAVAIL', 'ESRCH'].includes(code);
const LOOSE_REVERSE_PATH = 2;

/** @param socket of family 'route', in the node's namespace */
export function levelTunnels(socket: NetlinkSocket, tunnels: readonly Tunnel[]): readonly TunnelFailure[] {
  return Object.values(TUNNEL_NAMES).flatMap((name): readonly TunnelFailure[] => {
    const tunnel = tunnels.find((one) => one.name === name);
    const failures = tunnel === undefined ? removeDevice(socket, name) : levelTunnel(socket, tunnel);
    return failures.map((message) => ({ name, message }));
  });
}

function removeDevice(socket: NetlinkSocket, name: TunnelName): readonly string[] {
  const link = findLink(socket, { name });
  if (link === undefined) return [];
  return transact(socket, (batch) => writeLinkDeletion(batch, { index: link.index }));
}

function levelTunnel(socket: NetlinkSocket, tunnel: Tunnel): readonly string[] {
  let made: TunnelRequest['data'] | undefined;
  const found = findLink(socket, { name: tunnel.name }, (message) => (made = decodeTunnel(message)));
  const isRight =
    found !== undefined && isSame(made, dataOf(tunnel)) && (tunnel.kind === 'ipip' || found.mac === tunnel.mac);
  if (found !== undefined && !isRight) {
    const failures = removeDevice(socket, tunnel.name);
    if (failures.length > 0) return failures;
  }
  const link = isRight ? found : undefined;
  const failures = link === undefined ? create(socket, tunnel) : settle(socket, link, tunnel);
  if (failures.length > 0) return failures;
  const index = link?.index ?? findLink(socket, { name: tunnel.name })?.index;
  // Taken away between the two: its removal is an event that brings the caller back.
  if (index === undefined) return [];
  return [
    ...levelAddresses(socket, index, tunnel.addresses),
    ...(tunnel.kind === 'vxlan' ? levelPeers(socket, index, tunnel) : []),
  ];
}

const dataOf = ({ kind, local }: Tunnel): TunnelRequest['data'] =>
  kind === 'vxlan' ? { kind, vni: VXLAN_VNI, port: VXLAN_PORT, local } : { kind, local };

function isSame(a: TunnelRequest['data'] | undefined, b: TunnelRequest['data']): boolean {
  if (a === undefined || a.local.family !== b.local.family || compareAddresses(a.local, b.local) !== 0) return false;
  if (a.kind === 'vxlan') return b.kind === 'vxlan' && a.vni === b.vni && a.port === b.port;
  return b.kind === 'ipip';
}

function create(socket: NetlinkSocket, tunnel: Tunnel): readonly string[] {
  const { name, kind, mac, mtu } = tunnel;
  const key = { name };
  const { batch } = socket;
  batch.clear();
  const size = mtu === undefined ? {} : { mtu };
  writeTunnel(batch, { name, ...(kind === 'vxlan' ? { mac } : {}), ...size, data: dataOf(tunnel) });
  // A node that has the sender on its own link answers by that, and the sender need not think the same.
  const ipv4Conf = new Map([[IPV4_CONF.rpFilter, LOOSE_REVERSE_PATH]]);
  // No link-local address of its own: neighbours are written, not asked for.
  writeLinkSettings(batch, key, { ipv4Conf, ipv6AddressGeneration: 'none' });
  writeLinkSettings(batch, key, { isUp: true });
  const [failure] = socket.transact(batch);
  if (failure === undefined) return [];
  if (failure.index > 0) return [failure.error.message];
  if (failure.code === 'ENOTSUP')
    return [
      `${failure.error.message}; expected a kernel with ${kind === 'vxlan' ? 'VXLAN (module vxlan)' : 'IP in IP (module ipip)'}`,
    ];
  const rivals = failure.code === 'EEXIST' ? listLinks(socket, { kind }).map((link) => `"${link.name}"`) : [];
  return [
    rivals.length === 0
      ? failure.error.message
      : `${failure.error.message}; interface ${rivals.join(', ')} is in the way, with the same identifier and port; remove it`,
  ];
}

function settle(socket: NetlinkSocket, link: Link, { mtu }: Tunnel): readonly string[] {
  const isOtherSize = mtu !== undefined && mtu !== link.mtu;
  if (link.isUp && !isOtherSize) return [];
  return transact(socket, (batch) =>
    writeLinkSettings(batch, { index: link.index }, { isUp: true, ...(isOtherSize ? { mtu } : {}) }),
  );
}

function levelAddresses(socket: NetlinkSocket, index: number, wanted: readonly IpAddress[]): readonly string[] {
  const missing = new Map(wanted.map((address) => [formatAddress(address), address]));
  const present = listInterfaceAddresses(socket, { interfaceIndex: index });
  const surplus = present.filter(({ address }) => !missing.delete(formatAddress(address)));
  return transact(socket, (batch) => {
    for (const { address, prefixLength } of surplus)
      writeInterfaceAddressDeletion(batch, { interfaceIndex: index, address, prefixLength });
    for (const address of missing.values()) writeInterfaceAddress(batch, { interfaceIndex: index, address });
  });
}

/** What goes is removed first: a node that has another address now has the same MAC address. */
function levelPeers(socket: NetlinkSocket, index: number, { peers }: Tunnel): readonly string[] {
  const gateways = new Map(
    peers.map(({ gateway, mac }) => [`${formatAddress(gateway)} ${mac}`, { address: gateway, mac }]),
  );
  const places = new Map(
    peers.map(({ mac, address }) => [`${mac} ${formatAddress(address)}`, { mac, destination: address }]),
  );
  const strangeGateways = listNeighbours(socket, { interfaceIndex: index }).filter(
    ({ address, mac, isPermanent }) =>
      !(isPermanent && gateways.delete(`${formatAddress(address)} ${mac}`)) && !isMulticast(address),
  );
  const strangePlaces = listForwarding(socket, index).filter(
    ({ mac, destination }) => !places.delete(`${mac} ${formatAddress(destination)}`),
  );
  return transact(socket, (batch) => {
    for (const entry of strangeGateways) writeNeighbourDeletion(batch, entry);
    for (const entry of strangePlaces) writeForwardingDeletion(batch, entry);
    for (const entry of places.values()) writeForwardingEntry(batch, { interfaceIndex: index, ...entry });
    for (const entry of gateways.values()) writePermanentNeighbour(batch, { interfaceIndex: index, ...entry });
  });
}

/** The kernel's own entries, of groups that the node listens to. */
const isMulticast = ({ family, value }: { readonly family: Family; readonly value: bigint }): boolean =>
  family === 6 ? value >> 120n === 0xffn : value >> 28n === 0xen;

function transact(socket: NetlinkSocket, write: (batch: NetlinkBatch) => void): readonly string[] {
  const { batch } = socket;
  batch.clear();
  write(batch);
  if (batch.count === 0) return [];
  return socket
    .transact(batch)
    .filter((failure) => !isGone(failure))
    .map(({ error }) => error.message);
}
