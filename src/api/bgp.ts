/**
 * projectcalico.org/v3: BGPConfiguration, BGPPeer, BGPFilter, all cluster-scoped. Types only.
 *
 * Names and defaults are Calico's, so that a Calico user's YAML applies unchanged. Fields Calico lacks are marked
 * "Tortie:"; all of those are optional.
 */
import type { DurationText, KubeObject } from './meta.js';

/** 1..4294967295; a number, or text such as "65001" or, asdot (RFC 5396), "1.10". */
export type AsNumber = number | string;

/** One named "default" rules the cluster; one named `node.<name>` overrides some fields for that node. */
export interface BGPConfiguration extends KubeObject {
  readonly spec: BGPConfigurationSpec;
}

export interface BGPConfigurationSpec {
  /** Default Info. */
  readonly logSeverityScreen?: string;
  /** Full iBGP mesh between all nodes; default true. */
  readonly nodeToNodeMeshEnabled?: boolean;
  /** Default 64512. */
  readonly asNumber?: AsNumber;
  /** Default 179. */
  readonly listenPort?: number;
  /** 'None' listens on all addresses (default), 'NodeIP' only on the node's own. */
  readonly bindMode?: 'None' | 'NodeIP';
  readonly serviceClusterIPs?: readonly CidrEntry[];
  readonly serviceExternalIPs?: readonly CidrEntry[];
  readonly serviceLoadBalancerIPs?: readonly CidrEntry[];
  /** Default Enabled: advertise the whole load-balancer block, not each address. */
  readonly serviceLoadBalancerAggregation?: 'Enabled' | 'Disabled';
  /** Names for community values. */
  readonly communities?: readonly NamedCommunity[];
  readonly prefixAdvertisements?: readonly PrefixAdvertisement[];
  readonly nodeMeshPassword?: BGPPassword;
  /** Graceful restart time of mesh sessions; default 120s. */
  readonly nodeMeshMaxRestartTime?: DurationText;
  readonly ignoredInterfaces?: readonly string[];
  readonly localWorkloadPeeringIPV4?: string;
  readonly localWorkloadPeeringIPV6?: string;
  /** Who writes routes to other nodes; default Enabled: the BGP daemon. */
  readonly programClusterRoutes?: 'Enabled' | 'Disabled' | 'EnabledIPIPOnly' | 'EnabledNoEncapOnly';
  /** Metric in the kernel of routes whose filters set no priority, and what BGPFilter's `priority` calls theirs; Calico's default 1024. */
  readonly ipv4NormalRoutePriority?: number;
  readonly ipv6NormalRoutePriority?: number;
  /** Tortie: BFD on mesh sessions; absent: off. */
  readonly nodeMeshBfd?: BfdSettings;
  /** Tortie: hold time of sessions that do not say otherwise; default 90s. */
  readonly holdTime?: DurationText;
}

export interface CidrEntry {
  readonly cidr?: string;
}

export interface NamedCommunity {
  readonly name?: string;
  /** "64512:100" (RFC 1997) or "64512:1:2" (RFC 8092). */
  readonly value?: string;
}

export interface PrefixAdvertisement {
  readonly cidr?: string;
  /** Values, or names defined in `communities`. */
  readonly communities?: readonly string[];
}

/** The secret stands in the namespace Tortie runs in. */
export interface BGPPassword {
  readonly secretKeyRef?: SecretKeySelector;
}

export interface SecretKeySelector {
  readonly name?: string;
  readonly key: string;
  readonly optional?: boolean;
}

export interface BGPPeer extends KubeObject {
  readonly spec: BGPPeerSpec;
}

