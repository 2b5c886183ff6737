/**
 * Addresses: which pools serve which pod, blocks claimed ahead of need and given back when no pool of this node has them any more.
 *
 *   IPPool, Node, Namespace -> pools this node and this pod may use (node-pools.ts)
 *   allocator wants a block -> claim (block-claims.ts)      block in no pool, and empty twice -> given back
 *   IPReservation, blocks of others -> addresses that are held back
 *   a pool is full -> offers to others (lending-plan.ts), and borrowed from them (block-lending.ts)
 *
 * The path of a pod only touches memory and the journal; it waits for a claim when nothing at all is left: what the node offers is
 * taken back, then another block claimed, or a vacant one taken over, and last of all an address borrowed.
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
  hostPrefix,
  parseAddress,
  tryParsePrefix,
  type Family,
  type IpPrefix,
} from 'node-bgp/address';
import type { Cluster } from '../cluster/cluster.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { BlockClaims } from './block-claims.js';
import { BlockLending } from './block-lending.js';
import { BlockUpkeep } from './block-upkeep.js';
import { KeptAddresses, NOTHING_RECALLED, type Recalled } from './kept-addresses.js';
import { ipamSettings } from './lending-plan.js';
import { isNodeCidrBlock, nodeCidrsOf, withNodeCidrs, type NodeCidrs } from './node-cidrs.js';
import { choosePools, nodePoolsOf, servesUnasked, type Matches, type NodePool, type NodePools } from './node-pools.js';
import type { AddressRequest } from './pool-annotations.js';
import { parseReserved } from './reservations.js';
import { isBlockOf } from './stray-addresses.js';
import { Turn } from './turn.js';

export interface IpamLoopOptions {
  readonly node: string;
  readonly cluster: Cluster;
  readonly allocator: Allocator;
  /** Pods that ask for no pool get addresses of the node's own spec.podCIDRs; default false. */
  readonly usesNodeCidrs?: boolean;
  /** Those that this node's kernel has; default both. */
  readonly families?: readonly Family[];
  readonly store: BlockStore;
  readonly matches: Matches;
  readonly log: Logger;
  /** The node's blocks, or what it has borrowed, changed: advertise, blackhole. */
  readonly onBlocks: () => void;
  /** Another node may have used these addresses until now. */
  readonly onUsedElsewhere: (addresses: readonly string[]) => void;
  readonly onHealth: () => void;
  /** Milliseconds between two looks for blocks that no pool has; default 30 s. */
  readonly lookInterval?: number;
}

const RETRY = 2_000;
/** How long a pod may wait for a new block. */
const CLAIM_WAIT = 8_000;
/** How long a pod waits for somebody to offer an address. */
const OFFER_WAIT = 3_000;
const OFFER_POLL = 250;
const FAMILIES: readonly Family[] = [4, 6];

export class IpamLoop {
  readonly claims: BlockClaims;
  readonly lending: BlockLending;
  readonly upkeep: BlockUpkeep;
  private readonly keptAddresses: KeptAddresses;
  private pools: NodePools = { pools: [], problems: [] };
  private reserved: readonly IpPrefix[] = [];
  private foreign: readonly IpPrefix[] = [];
  /** Claims under way by the pools that they are for. BOUNDED by the pods that wait. */
  private readonly claiming = new Map<string, Promise<string | undefined>>();
  /** Why no block can be had ahead of need. */
  private readonly claimProblems = new Map<Family, string>();
  private retry: NodeJS.Timeout | undefined;
  private isStarted = false;
  private isStopped = false;

