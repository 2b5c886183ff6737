/**
 * Who uses an object, from the cluster's resources alone: the nodes a BGPPeer selects, the peers that name a BGPFilter, the nodes
 * that own blocks of a pool. Whether a session is up or a route is in the kernel is each node's to say, in its NodeStatus.
 *
 * Policies and network sets are not here: who they select changes with every pod, and PolicyReady says whether a node holds them.
 */
import { containsPrefix, tryParsePrefix } from 'node-bgp/address';
import type { IPPool } from '../api/ipam.js';
import type { KindName, ObjectOf } from '../api/kinds.js';
import type { BGPPeer } from '../api/bgp.js';
import type { Cluster } from '../cluster/cluster.js';
import { messageOf } from '../errors.js';
import { quoted } from '../topology/problems.js';
import { leftOutOn, type Usage } from './object-conditions.js';
import { peerRefusals } from './peer-refusal.js';

type Matches = (selector: string, labels: ReadonlyMap<string, string>) => boolean;

/** Kinds whose use changes when an object of another kind does. */
export const USED_BY: ReadonlyMap<KindName, readonly KindName[]> = new Map<KindName, readonly KindName[]>([
  ['nodes', ['bgpPeers', 'bgpConfigurations', 'ipamConfigurations', 'hostEndpoints']],
  ['bgpPeers', ['bgpFilters']],
  ['ipamBlocks', ['ipPools']],
  ['calicoNetworkPolicies', ['tiers']],
  ['globalNetworkPolicies', ['tiers']],
  ['stagedNetworkPolicies', ['tiers']],
  ['stagedGlobalNetworkPolicies', ['tiers']],
]);

/** Undefined for kinds of which nothing can be said. */
export function usageOf<K extends KindName>(
  kind: K,
  object: ObjectOf[K],
  cluster: Cluster,
  matches: Matches,
): Usage | undefined {
  const { name } = object.metadata;
  switch (kind) {
    case 'bgpPeers':
      return peerUsage(object as BGPPeer, cluster, matches);
    case 'bgpFilters':
      return {
        by: 'peer',
        users: names(cluster, 'bgpPeers', (peer) => peer.spec.filters?.includes(name) === true),
        otherwise: 'No BGPPeer names it in spec.filters',
      };
    case 'bgpConfigurations':
      return configurationUsage(name, cluster);
    case 'ipamConfigurations':
      return name === 'default' ? everyNode(cluster) : unread(name, 'expected "default"');
    case 'ipPools':
      return poolUsage(object as IPPool, cluster);
    case 'hostEndpoints':
      return namedNode('spec.node', (object as ObjectOf['hostEndpoints']).spec.node ?? '', cluster);
    case 'tiers':
      return { by: 'policy', users: policiesOfTier(name, cluster), otherwise: 'No policy names it in spec.tier' };
    default:
      return undefined;
  }
}

/** By where blocks lie: a block may have been claimed for a pool that has been made anew since. */
function poolUsage({ spec }: IPPool, cluster: Cluster): Usage {
  const pool = tryParsePrefix(spec.cidr);
  const owners = [...cluster.all('ipamBlocks').values()].filter((block) => {
    const prefix = tryParsePrefix(block.spec.cidr);
    return pool !== undefined && prefix !== undefined && containsPrefix(pool, prefix);
  });
  return {
    by: 'node',
    users: [...new Set(owners.map((block) => block.spec.node))].sort(),
    otherwise: spec.allowedUses?.includes('LoadBalancer')
      ? 'No node uses it: its addresses are for Services, and stand in their status'
      : 'No node owns a block of it',
  };
}

/** BOUNDED: nodes that are asked one by one, where the first ones refuse it. */
const MOST_ASKED = 64;

/** Nodes that are selected, and do not leave it out. */
function peerUsage(peer: BGPPeer, cluster: Cluster, matches: Matches): Usage {
  const selection = peerSelection(peer, cluster, matches);
  const leftOut = leftOutOn(peer);
  const rest = selection.users.filter((node) => !leftOut.has(node));
  const refusals = rest.slice(0, MOST_ASKED).map((name) => {
    const node = cluster.get('nodes', name);
    return node === undefined ? [] : peerRefusals(peer, node, cluster, matches);
  });
  const isRefused = refusals.every((sentences) => sentences.length > 0);
  if (selection.users.length === 0 || !isRefused) return { ...selection, users: rest };
  const [sentences = [...leftOut.values()].slice(0, 1)] = refusals;
  return { ...selection, users: [], otherwise: `The nodes that it selects leave it out: ${sentences.join('; ')}` };
}

function peerSelection({ spec }: BGPPeer, cluster: Cluster, matches: Matches): Usage {
  if (spec.node !== undefined && spec.node !== '') return namedNode('spec.node', spec.node, cluster);
  const selector = spec.nodeSelector ?? '';
  if (selector === '') return everyNode(cluster);
  try {
    return {
      verb: 'Selects',
      by: 'node',
      users: names(cluster, 'nodes', ({ metadata }) =>
        matches(selector, new Map(Object.entries(metadata.labels ?? {}))),
      ),
      otherwise: `spec.nodeSelector "${selector}" matches no node`,
    };
  } catch (error) {
    return { by: 'node', users: [], otherwise: `spec.nodeSelector is ${quoted(selector)}: ${messageOf(error)}` };
  }
}

function configurationUsage(name: string, cluster: Cluster): Usage {
  if (name === 'default') return everyNode(cluster);
  if (name.startsWith('node.')) return namedNode('metadata.name', name.slice('node.'.length), cluster);
  return unread(name, 'expected "default", or "node." and the name of a node');
}

const unread = (name: string, expected: string): Usage => ({
  by: 'node',
  users: [],
  otherwise: `metadata.name is "${name}"; ${expected}: nothing reads this one`,
});

const everyNode = (cluster: Cluster): Usage => ({
  verb: 'Selects',
  by: 'node',
  users: names(cluster, 'nodes', () => true),
  otherwise: 'There is no node',
});

const namedNode = (field: string, node: string, cluster: Cluster): Usage => ({
  verb: 'Selects',
  by: 'node',
  users: cluster.get('nodes', node) === undefined ? [] : [node],
  otherwise: `${field} names "${node}"; expected the name of a node`,
});

const policiesOfTier = (tier: string, cluster: Cluster): readonly string[] =>
  (
    ['calicoNetworkPolicies', 'globalNetworkPolicies', 'stagedNetworkPolicies', 'stagedGlobalNetworkPolicies'] as const
  ).flatMap((kind) =>
    [...cluster.all(kind)].filter(([, { spec }]) => (spec.tier ?? 'default') === tier).map(([key]) => key),
  );

const names = <K extends KindName>(
  cluster: Cluster,
  kind: K,
  isUser: (object: ObjectOf[K]) => boolean,
): readonly string[] =>
  [...cluster.all(kind)]
    .filter(([, object]) => isUser(object))
    .map(([key]) => key)
    .sort();
