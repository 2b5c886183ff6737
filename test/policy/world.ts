/**
 * A small cluster as data, for tests: what the engine is fed (events) and what the reference evaluator reads (the world itself).
 */
import { createHash } from 'node:crypto';
import type { KubeObject, ObjectKind, PolicyEvent } from '@tortie/policy';

export interface WorldPort {
  readonly name?: string;
  readonly port: number;
  readonly protocol: string;
  readonly sidecar?: boolean;
}

export interface WorldPod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ips: readonly string[];
  readonly node: string;
  readonly ports: readonly WorldPort[];
  readonly hostNetwork?: boolean;
  readonly phase?: string;
  readonly serviceAccount?: string;
}

/** A NetworkSet, or a GlobalNetworkSet without a namespace. */
export interface WorldNetworkSet {
  readonly namespace?: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly nets: readonly string[];
}

export interface WorldTier {
  readonly name: string;
  readonly order?: number;
  readonly defaultAction?: string;
}

export interface WorldServiceAccount {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface WorldNamespace {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface WorldNode {
  readonly name: string;
  readonly ips: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

export interface WorldPolicy {
  readonly kind: ObjectKind;
  readonly object: KubeObject & { readonly spec?: unknown };
}

export interface World {
  readonly nodes: readonly WorldNode[];
  readonly namespaces: readonly WorldNamespace[];
  readonly pods: readonly WorldPod[];
  readonly externals: readonly WorldNode[];
  readonly policies: readonly WorldPolicy[];
  readonly networkSets?: readonly WorldNetworkSet[];
  readonly tiers?: readonly WorldTier[];
  readonly serviceAccounts?: readonly WorldServiceAccount[];
}

export function podObject(pod: WorldPod): KubeObject {
  const container = (ports: readonly WorldPort[], restartPolicy?: string) => ({
    restartPolicy,
    ports: ports.map((port) => ({ name: port.name, containerPort: port.port, protocol: port.protocol })),
  });
  return {
    metadata: { namespace: pod.namespace, name: pod.name, labels: pod.labels },
    spec: {
      nodeName: pod.node,
      hostNetwork: pod.hostNetwork,
      serviceAccountName: pod.serviceAccount,
      containers: [container(pod.ports.filter((port) => port.sidecar !== true))],
      initContainers: [
        container(
          pod.ports.filter((port) => port.sidecar === true),
          'Always',
        ),
      ],
    },
    status: { phase: pod.phase ?? 'Running', podIPs: pod.ips.map((ip) => ({ ip })), podIP: pod.ips[0] },
  } as KubeObject;
}

export const upsert = (kind: ObjectKind, object: KubeObject): PolicyEvent => ({ type: 'upsert', kind, object });

export const namespaceEvent = (namespace: WorldNamespace): PolicyEvent => upsert('Namespace', { metadata: namespace });

export const nodeEvent = (node: WorldNode): PolicyEvent =>
  upsert('Node', {
    metadata: { name: node.name, labels: node.labels },
    status: { addresses: node.ips.map((address) => ({ type: 'InternalIP', address })) },
  } as KubeObject);

export const interfaceOf = (namespace: string, name: string): string =>
  `tort${createHash('sha1').update(`${namespace}.${name}`).digest('hex').slice(0, 11)}`;

/** Pods that a node plumbs. */
export const isPlumbed = (pod: WorldPod): boolean =>
  pod.hostNetwork !== true && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';

export const endpointEvent = (pod: WorldPod): PolicyEvent => ({
  type: 'endpoint-upsert',
  endpoint: {
    namespace: pod.namespace,
    name: pod.name,
    interface: interfaceOf(pod.namespace, pod.name),
    addresses: pod.ips,
  },
});

/** All objects, then the endpoints of one node. */
export function eventsOf(world: World, node?: string): readonly PolicyEvent[] {
  return [
    ...world.nodes.map(nodeEvent),
    ...world.namespaces.map(namespaceEvent),
    ...(world.tiers ?? []).map(({ name, ...spec }) => upsert('Tier', { metadata: { name }, spec } as KubeObject)),
    ...(world.serviceAccounts ?? []).map((metadata) => upsert('ServiceAccount', { metadata })),
    ...(world.networkSets ?? []).map(({ nets, ...metadata }) =>
      upsert(metadata.namespace === undefined ? 'GlobalNetworkSet' : 'NetworkSet', {
        metadata,
        spec: { nets },
      } as KubeObject),
    ),
    ...world.pods.map((pod) => upsert('Pod', podObject(pod))),
    ...world.policies.map((policy) => upsert(policy.kind, policy.object)),
    ...world.pods.filter((pod) => pod.node === node && isPlumbed(pod)).map(endpointEvent),
  ];
}

/** The two-namespace, two-node world that most tests start from; override what matters. */
export function smallWorld(change: Partial<World> = {}): World {
  const pod = (
    namespace: string,
    name: string,
    node: string,
    last: number,
    extra: Partial<WorldPod> = {},
  ): WorldPod => ({
    namespace,
    name,
    node,
    labels: { app: name },
    ips: [`10.65.${node === 'n1' ? 0 : 1}.${last}`, `fd00:65::${node === 'n1' ? 'a' : 'b'}:${last}`],
    ports: [
      { name: 'http', port: 80, protocol: 'TCP' },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
    ...extra,
  });
  return {
    nodes: [
      { name: 'n1', ips: ['172.18.0.1', 'fc00::1'] },
      { name: 'n2', ips: ['172.18.0.2', 'fc00::2'] },
    ],
    namespaces: [
      { name: 'x', labels: { team: 'red' } },
      { name: 'y', labels: { team: 'blue' } },
    ],
    pods: [pod('x', 'a', 'n1', 1), pod('x', 'b', 'n2', 2), pod('y', 'a', 'n1', 3), pod('y', 'b', 'n2', 4)],
    externals: [{ name: 'out', ips: ['192.0.2.9', '2001:db8::9'] }],
    policies: [],
    ...change,
  };
}

/** A networking.k8s.io/v1 NetworkPolicy of the world's. */
export const networkPolicy = (namespace: string, name: string, spec: unknown): WorldPolicy => ({
  kind: 'NetworkPolicy',
  object: { metadata: { namespace, name }, spec } as WorldPolicy['object'],
});

/** A cluster-scoped policy of the policy.networking.k8s.io group. */
export const clusterPolicy = (
  kind: 'ClusterNetworkPolicy' | 'AdminNetworkPolicy' | 'BaselineAdminNetworkPolicy',
  name: string,
  spec: unknown,
): WorldPolicy => ({ kind, object: { metadata: { name }, spec } as WorldPolicy['object'] });

/** A projectcalico.org/v3 policy; namespace "" for global ones. */
export const calicoPolicy = (kind: ObjectKind, namespace: string, name: string, spec: unknown): WorldPolicy => ({
  kind,
  object: { metadata: namespace === '' ? { name } : { namespace, name }, spec } as WorldPolicy['object'],
});

export const hostEndpoint = (
  name: string,
  spec: unknown,
  labels: Readonly<Record<string, string>> = { host: 'yes' },
): PolicyEvent => upsert('HostEndpoint', { metadata: { name, labels }, spec } as KubeObject);
