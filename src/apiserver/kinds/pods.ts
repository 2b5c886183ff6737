/**
 * Pods: columns, defaults that depend on other fields, what may change after creation, graceful deletion, binding to a
 * node (k8s.io/kubernetes/pkg/registry/core/pod, pkg/apis/core/validation).
 */
import { duplicate, forbiddenField, invalidValue, notSupported, required, type Problem } from '../api-error.js';
import {
  at,
  draft,
  isEqual,
  isObject,
  listAt,
  objectAt,
  own,
  put,
  textAt,
  type Json,
  type JsonObject,
} from '../json.js';
import type { ResourceType, Strategy } from '../resource-type.js';
import { builtIn } from './built-in.js';
import { column } from './columns.js';
import { nameFault } from '../names.js';
import { isBeingDeleted, type ApiObject } from '../object.js';

const DEFAULT_GRACE_SECONDS = 30;

const strategy: Strategy = {
  prepareCreate: (pod) => put(complete(pod), ['status'], { phase: 'Pending', qosClass: qosClass(pod) }),
  prepareUpdate: (pod) => complete(pod),
  validate: (pod, old) => (old === undefined ? [] : updateProblems(pod, old)).concat(specProblems(pod)),
  graceSeconds: (pod, asked) => {
    const isScheduled = (textAt(pod, 'spec', 'nodeName') ?? '') !== '';
    const phase = textAt(pod, 'status', 'phase');
    if (!isScheduled || phase === 'Succeeded' || phase === 'Failed') return 0;
    const own = at(pod, 'spec', 'terminationGracePeriodSeconds');
    return asked ?? (typeof own === 'number' ? own : DEFAULT_GRACE_SECONDS);
  },
};

/** Defaults that a schema cannot say. */
function complete(pod: ApiObject): ApiObject {
  const spec = draft(objectAt(pod, 'spec'));
  const account = textAt(spec, 'serviceAccountName') ?? textAt(spec, 'serviceAccount') ?? 'default';
  spec['serviceAccountName'] = account;
  spec['serviceAccount'] = account;
  const isHostNetwork = spec['hostNetwork'] === true;
  for (const list of ['containers', 'initContainers'] as const)
    if (own(spec, list) !== undefined)
      spec[list] = mapObjects(listAt(spec, list), (container) => completeContainer(container, isHostNetwork));
  return put(pod, ['spec'], spec);
}

const mapObjects = (list: readonly Json[], change: (item: JsonObject) => JsonObject): readonly Json[] =>
  list.map((item) => (isObject(item) ? change(item) : item));

function completeContainer(container: JsonObject, isHostNetwork: boolean): JsonObject {
  const image = textAt(container, 'image') ?? '';
  const isMoving = !image.includes('@') && (/:latest$/.test(image) || !/:[^/]*$/.test(image));
  const result = draft(container);
  if (result['imagePullPolicy'] === undefined) result['imagePullPolicy'] = isMoving ? 'Always' : 'IfNotPresent';
  if (isHostNetwork && result['ports'] !== undefined)
    result['ports'] = mapObjects(listAt(result, 'ports'), (port) =>
      port['hostPort'] === undefined ? put(port, ['hostPort'], port['containerPort']) : port,
    );
  return result;
}

function qosClass(pod: ApiObject): string {
  const containers = listAt(pod, 'spec', 'containers');
  const hasAny = containers.some((container) =>
    ['requests', 'limits'].some((part) => Object.keys(objectAt(container, 'resources', part)).length > 0),
  );
  if (!hasAny) return 'BestEffort';
  const isGuaranteed = containers.every((container) => {
    const limits = objectAt(container, 'resources', 'limits');
    const requests = objectAt(container, 'resources', 'requests');
    return ['cpu', 'memory'].every(
      (name) => limits[name] !== undefined && (requests[name] === undefined || isEqual(requests[name], limits[name])),
    );
  });
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}

function specProblems(pod: ApiObject): Problem[] {
  const containers = listAt(pod, 'spec', 'containers');
  const problems = containers.length === 0 ? [required('spec.containers')] : [];
  const names = new Set<string>();
  for (const list of ['initContainers', 'containers'] as const)
    for (const [index, container] of listAt(pod, 'spec', list).entries())
      problems.push(...containerProblems(container, `spec.${list}[${index}]`, names));
  return problems;
}

function containerProblems(container: Json, path: string, names: Set<string>): Problem[] {
  const problems: Problem[] = [];
  const name = textAt(container, 'name') ?? '';
  const fault = name === '' ? undefined : nameFault('label', name);
  if (name === '') problems.push(required(`${path}.name`));
  else if (fault !== undefined) problems.push(invalidValue(`${path}.name`, name, fault));
  else if (names.has(name)) problems.push(duplicate(`${path}.name`, name));
  names.add(name);
  if ((textAt(container, 'image') ?? '') === '') problems.push(required(`${path}.image`));
  const portNames = new Set<string>();
  for (const [index, port] of listAt(container, 'ports').entries())
    problems.push(...portProblems(port, `${path}.ports[${index}]`, portNames));
  return problems;
}

