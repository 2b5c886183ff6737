/** Services, Endpoints and EndpointSlices. Cluster addresses are given out by service-addresses.ts, not here. */
import { invalidValue, required, type Problem } from '../api-error.js';
import { at, draft, isObject, listAt, objectAt, put, textAt, type Json } from '../json.js';
import type { ApiObject } from '../object.js';
import type { ResourceType, Strategy } from '../resource-type.js';
import { withAddresses } from '../service-addresses.js';
import { builtIn } from './built-in.js';
import { column } from './columns.js';

const serviceStrategy: Strategy = {
  nameRule: 'label1035',
  countsGenerations: false,
  prepareCreate: (service) => put(complete(service), ['status'], { loadBalancer: {} }),
  prepareUpdate: (service, old) => complete(keepAddresses(service, old)),
  allocate: withAddresses,
  validate: (service, old) => [...portProblems(service), ...immutableProblems(service, old)],
};

function complete(service: ApiObject): ApiObject {
  const spec = draft(objectAt(service, 'spec'));
  const kind = spec['type'];
  spec['internalTrafficPolicy'] ??= kind === 'ExternalName' ? null : 'Cluster';
  if (spec['internalTrafficPolicy'] === null) delete spec['internalTrafficPolicy'];
  if (kind === 'NodePort' || kind === 'LoadBalancer') spec['externalTrafficPolicy'] ??= 'Cluster';
  if (kind === 'LoadBalancer') spec['allocateLoadBalancerNodePorts'] ??= true;
  if (spec['ports'] !== undefined)
    spec['ports'] = listAt(spec, 'ports').map((port) =>
      isObject(port) && port['targetPort'] === undefined ? put(port, ['targetPort'], port['port']) : port,
    );
  return put(service, ['spec'], spec);
}

/** A replacement that does not name the addresses means the ones the service has. */
function keepAddresses(service: ApiObject, old: ApiObject): ApiObject {
  const spec = draft(objectAt(service, 'spec'));
  const before = objectAt(old, 'spec');
  const isMoved = spec['clusterIP'] !== undefined && spec['clusterIP'] !== before['clusterIP'];
  if (spec['type'] === before['type'] && !isMoved)
    for (const key of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy', 'healthCheckNodePort'])
      if (spec[key] === undefined && before[key] !== undefined) spec[key] = before[key];
  return put(service, ['spec'], spec);
}

function portProblems(service: ApiObject): Problem[] {
  const ports = listAt(service, 'spec', 'ports');
  const needsPorts =
    textAt(service, 'spec', 'type') !== 'ExternalName' && textAt(service, 'spec', 'clusterIP') !== 'None';
  if (ports.length === 0) return needsPorts ? [required('spec.ports')] : [];
  return ports.flatMap((port, index) => {
    const problems: Problem[] = [];
    if (at(port, 'port') === undefined) problems.push(required(`spec.ports[${index}].port`));
    if (ports.length > 1 && (textAt(port, 'name') ?? '') === '') problems.push(required(`spec.ports[${index}].name`));
    return problems;
  });
}

function immutableProblems(service: ApiObject, old: ApiObject | undefined): Problem[] {
  const [before, now] = [textAt(old, 'spec', 'clusterIP') ?? '', textAt(service, 'spec', 'clusterIP') ?? ''];
  return before !== '' && now !== before ? [invalidValue('spec.clusterIPs[0]', now, 'may not change once set')] : [];
}

const portsCell = (service: ApiObject): string => {
  const ports = listAt(service, 'spec', 'ports').map((port) => {
    const node = at(port, 'nodePort');
    return `${String(at(port, 'port'))}${typeof node === 'number' && node > 0 ? `:${node}` : ''}/${textAt(port, 'protocol') ?? 'TCP'}`;
  });
  return ports.length === 0 ? '<none>' : ports.join(',');
};

const externalCell = (service: ApiObject): string => {
  const balanced = listAt(service, 'status', 'loadBalancer', 'ingress').map(
    (ingress) => textAt(ingress, 'ip') ?? textAt(ingress, 'hostname') ?? '',
  );
  const all = [...balanced, ...listAt(service, 'spec', 'externalIPs').map(String)];
  if (all.length > 0) return all.join(',');
  return textAt(service, 'spec', 'type') === 'LoadBalancer'
    ? '<pending>'
    : (textAt(service, 'spec', 'externalName') ?? '<none>');
};

const selectorCell = (service: ApiObject): string =>
  Object.entries(objectAt(service, 'spec', 'selector'))
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(',') || '<none>';

export const services: ResourceType = builtIn({
  kind: 'Service',
  plural: 'services',
  shortNames: ['svc'],
  categories: ['all'],
  namespaced: true,
  hasStatus: true,
  columns: [
    column('Type', (service) => textAt(service, 'spec', 'type') ?? 'ClusterIP'),
    column('Cluster-IP', (service) => textAt(service, 'spec', 'clusterIP') ?? '<none>'),
    column('External-IP', externalCell),
    column('Port(s)', portsCell),
  ],
  wideColumns: [column('Selector', selectorCell, { wide: true })],
  selectableFields: {
    'spec.clusterIP': (service) => textAt(service, 'spec', 'clusterIP') ?? '',
    'spec.type': (service) => textAt(service, 'spec', 'type') ?? '',
  },
  strategy: serviceStrategy,
});

const endpointCell = (endpoints: ApiObject): string => {
  const all = listAt(endpoints, 'subsets').flatMap((subset) =>
    listAt(subset, 'addresses').flatMap((address) =>
      listAt(subset, 'ports').map((port) => `${textAt(address, 'ip') ?? ''}:${String(at(port, 'port'))}`),
    ),
  );
  return all.length === 0
    ? '<none>'
    : `${all.slice(0, 3).join(',')}${all.length > 3 ? ` + ${all.length - 3} more...` : ''}`;
};

export const endpoints: ResourceType = builtIn({
  kind: 'Endpoints',
  plural: 'endpoints',
  shortNames: ['ep'],
  namespaced: true,
  columns: [column('Endpoints', endpointCell)],
});

const joined = (values: readonly Json[]): string => (values.length === 0 ? '<unset>' : values.map(String).join(','));

export const endpointSlices: ResourceType = builtIn({
  group: 'discovery.k8s.io',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  namespaced: true,
  columns: [
    column('AddressType', (slice) => textAt(slice, 'addressType') ?? ''),
    column('Ports', (slice) => joined(listAt(slice, 'ports').map((port) => at(port, 'port') ?? '*'))),
    column('Endpoints', (slice) =>
      joined(listAt(slice, 'endpoints').flatMap((endpoint) => listAt(endpoint, 'addresses'))),
    ),
  ],
  strategy: {
    validate: (slice, old) => {
      const [now, before] = [textAt(slice, 'addressType') ?? '', textAt(old, 'addressType')];
      return before !== undefined && before !== now ? [invalidValue('addressType', now, 'field is immutable')] : [];
    },
  },
});

export const leases: ResourceType = builtIn({
  group: 'coordination.k8s.io',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
  columns: [column('Holder', (lease) => textAt(lease, 'spec', 'holderIdentity') ?? '')],
  strategy: { countsGenerations: false },
});
