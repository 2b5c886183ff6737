/**
 * Addresses of living pods that are in no block of this node any more: somebody has taken the block away (deleted its object and claimed
 * it for another node, or written another node into it). Who runs keeps its address, and its packets have to come here: such an address
 * is announced by itself, which beats the block wherever that is announced now.
 *
 * Which addresses live here the node knows from its own journal, never from an object of the API.
 */
import {
  bitsOf,
  containsAddress,
  containsPrefix,
  formatPrefix,
  hostPrefix,
  tryParseAddress,
  tryParsePrefix,
  type IpPrefix,
} from 'node-bgp/address';
import type { IPPool } from '../api/ipam.js';
import type { LocalEndpoint } from './local-workloads.js';

/** An address as the topology takes blocks. */
export interface StrayAddress {
  readonly cidr: string;
  readonly pool: string;
  /** "namespace/name" */
  readonly pod: string;
}

/** @param held the node's blocks, and what it has borrowed */
export function strayAddresses(
  endpoints: readonly LocalEndpoint[],
  held: readonly { readonly cidr: string }[],
  pools: Iterable<IPPool>,
): readonly StrayAddress[] {
  const prefixes = held.map(({ cidr }) => tryParsePrefix(cidr)).filter((prefix) => prefix !== undefined);
  const ranges = [...pools].flatMap(({ metadata: { name }, spec }) => {
    const prefix = tryParsePrefix(spec.cidr);
    return prefix === undefined ? [] : [{ name, prefix }];
  });
  return endpoints.flatMap(({ addresses, owner: { namespace, pod } }) =>
    addresses.flatMap((text): readonly StrayAddress[] => {
      const address = tryParseAddress(text);
      if (address === undefined || prefixes.some((prefix) => containsAddress(prefix, address))) return [];
      // Of a pool that is no more, routers may have been told something else.
      const pool = ranges.find(({ prefix }) => containsAddress(prefix, address));
      return pool === undefined
        ? []
        : [{ cidr: formatPrefix(hostPrefix(address)), pool: pool.name, pod: `${namespace}/${pod}` }];
    }),
  );
}

export const strayText = ({ cidr, pod }: StrayAddress): string =>
  `Address ${cidr} of pod ${pod} is in no block of this node any more; it is announced by itself as long as the pod lives`;

/** Could a node have claimed this block: does it lie in one of the pools, at that pool's size? */
export function isBlockOf(prefix: IpPrefix, pools: Iterable<IPPool>): boolean {
  for (const { spec } of pools) {
    const range = tryParsePrefix(spec.cidr);
    if (range === undefined || !containsPrefix(range, prefix)) continue;
    if (prefix.length === (spec.blockSize ?? bitsOf(range.family) - DEFAULT_BLOCK_BITS)) return true;
  }
  return false;
}

/** A block has 64 addresses where its pool says nothing. */
const DEFAULT_BLOCK_BITS = 6;
