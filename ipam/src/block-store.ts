/**
 * Where blocks are claimed: the one thing about addresses that nodes must agree on.
 *
 * `create` is a compare-and-swap on the block's CIDR: of any number of nodes that claim one block at once, exactly one is told
 * 'created'. Blocks of different sizes have different names, so two nodes may create overlapping ones at once: whoever created
 * lists once more before the block counts as its own (claim.ts). For that `list` must be as new as the last write that anybody
 * was told of. A store that cannot be reached throws; nobody may take that for 'exists'.
 */
export interface BlockRecord {
  /** Canonical prefix, "10.65.0.0/26". */
  readonly cidr: string;
  readonly node: string;
  readonly pool: string;
}

export interface BlockStore {
  list(): Promise<readonly BlockRecord[]>;
  /** 'held': it is this node's already. 'exists': it is another's. */
  create(block: BlockRecord): Promise<'created' | 'held' | 'exists'>;
  /** Gives a block back; only its owner may, and an unknown block is no error. */
  delete(block: BlockRecord): Promise<void>;
}

/** Blocks in this process' memory: for tests, and for a host of its own. */
export class MemoryBlockStore implements BlockStore {
  /** BOUNDED by the blocks of the pools. */
  private readonly blocks = new Map<string, BlockRecord>();

  async list(): Promise<readonly BlockRecord[]> {
    return [...this.blocks.values()];
  }

  async create(block: BlockRecord): Promise<'created' | 'held' | 'exists'> {
    const existing = this.blocks.get(block.cidr);
    if (existing !== undefined) return existing.node === block.node ? 'held' : 'exists';
    this.blocks.set(block.cidr, block);
    return 'created';
  }

  async delete(block: BlockRecord): Promise<void> {
    if (this.blocks.get(block.cidr)?.node === block.node) this.blocks.delete(block.cidr);
  }
}
