/**
 * The second opinion with cluster tiers: Admin, then NetworkPolicy, then Baseline, read literally from the objects.
 * Valid objects only; priorities within a tier must differ.
 */
import { containsAddress, parseAddress, parsePrefix } from 'node-bgp/address';
import {
  directionAllows,
  isolatingRules,
  namespaceLabels,
  podLabels,
  selectorMatches,
  type Endpoint,
  type Probe,
} from './reference.js';
import type { World, WorldPod, WorldPolicy } from './world.js';

type Selector = Parameters<typeof selectorMatches>[0];
interface Pods {
  readonly namespaceSelector?: Selector;
  readonly podSelector: Selector;
}
interface Peer {
  readonly namespaces?: Selector;
  readonly pods?: Pods;
  readonly networks?: readonly string[];
  readonly nodes?: Selector;
}
interface Port {
  readonly destinationPort?: {
    readonly number?: number;
    readonly range?: { readonly start: number; readonly end: number };
  };
}
interface PortItem {
  readonly tcp?: Port;
  readonly udp?: Port;
  readonly sctp?: Port;
  readonly destinationNamedPort?: string;
  readonly namedPort?: string;
  readonly portNumber?: { readonly protocol?: string; readonly port: number };
  readonly portRange?: { readonly protocol?: string; readonly start: number; readonly end: number };
}
interface Rule {
  readonly action: string;
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly protocols?: readonly PortItem[];
  readonly ports?: readonly PortItem[];
}
interface Spec {
  readonly tier?: string;
  readonly priority?: number;
  readonly subject: Peer;
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

const specOf = (policy: WorldPolicy): Spec => policy.object.spec as Spec;

export function tieredVerdict(world: World, from: Endpoint, to: Endpoint, probe: Probe): boolean {
  if (from.pod !== undefined && from.pod === to.pod) return true;
  return judge(world, 'egress', from, to, to, probe) && judge(world, 'ingress', to, from, to, probe);
}

function judge(
  world: World,
  direction: 'ingress' | 'egress',
  own: Endpoint,
  peer: Endpoint,
  destination: Endpoint,
  probe: Probe,
): boolean {
  if (own.pod === undefined) return true;
  if (direction === 'ingress' && peer.node !== undefined && peer.node === own.pod.node) return true;
  const ask = (tier: 'Admin' | 'Baseline'): boolean | undefined =>
    askTier(world, policiesOf(world, tier), direction, own.pod as WorldPod, peer, destination, probe);
  const admin = ask('Admin');
  if (admin !== undefined) return admin;
  if (isolatingRules(world, direction, own.pod) !== undefined)
    return directionAllows(world, direction, own, peer, destination, probe);
  return ask('Baseline') ?? true;
}

function policiesOf(world: World, tier: 'Admin' | 'Baseline'): readonly WorldPolicy[] {
  const own = world.policies.filter(
    ({ kind, object }) =>
      (tier === 'Admin' ? kind === 'AdminNetworkPolicy' : kind === 'BaselineAdminNetworkPolicy') ||
      (kind === 'ClusterNetworkPolicy' && (object.spec as Spec).tier === tier),
  );
  return own.sort((a, b) => (specOf(a).priority ?? Infinity) - (specOf(b).priority ?? Infinity));
}

/** true or false when a rule decides; undefined when none matches or one passes. */
function askTier(
  world: World,
  policies: readonly WorldPolicy[],
  direction: 'ingress' | 'egress',
  pod: WorldPod,
  peer: Endpoint,
  destination: Endpoint,
  probe: Probe,
): boolean | undefined {
  for (const policy of policies) {
    if (!peerMatches(world, specOf(policy).subject, { type: 'pod', pod, ip: '' })) continue;
    for (const rule of specOf(policy)[direction] ?? []) {
      const peers = (direction === 'ingress' ? rule.from : rule.to) ?? [];
      const ports = rule.protocols ?? rule.ports;
      if (
        !peers.some(
          (one) =>
            peerMatches(world, one, peer) &&
            (ports === undefined || ports.some((port) => portMatches(port, one, destination, probe, direction))),
        )
      )
        continue;
      if (rule.action === 'Pass') return undefined;
      return rule.action !== 'Deny';
    }
  }
  return undefined;
}

function peerMatches(world: World, peer: Peer, end: Endpoint): boolean {
  if (peer.networks !== undefined)
    return peer.networks.some((cidr) => containsAddress(parsePrefix(cidr), parseAddress(end.ip)));
  if (peer.nodes !== undefined) {
    const { nodes } = peer;
    return world.nodes.some(
      (node) => node.ips.includes(end.ip) && selectorMatches(nodes, new Map(Object.entries(node.labels ?? {}))),
    );
  }
  if (end.pod === undefined) return false;
  const labels = namespaceLabels(world, end.pod.namespace);
  if (peer.namespaces !== undefined) return selectorMatches(peer.namespaces, labels);
  return (
    peer.pods !== undefined &&
    selectorMatches(peer.pods.namespaceSelector ?? {}, labels) &&
    selectorMatches(peer.pods.podSelector, podLabels(end.pod))
  );
}

function portMatches(
  item: PortItem,
  peer: Peer,
  destination: Endpoint,
  probe: Probe,
  direction: 'ingress' | 'egress',
): boolean {
  const name = item.destinationNamedPort ?? item.namedPort;
  if (name !== undefined) {
    if (direction === 'egress' && (peer.networks !== undefined || peer.nodes !== undefined)) return false;
    return (destination.pod?.ports ?? []).some(
      (port) => port.name === name && port.protocol === probe.protocol && port.port === probe.port,
    );
  }
  const between = (start: number, end: number): boolean => start <= probe.port && probe.port <= end;
  if (item.portNumber !== undefined)
    return (item.portNumber.protocol ?? 'TCP') === probe.protocol && item.portNumber.port === probe.port;
  if (item.portRange !== undefined)
    return (item.portRange.protocol ?? 'TCP') === probe.protocol && between(item.portRange.start, item.portRange.end);
  const own = { TCP: item.tcp, UDP: item.udp, SCTP: item.sctp }[probe.protocol];
  if (own === undefined) return false;
  const port = own.destinationPort;
  return (
    port === undefined ||
    port.number === probe.port ||
    (port.range !== undefined && between(port.range.start, port.range.end))
  );
}
