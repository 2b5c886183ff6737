/**
 * Addresses: which pools serve which pod, blocks claimed ahead of need and given back when no pool of this node has them any more.
 *
 *   IPPool, Node, Namespace -> pools this node and this pod may use (node-pools.ts)
 *   allocator wants a block -> claim (block-claims.ts)      block in no pool, and empty twice -> given back
 *   IPReservation, blocks of others -> addresses that are held back
 *
 * The path of a pod only touches memory and the journal; it waits for a claim when nothing at all is left.
 */
import {
  AddressRefusedError,
  NoAddressError,
  type Allocator,
  type BlockStore,
  type Owner,
  type PoolProblem,
} from '@tortie/ipam';
import {
  containsAddress,
  containsPrefix,
  formatPrefix,
  parseAddress,
  type Family,
  type IpPrefix,
} from 'node-bgp/address';
import type { Cluster } from '../cluster/cluster.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { BlockClaims } from './block-claims.js';
import { choosePools, nodePoolsOf, servesUnasked, type Matches, type NodePool, type NodePools } from './node-pools.js';
import type { AddressRequest } from './pool-annotations.js';
import { parseReserved } from './reservations.js';

export interface IpamLoopOptions {
  readonly node: string;
  readonly cluster: Cluster;
  readonly allocator: Allocator;
  /** Those that this node's kernel has; default both. */
  readonly families?: readonly Family[];
  readonly store: BlockStore;
  readonly matches: Matches;
  readonly log: Logger;
  /** The node's blocks changed: advertise, blackhole. */
  readonly onBlocks: () => void;
  readonly onHealth: () => void;
  /** Milliseconds between two looks for blocks that no pool has; default 30 s. */
  readonly lookInterval?: number;
}

const RETRY = 2_000;
/** How long a pod may wait for a new block. */
const CLAIM_WAIT = 8_000;
const LOOK_INTERVAL = 30_000;
const FAMILIES: readonly Family[] = [4, 6];

export class IpamLoop {
  readonly claims: BlockClaims;
  private pools: NodePools = { pools: [], problems: [] };
  private reserved: readonly IpPrefix[] = [];
  private foreign: readonly IpPrefix[] = [];
  /** Claims under way by the pools that they are for. BOUNDED by the pods that wait. */
  private readonly claiming = new Map<string, Promise<string | undefined>>();
  /** Why no block can be had ahead of need. */
  private readonly claimProblems = new Map<Family, string>();
  /** Blocks that no pool had, and nobody an address of, at the last look. */
  private unused: ReadonlySet<string> = new Set();
  private retry: NodeJS.Timeout | undefined;
  private look: NodeJS.Timeout | undefined;
  private isStarted = false;
  private isStopped = false;

  constructor(private readonly options: IpamLoopOptions) {
    const { node, cluster, allocator, store, log, onBlocks, onHealth } = options;
    this.claims = new BlockClaims({
      node,
      cluster,
      allocator,
      store,
      log,
      onBlocks,
      onForeign: (foreign) => {
        const texts = (prefixes: readonly IpPrefix[]): string => prefixes.map(formatPrefix).join();
        if (texts(foreign) === texts(this.foreign)) return;
        this.foreign = foreign;
        allocator.holdBack({ reserved: this.reserved, foreign });
        onHealth();
      },
    });
  }

  /** Call after the first sync: nothing is claimed before the claims of others are known, and our own are taken up. */
  async start(): Promise<void> {
    const { cluster, node, lookInterval } = this.options;
    cluster.onChange((change) => {
      if (change.isStatusOnly === true) return;
      if (change.kind === 'ipPools' || (change.kind === 'nodes' && change.object.metadata.name === node))
        this.poolsChanged();
      if (change.kind === 'ipReservations') this.reservationsChanged();
      if (change.kind === 'ipamBlocks' && this.claims.concerns(change.object)) void this.reconcile();
    });
    this.readPools();
    this.reservationsChanged();
    await this.claims.reconcile();
    this.isStarted = true;
    this.claimAhead();
    this.look = setInterval(() => void this.releaseUnused(), lookInterval ?? LOOK_INTERVAL).unref();
  }

  stop(): void {
    this.isStopped = true;
    this.claims.stop();
    clearTimeout(this.retry);
    clearInterval(this.look);
  }

  /** What an operator should mend, in sentences. */
  problems(): readonly string[] {
    return [
      ...this.pools.problems.map(({ message }) => message),
      ...this.claimProblems.values(),
      ...this.claims.problems(),
    ];
  }

  /** Pools that this node cannot use as they are written, part by part. */
  unusablePools(): readonly PoolProblem[] {
    return this.pools.problems;
  }

  /**
   * Why no pod whatever could get an address; undefined while some could. A pool that is full or odd is a problem, but not for
   * every pod: the kubelet takes the runtime's word for the whole node.
   */
  whyNoAddress(): string | undefined {
    if (this.pools.pools.some((pool) => servesUnasked({ ...pool, isManual: false }))) return undefined;
    return `Cannot assign an address to any pod: ${this.pools.problems[0]?.message ?? 'no enabled IPPool may serve this node'}`;
  }

  /**
   * Addresses for one interface, one a family, on disk.
   * @throws NoAddressError when there is none to be had in time, AddressRefusedError
   */
  async assign(owner: Owner, { pools: wanted, addresses }: AddressRequest): Promise<readonly string[]> {
    const held = this.options.allocator.addressesOfOwner(owner);
    if (held.length > 0) return held;
    if (addresses.length > 0) return this.assignExactly(owner, addresses);
    const { cluster, matches, allocator } = this.options;
    const namespaceLabels = new Map(Object.entries(cluster.get('namespaces', owner.namespace)?.metadata.labels ?? {}));
    const pools = choosePools(this.pools, { wanted, namespaceLabels, matches });
    const families = FAMILIES.filter((family) => pools.some(({ prefix }) => prefix.family === family));
    const until = Date.now() + CLAIM_WAIT;
    for (;;) {
      try {
        return await allocator.assign({ owner, families, pools });
      } catch (error) {
        if (!(error instanceof NoAddressError) || Date.now() >= until) throw error;
        await this.claimFor(
          error,
          pools.filter(({ prefix }) => prefix.family === error.family),
          until,
        );
      } finally {
        this.claimAhead();
      }
    }
  }

