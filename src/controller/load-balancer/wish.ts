/**
 * What a Service asks for: families, addresses, pools, and with whom it would share, in the words of Kubernetes, Calico and MetalLB.
 *
 *   spec.loadBalancerIP                                       one address
 *   projectcalico.org/loadBalancerIPs  '["192.0.2.1"]'        one address a family, JSON
 *   projectcalico.org/ipv4pools, ipv6pools  '["a","b"]'       pools of a family by name, JSON
 *   metallb.io/loadBalancerIPs  192.0.2.1,2001:db8::1         one address a family
 *   metallb.io/address-pool  a                                a pool by name
 *   metallb.io/allow-shared-ip  key                           may share an address with Services of the same key
 *
 * MetalLB's annotations may also begin with its former "metallb.universe.tf/". Two wishes that contradict one another are told.
 */
import { formatAddress, tryParseAddress, type Family, type IpAddress } from 'node-bgp/address';
import type { Service } from '../../api/core.js';
import { userText } from '../../user-text.js';

export interface AddressWish {
  /** Most wanted first. */
  readonly families: readonly Family[];
  /** RequireDualStack: one without the other is of no use. */
  readonly needsAll: boolean;
  readonly addresses: ReadonlyMap<Family, IpAddress>;
  /** Names; a family that is not there takes any pool. */
  readonly pools: ReadonlyMap<Family, readonly string[]>;
  readonly sharingKey: string | undefined;
  /** What cannot be meant, in sentences. */
  readonly problems: readonly string[];
}

const FAMILIES: readonly Family[] = [4, 6];
const METALLB = ['metallb.io/', 'metallb.universe.tf/'] as const;
const quoted = (text: string): string => `"${userText(text, 80)}"`;
/** Longer is a mistake, and would be repeated in every message. */
const MOST_LISTED = 100;

const ADDRESS_ANNOTATIONS = [
  'projectcalico.org/loadBalancerIPs',
  ...METALLB.map((prefix) => `${prefix}loadBalancerIPs`),
] as const;
const POOL_ANNOTATIONS: readonly (readonly [string, readonly Family[]])[] = [
  ['projectcalico.org/ipv4pools', [4]],
  ['projectcalico.org/ipv6pools', [6]],
  ...METALLB.map((prefix) => [`${prefix}address-pool`, FAMILIES] as const),
];

/** Does it ask for anything by name? */
export const asksByName = ({ metadata, spec }: Service): boolean =>
  (spec?.loadBalancerIP ?? '') !== '' ||
  [...ADDRESS_ANNOTATIONS, ...POOL_ANNOTATIONS.map(([name]) => name)].some(
    (name) => (metadata.annotations?.[name] ?? '') !== '',
  );

export function wishOf(service: Service): AddressWish {
  const problems: string[] = [];
  const { spec = {}, metadata } = service;
  const annotations = metadata.annotations ?? {};
  const families = familiesOf(service);
  const addresses = addressesOf(service, problems);
  for (const [family, address] of addresses)
    if (!families.includes(family))
      problems.push(`asks for ${formatAddress(address)}, and is not of IPv${family} (spec.ipFamilies)`);
  return {
    families,
    needsAll: spec.ipFamilyPolicy === 'RequireDualStack',
    addresses,
    pools: poolsOf(annotations, problems),
    sharingKey: METALLB.map((prefix) => annotations[`${prefix}allow-shared-ip`]).find((key) => (key ?? '') !== ''),
    problems,
  };
}

/** A server fills in ipFamilies; an old one, or a file, may not. */
function familiesOf({ spec = {} }: Service): readonly Family[] {
  const said = (spec.ipFamilies ?? []).map((family): Family => (family === 'IPv6' ? 6 : 4));
  const ofAddresses = (spec.clusterIPs ?? [spec.clusterIP ?? ''])
    .map((text) => tryParseAddress(text)?.family)
    .filter((family) => family !== undefined);
  const found = said.length > 0 ? said : ofAddresses.length > 0 ? ofAddresses : ([4] as const);
  return [...new Set(found)];
}

function addressesOf({ metadata, spec = {} }: Service, problems: string[]): ReadonlyMap<Family, IpAddress> {
  const asked: (readonly [string, readonly string[]])[] = [];
  if ((spec.loadBalancerIP ?? '') !== '') asked.push(['spec.loadBalancerIP', [spec.loadBalancerIP ?? '']]);
  for (const name of ADDRESS_ANNOTATIONS) {
    const text = metadata.annotations?.[name] ?? '';
    if (text !== '') asked.push([name, listOf(name, text, problems)]);
  }
  const found = new Map<Family, IpAddress>();
  for (const [where, texts] of asked)
    for (const text of texts) {
      const address = tryParseAddress(text);
      if (address === undefined) {
        problems.push(`${where} is ${quoted(text)}; expected an address such as 192.0.2.1`);
        continue;
      }
      const other = found.get(address.family);
      if (other !== undefined && formatAddress(other) !== formatAddress(address))
        problems.push(
          `${where} asks for ${formatAddress(address)}, and ${formatAddress(other)} is asked for, too; ` +
            `expected one IPv${address.family} address`,
        );
      else found.set(address.family, address);
    }
  return found;
}

function poolsOf(
  annotations: Readonly<Record<string, string>>,
  problems: string[],
): ReadonlyMap<Family, readonly string[]> {
  const found = new Map<Family, readonly string[]>();
  for (const [name, families] of POOL_ANNOTATIONS) {
    const text = annotations[name] ?? '';
    if (text === '') continue;
    const pools = name.startsWith('metallb') ? [text.trim()] : listOf(name, text, problems);
    if (pools.length === 0) continue;
    for (const family of families) {
      const others = found.get(family);
      if (others !== undefined && others.join() !== pools.join())
        problems.push(`${name} asks for pool ${quoted(pools.join())}, and ${quoted(others.join())} is asked for, too`);
      else found.set(family, pools);
    }
  }
  return found;
}

/** Calico's are JSON, MetalLB's have commas. */
function listOf(name: string, text: string, problems: string[]): readonly string[] {
  if (name.startsWith('metallb'))
    return text
      .split(',')
      .map((part) => part.trim())
      .slice(0, MOST_LISTED);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (Array.isArray(value) && value.length <= MOST_LISTED && value.every((each) => typeof each === 'string'))
    return value;
  problems.push(`${name} is ${quoted(text)}; expected a JSON list of texts such as ["a"]`);
  return [];
}
