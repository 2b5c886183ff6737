/**
 * What a node announces of Services, as Calico does: ranges whole, and single addresses where only some nodes, or no other route, would do.
 *
 *   serviceClusterIPs                        whole, from every node
 *   serviceExternalIPs, serviceLoadBalancerIPs  whole, from every node; a "range" of one address only while a Service has it
 *   serviceLoadBalancerAggregation: Disabled no range of serviceLoadBalancerIPs, each address of a Service in one instead
 *   addresses of policy Local in a range     one by one, from nodes with a ready endpoint: longer than the range, so routers take them
 *
 * No default route, which is no range of Services. Nothing of it from a node that load balancers are to leave out.
 */
import { bitsOf, containsPrefix, formatPrefix, tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import { originatedProblems } from 'node-bgp/config/parts';
import type { BGPConfigurationSpec } from '../api/bgp.js';
import type { Cluster } from './cluster.js';
import { quoted, type Place } from './problems.js';
import type { ServiceAddressKind } from './service-addresses.js';

/** Kubernetes: a node that load balancers, and so routers, should not send service traffic to. */
const EXCLUDED = 'node.kubernetes.io/exclude-from-external-load-balancers';

const FIELDS = {
  cluster: 'serviceClusterIPs',
  external: 'serviceExternalIPs',
  loadBalancer: 'serviceLoadBalancerIPs',
} as const satisfies Readonly<Record<ServiceAddressKind, keyof BGPConfigurationSpec>>;
const KINDS: readonly ServiceAddressKind[] = ['cluster', 'external', 'loadBalancer'];

export interface ServiceRoute {
  readonly prefix: string;
  readonly place: Place;
}

/** Does this configuration ask for anything that only the Services themselves tell? */
export const readsServices = (spec: BGPConfigurationSpec): boolean =>
  KINDS.some((kind) => (spec[FIELDS[kind]] ?? []).length > 0);

export function serviceRoutesOf(cluster: Cluster): readonly ServiceRoute[] {
  const { self, configuration, input } = cluster;
  if (self.labels.has(EXCLUDED) || !readsServices(configuration.spec)) return [];
  const ranges = { cluster: rangesOf(cluster, 'cluster'), ...oneByOne(cluster) };
  const whole = KINDS.flatMap((kind) => ranges[kind].filter(({ isWhole }) => isWhole));
  const single = (input.services ?? []).flatMap(({ prefix, kind, policy, service }): readonly ServiceRoute[] => {
    const around = ranges[kind].filter(({ usable }) => usable !== undefined && containsPrefix(usable, prefix));
    const isWanted = policy === 'Local' ? around.length > 0 : around.some(({ isWhole }) => !isWhole);
    if (!isWanted) return [];
    return [{ prefix: formatPrefix(prefix), place: { resource: `Service/${service}` } }];
  });
  return [...whole, ...single];
}

/** Every range of the configuration, announced as a whole or address by address. */
export const serviceRangesAsked = (cluster: Cluster): readonly ServiceRoute[] =>
  cluster.self.labels.has(EXCLUDED) ? [] : KINDS.flatMap((kind) => rangesOf(cluster, kind));

/** What should stand in place of a range that no node announces; undefined: it may. A default route of its own hides the one it learns. */
export function expectedOfRange(cidr: string): string | undefined {
  const range = tryParsePrefix(cidr);
  if (range?.length === 0) return 'a range of Services, not every address';
  return originatedProblems({ prefix: range === undefined ? cidr : formatPrefix(range) })[0]?.expected;
}

/** Of two entries that are one range once bits past its length are gone, such as 198.51.100.0/24 and 198.51.100.128/24. */
export function tellRepeats(cluster: Cluster): void {
  if (cluster.self.labels.has(EXCLUDED)) return;
  for (const kind of KINDS) {
    const known = new Map<string, string>();
    for (const { prefix, usable, place } of rangesOf(cluster, kind)) {
      if (usable === undefined) continue;
      const range = formatPrefix(usable);
      const before = known.get(range);
      if (before === undefined) known.set(range, prefix);
      else cluster.problems.notice(place, `is ${quoted(prefix)}, the same range as ${quoted(before)} before it`);
    }
  }
}

interface Range extends ServiceRoute {
  /** Undefined: nobody could announce it. It is told of once, as a whole, and what lies in it is not asked for. */
  readonly usable: IpPrefix | undefined;
  /** Announced as it is. */
  readonly isWhole: boolean;
}

function oneByOne(cluster: Cluster): Readonly<Record<'external' | 'loadBalancer', readonly Range[]>> {
  const isAggregated = cluster.configuration.spec.serviceLoadBalancerAggregation !== 'Disabled';
  const withoutSingles = (kind: 'external' | 'loadBalancer', mayBeWhole: boolean): readonly Range[] =>
    rangesOf(cluster, kind).map((range) =>
      range.usable === undefined ? range : { ...range, isWhole: mayBeWhole && !isSingle(range.usable) },
    );
  return { external: withoutSingles('external', true), loadBalancer: withoutSingles('loadBalancer', isAggregated) };
}

const isSingle = (range: IpPrefix): boolean => range.length === bitsOf(range.family);

function rangesOf({ configuration: { spec, placeOf } }: Cluster, kind: ServiceAddressKind): readonly Range[] {
  const field = FIELDS[kind];
  return (spec[field] ?? []).map(({ cidr = '' }, index) => ({
    prefix: cidr,
    usable: usableRange(cidr),
    isWhole: true,
    place: placeOf(field, `[${index}].cidr`),
  }));
}

const usableRange = (cidr: string): IpPrefix | undefined =>
  expectedOfRange(cidr) === undefined ? tryParsePrefix(cidr) : undefined;
