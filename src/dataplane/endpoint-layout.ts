/**
 * What one pod's connection consists of, on either side of its veth, as netlink messages and as a comparison with what is
 * there (node-view.md, "What an operator sees on a node"). Pure but for the sysctl files, which netlink does not reach.
 *
 * The pod sends everything to a gateway that exists nowhere: 169.254.1.1 and fe80::ecee:eeff:feee:eeee resolve, by permanent
 * neighbour entries, to the MAC address that every host side has. The node answers with one /32 or /128 route per pod.
 */
import {
  bitsOf,
  compareAddresses,
  type Family,
  formatAddress,
  formatPrefix,
  hostPrefix,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';
import { GATEWAY_IPV4, GATEWAY_IPV6, GATEWAY_MAC } from './endpoint-name.js';
import type { NetlinkBatch } from './netlink/batch.js';
import { type InterfaceAddress, writeInterfaceAddress } from './netlink/interface-address.js';
import { IPV4_CONF, type Link, type LinkSettings, writeLinkSettings } from './netlink/link.js';
import { IPV4_CONF_PLACES, IPV6_CONF, type ConfPlace, type LinkWithConf } from './netlink/link-conf.js';
import { type Neighbour, writePermanentNeighbour } from './netlink/neighbour.js';
import { MAIN_TABLE, PROTOCOL_TORTIE, type Route, type RouteRequest } from './netlink/route.js';
import { writeRouteChange } from './netlink/route-change.js';
import type { SourceRule } from './netlink/rule.js';
import { ensureSysctl, SysctlError, type SysctlPath, writeSysctl } from './sysctl.js';

/** Route protocol "boot": set up by whoever configured the machine, as `ip route` writes it. */
const PROTOCOL_BOOT = 3;

const DEFAULT_IPV4: IpPrefix = { family: 4, value: 0n, length: 0 };
const DEFAULT_IPV6: IpPrefix = { family: 6, value: 0n, length: 0 };

/**
 * Host-side settings that travel with IFF_UP. IPv6 makes no address of its own: the gateway's is the only one. Netfilter's IP hooks see no
 * ARP, so the kernel itself has to check that a sender's address routes back, or each one that a pod invents becomes a neighbour.
 */
export const HOST_LINK_SETTINGS: LinkSettings = {
  isUp: true,
  ipv4Conf: new Map([
    [IPV4_CONF.proxyArp, 1],
    [IPV4_CONF.forwarding, 1],
    [IPV4_CONF.routeLocalnet, 1],
    [IPV4_CONF.rpFilter, 1],
  ]),
};

export interface HostSysctl {
  readonly path: SysctlPath;
  readonly value: number;
  /** Writing it takes the lock that every network change waits for; reading it does not, and it is mostly right already. */
  readonly isLocking?: boolean;
  /** Where the kernel tells it with the interface, for one of IPv6. */
  readonly place?: number;
}

/** Host-side parameters without a netlink form. */
export function hostSysctls(name: string): readonly HostSysctl[] {
  const ipv6 = (key: keyof typeof IPV6_CONF, value: number): HostSysctl => ({
    path: ['net', 'ipv6', 'conf', name, key],
    value,
    place: IPV6_CONF[key],
  });
  return [
    // At its default of 0.8 s, proxy ARP would delay a pod's first packet by half a second.
    { path: ['net', 'ipv4', 'neigh', name, 'proxy_delay'], value: 0 },
    { ...ipv6('disable_ipv6', 0), isLocking: true },
    { ...ipv6('forwarding', 1), isLocking: true },
    ipv6('accept_ra', 0),
    ipv6('proxy_ndp', 1),
    ipv6('accept_dad', 0),
  ];
}

/** Parameters that node-view.md promises and netlink sets: for CHECK. */
export function hostIpv4Conf(name: string): readonly HostSysctl[] {
  const ipv4 = (key: string): SysctlPath => ['net', 'ipv4', 'conf', name, key];
  return [
    { path: ipv4('proxy_arp'), value: 1 },
    { path: ipv4('forwarding'), value: 1 },
    { path: ipv4('route_localnet'), value: 1 },
    { path: ipv4('rp_filter'), value: 1 },
  ];
}

/** Those of both lists that the kernel tells with the interface, by their place in what it tells. */
export const hostConf: readonly { readonly family: Family; readonly place: number; readonly value: number }[] = [
  { family: 4, place: IPV4_CONF_PLACES.proxy_arp, value: 1 },
  { family: 4, place: IPV4_CONF_PLACES.forwarding, value: 1 },
  { family: 4, place: IPV4_CONF_PLACES.route_localnet, value: 1 },
  { family: 4, place: IPV4_CONF_PLACES.rp_filter, value: 1 },
  { family: 6, place: IPV6_CONF.disable_ipv6, value: 0 },
  { family: 6, place: IPV6_CONF.forwarding, value: 1 },
  { family: 6, place: IPV6_CONF.accept_ra, value: 0 },
  { family: 6, place: IPV6_CONF.proxy_ndp, value: 1 },
  { family: 6, place: IPV6_CONF.accept_dad, value: 0 },
];

/** Of the pod's side: runtimes turn IPv6 off in new namespaces when they think that the cluster has none. */
export const POD_CONF: readonly ConfPlace[] = [{ family: 6, place: IPV6_CONF.disable_ipv6 }];

/**
 * Sets the host side's parameters. A kernel without IPv6 has none of its own, which matters only to IPv6 pods. `conf`: what the kernel has
 * told of `hostConf`; what is right there needs no file.
 */
export function writeHostSysctls(name: string, addresses: readonly IpAddress[], conf: LinkWithConf['conf'] = []): void {
  const needsIpv6 = addresses.some((address) => address.family === 6);
  for (const { path, value, isLocking, place } of hostSysctls(name)) {
    const told = hostConf.findIndex((each) => each.family === 6 && each.place === place);
    if (conf[told] === value) continue;
    try {
      if (isLocking === true) ensureSysctl(path, value);
      else writeSysctl(path, value);
    } catch (error) {
      const isDispensable = error instanceof SysctlError && error.isMissing && path[1] === 'ipv6' && !needsIpv6;
      if (!isDispensable) throw error;
    }
  }
}

/**
 * The host side once it exists and its parameters are set: up, with the gateway's address and the pod's routes. An older route
 * of ours to the address goes first (ESRCH if there is none); one of somebody else's makes the addition fail (EEXIST).
 */
export function writeHostSide(batch: NetlinkBatch, index: number, addresses: readonly IpAddress[]): void {
  const hasIpv6 = addresses.some((address) => address.family === 6);
  writeLinkSettings(batch, { index }, { ...HOST_LINK_SETTINGS, ...(hasIpv6 ? { ipv6AddressGeneration: 'none' } : {}) });
  if (hasIpv6) writeInterfaceAddress(batch, { interfaceIndex: index, address: GATEWAY_IPV6, prefixLength: 64 });
  for (const address of addresses) {
    const route = podRoute(address, index);
    writeRouteChange(batch, { type: 'delete', route: { ...route, type: 'other', nextHops: [] } });
    writeRouteChange(batch, { type: 'add', route });
  }
}

/** `10.65.0.7 dev tort3f... scope link proto tortie`. */
export function podRoute(address: IpAddress, hostIndex: number): RouteRequest {
  return { prefix: hostPrefix(address), protocol: PROTOCOL_TORTIE, nextHops: [{ interfaceIndex: hostIndex }] };
}

/** The pod's routes, as CNI's result shows them too. */
export function podSideRoutes(
  addresses: readonly IpAddress[],
): readonly { readonly prefix: IpPrefix; readonly via?: IpAddress }[] {
  return addresses.flatMap((address) =>
    address.family === 4
      ? [{ prefix: hostPrefix(GATEWAY_IPV4) }, { prefix: DEFAULT_IPV4, via: GATEWAY_IPV4 }]
      : [{ prefix: DEFAULT_IPV6, via: GATEWAY_IPV6 }],
  );
}

/**
 * Where a pod's interface has its routes. The first one has them in the main table. Where another interface has the default route already
 * (Multus: net1 beside eth0), a table of its own answers what came to its addresses, or the node would drop those answers as spoofed.
 */
export interface PodTables {
  readonly 4: number;
  readonly 6: number;
}

/** Tables of second interfaces count up from here by interface index; the rules that lead to them come before `main`. */
const FIRST_OWN_TABLE = 10_000;
const SOURCE_RULE_PRIORITY = 10_000;

export function podTablesOf(index: number, routes: readonly Route[]): PodTables {
  const tableOf = (family: Family): number => {
    const isTaken = routes.some(
      ({ prefix, nextHops }) =>
        prefix.family === family && prefix.length === 0 && nextHops.some((hop) => hop.interfaceIndex !== index),
    );
    return isTaken ? FIRST_OWN_TABLE + index : MAIN_TABLE;
  };
  return { 4: tableOf(4), 6: tableOf(6) };
}

/** The rules that a pod's interface needs; none for the main table. */
export function podSideRules(addresses: readonly IpAddress[], tables: PodTables): readonly SourceRule[] {
  return addresses.flatMap((source) => {
    const table = tables[source.family];
    return table === MAIN_TABLE ? [] : [{ source, table, priority: SOURCE_RULE_PRIORITY }];
  });
}

const gatewayOf = (address: IpAddress): IpAddress => (address.family === 4 ? GATEWAY_IPV4 : GATEWAY_IPV6);

/** The pod side: up, its addresses, the gateway's neighbour entries, its routes. In the pod's namespace. */
export function writePodSide(
  batch: NetlinkBatch,
  index: number,
  addresses: readonly IpAddress[],
  tables: PodTables,
): void {
  writeLinkSettings(batch, { index }, { isUp: true });
  for (const address of addresses) {
    writeInterfaceAddress(batch, { interfaceIndex: index, address });
    writePermanentNeighbour(batch, { interfaceIndex: index, address: gatewayOf(address), mac: GATEWAY_MAC });
  }
  for (const { prefix, via } of podSideRoutes(addresses)) {
    const table = tables[prefix.family];
    const isOnlink = table !== MAIN_TABLE && via !== undefined;
    const route = {
      prefix,
      table,
      protocol: PROTOCOL_BOOT,
      nextHops: [{ interfaceIndex: index, ...(via === undefined ? {} : { via }), ...(isOnlink ? { isOnlink } : {}) }],
    };
    writeRouteChange(batch, { type: 'add', route });
  }
}

export interface ObservedPodSide {
  readonly link: Link;
  readonly addresses: readonly InterfaceAddress[];
  readonly neighbours: readonly Neighbour[];
  /** Of the tables that `tables` names. */
  readonly routes: readonly Route[];
  readonly rules: readonly SourceRule[];
  readonly tables: PodTables;
}

/** What the pod side lacks, as sentences; empty when it is as `writePodSide` makes it. */
export function podSideProblems(observed: ObservedPodSide, addresses: readonly IpAddress[]): readonly string[] {
  const { link } = observed;
  const problems: string[] = [];
  if (!link.isUp) problems.push(`Interface "${link.name}" of the pod is down`);
  for (const address of addresses) {
    const found = observed.addresses.find((item) => compareAddresses(item.address, address) === 0);
    if (found === undefined || found.prefixLength !== bitsOf(address.family))
      problems.push(`Interface "${link.name}" of the pod lacks address ${formatPrefix(hostPrefix(address))}`);
    const gateway = gatewayOf(address);
    const hasGateway = observed.neighbours.some(
      (item) => item.isPermanent && item.mac === GATEWAY_MAC && compareAddresses(item.address, gateway) === 0,
    );
    if (!hasGateway)
      problems.push(
        `Interface "${link.name}" of the pod lacks the permanent neighbour entry of ${formatAddress(gateway)}`,
      );
  }
  for (const { prefix, via } of podSideRoutes(addresses)) {
    const table = observed.tables[prefix.family];
    const hasRoute = observed.routes.some(
      (route) =>
        route.table === table &&
        samePrefix(route.prefix, prefix) &&
        route.nextHops.some((hop) => hop.interfaceIndex === link.index && sameAddress(hop.via, via)),
    );
    if (!hasRoute)
      problems.push(
        `The pod lacks the route ${formatPrefix(prefix)} ${via === undefined ? '' : `via ${formatAddress(via)} `}` +
          `dev ${link.name}${table === MAIN_TABLE ? '' : ` table ${table}`}`,
      );
  }
  for (const { source, table } of podSideRules(addresses, observed.tables))
    if (!observed.rules.some((rule) => rule.table === table && compareAddresses(rule.source, source) === 0))
      problems.push(`The pod lacks the rule from ${formatAddress(source)} lookup ${table}`);
  return problems;
}

/** What the host side lacks, as sentences; `ownAddresses` are the interface's, `addresses` the pod's. */
export function hostSideProblems(
  link: Link,
  routes: readonly Route[],
  ownAddresses: readonly InterfaceAddress[],
  addresses: readonly IpAddress[],
): readonly string[] {
  const problems: string[] = [];
  if (!link.isUp) problems.push(`Interface "${link.name}" is down`);
  const hasIpv6 = addresses.some(({ family }) => family === 6);
  if (hasIpv6 && !ownAddresses.some(({ address }) => compareAddresses(address, GATEWAY_IPV6) === 0))
    problems.push(`Interface "${link.name}" lacks the gateway's address ${formatAddress(GATEWAY_IPV6)}`);
  if (link.mac !== GATEWAY_MAC)
    problems.push(`Interface "${link.name}" has MAC address ${link.mac}, expected ${GATEWAY_MAC}`);
  for (const address of addresses) {
    const prefix = hostPrefix(address);
    const hasRoute = routes.some(
      (route) =>
        route.protocol === PROTOCOL_TORTIE &&
        samePrefix(route.prefix, prefix) &&
        route.nextHops.length === 1 &&
        route.nextHops[0]?.interfaceIndex === link.index,
    );
    if (!hasRoute) problems.push(`The route ${formatPrefix(prefix)} dev ${link.name} is missing`);
  }
  return problems;
}

const samePrefix = (a: IpPrefix, b: IpPrefix): boolean =>
  a.family === b.family && a.value === b.value && a.length === b.length;

function sameAddress(a: IpAddress | undefined, b: IpAddress | undefined): boolean {
  return a === undefined || b === undefined ? a === b : compareAddresses(a, b) === 0;
}
