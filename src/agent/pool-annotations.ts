/**
 * What a pod asks for by Calico's annotations: pools, as JSON lists of names or CIDRs, on the pod or else on its namespace; or very
 * addresses, on the pod alone.
 */
import { formatAddress, tryParseAddress, type Family } from 'node-bgp/address';
import type { Namespace, Pod } from '../api/core.js';

export interface AddressRequest {
  /** Names or CIDRs of pools per family; a family that is not there asks for nothing. */
  readonly pools: ReadonlyMap<Family, readonly string[]>;
  /** These addresses and no others, at most one a family, canonical. */
  readonly addresses: readonly string[];
}

const POOL_ANNOTATIONS: readonly (readonly [Family, string])[] = [
  [4, 'cni.projectcalico.org/ipv4pools'],
  [6, 'cni.projectcalico.org/ipv6pools'],
];
const ADDRESSES = 'cni.projectcalico.org/ipAddrs';
const ADDRESSES_WITHOUT_IPAM = 'cni.projectcalico.org/ipAddrsNoIpam';

/** @throws Error that names the annotation and its value */
export function addressesAskedFor(pod: Pod, namespace: Namespace | undefined): AddressRequest {
  const { annotations = {} } = pod.metadata;
  const withoutIpam = annotations[ADDRESSES_WITHOUT_IPAM] ?? '';
  if (withoutIpam !== '')
    throw new Error(
      `Cannot use annotation ${ADDRESSES_WITHOUT_IPAM}: it is ${JSON.stringify(withoutIpam)}; expected none, as with ` +
        `Calico unless its feature ip_addrs_no_ipam is enabled: nobody would see to it that an address is one pod's. Use ${ADDRESSES}`,
    );
  const pools = new Map<Family, readonly string[]>();
  for (const [family, annotation] of POOL_ANNOTATIONS) {
    const texts = [annotations[annotation], namespace?.metadata.annotations?.[annotation]];
    const text = texts.find((each) => each !== undefined && each !== '');
    const names = text === undefined ? [] : parseList(text, annotation, 'pool names such as ["blue"]');
    if (names.length > 0) pools.set(family, names);
  }
  return { pools, addresses: parseAddresses(annotations[ADDRESSES] ?? '') };
}

function parseAddresses(text: string): readonly string[] {
  if (text === '') return [];
  const expected = 'addresses, one a family at most, such as ["10.65.0.7", "fd00:65::7"]';
  const addresses = parseList(text, ADDRESSES, expected).map((each) => tryParseAddress(each));
  const families = addresses.map((address) => address?.family);
  if (families.includes(undefined) || new Set(families).size < families.length) throw wrong(ADDRESSES, text, expected);
  return addresses.filter((address) => address !== undefined).map(formatAddress);
}

const wrong = (annotation: string, text: string, expected: string): Error =>
  new Error(`Cannot read annotation ${annotation}: it is ${JSON.stringify(text)}; expected a JSON list of ${expected}`);

function parseList(text: string, annotation: string, expected: string): readonly string[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong(annotation, text, expected);
  }
  if (!Array.isArray(value) || !value.every((name) => typeof name === 'string'))
    throw wrong(annotation, text, expected);
  return value as string[];
}
