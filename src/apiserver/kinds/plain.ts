/** Kinds that are stored and little more: configuration, identities, workloads nobody here runs, RBAC nobody here enforces. */
import { forbiddenField, invalidValue, required, type Problem } from '../api-error.js';
import { at, isEqual, listAt, objectAt, put, textAt, type Json } from '../json.js';
import type { ApiObject } from '../object.js';
import type { ResourceType, Strategy } from '../resource-type.js';
import { builtIn } from './built-in.js';
import { column } from './columns.js';

const DATA_KEY = /^[-._a-zA-Z0-9]+$/;
const DATA_KEY_WHY =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' " +
  "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/** ConfigMaps and Secrets: keys, and that an immutable one does not change. */
const dataStrategy: Strategy = {
  countsGenerations: false,
  prepareCreate: (object) => mergeStringData(object),
  prepareUpdate: (object) => mergeStringData(object),
  validate: (object, old) => {
    const problems: Problem[] = ['data', 'binaryData'].flatMap((field) =>
      Object.keys(objectAt(object, field))
        .filter((key) => !DATA_KEY.test(key) || key.length > 253)
        .map((key) => invalidValue(`${field}[${key}]`, key, DATA_KEY_WHY)),
    );
    if (old !== undefined && at(old, 'immutable') === true)
      for (const field of ['data', 'binaryData', 'immutable'])
        if (!isEqual(at(object, field), at(old, field)))
          problems.push(forbiddenField(field, 'field is immutable when `immutable` is set'));
    return problems;
  },
};

/** A Secret's stringData is a way to write data, never stored. */
function mergeStringData(object: ApiObject): ApiObject {
  const entries = Object.entries(objectAt(object, 'stringData'));
  if (entries.length === 0) return put(object, ['stringData'], undefined);
  const encoded = entries.map(([key, value]) => [key, Buffer.from(String(value)).toString('base64')] as const);
  return encoded.reduce(
    (result, [key, value]) => put(result, ['data', key], value),
    put(object, ['stringData'], undefined),
  );
}

const count =
  (...fields: readonly string[]) =>
  (object: ApiObject): Json =>
    fields.reduce((sum, field) => sum + Object.keys(objectAt(object, field)).length, 0);

const number =
  (...path: readonly string[]) =>
  (object: ApiObject): Json =>
    at(object, ...path) ?? 0;

const configMaps = builtIn({
  kind: 'ConfigMap',
  plural: 'configmaps',
  shortNames: ['cm'],
  namespaced: true,
  columns: [column('Data', count('data', 'binaryData'))],
  strategy: dataStrategy,
});

const secrets = builtIn({
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
  columns: [
    column('Type', (secret) => textAt(secret, 'type') ?? ''),
    column('Data', count('data'), { type: 'integer' }),
  ],
  selectableFields: { type: (secret) => textAt(secret, 'type') ?? '' },
  strategy: dataStrategy,
});

const serviceAccounts = builtIn({
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  shortNames: ['sa'],
  namespaced: true,
  columns: [column('Secrets', (account) => listAt(account, 'secrets').length, { type: 'string' })],
  strategy: { countsGenerations: false },
});

const workloadStrategy: Strategy = {
  validate: (object) => (objectAt(object, 'spec')['selector'] === undefined ? [required('spec.selector')] : []),
};

const deployments = builtIn({
  group: 'apps',
  kind: 'Deployment',
  plural: 'deployments',
  shortNames: ['deploy'],
  categories: ['all'],
  namespaced: true,
  hasStatus: true,
  columns: [
    column(
      'Ready',
      (object) =>
        `${String(at(object, 'status', 'readyReplicas') ?? 0)}/${String(at(object, 'spec', 'replicas') ?? 1)}`,
    ),
    column('Up-to-date', number('status', 'updatedReplicas')),
    column('Available', number('status', 'availableReplicas')),
  ],
  strategy: workloadStrategy,
});

const replicaSets = builtIn({
  group: 'apps',
  kind: 'ReplicaSet',
  plural: 'replicasets',
  shortNames: ['rs'],
  categories: ['all'],
  namespaced: true,
  hasStatus: true,
  columns: [
    column('Desired', number('spec', 'replicas')),
    column('Current', number('status', 'replicas')),
    column('Ready', number('status', 'readyReplicas')),
  ],
  strategy: workloadStrategy,
});

const daemonSets = builtIn({
  group: 'apps',
  kind: 'DaemonSet',
  plural: 'daemonsets',
  shortNames: ['ds'],
  categories: ['all'],
  namespaced: true,
  hasStatus: true,
  columns: [
    column('Desired', number('status', 'desiredNumberScheduled')),
    column('Current', number('status', 'currentNumberScheduled')),
    column('Ready', number('status', 'numberReady')),
    column('Available', number('status', 'numberAvailable')),
  ],
  strategy: workloadStrategy,
});

const statefulSets = builtIn({
  group: 'apps',
  kind: 'StatefulSet',
  plural: 'statefulsets',
  shortNames: ['sts'],
  categories: ['all'],
  namespaced: true,
  hasStatus: true,
  columns: [
    column(
      'Ready',
      (object) =>
        `${String(at(object, 'status', 'readyReplicas') ?? 0)}/${String(at(object, 'spec', 'replicas') ?? 1)}`,
    ),
  ],
  strategy: workloadStrategy,
});

const rbac = (kind: string, plural: string, namespaced: boolean): ResourceType =>
  builtIn({
    group: 'rbac.authorization.k8s.io',
    kind,
    plural,
    namespaced,
    strategy: { nameRule: 'path', countsGenerations: false },
  });

export const plainTypes: readonly ResourceType[] = [
  configMaps,
  secrets,
  serviceAccounts,
  deployments,
  replicaSets,
  daemonSets,
  statefulSets,
  rbac('Role', 'roles', true),
  rbac('RoleBinding', 'rolebindings', true),
  rbac('ClusterRole', 'clusterroles', false),
  rbac('ClusterRoleBinding', 'clusterrolebindings', false),
];
