/**
 * A second opinion: judges flows by reading policy objects literally, pair by pair, with nothing shared, indexed or compiled.
 * Slow and plain on purpose; it shares no code with the engine but the address parser. Valid objects only.
 */
import { containsAddress, parseAddress, parsePrefix, type Family } from 'node-bgp/address';
import type { World, WorldPod } from './world.js';

export interface Endpoint {
  readonly type: 'pod' | 'node' | 'external';
  readonly pod?: WorldPod;
  readonly node?: string;
  readonly ip: string;
}

export interface Probe {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly port: number;
}

interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | null;
  readonly matchExpressions?:
    | readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] | null }[]
    | null;
}
interface Peer {
  readonly podSelector?: LabelSelector | null;
  readonly namespaceSelector?: LabelSelector | null;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] | null } | null;
}
interface Port {
  readonly protocol?: string | null;
  readonly port?: number | string | null;
  readonly endPort?: number | null;
}
interface Rule {
  readonly from?: readonly Peer[] | null;
  readonly to?: readonly Peer[] | null;
  readonly ports?: readonly Port[] | null;
}
interface Spec {
  readonly podSelector?: LabelSelector | null;
  readonly policyTypes?: readonly string[] | null;
  readonly ingress?: readonly Rule[] | null;
  readonly egress?: readonly Rule[] | null;
}

export function selectorMatches(selector: LabelSelector, labels: ReadonlyMap<string, string>): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (labels.get(key) !== value) return false;
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const value = labels.get(key);
    if (operator === 'In' && (value === undefined || !(values ?? []).includes(value))) return false;
    if (operator === 'NotIn' && value !== undefined && (values ?? []).includes(value)) return false;
    if (operator === 'Exists' && value === undefined) return false;
    if (operator === 'DoesNotExist' && value !== undefined) return false;
  }
  return true;
}

export const familyOf = (ip: string): Family => (ip.includes(':') ? 6 : 4);

export const podLabels = (pod: WorldPod): ReadonlyMap<string, string> => new Map(Object.entries(pod.labels));

export function namespaceLabels(world: World, name: string): ReadonlyMap<string, string> {
  const labels = new Map(Object.entries(world.namespaces.find((one) => one.name === name)?.labels ?? {}));
  return labels.set('kubernetes.io/metadata.name', name);
}

/** Verdict of NetworkPolicies alone. */
export function referenceVerdict(world: World, from: Endpoint, to: Endpoint, probe: Probe): boolean {
  if (from.pod !== undefined && from.pod === to.pod) return true;
  return (
    directionAllows(world, 'egress', from, to, to, probe) && directionAllows(world, 'ingress', to, from, to, probe)
  );
}

/** `own` is the end whose policies are asked, `peer` the other; `destination` is where named ports are looked up. */
export function directionAllows(
  world: World,
  direction: 'ingress' | 'egress',
  own: Endpoint,
  peer: Endpoint,
  destination: Endpoint,
  probe: Probe,
): boolean {
  if (own.pod === undefined) return true;
  if (direction === 'ingress' && peer.node !== undefined && peer.node === own.pod.node) return true;
  const rules = isolatingRules(world, direction, own.pod);
  return (
    rules === undefined ||
    rules.some(({ namespace, rule }) => ruleMatches(world, namespace, rule, direction, peer, destination, probe))
  );
}

