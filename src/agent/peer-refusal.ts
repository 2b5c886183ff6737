/**
 * What keeps a BGPPeer from having any session on a node, as far as resources say it: for the agent that writes conditions, which does not
 * see what the others compute. Secrets, links and pods are left to the node itself, which says so in `NODE/InUse`.
 */
import { formatAddress } from 'node-bgp/address';
import type { BGPPeer } from '../api/bgp.js';
import type { Node } from '../api/core.js';
import type { Cluster } from '../cluster/cluster.js';
import { topologyOf, type TopologyInput } from '../topology/speaker-config.js';
import { parsePeerAddress } from '../topology/values.js';

/** Sentences; empty: nothing does. */
export function peerRefusals(
  peer: BGPPeer,
  node: Node,
  cluster: Cluster,
  matches: TopologyInput['matches'],
): readonly string[] {
  const resource = `BGPPeer/${peer.metadata.name}`;
  const { problems } = topologyOf({
    nodeName: node.metadata.name,
    nodes: [node],
    bgpConfigurations: [...cluster.all('bgpConfigurations').values()],
    bgpPeers: withRivals(peer, cluster),
    bgpFilters: [],
    ipPools: [],
    blocks: [],
    loopbackAddresses: new Set(),
    secret: () => 'not known',
    secretNamespace: '',
    matches,
  });
  return problems.filter((each) => each.resource === resource && each.isLeftOut === true).map(({ message }) => message);
}

/** Who might have the session instead. */
function withRivals(peer: BGPPeer, cluster: Cluster): readonly BGPPeer[] {
  const address = addressOf(peer);
  const all = [...cluster.all('bgpPeers').values()].filter(({ metadata }) => metadata.name !== peer.metadata.name);
  return [peer, ...(address === undefined ? [] : all.filter((other) => addressOf(other) === address))];
}

function addressOf({ spec }: BGPPeer): string | undefined {
  const parsed = parsePeerAddress(spec.peerIP ?? '');
  return parsed && formatAddress(parsed.address);
}
