/**
 * What the engine is fed: Kubernetes objects as the API serves them, and the endpoints of this node.
 *
 * The shapes are structural and everything is optional, because objects come from several API versions, from files and from
 * users; `translate/` and `resolve/` look at each field before they believe it. @kubernetes/client-node's classes fit.
 */

/** A kind, unambiguous across API groups (NetworkPolicy exists in two). Items of an API list carry no `kind`, so events name it. */
export type ObjectKind =
  | 'Pod'
  | 'Namespace'
  | 'Node'
  | 'ServiceAccount'
  | 'Service'
  | 'EndpointSlice'
  | PolicyKind
  | 'Tier'
  | 'NetworkSet'
  | 'GlobalNetworkSet'
  | 'HostEndpoint';

export type PolicyKind =
  /** networking.k8s.io/v1 */
  | 'NetworkPolicy'
  /** policy.networking.k8s.io */
  | 'ClusterNetworkPolicy'
  | 'AdminNetworkPolicy'
  | 'BaselineAdminNetworkPolicy'
  /** projectcalico.org/v3 NetworkPolicy and its relatives */
  | 'CalicoNetworkPolicy'
  | 'GlobalNetworkPolicy'
  | 'StagedNetworkPolicy'
  | 'StagedGlobalNetworkPolicy'
  | 'StagedKubernetesNetworkPolicy';

const POLICY_KINDS: ReadonlySet<ObjectKind> = new Set<PolicyKind>([
  'NetworkPolicy',
  'ClusterNetworkPolicy',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
  'CalicoNetworkPolicy',
  'GlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'StagedKubernetesNetworkPolicy',
]);
export const isPolicyKind = (kind: ObjectKind): kind is PolicyKind => POLICY_KINDS.has(kind);

/** API group and kind of every object kind. */
export const OBJECT_KINDS: ReadonlyMap<ObjectKind, { readonly group: string; readonly kind: string }> = new Map([
  ['Pod', { group: '', kind: 'Pod' }],
  ['Namespace', { group: '', kind: 'Namespace' }],
  ['Node', { group: '', kind: 'Node' }],
  ['ServiceAccount', { group: '', kind: 'ServiceAccount' }],
  ['Service', { group: '', kind: 'Service' }],
  ['EndpointSlice', { group: 'discovery.k8s.io', kind: 'EndpointSlice' }],
  ['NetworkPolicy', { group: 'networking.k8s.io', kind: 'NetworkPolicy' }],
  ['ClusterNetworkPolicy', { group: 'policy.networking.k8s.io', kind: 'ClusterNetworkPolicy' }],
  ['AdminNetworkPolicy', { group: 'policy.networking.k8s.io', kind: 'AdminNetworkPolicy' }],
  ['BaselineAdminNetworkPolicy', { group: 'policy.networking.k8s.io', kind: 'BaselineAdminNetworkPolicy' }],
  ['CalicoNetworkPolicy', { group: 'projectcalico.org', kind: 'NetworkPolicy' }],
  ['GlobalNetworkPolicy', { group: 'projectcalico.org', kind: 'GlobalNetworkPolicy' }],
  ['StagedNetworkPolicy', { group: 'projectcalico.org', kind: 'StagedNetworkPolicy' }],
  ['StagedGlobalNetworkPolicy', { group: 'projectcalico.org', kind: 'StagedGlobalNetworkPolicy' }],
  ['StagedKubernetesNetworkPolicy', { group: 'projectcalico.org', kind: 'StagedKubernetesNetworkPolicy' }],
  ['Tier', { group: 'projectcalico.org', kind: 'Tier' }],
  ['NetworkSet', { group: 'projectcalico.org', kind: 'NetworkSet' }],
  ['GlobalNetworkSet', { group: 'projectcalico.org', kind: 'GlobalNetworkSet' }],
  ['HostEndpoint', { group: 'projectcalico.org', kind: 'HostEndpoint' }],
]);

/** The kind of an object that carries apiVersion and kind; undefined when policy does not look at such objects. */
export function objectKindOf(object: { readonly apiVersion?: string; readonly kind?: string }): ObjectKind | undefined {
  const slash = object.apiVersion?.lastIndexOf('/') ?? -1;
  const group = slash < 0 ? '' : (object.apiVersion ?? '').slice(0, slash);
  for (const [name, kind] of OBJECT_KINDS) if (kind.kind === object.kind && kind.group === group) return name;
  return undefined;
}

