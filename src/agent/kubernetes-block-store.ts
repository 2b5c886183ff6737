/**
 * Block claims as IPAMBlock objects, on an API server or any other datastore: creating the object is the compare-and-swap, its name is
 * made from the CIDR; what changes later is swapped by resourceVersion. Where the datastore itself sees that no two blocks overlap, a
 * claim is one call.
 */
import type { BlockRecord, BlockStore, FreeBlocks, NewBlock, StoredBlock } from '@tortie/ipam';
import { formatPrefix, type IpPrefix } from 'node-bgp/address';
import type { IPAMBlock } from '../api/ipam.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';

/** "10-65-0-0-26", "fd00-65---122"; a leading "::" gets a zero, because names start with a letter or digit. */
export const blockName = (cidr: string): string => cidr.replace(/^:/, '0:').replaceAll(/[.:/]/g, '-');

const storedOf = ({ metadata, spec }: IPAMBlock): StoredBlock => ({
  ...spec,
  version: `${metadata.uid ?? ''}/${metadata.resourceVersion ?? ''}`,
});

export class KubernetesBlockStore implements BlockStore {
  readonly claimFree?: (free: FreeBlocks, block: NewBlock) => Promise<IpPrefix | undefined>;

  constructor(private readonly datastore: Datastore) {
    if (datastore.claimFreeBlock === undefined) return;
    this.claimFree = (free, record) =>
      datastore.claimFreeBlock?.({
        ...free,
        blockOf: (block) => {
          const cidr = formatPrefix(block);
          return { metadata: { name: blockName(cidr) }, spec: specOf({ ...record, cidr }) };
        },
      }) ?? Promise.resolve(undefined);
  }

  async list(): Promise<readonly BlockRecord[]> {
    return (await this.datastore.list('ipamBlocks')).map((block) => block.spec);
  }

  async get(cidr: string): Promise<StoredBlock | undefined> {
    const block = await this.datastore.get('ipamBlocks', blockName(cidr));
    return block && storedOf(block);
  }

  async create(block: BlockRecord, isReassertion = false): Promise<'created' | 'held' | 'exists'> {
    const name = blockName(block.cidr);
    try {
      await this.datastore.create('ipamBlocks', { metadata: { name }, spec: specOf(block) }, { isReassertion });
      return 'created';
    } catch (error) {
      if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
    }
    // An earlier try of ours may have arrived although its answer was lost. None of this name: another one overlaps it.
    const existing = await this.datastore.get('ipamBlocks', name);
    return existing?.spec.node === block.node ? 'held' : 'exists';
  }

  async replace(before: StoredBlock, after: BlockRecord): Promise<StoredBlock | undefined> {
    const [uid = '', resourceVersion = ''] = before.version.split('/');
    try {
      const metadata = { name: blockName(before.cidr), uid, resourceVersion };
      return storedOf(await this.datastore.replace('ipamBlocks', { metadata, spec: specOf(after) }));
    } catch (error) {
      if (error instanceof ApiError && (error.status === 404 || error.status === 409)) return undefined;
      throw error;
    }
  }

  async delete(block: BlockRecord & { readonly version?: string }): Promise<void> {
    const existing = await this.datastore.get('ipamBlocks', blockName(block.cidr));
    if (existing === undefined || existing.spec.node !== block.node) return;
    if (block.version !== undefined && block.version !== storedOf(existing).version) return;
    const { uid, resourceVersion } = existing.metadata;
    try {
      await this.datastore.delete('ipamBlocks', blockName(block.cidr), {
        ...(uid === undefined ? {} : { uid }),
        ...(block.version === undefined || resourceVersion === undefined ? {} : { resourceVersion }),
      });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409)) throw error;
    }
  }
}

/** What says nothing is not written: objects of before had no such fields. */
const specOf = ({
  cidr,
  node,
  pool,
  offers = [],
  loans = [],
  vacant = false,
  kept = [],
  agentless = false,
}: BlockRecord): IPAMBlock['spec'] => ({
  cidr,
  node,
  pool,
  ...(offers.length === 0 ? {} : { offers }),
  ...(loans.length === 0 ? {} : { loans }),
  ...(vacant ? { vacant } : {}),
  ...(kept.length === 0 ? {} : { kept }),
  ...(agentless ? { agentless } : {}),
});
