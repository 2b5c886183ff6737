/**
 * The objects of Tortie in a cluster, by the label that all of its manifests carry; those of users in its definitions; what it wrote
 * into others'.
 */
import { kinds, resourcePath } from '../api/kinds.js';
import type { Node, Service } from '../api/core.js';
import { counted } from '../bgpd/show/text-table.js';
import { hasCondition } from '../controller/load-balancer/service-status.js';
import { ApiError } from '../datastore/datastore.js';
import type { KubernetesClient } from '../datastore/kubernetes-client.js';
import type { Trace } from './traces.js';

export type Asks = Pick<KubernetesClient, 'request' | 'url'>;

export interface ClusterObject extends Trace {
  /** Of the API server. */
  readonly path: string;
}

export interface ClusterObjects {
  /** DaemonSet and Deployment: what would make the rest anew. */
  readonly workloads: readonly ClusterObject[];
  readonly definitions: readonly ClusterObject[];
  /** All others, namespaces last. */
  readonly others: readonly ClusterObject[];
  /** Whose condition NetworkUnavailable is Tortie's. */
  readonly nodes: readonly Node[];
  /** Whose address Tortie gave. */
  readonly services: readonly Service[];
}

export const PART_OF = 'app.kubernetes.io/part-of=tortie';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const ADMISSION = '/apis/admissionregistration.k8s.io/v1';
const WORKLOADS = { DaemonSet: '/apis/apps/v1/daemonsets', Deployment: '/apis/apps/v1/deployments' };
const DEFINITIONS = { CustomResourceDefinition: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions' };
/** Bindings before what they bind; the guards when nothing of ours writes any more. */
const OTHERS = {
  ValidatingAdmissionPolicyBinding: `${ADMISSION}/validatingadmissionpolicybindings`,
  ValidatingAdmissionPolicy: `${ADMISSION}/validatingadmissionpolicies`,
  ClusterRoleBinding: `${RBAC}/clusterrolebindings`,
  ClusterRole: `${RBAC}/clusterroles`,
  RoleBinding: `${RBAC}/rolebindings`,
  Role: `${RBAC}/roles`,
  ServiceAccount: '/api/v1/serviceaccounts',
  ConfigMap: '/api/v1/configmaps',
  Namespace: '/api/v1/namespaces',
};

interface Listed {
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: {
    readonly group?: string;
    readonly names?: { readonly plural?: string };
    readonly versions?: readonly { readonly name: string; readonly served: boolean }[];
  };
}

export async function readClusterObjects(client: Asks): Promise<ClusterObjects> {
  return {
    workloads: await ofKinds(client, WORKLOADS),
    definitions: await Promise.all(
      (await labelled(client, DEFINITIONS.CustomResourceDefinition)).map(async (definition) => ({
        ...objectOf('CustomResourceDefinition', DEFINITIONS.CustomResourceDefinition, definition),
        detail: `with ${counted(await countOf(client, definition), 'object')}`,
      })),
    ),
    others: await ofKinds(client, OTHERS),
    nodes: (await listed<Node>(client, resourcePath(kinds.nodes))).filter(hasOwnCondition),
    services: (await listed<Service>(client, resourcePath(kinds.services))).filter(({ status }) =>
      hasCondition(status),
    ),
  };
}

/** Of src/agent/node-condition.ts: other networks have reasons of their own. */
export const hasOwnCondition = ({ status }: Node): boolean =>
  status?.conditions?.some(
    ({ type, reason }) => type === 'NetworkUnavailable' && reason?.startsWith('Tortie') === true,
  ) === true;

async function ofKinds(client: Asks, paths: Readonly<Record<string, string>>): Promise<readonly ClusterObject[]> {
  const found = Object.entries(paths).map(async ([kind, path]) =>
    (await labelled(client, path)).map((object) => objectOf(kind, path, object)),
  );
  return (await Promise.all(found)).flat();
}

function objectOf(kind: string, listPath: string, { metadata: { name, namespace } }: Listed): ClusterObject {
  const [, group = '', plural = ''] = /^(.*)\/([^/]+)$/.exec(listPath) ?? [];
  return {
    kind,
    name: namespace === undefined ? name : `${namespace}/${name}`,
    path: namespace === undefined ? `${listPath}/${name}` : `${group}/namespaces/${namespace}/${plural}/${name}`,
  };
}

const labelled = (client: Asks, path: string): Promise<readonly Listed[]> =>
  listed<Listed>(client, `${path}?labelSelector=${encodeURIComponent(PART_OF)}`);

/** How many objects go with a definition. */
async function countOf(client: Asks, { spec }: Listed): Promise<number> {
  const version = spec?.versions?.find(({ served }) => served)?.name;
  if (version === undefined) return 0;
  return (await listed(client, `/apis/${spec?.group ?? ''}/${version}/${spec?.names?.plural ?? ''}`)).length;
}

/** None where the kind is not served. */
export async function listed<T>(client: Asks, path: string): Promise<readonly T[]> {
  try {
    return (await client.request<{ readonly items?: readonly T[] }>('GET', path)).items ?? [];
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return [];
    throw error;
  }
}
