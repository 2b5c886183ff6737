/** What of the node's object and of ranges goes into rules. */
import { tryParseAddress, type IpAddress, type IpPrefix } from 'node-bgp/address';
import type { ServiceKubeObject } from '../objects.js';

/** A set of networks has no /0: two halves say the same. */
export function withoutWhole(prefix: IpPrefix): readonly IpPrefix[] {
  if (prefix.length > 0) return [prefix];
  const bits = prefix.family === 4 ? 32n : 128n;
  return [
    { ...prefix, length: 1 },
    { ...prefix, value: 1n << (bits - 1n), length: 1 },
  ];
}

export function nodeAddressesOf(object: ServiceKubeObject | undefined): readonly IpAddress[] {
  const status = (object as { readonly status?: { readonly addresses?: unknown } } | undefined)?.status;
  const listed = Array.isArray(status?.addresses)
    ? (status.addresses as readonly { readonly address?: unknown }[])
    : [];
  return listed
    .map((one) => (typeof one?.address === 'string' ? tryParseAddress(one.address) : undefined))
    .filter((address) => address !== undefined);
}

/** For JSON.stringify, which knows no bigint. */
export const bigintText = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value);
