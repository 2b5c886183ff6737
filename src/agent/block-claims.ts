/**
 * The blocks of this node, in the store and in memory: claimed, kept in step, given back. One thing at a time, in turn.
 *
 *   ours in the store, unknown here (a lost answer, a lost journal)  -> taken up, unless another's block has an address of it, or no
 *                                                                       node could have claimed it: whoever may write one object must not
 *                                                                       make this node announce what he likes
 *   known here, gone from the store                                  -> claimed again: its addresses are in use
 *   known here, somebody else's in the store                         -> given up
 *   overlaps a block of another node                                 -> the younger of the two gives out nothing both have
 *
 * What is in the journal has been confirmed once (claim.ts) and stands. What is not has given out no address, so it goes back
 * when there is any doubt. The watch may be late: whatever is taken up is looked at in the store itself first.
 */
import {
  claimBlock,
  claimExactly,
  giveUp,
  othersIn,
  PoolExhaustedError,
  takeOverBlock,
  type Allocator,
  type BlockRecord,
  type BlockStore,
  type Pool,
  type StoredBlock,
} from '@tortie/ipam';
import {
  containsPrefix,
  formatPrefix,
  prefixesOverlap,
  prefixOf,
  tryParsePrefix,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';
import type { IPAMBlock } from '../api/ipam.js';
import type { Cluster } from '../cluster/cluster.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { lendingOfRecord } from './block-lending.js';
import type { Turn } from './turn.js';

export interface BlockClaimsOptions {
  readonly node: string;
  readonly cluster: Cluster;
  readonly allocator: Allocator;
  readonly store: BlockStore;
  /** Could a node have claimed this block: does it lie in a pool of today's, at that pool's size? */
  readonly isBlock: (prefix: IpPrefix) => boolean;
  /** Shared with whoever else changes this node's blocks. */
  readonly turn: Turn;
  /** Blocks of a family that the node may own; default any number. */
  readonly mostBlocks?: () => number;
  readonly log: Logger;
  /** The node's blocks changed. */
  readonly onBlocks: () => void;
  /** What of the node's blocks is another's too, anew. */
  readonly onForeign: (foreign: readonly IpPrefix[]) => void;
}

const RETRY = 2_000;
/** BOUNDED: anybody who may write blocks may write many. */
const MOST_TOLD = 20;

/** A block as the watch brought it. */
interface Claim {
  readonly prefix: IpPrefix;
  readonly record: BlockRecord;
  /** Sorts as the blocks were created, to the second. */
  readonly age: string;
}

/** Parsed once for each object. */
const parsed = new WeakMap<IPAMBlock, Claim | 'unreadable'>();

function claimOf(block: IPAMBlock): Claim | undefined {
  let claim = parsed.get(block);
  if (claim === undefined) {
    const prefix = tryParsePrefix(block.spec.cidr);
    const { creationTimestamp = '', uid = '' } = block.metadata;
    claim =
      prefix === undefined
        ? 'unreadable'
        : { prefix, record: { ...block.spec, cidr: formatPrefix(prefix) }, age: `${creationTimestamp} ${uid}` };
    parsed.set(block, claim);
  }
  return claim === 'unreadable' ? undefined : claim;
}

/** The node has as many blocks as it may. */
export class BlockLimitError extends Error {
  override readonly name = 'BlockLimitError';
}

const isIn = (prefix: IpPrefix, pools: readonly Pool[]): boolean =>
  pools.some((pool) => containsPrefix(pool.prefix, prefix));

export class BlockClaims {
  private isReconcileDue = false;
  private isStopped = false;
  /** Has memory agreed with the store once? */
  private isInStep = false;
  private retry: NodeJS.Timeout | undefined;
  private overlaps: readonly string[] = [];
  /** Sentences about blocks that are said to be ours. */
  private refused: readonly string[] = [];

  constructor(private readonly options: BlockClaimsOptions) {}

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.retry);
  }

  /** Addresses of this node that another node has too, and blocks that it was given and does not take, in sentences. */
  problems(): readonly string[] {
    return [...this.overlaps, ...this.refused];
  }

  /** Does a change of this block change anything here? Of thousands of nodes' blocks hardly any does. */
  concerns(block: IPAMBlock): boolean {
    if (block.spec.node === this.options.node) return true;
    const claim = claimOf(block);
    return (
      claim !== undefined &&
      this.options.allocator.ownBlocks().some(({ prefix }) => prefixesOverlap(prefix, claim.prefix))
    );
  }

  /** One more block of the first of these pools that has one left. @throws PoolExhaustedError, or what the store said */
  claimFrom(pools: readonly Pool[]): Promise<void> {
    return this.options.turn.run(async () => {
      const { store, node, allocator } = this.options;
      this.expectNode();
      // What is ours already may be enough.
      if (!this.isInStep && (await this.level())) return;
      let failure: unknown;
      for (const pool of pools) {
        try {
          this.expectRoom(pool);
          const held = allocator.ownBlocks().map(({ prefix }) => prefix);
          const heard = this.claims().map(({ prefix }) => prefix);
          await this.took(await claimBlock(store, pool, node, held, {}, heard), 'Claimed a block');
          return;
        } catch (error) {
          failure = error;
        }
      }
      const vacant =
        failure instanceof PoolExhaustedError ? await takeOverBlock(store, node, this.vacant(pools)) : undefined;
      if (vacant === undefined) throw failure;
      await this.took(vacant, 'Took over a block that its node had no use for');
    });
  }

  /**
   * The block of the pool that has this address, if nobody owns it.
   * @returns undefined when it is this node's now, or who has addresses of it
   */
  claimContaining(address: IpAddress, pool: Pool): Promise<BlockRecord | undefined> {
    return this.options.turn.run(async () => {
      const { store, node, allocator } = this.options;
      const prefix = prefixOf(address, pool.blockLength);
      if (allocator.ownBlocks().some((own) => prefixesOverlap(own.prefix, prefix))) return undefined;
      this.expectNode();
      this.expectRoom(pool);
      const record = { cidr: formatPrefix(prefix), node, pool: pool.name };
      const [other] = othersIn(await store.list(), record);
      if (other !== undefined) return other;
      if (!(await claimExactly(store, record))) return othersIn(await store.list(), record)[0] ?? record;
      await this.took({ prefix, pool: pool.name }, 'Claimed the block of an address');
      return undefined;
    });
  }

  /** Gives a block back, unless somebody has an address of it. */
  release(prefix: IpPrefix, pool: string): Promise<boolean> {
    return this.options.turn.run(async () => {
      const { allocator, store, log, onBlocks } = this.options;
      const cidr = formatPrefix(prefix);
      if (allocator.usageOf(cidr)?.assigned !== 0) return false;
      const stored = await this.withdraw(cidr);
      if (stored === 'lent' || !(await allocator.removeIfEmpty(prefix))) return false;
      onBlocks();
      if (stored !== undefined) await store.delete(stored);
      log.info({ block: cidr, pool }, 'Gave a block back');
      return true;
    });
  }

  /** Nobody may borrow of a block that goes: its record with nothing on offer, or 'lent' when somebody has borrowed of it, or may. */
  private async withdraw(cidr: string): Promise<StoredBlock | 'lent' | undefined> {
    const { node, store } = this.options;
    for (;;) {
      const stored = await store.get(cidr);
      if (stored?.node !== node) return undefined;
      const { offers, loans, vacant, kept } = lendingOfRecord(stored);
      if (loans.length + kept.length > 0) return 'lent';
      if (offers.length === 0 && !vacant) return stored;
      await store.replace(stored, { cidr, node, pool: stored.pool });
    }
  }

  /** Brings memory and store in step; a request that comes while one waits is that one. Never rejects. */
  async reconcile(): Promise<void> {
    this.levelForeign();
    if (this.isReconcileDue) return;
    this.isReconcileDue = true;
    await this.options.turn.run(async () => {
      this.isReconcileDue = false;
      if (this.isStopped) return;
      try {
        await this.level();
      } catch (error) {
        this.options.log.warn({ problem: messageOf(error) }, 'Cannot bring block claims in step; trying again');
        clearTimeout(this.retry);
        if (!this.isStopped) this.retry = setTimeout(() => void this.reconcile(), RETRY).unref();
      }
      this.levelForeign();
    });
  }

  /** True when blocks were taken up. */
  private async level(): Promise<boolean> {
    const hasTaken = await this.takeUp();
    const hasLost = await this.reassert();
    this.isInStep = true;
    if (hasTaken || hasLost) this.options.onBlocks();
    return hasTaken;
  }

  /** Nobody would give the blocks of a deleted Node back. */
  private expectNode(): void {
    const { cluster, node } = this.options;
    if (cluster.get('nodes', node) === undefined)
      throw new Error(`Cannot claim a block: there is no Node "${node}"; its blocks go to others`);
  }

  /** @throws BlockLimitError */
  private expectRoom({ name, prefix: { family } }: Pool): void {
    const { allocator, mostBlocks = () => Number.POSITIVE_INFINITY } = this.options;
    const owned = allocator.ownBlocks().filter(({ prefix }) => prefix.family === family).length;
    if (owned < mostBlocks()) return;
    throw new BlockLimitError(
      `Cannot claim a block of pool "${name}": the limit of ${mostBlocks()} IPv${family} blocks is reached for this node ` +
        '(spec.maxBlocksPerHost of IPAMConfiguration "default")',
    );
  }

  /** Blocks of others in these pools that anybody may have, in an order of chance: many may look at once. */
  private vacant(pools: readonly Pool[]): readonly string[] {
    return this.claims()
      .filter(
        ({ prefix, record }) => record.vacant === true && record.node !== this.options.node && isIn(prefix, pools),
      )
      .map(({ record }) => [Math.random(), record.cidr] as const)
      .sort(([a], [b]) => a - b)
      .map(([, cidr]) => cidr);
  }

  private async took(block: { readonly prefix: IpPrefix; readonly pool: string }, what: string): Promise<void> {
    await this.options.allocator.addBlock(block);
    this.levelForeign();
    this.options.log.info({ block: formatPrefix(block.prefix), pool: block.pool }, what);
    this.options.onBlocks();
  }

  private claims(): readonly Claim[] {
    return [...this.options.cluster.all('ipamBlocks').values()].map(claimOf).filter((claim) => claim !== undefined);
  }

  /** What the store says is ours and memory does not know. True when there was any. */
  private async takeUp(): Promise<boolean> {
    const { allocator, node, store, log } = this.options;
    const said = this.claims().filter(
      ({ record }) => record.node === node && record.agentless !== true && allocator.usageOf(record.cidr) === undefined,
    );
    this.refuse(said.filter(({ prefix }) => !this.options.isBlock(prefix)));
    const unknown = said.filter(({ prefix }) => this.options.isBlock(prefix));
    if (unknown.length === 0) return false;
    let hasTaken = false;
    for (const { prefix, record } of unknown) {
      const stored = await store.get(record.cidr);
      if (stored?.node !== node) continue;
      // Written once more, so that no request to give it back of before can arrive now.
      const current = await store.replace(stored, stored);
      if (current === undefined) continue;
      const records = await store.list();
      const [other] = othersIn(records, record);
      const own = allocator.ownBlocks().find((block) => prefixesOverlap(block.prefix, prefix));
      if (other === undefined && own === undefined) {
        await allocator.addBlock({ prefix, pool: record.pool }, lendingOfRecord(current));
        hasTaken = true;
        continue;
      }
      const whose = other === undefined ? 'this node' : `node "${other.node}"`;
      const which = other?.cidr ?? (own && formatPrefix(own.prefix));
      log.warn({ block: record.cidr }, `Block ${record.cidr} overlaps ${which} of ${whose}; giving it back unused`);
      await giveUp(store, record);
    }
    return hasTaken;
  }

  /** Left where they are: who made them may have meant something, and they cost nothing. */
  private refuse(claims: readonly Claim[]): void {
    const sentences = claims
      .slice(0, MOST_TOLD)
      .map(
        ({ record }) =>
          `Block ${record.cidr} is said to be this node's, and is neither given out nor announced: ` +
          'it lies in no IPPool with blocks of its size',
      );
    for (const sentence of sentences) if (!this.refused.includes(sentence)) this.options.log.error(sentence);
    this.refused = sentences;
  }

  /** What memory has and the store does not say is ours. True when something was given up. */
  private async reassert(): Promise<boolean> {
    const { allocator, cluster, node, log } = this.options;
    const owners = new Map(this.claims().map(({ record }) => [record.cidr, record.node]));
    let hasChanged = false;
    for (const { prefix, pool } of allocator.ownBlocks()) {
      const cidr = formatPrefix(prefix);
      if (owners.get(cidr) === node) continue;
      const why =
        !owners.has(cidr) && cluster.get('nodes', node) === undefined
          ? `there is no Node "${node}" any more`
          : await this.whyLost({ cidr, node, pool, ...allocator.lendingOf(cidr), vacant: false }, owners.get(cidr));
      if (why === undefined) continue;
      log.error({ block: cidr, owner: owners.get(cidr) }, `Giving up block ${cidr}: ${why}`);
      await allocator.removeBlock(prefix);
      hasChanged = true;
    }
    return hasChanged;
  }

  /** Claims a block anew that is not in the watch as ours; undefined when it is ours. */
  private async whyLost(block: BlockRecord, owner: string | undefined): Promise<string | undefined> {
    const { store } = this.options;
    const outcome = await store.create(block, true);
    if (outcome === 'held') return undefined;
    if (outcome === 'exists') return `it belongs to ${owner === undefined ? 'another node' : `node "${owner}"`} now`;
    // Somebody deleted it; whoever has claimed some of it since may have given out addresses.
    const [other] = othersIn(await store.list(), block);
    if (other === undefined) return undefined;
    await giveUp(store, block);
    return `it was deleted, and node "${other.node}" has ${other.cidr} now`;
  }

  /** Of two nodes' blocks that overlap, the younger gives out nothing that both have. */
  private levelForeign(): void {
    const { allocator, node, onForeign, log } = this.options;
    const claims = this.claims();
    const ages = new Map(
      claims.filter(({ record }) => record.node === node).map(({ record, age }) => [record.cidr, age]),
    );
    const foreign: IpPrefix[] = [];
    const overlaps: string[] = [];
    const own = allocator.ownBlocks();
    for (const { prefix, record, age } of claims) {
      if (record.node === node) continue;
      for (const { prefix: ours } of own) {
        if (!prefixesOverlap(ours, prefix)) continue;
        const cidr = formatPrefix(ours);
        const isYounger = age < (ages.get(cidr) ?? '\uffff');
        if (isYounger) foreign.push(prefix);
        overlaps.push(
          `Block ${cidr} of this node overlaps ${record.cidr} of node "${record.node}", which is ` +
            (isYounger
              ? 'older: what both have is not given out here'
              : 'younger and must not give out what both have'),
        );
      }
    }
    for (const sentence of overlaps) if (!this.overlaps.includes(sentence)) log.error(sentence);
    this.overlaps = overlaps;
    onForeign(foreign);
  }
}
