/** What the parts of the computation share: the resources they read, and the cluster as this node sees it. */
import type { Family } from 'node-bgp/address';
import type { FamilyName, FilterConfig, SpeakerConfig } from 'node-bgp/config';
import type { BGPConfiguration, BGPFilter, BGPPeer } from '../api/bgp.js';
import type { Node } from '../api/core.js';
import type { IPPool } from '../api/ipam.js';
import type { Configuration } from './configuration.js';
import type { DrainInput, DrainOutcome } from './drain.js';
import type { NodeIdentity } from './node-identity.js';
import type { GatewayRoute, LocalWorkload, NodeLink, PeeringAddress } from './node-side.js';
import type { Place, Problems, TopologyProblem } from './problems.js';
import type { ServiceAddress } from './service-addresses.js';

/** Lists, never iterators: several parts of the computation read each of them. Their order does not matter. */
export interface TopologyInput {
  readonly nodeName: string;
  readonly nodes: readonly Node[];
  readonly bgpConfigurations: readonly BGPConfiguration[];
  readonly bgpPeers: readonly BGPPeer[];
  readonly bgpFilters: readonly BGPFilter[];
  readonly ipPools: readonly IPPool[];
  /** Blocks that are durably ours. */
  readonly blocks: readonly { readonly cidr: string; readonly pool: string }[];
  /** Addresses of Services that this node may announce one by one; default none. */
  readonly services?: readonly ServiceAddress[];
  /** Addresses on this node's loopback interface, canonical. */
  readonly loopbackAddresses: ReadonlySet<string>;
  /** The node's own interfaces. Absent: not known, and every router is taken to be on one of their links. */
  readonly links?: readonly NodeLink[];
  /** Pods that live here; default: none. */
  readonly workloads?: readonly LocalWorkload[];
  /** Value of a key of a secret in our namespace. */
  readonly secret: (name: string, key: string) => string | undefined;
  /** Where those secrets are looked for. */
  readonly secretNamespace: string;
  /** Calico's selector language over node labels. @throws Error with a sentence about the selector */
  readonly matches: (selector: string, labels: ReadonlyMap<string, string>) => boolean;
  /** Filters of the configuration that the speaker holds, by name: they stand in for a BGPFilter that has gone. */
  readonly heldFilters?: Readonly<Record<string, FilterConfig>>;
  /** BGPFilters that are no more, as they were last: the speaker may never have heard of one that was made and deleted in one breath. */
  readonly goneFilters?: readonly BGPFilter[];
  /** Absent: this node is in service. */
  readonly drain?: DrainInput;
  /** Does this node's kernel serve what comes for this route of a Service, a prefix? Absent: for all. */
  readonly mayTellService?: (prefix: string) => boolean;
}

export interface Topology {
  /** Undefined while this node's object is not there yet or has no address. */
  readonly config: SpeakerConfig | undefined;
  /** What the sessions need of the kernel: routes to peers behind a gateway, addresses where pods find the node. */
  readonly gateways: readonly GatewayRoute[];
  readonly peering: readonly PeeringAddress[];
  /** Of Services, announced: what nobody has translated of it goes nowhere (service-ranges.ts). */
  readonly serviceRanges: readonly string[];
  /** Of a node that drains. */
  readonly drain?: DrainOutcome;
  readonly problems: readonly TopologyProblem[];
  /** Who asks for each peer, by the peer's name. */
  readonly places: ReadonlyMap<string, Place>;
}

export interface Cluster {
  readonly input: TopologyInput;
  readonly self: NodeIdentity;
  /** By name; of two with one address only one has it. */
  readonly nodes: readonly NodeIdentity[];
  readonly configuration: Configuration;
  /** The port on which a node listens. */
  readonly listenPortOf: (nodeName: string) => number;
  readonly problems: Problems;
}

export const familyName = (family: Family): FamilyName => (family === 4 ? 'ipv4' : 'ipv6');
