/** The blocks of the node in memory: which of them has an address, which serve a pool, and how much room they have. */
import {
  containsAddress,
  containsPrefix,
  formatPrefix,
  parseAddress,
  type Family,
  type IpPrefix,
} from 'node-bgp/address';
import { heldBackIn, holdBackIn, newBlockState, type BlockState, type HeldBack, type OwnBlock } from './block-state.js';

export interface ServingPool {
  readonly name: string;
  readonly prefix: IpPrefix;
}

export interface Room {
  /** Addresses that nobody has and that are not held back. */
  readonly free: number;
  /** Addresses of the largest block. */
  readonly largest: number;
  /** Blocks. */
  readonly count: number;
}

export class BlockTable {
  /** By canonical prefix. BOUNDED by the blocks the node claims. */
  private readonly blocks = new Map<string, BlockState>();
  private heldBack: HeldBack = { reserved: [], foreign: [] };

  get(cidr: string): BlockState | undefined {
    return this.blocks.get(cidr);
  }

  all(): ReadonlyMap<string, BlockState> {
    return this.blocks;
  }

  delete(cidr: string): boolean {
    return this.blocks.delete(cidr);
  }

  /** @param isAssigned addresses that somebody has already: a block may come back while they are in use */
  insert(block: OwnBlock, assigned: Iterable<string>): void {
    const cidr = formatPrefix(block.prefix);
    if (this.blocks.has(cidr)) return;
    const state = newBlockState(block);
    this.blocks.set(cidr, state);
    // Of two blocks of this node that overlap, the first alone gives out what both have.
    this.holdBack(this.heldBack);
    for (const address of assigned) {
      const parsed = parseAddress(address);
      if (containsAddress(block.prefix, parsed)) state.assigned.add(Number(parsed.value - block.prefix.value));
    }
  }

  /** What is given to nobody from now on. */
  holdBack(heldBack: HeldBack): void {
    this.heldBack = heldBack;
    const before: IpPrefix[] = [];
    for (const block of this.blocks.values()) {
      holdBackIn(block, { reserved: heldBack.reserved, foreign: [...heldBack.foreign, ...before] });
      before.push(block.prefix);
    }
  }

  /** The block that has an address, and where in it. */
  locate(address: string): readonly [BlockState | undefined, number] {
    const parsed = parseAddress(address);
    for (const block of this.blocks.values())
      if (containsAddress(block.prefix, parsed)) return [block, Number(parsed.value - block.prefix.value)];
    return [undefined, -1];
  }

  /** Blocks that lie whole in one of the pools, in the pools' order. */
  *serving(family: Family, pools: readonly ServingPool[]): Generator<BlockState> {
    for (const pool of pools)
      for (const block of this.blocks.values())
        if (block.prefix.family === family && containsPrefix(pool.prefix, block.prefix)) yield block;
  }

  roomIn(family: Family, pools: readonly ServingPool[], without?: string): Room {
    let [free, largest, count] = [0, 1, 0];
    for (const block of this.serving(family, pools)) {
      if (without !== undefined && formatPrefix(block.prefix) === without) continue;
      count++;
      free += block.size - block.assigned.size - heldBackIn(block);
      largest = Math.max(largest, block.size);
    }
    return { free, largest, count };
  }

  /** Why these pools give no address of a family, as the end of a sentence. */
  whyNone(family: Family, pools: readonly ServingPool[]): string {
    if (pools.length === 0) return 'no pool of this family may serve the pod';
    const blocks = [...this.serving(family, pools)];
    if (blocks.length === 0) return 'this node owns no block of it yet';
    const total = blocks.reduce((sum, block) => sum + block.size, 0);
    const heldBack = blocks.reduce((sum, block) => sum + heldBackIn(block), 0);
    const kept = blocks.reduce((sum, block) => sum + block.kept.size, 0);
    return (
      `all ${total} addresses of this node's ${blocks.length} block${blocks.length === 1 ? '' : 's'} are in use` +
      (heldBack === 0
        ? ''
        : ` or held back (${heldBack}${kept === 0 ? '' : `, ${kept} of them for pods that may come again`})`)
    );
  }
}
