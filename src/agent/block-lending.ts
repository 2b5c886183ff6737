/**
 * Addresses that one node lends another, through the records of their blocks in the store.
 *
 *   owner     sets free addresses aside (journal) -> record.offers                      taken back by the same swap, then given out
 *   borrower  record: an offer becomes a loan -> its pod has the address (journal)      pod gone -> the loan goes from the record
 *   owner     sees that a loan is gone -> the address rests, then is free again
 *
 * The owner gives out from memory and asks nobody, so nobody may take what it has not offered. What it has offered or lent is in its
 * journal before the record says so, and comes back to its pods only after a swap has said that it is neither. A write whose answer
 * was lost may arrive yet: until a later swap of the same record has made it void, what it offered stays aside (`isUncertain`).
 *
 * What is kept for a pod that may come again (kept-addresses.ts) is an offer to that pod alone: `kept` becomes a loan where it
 * comes on another node, and a loan becomes `kept` again when it goes.
 *
 * A block in which nobody has an address is offered whole: `vacant` (claim.ts takes it over). Not here: how much to offer and
 * when to borrow (ipam-loop.ts).
 */
import type { Allocator, BlockRecord, BlockStore, Kept, Lending, ServingPool, StoredBlock } from '@tortie/ipam';
import {
  containsAddress,
  containsPrefix,
  formatPrefix,
  parseAddress,
  tryParsePrefix,
  type Family,
} from 'node-bgp/address';
import type { IPAMBlock } from '../api/ipam.js';
import type { Cluster } from '../cluster/cluster.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { blockName } from './kubernetes-block-store.js';
import type { Turn } from './turn.js';

export interface BlockLendingOptions {
  readonly node: string;
  readonly cluster: Cluster;
  readonly allocator: Allocator;
  readonly store: BlockStore;
  /** Shared with whoever else changes this node's blocks. */
  readonly turn: Turn;
  readonly log: Logger;
  /** The set of borrowed addresses changed: advertise. */
  readonly onBorrowed: () => void;
  /** Others may have used these addresses until now. */
  readonly onUsedElsewhere: (addresses: readonly string[]) => void;
}

/** What a block should offer. */
export interface Wanted {
  readonly offers: number;
  readonly isVacant: boolean;
  /** Is an address to be kept on? Default: it is. */
  readonly isKept?: (kept: Kept) => boolean;
}

export const NOTHING_WANTED: Wanted = { offers: 0, isVacant: false };

/** Swaps that are lost in a row before something else is tried. */
const MOST_TRIES = 5;
const MOST_CANDIDATES = 8;

export const lendingOfRecord = ({ offers = [], loans = [], vacant = false, kept = [] }: BlockRecord): Lending => ({
  offers,
  loans,
  vacant,
  kept,
});

export class BlockLending {
  /** Addresses that this node has of others' blocks, each with its block. BOUNDED by the pods of the node. */
  private readonly borrowed = new Map<string, string>();
  /** Those that the records say so of, as the watch or we last read them. BOUNDED likewise. */
  private readonly confirmed = new Set<string>();
  /** Borrowed, and on their way to a pod. BOUNDED by the pods that wait. */
  private readonly inHand = new Set<string>();
  /** Kept addresses of own blocks, on their way to a pod: the records say them no more. BOUNDED by the pods that wait. */
  private readonly recalled = new Set<string>();
  /** Blocks with a write whose outcome nobody knows. BOUNDED by the node's blocks. */
  private readonly uncertain = new Set<string>();

  constructor(private readonly options: BlockLendingOptions) {
    for (const { cidr } of options.allocator.ownBlockRecords()) this.uncertain.add(cidr);
  }

  /** After the first sync, and with every change of a block. True when it is about an address that this node has borrowed. */
  blockChanged(type: 'upsert' | 'delete', { spec: { cidr, loans = [] } }: IPAMBlock): boolean {
    const before = [...this.borrowed].filter(([, block]) => block === cidr).map(([address]) => address);
    // The watch may be behind what we have swapped since: what a pod has stays borrowed until the record itself was asked.
    for (const address of before) this.confirmed.delete(address);
    if (type === 'upsert')
      for (const { address, node, handle } of loans)
        if (node === this.options.node && handle === undefined) this.keep(address, cidr);
    return before.length > 0 || loans.some(({ node }) => node === this.options.node);
  }

