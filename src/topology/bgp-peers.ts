/** The peers of one node: the mesh, routers named by address, and nodes chosen by a selector. */
import { formatAddress } from 'node-bgp/address';
import type { PeerConfig, SessionDistance, SessionFields, SessionLocalAs, SessionNextHop } from 'node-bgp/config';
import type { BGPPassword, BGPPeer, BGPPeerSpec } from '../api/bgp.js';
import type { NodeIdentity } from './node-identity.js';
import { EXPORT_TO_CLIENTS, EXPORT_TO_MESH, EXPORT_TO_PEERS, familyName, type Cluster } from './speaker-config.js';
import { parseAsNumber, parseDuration, parsePeerAddress } from './values.js';
import { filterName } from './bgp-filter.js';
import { messageOf } from '../errors.js';

/** What a resource says about a session, apart from how far the peer may be: that depends on the peer. */
type Settings = SessionFields & SessionNextHop & SessionLocalAs;

/** Sessions between nodes cross whatever the underlay is. */
const ANY_DISTANCE = 255;
/** 255 - 254: the least TTL that can be asked for (RFC 5082). */
const MOST_TTL_SECURITY_HOPS = 254;

export function peersOf(cluster: Cluster): readonly PeerConfig[] {
  const resources = [...cluster.input.bgpPeers].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  return [...resources.flatMap((resource) => peersOfResource(resource, cluster)), ...meshPeers(cluster)];
}

function meshPeers(cluster: Cluster): readonly PeerConfig[] {
  const { self, spec } = cluster;
  if (spec.nodeToNodeMeshEnabled === false || self.reflectorClusterId !== undefined) return [];
  const password = passwordOf(spec.nodeMeshPassword, 'BGPConfiguration/default', cluster);
  if (password === 'missing') return [];
  const others = cluster.nodes.filter((node) => node.name !== self.name && node.reflectorClusterId === undefined);
  return others.flatMap((node) =>
    nodePeers(
      `mesh-${node.name}`,
      node,
      cluster,
      { ...password, ...holdTimeOf(spec.holdTime, 'BGPConfiguration/default', cluster) },
      nodeDistance,
    ),
  );
}

const nodeDistance = (isInternal: boolean): SessionDistance => (isInternal ? {} : { multihop: ANY_DISTANCE });

/** One session per family that both nodes have. */
function nodePeers(
  name: string,
  node: NodeIdentity,
  cluster: Cluster,
  settings: Settings,
  distance: (isInternal: boolean) => SessionDistance,
): readonly PeerConfig[] {
  const { self, clusterAs } = cluster;
  return [...node.addresses].flatMap(([family, address]) => {
    const localAddress = self.addresses.get(family);
    if (localAddress === undefined) return [];
    const remoteAs = node.asNumber ?? clusterAs;
    const isInternal = remoteAs === (self.asNumber ?? clusterAs);
    const isClient =
      isInternal && self.reflectorClusterId !== undefined && node.reflectorClusterId !== self.reflectorClusterId;
    return [
      {
        name: `${name}-v${family}`,
        address,
        remoteAs,
        localAddress,
        port: cluster.spec.listenPort ?? 179,
        families: [familyName(family)],
        ...distance(isInternal),
        ...(isClient ? { routeReflectorClient: true } : {}),
        export: [isClient ? EXPORT_TO_CLIENTS : isInternal ? EXPORT_TO_MESH : EXPORT_TO_PEERS],
        ...settings,
      },
    ];
  });
}

function peersOfResource(resource: BGPPeer, cluster: Cluster): readonly PeerConfig[] {
  const { spec, metadata } = resource;
  const id = `BGPPeer/${metadata.name}`;
  try {
    const isOurs = appliesTo(spec, cluster.self, cluster);
    if (spec.peerSelector !== undefined) return selectedPeers(resource, isOurs, cluster);
    return isOurs ? routerPeer(resource, cluster) : [];
  } catch (error) {
    cluster.report(id, messageOf(error));
    return [];
  }
}

function appliesTo(spec: BGPPeerSpec, node: NodeIdentity, cluster: Cluster): boolean {
  if (spec.node !== undefined && spec.node !== '') return spec.node === node.name;
  return (
    spec.nodeSelector === undefined || spec.nodeSelector === '' || cluster.input.matches(spec.nodeSelector, node.labels)
  );
}