export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: {
    readonly namespace?: string;
    readonly name?: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>> | null;
    readonly annotations?: Readonly<Record<string, string>> | null;
  };
}

export interface ContainerPortObject {
  readonly name?: string;
  readonly containerPort?: number;
  readonly protocol?: string;
}

export interface ContainerObject {
  readonly ports?: readonly ContainerPortObject[] | null;
  readonly restartPolicy?: string;
}

export interface PodObject extends KubeObject {
  readonly spec?: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly serviceAccountName?: string;
    readonly containers?: readonly ContainerObject[] | null;
    readonly initContainers?: readonly ContainerObject[] | null;
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip?: string }[] | null;
  };
}

export interface NodeObject extends KubeObject {
  readonly status?: { readonly addresses?: readonly { readonly type?: string; readonly address?: string }[] | null };
}

/** A pod of this node, as plumbed: what CNI ADD made. Known before the pod's status carries an address. */
export interface LocalEndpoint {
  readonly namespace: string;
  readonly name: string;
  /** Host side of the veth: "tort3f0a12b4c5d". */
  readonly interface: string;
  /** Host sides of the pod's other interfaces (Multus: net1); its policy holds on each. */
  readonly furtherInterfaces?: readonly string[];
  /** Of all interfaces, the first one's first; without prefix length. */
  readonly addresses: readonly string[];
  /**
   * `metadata.uid` of the pod that was plumbed. While the object of that name has another one, the endpoint is closed: it is another pod's
   * policy. Absent: any pod of the name.
   */
  readonly uid?: string;
}

export const interfacesOf = (endpoint: LocalEndpoint | undefined): readonly string[] =>
  endpoint === undefined ? [] : [endpoint.interface, ...(endpoint.furtherInterfaces ?? [])];

/** An interface of the node itself; host endpoints that name addresses only are found by it. */
export interface HostInterface {
  readonly name: string;
  readonly addresses: readonly string[];
}

/** Addresses of BGP peers, pods' and others', and the ports that speakers listen on beside 179. */
export interface BgpPeerAddresses {
  /** Of this node's speaker. */
  readonly ofNode: readonly string[];
  /** Of any node's. */
  readonly ofAny: readonly string[];
  readonly listenPorts: readonly number[];
}

/** Of what goes one way through a pod's interface, in each family; what is absent is not limited. */
export interface FlowLimits {
  readonly packets?: { readonly perSecond: number; readonly burst: number };
  /** Tracked connections at a time that were opened this way. */
  readonly connections?: number;
}

/** `ingress` is what the pod receives. */
export type InterfaceLimits = Readonly<Partial<Record<'ingress' | 'egress', FlowLimits>>>;

export type TunnelKind = 'vxlan' | 'ipip';
export type TunnelPeerAddresses = Readonly<Partial<Record<TunnelKind, readonly string[]>>>;

export type PolicyEvent =
  | { readonly type: 'upsert'; readonly kind: ObjectKind; readonly object: KubeObject }
  | { readonly type: 'delete'; readonly kind: ObjectKind; readonly namespace?: string; readonly name: string }
  | { readonly type: 'endpoint-upsert'; readonly endpoint: LocalEndpoint }
  | { readonly type: 'endpoint-delete'; readonly namespace: string; readonly name: string }
  /** All BGP peers as they are now, and where speakers listen: which pods may reach the BGP ports of nodes. */
  | { readonly type: 'bgp-peers'; readonly peers: BgpPeerAddresses }
  /** Other nodes' addresses that this node has tunnels to, as they are now; a kind that is not there is not in use. */
  | { readonly type: 'tunnel-peers'; readonly peers: TunnelPeerAddresses }
  /** All of the node's own interfaces as they are now. Needed only for host endpoints without an interface name. */
  | { readonly type: 'host-interfaces'; readonly interfaces: readonly HostInterface[] }
  /** All limits of pods' interfaces as they are now, by interface. */
  | { readonly type: 'interface-limits'; readonly limits: ReadonlyMap<string, InterfaceLimits> }
  /** All ranges of Services that the node announces, as they are now: CIDRs, disjoint, free of what is routed otherwise. */
  | { readonly type: 'service-ranges'; readonly prefixes: readonly string[] };