  hasBorrowed(): boolean {
    return this.borrowed.size > 0;
  }

  /** Borrowed addresses that pods of this node have, with the pool of their block, as the watch last told. */
  borrowedRecords(): readonly { readonly address: string; readonly pool: string }[] {
    const { allocator, cluster } = this.options;
    return [...this.borrowed]
      .filter(([address]) => allocator.holderOf(address) !== undefined)
      .map(([address, cidr]) => ({ address, pool: cluster.get('ipamBlocks', blockName(cidr))?.spec.pool ?? '' }));
  }

  /** Brings the records of this node's blocks to what is wanted of each; the others go on when one fails. */
  async levelOwn(wanted: (cidr: string) => Wanted): Promise<void> {
    for (const { cidr } of this.options.allocator.ownBlockRecords())
      await this.options.turn.run(async () => {
        if (!this.isNews(cidr, wanted(cidr))) return;
        try {
          await this.swap(cidr, wanted(cidr));
        } catch (error) {
          this.options.log.warn({ block: cidr, problem: messageOf(error) }, 'Cannot level what is lent; trying again');
        }
      });
  }

  /** Takes back what the node offers of these pools, block by block until something came back. False: nothing did. */
  async reclaim(family: Family, pools: readonly ServingPool[]): Promise<boolean> {
    const { allocator, turn } = this.options;
    const offering = allocator.ownBlocks().flatMap(({ prefix }) => {
      const cidr = formatPrefix(prefix);
      const isServing = prefix.family === family && pools.some((pool) => containsPrefix(pool.prefix, prefix));
      return isServing && isOffering(allocator.lendingOf(cidr)) ? [cidr] : [];
    });
    if (offering.length === 0) return false;
    return turn.run(async () => {
      for (const cidr of offering) {
        const before = allocator.lendingOf(cidr);
        // Whoever had the turn before may have done it.
        if (before === undefined || !isOffering(before)) return true;
        const after = await this.swap(cidr, NOTHING_WANTED);
        const lent = new Set(after?.loans.map(({ address }) => address));
        if (after !== undefined && (before.vacant || before.offers.some((address) => !lent.has(address)))) return true;
      }
      return false;
    });
  }

  /** One address that another node offers; `settle` it. Undefined: nobody offers one. */
  async borrow(family: Family, pools: readonly ServingPool[]): Promise<string | undefined> {
    for (const cidr of this.lenders(family, pools)) {
      const address = await this.borrowFrom(cidr, ({ offers = [] }) => {
        const free = this.unheld(offers);
        return free[Math.floor(Math.random() * free.length)];
      });
      if (address !== undefined) return address;
    }
    return undefined;
  }

  /** This very address, if its owner offers it; `settle` it. */
  async borrowExactly(address: string, cidr: string): Promise<boolean> {
    const choose = ({ offers = [] }: BlockRecord): string | undefined =>
      this.unheld(offers).find((each) => each === address);
    return (await this.borrowFrom(cidr, choose)) !== undefined;
  }

  /** This very address of another node's block, if it is still kept for the same; `settle` it. */
  async borrowKept({ address, keptFor }: Kept, cidr: string): Promise<boolean> {
    const choose = ({ kept = [] }: BlockRecord): string | undefined =>
      kept.find((each) => each.address === address && each.keptFor === keptFor)?.address;
    return (await this.borrowFrom(cidr, choose)) !== undefined;
  }

  /** An address that this node has borrowed and that no pod has now, before it goes back; `settle` it. False: it has gone. */
  holdBorrowed(address: string): boolean {
    if (!this.borrowed.has(address) || this.options.allocator.holderOf(address) !== undefined) return false;
    this.inHand.add(address);
    return true;
  }