/** k8s.io/apimachinery IsValidPortName: at most 15 of a-z, 0-9 and -, at least one letter. */
const PORT_NAME = /^(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
const PORT_NAME_WHY =
  "must be no more than 15 characters, must contain only alphanumeric characters (a-z, 0-9), and hyphens ('-'), " +
  'must contain at least one letter (a-z), must not contain consecutive hyphens and must not begin or end with a hyphen';

function portProblems(port: Json, path: string, names: Set<string>): Problem[] {
  const problems: Problem[] = [];
  const name = textAt(port, 'name') ?? '';
  if (name !== '') {
    if (name.length > 15 || !PORT_NAME.test(name) || name.includes('--'))
      problems.push(invalidValue(`${path}.name`, name, PORT_NAME_WHY));
    else if (names.has(name)) problems.push(duplicate(`${path}.name`, name));
    names.add(name);
  }
  if (at(port, 'containerPort') === undefined) problems.push(required(`${path}.containerPort`));
  const protocol = textAt(port, 'protocol');
  if (protocol !== undefined && !['TCP', 'UDP', 'SCTP'].includes(protocol))
    problems.push(notSupported(`${path}.protocol`, protocol, ['SCTP', 'TCP', 'UDP']));
  return problems;
}

/** After creation only these may change: images, the deadline, the grace period, tolerations (added) and the node (bound once). */
function updateProblems(pod: ApiObject, old: ApiObject): Problem[] {
  const fixed = (value: ApiObject): JsonObject => {
    const spec = draft(objectAt(value, 'spec'));
    for (const key of ['activeDeadlineSeconds', 'terminationGracePeriodSeconds', 'tolerations', 'schedulingGates'])
      delete spec[key];
    for (const list of ['containers', 'initContainers'] as const)
      spec[list] = mapObjects(listAt(spec, list), (container) =>
        put(put(container, ['image'], undefined), ['imagePullPolicy'], undefined),
      );
    if ((textAt(old, 'spec', 'nodeName') ?? '') === '') delete spec['nodeName'];
    return spec;
  };
  return isEqual(fixed(pod), fixed(old))
    ? []
    : [
        forbiddenField(
          'spec',
          'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,' +
            '`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),' +
            '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
        ),
      ];
}

/** The pod with its node set, as POST …/binding does. */
export const bound = (pod: ApiObject, node: string, time: string): ApiObject =>
  put(
    put(pod, ['spec', 'nodeName'], node),
    ['status', 'conditions'],
    [
      ...listAt(pod, 'status', 'conditions').filter((condition) => textAt(condition, 'type') !== 'PodScheduled'),
      { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: time },
    ],
  );

const readyCell = (pod: ApiObject): string => {
  const statuses = listAt(pod, 'status', 'containerStatuses');
  return `${statuses.filter((status) => at(status, 'ready') === true).length}/${listAt(pod, 'spec', 'containers').length}`;
};

function statusCell(pod: ApiObject): string {
  const phase = textAt(pod, 'status', 'phase') ?? '';
  if (isBeingDeleted(pod)) return textAt(pod, 'status', 'reason') === 'NodeLost' ? 'Unknown' : 'Terminating';
  for (const status of listAt(pod, 'status', 'containerStatuses').toReversed()) {
    const reason = textAt(status, 'state', 'waiting', 'reason') ?? textAt(status, 'state', 'terminated', 'reason');
    if (reason !== undefined && reason !== '') return reason;
  }
  return textAt(pod, 'status', 'reason') ?? phase;
}

const restarts = (pod: ApiObject): number =>
  listAt(pod, 'status', 'containerStatuses').reduce<number>((sum, status) => {
    const count = at(status, 'restartCount');
    return sum + (typeof count === 'number' ? count : 0);
  }, 0);

const orNone = (text: string | undefined): string => (text === undefined || text === '' ? '<none>' : text);

const gatesCell = (pod: ApiObject): string => {
  const gates = listAt(pod, 'spec', 'readinessGates');
  const holding = new Set(
    listAt(pod, 'status', 'conditions')
      .filter((condition) => textAt(condition, 'status') === 'True')
      .map((condition) => textAt(condition, 'type')),
  );
  const met = gates.filter((gate) => holding.has(textAt(gate, 'conditionType')));
  return gates.length === 0 ? '<none>' : `${met.length}/${gates.length}`;
};

const field =
  (...path: readonly string[]) =>
  (object: ApiObject): string =>
    textAt(object, ...path) ?? '';

export const pods: ResourceType = builtIn({
  kind: 'Pod',
  plural: 'pods',
  shortNames: ['po'],
  categories: ['all'],
  namespaced: true,
  hasStatus: true,
  subresources: {
    binding: { group: '', version: 'v1', kind: 'Binding' },
    eviction: { group: 'policy', version: 'v1', kind: 'Eviction' },
  },
  columns: [
    column('Ready', readyCell),
    column('Status', statusCell),
    column('Restarts', (pod) => String(restarts(pod))),
  ],
  wideColumns: [
    column('IP', (pod) => orNone(textAt(pod, 'status', 'podIP')), { wide: true }),
    column('Node', (pod) => orNone(textAt(pod, 'spec', 'nodeName')), { wide: true }),
    column('Nominated Node', (pod) => orNone(textAt(pod, 'status', 'nominatedNodeName')), { wide: true }),
    column('Readiness Gates', gatesCell, { wide: true }),
  ],
  selectableFields: {
    'spec.nodeName': field('spec', 'nodeName'),
    'spec.restartPolicy': field('spec', 'restartPolicy'),
    'spec.schedulerName': field('spec', 'schedulerName'),
    'spec.serviceAccountName': field('spec', 'serviceAccountName'),
    'spec.hostNetwork': (pod) => String(at(pod, 'spec', 'hostNetwork') === true),
    'status.phase': field('status', 'phase'),
    'status.podIP': field('status', 'podIP'),
    'status.podIPs': (pod) =>
      listAt(pod, 'status', 'podIPs')
        .map((entry) => textAt(entry, 'ip') ?? '')
        .join(','),
    'status.nominatedNodeName': field('status', 'nominatedNodeName'),
  },
  strategy,
});
