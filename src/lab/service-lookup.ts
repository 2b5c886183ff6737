/** Services of a running lab, as its API server has them. */
import { KubernetesClient } from '../datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../datastore/kubernetes-datastore.js';
import { UserError } from '../errors.js';
import type { Rack } from './rack.js';
import type { Endpoint } from './reachability.js';
import { serviceColumns } from './service-columns.js';
import { labPaths } from './state-dir.js';
import type { PortSpec } from './topology.js';

/** Columns for `tortie lab probe`, in the order of the names. @throws UserError for names of no Service */
export async function lookUpServices(
  lab: string,
  rack: Rack,
  names: readonly string[],
  transport: PortSpec['transport'],
): Promise<readonly Endpoint[]> {
  const [node] = rack.nodes;
  if (names.length === 0 || node === undefined) return [];
  const datastore = new KubernetesDatastore(KubernetesClient.load(labPaths(lab).kubeconfig));
  const slices = await datastore.list('endpointSlices');
  const columns: Endpoint[] = [];
  for (const given of names) {
    const [namespace = '', name = ''] = given.includes('/') ? given.split('/') : ['default', given];
    const service = await datastore.get('services', name, namespace);
    if (service === undefined) throw new UserError(`Cannot probe Service "${namespace}/${name}": there is none`);
    const ips = [node.loopback.ipv4, node.loopback.ipv6];
    for (const column of serviceColumns(service, slices, transport, { name: node.name, ips })) columns.push(column);
  }
  return columns;
}