  /** Makes a kept address of an own block ready for who it is kept for: true when no other node can have it any more. `settle` it. */
  async recallOwn(cidr: string, address: string): Promise<boolean> {
    const { allocator, turn } = this.options;
    const isUntold = (): boolean => allocator.kept().some((each) => each.address === address && each.isUntold);
    this.recalled.add(address);
    if (isUntold()) return true;
    return turn.run(async () => {
      const memory = allocator.lendingOf(cidr);
      if (memory !== undefined && !isUntold())
        await this.swap(cidr, { offers: memory.offers.length, isVacant: memory.vacant });
      return isUntold();
    });
  }

  /** Keeps an address of an own block no more. False: it is not kept, or another node has it by now. */
  free(address: string): Promise<boolean> {
    const { allocator, turn } = this.options;
    return turn.run(async () => {
      const kept = allocator.kept().find((each) => each.address === address);
      const memory = kept && allocator.lendingOf(kept.cidr);
      if (kept === undefined || memory === undefined) return false;
      const isKept = (each: Kept): boolean => each.address !== address;
      const after = await this.swap(kept.cidr, { offers: memory.offers.length, isVacant: memory.vacant, isKept });
      return after !== undefined && ![...after.kept, ...after.loans].some((each) => each.address === address);
    });
  }

  /** The address has got its pod, or will not get one. */
  settle(address: string): void {
    this.recalled.delete(address);
    if (!this.inHand.delete(address)) return;
    this.options.onBorrowed();
    void this.levelBorrowed();
  }

  /** Gives back what no pod here has any more, and asserts what one has and no record says. Never rejects. */
  async levelBorrowed(): Promise<void> {
    const { allocator, log, turn } = this.options;
    const idle = [...this.borrowed].filter(
      ([address]) => !this.inHand.has(address) && allocator.holderOf(address) === undefined,
    );
    if (idle.length > 0) this.options.onBorrowed();
    for (const address of [...allocator.keptOutside().keys()])
      if (!this.borrowed.has(address)) allocator.forgetOutside(address);
    const missing = allocator.outsideAddresses().filter((address) => !this.confirmed.has(address));
    for (const [address, cidr] of idle)
      await turn
        .run(() => this.giveBack(address, cidr))
        .catch((error: unknown) => log.warn({ address, problem: messageOf(error) }, 'Cannot give an address back'));
    for (const address of missing)
      await turn
        .run(() => this.assert(address))
        .catch((error: unknown) => log.warn({ address, problem: messageOf(error) }, 'Cannot assert an address'));
  }

  private keep(address: string, cidr: string): void {
    this.borrowed.set(address, cidr);
    this.confirmed.add(address);
  }

  private forget(address: string): void {
    this.borrowed.delete(address);
    this.confirmed.delete(address);
    this.options.allocator.forgetOutside(address);
  }

  /** Does the record, as the watch has it, differ from what is wanted or from memory? */
  private isNews(cidr: string, wanted: Wanted): boolean {
    const { allocator, cluster, node } = this.options;
    const memory = allocator.lendingOf(cidr);
    const watched = cluster.get('ipamBlocks', blockName(cidr))?.spec;
    if (memory === undefined || watched?.node !== node) return false;
    return (
      !isSame(lendingOfRecord(watched), memory) ||
      memory.kept.some((kept) => wanted.isKept?.(kept) === false) ||
      wanted.offers !== memory.offers.length ||
      wanted.isVacant !== memory.vacant
    );
  }

