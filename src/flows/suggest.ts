/**
 * The least NetworkPolicies that cover what was recorded of a namespace: a policy for each workload, both directions, with a rule for each
 * peer and its ports. A proposal for people to read: what did not happen while flows were recorded is not in it. Pure.
 */
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '../api/networking.js';
import type { LabelSelector } from '../api/meta.js';
import type { TransportProtocol } from '../api/core.js';
import { endText, type Flow, type FlowEnd, type LabelSet } from './flow.js';

export interface Suggestion {
  readonly policies: readonly NetworkPolicy[];
  /** What NetworkPolicy cannot say, or too little was recorded of, in sentences. */
  readonly uncovered: readonly string[];
}

/** A workload of the namespace and what it was seen to do. */
interface Workload {
  readonly end: FlowEnd;
  readonly labels: LabelSet['labels'];
  readonly ingress: Map<string, Seen>;
  readonly egress: Map<string, Seen>;
}

/** Peers of one kind, with ports. */
interface Seen {
  readonly peer: NetworkPolicyPeer;
  readonly ports: Map<string, NetworkPolicyPort>;
}

const NAMESPACE_NAME = 'kubernetes.io/metadata.name';
const PORTS: ReadonlySet<string> = new Set(['TCP', 'UDP', 'SCTP']);
/** Labels that name a workload, the best first; others only where these do not tell it from its neighbours. */
const NAMING = ['app.kubernetes.io/name', 'app', 'k8s-app', 'name', 'app.kubernetes.io/component', 'role', 'component'];

export function suggestPolicies(
  namespace: string,
  flows: readonly Flow[],
  labels: ReadonlyMap<string, LabelSet['labels']>,
): Suggestion {
  const uncovered = new Set<string>();
  const allLabels = labelsByNamespace(flows, labels);
  const workloads = new Map<string, Workload>();
  const workloadOf = (end: FlowEnd): Workload => {
    const key = `${endText(end)} ${end.labels ?? ''}`;
    const known = workloads.get(key) ?? {
      end,
      labels: labels.get(end.labels ?? '') ?? {},
      ingress: new Map<string, Seen>(),
      egress: new Map<string, Seen>(),
    };
    workloads.set(key, known);
    return known;
  };
  for (const flow of flows) {
    if (flow.verdict !== 'allowed') continue;
    for (const direction of ['egress', 'ingress'] as const) {
      const [own, peer] = direction === 'egress' ? [flow.from, flow.to] : [flow.to, flow.from];
      if (flow[direction] === undefined || own.type !== 'pod' || own.namespace !== namespace) continue;
      const workload = workloadOf(own);
      // Its own node reaches a pod whatever policy says.
      if (direction === 'ingress' && flow.ingress?.decision.type === 'exempt') continue;
      const about = `${endText(flow.from)} -> ${endText(flow.to)} ${flow.port === 0 ? '' : `${flow.port}/`}${flow.protocol}`;
      const selected = peerOf(peer, namespace, labels, allLabels);
      if (typeof selected === 'string') uncovered.add(`${about}: ${selected}`);
      else if (!PORTS.has(flow.protocol))
        uncovered.add(`${about}: NetworkPolicy names no protocol but TCP, UDP and SCTP`);
      else if (flow.port === 0) uncovered.add(`${about}: its port was not recorded`);
      else addSeen(workload[direction], selected, { protocol: flow.protocol as TransportProtocol, port: flow.port });
    }
  }
  const policies = new Map<string, NetworkPolicy>();
  for (const workload of workloads.values()) {
    const selector = selectorOf(workload.labels, allLabels.get(namespace) ?? []);
    const policy = policyOf(namespace, workload, selector);
    const known = policies.get(JSON.stringify(selector));
    policies.set(JSON.stringify(selector), known === undefined ? policy : joined(known, policy));
  }
  return { policies: named([...policies.values()]), uncovered: [...uncovered].sort() };
}

type AllLabels = ReadonlyMap<string, readonly LabelSet['labels'][]>;

function labelsByNamespace(flows: readonly Flow[], labels: ReadonlyMap<string, LabelSet['labels']>): AllLabels {
  const found = new Map<string, Map<string, LabelSet['labels']>>();
  for (const { from, to } of flows)
    for (const { type, namespace = '', labels: id = '' } of [from, to]) {
      const set = labels.get(id);
      if (type !== 'pod' || set === undefined) continue;
      const own = found.get(namespace) ?? new Map<string, LabelSet['labels']>();
      found.set(namespace, own.set(id, set));
    }
  return new Map([...found].map(([namespace, own]) => [namespace, [...own.values()]]));
}

