/**
 * What would happen to a cluster if its objects changed, from the functions that the agents themselves run: topology, pools, policy.
 *
 * Pure. What an object changes at a node that has not been told of it yet, and what routers do with it, is not in it.
 */
import { planBgp } from './bgp-plan.js';
import { byHarm, some, type Finding } from './finding.js';
import { networkOf } from './network.js';
import { planPolicy } from './policy-plan.js';
import { planPools } from './pool-plan.js';
import { planServices } from './service-plan.js';
import { kinds, type KindName } from '../api/kinds.js';
import { serviceAddressesOf } from '../topology/service-addresses.js';
import { formatPrefix } from 'node-bgp/address';
import type { EndpointSlice, Service } from '../api/core.js';
import { changed, changedFields, type ObjectChange, type World } from './world.js';

export interface PlanOptions {
  /** Where agents look for BGP passwords. */
  readonly secretNamespace: string;
}

/** Worst first; empty when nothing changes. */
export function planOf(before: World, changes: readonly ObjectChange[], options: PlanOptions): readonly Finding[] {
  const after = changed(before, changes);
  const real = changes.filter((change) => JSON.stringify(change.before) !== JSON.stringify(change.after));
  if (real.length === 0) return [];
  return byHarm([
    ...planNetwork(before, after, real, options),
    ...planPools(before, after, real),
    ...planPolicy(before, after, real),
  ]);
}

/** What topology is computed from. */
const NETWORK_KINDS: ReadonlySet<KindName> = new Set<KindName>([
  'nodes',
  'bgpConfigurations',
  'bgpPeers',
  'bgpFilters',
  'ipPools',
  'ipamBlocks',
  'services',
  'endpointSlices',
  'secrets',
]);

function planNetwork(
  before: World,
  after: World,
  changes: readonly ObjectChange[],
  options: PlanOptions,
): readonly Finding[] {
  if (!changes.some(({ kind }) => NETWORK_KINDS.has(kind))) return [];
  const was = networkOf(before, options);
  const is = networkOf(after, { ...options, before: was });
  return [...planBgp(was, is, causes(changes)), ...planServices(was, is, withdrawn(changes))];
}

/** What of the change has to do with an object or a node: that object, else the node's, else all of it. */
function causes(changes: readonly ObjectChange[]): (object: string, node: string) => string {
  const named = changes.map((change) => {
    const object = `${kinds[change.kind].kind}/${change.key}`;
    const fields = changedFields(change);
    const verb =
      change.before === undefined ? 'is new' : change.after === undefined ? 'goes' : `changes ${some(fields, 3)}`;
    return { object, text: `${object} ${verb}` };
  });
  return (object, node) => {
    const own = named.filter((each) => each.object === object || each.object === `Node/${node}`);
    return some(
      (own.length > 0 ? own : named).map(({ text }) => text),
      3,
    );
  };
}

/** Addresses of Services that the change itself takes away. */
function withdrawn(changes: readonly ObjectChange[]): (prefix: string) => boolean {
  const gone = new Set(
    changes
      .filter(({ kind, after }) => kind === 'services' && after === undefined)
      .flatMap(({ before }) => addressesOf(before as unknown as Service)),
  );
  return (prefix) => gone.has(prefix);
}

const ANYWHERE: EndpointSlice['endpoints'] = [{ addresses: [], nodeName: 'anywhere' }];

/** All that it may have, as if it had endpoints of both families. */
function addressesOf(service: Service): readonly string[] {
  const slices = (['IPv4', 'IPv6'] as const).map(
    (addressType): EndpointSlice => ({ metadata: { name: addressType }, addressType, endpoints: ANYWHERE }),
  );
  return serviceAddressesOf(service, slices, 'anywhere').map(({ prefix }) => formatPrefix(prefix));
}
