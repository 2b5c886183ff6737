/**
 * The addresses of one Service that a node may announce one by one, as Calico does.
 *
 *   traffic policy Local   nodes with a ready endpoint: packets go nowhere else, and clients' addresses stay
 *   traffic policy Cluster any node, as long as there is a ready endpoint anywhere
 *
 * Cluster addresses go by internalTrafficPolicy, which is what a proxy asks of packets to them, or, as in Calico, by
 * externalTrafficPolicy. Whether an address is announced at all is up to the ranges of BGPConfiguration (service-routes.ts).
 */
import { hostPrefix, tryParseAddress, type Family, type IpPrefix } from 'node-bgp/address';
import type { EndpointSlice, Service } from '../api/core.js';

export type ServiceAddressKind = 'cluster' | 'external' | 'loadBalancer';

export interface ServiceAddress {
  /** /32 or /128. */
  readonly prefix: IpPrefix;
  readonly kind: ServiceAddressKind;
  readonly policy: 'Local' | 'Cluster';
  /** "shop/web". */
  readonly service: string;
  /** Of policy Local: other nodes with a ready endpoint, which may tell it too, in order. BOUNDED by MOST_HOMES. */
  readonly homes?: readonly string[];
}

/** Nobody asks for more than a few: how many nodes an address of a draining node has left. */
const MOST_HOMES = 16;

/** The label by which a slice belongs to a Service. */
export const SERVICE_LABEL = 'kubernetes.io/service-name';
/** A slice with this label is for names in DNS alone (`HEADLESS_LABEL` of the engine). */
const HEADLESS_LABEL = 'service.kubernetes.io/headless';

const FAMILIES: ReadonlyMap<string, Family> = new Map([
  ['IPv4', 4],
  ['IPv6', 6],
]);

/** @param slices of this Service */
export function serviceAddressesOf(
  { metadata, spec = {}, status }: Service,
  slices: Iterable<EndpointSlice>,
  nodeName: string,
): readonly ServiceAddress[] {
  const { type = 'ClusterIP', clusterIP = '', clusterIPs = [clusterIP], externalIPs = [] } = spec;
  const hasProxy = type !== 'ExternalName' && clusterIP !== '' && clusterIP !== 'None';
  if (!hasProxy || metadata.deletionTimestamp !== undefined) return [];
  const ingress = type === 'LoadBalancer' ? (status?.loadBalancer?.ingress ?? []) : [];
  const external = spec.externalTrafficPolicy === 'Local' ? 'Local' : 'Cluster';
  const cluster = external === 'Local' || spec.internalTrafficPolicy === 'Local' ? 'Local' : 'Cluster';
  const ready = readiness(slices, nodeName);
  const found = (
    kind: ServiceAddressKind,
    policy: ServiceAddress['policy'],
    texts: readonly string[],
  ): readonly ServiceAddress[] =>
    texts.flatMap((text) => {
      const address = tryParseAddress(text);
      if (address === undefined || !ready[policy].has(address.family)) return [];
      const homes = policy === 'Local' ? { homes: ready.homes.get(address.family) ?? [] } : {};
      const service = `${metadata.namespace ?? ''}/${metadata.name}`;
      return [{ prefix: hostPrefix(address), kind, policy, service, ...homes }];
    });
  return [
    // Nobody needs those of policy Cluster one by one: their range is announced whole.
    ...(cluster === 'Local' ? found('cluster', cluster, clusterIPs) : []),
    ...found('external', external, externalIPs),
    // With ipMode Proxy no node takes packets to the address.
    ...found(
      'loadBalancer',
      external,
      ingress.flatMap(({ ip, ipMode }) => (ip === undefined || ipMode === 'Proxy' ? [] : [ip])),
    ),
  ];
}

interface Readiness extends Readonly<Record<ServiceAddress['policy'], ReadonlySet<Family>>> {
  readonly homes: ReadonlyMap<Family, readonly string[]>;
}

/** Families with a ready endpoint on this node, and anywhere. What `ready` does not say is ready (discovery.k8s.io/v1). */
function readiness(slices: Iterable<EndpointSlice>, nodeName: string): Readiness {
  const [local, anywhere] = [new Set<Family>(), new Set<Family>()];
  const homes = new Map<Family, Set<string>>();
  for (const { metadata, addressType, endpoints } of slices) {
    const family = FAMILIES.get(addressType);
    if (family === undefined || metadata.labels?.[HEADLESS_LABEL] !== undefined) continue;
    for (const { conditions, nodeName: home } of endpoints) {
      if (conditions?.ready === false) continue;
      anywhere.add(family);
      if (home === nodeName) local.add(family);
      else if (home !== undefined) homes.set(family, (homes.get(family) ?? new Set<string>()).add(home));
    }
  }
  const first = ([family, names]: [Family, ReadonlySet<string>]) =>
    [family, [...names].sort().slice(0, MOST_HOMES)] as const;
  return { Local: local, Cluster: anywhere, homes: new Map([...homes].map(first)) };
}
