/**
 * Claims one more block for a node: lists what is taken, tries free ones in the node's own order, one compare-and-swap each.
 *
 * Losing a race costs one more try; losing many in a row means that the list has gone stale, so it is read again.
 */
import { formatPrefix } from 'node-bgp/address';
import type { OwnBlock } from './allocator.js';
import type { BlockStore } from './block-store.js';
import { blockCountOf, freeBlocks, type Pool } from './pool.js';

/** Every block of the pool has an owner. */
export class PoolExhaustedError extends Error {
  override readonly name = 'PoolExhaustedError';
}

const MOST_TRIES_PER_LIST = 16;
const MOST_LISTS = 8;

/** @throws PoolExhaustedError, or whatever the store throws when it cannot be reached */
export async function claimBlock(store: BlockStore, pool: Pool, node: string): Promise<OwnBlock> {
  for (let round = 0; round < MOST_LISTS; round++) {
    const taken = new Set((await store.list()).map((block) => block.cidr));
    let tries = 0;
    for (const prefix of freeBlocks(pool, node, taken)) {
      if ((await store.create({ cidr: formatPrefix(prefix), node, pool: pool.name })) === 'created')
        return { prefix, pool: pool.name };
      if (++tries === MOST_TRIES_PER_LIST) break;
    }
    if (tries === 0)
      throw new PoolExhaustedError(
        `Cannot claim a block of pool "${pool.name}": all ${blockCountOf(pool)} blocks of ${formatPrefix(pool.prefix)} have an owner`,
      );
  }
  throw new PoolExhaustedError(
    `Cannot claim a block of pool "${pool.name}": lost the race for ${MOST_LISTS * MOST_TRIES_PER_LIST} blocks in a row`,
  );
}
