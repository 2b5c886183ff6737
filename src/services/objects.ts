/** The objects that questions about Services are asked of: a live cluster's, or files', and what the engine makes of them on one node. */
import type { PodObject, PolicyEngine } from '@tortie/policy';
import { ServicesEngine } from '@tortie/services';
import { hostPrefix, tryParseAddress, type IpPrefix } from 'node-bgp/address';
import { podRangesOf } from '../agent/services/service-feed.js';
import type { IPPool } from '../api/ipam.js';
import { UserError } from '../errors.js';
import { engineOf, eventsOf, missingNamespaces, podsOf, type LoadedObject } from '../policy/objects.js';

export interface ServiceWorld {
  readonly node: string;
  readonly engine: ServicesEngine;
  readonly policy: PolicyEngine;
  readonly pods: readonly PodObject[];
}

/** @throws UserError for a node that is not among the objects */
export function serviceWorld(
  objects: readonly LoadedObject[],
  pools: readonly IPPool[],
  wanted: string | undefined,
): ServiceWorld {
  const all = [...missingNamespaces(objects), ...objects];
  const nodes = objects.filter(({ kind }) => kind === 'Node').map(({ object }) => object.metadata?.name ?? '');
  const node = wanted ?? nodes[0] ?? '';
  if (wanted !== undefined && nodes.length > 0 && !nodes.includes(wanted))
    throw new UserError(`Cannot look from node "${wanted}": expected one of ${nodes.join(', ')}`, 2);
  const pods = podsOf(objects);
  const engine = new ServicesEngine({ nodeName: node });
  engine.apply({ type: 'pod-ranges', ranges: pools.length > 0 ? podRangesOf(pools) : addressesOf(pods) });
  for (const { kind, object } of objects)
    if (kind === 'Service' || kind === 'EndpointSlice' || kind === 'Node')
      engine.apply({ type: 'upsert', kind, object });
  return { node, engine, policy: engineOf(eventsOf(all)), pods };
}

/** Without pools, pods are known by their own addresses. */
function addressesOf(pods: readonly PodObject[]): readonly IpPrefix[] {
  return pods
    .filter(({ spec }) => spec?.hostNetwork !== true)
    .flatMap(({ status }) => (status?.podIPs ?? []).map(({ ip = '' }) => tryParseAddress(ip)))
    .filter((address) => address !== undefined)
    .map(hostPrefix);
}