/** Rules of every policy that isolates the pod in this direction; undefined when none does. */
export function isolatingRules(
  world: World,
  direction: 'ingress' | 'egress',
  pod: WorldPod,
): readonly { readonly namespace: string; readonly rule: Rule }[] | undefined {
  let isolated = false;
  const rules: { namespace: string; rule: Rule }[] = [];
  for (const { kind, object } of world.policies) {
    const namespace = object.metadata?.namespace ?? '';
    const spec = (object.spec ?? {}) as Spec;
    if (
      kind !== 'NetworkPolicy' ||
      namespace !== pod.namespace ||
      !selectorMatches(spec.podSelector ?? {}, podLabels(pod))
    )
      continue;
    const types =
      (spec.policyTypes ?? []).length > 0
        ? (spec.policyTypes ?? [])
        : (spec.egress ?? []).length > 0
          ? ['Ingress', 'Egress']
          : ['Ingress'];
    if (!types.includes(direction === 'ingress' ? 'Ingress' : 'Egress')) continue;
    isolated = true;
    for (const rule of spec[direction] ?? []) rules.push({ namespace, rule });
  }
  return isolated ? rules : undefined;
}

function ruleMatches(
  world: World,
  namespace: string,
  rule: Rule,
  direction: 'ingress' | 'egress',
  peer: Endpoint,
  destination: Endpoint,
  probe: Probe,
): boolean {
  const peers = (direction === 'ingress' ? rule.from : rule.to) ?? [];
  const ports = rule.ports ?? [];
  const anyPeer: readonly (Peer | undefined)[] = peers.length === 0 ? [undefined] : peers;
  const anyPort: readonly (Port | undefined)[] = ports.length === 0 ? [undefined] : ports;
  return anyPeer.some((onePeer) =>
    anyPort.some(
      (port) =>
        peerMatches(world, namespace, onePeer, peer) && portMatches(port, onePeer, direction, destination, probe),
    ),
  );
}

function peerMatches(world: World, namespace: string, peer: Peer | undefined, end: Endpoint): boolean {
  if (peer === undefined) return true;
  if (peer.ipBlock !== undefined && peer.ipBlock !== null) {
    const address = parseAddress(end.ip);
    return (
      containsAddress(parsePrefix(peer.ipBlock.cidr), address) &&
      !(peer.ipBlock.except ?? []).some((except) => containsAddress(parsePrefix(except), address))
    );
  }
  if (end.pod === undefined) return false;
  const inNamespace =
    peer.namespaceSelector === undefined || peer.namespaceSelector === null
      ? end.pod.namespace === namespace
      : selectorMatches(peer.namespaceSelector, namespaceLabels(world, end.pod.namespace));
  return inNamespace && selectorMatches(peer.podSelector ?? {}, podLabels(end.pod));
}

function portMatches(
  port: Port | undefined,
  peer: Peer | undefined,
  direction: 'ingress' | 'egress',
  destination: Endpoint,
  probe: Probe,
): boolean {
  if (port === undefined) return true;
  if ((port.protocol ?? 'TCP') !== probe.protocol) return false;
  if (port.port === undefined || port.port === null) return true;
  if (typeof port.port === 'number') return port.port <= probe.port && probe.port <= (port.endPort ?? port.port);
  // A name is looked up on the destination pod; with a block as the egress peer it has no meaning.
  if (direction === 'egress' && peer?.ipBlock !== undefined && peer.ipBlock !== null) return false;
  return (destination.pod?.ports ?? []).some(
    (one) => one.name === port.port && one.protocol === probe.protocol && one.port === probe.port,
  );
}

/** Every end of a world in one family. */
export function endpointsOf(world: World, family: Family): readonly Endpoint[] {
  const ends: Endpoint[] = [];
  for (const pod of world.pods) {
    const ip = pod.ips.find((one) => familyOf(one) === family);
    if (ip === undefined || pod.phase === 'Succeeded' || pod.phase === 'Failed') continue;
    ends.push(pod.hostNetwork === true ? { type: 'node', node: pod.node, ip } : { type: 'pod', pod, ip });
  }
  for (const node of world.nodes) {
    const ip = node.ips.find((one) => familyOf(one) === family);
    if (ip !== undefined) ends.push({ type: 'node', node: node.name, ip });
  }
  for (const external of world.externals) {
    const ip = external.ips.find((one) => familyOf(one) === family);
    if (ip !== undefined) ends.push({ type: 'external', ip });
  }
  return ends;
}
