/**
 * Cluster addresses and node ports of Services, given out as the API server does: when a Service is written, lowest free
 * first. What is taken is what the stored Services have; nothing else is remembered.
 */
import { formatAddress, parsePrefix, tryParseAddress, type IpPrefix } from 'node-bgp/address';
import { ApiError, invalid, invalidValue } from './api-error.js';
import { at, draft, isObject, listAt, objectAt, put, textAt, type Json } from './json.js';
import { nameOf, uidOf, type ApiObject } from './object.js';
import type { Entry } from './store.js';

type FamilyName = 'IPv4' | 'IPv6';

/** kubeadm's default range, and one of ours for IPv6. The first addresses are left to fixed services (DNS, the API). */
const RANGES: Readonly<Record<FamilyName, IpPrefix>> = {
  IPv4: parsePrefix('10.96.0.0/12'),
  IPv6: parsePrefix('fd00:96::/112'),
};
const FIRST_OFFSET = 16n;
const NODE_PORTS = { first: 30_000, last: 32_767 } as const;

/** The Service with addresses and node ports where it needs some and has none. */
export function withAddresses(service: ApiObject, stored: readonly Entry[]): ApiObject {
  const kind = textAt(service, 'spec', 'type');
  if (kind === 'ExternalName') return service;
  const others = stored.map((entry) => entry.object).filter((object) => uidOf(object) !== uidOf(service));
  const addressed = addressedService(service, others);
  return kind === 'NodePort' || kind === 'LoadBalancer' ? withNodePorts(addressed, others) : addressed;
}

function addressedService(service: ApiObject, others: readonly ApiObject[]): ApiObject {
  const spec = draft(objectAt(service, 'spec'));
  const primary = textAt(spec, 'clusterIP') ?? '';
  const listed = listAt(spec, 'clusterIPs').map(String);
  const given = listed.length > 0 || primary === '' ? listed : [primary];
  if (primary !== '' && given[0] !== primary) throw refused(service, given, 'element [0] must match clusterIP');
  const families = familiesOf(spec, given);
  spec['ipFamilies'] = families;
  spec['ipFamilyPolicy'] ??= families.length > 1 ? 'RequireDualStack' : 'SingleStack';
  const isHeadless = given[0] === 'None';
  const clash = isHeadless ? undefined : given.find((address) => others.some((other) => hasAddress(other, address)));
  if (clash !== undefined)
    throw refused(service, given, `failed to allocate IP ${clash}: provided IP is already allocated`);
  const wants = isHeadless || families.every((_, index) => given[index] !== undefined) ? [] : others;
  const taken = new Set(wants.flatMap((other) => listAt(other, 'spec', 'clusterIPs').map(String)));
  const addresses = isHeadless ? ['None'] : families.map((family, index) => given[index] ?? freeAddress(family, taken));
  spec['clusterIP'] = addresses[0] ?? '';
  spec['clusterIPs'] = addresses;
  return put(service, ['spec'], spec);
}

/** A set of all addresses is made only for who needs a free one: Services come by the ten thousand, most of them with theirs. */
const hasAddress = (service: ApiObject, address: string): boolean =>
  listAt(service, 'spec', 'clusterIPs').includes(address);

/** Families as asked for, as the given addresses have them, or as the policy wants; IPv4 first. */
function familiesOf(spec: ReturnType<typeof draft>, given: readonly string[]): readonly FamilyName[] {
  const policy = textAt(spec, 'ipFamilyPolicy');
  const isDual = policy === 'PreferDualStack' || policy === 'RequireDualStack';
  const asked = listAt(spec, 'ipFamilies').filter(
    (family): family is FamilyName => family === 'IPv4' || family === 'IPv6',
  );
  const ofAddresses = given.flatMap((text): FamilyName[] => {
    const address = tryParseAddress(text);
    return address === undefined ? [] : [address.family === 4 ? 'IPv4' : 'IPv6'];
  });
  const [first = 'IPv4'] = asked.length > 0 ? asked : ofAddresses;
  const second: FamilyName = first === 'IPv4' ? 'IPv6' : 'IPv4';
  return isDual || asked.length > 1 || ofAddresses.length > 1 ? [first, second] : [first];
}

function freeAddress(family: FamilyName, taken: Set<string>): string {
  const range = RANGES[family];
  const size = 1n << BigInt((range.family === 4 ? 32 : 128) - range.length);
  for (let offset = FIRST_OFFSET; offset < size - 1n; offset += 1n) {
    const address = formatAddress({ family: range.family, value: range.value + offset });
    if (taken.has(address)) continue;
    taken.add(address);
    return address;
  }
  throw new ApiError(500, 'InternalError', `Cannot allocate a cluster address: the ${family} range is full`);
}

function withNodePorts(service: ApiObject, others: readonly ApiObject[]): ApiObject {
  if (at(service, 'spec', 'allocateLoadBalancerNodePorts') === false) return service;
  const taken = new Set(
    [service, ...others].flatMap((other) => listAt(other, 'spec', 'ports').map((port) => at(port, 'nodePort'))),
  );
  let candidate: number = NODE_PORTS.first;
  const ports = listAt(service, 'spec', 'ports').map((port): Json => {
    if (!isObject(port) || typeof port['nodePort'] === 'number') return port;
    while (taken.has(candidate)) candidate += 1;
    if (candidate > NODE_PORTS.last)
      throw new ApiError(500, 'InternalError', 'Cannot allocate a node port: all are in use');
    taken.add(candidate);
    return put(port, ['nodePort'], candidate);
  });
  return put(service, ['spec', 'ports'], ports);
}

const refused = (service: ApiObject, given: readonly string[], why: string): ApiError =>
  invalid({ group: '', plural: 'services', kind: 'Service' }, nameOf(service), [
    invalidValue('spec.clusterIPs', given, why),
  ]);
