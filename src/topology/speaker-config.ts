/**
 * Topology: which peers a node's speaker has and what it tells them, from the cluster's resources. A pure function.
 *
 *   Nodes, BGPConfiguration  -> full iBGP mesh between node addresses, one session a family
 *   BGPPeer                  -> sessions to routers (peerIP) or to other nodes (peerSelector, from both ends)
 *   blocks, node address,
 *   service ranges           -> what is originated
 *   BGPFilter                -> filters of the peers that name them, run after ours
 *
 * Our own export filter is always first and rejects what this node did not originate: a node never becomes a transit
 * between its routers, whatever anybody configured by mistake. A node's own address, originated when it stands on the loopback
 * where no subnet reaches it, goes to external peers only: inside the mesh it would be a next hop that resolves through itself.
 *
 * A wrong resource is left out and named; the rest of the configuration stands.
 */
import {
  bitsOf,
  containsPrefix,
  formatAddress,
  formatPrefix,
  tryParseAddress,
  tryParsePrefix,
  type Family,
} from 'node-bgp/address';
import type { FamilyName, FilterConfig, OriginatedPrefix, PeerConfig, SpeakerConfig } from 'node-bgp/config';
import type { BGPConfiguration, BGPConfigurationSpec, BGPFilter, BGPPeer } from '../api/bgp.js';
import type { Node } from '../api/core.js';
import type { IPPool } from '../api/ipam.js';
import { translateFilter } from './bgp-filter.js';
import { identityOf, type NodeIdentity } from './node-identity.js';
import { peersOf } from './bgp-peers.js';
import { parseAsNumber, parseDuration } from './values.js';

/** One part of one resource that could not be used. */
export interface TopologyProblem {
  /** "BGPPeer/rack-1". */
  readonly resource: string;
  readonly message: string;
}

/** Lists, never iterators: several parts of the computation read each of them. */
export interface TopologyInput {
  readonly nodeName: string;
  readonly nodes: readonly Node[];
  readonly bgpConfigurations: readonly BGPConfiguration[];
  readonly bgpPeers: readonly BGPPeer[];
  readonly bgpFilters: readonly BGPFilter[];
  readonly ipPools: readonly IPPool[];
  /** Blocks that are durably ours. */
  readonly blocks: readonly { readonly cidr: string; readonly pool: string }[];
  /** Addresses on this node's loopback interface, canonical. */
  readonly loopbackAddresses: ReadonlySet<string>;
  /** Value of a key of a secret in our namespace. */
  readonly secret: (name: string, key: string) => string | undefined;
  /** Calico's selector language over node labels. @throws Error with a sentence about the selector */
  readonly matches: (selector: string, labels: ReadonlyMap<string, string>) => boolean;
}

export interface Topology {
  /** Undefined while this node's object is not there yet or has no address. */
  readonly config: SpeakerConfig | undefined;
  readonly problems: readonly TopologyProblem[];
}

export const DEFAULT_AS = 64512;
export const familyName = (family: Family): FamilyName => (family === 4 ? 'ipv4' : 'ipv6');

/** What all parts of the computation share. */
export interface Cluster {
  readonly input: TopologyInput;
  readonly self: NodeIdentity;
  readonly nodes: readonly NodeIdentity[];
  readonly spec: BGPConfigurationSpec;
  readonly clusterAs: number;
  readonly report: (resource: string, message: string) => void;
}

export const EXPORT_TO_MESH = 'tortie-export-mesh';
export const EXPORT_TO_PEERS = 'tortie-export-peers';
export const EXPORT_TO_CLIENTS = 'tortie-export-clients';

