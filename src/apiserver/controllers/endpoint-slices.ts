/**
 * EndpointSlices of Services with a selector, as kube-controller-manager keeps them: who reads services in the lab
 * (policy's service matches, advertisement of service addresses) reads them as on a real cluster.
 *
 * `trafficDistribution` becomes hints on ready endpoints, as k8s.io/endpointslice/trafficdist writes them, from the zones of their nodes.
 * Level-triggered: an event only says which namespace to look at again. One slice per address family and per set of
 * ports (pods of one service may give a port name different numbers).
 */
import { tryParseAddress } from 'node-bgp/address';
import { internalWrite, type Cluster, type Target } from '../cluster.js';
import { at, canonicalText, isEqual, listAt, objectAt, own, put, textAt, type Json, type JsonObject } from '../json.js';
import { labelsOf } from '../label-selector.js';
import { isBeingDeleted, nameOf, namespaceOf, uidOf, type ApiObject } from '../object.js';
import { deleteObject } from '../remove.js';
import type { Entry, StoreEvent } from '../store.js';
import { createObject, replace } from '../write.js';

const SERVICE_LABEL = 'kubernetes.io/service-name';
const MANAGED_LABEL = 'endpointslice.kubernetes.io/managed-by';
const MANAGER = 'endpointslice-controller.k8s.io';
const ZONE_LABEL = 'topology.kubernetes.io/zone';
const SLICES = 'endpointslices.discovery.k8s.io';

/** Starts; returns the function that stops. */
export function startEndpointSlices(cluster: Cluster): () => void {
  const dirty = new Set<string>();
  let isStopped = false;
  const touch = (namespace: string): void => {
    if (dirty.size === 0)
      setImmediate(() => {
        const due = [...dirty];
        dirty.clear();
        for (const next of due) if (!isStopped) reconcile(cluster, next);
      });
    dirty.add(namespace);
  };
  const mark = ({ entry }: StoreEvent): void => touch(namespaceOf(entry.object));
  const zones = new Map<string, string | undefined>();
  const markZones = ({ entry }: StoreEvent): void => {
    const zone = textAt(entry.object, 'metadata', 'labels', ZONE_LABEL);
    if (zones.has(nameOf(entry.object)) && zones.get(nameOf(entry.object)) === zone) return;
    zones.set(nameOf(entry.object), zone);
    for (const service of cluster.store.list('services')) touch(namespaceOf(service.object));
  };
  const stops = [
    cluster.store.listen('pods', mark),
    cluster.store.listen('services', mark),
    cluster.store.listen('nodes', markZones),
  ];
  return () => {
    isStopped = true;
    for (const stop of stops) stop();
  };
}

function reconcile(cluster: Cluster, namespace: string): void {
  const type = cluster.registry.find('discovery.k8s.io', 'v1', 'endpointslices');
  const home = cluster.store.get('namespaces', namespace);
  if (type === undefined || home === undefined || isBeingDeleted(home.object)) return;
  const services = cluster.store.list('services', namespace);
  const existing = cluster.store
    .list(SLICES, namespace)
    .filter((entry) => textAt(entry.object, 'metadata', 'labels', MANAGED_LABEL) === MANAGER);
  if (services.length === 0 && existing.length === 0) return;
  const pods = cluster.store.list('pods', namespace);
  const zoneOf = (node: string): string | undefined => {
    const found = cluster.store.get('nodes', node);
    return found === undefined ? undefined : textAt(found.object, 'metadata', 'labels', ZONE_LABEL);
  };
  const desired = new Map(
    services.flatMap((service) => slicesOf(service, pods, zoneOf)).map((slice) => [nameOf(slice), slice]),
  );
  const target = (name: string): Target => ({ type, namespace, name, subresource: '' });
  for (const entry of existing) {
    const name = nameOf(entry.object);
    const slice = desired.get(name);
    desired.delete(name);
    if (slice === undefined)
      deleteObject(cluster, target(name), { graceSeconds: undefined, propagation: 'Background', dryRun: false });
    else if (!isEqual(content(slice), content(entry.object))) {
      const next = put(put(entry.object, ['endpoints'], slice['endpoints'] ?? []), ['ports'], slice['ports']);
      replace(cluster, target(name), entry, next, internalWrite('kube-controller-manager'));
    }
  }
  for (const slice of desired.values())
    createObject(cluster, target(''), slice, internalWrite('kube-controller-manager'));
}

const content = (slice: ApiObject): Json => ({ endpoints: listAt(slice, 'endpoints'), ports: listAt(slice, 'ports') });

type ZoneOf = (node: string) => string | undefined;

