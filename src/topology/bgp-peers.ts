/** The peers of one node, as resources ask for them: the mesh, routers named by address, and nodes chosen by a selector. */
import { formatAddress, isHostAddress, isLoopback } from 'node-bgp/address';
import type { BGPPeer, BGPPeerSpec } from '../api/bgp.js';
import { isLinkLocal } from 'node-bgp/session/interface';
import { messageOf } from '../errors.js';
import { familyName, type Cluster, type TopologyInput } from './cluster.js';
import { gatewayOf } from './gateways.js';
import type { NodeIdentity } from './node-identity.js';
import { isOnLink } from './node-links.js';
import type { DraftField, DraftFields, PeerDraft, PeerFieldName } from './peer-draft.js';
import {
  ANY_DISTANCE,
  asNumberField,
  distanceOf,
  fieldsOf,
  filterFields,
  isEmpty,
  localAsOf,
  meshFieldsOf,
} from './peer-fields.js';
import { quoted, type Place } from './problems.js';
import { parseAsNumber, parsePeerAddress, type PeerAddress } from './values.js';
import { tellOfPeeringAddresses, workloadDrafts } from './workload-peers.js';

export function draftsOf(cluster: Cluster): readonly PeerDraft[] {
  tellOfPeeringAddresses(cluster);
  const asked = cluster.input.bgpPeers.flatMap((resource) => {
    const createdAt = resource.metadata.creationTimestamp;
    return draftsOfResource(resource, cluster).map((draft) =>
      createdAt === undefined ? draft : { ...draft, createdAt },
    );
  });
  return [...asked, ...meshDrafts(cluster)];
}

// ---- nodes

function meshDrafts(cluster: Cluster): readonly PeerDraft[] {
  const { self, configuration, problems } = cluster;
  if (configuration.spec.nodeToNodeMeshEnabled === false || self.reflectorClusterId !== undefined) return [];
  const fields = meshFieldsOf(cluster);
  if (fields === undefined) return [];
  return cluster.nodes
    .filter((node) => node.name !== self.name && node.reflectorClusterId === undefined)
    .flatMap((node) => {
      const place = { resource: `Node/${node.name}` };
      const drafts = nodeDrafts(node, cluster, {
        rank: 2,
        name: `mesh-${node.name}`,
        place,
        fields,
        filters: [],
        distance: (isInternal) => (isInternal ? new Map() : new Map([['multihop', { value: ANY_DISTANCE }]])),
      });
      if (drafts.length === 0 && !hasLost(node, self))
        problems.notice(place, 'has no address of a family that this node has; no session');
      return drafts;
    });
}

/** Its address is another node's: that is told already. */
const hasLost = ({ lost = [] }: NodeIdentity, self: NodeIdentity): boolean =>
  lost.some((family) => self.addresses.has(family));

interface NodeSession extends Omit<PeerDraft, 'rank'> {
  readonly rank: 1 | 2;
  readonly filters: readonly string[];
  readonly distance: (isInternal: boolean) => DraftFields;
}

/** One session per family that both nodes have. */
function nodeDrafts(node: NodeIdentity, cluster: Cluster, session: NodeSession): readonly PeerDraft[] {
  const { self } = cluster;
  const { rank, name, place, fields, filters, distance } = session;
  const remoteAs = node.asNumber ?? cluster.configuration.asNumber;
  const isInternal = remoteAs === localAsOf(fields, cluster);
  const isClient =
    isInternal && self.reflectorClusterId !== undefined && node.reflectorClusterId !== self.reflectorClusterId;
  return [...node.addresses].flatMap(([family, address]) => {
    const localAddress = self.addresses.get(family);
    if (localAddress === undefined) return [];
    const own: readonly (readonly [PeerFieldName, DraftField])[] = [
      ['address', { value: address, place: { resource: `Node/${node.name}` } }],
      ['remoteAs', { value: remoteAs }],
      ['localAddress', { value: localAddress }],
      ['port', { value: cluster.listenPortOf(node.name) }],
      ['families', { value: [familyName(family)] }],
      ...(isClient ? [['routeReflectorClient', { value: true }] as const] : []),
      ...filterFields(family, filters, isClient ? 'clients' : isInternal ? 'mesh' : 'peers', place),
    ];
    return [
      {
        rank,
        place,
        name: `${name}-v${family}`,
        fields: new Map([...own, ...distance(isInternal), ...fields]),
      },
    ];
  });
}

// ---- BGPPeer

function draftsOfResource({ spec, metadata }: BGPPeer, cluster: Cluster): readonly PeerDraft[] {
  const resource = `BGPPeer/${metadata.name}`;
  const isOurs = choice(spec, resource, cluster);
  if (isOurs === undefined) return [];
  if (!isEmpty(spec.localWorkloadSelector))
    return isOurs(cluster.self) ? workloadDrafts(spec, metadata.name, cluster) : [];
  if (!isEmpty(spec.peerSelector)) return selectedDrafts(spec, metadata.name, isOurs, cluster);
  return [
    ...(isOurs(cluster.self) ? routerDraft(spec, metadata.name, cluster) : []),
    ...backDrafts(spec, metadata.name, isOurs, cluster),
  ];
}