  /** Brings one record to what is wanted; in turn. Returns what of the block is for others now; undefined: it is not ours. */
  private async swap(cidr: string, wanted: Wanted): Promise<Lending | undefined> {
    const { allocator, node, store } = this.options;
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const stored = await store.get(cidr);
      const memory = allocator.lendingOf(cidr);
      if (stored?.node !== node || memory === undefined) return undefined;
      const said = lendingOfRecord(stored);
      const base = this.uncertain.has(cidr) ? joined(said, memory) : said;
      // No pod here takes any more what is about to be told, without a swap.
      allocator.tellKept(cidr, addressesOf(base.kept));
      await this.learn(cidr, base);
      const isVoid = isSame(base, said);
      const next = isVoid ? await this.next(cidr, base, wanted) : base;
      if (isSame(next, said)) {
        this.uncertain.delete(cidr);
        await this.learn(cidr, next, wanted);
        return next;
      }
      this.uncertain.add(cidr);
      const written = await store.replace(stored, { cidr, node, pool: stored.pool, ...next });
      // Done or not, the record has another version now: whatever we wrote before is done too, or never will be.
      this.uncertain.delete(cidr);
      if (written === undefined) continue;
      await this.learn(cidr, next, isVoid ? wanted : undefined);
      if (isVoid) return next;
    }
    return allocator.lendingOf(cidr);
  }

  /** Sets aside what more is to be offered, before anybody hears of it. */
  private async next(cidr: string, base: Lending, wanted: Wanted): Promise<Lending> {
    const { allocator } = this.options;
    if (wanted.offers > base.offers.length) await allocator.offer(cidr, wanted.offers);
    const isVacant = wanted.isVacant && (await allocator.vacate(cidr));
    const { offers = [], kept: all = [] } = allocator.lendingOf(cidr) ?? {};
    const kept = all.filter((each) => !this.recalled.has(each.address) && wanted.isKept?.(each) !== false);
    allocator.tellKept(cidr, addressesOf(kept));
    return { offers: offers.slice(0, wanted.offers), loans: base.loans, vacant: isVacant, kept };
  }

  /**
   * What is kept and was never told stays, unless it is not wanted.
   * @param wanted the record is as it should be: what is on its way to a pod is as what was never told
   */
  private async learn(cidr: string, lending: Lending, wanted?: Wanted): Promise<void> {
    const { allocator } = this.options;
    const isOwn = ({ isUntold, ...kept }: ReturnType<Allocator['kept']>[number]): boolean =>
      wanted !== undefined && this.recalled.has(kept.address) ? true : isUntold && wanted?.isKept?.(kept) !== false;
    const said = new Set([...lending.offers, ...[...lending.loans, ...lending.kept].map(({ address }) => address)]);
    const own = allocator.kept().filter((each) => each.cidr === cidr && !said.has(each.address) && isOwn(each));
    const returned = await allocator.setLending(
      cidr,
      { ...lending, kept: [...lending.kept, ...own] },
      addressesOf(own),
    );
    if (returned.length > 0) this.options.onUsedElsewhere(returned);
  }

  /** Blocks of others in these pools that offer something, in an order of chance: many may look at once. */
  private lenders(family: Family, pools: readonly ServingPool[]): readonly string[] {
    const { cluster, node } = this.options;
    const found: string[] = [];
    for (const { spec } of cluster.all('ipamBlocks').values()) {
      if (spec.node === node || (spec.offers ?? []).length === 0) continue;
      const prefix = tryParsePrefix(spec.cidr);
      if (prefix?.family === family && pools.some((pool) => containsPrefix(pool.prefix, prefix))) found.push(spec.cidr);
    }
    return found
      .map((cidr) => [Math.random(), cidr] as const)
      .sort(([a], [b]) => a - b)
      .slice(0, MOST_CANDIDATES)
      .map(([, cidr]) => cidr);
  }

  /** A record that was restored may offer what a pod here has. */
  private unheld(addresses: readonly string[]): readonly string[] {
    return addresses.filter((each) => this.options.allocator.holderOf(each) === undefined);
  }

  /** @param choose one of what the block offers or keeps, and nobody here has */
  private borrowFrom(cidr: string, choose: (record: StoredBlock) => string | undefined): Promise<string | undefined> {
    const { allocator, log, node, onUsedElsewhere, store, turn } = this.options;
    return turn.run(async () => {
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        const stored = await store.get(cidr);
        if (stored === undefined || stored.node === node) return undefined;
        const { offers = [], loans = [], kept = [] } = stored;
        const address = choose(stored);
        if (address === undefined || allocator.holderOf(address) !== undefined) return undefined;
        this.inHand.add(address);
        const after = {
          cidr,
          node: stored.node,
          pool: stored.pool,
          offers: offers.filter((each) => each !== address),
          loans: [...loans, { address, node }],
          kept: kept.filter((each) => each.address !== address),
        };
        try {
          if ((await store.replace(stored, after)) === undefined) {
            this.inHand.delete(address);
            continue;
          }
        } catch (error) {
          this.inHand.delete(address);
          throw error;
        }
        this.keep(address, cidr);
        onUsedElsewhere([address]);
        log.info({ address, block: cidr, owner: stored.node }, 'Borrowed an address');
        return address;
      }
      return undefined;
    });
  }

  private async giveBack(address: string, cidr: string): Promise<void> {
    const { allocator, log, node, store } = this.options;
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      if (this.inHand.has(address) || allocator.holderOf(address) !== undefined) return;
      const stored = await store.get(cidr);
      const loans = stored?.loans ?? [];
      const rest = loans.filter((loan) => loan.address !== address || loan.node !== node);
      if (stored === undefined || rest.length === loans.length) {
        this.forget(address);
        return;
      }
      const kept = allocator.keptOutside().get(address);
      const isKept = kept !== undefined && !allocator.isPast(kept);
      const after = { ...stored, loans: rest, ...(isKept ? { kept: [...(stored.kept ?? []), kept] } : {}) };
      if ((await store.replace(stored, after)) === undefined) continue;
      this.forget(address);
      log.info({ address, block: cidr, owner: stored.node }, 'Gave a borrowed address back');
      return;
    }
  }

  /** A pod here has an address of another's block, and its record says nothing of it: it was restored, or edited. */
  private async assert(address: string): Promise<void> {
    const { allocator, cluster, log, node, store } = this.options;
    const parsed = parseAddress(address);
    if (allocator.holderOf(address) === undefined || !allocator.outsideAddresses().includes(address)) return;
    for (const { spec } of cluster.all('ipamBlocks').values()) {
      const prefix = tryParsePrefix(spec.cidr);
      if (prefix === undefined || !containsAddress(prefix, parsed)) continue;
      const stored = await store.get(spec.cidr);
      if (stored === undefined || stored.node === node) continue;
      const loan = stored.loans?.find((each) => each.address === address);
      if (loan !== undefined) {
        if (loan.node === node) this.keep(address, spec.cidr);
        else log.error({ address, node: loan.node }, 'Two nodes have borrowed one address');
        return;
      }
      const offers = stored.offers?.filter((each) => each !== address) ?? [];
      const kept = stored.kept?.filter((each) => each.address !== address) ?? [];
      const after = { ...stored, offers, kept, loans: [...(stored.loans ?? []), { address, node }], vacant: false };
      if ((await store.replace(stored, after)) === undefined) return;
      this.keep(address, spec.cidr);
      log.warn({ address, block: spec.cidr, owner: stored.node }, 'Asserted an address that a pod here has');
      return;
    }
  }
}