export function topologyOf(input: TopologyInput): Topology {
  const problems: TopologyProblem[] = [];
  const report = (resource: string, message: string): void => void problems.push({ resource, message });
  const nodes = input.nodes.map(identityOf).sort((a, b) => (a.name < b.name ? -1 : 1));
  const self = nodes.find((node) => node.name === input.nodeName);
  if (self === undefined || self.addresses.size === 0) {
    report(
      `Node/${input.nodeName}`,
      self === undefined ? 'the API server has no such node yet' : 'has no InternalIP address',
    );
    return { config: undefined, problems };
  }
  for (const twin of nodes)
    if (twin !== self && twin.routerId === self.routerId)
      report(
        `Node/${twin.name}`,
        `has the same router id ${self.routerId} as this node; every node needs an IPv4 address of its own`,
      );
  const spec = configurationFor(input);
  const cluster: Cluster = { input, self, nodes, spec, clusterAs: clusterAsOf(spec, report), report };
  return { config: speakerConfigOf(cluster), problems };
}

function speakerConfigOf(cluster: Cluster): SpeakerConfig {
  const { self, spec, input } = cluster;
  const peers = withoutTwins(peersOf(cluster), cluster);
  const filters: Record<string, FilterConfig> = { ...safetyFilters(cluster) };
  const used = new Set(peers.flatMap((peer) => [...(peer.import ?? []), ...(peer.export ?? [])]));
  for (const filter of input.bgpFilters)
    for (const [name, translated] of translateFilter(filter, cluster.report))
      if (used.has(name)) filters[name] = translated;
  const port = spec.listenPort ?? 179;
  const restart = parseDuration(spec.nodeMeshMaxRestartTime);
  return {
    localAs: self.asNumber ?? cluster.clusterAs,
    routerId: self.routerId,
    listen: listenAddresses(cluster).map((address) => ({ address, port })),
    peers,
    originate: originationsOf(cluster),
    filters,
    ...(restart === undefined ? {} : { gracefulRestartTime: Math.round(restart) }),
    ...clusterIdOf(self, cluster.report),
    installRoutes: true,
    // Calico's: a BGPPeer without filters takes what the router says. What goes out is in our own filters (RFC 8212 asks for no more).
    requirePolicy: false,
  };
}

/** Reflectors that share the annotation are one cluster (RFC 4456 section 7). Calico lets it be any text that BIRD takes: an address. */
function clusterIdOf(
  { name, reflectorClusterId }: NodeIdentity,
  report: Cluster['report'],
): { readonly clusterId?: string } {
  if (reflectorClusterId === undefined) return {};
  const address = tryParseAddress(reflectorClusterId);
  if (address?.family === 4 && address.value !== 0n) return { clusterId: formatAddress(address) };
  report(
    `Node/${name}`,
    `has "${reflectorClusterId}" as its RouteReflectorClusterID; expected a dotted quad other than 0.0.0.0; using the router id`,
  );
  return {};
}

/** "default", with the fields that "node.<name>" overrides. */
function configurationFor(input: TopologyInput): BGPConfigurationSpec {
  const byName = new Map(input.bgpConfigurations.map((resource) => [resource.metadata.name, resource.spec]));
  return { ...byName.get('default'), ...byName.get(`node.${input.nodeName}`) };
}

function clusterAsOf(spec: BGPConfigurationSpec, report: Cluster['report']): number {
  if (spec.asNumber === undefined) return DEFAULT_AS;
  const asNumber = parseAsNumber(spec.asNumber);
  if (asNumber === undefined)
    report(
      'BGPConfiguration/default',
      `spec.asNumber is "${spec.asNumber}"; expected 1 to 4294967294, asplain or asdot; using ${DEFAULT_AS}`,
    );
  return asNumber ?? DEFAULT_AS;
}

function listenAddresses({ self, spec }: Cluster): readonly string[] {
  if (spec.bindMode === 'NodeIP') return [...self.addresses.values()];
  return ['0.0.0.0', '::'];
}

