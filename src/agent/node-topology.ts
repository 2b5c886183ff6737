/**
 * The topology of this node: what it is computed from, who has to be told of what it wants of the kernel, and how much of it is logged.
 */
import type { BgpPeerAddresses } from '@tortie/policy/objects';
import { formatAddress, isHostAddress, type IpAddress } from 'node-bgp/address';
import type { OriginatedPrefix } from 'node-bgp/config';
import type { BGPFilter } from '../api/bgp.js';
import type { KindName } from '../api/kinds.js';
import type { Node } from '../api/core.js';
import { ofKind, type GuardedObjects } from '../change/guard.js';
import type { Cluster, ClusterChange } from '../cluster/cluster.js';
import type { OnDemandWatch } from '../cluster/on-demand-watch.js';
import type { Logger } from '../log.js';
import { configurationOf } from '../topology/configuration.js';
import type { DrainInput, DrainOutcome } from '../topology/drain.js';
import { identityOf } from '../topology/node-identity.js';
import { Problems } from '../topology/problems.js';
import { readsServices } from '../topology/service-routes.js';
import { parsePeerAddress } from '../topology/values.js';
import { topologyOf, type Topology, type TopologyInput } from '../topology/speaker-config.js';
import type { NodeKernel } from './kernel.js';
import { localWorkloads, type LocalEndpoint } from './local-workloads.js';
import { selectorMatches } from './node-selector.js';
import { ServiceIndex } from './service-index.js';

/** What the agent has to list and watch for BGP, beside what others need. */
export const BGP_KINDS: readonly KindName[] = ['bgpConfigurations', 'bgpPeers', 'bgpFilters', 'ipPools', 'secrets'];
/** RFC 4271 section 4. */
const BGP_PORT = 179;
/** What a pod's labels come from: of account only to a localWorkloadSelector. */
const WORKLOAD_KINDS: readonly KindName[] = ['pods', 'namespaces', 'serviceAccounts'];

/** How long BGP waits for the first list of Services, and how often it looks. */
const SERVICES_WITHIN = 10_000;
const SERVICES_LOOK = 50;

/** Of the kernel. */
type Wanted = Pick<Topology, 'gateways' | 'peering' | 'serviceRanges'>;

export interface NodeTopologyOptions {
  readonly node: string;
  /** Where BGP passwords are. */
  readonly namespace: string;
  readonly cluster: Cluster;
  /** For Services, once anything of them is to be announced. */
  readonly onDemand: Pick<OnDemandWatch, 'need'>;
  readonly kernel: Pick<NodeKernel, 'links' | 'loopbackAddresses'>;
  readonly blocks: () => TopologyInput['blocks'];
  readonly endpoints: () => readonly LocalEndpoint[];
  /** How this node drains; undefined: it is in service. */
  readonly drain?: () => DrainInput | undefined;
  /** Does the kernel serve what comes to addresses of Services? Absent: it does. */
  readonly isServed?: () => boolean;
  /** Of all that concerns BGP; its level is that of logSeverityScreen. */
  readonly log: Logger;
  /** `wanted` has changed. */
  readonly onWanted: () => void;
  /** Who are peers, or where speakers listen, has changed. */
  readonly onPeers?: (peers: BgpPeerAddresses) => void;
}

export class NodeTopology {
  private latest: Wanted = { gateways: [], peering: [], serviceRanges: [] };
  /** What BGP reads of each node. BOUNDED by the cluster's nodes. */
  private readonly nodes = new Map<string, string>();
  /** BGPFilters as they were when they went. BOUNDED by the names in BGPPeers, each time that BGP is computed. */
  private readonly gone = new Map<string, BGPFilter>();
  private readonly startLevel: string;
  private readonly services: ServiceIndex;
  private peersText = '';
  private drainOutcome: DrainOutcome | undefined;

  constructor(private readonly options: NodeTopologyOptions) {
    this.startLevel = options.log.level;
    this.services = new ServiceIndex(options.cluster, options.node);
  }