const isOffering = (lending: Lending | undefined): boolean =>
  lending !== undefined && (lending.vacant || lending.offers.length > 0);

const isSame = (a: Lending, b: Lending): boolean =>
  a.vacant === b.vacant &&
  sortedText(a.offers) === sortedText(b.offers) &&
  sortedText(a.loans.map(({ address, node }) => `${address} ${node}`)) ===
    sortedText(b.loans.map(({ address, node }) => `${address} ${node}`)) &&
  sortedText(a.kept.map(keptText)) === sortedText(b.kept.map(keptText));

const keptText = ({ address, keptFor, until }: Kept): string => `${address} ${keptFor} ${until}`;

const sortedText = (list: readonly string[]): string => [...list].sort().join();

/** What the record says, and what memory has set aside beside it. */
function joined(said: Lending, memory: Lending): Lending {
  const known = new Set([...said.offers, ...said.loans.map(({ address }) => address), ...addressesOf(said.kept)]);
  const kept = [...said.kept, ...memory.kept.filter(({ address }) => !known.has(address))];
  return {
    offers: [...said.offers, ...memory.offers.filter((address) => !known.has(address))],
    loans: said.loans,
    vacant: (said.vacant || memory.vacant) && said.loans.length + kept.length === 0,
    kept,
  };
}

const addressesOf = (kept: readonly Kept[]): ReadonlySet<string> => new Set(kept.map(({ address }) => address));
