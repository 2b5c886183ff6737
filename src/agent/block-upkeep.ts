/**
 * Blocks that the node has: what of them goes back, and what of them others may have. Looked at every now and then, and when pools or
 * blocks change.
 */
import { TakenBlocks, type Allocator, type Kept, type OwnBlock } from '@tortie/ipam';
import { containsPrefix, formatPrefix, tryParsePrefix } from 'node-bgp/address';
import type { Cluster } from '../cluster/cluster.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { BlockClaims } from './block-claims.js';
import { NOTHING_WANTED, type BlockLending, type Wanted } from './block-lending.js';
import { ipamSettings, isFull, wantedOf } from './lending-plan.js';
import type { NodePool } from './node-pools.js';

export interface BlockUpkeepOptions {
  readonly node: string;
  readonly cluster: Cluster;
  readonly allocator: Allocator;
  readonly claims: BlockClaims;
  readonly lending: BlockLending;
  readonly pools: () => readonly NodePool[];
  readonly log: Logger;
  /** Milliseconds between two looks; default 30 s. */
  readonly lookInterval?: number;
}

const LOOK_INTERVAL = 30_000;
/** Many blocks change at once when a cluster starts. */
const COALESCE = 500;

export class BlockUpkeep {
  /** Blocks that were not needed at the last look. BOUNDED by the node's blocks, as are the others. */
  private unused: ReadonlySet<string> = new Set();
  /** Blocks in which nobody had an address at the last look, and at the last two. */
  private empty: ReadonlySet<string> = new Set();
  private idle: ReadonlySet<string> = new Set();
  private levelling: NodeJS.Timeout | undefined;
  private look: NodeJS.Timeout | undefined;

  constructor(private readonly options: BlockUpkeepOptions) {}

  /** After the first sync, and after memory and store agree. */
  start(): void {
    this.look = setInterval(() => void this.lookAround(), this.options.lookInterval ?? LOOK_INTERVAL).unref();
    this.levelSoon();
    void this.options.lending.levelBorrowed();
  }

  stop(): void {
    clearInterval(this.look);
    clearTimeout(this.levelling);
    this.look = undefined;
  }

  /** Pools, blocks or settings changed. */
  levelSoon(): void {
    if (this.levelling !== undefined || this.look === undefined) return;
    this.levelling = setTimeout(() => {
      this.levelling = undefined;
      void this.levelLending();
    }, COALESCE).unref();
  }

  /** What is done every now and then. Never rejects. */
  async lookAround(): Promise<void> {
    const { allocator } = this.options;
    const empty = allocator.ownBlockRecords().filter(({ cidr }) => {
      const usage = allocator.usageOf(cidr);
      return usage?.assigned === 0 && usage.lent + usage.kept === 0;
    });
    this.idle = new Set(empty.filter(({ cidr }) => this.empty.has(cidr)).map(({ cidr }) => cidr));
    this.empty = new Set(empty.map(({ cidr }) => cidr));
    await this.releaseUnused();
    await this.levelLending();
    await this.options.lending.levelBorrowed();
  }

  /** Offers of this node's blocks where their pool has no block that nobody owns, and none elsewhere. Never rejects. */
  async levelLending(): Promise<void> {
    const { allocator, cluster, node } = this.options;
    if (cluster.problems().has('ipamBlocks') || cluster.problems().has('ipPools')) return;
    const settings = ipamSettings(cluster);
    const taken = [...cluster.all('ipamBlocks').values()]
      .map(({ spec }) => tryParsePrefix(spec.cidr))
      .filter((prefix) => prefix !== undefined);
    const index = new TakenBlocks(taken);
    const serving = this.options.pools().filter((pool) => !pool.isDisabled);
    // Who has come again and got other addresses needs these no more.
    const present = new Set(allocator.owners().flatMap(({ owner }) => owner.keep?.keptFor ?? []));
    const isLimited = Number.isFinite(settings.mostBlocks);
    const short = this.options
      .pools()
      // Of its own range a node lends nothing: no other node takes from it.
      .filter((pool) => !pool.isDisabled && pool.isOfNode !== true)
      .map((pool) => ({ ...pool, isFull: isFull(pool, taken, index, node) }))
      .filter((pool) => isLimited || pool.isFull);
    await this.options.lending.levelOwn((cidr): Wanted => {
      const prefix = tryParsePrefix(cidr);
      const usage = allocator.usageOf(cidr);
      if (prefix === undefined || usage === undefined) return NOTHING_WANTED;
      // What lies in no pool that gives addresses would not be given to who comes again either.
      const isServing = serving.some((each) => containsPrefix(each.prefix, prefix));
      const isKept = (kept: Kept): boolean => isServing && !allocator.isPast(kept) && !present.has(kept.keptFor);
      const pool = short.find((each) => containsPrefix(each.prefix, prefix));
      if (pool === undefined) return { ...NOTHING_WANTED, isKept };
      const isIdle = pool.isFull && this.idle.has(cidr) && usage.assigned === 0 && usage.lent + usage.kept === 0;
      const offers = allocator.lendingOf(cidr)?.offers.length ?? 0;
      return { ...wantedOf({ ...usage, offers, isIdle }, settings), isKept };
    });
  }

  /**
   * Gives back blocks in which nobody has an address, at two looks in a row, and that the node does not need: they lie in no pool that
   * selects this node (deleted, made anew with another range, or elsewhere by nodeSelector), or its other blocks have room enough. A
   * disabled pool keeps its blocks, and a live one the node's last.
   */
  async releaseUnused(): Promise<void> {
    const { cluster, log } = this.options;
    // Half the truth about pools would take blocks from pods that are about to come.
    if (['ipPools', 'nodes', 'ipamBlocks'].some((kind) => cluster.problems().has(kind as 'ipPools'))) return;
    const before = this.unused;
    const unused = this.unneeded();
    this.unused = new Set(unused.map(({ prefix }) => formatPrefix(prefix)));
    for (const { prefix, pool } of unused) {
      if (!before.has(formatPrefix(prefix))) continue;
      try {
        await this.options.claims.release(prefix, pool);
      } catch (error) {
        log.warn({ block: formatPrefix(prefix), problem: messageOf(error) }, 'Cannot give a block back; trying again');
      }
    }
  }

  private unneeded(): readonly OwnBlock[] {
    const { allocator } = this.options;
    const selecting = this.options.pools().filter(({ selectsNode }) => selectsNode);
    const empty = allocator.ownBlocks().filter(({ prefix }) => allocator.usageOf(formatPrefix(prefix))?.assigned === 0);
    const inNoPool = empty.filter(({ prefix }) => !selecting.some((pool) => containsPrefix(pool.prefix, prefix)));
    // One at a time: each that goes leaves less room for the others.
    const spare = empty.find(({ prefix }) => {
      const pools = selecting.filter((pool) => !pool.isDisabled && containsPrefix(pool.prefix, prefix));
      return pools.length > 0 && allocator.canSpare(prefix, pools);
    });
    return spare === undefined ? inNoPool : [...inNoPool, spare];
  }
}
