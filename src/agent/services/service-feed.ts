/** Which changes of the cluster the Services engine hears of. */
import type { ServiceEvent, ServiceKind, ServiceKubeObject } from '@tortie/services';
import { tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import type { IPPool } from '../../api/ipam.js';
import type { KindName } from '../../api/kinds.js';
import type { Cluster, ClusterChange } from '../../cluster/cluster.js';

const SERVICE_KINDS: ReadonlyMap<KindName, ServiceKind> = new Map([
  ['services', 'Service'],
  ['endpointSlices', 'EndpointSlice'],
  ['nodes', 'Node'],
]);

/** Undefined for what has nothing to do with Services. */
export function serviceEventOf(change: ClusterChange): ServiceEvent | undefined {
  const kind = SERVICE_KINDS.get(change.kind);
  if (kind === undefined) return undefined;
  const object: ServiceKubeObject = change.object;
  if (change.type === 'upsert') return { type: 'upsert', kind, object };
  const { name, namespace } = change.object.metadata;
  return { type: 'delete', kind, name, ...(namespace === undefined ? {} : { namespace }) };
}

/** Everything that is known, as events. */
export function* serviceEventsOf(cluster: Cluster): Generator<ServiceEvent> {
  yield { type: 'pod-ranges', ranges: podRangesOf(cluster.all('ipPools').values()) };
  for (const [kindName, kind] of SERVICE_KINDS)
    for (const object of cluster.all(kindName).values()) yield { type: 'upsert', kind, object };
}

/** Pods have addresses of pools, of disabled ones too; a pool for load balancers alone has none. */
export function podRangesOf(pools: Iterable<IPPool>): readonly IpPrefix[] {
  const ranges: IpPrefix[] = [];
  for (const { spec } of pools) {
    const uses = spec.allowedUses ?? ['Workload'];
    const range = uses.includes('Workload') ? tryParsePrefix(spec.cidr) : undefined;
    if (range !== undefined) ranges.push(range);
  }
  return ranges;
}
