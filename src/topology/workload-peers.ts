/**
 * BGPPeer's localWorkloadSelector: sessions between this node and pods on it, over the pods' own interfaces. The pod finds the node at
 * BGPConfiguration's localWorkloadPeeringIPV4 and IPV6, which stand on the host side of its interface; either end may dial.
 *
 * What the pod says is let in as the resource's filters say, and goes to nobody but where a filter of that peer accepts it.
 */
import {
  formatAddress,
  isHostAddress,
  parseAddress,
  tryParseAddress,
  type Family,
  type IpAddress,
} from 'node-bgp/address';
import { isLinkLocal } from 'node-bgp/session/interface';
import type { BGPPeerSpec } from '../api/bgp.js';
import { messageOf } from '../errors.js';
import { familyName, type Cluster } from './cluster.js';
import type { LocalWorkload } from './node-side.js';
import type { DraftField, PeerDraft, PeerFieldName } from './peer-draft.js';
import { ANY_DISTANCE, asNumberField, distanceOf, fieldsOf, filterFields, isEmpty, localAsOf } from './peer-fields.js';
import { quoted, type Place } from './problems.js';
import { parseAsNumber } from './values.js';

/** A pod that a resource selects, and where the two ends of its session are. */
interface WorkloadSession {
  readonly workload: LocalWorkload;
  readonly family: Family;
  /** Of the pod. */
  readonly address: string;
  /** Of the node. */
  readonly localAddress: string;
}

/** A pod is on no prefix of its interface, which the speaker wants of a peer one hop away. */
const LEAST_TTL_SECURITY_OF_PODS = 2;

const FIELDS = { 4: 'localWorkloadPeeringIPV4', 6: 'localWorkloadPeeringIPV6' } as const;

export function workloadDrafts(spec: BGPPeerSpec, name: string, cluster: Cluster): readonly PeerDraft[] {
  const { problems } = cluster;
  const resource = `BGPPeer/${name}`;
  for (const field of ['peerIP', 'peerSelector', 'reachableBy'] as const)
    if (!isEmpty(spec[field]))
      problems.problem(
        { resource, field: `spec.${field}` },
        'stands beside spec.localWorkloadSelector; expected one of them; going by spec.localWorkloadSelector',
      );
  const selector = spec.localWorkloadSelector ?? '';
  const fields = fieldsOf(spec, resource, cluster);
  if (fields === undefined) return [];
  const remoteAs = parseAsNumber(spec.asNumber);
  const isInternal = remoteAs === localAsOf(fields, cluster);
  const distance = distanceOf(
    spec.ttlSecurity === 1 ? { ...spec, ttlSecurity: LEAST_TTL_SECURITY_OF_PODS } : spec,
    resource,
    { isInternal, external: ANY_DISTANCE },
    cluster,
  );
  return workloadSessions(selector, { resource, field: 'spec.localWorkloadSelector' }, cluster).map(
    ({ workload, family, address, localAddress }): PeerDraft => ({
      rank: 1,
      place: { resource },
      name: `${name}-${workload.name}-v${family}`,
      fields: new Map<PeerFieldName, DraftField>([
        ['address', { value: address }],
        ['remoteAs', asNumberField(spec, resource)],
        ['localAddress', { value: localAddress }],
        ['families', { value: [familyName(family)] }],
        ...filterFields(family, spec.filters ?? [], isInternal ? 'mesh' : 'peers', { resource }),
        ...distance,
        ...fields,
      ]),
      peering: { hostInterface: workload.hostInterface, address: localAddress },
    }),
  );
}

/** `place`: of the selector. Empty, and told, when the selector is none or the node has no address to be found at. */
function workloadSessions(selector: string, place: Place, cluster: Cluster): readonly WorkloadSession[] {
  const { problems, configuration } = cluster;
  const local = new Map(([4, 6] as const).map((family) => [family, peeringAddress(family, cluster)]));
  if (local.get(4) === undefined && local.get(6) === undefined)
    problems.problem(
      place,
      `is ${quoted(selector)}; expected ${configuration.placeOf(FIELDS[4]).resource} with spec.${FIELDS[4]} or ` +
        `spec.${FIELDS[6]} beside it; left out`,
    );
  return selectedWorkloads(selector, place, cluster).flatMap((workload) =>
    workload.addresses.flatMap((text): readonly WorkloadSession[] => {
      const { family } = parseAddress(text);
      const localAddress = local.get(family);
      return localAddress === undefined
        ? []
        : [{ workload, family, address: text, localAddress: formatAddress(localAddress) }];
    }),
  );
}

function selectedWorkloads(selector: string, place: Place, { input, problems }: Cluster): readonly LocalWorkload[] {
  try {
    // Also with nobody to select: the selector may be wrong.
    input.matches(selector, new Map());
    return (input.workloads ?? []).filter(({ labels }) => input.matches(selector, labels));
  } catch (error) {
    problems.problem(place, `is ${quoted(selector)}: ${messageOf(error)}; left out`);
    return [];
  }
}

/** A wrong address is told also while no resource asks for sessions with pods. */
export function tellOfPeeringAddresses(cluster: Cluster): void {
  for (const family of [4, 6] as const) peeringAddress(family, cluster);
}

/** Undefined when there is none; told when there is one that cannot be used. */
function peeringAddress(family: Family, { configuration, problems, nodes }: Cluster): IpAddress | undefined {
  const field = FIELDS[family];
  const text = configuration.spec[field] ?? '';
  if (text === '') return undefined;
  const address = tryParseAddress(text);
  const holder = address && nodes.find(({ addresses }) => addresses.get(family) === formatAddress(address));
  const expected =
    address?.family !== family || !isHostAddress(address)
      ? `an IPv${family} address of a host`
      : family === 6 && isLinkLocal(address)
        ? 'an address that is not link-local: a pod with an address of its own could not be told which link is meant'
        : holder === undefined
          ? undefined
          : `an address that nobody has; node "${holder.name}" has it`;
  if (expected === undefined) return address;
  problems.problem(
    configuration.placeOf(field),
    `is ${quoted(text)}; expected ${expected}; no IPv${family} sessions with pods`,
  );
  return undefined;
}
