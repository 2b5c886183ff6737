/**
 * projectcalico.org/v3 policy kinds: NetworkPolicy, GlobalNetworkPolicy, their staged forms, Tier, NetworkSet,
 * GlobalNetworkSet, HostEndpoint. Types only; names and defaults are Calico's.
 */
import type { Condition, KubeObject } from './meta.js';
import type { NetworkPolicySpec } from './networking.js';

export type CalicoPolicyType = 'Ingress' | 'Egress';
export type CalicoAction = 'Allow' | 'Deny' | 'Log' | 'Pass';
export type StagedAction = 'Set' | 'Delete' | 'Learn' | 'Ignore';
/** "TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "UDPLite", or 1..255. */
export type CalicoProtocol = string | number;
/** 80, "http", "8080:8090". */
export type CalicoPort = number | string;

export interface CalicoNetworkPolicy extends KubeObject {
  readonly spec: CalicoNetworkPolicySpec;
  readonly status?: { readonly conditions?: readonly Condition[] };
}

interface CalicoPolicySpecCommon {
  /** Default "default". */
  readonly tier?: string;
  /** Absent: last. Equal orders go by name. */
  readonly order?: number;
  readonly ingress?: readonly CalicoRule[];
  readonly egress?: readonly CalicoRule[];
  /** Empty: everything. */
  readonly selector?: string;
  /** Default: Ingress without egress rules, Egress with only egress rules, both with both. */
  readonly types?: readonly CalicoPolicyType[];
  readonly serviceAccountSelector?: string;
  readonly performanceHints?: readonly 'AssumeNeededOnEveryNode'[];
}

export type CalicoNetworkPolicySpec = CalicoPolicySpecCommon;

export interface GlobalNetworkPolicy extends KubeObject {
  readonly spec: GlobalNetworkPolicySpec;
}

export interface GlobalNetworkPolicySpec extends CalicoPolicySpecCommon {
  readonly namespaceSelector?: string;
  readonly doNotTrack?: boolean;
  readonly preDNAT?: boolean;
  readonly applyOnForward?: boolean;
}

export interface StagedNetworkPolicy extends KubeObject {
  readonly spec: CalicoNetworkPolicySpec & { readonly stagedAction?: StagedAction };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

export interface StagedGlobalNetworkPolicy extends KubeObject {
  readonly spec: GlobalNetworkPolicySpec & { readonly stagedAction?: StagedAction };
}

export interface StagedKubernetesNetworkPolicy extends KubeObject {
  readonly spec: NetworkPolicySpec & { readonly stagedAction?: StagedAction };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

export interface CalicoRule {
  readonly action: CalicoAction;
  readonly ipVersion?: 4 | 6;
  readonly protocol?: CalicoProtocol;
  readonly notProtocol?: CalicoProtocol;
  readonly icmp?: IcmpMatch;
  readonly notICMP?: IcmpMatch;
  readonly source?: EntityRule;
  readonly destination?: EntityRule;
  /** Layer 7: stored, reported as unsupported. */
  readonly http?: {
    readonly methods?: readonly string[];
    readonly paths?: readonly { readonly exact?: string; readonly prefix?: string }[];
  };
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
}

export interface IcmpMatch {
  /** 0..254. */
  readonly type?: number;
  /** 0..255; needs type. */
  readonly code?: number;
}

export interface EntityRule {
  readonly nets?: readonly string[];
  readonly notNets?: readonly string[];
  readonly selector?: string;
  readonly notSelector?: string;
  readonly namespaceSelector?: string;
  readonly ports?: readonly CalicoPort[];
  readonly notPorts?: readonly CalicoPort[];
  readonly serviceAccounts?: { readonly names?: readonly string[]; readonly selector?: string };
  readonly services?: { readonly name?: string; readonly namespace?: string };
}

export interface Tier extends KubeObject {
  readonly spec: {
    /** Absent: last. Equal orders go by name. The tier "default" has 1000000. */
    readonly order?: number;
    /** What happens to an endpoint's traffic that no policy of the tier decided; default Deny. */
    readonly defaultAction?: 'Deny' | 'Pass';
  };
}

export interface NetworkSet extends KubeObject {
  readonly spec: { readonly nets?: readonly string[] };
}

export interface GlobalNetworkSet extends KubeObject {
  readonly spec: { readonly nets?: readonly string[] };
}

export interface HostEndpoint extends KubeObject {
  readonly spec: HostEndpointSpec;
}

export interface HostEndpointSpec {
  readonly node?: string;
  /** "*" is every interface of the node. */
  readonly interfaceName?: string;
  readonly expectedIPs?: readonly string[];
  readonly profiles?: readonly string[];
  readonly ports?: readonly { readonly name: string; readonly protocol: CalicoProtocol; readonly port: number }[];
}
