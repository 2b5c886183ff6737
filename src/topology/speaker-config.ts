/**
 * Topology: which peers a node's speaker has and what it tells them, from the cluster's resources. A pure function.
 *
 *   Nodes, BGPConfiguration  -> full iBGP mesh between node addresses, one session a family    bgp-peers.ts
 *   BGPPeer                  -> sessions to routers (peerIP) or to other nodes (peerSelector, from both ends)
 *   blocks, node address,
 *   service ranges           -> what is originated                                              originations.ts
 *   BGPFilter                -> filters of the peers that name them                             filters.ts
 *
 * A wrong resource is left out and named; the rest of the configuration stands. What is wrong is what the daemon's own rules say
 * (node-bgp/config/parts), asked one peer, one rule, one prefix at a time, so that the daemon never refuses the whole. The order in
 * which resources come makes no difference.
 */
import type { ListenConfig, SpeakerConfig } from 'node-bgp/config';
import { fieldProblems } from 'node-bgp/config/parts';
import { peerName } from 'node-bgp/config/peer-rules';
import { draftsOf } from './bgp-peers.js';
import { drained } from './drain-routes.js';
import type { Cluster, Topology, TopologyInput } from './cluster.js';
import { configurationOf, listenPorts } from './configuration.js';
import { filtersOf } from './filters.js';
import type { NodeIdentity } from './node-identity.js';
import { rosterOf } from './node-roster.js';
import { withoutTwins } from './node-twins.js';
import { MOST_COMMUNITIES, originationsOf } from './originations.js';
import { daemonFieldsOf } from './daemon-fields.js';
import type { GatewayRoute, PeeringAddress } from './node-side.js';
import { admitPeers, type Admitted } from './peer-admission.js';
import { Problems } from './problems.js';
import { serviceRangesOf } from './service-ranges.js';

export type { Topology, TopologyInput } from './cluster.js';
export type { TopologyProblem } from './problems.js';

export function topologyOf(input: TopologyInput): Topology {
  const problems = new Problems();
  const { nodes, faulty, hasTwins } = rosterOf(input.nodes);
  tellFaults(faulty, input.nodeName, problems);
  const alone = hasTwins ? withoutTwins(nodes, input.nodeName, problems) : nodes;
  const self = alone.find((node) => node.name === input.nodeName);
  if (self === undefined || self.addresses.size === 0) {
    problems.problem(
      { resource: `Node/${input.nodeName}` },
      self === undefined
        ? 'the API server has no such node yet'
        : 'has no InternalIP address that other nodes can reach',
    );
    return {
      config: undefined,
      gateways: [],
      peering: [],
      serviceRanges: [],
      problems: problems.list(),
      places: new Map(),
    };
  }
  const cluster: Cluster = {
    input,
    self,
    nodes: alone,
    configuration: configurationOf(input.nodeName, input.bgpConfigurations, problems),
    listenPortOf: listenPorts(input.bgpConfigurations),
    problems,
  };
  const rest = withPeers(cluster);
  return { ...rest, problems: withOutcome(problems.list(), rest.places) };
}

/** Of a BGPPeer that asks for several sessions some may stand. */
function withOutcome(problems: Topology['problems'], places: Topology['places']): Topology['problems'] {
  const inUse = new Set([...places.values()].map(({ resource }) => resource));
  return problems.map((problem) => {
    const { resource, severity } = problem;
    const isLeftOut = severity === 'problem' && resource.startsWith('BGPPeer/') && !inUse.has(resource);
    return isLeftOut ? { ...problem, isLeftOut } : problem;
  });
}

/** What is wrong with another node's object is that node's problem. */
function tellFaults(nodes: readonly NodeIdentity[], selfName: string, problems: Problems): void {
  for (const { name, faults } of nodes)
    for (const { field, text } of faults)
      if (name === selfName) problems.problem({ resource: `Node/${name}`, field }, text);
      else problems.notice({ resource: `Node/${name}`, field }, text);
}

function withPeers(cluster: Cluster): Omit<Topology, 'problems'> {
  const { self, configuration, problems } = cluster;
  const drafts = draftsOf(cluster);
  const listenAt = (peering: readonly PeeringAddress[]): readonly ListenConfig[] =>
    listenAddresses(cluster, peering).map((address) => ({ address, port: configuration.listenPort }));
  const frame: SpeakerConfig = {
    localAs: self.asNumber ?? configuration.asNumber,
    routerId: self.routerId,
    listen: listenAt([]),
    filters: filtersOf(cluster, new Set(drafts.map(({ place }) => place.resource))),
    ...clusterIdOf(self),
    ...daemonFieldsOf(configuration, problems),
    installRoutes: true,
    // Calico's: a BGPPeer without filters takes what the router says. What goes out is in our own filters (RFC 8212 asks for no more).
    requirePolicy: false,
  };
  const admitted = admitPeers(drafts, frame, problems);
  const peers = admitted.map(({ peer }) => peer);
  const peering = admitted.flatMap(({ draft }) => draft.peering ?? []);
  const used = new Set(peers.flatMap((peer) => [...(peer.import ?? []), ...(peer.export ?? [])]));
  const routes = originationsOf(cluster);
  const { mayTellService } = cluster.input;
  const served = routes.filter(
    ({ prefix, tags = [] }) => !tags.includes('service') || mayTellService?.(prefix) !== false,
  );
  const { originate, ...drain } = drained(served, cluster, MOST_COMMUNITIES);
  const config = {
    ...frame,
    listen: listenAt(peering),
    peers,
    originate,
    filters: Object.fromEntries(Object.entries(frame.filters ?? {}).filter(([name]) => used.has(name))),
  };
  return {
    config,
    peering,
    gateways: gatewaysOf(admitted),
    // Of what is not told (yet, or any more) too: routers may be late.
    serviceRanges: serviceRangesOf(routes, cluster.input),
    ...(cluster.input.drain === undefined ? {} : { drain }),
    places: new Map(admitted.map(({ draft, peer }) => [peerName(peer), draft.place])),
  };
}

/** One route to an address: of two peers there, on different ports, the first has its way. */
function gatewaysOf(admitted: readonly Admitted[]): readonly GatewayRoute[] {
  const routes = new Map<string, GatewayRoute>();
  for (const { draft } of admitted)
    if (draft.gateway !== undefined && !routes.has(draft.gateway.address))
      routes.set(draft.gateway.address, draft.gateway);
  return [...routes.values()];
}

/** Reflectors that share the annotation are one cluster (RFC 4456 section 7); what is no dotted quad was told of with the node. */
const clusterIdOf = ({ reflectorClusterId }: NodeIdentity): { readonly clusterId?: string } =>
  reflectorClusterId === undefined || fieldProblems('clusterId', reflectorClusterId).length > 0
    ? {}
    : { clusterId: reflectorClusterId };

/** With bindMode NodeIP also where pods find the node, which nobody else can reach it at. */
function listenAddresses(
  { self, configuration: { spec } }: Cluster,
  peering: readonly PeeringAddress[],
): readonly string[] {
  if (spec.bindMode === 'NodeIP')
    return [...new Set([...self.addresses.values(), ...peering.map(({ address }) => address)])];
  return ['0.0.0.0', '::'];
}
