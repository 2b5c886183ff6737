/**
 * Addresses: keeps the allocator supplied with blocks, ahead of need, and in agreement with the claims in the API.
 *
 *   IPPool -> pools this node may use        IPAMBlock of ours -> allocator.addBlock (a lost journal, a lost answer)
 *   allocator wants a block -> claim         IPAMBlock gone    -> claimed again: its addresses are in use
 *                                            now somebody else's -> given up: never hand out from a block that is not ours
 *
 * The path of a pod only touches memory and the journal; it waits for a claim when nothing at all is left.
 */
import {
  claimBlock,
  NoAddressError,
  parsePools,
  type Allocator,
  type BlockStore,
  type Owner,
  type Pool,
  type PoolProblem,
} from '@tortie/ipam';
import { formatPrefix, tryParsePrefix, type Family } from 'node-bgp/address';
import type { IPPool } from '../api/ipam.js';
import type { Cluster } from '../cluster/cluster.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

export interface IpamLoopOptions {
  readonly node: string;
  readonly cluster: Cluster;
  readonly allocator: Allocator;
  /** Those that this node's kernel has; default both. */
  readonly families?: readonly Family[];
  readonly store: BlockStore;
  readonly matches: (selector: string, labels: ReadonlyMap<string, string>) => boolean;
  readonly log: Logger;
  /** The node's blocks changed: advertise, blackhole. */
  readonly onBlocks: () => void;
  readonly onHealth: () => void;
}

const RETRY = 2_000;
/** How long a pod may wait for a new block. */
const CLAIM_WAIT = 8_000;
const FAMILIES: readonly Family[] = [4, 6];

export class IpamLoop {
  private pools: readonly Pool[] = [];
  private poolProblems: readonly PoolProblem[] = [];
  private readonly claims = new Map<Family, Promise<void>>();
  private readonly claimProblems = new Map<Family, string>();
  private retry: NodeJS.Timeout | undefined;
  private isStopped = false;
  private isReconciling = false;
  private wantsReconcile = false;

  constructor(private readonly options: IpamLoopOptions) {}