function slicesOf(service: Entry, pods: readonly Entry[], zoneOf: ZoneOf): readonly JsonObject[] {
  const selector = objectAt(service.object, 'spec', 'selector');
  if (Object.keys(selector).length === 0) return [];
  const chosen = pods.filter(({ object }) => {
    const labels = labelsOf(object);
    return Object.entries(selector).every(([key, value]) => own(labels, key) === value) && isServing(object);
  });
  return listAt(service.object, 'spec', 'ipFamilies').flatMap((family) =>
    familySlices(service.object, family === 'IPv6' ? 'IPv6' : 'IPv4', chosen, zoneOf),
  );
}

/** Finished pods serve nobody; pods without an address not yet. */
const isServing = (pod: ApiObject): boolean => {
  const phase = textAt(pod, 'status', 'phase');
  return phase !== 'Succeeded' && phase !== 'Failed' && listAt(pod, 'status', 'podIPs').length > 0;
};

function familySlices(
  service: ApiObject,
  family: 'IPv4' | 'IPv6',
  pods: readonly Entry[],
  zoneOf: ZoneOf,
): readonly JsonObject[] {
  const byPorts = new Map<string, { readonly ports: readonly Json[]; readonly endpoints: Json[] }>();
  for (const { object: pod } of pods) {
    const addresses = listAt(pod, 'status', 'podIPs').map((entry) => textAt(entry, 'ip') ?? '');
    const address = addresses.find((text) => tryParseAddress(text)?.family === (family === 'IPv4' ? 4 : 6));
    if (address === undefined) continue;
    const ports = listAt(service, 'spec', 'ports').flatMap((port) => slicePort(port, pod));
    const key = canonicalText(ports);
    const group = byPorts.get(key) ?? { ports, endpoints: [] };
    group.endpoints.push(endpointOf(service, pod, address, zoneOf));
    byPorts.set(key, group);
  }
  const name = nameOf(service);
  return [...byPorts.values()].map(({ ports, endpoints }, index) => ({
    metadata: {
      name: `${name}-${family.toLowerCase()}${index === 0 ? '' : `-${index + 1}`}`,
      labels: { [SERVICE_LABEL]: name, [MANAGED_LABEL]: MANAGER },
      ownerReferences: [
        { apiVersion: 'v1', kind: 'Service', name, uid: uidOf(service), controller: true, blockOwnerDeletion: true },
      ],
    },
    addressType: family,
    endpoints,
    ports,
  }));
}

function slicePort(port: Json, pod: ApiObject): readonly Json[] {
  const protocol = textAt(port, 'protocol') ?? 'TCP';
  const wanted = at(port, 'targetPort') ?? at(port, 'port');
  const number = typeof wanted === 'number' ? wanted : containerPort(pod, String(wanted), protocol);
  return number === undefined ? [] : [{ name: textAt(port, 'name') ?? '', port: number, protocol }];
}

function containerPort(pod: ApiObject, name: string, protocol: string): number | undefined {
  const ports = listAt(pod, 'spec', 'containers').flatMap((container) => listAt(container, 'ports'));
  const found = ports.find((port) => textAt(port, 'name') === name && (textAt(port, 'protocol') ?? 'TCP') === protocol);
  const number = at(found, 'containerPort');
  return typeof number === 'number' ? number : undefined;
}

function endpointOf(service: ApiObject, pod: ApiObject, address: string, zoneOf: ZoneOf): JsonObject {
  const ready = listAt(pod, 'status', 'conditions').find((condition) => textAt(condition, 'type') === 'Ready');
  const isReady = textAt(ready, 'status') === 'True';
  const isTerminating = isBeingDeleted(pod);
  const node = textAt(pod, 'spec', 'nodeName');
  const zone = node === undefined ? undefined : zoneOf(node);
  const isPublished = at(service, 'spec', 'publishNotReadyAddresses') === true || (isReady && !isTerminating);
  const hints = isPublished ? hintsOf(textAt(service, 'spec', 'trafficDistribution'), node, zone) : undefined;
  return {
    addresses: [address],
    conditions: { ready: isPublished, serving: isReady, terminating: isTerminating },
    ...(node === undefined ? {} : { nodeName: node }),
    ...(zone === undefined ? {} : { zone }),
    ...(hints === undefined ? {} : { hints }),
    targetRef: { kind: 'Pod', namespace: namespaceOf(pod), name: nameOf(pod), uid: uidOf(pod) },
  };
}

/** PreferClose is the older name of PreferSameZone; PreferSameNode falls back to the zone. */
function hintsOf(
  distribution: string | undefined,
  node: string | undefined,
  zone: string | undefined,
): JsonObject | undefined {
  if (distribution === undefined) return undefined;
  const hints: Record<string, Json> = {};
  if (zone !== undefined) hints['forZones'] = [{ name: zone }];
  if (distribution === 'PreferSameNode' && node !== undefined) hints['forNodes'] = [{ name: node }];
  return Object.keys(hints).length === 0 ? undefined : hints;
}
