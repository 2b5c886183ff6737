/** A small cluster that changes at random: 30 pods of which 6 are local, 3 namespaces, some 12 policies. */
import type { KubeObject, PolicyEvent } from '@tortie/policy/objects';

export type Random = () => number;

/** Mulberry32: the same numbers for the same seed. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const NAMESPACES = ['red', 'green', 'blue'];
const APPS = ['web', 'db', 'cache', 'job'];
const PODS = 30;
const LOCAL = 6;
const POLICIES = 12;

const pick = <T>(random: Random, list: readonly T[]): T => {
  const one = list[Math.floor(random() * list.length)];
  if (one === undefined) throw new Error('cannot pick from an empty list');
  return one;
};

export function firstEvents(random: Random): readonly PolicyEvent[] {
  const events: PolicyEvent[] = NAMESPACES.map((name) => ({
    type: 'upsert',
    kind: 'Namespace',
    object: { metadata: { name, labels: { color: name } } },
  }));
  for (let i = 0; i < PODS; i++) events.push(podEvent(random, i));
  for (let i = 0; i < LOCAL; i++) events.push(endpointEvent(i));
  for (let i = 0; i < POLICIES; i++) events.push(policyEvent(random, i));
  return events;
}

export function randomEvent(random: Random): PolicyEvent {
  const dice = random();
  if (dice < 0.4) return podEvent(random, Math.floor(random() * PODS));
  if (dice < 0.5)
    return {
      type: 'upsert',
      kind: 'Namespace',
      object: { metadata: { name: pick(random, NAMESPACES), labels: { color: pick(random, NAMESPACES) } } },
    };
  if (dice < 0.6)
    return random() < 0.3 ? { type: 'endpoint-delete', namespace: namespaceOf(0), name: 'p0' } : endpointEvent(0);
  const policy = Math.floor(random() * POLICIES);
  return dice < 0.7
    ? { type: 'delete', kind: 'NetworkPolicy', namespace: namespaceOf(policy), name: `n${policy}` }
    : policyEvent(random, policy);
}

const namespaceOf = (index: number): string => NAMESPACES[index % NAMESPACES.length] ?? 'red';
const addressesOf = (index: number): readonly string[] => [`10.65.0.${index + 1}`, `fd65::${(index + 1).toString(16)}`];

function podEvent(random: Random, index: number): PolicyEvent {
  const object = {
    metadata: { namespace: namespaceOf(index), name: `p${index}`, labels: { app: pick(random, APPS) } },
    spec: {
      nodeName: 'n',
      containers: [{ ports: [{ name: 'http', containerPort: 8000 + (index % 3), protocol: 'TCP' }] }],
    },
    status: { phase: random() < 0.05 ? 'Succeeded' : 'Running', podIPs: addressesOf(index).map((ip) => ({ ip })) },
  };
  return { type: 'upsert', kind: 'Pod', object: object as KubeObject };
}

function endpointEvent(index: number): PolicyEvent {
  return {
    type: 'endpoint-upsert',
    endpoint: {
      namespace: namespaceOf(index),
      name: `p${index}`,
      interface: `tort${index.toString(16).padStart(11, '0')}`,
      addresses: addressesOf(index),
    },
  };
}

function policyEvent(random: Random, index: number): PolicyEvent {
  const peers = [
    { podSelector: { matchLabels: { app: pick(random, APPS) } } },
    { namespaceSelector: { matchLabels: { color: pick(random, NAMESPACES) } } },
    { ipBlock: { cidr: '10.0.0.0/8', except: [`10.${Math.floor(random() * 200)}.0.0/16`] } },
    { ipBlock: { cidr: 'fd00::/8' } },
  ];
  const rule = {
    peers: peers.filter(() => random() < 0.5),
    ports:
      random() < 0.5
        ? [{ port: random() < 0.5 ? 'http' : 80 }, { protocol: 'UDP', port: 1000, endPort: 2000 }]
        : undefined,
  };
  const object = {
    metadata: { namespace: namespaceOf(index), name: `n${index}` },
    spec: {
      podSelector: random() < 0.3 ? {} : { matchLabels: { app: pick(random, APPS) } },
      policyTypes: random() < 0.5 ? ['Ingress'] : ['Ingress', 'Egress'],
      ingress: [{ from: rule.peers, ...(rule.ports === undefined ? {} : { ports: rule.ports }) }],
      egress: [{ to: rule.peers }],
    },
  };
  return { type: 'upsert', kind: 'NetworkPolicy', object: object as KubeObject };
}
