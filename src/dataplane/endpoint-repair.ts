/**
 * Puts a pod's connection right where it stands, without a moment in which it carries nothing: what is missing is added, what was changed
 * is changed back, and what is well is not touched.
 *
 * The node's side is ours whole. The pod's side is ours as far as `writePodSide` made it, and no further: who bridges the interface
 * (KubeVirt does), puts another of its name in its place, or has a default route of its own (a VPN) wants it so.
 */
import {
  HOST_LINK_SETTINGS,
  podRoute,
  podSideRules,
  writeHostSysctls,
  writePodSide,
  type PodTables,
} from './endpoint-layout.js';
import { formatAlias, GATEWAY_IPV6, GATEWAY_MAC, ownerKey, ownerOfAlias } from './endpoint-name.js';
import { isPair, observeEndpoint } from './endpoint-observation.js';
import type { EndpointSpec, PodNamespace } from './endpoint-spec.js';
import { writeInterfaceAddress } from './netlink/interface-address.js';
import { findLink, type Link, writeLinkSettings } from './netlink/link.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';
import { MAIN_TABLE, PROTOCOL_TORTIE } from './netlink/route.js';
import { applyRouteChanges } from './netlink/route-change.js';
import { listRoutes } from './netlink/route-list.js';
import { writeSourceRule } from './netlink/rule.js';
import { inNamespace } from './netns.js';
import { ensureSysctl } from './sysctl.js';
import { bitsOf } from 'node-bgp/address';

/** The first interface of a pod: its routes are those of the main table. */
const FIRST_INTERFACE = 'eth0';

/** Name and mark of the node's side: it may have been renamed, and its alias taken. @param link as found, wherever it was found */
export function repairIdentity(socket: NetlinkSocket, spec: EndpointSpec, link: Link): void {
  const { batch } = socket;
  batch.clear();
  if (link.name !== spec.hostInterface) {
    // Before Linux 6.3 an interface that is up keeps its name.
    writeLinkSettings(batch, { index: link.index }, { isUp: false });
    writeLinkSettings(batch, { index: link.index }, { name: spec.hostInterface });
  }
  if (ownerOfAlias(link.alias) !== ownerKey(spec))
    writeLinkSettings(batch, { index: link.index }, { alias: formatAlias(spec, spec.label ?? '') });
  if (batch.count > 0) socket.request(batch);
}

/** The node's side: parameters, link, the gateway's address, and those of the pod's routes that are not there. */
export function repairHostSide(socket: NetlinkSocket, spec: EndpointSpec, link: Link, leastMtu = 0): void {
  const { hostInterface, addresses, mtu = Math.max(link.mtu, leastMtu) } = spec;
  const hasIpv6 = addresses.some(({ family }) => family === 6);
  writeHostSysctls(hostInterface, addresses);
  const { batch } = socket;
  batch.clear();
  const settings = {
    ...HOST_LINK_SETTINGS,
    ...(link.mac === GATEWAY_MAC ? {} : { mac: GATEWAY_MAC }),
    ...(link.mtu === mtu ? {} : { mtu }),
    ...(hasIpv6 ? { ipv6AddressGeneration: 'none' as const } : {}),
  };
  writeLinkSettings(batch, { index: link.index }, settings);
  if (hasIpv6) writeInterfaceAddress(batch, { interfaceIndex: link.index, address: GATEWAY_IPV6, prefixLength: 64 });
  socket.request(batch);
  const present = listRoutes(socket, { protocol: PROTOCOL_TORTIE, interfaceIndex: link.index });
  const missing = addresses
    .map((address) => podRoute(address, link.index))
    .filter(
      ({ prefix }) =>
        !present.some(({ prefix: { family, value, length } }) => {
          const isSame = family === prefix.family && value === prefix.value;
          return isSame && length === bitsOf(family);
        }),
    );
  // An older one of ours to that address, over another interface, goes first; there is none as a rule.
  applyRouteChanges(
    socket,
    missing.map((route) => ({ type: 'delete', route: { ...route, type: 'other', nextHops: [] } })),
  );
  const [failure] = applyRouteChanges(
    socket,
    missing.map((route) => ({ type: 'add', route })),
  );
  if (failure !== undefined) throw failure.error;
}

/** The pod's side, as far as it is ours. @param host the node's side */
export function repairPodSide(socket: NetlinkSocket, spec: EndpointSpec, host: Link, pod: PodNamespace): void {
  const link = findPodEnd(spec, host, pod);
  if (link === undefined) return;
  if (link.name !== spec.podInterface) renamePodEnd(pod.socket, link, spec.podInterface);
  if (spec.addresses.some(({ family }) => family === 6))
    inNamespace(pod.fd, () => ensureSysctl(['net', 'ipv6', 'conf', spec.podInterface, 'disable_ipv6'], 0));
  const { podEnd } = observeEndpoint(socket, spec, host, pod);
  if (podEnd === undefined) return;
  const { tables, hasRules } = podEnd;
  const isOurs = (table: number): boolean => table === MAIN_TABLE || hasRules || spec.podInterface !== FIRST_INTERFACE;
  const ours = spec.addresses.filter(({ family }) => isOurs(tables[family]));
  const { batch } = pod.socket;
  batch.clear();
  writePodSide(batch, link.index, ours, tables);
  writeRules(pod.socket, ours, tables);
}

function writeRules(socket: NetlinkSocket, addresses: EndpointSpec['addresses'], tables: PodTables): void {
  tolerateExisting(socket);
  for (const rule of podSideRules(addresses, tables)) {
    socket.batch.clear();
    writeSourceRule(socket.batch, rule);
    tolerateExisting(socket);
  }
}

/** What is there need not be added. */
function tolerateExisting(socket: NetlinkSocket): void {
  const failure = socket.transact(socket.batch).find(({ code }) => code !== 'EEXIST');
  if (failure !== undefined) throw failure.error;
}

/** The pod's end under its name, or under whatever name where nothing has taken that; undefined when somebody has taken it over. */
function findPodEnd(spec: EndpointSpec, host: Link, pod: PodNamespace): Link | undefined {
  const named = findLink(pod.socket, { name: spec.podInterface });
  const link = named ?? (host.peerIndex === undefined ? undefined : findLink(pod.socket, { index: host.peerIndex }));
  return link !== undefined && isPair(host, link) && link.controllerIndex === undefined ? link : undefined;
}

function renamePodEnd(socket: NetlinkSocket, link: Link, name: string): void {
  socket.batch.clear();
  writeLinkSettings(socket.batch, { index: link.index }, { isUp: false });
  writeLinkSettings(socket.batch, { index: link.index }, { name });
  socket.request(socket.batch);
}
