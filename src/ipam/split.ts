/**
 * `tortie ipam split`: one pool made into several of equal size, each with all that the first had. Its blocks and addresses stay where
 * they are: a block serves whatever pool it lies in. A pool's range cannot change, so the parts are made first, which are refused
 * while the whole is there, and then the whole is deleted.
 */
import { addressAt, formatAddress, formatPrefix, parsePrefix, sizeOf } from 'node-bgp/address';
import type { IPPool } from '../api/ipam.js';
import type { Datastore } from '../datastore/datastore.js';
import { UserError } from '../errors.js';
import type { Inventory } from './inventory.js';

const MOST_PARTS = 256;

/** @throws UserError when the pool cannot be split so */
export function planSplit(inventory: Inventory, name: string, parts: number): readonly IPPool[] {
  const refused = (why: string): UserError => new UserError(`Cannot split pool "${name}": ${why}`);
  const pool = inventory.pools.find((each) => each.name === name);
  const object = inventory.objects.pools.find(({ metadata }) => metadata.name === name);
  if (pool === undefined || object === undefined) throw refused('there is no such IPPool, or it cannot be used');
  if (!Number.isInteger(parts) || parts < 2 || parts > MOST_PARTS || (parts & (parts - 1)) !== 0)
    throw refused(`--into is ${parts}; expected 2, 4, 8 or another power of 2 up to ${MOST_PARTS}`);
  const length = pool.prefix.length + Math.log2(parts);
  if (length > pool.blockLength)
    throw refused(`a part would be a /${length}, smaller than its blocks (/${pool.blockLength})`);
  const larger = inventory.blocks.find(({ prefix, pool: of }) => of?.name === name && prefix.length < length);
  if (larger !== undefined)
    throw refused(`block ${larger.cidr} of node "${larger.object.spec.node}" is larger than a part (/${length})`);
  const size = sizeOf({ ...pool.prefix, length });
  return Array.from({ length: parts }, (_, index): IPPool => {
    const cidr = formatPrefix(parsePrefix(`${formatAddress(addressAt(pool.prefix, BigInt(index) * size))}/${length}`));
    const { labels, annotations } = object.metadata;
    const { 'kubectl.kubernetes.io/last-applied-configuration': applied, ...kept } = annotations ?? {};
    return {
      metadata: {
        name: `${name}-${index}`,
        ...(labels === undefined ? {} : { labels }),
        ...(Object.keys(kept).length === 0 ? {} : { annotations: kept }),
      },
      spec: { ...object.spec, cidr, blockSize: pool.blockLength },
    };
  });
}

/** Makes the parts, then deletes the whole. */
export async function applySplit(
  datastore: Pick<Datastore, 'create' | 'delete'>,
  whole: IPPool,
  parts: readonly IPPool[],
): Promise<void> {
  for (const part of parts) await datastore.create('ipPools', part);
  const { name, uid } = whole.metadata;
  await datastore.delete('ipPools', name, uid === undefined ? {} : { uid });
}
