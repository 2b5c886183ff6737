/**
 * Pools whose addresses are for Services: IPPools with `allowedUses: [LoadBalancer]`. As in Calico such a pool serves nothing else, so
 * that no node takes a block of it for pods.
 */
import { parsePools } from '@tortie/ipam';
import { containsAddress, type IpAddress, type IpPrefix } from 'node-bgp/address';
import type { IPPool } from '../../api/ipam.js';

export interface LoadBalancerPool {
  readonly name: string;
  readonly prefix: IpPrefix;
  /** Gives no new addresses; those in use stay. */
  readonly isDisabled: boolean;
  /** Only for Services that ask for it. */
  readonly isManual: boolean;
  /** Undefined: all. */
  readonly namespaceSelector: string | undefined;
}

/** In the order in which they are tried: older first. Wrong pools, and those that overlap an older one of whatever use, are left out. */
export function loadBalancerPoolsOf(objects: Iterable<IPPool>): readonly LoadBalancerPool[] {
  const byName = new Map([...objects].map((pool) => [pool.metadata.name, pool]));
  const { pools } = parsePools(
    [...byName.values()].map(({ metadata, spec }) => ({
      name: metadata.name,
      cidr: spec.cidr,
      disabled: spec.disabled === true || metadata.deletionTimestamp !== undefined,
      ...(spec.blockSize === undefined ? {} : { blockSize: spec.blockSize }),
      ...(metadata.creationTimestamp === undefined ? {} : { createdAt: metadata.creationTimestamp }),
    })),
  );
  return pools.flatMap(({ name, prefix, isDisabled }): readonly LoadBalancerPool[] => {
    const spec = byName.get(name)?.spec;
    if (spec === undefined || !isForServices(spec)) return [];
    const namespaceSelector = spec.namespaceSelector?.trim() ?? '';
    return [
      {
        name,
        prefix,
        isDisabled,
        isManual: spec.assignmentMode === 'Manual',
        namespaceSelector: ['', 'all()'].includes(namespaceSelector) ? undefined : namespaceSelector,
      },
    ];
  });
}

const isForServices = ({ allowedUses = [] }: IPPool['spec']): boolean =>
  allowedUses.length > 0 && allowedUses.every((use) => use === 'LoadBalancer');

export const poolOf = (pools: readonly LoadBalancerPool[], address: IpAddress): LoadBalancerPool | undefined =>
  pools.find(({ prefix }) => containsAddress(prefix, address));
