/** Block claims as IPAMBlock objects: creating the object is the compare-and-swap, its name is made from the CIDR. */
import type { BlockRecord, BlockStore } from '@tortie/ipam';
import { ApiError, type Datastore } from '../datastore/datastore.js';

/** "10-65-0-0-26", "fd00-65---122"; a leading "::" gets a zero, because names start with a letter or digit. */
export const blockName = (cidr: string): string => cidr.replace(/^:/, '0:').replaceAll(/[.:/]/g, '-');

export class KubernetesBlockStore implements BlockStore {
  constructor(private readonly datastore: Datastore) {}

  async list(): Promise<readonly BlockRecord[]> {
    return (await this.datastore.list('ipamBlocks')).map((block) => block.spec);
  }

  async create(block: BlockRecord): Promise<'created' | 'held' | 'exists'> {
    const name = blockName(block.cidr);
    try {
      await this.datastore.create('ipamBlocks', { metadata: { name }, spec: block });
      return 'created';
    } catch (error) {
      if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
    }
    // An earlier try of ours may have arrived although its answer was lost.
    const existing = await this.datastore.get('ipamBlocks', name);
    return existing?.spec.node === block.node ? 'held' : 'exists';
  }

  async delete(block: BlockRecord): Promise<void> {
    const existing = await this.datastore.get('ipamBlocks', blockName(block.cidr));
    if (existing === undefined || existing.spec.node !== block.node) return;
    await this.datastore.delete(
      'ipamBlocks',
      blockName(block.cidr),
      existing.metadata.uid === undefined ? {} : { uid: existing.metadata.uid },
    );
  }
}
