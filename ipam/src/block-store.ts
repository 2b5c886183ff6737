/**
 * Where blocks are claimed and their addresses lent: the one thing about addresses that nodes must agree on.
 *
 * `create` is a compare-and-swap on the block's CIDR: of any number of nodes that claim one block at once, exactly one is told
 * 'created'. Blocks of different sizes have different names, so in a store that knows names alone two nodes may create overlapping
 * ones at once: whoever created lists once more before the block counts as its own (claim.ts). For that `list` must be as new as the
 * last write that anybody was told of, and so must `get`. A store with `claimFree` refuses what overlaps by itself. `replace` is a
 * compare-and-swap on the record's version: it says what an owner offers, what others have borrowed, and who owns the block. A store
 * that cannot be reached throws; nobody may take that for 'exists' or for a lost swap: what was asked may be done yet.
 */
import type { IpPrefix } from 'node-bgp/address';
import type { Kept } from './kept.js';

export interface BlockRecord {
  /** Canonical prefix, "10.65.0.0/26". */
  readonly cidr: string;
  readonly node: string;
  readonly pool: string;
  /** Addresses that the owner gives to none of its pods and anybody may borrow. */
  readonly offers?: readonly string[];
  /** Addresses that other nodes have, each with the node. */
  readonly loans?: readonly Loan[];
  /** Addresses that nobody has: whoever runs the next pod that one is kept for may borrow it, and nobody else. */
  readonly kept?: readonly Kept[];
  /** Nobody has an address of it and its owner gives none out: whoever needs a block may put its own name in. */
  readonly vacant?: boolean;
  /** No agent gives out its addresses: its loans are all that is given out, and whoever swaps one in has it. */
  readonly agentless?: boolean;
}

export interface Loan {
  readonly address: string;
  /** Who has it. */
  readonly node: string;
  /** For what, where no agent knows. */
  readonly handle?: string;
}

/** A record as the store has it; `version` changes with every write and means nothing else. */
export interface StoredBlock extends BlockRecord {
  readonly version: string;
}

/** Which blocks a claim may be of. */
export interface FreeBlocks {
  /** The pool's. */
  readonly range: IpPrefix;
  readonly blockLength: number;
  /** The first to try; then the next ones, once around. */
  readonly start: IpPrefix;
  /** Not these, whatever the store says. */
  readonly held: readonly IpPrefix[];
}

/** What a claimed block says besides its CIDR. */
export type NewBlock = Omit<BlockRecord, 'cidr'>;

export interface BlockStore {
  list(): Promise<readonly BlockRecord[]>;
  get(cidr: string): Promise<StoredBlock | undefined>;
  /**
   * 'held': it is this node's already. 'exists': it, or some of it where the store sees that, is another's.
   * @param isReassertion the node has had it all the time, and only the store does not say so
   */
  create(block: BlockRecord, isReassertion?: boolean): Promise<'created' | 'held' | 'exists'>;
  /**
   * Finds a free block and makes it the node's, in one step; undefined when there is none. Only where no two blocks can overlap, whoever
   * creates them.
   */
  readonly claimFree?: (free: FreeBlocks, block: NewBlock) => Promise<IpPrefix | undefined>;
  /** Puts `after` in the place of `before`, of the same CIDR; undefined when that has changed or is gone. */
  replace(before: StoredBlock, after: BlockRecord): Promise<StoredBlock | undefined>;
  /**
   * Gives a block back; only its owner may, and an unknown block is no error. With a version: only if it has that still; if not, the
   * block stays, and no error says so.
   */
  delete(block: BlockRecord & { readonly version?: string }): Promise<void>;
}

/** Blocks in this process' memory: for tests, and for a host of its own. */
export class MemoryBlockStore implements BlockStore {
  /** BOUNDED by the blocks of the pools. */
  private readonly blocks = new Map<string, StoredBlock>();
  private writes = 0;

  async list(): Promise<readonly BlockRecord[]> {
    return [...this.blocks.values()];
  }

  async get(cidr: string): Promise<StoredBlock | undefined> {
    return this.blocks.get(cidr);
  }

  async create(block: BlockRecord): Promise<'created' | 'held' | 'exists'> {
    const existing = this.blocks.get(block.cidr);
    if (existing !== undefined) return existing.node === block.node ? 'held' : 'exists';
    this.put(block);
    return 'created';
  }

  async replace(before: StoredBlock, after: BlockRecord): Promise<StoredBlock | undefined> {
    return this.blocks.get(before.cidr)?.version === before.version ? this.put(after) : undefined;
  }

  async delete({ cidr, node, version }: BlockRecord & { readonly version?: string }): Promise<void> {
    const existing = this.blocks.get(cidr);
    if (existing?.node === node && (version === undefined || existing.version === version)) this.blocks.delete(cidr);
  }

  private put(block: BlockRecord): StoredBlock {
    const stored = { ...block, version: String(++this.writes) };
    this.blocks.set(block.cidr, stored);
    return stored;
  }
}