/** Calico's reversePeering: Auto also where peerIP is the address of a node: that node has sessions back, over that family. */
function backDrafts(spec: BGPPeerSpec, name: string, isOurs: Choice, cluster: Cluster): readonly PeerDraft[] {
  const peer = parsePeerAddress(spec.peerIP ?? '');
  if (spec.reversePeering === 'Manual' || peer === undefined || nodeAt(peer, spec, cluster) !== cluster.self) return [];
  const nodes = cluster.nodes.filter((node) => node !== cluster.self && isOurs(node));
  const resource = `BGPPeer/${name}`;
  const fields = nodes.length === 0 ? undefined : fieldsOf(spec, resource, cluster);
  if (fields === undefined) return [];
  return nodes.flatMap((node) =>
    nodeDrafts(
      { ...node, addresses: new Map([...node.addresses].filter(([family]) => family === peer.address.family)) },
      cluster,
      {
        rank: 1,
        name: `${name}-${node.name}`,
        place: { resource },
        fields,
        filters: spec.filters ?? [],
        distance: (isInternal) => distanceOf(spec, resource, { isInternal, external: ANY_DISTANCE }, cluster),
      },
    ),
  );
}

/** The node that a router's address, AS and port are those of; no port is the node's own. */
function nodeAt(
  { address, port }: PeerAddress,
  { asNumber }: BGPPeerSpec,
  { nodes, configuration, listenPortOf }: Cluster,
): NodeIdentity | undefined {
  const node = ownersOf(nodes).get(formatAddress(address));
  const isIt =
    node !== undefined &&
    (node.asNumber ?? configuration.asNumber) === parseAsNumber(asNumber) &&
    (port === undefined || port === listenPortOf(node.name));
  return isIt ? node : undefined;
}

const owners = new WeakMap<readonly NodeIdentity[], ReadonlyMap<string, NodeIdentity>>();

/** Of nodes without twins (node-twins.ts): an address is one node's. */
function ownersOf(nodes: readonly NodeIdentity[]): ReadonlyMap<string, NodeIdentity> {
  const known =
    owners.get(nodes) ??
    new Map(nodes.flatMap((node) => [...node.addresses.values()].map((address) => [address, node] as const)));
  owners.set(nodes, known);
  return known;
}

type Choice = (node: NodeIdentity) => boolean;

/** Which nodes a resource is for; undefined, and told, when its selector is none. */
function choice(spec: BGPPeerSpec, resource: string, cluster: Cluster): Choice | undefined {
  const { problems } = cluster;
  if (!isEmpty(spec.node)) {
    if (!isEmpty(spec.nodeSelector))
      problems.notice({ resource, field: 'spec.nodeSelector' }, 'stands beside spec.node, which alone counts');
    if (!cluster.nodes.some(({ name }) => name === spec.node))
      problems.notice({ resource, field: 'spec.node' }, `is ${quoted(spec.node)}; there is no node of that name`);
    return ({ name }) => name === spec.node;
  }
  return isEmpty(spec.nodeSelector)
    ? () => true
    : selection(spec.nodeSelector, { resource, field: 'spec.nodeSelector' }, cluster);
}

/** The nodes a selector selects; told when it is none, or selects nobody. Asked node by node: of thousands most never matter here. */
function selection(selector: string, place: Place, cluster: Cluster): Choice | undefined {
  const { input, nodes, problems } = cluster;
  const selects: Choice = ({ labels }) => input.matches(selector, labels);
  try {
    if (!nodes.some(selects)) problems.notice(place, `is ${quoted(selector)}; it selects no node`);
    return selects;
  } catch (error) {
    problems.problem(place, `is ${quoted(selector)}: ${messageOf(error)}; left out`);
    return undefined;
  }
}

/** peerSelector works from both ends: the nodes it selects get sessions back (Calico's reversePeering: Auto). */
function selectedDrafts(spec: BGPPeerSpec, name: string, isOurs: Choice, cluster: Cluster): readonly PeerDraft[] {
  const { self, problems } = cluster;
  const resource = `BGPPeer/${name}`;
  const isSelected = selection(spec.peerSelector ?? '', { resource, field: 'spec.peerSelector' }, cluster);
  if (isSelected === undefined) return [];
  if (!isEmpty(spec.peerIP))
    problems.problem(
      { resource, field: 'spec.peerIP' },
      'stands beside spec.peerSelector; expected one of them; going by spec.peerSelector',
    );
  const isBack = spec.reversePeering !== 'Manual' && isSelected(self);
  const peers = cluster.nodes.filter(
    (node) => node !== self && ((isOurs(self) && isSelected(node)) || (isBack && isOurs(node))),
  );
  if (peers.length === 0) return [];
  const fields = fieldsOf(spec, resource, cluster);
  if (fields === undefined) return [];
  return peers.flatMap((node) => {
    const drafts = nodeDrafts(node, cluster, {
      rank: 1,
      name: `${name}-${node.name}`,
      place: { resource },
      fields,
      filters: spec.filters ?? [],
      distance: (isInternal) => distanceOf(spec, resource, { isInternal, external: ANY_DISTANCE }, cluster),
    });
    if (drafts.length === 0 && !hasLost(node, self))
      problems.notice({ resource }, `has no session with node "${node.name}": the two nodes share no address family`);
    return drafts;
  });
}

