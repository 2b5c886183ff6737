/**
 * What a pod asks for by Calico's annotations: pools, as JSON lists of names or CIDRs, on the pod or else on its namespace; or very
 * addresses, on the pod alone, with the account of who has them or (where the operator lets pods) past it.
 */
import { formatAddress, tryParseAddress, type Family } from 'node-bgp/address';
import type { Namespace, Pod } from '../api/core.js';

export interface AddressRequest {
  /** Names or CIDRs of pools per family; a family that is not there asks for nothing. */
  readonly pools: ReadonlyMap<Family, readonly string[]>;
  /** These addresses and no others, at most one a family, canonical. */
  readonly addresses: readonly string[];
  /** The same, whoever else may have them: nobody looks (ipAddrsNoIpam). */
  readonly withoutIpam?: readonly string[];
}

const POOL_ANNOTATIONS: readonly (readonly [Family, string])[] = [
  [4, 'cni.projectcalico.org/ipv4pools'],
  [6, 'cni.projectcalico.org/ipv6pools'],
];
const ADDRESSES = 'cni.projectcalico.org/ipAddrs';
const ADDRESSES_WITHOUT_IPAM = 'cni.projectcalico.org/ipAddrsNoIpam';

/**
 * @param mayBypass whether the operator lets pods name addresses that nobody keeps account of
 * @throws Error that names the annotation and its value
 */
export function addressesAskedFor(pod: Pod, namespace: Namespace | undefined, mayBypass = false): AddressRequest {
  const { annotations = {} } = pod.metadata;
  const bypassing = annotations[ADDRESSES_WITHOUT_IPAM] ?? '';
  if (bypassing !== '' && !mayBypass)
    throw new Error(
      `Cannot use annotation ${ADDRESSES_WITHOUT_IPAM}: it is ${JSON.stringify(bypassing)}; expected none, as with ` +
        "Calico unless its feature ip_addrs_no_ipam is enabled: nobody would see to it that an address is one pod's. " +
        `Use ${ADDRESSES}, or tortie agent --ip-addrs-no-ipam accept`,
    );
  const addresses = annotations[ADDRESSES] ?? '';
  if (bypassing !== '' && addresses !== '')
    throw new Error(`Cannot use annotations ${ADDRESSES_WITHOUT_IPAM} and ${ADDRESSES} at once; expected one of them`);
  const pools = new Map<Family, readonly string[]>();
  for (const [family, annotation] of POOL_ANNOTATIONS) {
    const texts = [annotations[annotation], namespace?.metadata.annotations?.[annotation]];
    const text = texts.find((each) => each !== undefined && each !== '');
    const names = text === undefined ? [] : parseList(text, annotation, 'pool names such as ["blue"]');
    if (names.length > 0) pools.set(family, names);
  }
  return {
    pools,
    addresses: parseAddresses(ADDRESSES, addresses),
    ...(bypassing === '' ? {} : { withoutIpam: parseAddresses(ADDRESSES_WITHOUT_IPAM, bypassing) }),
  };
}

function parseAddresses(annotation: string, text: string): readonly string[] {
  if (text === '') return [];
  const expected = 'addresses, one a family at most, such as ["10.65.0.7", "fd00:65::7"]';
  const addresses = parseList(text, annotation, expected).map((each) => tryParseAddress(each));
  const families = addresses.map((address) => address?.family);
  if (families.includes(undefined) || new Set(families).size < families.length) throw wrong(annotation, text, expected);
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