/** One session per address and port: of two resources that want the same, the one whose name sorts first has it. */
function withoutTwins(peers: readonly PeerConfig[], { report }: Cluster): readonly PeerConfig[] {
  const byAddress = new Map<string, PeerConfig>();
  for (const peer of peers) {
    const key = `${peer.address} ${peer.port ?? 179}`;
    const other = byAddress.get(key);
    if (other === undefined) byAddress.set(key, peer);
    else
      report(
        `BGPPeer/${peer.name ?? ''}`,
        `peers with ${peer.address}, which "${other.name ?? ''}" does already; left out`,
      );
  }
  return [...byAddress.values()];
}

function safetyFilters({ input }: Cluster): Readonly<Record<string, FilterConfig>> {
  const nodeAddress = { name: 'node address', match: { tags: ['node'] }, action: 'reject' } as const;
  const transit = { name: 'not ours', match: { source: ['ebgp', 'ibgp'] }, action: 'reject' } as const;
  const inPools = input.ipPools.flatMap((pool) => {
    const prefix = tryParsePrefix(pool.spec.cidr);
    return prefix === undefined
      ? []
      : [{ prefix: formatPrefix(prefix), minLength: prefix.length, maxLength: bitsOf(prefix.family) }];
  });
  return {
    [EXPORT_TO_MESH]: { rules: [nodeAddress, transit], default: 'next' },
    [EXPORT_TO_PEERS]: { rules: [transit], default: 'next' },
    // A reflector hands on what its clients told it, inside the pools.
    [EXPORT_TO_CLIENTS]: {
      rules: [
        nodeAddress,
        ...(inPools.length === 0
          ? []
          : [{ name: 'pools', match: { source: ['ibgp'], prefixes: inPools }, action: 'accept' } as const]),
        transit,
      ],
      default: 'next',
    },
  };
}

function originationsOf(cluster: Cluster): readonly OriginatedPrefix[] {
  const { input, self, spec } = cluster;
  const silent = new Set(
    input.ipPools.filter((pool) => pool.spec.disableBGPExport === true).map((pool) => pool.metadata.name),
  );
  const originated: OriginatedPrefix[] = [];
  for (const block of input.blocks)
    if (!silent.has(block.pool)) originated.push({ prefix: block.cidr, tags: ['block'] });
  for (const [family, address] of self.addresses)
    if (input.loopbackAddresses.has(address))
      originated.push({ prefix: `${address}/${bitsOf(family)}`, tags: ['node'] });
  for (const { cidr } of [
    ...(spec.serviceClusterIPs ?? []),
    ...(spec.serviceLoadBalancerAggregation === 'Disabled' ? [] : (spec.serviceLoadBalancerIPs ?? [])),
  ]) {
    const prefix = tryParsePrefix(cidr ?? '');
    if (prefix === undefined)
      cluster.report('BGPConfiguration/default', `has the service range "${cidr ?? ''}"; expected CIDR notation`);
    else originated.push({ prefix: formatPrefix(prefix), tags: ['service'] });
  }
  return originated.map((prefix) => withCommunities(prefix, cluster));
}

/** prefixAdvertisements: communities for everything we originate inside a range. */
function withCommunities(originated: OriginatedPrefix, { spec, report }: Cluster): OriginatedPrefix {
  const prefix = tryParsePrefix(originated.prefix);
  const named = new Map((spec.communities ?? []).map(({ name, value }) => [name, value]));
  const communities = new Set<string>();
  for (const advertisement of spec.prefixAdvertisements ?? []) {
    const range = tryParsePrefix(advertisement.cidr ?? '');
    if (range === undefined || prefix === undefined || !containsPrefix(range, prefix)) continue;
    for (const community of advertisement.communities ?? []) {
      const value = named.get(community) ?? community;
      if (/^\d+:\d+(:\d+)?$/.test(value)) communities.add(value);
      else
        report(
          'BGPConfiguration/default',
          `spec.prefixAdvertisements names community "${community}"; expected a value such as 64512:100 or a name of spec.communities`,
        );
    }
  }
  return communities.size === 0 ? originated : { ...originated, communities: [...communities] };
}