  constructor(private readonly options: IpamLoopOptions) {
    const { node, cluster, allocator, store, log, onBlocks, onHealth, onUsedElsewhere } = options;
    const turn = new Turn();
    this.lending = new BlockLending({
      node,
      cluster,
      allocator,
      store,
      turn,
      log,
      onBorrowed: onBlocks,
      onUsedElsewhere,
    });
    this.keptAddresses = new KeptAddresses({
      node,
      cluster,
      allocator,
      lending: this.lending,
      mayBorrow: () => ipamSettings(cluster).mayBorrow,
      log,
    });
    this.claims = new BlockClaims({
      node,
      cluster,
      allocator,
      store,
      turn,
      mostBlocks: () => ipamSettings(cluster).mostBlocks,
      isBlock: (prefix) =>
        isBlockOf(prefix, cluster.all('ipPools').values()) || isNodeCidrBlock(prefix, this.nodeCidrs()),
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
    this.upkeep = new BlockUpkeep({
      ...options,
      claims: this.claims,
      lending: this.lending,
      pools: () => this.pools.pools,
    });
  }

  /** Call after the first sync: nothing is claimed before the claims of others are known, and our own are taken up. */
  async start(): Promise<void> {
    const { cluster, node, onBlocks } = this.options;
    for (const block of cluster.all('ipamBlocks').values()) this.lending.blockChanged('upsert', block);
    cluster.onChange((change) => {
      if (change.isStatusOnly === true) return;
      if (change.kind === 'ipPools' || (change.kind === 'nodes' && change.object.metadata.name === node))
        this.poolsChanged();
      if (change.kind === 'ipReservations') this.reservationsChanged();
      if (change.kind === 'ipamConfigurations') this.upkeep.levelSoon();
      if (change.kind !== 'ipamBlocks') return;
      this.upkeep.levelSoon();
      if (this.lending.blockChanged(change.type, change.object)) onBlocks();
      if (this.claims.concerns(change.object)) void this.reconcile();
    });
    this.readPools();
    this.reservationsChanged();
    await this.claims.reconcile();
    this.isStarted = true;
    this.claimAhead();
    this.upkeep.start();
  }

  stop(): void {
    this.isStopped = true;
    this.claims.stop();
    this.upkeep.stop();
    clearTimeout(this.retry);
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
   * Addresses for one interface, one a family, on disk. `onTaken` hears when they are chosen and on their way there.
   * @throws NoAddressError when there is none to be had in time, AddressRefusedError
   */
  async assign(
    owner: Owner,
    { pools: wanted, addresses, withoutIpam = [] }: AddressRequest,
    onTaken?: () => void,
  ): Promise<readonly string[]> {
    const held = this.options.allocator.addressesOfOwner(owner);
    if (held.length > 0) return held;
    if (withoutIpam.length > 0) {
      const families = withoutIpam.map((address) => parseAddress(address).family);
      return this.options.allocator.assign({ owner, families, pools: [], borrowed: withoutIpam, onTaken });
    }
    if (addresses.length > 0) return this.assignExactly(owner, addresses, onTaken);
    const { cluster, matches } = this.options;
    const namespaceLabels = new Map(Object.entries(cluster.get('namespaces', owner.namespace)?.metadata.labels ?? {}));
    const pools = choosePools(this.pools, { wanted, namespaceLabels, matches });
    const recalled = await this.recall(owner, (address) =>
      pools.some(({ prefix }) => containsAddress(prefix, parseAddress(address))),
    );
    return this.assignFrom(owner, pools, onTaken, recalled);
  }

  /** An address of the node itself, for its tunnel, from one of these pools. @throws NoAddressError */
  async assignToNode(owner: Owner, family: Family, poolNames: readonly string[]): Promise<readonly string[]> {
    const pools = this.pools.pools.filter(({ name, prefix }) => prefix.family === family && poolNames.includes(name));
    const usable = pools.filter((pool) => !pool.isDisabled && pool.isForTunnels && pool.selectsNode);
    if (usable.length > 0) return this.assignFrom(owner, usable);
    throw new NoAddressError(
      `Cannot assign an IPv${family} address to this node's tunnel: of ${poolNames.map((name) => `pool "${name}"`).join(', ')} ` +
        'none is enabled, selects this node, and has Tunnel among its allowedUses',
      family,
    );
  }

  private recall({ keep }: Owner, mayServe: (address: string) => boolean): Promise<Recalled> {
    return keep === undefined ? Promise.resolve(NOTHING_RECALLED) : this.keptAddresses.recall(keep.keptFor, mayServe);
  }

  private async assignFrom(
    owner: Owner,
    pools: readonly NodePool[],
    onTaken?: () => void,
    recalled: Recalled = NOTHING_RECALLED,
  ): Promise<readonly string[]> {
    const { allocator } = this.options;
    const families = FAMILIES.filter((family) => pools.some(({ prefix }) => prefix.family === family));
    const until = Date.now() + CLAIM_WAIT;
    let addresses = recalled.own;
    const borrowed: string[] = [...recalled.borrowed];
    try {
      for (;;) {
        try {
          return await allocator.assign({ owner, families, pools, addresses, borrowed, onTaken });
        } catch (error) {
          if (error instanceof AddressRefusedError && addresses.length > 0) {
            // Kept, and an older block has it too by now: any other will do.
            addresses = [];
            continue;
          }
          if (!(error instanceof NoAddressError) || Date.now() >= until) throw error;
          const ofFamily = pools.filter(({ prefix }) => prefix.family === error.family);
          const address = await this.obtain(error, ofFamily, until);
          if (address !== undefined) borrowed.push(address);
        } finally {
          this.claimAhead();
        }
      }
    } finally {
      for (const address of [...recalled.own, ...borrowed]) this.lending.settle(address);
    }
  }

  /** What this node has borrowed, as prefixes of one address: it alone can say where they are. */
  borrowedRecords(): readonly { readonly cidr: string; readonly pool: string }[] {
    return this.lending
      .borrowedRecords()
      .map(({ address, pool }) => ({ cidr: formatPrefix(hostPrefix(parseAddress(address))), pool }));
  }

  /** Somebody here gave an address back: perhaps a borrowed one. */
  attachmentsChanged(): void {
    if (this.lending.hasBorrowed()) void this.lending.levelBorrowed();
    if (this.options.allocator.kept().some(({ isUntold }) => isUntold)) this.upkeep.levelSoon();
  }

  /**
   * Makes room for one more address: resolves to a borrowed one, or undefined when there is room in the node's own blocks.
   * @throws NoAddressError
   */
  private async obtain(error: NoAddressError, pools: readonly NodePool[], until: number): Promise<string | undefined> {
    const { allocator } = this.options;
    const before = allocator.ownBlocks().length;
    if (await this.lending.reclaim(error.family, pools)) return undefined;
    const problem = await this.claimFor(pools, until);
    // The last block of the pool may have become ours by a claim for other pods meanwhile.
    if (problem === undefined || allocator.ownBlocks().length > before) return undefined;
    if (!ipamSettings(this.options.cluster).mayBorrow)
      throw new NoAddressError(
        `${error.message}; ${problem}; no node borrows from another (strictAffinity)`,
        error.family,
      );
    const patience = Math.min(until, Date.now() + OFFER_WAIT);
    for (;;) {
      const address = await this.lending.borrow(error.family, pools);
      if (address !== undefined) return address;
      if (Date.now() >= patience || !this.hasLenders(pools)) break;
      await this.options.cluster.nextChange(OFFER_POLL);
    }
    throw new NoAddressError(`${error.message}; ${problem}; no other node offers one`, error.family);
  }

  /** Is there a block of another node that might offer something? */
  private hasLenders(pools: readonly NodePool[]): boolean {
    const { cluster, node } = this.options;
    return [...cluster.all('ipamBlocks').values()].some(({ spec }) => {
      const prefix = spec.node === node ? undefined : tryParsePrefix(spec.cidr);
      return prefix !== undefined && pools.some((pool) => containsPrefix(pool.prefix, prefix));
    });
  }

  /** The very addresses that a pod asks for: from a block of this node, or from one that nobody owns. Reserved ones too. */
  private async assignExactly(
    owner: Owner,
    addresses: readonly string[],
    onTaken: (() => void) | undefined,
  ): Promise<readonly string[]> {
    const recalled = await this.recall(owner, (address) => addresses.includes(address));
    const borrowed: string[] = [...recalled.borrowed];
    try {
      for (const text of addresses)
        if (!borrowed.includes(text) && (await this.makeOwn(text)) === 'borrowed') borrowed.push(text);
      const families = addresses.map((address) => parseAddress(address).family);
      const own = addresses.filter((address) => !borrowed.includes(address));
      return await this.options.allocator.assign({ owner, families, pools: [], addresses: own, borrowed, onTaken });
    } finally {
      for (const address of [...recalled.own, ...borrowed]) this.lending.settle(address);
    }
  }

  /** Makes an address one that this node can give out. @throws AddressRefusedError */
  private async makeOwn(text: string): Promise<'own' | 'borrowed'> {
    const address = parseAddress(text);
    const refused = (why: string): AddressRefusedError =>
      new AddressRefusedError(`Cannot assign address ${text}, which the pod asks for: ${why}`);
    const pool = this.pools.pools.find(({ prefix }) => containsAddress(prefix, address));
    if (pool === undefined) throw refused('it lies in no IPPool that this node can use');
    if (pool.isDisabled) throw refused(`pool "${pool.name}" is disabled`);
    if (this.options.allocator.ownBlocks().some(({ prefix }) => containsAddress(prefix, address))) return 'own';
    const other = await this.claims.claimContaining(address, pool);
    if (other === undefined) return 'own';
    const isOthers = `it lies in block ${other.cidr} of node "${other.node}"`;
    if (!ipamSettings(this.options.cluster).mayBorrow) throw refused(`${isOthers}, and no node borrows from another`);
    if (!(await this.lending.borrowExactly(text, other.cidr))) throw refused(`${isOthers}, which does not offer it`);
    return 'borrowed';
  }

  /** Resolves to why no block can be had. */
  private async claimFor(pools: readonly NodePool[], until: number): Promise<string | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve('claiming another block takes too long'), Math.max(0, until - Date.now()));
    });
    const problem = await Promise.race([this.claim(pools), late]);
    clearTimeout(timer);
    return problem;
  }

  private poolsChanged(): void {
    this.readPools();
    // A block of this node may have waited for its pool.
    if (this.isStarted) void this.reconcile();
    this.claimAhead();
    this.upkeep.levelSoon();
  }

  private readPools(): void {
    const { cluster, node, matches, families = FAMILIES, log, onHealth } = this.options;
    const labels = new Map(Object.entries(cluster.get('nodes', node)?.metadata.labels ?? {}));
    const known = new Set(this.pools.problems.map(({ message }) => message));
    const found = nodePoolsOf(cluster.all('ipPools').values(), { labels, matches, families });
    const cidrs = this.nodeCidrs();
    this.pools = { pools: withNodeCidrs(found.pools, cidrs), problems: [...found.problems, ...cidrs.problems] };
    for (const { message } of this.pools.problems) if (!known.has(message)) log.error(message);
    onHealth();
  }

  private nodeCidrs(): NodeCidrs {
    const { cluster, node, families = FAMILIES, usesNodeCidrs = false } = this.options;
    return usesNodeCidrs ? nodeCidrsOf(cluster.get('nodes', node), families) : { pools: [], problems: [] };
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
}
