/**
 * The Kubernetes objects that a rack needs before its nodes start, written as a Calico user would write them. Pure.
 *
 * A peering with a router is one BGPPeer per node and family, since every link has addresses of its own; `sourceAddress:
 * None` makes the session come from the link, where the router expects it, and numAllowedLocalASNumbers lets nodes of one AS
 * hear one another's addresses through routers of another.
 */
import type { BGPConfiguration, BGPPeer } from '../api/bgp.js';
import type { Namespace, Node, Pod, Secret } from '../api/core.js';
import type { IPPool } from '../api/ipam.js';
import type { KindName, ObjectOf } from '../api/kinds.js';
import type { ObjectMeta } from '../api/meta.js';
import { linksOf, type Rack, type RackNode } from './rack.js';
import type { PodSpec, Topology } from './topology.js';

/** On everything the lab creates, with the lab's name; by it `down` finds it again in a real API server. */
export const LAB_LABEL = 'tortie.dev/lab';
/** Where the agents look for secrets. */
export const SYSTEM_NAMESPACE = 'tortie-system';

/** An object and where it goes. */
export type RackObject = { readonly [K in KindName]: { readonly kind: K; readonly object: ObjectOf[K] } }[KindName];

/** In the order of their creation. */
export function rackObjects(rack: Rack): readonly RackObject[] {
  return [
    ...[SYSTEM_NAMESPACE, ...namespacesOf(rack.topology)].map(
      (name): RackObject => ({ kind: 'namespaces', object: namespace(rack, name) }),
    ),
    ...rack.topology.pools.map(
      (pool): RackObject => ({
        kind: 'ipPools',
        object: {
          metadata: meta(rack, pool.name),
          spec: { cidr: pool.cidr, blockSize: pool.blockSize },
        } satisfies IPPool,
      }),
    ),
    ...rack.tors.flatMap((tor): readonly RackObject[] =>
      tor.spec.password === undefined ? [] : [{ kind: 'secrets', object: secret(rack, tor.name, tor.spec.password) }],
    ),
    {
      kind: 'bgpConfigurations',
      object: {
        metadata: meta(rack, 'default'),
        spec: { asNumber: clusterAs(rack), nodeToNodeMeshEnabled: true },
      } satisfies BGPConfiguration,
    },
    ...rack.nodes.map((node): RackObject => ({ kind: 'nodes', object: nodeObject(rack, node) })),
    ...rack.nodes.flatMap((node) => peersOf(rack, node)).map((object): RackObject => ({ kind: 'bgpPeers', object })),
  ];
}

export const podObjects = (rack: Rack): readonly RackObject[] =>
  rack.topology.pods.map((pod): RackObject => ({ kind: 'pods', object: podObject(rack, pod) }));

const namespacesOf = (topology: Topology): readonly string[] => [...new Set(topology.pods.map((pod) => pod.namespace))];

const meta = (rack: Rack, name: string, more: Partial<ObjectMeta> = {}): ObjectMeta => ({
  name,
  ...more,
  labels: { ...more.labels, [LAB_LABEL]: rack.lab },
});

const namespace = (rack: Rack, name: string): Namespace => ({ metadata: meta(rack, name) });

const secretName = (tor: string): string => `tortie-lab-${tor}`;

const secret = (rack: Rack, tor: string, password: string): Secret => ({
  metadata: meta(rack, secretName(tor), { namespace: SYSTEM_NAMESPACE }),
  data: { password: Buffer.from(password).toString('base64') },
});

/** The AS number that most nodes have; the others carry it on their Node. */
function clusterAs(rack: Rack): number {
  const counts = new Map<number, number>();
  for (const { spec } of rack.nodes) counts.set(spec.as, (counts.get(spec.as) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 64512;
}

function nodeObject(rack: Rack, { name, spec, loopback }: RackNode): Node {
  return {
    metadata: meta(rack, name, {
      labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', ...spec.labels },
      ...(spec.as === clusterAs(rack) ? {} : { annotations: { 'projectcalico.org/ASNumber': String(spec.as) } }),
    }),
    status: {
      addresses: [
        { type: 'InternalIP', address: loopback.ipv4 },
        { type: 'InternalIP', address: loopback.ipv6 },
        { type: 'Hostname', address: name },
      ],
      capacity: { cpu: '4', memory: '8Gi', pods: '250' },
      allocatable: { cpu: '4', memory: '8Gi', pods: '250' },
    },
  };
}

function peersOf(rack: Rack, node: RackNode): readonly BGPPeer[] {
  const tors = new Map(rack.tors.map((tor) => [tor.name, tor.spec]));
  return linksOf(rack, node.name).flatMap(({ peer }) =>
    (['ipv4', 'ipv6'] as const).flatMap((family): readonly BGPPeer[] => {
      const tor = tors.get(peer.device);
      if (tor === undefined) return [];
      return [
        {
          metadata: meta(rack, `${node.name}-${tor.name}-${family}`),
          spec: {
            node: node.name,
            peerIP: peer.address[family],
            asNumber: tor.as,
            sourceAddress: 'None',
            numAllowedLocalASNumbers: 1,
            ...(tor.password === undefined
              ? {}
              : { password: { secretKeyRef: { name: secretName(tor.name), key: 'password' } } }),
          },
        },
      ];
    }),
  );
}

function podObject(rack: Rack, pod: PodSpec): Pod {
  return {
    metadata: meta(rack, pod.name, { namespace: pod.namespace, labels: pod.labels }),
    spec: {
      ...(pod.node === undefined ? {} : { nodeName: pod.node }),
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'main',
          image: 'tortie.dev/prober',
          ports: pod.ports.map(({ port, transport, name }) => ({
            containerPort: port,
            protocol: transport,
            ...(name === undefined ? {} : { name }),
          })),
        },
      ],
    },
  };
}
