/**
 * A cluster of any number of policies as objects: namespaces of ten policies and some pods each, of the shapes that people write. The
 * two pods that traffic runs between are the first two of the first namespace, and its ten policies select them.
 */
import type { KubeObject, PolicyEvent } from '@tortie/policy/objects';

const POLICIES_PER_NAMESPACE = 10;

export interface ClusterSize {
  readonly policies: number;
  readonly pods: number;
  /** Pods of this node; the others are objects alone. */
  readonly local: number;
}

export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly addresses: readonly string[];
}

export const namespaceCount = (size: ClusterSize): number =>
  Math.max(1, Math.ceil(size.policies / POLICIES_PER_NAMESPACE));

/** Pods go round the namespaces, so that the local ones are spread over as many as there are. */
export function podAt(size: ClusterSize, index: number): PodIdentity {
  const count = namespaceCount(size);
  // The two ends of the traffic share the first namespace.
  const namespace = index < 2 ? 0 : (index - 1) % count;
  return {
    namespace: `ns${namespace}`,
    name: `p${index}`,
    addresses: [`10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`, `fd64::${(index + 1).toString(16)}`],
  };
}

export function* clusterEvents(size: ClusterSize): Generator<PolicyEvent> {
  const count = namespaceCount(size);
  for (let i = 0; i < count; i++)
    yield {
      type: 'upsert',
      kind: 'Namespace',
      object: { metadata: { name: `ns${i}`, labels: { team: `team${i % 20}` } } },
    };
  for (let i = 0; i < size.pods; i++) yield podEvent(size, i, appOf(i));
  for (let i = 0; i < size.policies; i++) yield policyEvent(i, Math.floor(i / POLICIES_PER_NAMESPACE));
}

export function endpointEvent(size: ClusterSize, index: number, hostInterface: string): PolicyEvent {
  const { namespace, name, addresses } = podAt(size, index);
  return { type: 'endpoint-upsert', endpoint: { namespace, name, interface: hostInterface, addresses } };
}

/** The same pod with other labels. */
export function podEvent(size: ClusterSize, index: number, app: string): PolicyEvent {
  const { namespace, name, addresses } = podAt(size, index);
  const object = {
    metadata: { namespace, name, labels: { app } },
    spec: {
      nodeName: index < size.local ? 'node' : `other${index % 100}`,
      containers: [{ ports: [{ name: 'web', containerPort: 80, protocol: 'TCP' }] }],
    },
    status: { phase: 'Running', podIPs: addresses.map((ip) => ({ ip })) },
  };
  return { type: 'upsert', kind: 'Pod', object: object as KubeObject };
}

/** The traffic's ends carry "front"; every namespace has some of each. */
export const appOf = (index: number): string => (index < 2 ? 'front' : (['front', 'back', 'job'][index % 3] ?? 'job'));

/** Ten shapes, each of them leaving "front" open to "front" of its namespace on port 80. */
export function policyEvent(index: number, namespace: number): PolicyEvent {
  const front = { podSelector: { matchLabels: { app: 'front' } } };
  const ports = [
    { protocol: 'TCP', port: 'web' },
    { protocol: 'TCP', port: 5201 },
    { protocol: 'UDP', port: 80 },
  ];
  const specs: readonly object[] = [
    { podSelector: {}, policyTypes: ['Ingress'] },
    { podSelector: {}, policyTypes: ['Egress'] },
    { podSelector: { matchLabels: { app: 'back' } }, ingress: [{ from: [front], ports: [{ port: 5432 }] }] },
    {
      podSelector: {},
      ingress: [
        { from: [{ namespaceSelector: { matchLabels: { team: `team${index % 20}` } } }], ports: [{ port: 9090 }] },
      ],
    },
    {
      podSelector: { matchLabels: { app: 'job' } },
      egress: [{ to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '192.168.0.0/16'] } }] }],
    },
    {
      podSelector: {},
      egress: [
        {
          to: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'dns' } } }],
          ports: [
            { protocol: 'UDP', port: 53 },
            { protocol: 'TCP', port: 53 },
          ],
        },
      ],
    },
    {
      podSelector: { matchLabels: { app: 'back' } },
      ingress: [
        { from: [{ ipBlock: { cidr: `172.${16 + (index % 16)}.0.0/16` } }], ports: [{ port: 8000, endPort: 8100 }] },
      ],
    },
    {
      podSelector: { matchLabels: { app: 'front' } },
      ingress: [
        {
          from: [{ podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['back', 'job'] }] } }],
          ports: [{ port: 8443 }],
        },
      ],
    },
    { podSelector: { matchLabels: { app: 'front' } }, egress: [{ to: [front], ports }] },
    { podSelector: { matchLabels: { app: 'front' } }, ingress: [{ from: [front], ports }] },
  ];
  const object = {
    metadata: { namespace: `ns${namespace}`, name: `policy${index}` },
    spec: specs[index % specs.length],
  };
  return { type: 'upsert', kind: 'NetworkPolicy', object: object as KubeObject };
}
