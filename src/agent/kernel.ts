/** What the agent asks of the kernel, as interfaces: the loops are tested without one. `linux-kernel.ts` is the real one. */
import type { Owner } from '@tortie/ipam';
import type { HostInterface } from '@tortie/policy/objects';
import type { Family, IpAddress, IpPrefix } from 'node-bgp/address';
import type { TrackedConnection } from '../dataplane/netlink/service-connections.js';
import type { Tunnel, TunnelFailure } from '../dataplane/tunnel-devices.js';
import type { PodRates } from '../shaping/pod-limits.js';
import type { GatewayRoute, NodeLink, PeeringAddress } from '../topology/node-side.js';
import type { EndpointDataplane } from './endpoint-dataplane.js';
import type { Netfilter } from './policy-loop.js';

/** The routes a node has for itself: protocol tortie (171). */
export interface OwnRoutes {
  /** Blackholes: what nobody in a block has must not leave by the default route and come back. */
  readonly blocks: readonly IpPrefix[];
  /** Host routes to local pods. */
  readonly pods: readonly { readonly address: string; readonly hostInterface: string }[];
  /** Host routes to BGP peers behind a gateway. */
  readonly gateways: readonly GatewayRoute[];
  /** To pods of other nodes, through tunnels or beside them. */
  readonly overlay: readonly OverlayHop[];
}

export interface OverlayHop {
  readonly prefix: IpPrefix;
  readonly gateway: IpAddress;
  /** Of a tunnel; absent: whichever link the gateway is on. */
  readonly interfaceName?: string;
}

export interface RouteKernel {
  /** Makes the kernel's routes of our protocol exactly these. Returns sentences about those it refused. */
  level(routes: OwnRoutes): readonly string[];
  /** Makes the addresses on pods' host sides, but the gateway's, exactly these. An interface that is not there has none. */
  levelPeering(addresses: readonly PeeringAddress[]): readonly string[];
}

/** What address translation asks of the kernel. */
export interface TranslationKernel {
  readonly netfilter: Netfilter;
  /** Forgets tracked UDP and SCTP connections that are stale; answers how many. */
  forgetStaleConnections(isStale: (connection: TrackedConnection) => boolean): Promise<number>;
  /** All of this node's own, canonical. */
  nodeAddresses(): ReadonlySet<string>;
}

export interface KernelEvents {
  /** A route of ours may have changed, or an interface come or gone. */
  readonly onRoutes: () => void;
  /** A tunnel may have changed. */
  readonly onTunnels: () => void;
  /** Addresses of the node's own interfaces changed. */
  readonly onAddresses: () => void;
  /** A pod's connection may have changed. */
  readonly onEndpoints: () => void;
  /** Interfaces of the node, or their addresses, changed. */
  readonly onInterfaces: () => void;
  /** The kernel refuses something of ours, or does so no longer. */
  readonly onNetfilter: () => void;
}

export interface NodeKernel {
  /** Those that the kernel has. */
  readonly families: readonly Family[];
  readonly netfilter: Netfilter;
  readonly endpoints: EndpointDataplane;
  readonly routes: RouteKernel;
  /** Makes pods' bandwidths exactly these, by host interface. Returns sentences about what the kernel refused. */
  shape(wanted: ReadonlyMap<string, PodRates>): readonly string[];
  /** Why rules cannot count connections here; undefined when they can. */
  connectionLimitProblem(): string | undefined;
  /** Rules of part "nat". */
  readonly nat: TranslationKernel;
  /** Forgets all tracked connections of these addresses. */
  forgetConnections(addresses: readonly string[]): Promise<void>;
  /** Canonical addresses on `lo` that are not 127/8 or ::1. */
  loopbackAddresses(): ReadonlySet<string>;
  /** All interfaces but those of pods, with their addresses but link-local ones. */
  interfaces(): readonly HostInterface[];
  /** What the links of pod traffic carry, in octets; undefined when nothing says it. */
  uplinkMtu(nodeAddresses: readonly IpAddress[]): number | undefined;
  /** Makes the node's tunnels exactly these; says of each what the kernel refused. */
  levelTunnels(tunnels: readonly Tunnel[]): readonly TunnelFailure[];
  /** Those of these whose interface is not there. */
  withoutInterface(owners: readonly Owner[]): readonly Owner[];
  /** The same interfaces with the prefixes on them, for BGP. */
  links(): readonly NodeLink[];
  /** Removes interfaces of ours that none of these owns. */
  sweep(owners: readonly Owner[]): void;
  watch(events: KernelEvents): void;
  close(): Promise<void>;
}
