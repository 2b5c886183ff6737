/** A cluster of four nodes in two racks, a router each, two reflectors, pools, pods, Services: what plans are made of. */
import { changed, worldOf, type World } from '../../src/plan/world.js';
import type { KubeObject } from '../../src/api/meta.js';

type Given = Readonly<Record<string, unknown>>;

export const object = (apiVersion: string, kind: string, name: string, rest: Given = {}): KubeObject => {
  const { metadata = {}, ...others } = rest;
  return {
    apiVersion,
    kind,
    metadata: { name, ...(metadata as object) },
    spec: {},
    ...others,
  } as unknown as KubeObject;
};

export const calico = (kind: string, name: string, spec: Given, metadata: Given = {}): KubeObject =>
  object('projectcalico.org/v3', kind, name, { spec, metadata });

export function node(
  index: number,
  labels: Readonly<Record<string, string>> = {},
  annotations: Given = {},
): KubeObject {
  return object('v1', 'Node', `node${index}`, {
    metadata: { labels: { rack: index <= 2 ? 'a' : 'b', ...labels }, annotations },
    status: {
      addresses: [
        { type: 'InternalIP', address: `10.0.0.${index}` },
        { type: 'InternalIP', address: `fd00::${index}` },
      ],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  });
}

export const block = (cidr: string, node: string, pool = 'pods'): KubeObject =>
  object('tortie.dev/v1alpha1', 'IPAMBlock', cidr.replace(/[.:/]/g, '-'), { spec: { cidr, node, pool } });

export const pod = (namespace: string, name: string, node: string, ip: string, labels: Given = {}): KubeObject =>
  object('v1', 'Pod', name, {
    metadata: { namespace, labels },
    spec: { nodeName: node, containers: [{ name: 'main', ports: [{ containerPort: 80 }] }] },
    status: { phase: 'Running', podIPs: [{ ip }] },
  });

export const router = (name: string, peerIP: string, nodeSelector: string, more: Given = {}): KubeObject =>
  calico('BGPPeer', name, { peerIP, asNumber: 64512, nodeSelector, ...more });

export const service = (name: string, spec: Given = {}): KubeObject =>
  object('v1', 'Service', name, {
    metadata: { namespace: 'shop' },
    spec: {
      clusterIP: '10.96.0.10',
      externalIPs: ['192.0.2.10'],
      externalTrafficPolicy: 'Local',
      type: 'LoadBalancer',
      ...spec,
    },
  });

export const slice = (name: string, of: string, nodes: readonly string[]): KubeObject =>
  object('discovery.k8s.io/v1', 'EndpointSlice', name, {
    metadata: { namespace: 'shop', labels: { 'kubernetes.io/service-name': of } },
    addressType: 'IPv4',
    endpoints: nodes.map((nodeName, index) => ({
      addresses: [`10.65.0.${index + 1}`],
      nodeName,
      conditions: { ready: true },
    })),
    ports: [],
  });

/** No mesh: racks with a router each, and nodes 1 and 3 reflect for the others. */
export const RACKS: readonly KubeObject[] = [
  node(1, { reflector: 'yes' }, { 'projectcalico.org/RouteReflectorClusterID': '244.0.0.1' }),
  node(2),
  node(3, { reflector: 'yes' }, { 'projectcalico.org/RouteReflectorClusterID': '244.0.0.1' }),
  node(4),
  calico('BGPConfiguration', 'default', { nodeToNodeMeshEnabled: false, asNumber: 64600 }),
  calico('BGPPeer', 'reflectors', { nodeSelector: 'all()', peerSelector: 'reflector == "yes"' }),
  calico('IPPool', 'pods', { cidr: '10.65.0.0/16' }, { creationTimestamp: '2026-01-01T00:00:00Z' }),
  ...[1, 2, 3, 4].map((index) => block(`10.65.${index}.0/26`, `node${index}`)),
  ...[1, 2, 3, 4].map((index) => pod('shop', `web-${index}`, `node${index}`, `10.65.${index}.1`, { app: 'web' })),
  object('v1', 'Namespace', 'shop'),
];

export const TORS: readonly KubeObject[] = [
  router('tor-a', '10.0.1.1', 'rack == "a"'),
  router('tor-b', '10.0.2.1', 'rack == "b"'),
];

export const world = (...objects: readonly KubeObject[]): World => worldOf(objects);
export { changed };
