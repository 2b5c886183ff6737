/** Addresses in objects, and those that no packet of a Service can be for or from. */
import { formatAddress, parsePrefix, containsAddress, tryParseAddress, type IpAddress } from 'node-bgp/address';

/** What Kubernetes' own validation refuses (ValidateEndpointIP), IPv6's twins included. */
const UNUSABLE = [
  ['0.0.0.0/32', 'the unspecified address'],
  ['127.0.0.0/8', 'a loopback address'],
  ['169.254.0.0/16', 'a link-local address'],
  ['224.0.0.0/4', 'a multicast address'],
  ['255.255.255.255/32', 'the broadcast address'],
  ['::/128', 'the unspecified address'],
  ['::1/128', 'a loopback address'],
  ['fe80::/10', 'a link-local address'],
  ['ff00::/8', 'a multicast address'],
].map(([prefix = '', word = '']) => ({ prefix: parsePrefix(prefix), word }));

export type ReadAddress =
  | { readonly type: 'address'; readonly address: IpAddress; readonly text: string }
  /** As the end of a sentence: "must be ...". */
  | { readonly type: 'refused'; readonly expected: string };

export function readAddress(value: unknown): ReadAddress {
  const address = typeof value === 'string' ? tryParseAddress(value) : undefined;
  if (address === undefined) return { type: 'refused', expected: 'must be an IPv4 or IPv6 address' };
  const unusable = UNUSABLE.find(({ prefix }) => containsAddress(prefix, address));
  if (unusable !== undefined) return { type: 'refused', expected: `must not be ${unusable.word}` };
  return { type: 'address', address, text: formatAddress(address) };
}
