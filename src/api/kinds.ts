/**
 * Every kind Tortie reads or writes, as rows of one table: where it is served and which type its objects have. The
 * datastore builds URLs from it; the installer and the lab know from it what must be served.
 */
import type { BGPConfiguration, BGPFilter, BGPPeer } from './bgp.js';
import type {
  CalicoNetworkPolicy,
  GlobalNetworkPolicy,
  GlobalNetworkSet,
  HostEndpoint,
  NetworkSet,
  StagedGlobalNetworkPolicy,
  StagedKubernetesNetworkPolicy,
  StagedNetworkPolicy,
  Tier,
} from './calico-policy.js';
import type { Change } from './change.js';
import type { AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy } from './cluster-policy.js';
import type {
  ConfigMap,
  CoreEvent,
  Endpoints,
  EndpointSlice,
  Event,
  Lease,
  Namespace,
  Node,
  Pod,
  Secret,
  Service,
  ServiceAccount,
} from './core.js';
import type { IPAMBlock, IPAMConfiguration, IPPool, IPReservation, NodeAddresses } from './ipam.js';
import type { NetworkPolicy } from './networking.js';
import type { NodeStatus } from './node-status.js';

export interface ResourceKind {
  /** "" is the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

const CALICO = { group: 'projectcalico.org', version: 'v3' } as const;
const CORE = { group: '', version: 'v1' } as const;

/** Keys are unique names; Calico's NetworkPolicy shares its kind with Kubernetes' own. */
export const kinds = {
  pods: { ...CORE, kind: 'Pod', plural: 'pods', namespaced: true },
  nodes: { ...CORE, kind: 'Node', plural: 'nodes', namespaced: false },
  namespaces: { ...CORE, kind: 'Namespace', plural: 'namespaces', namespaced: false },
  services: { ...CORE, kind: 'Service', plural: 'services', namespaced: true },
  endpoints: { ...CORE, kind: 'Endpoints', plural: 'endpoints', namespaced: true },
  serviceAccounts: { ...CORE, kind: 'ServiceAccount', plural: 'serviceaccounts', namespaced: true },
  secrets: { ...CORE, kind: 'Secret', plural: 'secrets', namespaced: true },
  configMaps: { ...CORE, kind: 'ConfigMap', plural: 'configmaps', namespaced: true },
  coreEvents: { ...CORE, kind: 'Event', plural: 'events', namespaced: true },
  events: { group: 'events.k8s.io', version: 'v1', kind: 'Event', plural: 'events', namespaced: true },
  endpointSlices: {
    group: 'discovery.k8s.io',
    version: 'v1',
    kind: 'EndpointSlice',
    plural: 'endpointslices',
    namespaced: true,
  },
  leases: { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease', plural: 'leases', namespaced: true },
  networkPolicies: {
    group: 'networking.k8s.io',
    version: 'v1',
    kind: 'NetworkPolicy',
    plural: 'networkpolicies',
    namespaced: true,
  },
  clusterNetworkPolicies: {
    group: 'policy.networking.k8s.io',
    version: 'v1alpha2',
    kind: 'ClusterNetworkPolicy',
    plural: 'clusternetworkpolicies',
    namespaced: false,
  },
  adminNetworkPolicies: {
    group: 'policy.networking.k8s.io',
    version: 'v1alpha1',
    kind: 'AdminNetworkPolicy',
    plural: 'adminnetworkpolicies',
    namespaced: false,
  },
  baselineAdminNetworkPolicies: {
    group: 'policy.networking.k8s.io',
    version: 'v1alpha1',
    kind: 'BaselineAdminNetworkPolicy',
    plural: 'baselineadminnetworkpolicies',
    namespaced: false,
  },
  ipPools: { ...CALICO, kind: 'IPPool', plural: 'ippools', namespaced: false },
  ipReservations: { ...CALICO, kind: 'IPReservation', plural: 'ipreservations', namespaced: false },
  ipamConfigurations: { ...CALICO, kind: 'IPAMConfiguration', plural: 'ipamconfigurations', namespaced: false },
  bgpConfigurations: { ...CALICO, kind: 'BGPConfiguration', plural: 'bgpconfigurations', namespaced: false },
  bgpPeers: { ...CALICO, kind: 'BGPPeer', plural: 'bgppeers', namespaced: false },
  bgpFilters: { ...CALICO, kind: 'BGPFilter', plural: 'bgpfilters', namespaced: false },
  calicoNetworkPolicies: { ...CALICO, kind: 'NetworkPolicy', plural: 'networkpolicies', namespaced: true },
  globalNetworkPolicies: { ...CALICO, kind: 'GlobalNetworkPolicy', plural: 'globalnetworkpolicies', namespaced: false },
  stagedNetworkPolicies: { ...CALICO, kind: 'StagedNetworkPolicy', plural: 'stagednetworkpolicies', namespaced: true },
  stagedGlobalNetworkPolicies: {
    ...CALICO,
    kind: 'StagedGlobalNetworkPolicy',
    plural: 'stagedglobalnetworkpolicies',
    namespaced: false,
  },
  stagedKubernetesNetworkPolicies: {
    ...CALICO,
    kind: 'StagedKubernetesNetworkPolicy',
    plural: 'stagedkubernetesnetworkpolicies',
    namespaced: true,
  },
  tiers: { ...CALICO, kind: 'Tier', plural: 'tiers', namespaced: false },
  networkSets: { ...CALICO, kind: 'NetworkSet', plural: 'networksets', namespaced: true },
  globalNetworkSets: { ...CALICO, kind: 'GlobalNetworkSet', plural: 'globalnetworksets', namespaced: false },
  hostEndpoints: { ...CALICO, kind: 'HostEndpoint', plural: 'hostendpoints', namespaced: false },
  ipamBlocks: { group: 'tortie.dev', version: 'v1alpha1', kind: 'IPAMBlock', plural: 'ipamblocks', namespaced: false },
  nodeAddresses: {
    group: 'tortie.dev',
    version: 'v1alpha1',
    kind: 'NodeAddresses',
    plural: 'nodeaddresses',
    namespaced: false,
  },
  nodeStatuses: {
    group: 'tortie.dev',
    version: 'v1alpha1',
    kind: 'NodeStatus',
    plural: 'nodestatuses',
    namespaced: false,
  },
  changes: { group: 'tortie.dev', version: 'v1alpha1', kind: 'Change', plural: 'changes', namespaced: false },
} as const satisfies Readonly<Record<string, ResourceKind>>;

export type KindName = keyof typeof kinds;

/** The object type of each kind. */
export interface ObjectOf {
  readonly pods: Pod;
  readonly nodes: Node;
  readonly namespaces: Namespace;
  readonly services: Service;
  readonly endpoints: Endpoints;
  readonly serviceAccounts: ServiceAccount;
  readonly secrets: Secret;
  readonly configMaps: ConfigMap;
  readonly coreEvents: CoreEvent;
  readonly events: Event;
  readonly endpointSlices: EndpointSlice;
  readonly leases: Lease;
  readonly networkPolicies: NetworkPolicy;
  readonly clusterNetworkPolicies: ClusterNetworkPolicy;
  readonly adminNetworkPolicies: AdminNetworkPolicy;
  readonly baselineAdminNetworkPolicies: BaselineAdminNetworkPolicy;
  readonly ipPools: IPPool;
  readonly ipReservations: IPReservation;
  readonly ipamConfigurations: IPAMConfiguration;
  readonly bgpConfigurations: BGPConfiguration;
  readonly bgpPeers: BGPPeer;
  readonly bgpFilters: BGPFilter;
  readonly calicoNetworkPolicies: CalicoNetworkPolicy;
  readonly globalNetworkPolicies: GlobalNetworkPolicy;
  readonly stagedNetworkPolicies: StagedNetworkPolicy;
  readonly stagedGlobalNetworkPolicies: StagedGlobalNetworkPolicy;
  readonly stagedKubernetesNetworkPolicies: StagedKubernetesNetworkPolicy;
  readonly tiers: Tier;
  readonly networkSets: NetworkSet;
  readonly globalNetworkSets: GlobalNetworkSet;
  readonly hostEndpoints: HostEndpoint;
  readonly ipamBlocks: IPAMBlock;
  readonly nodeAddresses: NodeAddresses;
  readonly nodeStatuses: NodeStatus;
  readonly changes: Change;
}

/** "v1" or "projectcalico.org/v3". */
export const apiVersionOf = (kind: ResourceKind): string =>
  kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;

/** URL path of a kind: "/api/v1/pods", "/api/v1/namespaces/NS/pods", ".../NAME". */
export function resourcePath(kind: ResourceKind, namespace?: string, name?: string): string {
  const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const scope = kind.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${kind.plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
}

/** Custom resources that people write: they carry conditions, and a Change may hold them. */
export const USER_KINDS: readonly KindName[] = [
  'ipPools',
  'ipReservations',
  'ipamConfigurations',
  'bgpConfigurations',
  'bgpPeers',
  'bgpFilters',
  'calicoNetworkPolicies',
  'globalNetworkPolicies',
  'stagedNetworkPolicies',
  'stagedGlobalNetworkPolicies',
  'stagedKubernetesNetworkPolicies',
  'tiers',
  'networkSets',
  'globalNetworkSets',
  'hostEndpoints',
  'clusterNetworkPolicies',
  'adminNetworkPolicies',
  'baselineAdminNetworkPolicies',
];