  /** Call after the first sync: nothing is claimed before the claims of others are known. */
  async start(): Promise<void> {
    this.options.cluster.onChange((change) => {
      if (change.kind === 'ipPools' || (change.kind === 'nodes' && change.object.metadata.name === this.options.node))
        this.poolsChanged();
      if (change.kind === 'ipamBlocks') void this.reconcile();
    });
    this.poolsChanged();
    await this.reconcile();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.retry);
  }

  /** What an operator should mend, in sentences. */
  problems(): readonly string[] {
    return [...this.poolProblems.map(({ message }) => message), ...this.claimProblems.values()];
  }

  /** Pools that this node cannot use as they are written, part by part. */
  unusablePools(): readonly PoolProblem[] {
    return this.poolProblems;
  }

  /**
   * Why no pod whatever could get an address; undefined while some could. A pool that is full or odd is a problem, but not for
   * every pod: the kubelet takes the runtime's word for the whole node.
   */
  whyNoAddress(): string | undefined {
    if (this.pools.some((pool) => !pool.isDisabled)) return undefined;
    return `Cannot assign an address to any pod: ${this.poolProblems[0]?.message ?? 'no enabled IPPool may serve this node'}`;
  }

  /** Families in which pods get addresses: those that have a pool. */
  families(): readonly Family[] {
    return FAMILIES.filter((family) => this.pools.some((pool) => pool.prefix.family === family));
  }

  /**
   * Addresses for one interface, one a family, on disk. `wanted` names pools per family (the pod's annotations); default all.
   * @throws NoAddressError when there is none to be had in time
   */
  async assign(owner: Owner, wanted: ReadonlyMap<Family, readonly string[]>): Promise<readonly string[]> {
    const families = this.families();
    if (families.length === 0)
      throw new NoAddressError(
        `Cannot assign an address: ${this.poolProblems[0]?.message ?? 'no enabled IPPool may serve this node'}`,
        4,
      );
    const request = { owner, families, pools: families.flatMap((family) => this.poolsFor(family, wanted)) };
    const until = Date.now() + CLAIM_WAIT;
    for (;;) {
      try {
        return await this.options.allocator.assign(request);
      } catch (error) {
        if (!(error instanceof NoAddressError) || Date.now() >= until) throw error;
        const usable = this.usablePools(error.family).filter((pool) => request.pools.includes(pool.name));
        if (usable.length === 0) throw error;
        await this.claimFor(error, usable, until);
      } finally {
        this.claimAhead();
      }
    }
  }

  private async claimFor(error: NoAddressError, pools: readonly Pool[], until: number): Promise<void> {
    const timeout = new Promise<'late'>((resolve) =>
      setTimeout(() => resolve('late'), Math.max(0, until - Date.now())).unref(),
    );
    const outcome = await Promise.race([this.claim(error.family, pools), timeout]);
    const problem = this.claimProblems.get(error.family);
    if (outcome === 'late' || problem !== undefined)
      throw new NoAddressError(`${error.message}; ${problem ?? 'claiming another block takes too long'}`, error.family);
  }

  private poolsFor(family: Family, wanted: ReadonlyMap<Family, readonly string[]>): readonly string[] {
    const known = this.pools.filter((pool) => pool.prefix.family === family);
    const names = wanted.get(family);
    if (names === undefined) return known.filter((pool) => !this.isManual(pool)).map((pool) => pool.name);
    const missing = names.filter(
      (name) => !known.some((pool) => pool.name === name || formatPrefix(pool.prefix) === name),
    );
    if (missing.length > 0)
      throw new NoAddressError(
        `Cannot assign an IPv${family} address: the pod asks for pool ` +
          `${missing.map((name) => `"${name}"`).join(', ')}, which does not exist or may not serve this node`,
        family,
      );
    return known
      .filter((pool) => names.includes(pool.name) || names.includes(formatPrefix(pool.prefix)))
      .map((pool) => pool.name);
  }

  private isManual(pool: Pool): boolean {
    return this.options.cluster.get('ipPools', pool.name)?.spec.assignmentMode === 'Manual';
  }

  private usablePools(family: Family): readonly Pool[] {
    return this.pools.filter((pool) => pool.prefix.family === family && !pool.isDisabled);
  }

  private poolsChanged(): void {
    const { cluster, node } = this.options;
    const labels = new Map(Object.entries(cluster.get('nodes', node)?.metadata.labels ?? {}));
    const problems: PoolProblem[] = [];
    const inputs = [...cluster.all('ipPools').values()].filter((pool) => this.servesThisNode(pool, labels, problems));
    const parsed = parsePools(
      inputs.map(({ metadata, spec }) => ({
        name: metadata.name,
        cidr: spec.cidr,
        ...(spec.blockSize === undefined ? {} : { blockSize: spec.blockSize }),
        ...(spec.disabled === undefined ? {} : { disabled: spec.disabled }),
      })),
    );
    const { families = FAMILIES } = this.options;
    this.pools = parsed.pools.filter(({ name, prefix: { family } }) => {
      if (families.includes(family)) return true;
      const message = `Cannot use pool "${name}": this node's kernel has no IPv${family} (ipv6.disable=1?)`;
      problems.push({ pool: name, field: 'spec.cidr', message });
      return false;
    });
    const all = [...problems, ...parsed.problems];
    const known = new Set(this.poolProblems.map(({ message }) => message));
    for (const { message } of all) if (!known.has(message)) this.options.log.error(message);
    this.poolProblems = all;
    this.options.onHealth();
    this.claimAhead();
  }

  private servesThisNode(
    { metadata, spec }: IPPool,
    labels: ReadonlyMap<string, string>,
    problems: PoolProblem[],
  ): boolean {
    if (spec.allowedUses !== undefined && !spec.allowedUses.includes('Workload')) return false;
    if (spec.nodeSelector === undefined || spec.nodeSelector === '') return true;
    try {
      return this.options.matches(spec.nodeSelector, labels);
    } catch (error) {
      problems.push({
        pool: metadata.name,
        field: 'spec.nodeSelector',
        message: `Cannot use pool "${metadata.name}": spec.nodeSelector ${messageOf(error)}`,
      });
      return false;
    }
  }

  /** Fills up in the background; only automatic pools, a manual one is claimed when somebody asks. */
  private claimAhead(): void {
    if (this.isStopped) return;
    for (const family of FAMILIES) {
      const pools = this.usablePools(family).filter((pool) => !this.isManual(pool));
      if (
        pools.length > 0 &&
        this.options.allocator.wantsBlock(
          family,
          pools.map((pool) => pool.name),
        )
      )
        void this.claim(family, pools);
    }
  }

  /** One claim per family at a time; the first pool that has a block left serves. Never rejects: see claimProblems. */
  private claim(family: Family, pools: readonly Pool[]): Promise<void> {
    const running = this.claims.get(family);
    if (running !== undefined) return running;
    const claim = this.claimFrom(pools)
      .then(
        () => this.setClaimProblem(family, undefined),
        (error: unknown) => {
          this.setClaimProblem(family, messageOf(error));
          clearTimeout(this.retry);
          if (!this.isStopped) this.retry = setTimeout(() => this.claimAhead(), RETRY).unref();
        },
      )
      .finally(() => this.claims.delete(family));
    this.claims.set(family, claim);
    return claim;
  }

  private async claimFrom(pools: readonly Pool[]): Promise<void> {
    let failure: unknown;
    for (const pool of pools) {
      try {
        const block = await claimBlock(this.options.store, pool, this.options.node);
        await this.options.allocator.addBlock(block);
        this.options.log.info({ block: formatPrefix(block.prefix), pool: pool.name }, 'Claimed a block');
        this.options.onBlocks();
        return;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  private setClaimProblem(family: Family, problem: string | undefined): void {
    if (this.claimProblems.get(family) === problem) return;
    if (problem === undefined) this.claimProblems.delete(family);
    else {
      this.claimProblems.set(family, problem);
      this.options.log.warn({ family }, problem);
    }
    this.options.onHealth();
  }

  /** One at a time; a request that comes meanwhile makes it run once more. */
  private async reconcile(): Promise<void> {
    this.wantsReconcile = true;
    if (this.isReconciling) return;
    this.isReconciling = true;
    try {
      while (this.wantsReconcile && !this.isStopped) {
        this.wantsReconcile = false;
        await this.reconcileOnce();
      }
    } finally {
      this.isReconciling = false;
    }
  }

  /** Makes allocator and API agree about which blocks are ours; see the head of this file. */
  private async reconcileOnce(): Promise<void> {
    const { cluster, allocator, node, store, log } = this.options;
    const claims = new Map([...cluster.all('ipamBlocks').values()].map((block) => [block.spec.cidr, block.spec]));
    let hasChanged = false;
    try {
      for (const { cidr, node: owner, pool } of claims.values()) {
        const prefix = tryParsePrefix(cidr);
        if (prefix === undefined || owner !== node || allocator.usageOf(cidr) !== undefined) continue;
        await allocator.addBlock({ prefix, pool });
        hasChanged = true;
      }
      for (const { prefix, pool } of allocator.ownBlocks()) {
        const cidr = formatPrefix(prefix);
        if (!claims.has(cidr) && (await store.create({ cidr, node, pool })) === 'created') continue;
        const owner = claims.get(cidr)?.node;
        if (owner === node) continue;
        log.error(
          { block: cidr, owner },
          `Block ${cidr} belongs to ${owner === undefined ? 'another node' : `node "${owner}"`} now; giving it up`,
        );
        await allocator.removeBlock(prefix);
        hasChanged = true;
      }
    } catch (error) {
      log.warn({ problem: messageOf(error) }, 'Cannot bring block claims in step; trying again');
      if (!this.isStopped) setTimeout(() => void this.reconcile(), RETRY).unref();
    }
    if (hasChanged) this.options.onBlocks();
    this.claimAhead();
  }
}
