/** A cluster of many Services of three endpoints, of which two are served by real programs. */
import type { Write } from '../node/api-client.js';

export const NODE = 'node1';
export const SERVICE_PORT = 80;
export const TARGET_PORT = 8_080;
/** Answers on both transports; one where nobody does; and one that answers and is no endpoint. */
export const LIVE = '10.65.0.2';
export const DEAD = '10.65.0.3';
export const BESIDE = '10.65.0.4';
/** The lab's API server looks at a whole namespace whenever one of its Services changes. */
const PER_NAMESPACE = 100;
const namespaceOf = (index: number): string => `b${Math.floor(index / PER_NAMESPACE)}`;
const slicesPath = (index: number): string =>
  `/apis/discovery.k8s.io/v1/namespaces/${namespaceOf(index)}/endpointslices`;

/** 254 addresses of each /24. */
const addressOf = (net: number, index: number): string =>
  `10.${net + Math.floor(index / 64_516)}.${Math.floor(index / 254) % 254}.${(index % 254) + 1}`;
export const clusterIp = (index: number): string => addressOf(96, index);
export const slicePath = (index: number): string => `${slicesPath(index)}/s${index}`;

export function* namespaces(count: number): Generator<Write> {
  for (let index = 0; index < count; index += PER_NAMESPACE)
    yield {
      path: '/api/v1/namespaces',
      object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespaceOf(index) } },
    };
}

/** The first and the last Service have real endpoints. */
export function* objects(count: number): Generator<Write> {
  for (let index = 0; index < count; index++) {
    const isReal = index === 0 || index === count - 1;
    yield { path: `/api/v1/namespaces/${namespaceOf(index)}/services`, object: service(index, isReal) };
    yield { path: slicesPath(index), object: slice(index, isReal ? [LIVE] : threeOf(index)) };
  }
}

export const nodeObject: Write = {
  path: '/api/v1/nodes',
  object: {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: NODE, labels: { 'kubernetes.io/hostname': NODE } },
    status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
  },
};

export const poolObject: Write = {
  path: '/apis/projectcalico.org/v3/ippools',
  object: {
    apiVersion: 'projectcalico.org/v3',
    kind: 'IPPool',
    metadata: { name: 'pods' },
    spec: { cidr: '10.64.0.0/12', blockSize: 26 },
  },
};

const threeOf = (index: number): readonly string[] => [66, 67, 68].map((net) => addressOf(net, index));

const ports = [
  { name: 'tcp', protocol: 'TCP', port: TARGET_PORT },
  { name: 'udp', protocol: 'UDP', port: TARGET_PORT },
];

function service(index: number, isReal: boolean): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `s${index}`, namespace: namespaceOf(index) },
    spec: {
      clusterIP: clusterIp(index),
      clusterIPs: [clusterIp(index)],
      ports: ports
        .slice(0, isReal ? 2 : 1)
        .map(({ name, protocol, port }) => ({ name, protocol, port: SERVICE_PORT, targetPort: port })),
    },
  };
}

export function slice(index: number, addresses: readonly string[]): object {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `s${index}`,
      namespace: namespaceOf(index),
      labels: { 'kubernetes.io/service-name': `s${index}` },
    },
    addressType: 'IPv4',
    ports,
    endpoints: endpoints(addresses),
  };
}

export const endpoints = (addresses: readonly string[]): readonly object[] =>
  addresses.map((address) => ({ addresses: [address], nodeName: 'node2', conditions: { ready: true, serving: true } }));