export interface BGPPeerSpec {
  /** Name of the one node that peers; excludes nodeSelector. Neither: every node. */
  readonly node?: string;
  /** Calico selector over node labels. */
  readonly nodeSelector?: string;
  /** "192.0.2.1", "192.0.2.1:1179", "2001:db8::1" or "[2001:db8::1]:1179". */
  readonly peerIP?: string;
  readonly asNumber?: AsNumber;
  /** Calico selector over nodes to peer with; excludes peerIP and asNumber. */
  readonly peerSelector?: string;
  /** Deprecated by nextHopMode 'Keep'; default false. */
  readonly keepOriginalNextHop?: boolean;
  /** Default Auto: self to eBGP peers, keep to iBGP peers. */
  readonly nextHopMode?: 'Auto' | 'Self' | 'Keep';
  readonly password?: BGPPassword;
  /** Default UseNodeIP. */
  readonly sourceAddress?: 'UseNodeIP' | 'None';
  /** Graceful restart time; default 120s. */
  readonly maxRestartTime?: DurationText;
  /** Default: a third of the hold time. */
  readonly keepaliveTime?: DurationText;
  /** How often our own AS may stand in a received AS_PATH; default 0. */
  readonly numAllowedLocalASNumbers?: number;
  readonly localASNumber?: AsNumber;
  /** GTSM (RFC 5082): hops a packet may have come; 0 turns the check off. */
  readonly ttlSecurity?: number;
  /** Gateway through which a host route to the peer is kept. */
  readonly reachableBy?: string;
  /** Names of BGPFilters, in order. */
  readonly filters?: readonly string[];
  /** Peer with local workloads; Calico selector. Excludes peerIP and peerSelector. */
  readonly localWorkloadSelector?: string;
  /** Default Auto: the other side of a peerSelector peering is configured too. */
  readonly reversePeering?: 'Auto' | 'Manual';
  /** Tortie: BFD for the session; absent: off. */
  readonly bfd?: BfdSettings;
  /** Tortie: per family; default 10000. Crossing it ends the session with Cease/1. */
  readonly maxPrefixes?: number;
  /** Tortie: try again so long after crossing maxPrefixes; absent: stay down until cleared. */
  readonly maxPrefixesRestartAfter?: DurationText;
  /** Tortie: default the cluster's hold time. */
  readonly holdTime?: DurationText;
  /** Tortie: wait for the peer to connect; default false. */
  readonly passive?: boolean;
  /** Tortie: hops an eBGP peer may be away; default 1, that is, directly connected. */
  readonly multihop?: number;
}

/** Tortie's own. */
export interface BfdSettings {
  /** Default true: a `bfd: {}` turns it on. */
  readonly enabled?: boolean;
  /** Transmit and receive interval in milliseconds, 10..60000; default 300. */
  readonly intervalMilliseconds?: number;
  /** Packets that may be missed, 1..255; default 3. */
  readonly multiplier?: number;
}

/** The first rule that matches decides; no match accepts. */
export interface BGPFilter extends KubeObject {
  readonly spec: BGPFilterSpec;
}

export interface BGPFilterSpec {
  readonly exportV4?: readonly BGPFilterRule[];
  readonly importV4?: readonly BGPFilterRule[];
  readonly exportV6?: readonly BGPFilterRule[];
  readonly importV6?: readonly BGPFilterRule[];
}

/** Every condition present must hold. */
export interface BGPFilterRule {
  /** Needs matchOperator. */
  readonly cidr?: string;
  readonly matchOperator?: 'Equal' | 'NotEqual' | 'In' | 'NotIn';
  /** Defaults: min is the CIDR's own length, max 32 or 128. */
  readonly prefixLength?: { readonly min?: number; readonly max?: number };
  readonly source?: 'RemotePeers';
  /** Outgoing interface; `*` is a wildcard. */
  readonly interface?: string;
  readonly peerType?: 'eBGP' | 'iBGP';
  readonly communities?: { readonly values: readonly string[] };
  readonly asPathPrefix?: readonly AsNumber[];
  /** Kernel route metric, 1..2147483646. */
  readonly priority?: number;
  readonly action: 'Accept' | 'Reject';
  /** With Accept only; each entry sets exactly one field. */
  readonly operations?: readonly BGPFilterOperation[];
}

export interface BGPFilterOperation {
  readonly addCommunity?: { readonly value: string };
  readonly prependASPath?: { readonly prefix: readonly AsNumber[] };
  readonly setPriority?: { readonly value: number };
}
