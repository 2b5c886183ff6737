/**
 * Services as columns of `tortie lab probe`: each of a Service's addresses, and its NodePort on the first node. An answer counts when it
 * carries the name of a pod that the Service's slices list.
 */
import type { EndpointSlice, Service } from '../api/core.js';
import { UserError } from '../errors.js';
import type { Endpoint } from './reachability.js';
import type { PortSpec } from './topology.js';

/** Columns of one Service for its ports of a protocol. `nodeAddresses` are those of the node whose NodePort is tried. */
export function serviceColumns(
  service: Service,
  slices: readonly EndpointSlice[],
  transport: PortSpec['transport'],
  node: { readonly name: string; readonly ips: readonly string[] },
): readonly Endpoint[] {
  const { namespace = '', name } = service.metadata;
  const own = slices.filter(
    ({ metadata }) => metadata.namespace === namespace && metadata.labels?.['kubernetes.io/service-name'] === name,
  );
  const answers = new Set(
    own.flatMap(({ endpoints }) =>
      endpoints.map(({ targetRef }) => `${targetRef?.namespace ?? namespace}/${targetRef?.name ?? ''}`),
    ),
  );
  const spec = service.spec ?? {};
  const ingress = (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip === undefined ? [] : [ip]));
  const clusterIps = (spec.clusterIPs ?? []).filter((ip) => ip !== 'None');
  const columns: Endpoint[] = [];
  for (const { protocol = 'TCP', port, nodePort } of spec.ports ?? []) {
    if (protocol !== transport) continue;
    const column = (what: string, ips: readonly string[], at: number): Endpoint => ({
      name: `${namespace}/${name} ${what}`,
      type: 'service',
      netns: '',
      ips,
      serves: { port: at, answers },
    });
    columns.push(column(`cluster:${port}`, clusterIps, port));
    if ((spec.externalIPs ?? []).length > 0) columns.push(column(`external:${port}`, spec.externalIPs ?? [], port));
    if (ingress.length > 0) columns.push(column(`balancer:${port}`, ingress, port));
    if (nodePort !== undefined) columns.push(column(`${node.name}:${nodePort}`, node.ips, nodePort));
  }
  if (columns.length === 0)
    throw new UserError(`Cannot probe Service "${namespace}/${name}": it has no ${transport} port`);
  return columns;
}
