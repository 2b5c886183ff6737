/**
 * The cluster behind the measured calls: the pods to connect exist already, as they do when kubelet calls, and one
 * NetworkPolicy selects them all.
 */
import type { Write } from '../node/api-client.js';
import { BenchNode, NODE } from '../node/node.js';

export const POD_NAMESPACE = 'bench';

/** Where a contender works. */
export interface Place {
  /** Path of the node's namespace. */
  readonly netns: string;
  /** For its files; removed afterwards by the caller. */
  readonly directory: string;
  readonly pods: readonly string[];
}

export interface Pool {
  readonly name: string;
  readonly cidr: string;
  readonly blockSize: number;
}

export function startNodeAgent(
  { netns, directory, pods }: Place,
  pools: readonly Pool[],
  policyBackend: string,
): Promise<BenchNode> {
  return BenchNode.start({ netns, directory, policyBackend }, [base(), objects(pods, pools)]);
}

function* base(): Generator<Write> {
  yield {
    path: '/api/v1/namespaces',
    object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: POD_NAMESPACE } },
  };
  yield {
    path: '/api/v1/nodes',
    object: {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: NODE },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    },
  };
}

function* objects(pods: readonly string[], pools: readonly Pool[]): Generator<Write> {
  for (const { name, cidr, blockSize } of pools)
    yield {
      path: '/apis/projectcalico.org/v3/ippools',
      object: { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name }, spec: { cidr, blockSize } },
    };
  yield {
    path: `/apis/networking.k8s.io/v1/namespaces/${POD_NAMESPACE}/networkpolicies`,
    object: {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'web' },
      spec: {
        podSelector: {},
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }],
        egress: [{}],
      },
    },
  };
  for (const name of pods)
    yield {
      path: `/api/v1/namespaces/${POD_NAMESPACE}/pods`,
      object: {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, labels: { app: 'web' } },
        spec: { nodeName: NODE, containers: [{ name: 'web', image: 'web' }] },
      },
    };
}