  /** Resolves when those Services are here that bgpd should be told of, or when they cannot be had: sessions matter more. */
  async awaitServices(): Promise<void> {
    const { cluster, log } = this.options;
    const until = performance.now() + SERVICES_WITHIN;
    while (this.readsServices() && !cluster.isListed('services')) {
      this.options.onDemand.need('services');
      if (performance.now() >= until) {
        const problem = cluster.problems().get('services');
        log.warn({ problem }, 'Services cannot be read; BGP begins without routes to single addresses of theirs');
        return;
      }
      await cluster.nextChange(SERVICES_LOOK);
    }
  }

  /** Of the kernel, as last computed. */
  get wanted(): Wanted {
    return this.latest;
  }

  get log(): Logger {
    return this.options.log;
  }

  /** Does a change of such an object matter? */
  concerns(kind: KindName): boolean {
    return kind === 'nodes' || BGP_KINDS.includes(kind) || (WORKLOAD_KINDS.includes(kind) && this.hasWorkloadPeers());
  }

  /** A kubelet writes its Node every few minutes; of thousands of them hardly any says what BGP does not know. */
  isNews(change: ClusterChange): boolean {
    if (change.kind === 'bgpFilters') this.rememberFilter(change.object, change.type === 'delete');
    if (change.kind === 'services' || change.kind === 'endpointSlices') return this.services.changed(change);
    if (change.kind !== 'nodes') return this.concerns(change.kind);
    const { name } = change.object.metadata;
    const text = change.type === 'delete' ? undefined : identityText(change.object);
    if (this.nodes.get(name) === text) return false;
    if (text === undefined) this.nodes.delete(name);
    else this.nodes.set(name, text);
    return true;
  }

  /** @param told what bgpd announces now: addresses of Services among it stay, also while the kernel is not seen to serve them */
  compute(heldFilters: NonNullable<TopologyInput['heldFilters']>, told: readonly OriginatedPrefix[] = []): Topology {
    const { cluster, kernel, namespace, node, blocks, endpoints, log, onWanted } = this.options;
    const topology = topologyOf({
      nodeName: node,
      nodes: [...cluster.all('nodes').values()],
      bgpConfigurations: [...cluster.all('bgpConfigurations').values()],
      bgpPeers: [...cluster.all('bgpPeers').values()],
      bgpFilters: [...cluster.all('bgpFilters').values()],
      ipPools: [...cluster.all('ipPools').values()],
      blocks: blocks(),
      services: this.serviceAddresses(),
      loopbackAddresses: kernel.loopbackAddresses(),
      links: kernel.links(),
      workloads: this.hasWorkloadPeers() ? localWorkloads(cluster, endpoints()) : [],
      secret: (name, key) => {
        const value = cluster.get('secrets', name, namespace)?.data?.[key];
        return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
      },
      secretNamespace: namespace,
      matches: selectorMatches,
      heldFilters,
      goneFilters: this.goneFilters(),
      ...this.limits(told),
    });
    this.drainOutcome = topology.drain;
    log.level = topology.config?.logLevel ?? this.startLevel;
    const { gateways, peering, serviceRanges } = topology;
    const wanted = { gateways, peering, serviceRanges };
    const hasChanged = JSON.stringify(wanted) !== JSON.stringify(this.latest);
    this.latest = wanted;
    if (hasChanged) onWanted();
    this.tellPeers(topology);
    return topology;
  }

  private rememberFilter(filter: BGPFilter, isGone: boolean): void {
    const { name } = filter.metadata;
    this.gone.delete(name);
    if (isGone) this.gone.set(name, filter);
  }

  /** Those that a peer still names; the others are forgotten. */
  private goneFilters(): readonly BGPFilter[] {
    const named = new Set([...this.options.cluster.all('bgpPeers').values()].flatMap(({ spec }) => spec.filters ?? []));
    for (const name of this.gone.keys()) if (!named.has(name)) this.gone.delete(name);
    return [...this.gone.values()];
  }