function routerDraft(spec: BGPPeerSpec, name: string, cluster: Cluster): readonly PeerDraft[] {
  const { problems } = cluster;
  const resource = `BGPPeer/${name}`;
  const peerIP = { resource, field: 'spec.peerIP' };
  const peer = parsePeerAddress(spec.peerIP ?? '');
  if (peer === undefined)
    problems.problem(
      peerIP,
      `is ${quoted(spec.peerIP ?? '')}; expected an address, with a port as 192.0.2.1:1179 or [2001:db8::1]:1179; left out`,
    );
  const fields = fieldsOf(spec, resource, cluster);
  if (peer === undefined || fields === undefined) return [];
  const address = formatAddress(peer.address) + (peer.interfaceName === undefined ? '' : `%${peer.interfaceName}`);
  if (isSelf(peer, cluster)) {
    const text = `is ${quoted(spec.peerIP)}, an address of this node itself; no session`;
    // For this node alone, or for each of itself, it asks for nothing else.
    if (spec.node === cluster.self.name || isLoopback(peer.address)) problems.problem(peerIP, text);
    else problems.notice(peerIP, text);
    return [];
  }
  // A speaker takes peers on loopback; a daemon beside this one has an address of the node and a port.
  if (!isHostAddress(peer.address)) {
    problems.problem(peerIP, `is ${quoted(spec.peerIP)}; expected the address of a host; left out`);
    return [];
  }
  const source = sourceOf(spec, peer, resource, cluster);
  if (source === undefined) return [];
  const remoteAs = parseAsNumber(spec.asNumber);
  const isInternal = remoteAs === localAsOf(fields, cluster);
  const { family } = peer.address;
  const node = nodeAt(peer, spec, cluster);
  const port = peer.port ?? (node === undefined ? undefined : cluster.listenPortOf(node.name));
  const { links } = cluster.input;
  const isDirect =
    links === undefined || isOnLink(peer.address, links, cluster.configuration.spec.ignoredInterfaces ?? []);
  const external = isDirect ? undefined : ANY_DISTANCE;
  const gateway = gatewayOf(spec, peer.address, resource, cluster);
  const own: readonly (readonly [PeerFieldName, DraftField])[] = [
    ['address', { value: address, place: peerIP, written: spec.peerIP }],
    ...(port === undefined ? [] : [['port', { value: port, place: peerIP, written: spec.peerIP }] as const]),
    ['remoteAs', asNumberField(spec, resource)],
    ...source,
    ['families', { value: [familyName(family)] }],
    ...filterFields(family, spec.filters ?? [], isInternal ? 'mesh' : 'peers', { resource }),
  ];
  return [
    {
      rank: 0,
      place: { resource },
      name,
      fields: new Map([...own, ...distanceOf(spec, resource, { isInternal, external }, cluster), ...fields]),
      ...(gateway === undefined ? {} : { gateway }),
    },
  ];
}

/**
 * A resource for all nodes may name one of them, as a reflector: that node has no session with itself. Another port is another daemon,
 * and so is one on an address of a link where bindMode has this one listen on the node's addresses alone.
 */
function isSelf({ address, interfaceName, port }: PeerAddress, { self, input, configuration }: Cluster): boolean {
  const text = formatAddress(address);
  const isOwn =
    [...self.addresses.values()].includes(text) ||
    input.loopbackAddresses.has(text) ||
    (configuration.spec.bindMode !== 'NodeIP' && (isLoopback(address) || isOnInterface(text, interfaceName, input)));
  return isOwn && (port ?? configuration.listenPort) === configuration.listenPort;
}

/** A link-local address is the node's own on its interface only. */
const isOnInterface = (text: string, interfaceName: string | undefined, { links = [] }: TopologyInput): boolean =>
  links.some(
    ({ name, addresses = [] }) => addresses.includes(text) && (interfaceName === undefined || interfaceName === name),
  );

/** Undefined, and told: the address that is wanted does not exist. */
function sourceOf(
  { sourceAddress }: BGPPeerSpec,
  { address, interfaceName }: PeerAddress,
  resource: string,
  { self, problems }: Cluster,
): DraftFields | undefined {
  const { family } = address;
  // On its own link a peer is spoken to from the link's address: no other can be used.
  if (sourceAddress === 'None' || interfaceName !== undefined || isLinkLocal(address)) return new Map();
  const value = self.addresses.get(family);
  const place = { resource, field: 'spec.sourceAddress' };
  if (value !== undefined) return new Map([['localAddress', { value, place, written: sourceAddress ?? 'UseNodeIP' }]]);
  problems.problem(
    place,
    `is UseNodeIP, but node "${self.name}" has no IPv${family} address; expected None or a node address; left out`,
  );
  return undefined;
}