/** peerSelector works from both ends: the nodes it selects get sessions back (Calico's reversePeering: Auto). */
function selectedPeers({ spec, metadata }: BGPPeer, isOurs: boolean, cluster: Cluster): readonly PeerConfig[] {
  const selector = spec.peerSelector ?? '';
  const isSelected = spec.reversePeering !== 'Manual' && cluster.input.matches(selector, cluster.self.labels);
  const id = `BGPPeer/${metadata.name}`;
  const settings = settingsOf(spec, id, cluster);
  if (settings === undefined) return [];
  const distance = distanceOf(spec, id, cluster);
  return cluster.nodes
    .filter((node) => node.name !== cluster.self.name)
    .flatMap((node) => {
      const isPeer =
        (isOurs && cluster.input.matches(selector, node.labels)) || (isSelected && appliesTo(spec, node, cluster));
      return isPeer
        ? nodePeers(
            `${metadata.name}-${node.name}`,
            node,
            cluster,
            settings,
            (isInternal) => distance(isInternal) ?? nodeDistance(isInternal),
          )
        : [];
    });
}

function routerPeer({ spec, metadata }: BGPPeer, cluster: Cluster): readonly PeerConfig[] {
  const id = `BGPPeer/${metadata.name}`;
  const peer = parsePeerAddress(spec.peerIP ?? '');
  const remoteAs = parseAsNumber(spec.asNumber);
  if (peer === undefined)
    cluster.report(
      id,
      `spec.peerIP is "${spec.peerIP ?? ''}"; expected an address, with a port as 192.0.2.1:1179 or [2001:db8::1]:1179`,
    );
  if (remoteAs === undefined)
    cluster.report(id, `spec.asNumber is "${spec.asNumber ?? ''}"; expected 1 to 4294967294, asplain or asdot`);
  const settings = settingsOf(spec, id, cluster);
  if (peer === undefined || remoteAs === undefined || settings === undefined) return [];
  const { family } = peer.address;
  const nodeAddress = cluster.self.addresses.get(family);
  if (spec.sourceAddress !== 'None' && nodeAddress === undefined) {
    cluster.report(
      id,
      `spec.sourceAddress is UseNodeIP, but node "${cluster.self.name}" has no IPv${family} address; expected None or a node address`,
    );
    return [];
  }
  const isInternal = remoteAs === (settings.localAs ?? cluster.self.asNumber ?? cluster.clusterAs);
  return [
    {
      name: metadata.name,
      address: formatAddress(peer.address) + (peer.interfaceName === undefined ? '' : `%${peer.interfaceName}`),
      ...(peer.port === undefined ? {} : { port: peer.port }),
      remoteAs,
      ...(spec.sourceAddress === 'None' || nodeAddress === undefined ? {} : { localAddress: nodeAddress }),
      families: [familyName(family)],
      ...settings,
      ...distanceOf(spec, id, cluster)(isInternal),
      import: (spec.filters ?? []).map((name) => filterName(name, 'import', family)),
      export: [
        isInternal ? EXPORT_TO_MESH : EXPORT_TO_PEERS,
        ...(spec.filters ?? []).map((name) => filterName(name, 'export', family)),
      ],
    },
  ];
}

/** Settings that routers and selected nodes share; undefined when the peer cannot be used as written. */
function settingsOf(spec: BGPPeerSpec, id: string, cluster: Cluster): Settings | undefined {
  const password = passwordOf(spec.password, id, cluster);
  const known = new Set(cluster.input.bgpFilters.map((filter) => filter.metadata.name));
  const missing = (spec.filters ?? []).filter((name) => !known.has(name));
  // A missing filter must not let out what it was meant to hold back.
  if (missing.length > 0)
    cluster.report(
      id,
      `spec.filters names ${missing.map((name) => `"${name}"`).join(', ')}; expected a BGPFilter of that name; left out until there is one`,
    );
  const localAs = spec.localASNumber === undefined ? undefined : parseAsNumber(spec.localASNumber);
  if (spec.localASNumber !== undefined && localAs === undefined)
    cluster.report(id, `spec.localASNumber is "${spec.localASNumber}"; expected 1 to 4294967294, asplain or asdot`);
  if (password === 'missing' || missing.length > 0 || (spec.localASNumber !== undefined && localAs === undefined))
    return undefined;
  const restartAfter = parseDuration(spec.maxPrefixesRestartAfter);
  return {
    ...password,
    ...holdTimeOf(spec.holdTime ?? cluster.spec.holdTime, id, cluster),
    ...keepaliveTimeOf(spec.keepaliveTime, id, cluster),
    ...restartTimeOf(spec.maxRestartTime, id, cluster),
    ...(localAs === undefined ? {} : { localAs }),
    ...(spec.numAllowedLocalASNumbers === undefined ? {} : { allowLocalAs: spec.numAllowedLocalASNumbers }),
    ...nextHopOf(spec),
    ...(spec.passive === undefined ? {} : { passive: spec.passive }),
    ...(spec.maxPrefixes === undefined ? {} : { maxPrefixes: spec.maxPrefixes }),
    ...(restartAfter === undefined ? {} : { maxPrefixesRestartAfter: restartAfter }),
  };
}