  /** The very addresses that a pod asks for: from a block of this node, or from one that nobody owns. Reserved ones too. */
  private async assignExactly(owner: Owner, addresses: readonly string[]): Promise<readonly string[]> {
    for (const text of addresses) {
      const address = parseAddress(text);
      const refused = (why: string): AddressRefusedError =>
        new AddressRefusedError(`Cannot assign address ${text}, which the pod asks for: ${why}`);
      const pool = this.pools.pools.find(({ prefix }) => containsAddress(prefix, address));
      if (pool === undefined) throw refused('it lies in no IPPool that this node can use');
      if (pool.isDisabled) throw refused(`pool "${pool.name}" is disabled`);
      if (this.options.allocator.ownBlocks().some(({ prefix }) => containsAddress(prefix, address))) continue;
      const other = await this.claims.claimContaining(address, pool);
      if (other !== undefined)
        throw refused(`it lies in block ${other.cidr} of node "${other.node}", and nodes do not borrow addresses`);
    }
    const families = addresses.map((address) => parseAddress(address).family);
    return this.options.allocator.assign({ owner, families, pools: [], addresses });
  }

  private async claimFor(error: NoAddressError, pools: readonly NodePool[], until: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve('claiming another block takes too long'), Math.max(0, until - Date.now()));
    });
    const problem = await Promise.race([this.claim(pools), late]);
    clearTimeout(timer);
    if (problem !== undefined) throw new NoAddressError(`${error.message}; ${problem}`, error.family);
  }

  private poolsChanged(): void {
    this.readPools();
    this.claimAhead();
  }

  private readPools(): void {
    const { cluster, node, matches, families = FAMILIES, log, onHealth } = this.options;
    const labels = new Map(Object.entries(cluster.get('nodes', node)?.metadata.labels ?? {}));
    const known = new Set(this.pools.problems.map(({ message }) => message));
    this.pools = nodePoolsOf(cluster.all('ipPools').values(), { labels, matches, families });
    for (const { message } of this.pools.problems) if (!known.has(message)) log.error(message);
    onHealth();
  }

  private reservationsChanged(): void {
    this.reserved = [...this.options.cluster.all('ipReservations').values()]
      .flatMap(({ spec }) => spec.reservedCIDRs ?? [])
      .map(parseReserved)
      .filter((prefix) => prefix !== undefined);
    this.options.allocator.holdBack({ reserved: this.reserved, foreign: this.foreign });
    this.claimAhead();
  }

  private async reconcile(): Promise<void> {
    await this.claims.reconcile();
    this.claimAhead();
  }

  /** Fills up in the background; only for pods that ask for nothing: another pool is claimed from when somebody needs it. */
  private claimAhead(): void {
    if (this.isStopped || !this.isStarted) return;
    for (const family of FAMILIES) {
      const pools = this.pools.pools.filter(
        (pool) => pool.prefix.family === family && servesUnasked(pool) && pool.namespaceSelector === undefined,
      );
      if (pools.length === 0 || !this.options.allocator.wantsBlock(family, pools))
        this.setClaimProblem(family, undefined);
      else
        void this.claim(pools).then((problem) => {
          this.setClaimProblem(family, problem);
          clearTimeout(this.retry);
          if (problem !== undefined && !this.isStopped) this.retry = setTimeout(() => this.claimAhead(), RETRY).unref();
        });
    }
  }

  /** One claim for the same pools at a time. Resolves to why there is none. */
  private claim(pools: readonly NodePool[]): Promise<string | undefined> {
    const key = pools.map(({ name }) => name).join('\0');
    const running = this.claiming.get(key);
    if (running !== undefined) return running;
    const claim = this.claims
      .claimFrom(pools)
      .then(() => undefined, messageOf)
      .finally(() => this.claiming.delete(key));
    this.claiming.set(key, claim);
    return claim;
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

  /**
   * Gives back blocks in which nobody has an address, at two looks in a row, and that lie in no pool that selects this node: deleted,
   * made anew with another range, or elsewhere by nodeSelector. A disabled pool keeps its blocks, and a live one the node's last.
   */
  async releaseUnused(): Promise<void> {
    const { allocator, cluster, log } = this.options;
    // Half the truth about pools would take blocks from pods that are about to come.
    if (['ipPools', 'nodes', 'ipamBlocks'].some((kind) => cluster.problems().has(kind as 'ipPools'))) return;
    const selecting = this.pools.pools.filter(({ selectsNode }) => selectsNode);
    const unused = allocator.ownBlocks().filter(({ prefix }) => {
      const isEmpty = allocator.usageOf(formatPrefix(prefix))?.assigned === 0;
      return isEmpty && !selecting.some((pool) => containsPrefix(pool.prefix, prefix));
    });
    const before = this.unused;
    this.unused = new Set(unused.map(({ prefix }) => formatPrefix(prefix)));
    for (const { prefix, pool } of unused) {
      if (!before.has(formatPrefix(prefix))) continue;
      try {
        await this.claims.release(prefix, pool);
      } catch (error) {
        log.warn({ block: formatPrefix(prefix), problem: messageOf(error) }, 'Cannot give a block back; trying again');
      }
    }
  }
}