/** The fewest labels that tell these from all others that were seen; none where there are none. */
function selectorOf(own: LabelSet['labels'], all: readonly LabelSet['labels'][]): LabelSelector {
  const keys = Object.keys(own);
  const ranked = [...NAMING.filter((key) => keys.includes(key)), ...keys.filter((key) => !NAMING.includes(key)).sort()];
  const others = all.filter((one) => JSON.stringify(one) !== JSON.stringify(own));
  const chosen: Record<string, string> = {};
  let rest = others;
  for (const key of ranked) {
    const value = own[key] ?? '';
    const left = rest.filter((other) => other[key] === value);
    // One that tells nobody apart is left out, unless it is the first: a selector of nothing selects all.
    if (left.length === rest.length && Object.keys(chosen).length > 0) continue;
    chosen[key] = value;
    rest = left;
    if (rest.length === 0) break;
  }
  return Object.keys(chosen).length === 0 ? {} : { matchLabels: chosen };
}

/** A sentence where NetworkPolicy cannot name it. */
function peerOf(
  end: FlowEnd,
  own: string,
  labels: ReadonlyMap<string, LabelSet['labels']>,
  all: AllLabels,
): NetworkPolicyPeer | string {
  if (end.type !== 'pod') {
    if (end.address === undefined) return 'the address at its other end was not recorded';
    return { ipBlock: { cidr: `${end.address}/${end.address.includes(':') ? 128 : 32}` } };
  }
  const { namespace = '' } = end;
  const set = labels.get(end.labels ?? '');
  if (set === undefined) return 'the labels of its other end were not recorded';
  const podSelector = selectorOf(set, all.get(namespace) ?? []);
  return namespace === own
    ? { podSelector }
    : { namespaceSelector: { matchLabels: { [NAMESPACE_NAME]: namespace } }, podSelector };
}

function addSeen(seen: Map<string, Seen>, peer: NetworkPolicyPeer, port: NetworkPolicyPort): void {
  const key = JSON.stringify(peer);
  const known = seen.get(key) ?? { peer, ports: new Map<string, NetworkPolicyPort>() };
  known.ports.set(`${port.protocol ?? ''} ${String(port.port).padStart(5, '0')}`, port);
  seen.set(key, known);
}

/** Peers with the same ports share a rule. */
function rulesOf(
  seen: ReadonlyMap<string, Seen>,
): readonly { readonly peers: readonly NetworkPolicyPeer[]; readonly ports: readonly NetworkPolicyPort[] }[] {
  const rules = new Map<string, { peers: NetworkPolicyPeer[]; ports: readonly NetworkPolicyPort[] }>();
  for (const [, { peer, ports }] of [...seen].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const sorted = [...ports].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, port]) => port);
    const key = JSON.stringify(sorted);
    const known = rules.get(key);
    if (known === undefined) rules.set(key, { peers: [peer], ports: sorted });
    else known.peers.push(peer);
  }
  return [...rules.values()];
}

const policyOf = (
  namespace: string,
  { end, ingress, egress }: Workload,
  podSelector: LabelSelector,
): NetworkPolicy => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: end.owner?.name ?? end.name ?? 'pods', namespace },
  spec: {
    podSelector,
    policyTypes: ['Ingress', 'Egress'],
    ingress: rulesOf(ingress).map(({ peers, ports }) => ({ from: peers, ports })),
    egress: rulesOf(egress).map(({ peers, ports }) => ({ to: peers, ports })),
  },
});

/** Of workloads that no label tells apart. */
function joined(a: NetworkPolicy, b: NetworkPolicy): NetworkPolicy {
  const both = <T>(one: readonly T[] = [], other: readonly T[] = []): readonly T[] => {
    const known = new Set(one.map((rule) => JSON.stringify(rule)));
    return [...one, ...other.filter((rule) => !known.has(JSON.stringify(rule)))];
  };
  return {
    ...a,
    spec: {
      ...a.spec,
      ingress: both(a.spec?.ingress, b.spec?.ingress),
      egress: both(a.spec?.egress, b.spec?.egress),
    },
  };
}

/** Names once, in order. */
function named(policies: readonly NetworkPolicy[]): readonly NetworkPolicy[] {
  const taken = new Map<string, number>();
  return [...policies]
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : a.metadata.name > b.metadata.name ? 1 : 0))
    .map((policy) => {
      const { name } = policy.metadata;
      const count = (taken.get(name) ?? 0) + 1;
      taken.set(name, count);
      return count === 1 ? policy : { ...policy, metadata: { ...policy.metadata, name: `${name}-${count}` } };
    });
}
