/** A pod's connection against what the kernel has: everything that is not as `EndpointPlumbing.add` would make it, in sentences. */
import {
  hostIpv4Conf,
  hostSideProblems,
  hostSysctls,
  podSideProblems,
  podSideRoutes,
  podTablesOf,
  type PodTables,
} from './endpoint-layout.js';
import { ownerKey, ownerOfAlias } from './endpoint-name.js';
import type { Endpoint, EndpointSpec, PodNamespace } from './endpoint-spec.js';
import { listInterfaceAddresses } from './netlink/interface-address.js';
import { findLink, type Link } from './netlink/link.js';
import { listNeighbours } from './netlink/neighbour.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';
import { MAIN_TABLE, PROTOCOL_TORTIE } from './netlink/route.js';
import { listRoutes } from './netlink/route-list.js';
import { listSourceRules } from './netlink/rule.js';
import { readSysctl, SysctlError, type SysctlPath } from './sysctl.js';

/** The pod's end of an interface, where it is the pod's end. */
export interface PodEnd {
  readonly link: Link;
  readonly tables: PodTables;
  /** Is one of the rules there that lead to tables of its own? */
  readonly hasRules: boolean;
}

export interface Observation {
  readonly problems: readonly string[];
  readonly podEnd?: PodEnd;
}

/** Both sides, but for the host's parameters (`sysctlProblems`). @param socket in the node's namespace */
export function observeEndpoint(socket: NetlinkSocket, spec: EndpointSpec, link: Link, pod: PodNamespace): Observation {
  const owner = ownerOfAlias(link.alias);
  if (owner !== ownerKey(spec))
    return {
      problems: [
        `Interface "${link.name}" belongs to "${owner ?? 'nobody that Tortie knows'}", expected "${ownerKey(spec)}"`,
      ],
    };
  const podLink = findLink(pod.socket, { name: spec.podInterface });
  if (podLink === undefined) return { problems: [`The pod has no interface "${spec.podInterface}"`] };
  if (!isPair(link, podLink))
    return { problems: [`Interface "${spec.podInterface}" of the pod is not the other end of "${link.name}"`] };
  const mainRoutes = listRoutes(pod.socket);
  const tables = podTablesOf(podLink.index, mainRoutes);
  const ownTables = new Set([tables[4], tables[6]].filter((table) => table !== MAIN_TABLE));
  const rules = ownTables.size === 0 ? [] : listSourceRules(pod.socket);
  const ofPod = { interfaceIndex: podLink.index };
  const problems = [
    ...mtuProblems(spec, link, podLink),
    ...observeHostSide(socket, spec, link),
    ...podSideProblems(
      {
        link: podLink,
        addresses: listInterfaceAddresses(pod.socket, ofPod),
        neighbours: listNeighbours(pod.socket, ofPod),
        routes: [...mainRoutes, ...[...ownTables].flatMap((table) => listRoutes(pod.socket, { table }))],
        rules,
        tables,
      },
      spec.addresses,
    ),
  ];
  const hasRules = rules.some(({ table }) => ownTables.has(table));
  return { problems, podEnd: { link: podLink, tables, hasRules } };
}

/** What the node's side lacks, but for its parameters. */
export function observeHostSide(socket: NetlinkSocket, spec: EndpointSpec, link: Link): readonly string[] {
  return hostSideProblems(
    link,
    listRoutes(socket, { protocol: PROTOCOL_TORTIE, interfaceIndex: link.index }),
    listInterfaceAddresses(socket, { interfaceIndex: link.index }),
    spec.addresses,
  );
}

/** Are these the two ends of one veth? */
export const isPair = (host: Link, pod: Link): boolean =>
  pod.index === host.peerIndex && pod.peerIndex === host.index && pod.kind === 'veth';

export function endpointOf(spec: EndpointSpec, host: Link, pod: Link): Endpoint {
  return {
    host: { name: host.name, index: host.index, mac: host.mac, mtu: host.mtu },
    pod: { name: pod.name, index: pod.index, mac: pod.mac, mtu: pod.mtu, netns: spec.netns },
    addresses: spec.addresses,
    routes: podSideRoutes(spec.addresses),
  };
}

/** The node's end drops what is larger than it takes. */
function mtuProblems({ mtu }: EndpointSpec, host: Link, pod: Link): readonly string[] {
  const least = mtu ?? pod.mtu;
  const isWell = mtu === undefined ? host.mtu >= pod.mtu : host.mtu === mtu;
  return isWell ? [] : [`Interface "${host.name}" has MTU ${host.mtu}, expected ${least}`];
}

export function sysctlProblems(spec: EndpointSpec): readonly string[] {
  const needsIpv6 = spec.addresses.some((address) => address.family === 6);
  const expected = [...hostIpv4Conf(spec.hostInterface), ...hostSysctls(spec.hostInterface)];
  return expected.flatMap(({ path, value }) => {
    const actual = tryReadSysctl(path);
    if (actual === undefined ? path[1] === 'ipv6' && !needsIpv6 : actual === String(value)) return [];
    return [`Parameter ${path.join('/')} is ${actual ?? 'missing'}, expected ${value}`];
  });
}

function tryReadSysctl(path: SysctlPath): string | undefined {
  try {
    return readSysctl(path);
  } catch (error) {
    if (error instanceof SysctlError && error.isMissing) return undefined;
    throw error;
  }
}
