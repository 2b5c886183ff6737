/** Nodes and namespaces. A namespace always carries the label kubernetes.io/metadata.name, whatever a client wrote. */
import { listAt, objectAt, put, textAt } from '../json.js';
import { labelsOf } from '../label-selector.js';
import { nameOf, type ApiObject } from '../object.js';
import type { ResourceType } from '../resource-type.js';
import { builtIn } from './built-in.js';
import { column } from './columns.js';

const NAME_LABEL = 'kubernetes.io/metadata.name';
const ROLE_LABEL = 'node-role.kubernetes.io/';

const named = (namespace: ApiObject): ApiObject =>
  put(namespace, ['metadata', 'labels', NAME_LABEL], nameOf(namespace));

export const namespaces: ResourceType = builtIn({
  kind: 'Namespace',
  plural: 'namespaces',
  shortNames: ['ns'],
  namespaced: false,
  hasStatus: true,
  subresources: { finalize: { group: '', version: 'v1', kind: 'Namespace' } },
  columns: [column('Status', (namespace) => textAt(namespace, 'status', 'phase') ?? '')],
  selectableFields: { 'status.phase': (namespace) => textAt(namespace, 'status', 'phase') ?? '' },
  strategy: {
    nameRule: 'label',
    countsGenerations: false,
    prepareCreate: (namespace) =>
      put(put(named(namespace), ['spec', 'finalizers'], ['kubernetes']), ['status'], { phase: 'Active' }),
    // spec.finalizers change through the finalize subresource only.
    prepareUpdate: (namespace, old) => put(named(namespace), ['spec'], objectAt(old, 'spec')),
  },
  isNamespaceItself: true,
});

function statusCell(node: ApiObject): string {
  const ready = listAt(node, 'status', 'conditions').find((condition) => textAt(condition, 'type') === 'Ready');
  const status = ready === undefined ? 'Unknown' : textAt(ready, 'status') === 'True' ? 'Ready' : 'NotReady';
  return objectAt(node, 'spec')['unschedulable'] === true ? `${status},SchedulingDisabled` : status;
}

function rolesCell(node: ApiObject): string {
  const roles = Object.keys(labelsOf(node))
    .filter((key) => key.startsWith(ROLE_LABEL))
    .map((key) => key.slice(ROLE_LABEL.length));
  return roles.length === 0 ? '<none>' : roles.sort().join(',');
}

const addressCell =
  (kind: string) =>
  (node: ApiObject): string =>
    textAt(
      listAt(node, 'status', 'addresses').find((address) => textAt(address, 'type') === kind),
      'address',
    ) ?? '<none>';

const info =
  (key: string) =>
  (node: ApiObject): string =>
    textAt(node, 'status', 'nodeInfo', key) ?? '<unknown>';

export const nodes: ResourceType = builtIn({
  kind: 'Node',
  plural: 'nodes',
  shortNames: ['no'],
  namespaced: false,
  hasStatus: true,
  columns: [column('Status', statusCell), column('Roles', rolesCell)],
  wideColumns: [
    column('Version', (node) => textAt(node, 'status', 'nodeInfo', 'kubeletVersion') ?? ''),
    column('Internal-IP', addressCell('InternalIP'), { wide: true }),
    column('External-IP', addressCell('ExternalIP'), { wide: true }),
    column('OS-Image', info('osImage'), { wide: true }),
    column('Kernel-Version', info('kernelVersion'), { wide: true }),
    column('Container-Runtime', info('containerRuntimeVersion'), { wide: true }),
  ],
  selectableFields: { 'spec.unschedulable': (node) => String(objectAt(node, 'spec')['unschedulable'] === true) },
  strategy: { countsGenerations: false },
});
