/**
 * How much of its blocks a node offers to others, and what IPAMConfiguration says of borrowing. Pure.
 *
 * Nothing is offered while a pool has blocks that nobody owns: whoever needs addresses claims one. Once it is full each owner offers half
 * of what is free, a few addresses at most, so that it seldom has to take any back for its own pods; and a block that has
 * been empty for two looks goes to whoever needs it.
 */
import { blockCountOf, freeBlocks, type Pool, type TakenBlocks } from '@tortie/ipam';
import type { IpPrefix } from 'node-bgp/address';
import type { Cluster } from '../cluster/cluster.js';
import type { Wanted } from './block-lending.js';

export interface IpamSettings {
  readonly mayBorrow: boolean;
  /** Blocks of a family that a node may own. */
  readonly mostBlocks: number;
  /** Do VirtualMachines keep their addresses? */
  readonly keepsMachines: boolean;
}

/** BOUNDED: addresses of one block on offer. */
const MOST_OFFERS = 8;

/** Of the IPAMConfiguration named "default". */
export function ipamSettings(cluster: Cluster): IpamSettings {
  const { spec } = cluster.get('ipamConfigurations', 'default') ?? {};
  const { strictAffinity = false, maxBlocksPerHost = 0, kubeVirtVMAddressPersistence } = spec ?? {};
  return {
    mayBorrow: !strictAffinity,
    mostBlocks: maxBlocksPerHost > 0 ? maxBlocksPerHost : Number.POSITIVE_INFINITY,
    keepsMachines: kubeVirtVMAddressPersistence === 'Enabled',
  };
}

/** Has every block of the pool an owner? A pool that is larger than all blocks together is not looked through. */
export function isFull(pool: Pool, taken: readonly IpPrefix[], index: TakenBlocks, node: string): boolean {
  let covered = 0n;
  for (const { family, length } of taken)
    if (family === pool.prefix.family)
      covered += length >= pool.blockLength ? 1n : 1n << BigInt(pool.blockLength - length);
  return covered >= blockCountOf(pool) && freeBlocks(pool, node, index).next().done === true;
}

export interface BlockUse {
  /** Addresses that nobody has and nothing holds back, those on offer included. */
  readonly free: number;
  readonly offers: number;
  /** Nobody has an address of it, here or elsewhere, at two looks. */
  readonly isIdle: boolean;
}

/** What a block of such a pool should offer: what it offers stays until less than half of what it should is left. */
export function wantedOf({ free, offers, isIdle }: BlockUse, { mayBorrow }: Pick<IpamSettings, 'mayBorrow'>): Wanted {
  const enough = Math.min(MOST_OFFERS, Math.ceil(free / 2));
  return {
    offers: !mayBorrow ? 0 : offers * 2 >= enough && offers <= MOST_OFFERS ? offers : enough,
    isVacant: isIdle,
  };
}
