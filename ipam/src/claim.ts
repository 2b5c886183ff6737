/**
 * Claims one more block for a node: tries what seems free in the node's own order, one compare-and-swap each.
 *
 *   what the node has heard of, or a list -> create -> list -> nobody else has an address of it: ours
 *                                                           -> somebody has: given back, before any address of it was handed out
 *
 * Of two nodes that create overlapping blocks of different sizes at once, the one that created second finds the other's in its
 * second list, so at least one gives way; both may, and try again. No clock decides: the stamps of objects are whole seconds, and
 * the block of a node that has begun to hand out must stand whatever its stamp.
 *
 * A store that sees by itself that no two blocks overlap finds and claims a free one in one step (BlockStore.claimFree).
 *
 * Losing a race costs one more try; losing many in a row means that the list has gone stale, so it is read again.
 */
import { formatPrefix, parsePrefix, prefixesOverlap, tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import type { OwnBlock } from './block-state.js';
import type { BlockRecord, BlockStore, NewBlock } from './block-store.js';
import { blockCountOf, firstBlockOf, freeBlocks, type Pool } from './pool.js';
import { TakenBlocks } from './taken-blocks.js';

/** Every block of the pool has an owner. */
export class PoolExhaustedError extends Error {
  override readonly name = 'PoolExhaustedError';
}

const MOST_TRIES_PER_LIST = 16;
const MOST_LISTS = 8;
/** Two nodes that give way to one another do not meet again for long. */
const MOST_PAUSE = 100;

/**
 * @param held what the node holds, whether or not the store knows
 * @param more what the record shall say besides
 * @param heard blocks of others as the node's watch has them, late as it may be: where to try first. Without it the store is asked.
 * @throws PoolExhaustedError, or whatever the store throws when it cannot be reached
 */
export async function claimBlock(
  store: BlockStore,
  pool: Pool,
  node: string,
  held: readonly IpPrefix[] = [],
  more: Pick<NewBlock, 'agentless'> = {},
  heard?: readonly IpPrefix[],
): Promise<OwnBlock> {
  if (store.claimFree !== undefined) {
    const { prefix: range, blockLength, name } = pool;
    const block = { node, pool: name, ...more };
    const prefix = await store.claimFree({ range, blockLength, start: firstBlockOf(pool, node), held }, block);
    if (prefix !== undefined) return { prefix, pool: name };
    throw exhausted(pool, new TakenBlocks([...held, ...prefixesOf(await store.list())]));
  }
  for (let round = 0; round < MOST_LISTS; round++) {
    const isHearsay = round === 0 && heard !== undefined;
    const taken = new TakenBlocks([...held, ...(isHearsay ? heard : prefixesOf(await store.list()))]);
    let tries = 0;
    for (const prefix of freeBlocks(pool, node, taken)) {
      if (await claimExactly(store, { cidr: formatPrefix(prefix), node, pool: pool.name, ...more }))
        return { prefix, pool: pool.name };
      if (++tries === MOST_TRIES_PER_LIST) break;
    }
    // What is full by hearsay may have room by now.
    if (tries === 0 && !isHearsay) throw exhausted(pool, taken);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * MOST_PAUSE * round));
  }
  throw new PoolExhaustedError(
    `Cannot claim a block of pool "${pool.name}": lost the race for ${MOST_LISTS * MOST_TRIES_PER_LIST} blocks in a row`,
  );
}

/** Claims this very block: true when it is the node's and no other's, in any size. */
export async function claimExactly(store: BlockStore, block: BlockRecord): Promise<boolean> {
  if ((await store.create(block)) === 'exists') return false;
  if (store.claimFree !== undefined) return true;
  if (othersIn(await store.list(), block).length === 0) return true;
  await giveUp(store, block);
  return false;
}

/**
 * Gives back a block of which nothing was handed out, as it is now and no later: a request whose answer was lost may arrive when the
 * node has taken the block up again (which writes it, so that the request is void).
 */
export async function giveUp(store: BlockStore, { cidr, node }: Pick<BlockRecord, 'cidr' | 'node'>): Promise<void> {
  const stored = await store.get(cidr);
  if (stored?.node === node) await store.delete(stored);
}

/**
 * Makes a vacant block of another node this node's: undefined when none of these is to be had any more. Of any number of nodes that try,
 * the swap lets one through, or the owner itself, which takes it back the same way.
 */
export async function takeOverBlock(
  store: BlockStore,
  node: string,
  candidates: readonly string[],
): Promise<OwnBlock | undefined> {
  for (const cidr of candidates) {
    const stored = await store.get(cidr);
    if (stored?.vacant !== true || [...(stored.loans ?? []), ...(stored.kept ?? [])].length > 0) continue;
    const prefix = tryParsePrefix(cidr);
    if (prefix === undefined || othersIn(await store.list(), { ...stored, cidr }).length > 0) continue;
    if ((await store.replace(stored, { cidr, node, pool: stored.pool })) !== undefined)
      return { prefix, pool: stored.pool };
  }
  return undefined;
}

/** Blocks of other nodes that share an address with this one. */
export function othersIn(records: readonly BlockRecord[], { cidr, node }: BlockRecord): readonly BlockRecord[] {
  const own = parsePrefix(cidr);
  return records.filter((record) => {
    if (record.node === node) return false;
    const prefix = tryParsePrefix(record.cidr);
    return prefix !== undefined && prefixesOverlap(prefix, own);
  });
}

const prefixesOf = (records: readonly BlockRecord[]): readonly IpPrefix[] =>
  records.map(({ cidr }) => tryParsePrefix(cidr)).filter((prefix) => prefix !== undefined);

function exhausted(pool: Pool, taken: TakenBlocks): PoolExhaustedError {
  const range = formatPrefix(pool.prefix);
  return new PoolExhaustedError(
    `Cannot claim a block of pool "${pool.name}": ` +
      (taken.hasOtherLengths(pool.prefix, pool.blockLength)
        ? `all addresses of ${range} lie in blocks that have an owner, some in blocks of another size than /${pool.blockLength}`
        : `all ${blockCountOf(pool)} blocks of ${range} have an owner`),
  );
}