  /** What the speaker of a node would be by other objects: its sessions, not what it tells. Passwords are taken to be there. */
  whatIf(objects: GuardedObjects, nodeName: string): Topology {
    const { cluster, kernel, namespace, node, endpoints } = this.options;
    const isOwn = nodeName === node;
    return topologyOf({
      nodeName,
      nodes: ofKind(objects, 'nodes'),
      bgpConfigurations: ofKind(objects, 'bgpConfigurations'),
      bgpPeers: ofKind(objects, 'bgpPeers'),
      bgpFilters: [...cluster.all('bgpFilters').values()],
      ipPools: ofKind(objects, 'ipPools'),
      blocks: [],
      loopbackAddresses: isOwn ? kernel.loopbackAddresses() : new Set(),
      ...(isOwn ? { links: kernel.links(), workloads: localWorkloads(cluster, endpoints()) } : {}),
      secret: () => 'there',
      secretNamespace: namespace,
      matches: selectorMatches,
      heldFilters: {},
    });
  }

  /** Of the last computation; undefined: the node does not drain. */
  get drained(): DrainOutcome | undefined {
    return this.drainOutcome;
  }

  private limits(told: readonly OriginatedPrefix[]): Pick<TopologyInput, 'drain' | 'mayTellService'> {
    const drain = this.options.drain?.();
    const isServed = this.options.isServed?.() !== false;
    const before = new Set(isServed ? [] : told.map(({ prefix }) => prefix));
    return {
      ...(drain === undefined ? {} : { drain }),
      ...(isServed ? {} : { mayTellService: (prefix) => before.has(prefix) }),
    };
  }

  private readsServices(): boolean {
    const { node, cluster } = this.options;
    const configurations = [...cluster.all('bgpConfigurations').values()];
    return readsServices(configurationOf(node, configurations, new Problems()).spec);
  }

  private serviceAddresses(): NonNullable<TopologyInput['services']> {
    const { cluster, onDemand } = this.options;
    if (!this.readsServices()) return [];
    onDemand.need('services');
    if (cluster.isListed('services')) this.services.fill();
    return this.services.addresses();
  }

  /** Of this node as its speaker has them, of others as resources name them: whom those select is theirs to find out. */
  private tellPeers({ config }: Topology): void {
    const resources = [...this.options.cluster.all('bgpPeers').values()];
    // Of the resources of other nodes nobody here refuses one whose peer is nowhere, such as 0.0.0.0.
    const hostOf = (text = ''): IpAddress | undefined => {
      const address = parsePeerAddress(text)?.address;
      return address !== undefined && isHostAddress(address) ? address : undefined;
    };
    const ofNode = (config?.peers ?? []).flatMap(({ address }) =>
      hostOf(address) === undefined ? [] : [address ?? ''],
    );
    const named = resources.map(({ spec }) => hostOf(spec.peerIP)).filter((address) => address !== undefined);
    const peers: BgpPeerAddresses = {
      ofNode,
      ofAny: [...new Set([...ofNode, ...named.map(formatAddress)])],
      listenPorts: [...new Set((config?.listen ?? []).map(({ port }) => port ?? BGP_PORT))],
    };
    const text = JSON.stringify(peers);
    if (text === this.peersText) return;
    this.peersText = text;
    this.options.onPeers?.(peers);
  }

  private hasWorkloadPeers(): boolean {
    return [...this.options.cluster.all('bgpPeers').values()].some(
      ({ spec }) => (spec.localWorkloadSelector ?? '') !== '',
    );
  }
}

/** All that the topology reads of a Node. */
function identityText(node: Node): string {
  const { labels, addresses, ...rest } = identityOf(node);
  return JSON.stringify({ ...rest, labels: [...labels].sort(), addresses: [...addresses] });
}