/** Calico: nextHopMode, where it is given, goes before the field it has replaced. */
function nextHopOf({ nextHopMode, keepOriginalNextHop }: BGPPeerSpec): SessionNextHop {
  const mode = nextHopMode ?? (keepOriginalNextHop === true ? 'Keep' : 'Auto');
  return mode === 'Keep' ? { nextHopUnchanged: true } : mode === 'Self' ? { nextHopSelf: true } : {};
}

/** As the resource says, for a peer inside or outside our AS; undefined when it says nothing. A speaker refuses both fields together. */
function distanceOf(
  { ttlSecurity = 0, multihop }: BGPPeerSpec,
  id: string,
  { report }: Cluster,
): (isInternal: boolean) => SessionDistance | undefined {
  if (ttlSecurity > 0 && multihop !== undefined)
    report(
      id,
      `spec.multihop is ${multihop} beside spec.ttlSecurity ${ttlSecurity}, which already says how far the peer is; left out`,
    );
  if (ttlSecurity > 0) return () => ({ ttlSecurityHops: Math.min(ttlSecurity, MOST_TTL_SECURITY_HOPS) });
  return (isInternal) => (multihop === undefined || isInternal ? undefined : { multihop });
}

function holdTimeOf(text: string | undefined, id: string, { report }: Cluster): { readonly holdTime?: number } {
  if (text === undefined) return {};
  const seconds = parseDuration(text);
  if (seconds !== undefined && (seconds === 0 || (seconds >= 3 && seconds <= 65535)))
    return { holdTime: Math.round(seconds) };
  report(id, `spec.holdTime is "${text}"; expected 0s, or 3s to 65535s; using 90s`);
  return {};
}

/** BIRD's "keepalive time". What is more than a third of the hold time is cut down to that by the session. */
function keepaliveTimeOf(
  text: string | undefined,
  id: string,
  { report }: Cluster,
): { readonly keepaliveTime?: number } {
  if (text === undefined) return {};
  const seconds = Math.round(parseDuration(text) ?? 0);
  if (seconds >= 1 && seconds <= 21845) return { keepaliveTime: seconds };
  report(id, `spec.keepaliveTime is "${text}"; expected 1s to 21845s; using a third of the hold time`);
  return {};
}

/** How long the peer is asked to keep our routes while we restart (RFC 4724 section 3: twelve bits). */
function restartTimeOf(
  text: string | undefined,
  id: string,
  { report }: Cluster,
): { readonly gracefulRestartTime?: number } {
  if (text === undefined) return {};
  const seconds = parseDuration(text);
  if (seconds !== undefined && seconds <= 4095) return { gracefulRestartTime: Math.round(seconds) };
  report(id, `spec.maxRestartTime is "${text}"; expected 0s to 4095s; using 120s`);
  return {};
}

/** Without its password a session must not come up in the open. */
function passwordOf(
  reference: BGPPassword | undefined,
  id: string,
  cluster: Cluster,
): { readonly password?: string } | 'missing' {
  const selector = reference?.secretKeyRef;
  if (selector === undefined) return {};
  const password = cluster.input.secret(selector.name ?? '', selector.key);
  if (password !== undefined && password !== '') return { password };
  if (selector.optional === true) return {};
  cluster.report(
    id,
    `names key "${selector.key}" of secret "${selector.name ?? ''}" as its password; expected that secret in Tortie's namespace; left out until there is one`,
  );
  return 'missing';
}
