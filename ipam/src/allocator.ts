/**
 * Hands out the addresses of the node's own blocks, from memory, with the journal behind every answer.
 *
 * Way of an address: free -> assigned (journalled before the answer) -> resting (FIFO, for the cool-down) -> free. An owner
 * (network, container id and interface) asks once; asking again gets the same addresses, so an ADD that was cut off can be repeated.
 * No call to the block store happens here: `wantsBlock` says when the next one should be claimed, ahead of need, and whoever
 * runs the loop claims it and calls `addBlock` once the store has it.
 *
 * Memory changes before the journal is appended to, never after: a compaction may read memory at any moment, and the order of
 * appends is the order of the changes. What a failed append leaves behind is moot, because the journal then refuses for good.
 *
 * What of a block is for other nodes (docs/ipam.md, Lending) is in the journal before the store hears of an offer, and stays out
 * of reach here until the store has said that it is neither offered nor lent any more. What this node has borrowed lies in no block
 * of it: it is assigned like any other, and the caller says that it is borrowed.
 *
 * An owner with `keep` leaves its addresses to its successor: they are kept, assigned by name to an owner that is kept for the same,
 * and to nobody else. The store hears of them as of an offer, and until it does (`isUntold`) no swap is needed to take one back.
 *
 * A block serves the pools in whose range it lies, whatever pool it was claimed for: pools are deleted and made anew, addresses
 * stay where they are. Two kinds of address are held back: reserved ones, which only a pod that names one gets, and foreign ones,
 * which another node's older block has too and nobody gets from here.
 *
 * Not here: which pool a pod may use (the caller passes pools), claiming (claim.ts), and who is still alive (`owners` lists what a
 * caller may compare with reality and `release`).
 */
import {
  addressAt,
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
  type Family,
  type IpPrefix,
} from 'node-bgp/address';
import {
  forgetFree,
  isEmpty,
  lendingOf,
  offerable,
  offsetOf,
  setFree,
  setKept,
  takeOffset,
  usageOf,
  type BlockState,
  type BlockUsage,
  type HeldBack,
  type KeptOffset,
  type Lending,
  type OwnBlock,
} from './block-state.js';
import { BlockTable, type ServingPool } from './block-table.js';
import type { Keep, Kept } from './kept.js';
import { type Attachment, Journal, type JournalEntry, type Owner } from './journal.js';
import { NODE_NETWORK, OwnerIndex } from './owner-index.js';

export interface AssignRequest {
  readonly owner: Owner;
  /** One address of each. */
  readonly families: readonly Family[];
  /** Pools that may serve, in order of preference. */
  readonly pools: readonly ServingPool[];
  /** These very addresses instead of any of their families, canonical. */
  readonly addresses?: readonly string[];
  /** Addresses that this node has borrowed for the owner, canonical: in place of any of their families. */
  readonly borrowed?: readonly string[];
  /** Called when the addresses are the owner's and on their way to the disk: what may not wait for that begins here. */
  readonly onTaken?: () => void;
}

/** The very address that was asked for cannot be given; another block would not help. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefusedError';
}

/** No address can be had now; `family` lacks one. */
export class NoAddressError extends Error {
  override readonly name = 'NoAddressError';

  constructor(
    message: string,
    readonly family: Family,
  ) {
    super(message);
  }
}

export interface AllocatorOptions {
  readonly journalPath: string;
  /** How long a released address rests before it is given to somebody else; default 30 s. */
  readonly coolDown?: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly onCompactionFailed?: (error: unknown) => void;
}

const DEFAULT_COOL_DOWN = 30_000;
/** BOUNDED: addresses that one node keeps for pods that may come again; what is released beyond is free. */
const MOST_KEPT = 256;
const NONE: ReadonlySet<string> = new Set();

export class Allocator {
  private readonly blocks = new BlockTable();
  private readonly index = new OwnerIndex();
  private readonly coolDown: number;
  /** BOUNDED by MOST_KEPT. */
  private readonly outside = new Map<string, Kept>();
  private journal: Journal | undefined;

  private constructor(private readonly options: AllocatorOptions) {
    this.coolDown = options.coolDown ?? DEFAULT_COOL_DOWN;
  }

  /** Restores what the journal says. @throws JournalError */
  static async open(options: AllocatorOptions): Promise<Allocator> {
    const allocator = new Allocator(options);
    allocator.journal = await Journal.open(options.journalPath, {
      replay: (entry) => allocator.replay(entry),
      living: () => allocator.living(),
      ...(options.onCompactionFailed === undefined ? {} : { onCompactionFailed: options.onCompactionFailed }),
    });
    return allocator;
  }

  async close(): Promise<void> {
    await this.journal?.close();
  }

  /** Blocks this node may use, as last recorded. */
  ownBlocks(): readonly OwnBlock[] {
    return [...this.blocks.all().values()].map(({ prefix, pool }) => ({ prefix, pool }));
  }

  /** The same as text, for whoever advertises them. */
  ownBlockRecords(): readonly { readonly cidr: string; readonly pool: string }[] {
    return [...this.blocks.all()].map(([cidr, { pool }]) => ({ cidr, pool }));
  }

  /** Free addresses of blocks that came since the last call: who had them before us, nobody here knows. */
  *unseenAddresses(): Generator<string> {
    for (const block of this.blocks.all().values()) {
      if (block.wasSeen) continue;
      block.wasSeen = true;
      for (let offset = 0; offset < block.size; offset++)
        if (!block.assigned.has(offset)) yield formatAddress(addressAt(block.prefix, offset));
    }
  }

  /** A block the store says is ours, with what of it is for others; knowing it already is no error. */
  async addBlock(block: OwnBlock, lending?: Lending): Promise<void> {
    const cidr = formatPrefix(block.prefix);
    if (this.blocks.get(cidr) !== undefined) return;
    this.blocks.insert(block, this.index.entries.keys());
    const entries: JournalEntry[] = [{ op: 'block', cidr, pool: block.pool }];
    if (lending !== undefined) {
      const entry = { op: 'lend', cidr, ...lending } as const;
      this.replayLending(entry);
      entries.push(entry);
    }
    await this.append(entries);
  }

  /** Forgets a block. Its assigned addresses stay known to their owners until these release them. */
  async removeBlock(prefix: IpPrefix): Promise<void> {
    const cidr = formatPrefix(prefix);
    if (!this.blocks.delete(cidr)) return;
    await this.append([{ op: 'unblock', cidr }]);
  }

  /** The same, unless somebody has an address of it. True when the block is no longer ours. */
  async removeIfEmpty(prefix: IpPrefix): Promise<boolean> {
    const block = this.blocks.get(formatPrefix(prefix));
    if (block === undefined || !isEmpty(block)) return false;
    await this.removeBlock(prefix);
    return true;
  }

  /** What is given to nobody from now on. Those who have it keep it. */
  holdBack(heldBack: HeldBack): void {
    this.blocks.holdBack(heldBack);
  }

  /** What of a block is for others; undefined when it is not ours. */
  lendingOf(cidr: string): Lending | undefined {
    const block = this.blocks.get(cidr);
    return block && lendingOf(block);
  }

  /**
   * Sets more addresses aside until so many are offered, fewer where fewer are free; on disk before the promise resolves. Nothing is
   * taken back here: only the store's word does that (`setLending`).
   */
  async offer(cidr: string, count: number): Promise<void> {
    const block = this.blocks.get(cidr);
    if (block === undefined || block.isVacant) return;
    const more = offerable(block, count - block.offered.size, this.options.now(), this.coolDown);
    if (more.length === 0) return;
    block.offered = new Set([...block.offered, ...more]);
    await this.append([{ op: 'lend', cidr, ...lendingOf(block) }]);
  }

  /** Gives nothing of an empty block out any more; false when it is not empty, or something of it is lent. */
  async vacate(cidr: string): Promise<boolean> {
    const block = this.blocks.get(cidr);
    if (block === undefined || !isEmpty(block)) return false;
    if (block.isVacant) return true;
    block.isVacant = true;
    await this.append([{ op: 'lend', cidr, ...lendingOf(block) }]);
    return true;
  }

  /**
   * What the store says is for others, and all of it. What is no longer rests.
   * @param untold of the kept addresses those that the store has not heard of, or not any more
   * @returns addresses that others may have had
   */
  async setLending(
    cidr: string,
    { offers, loans, vacant, kept }: Lending,
    untold: ReadonlySet<string> = NONE,
  ): Promise<readonly string[]> {
    const block = this.blocks.get(cidr);
    if (block === undefined) return [];
    const before = lendingOf(block);
    block.offered = new Set(offers.map((address) => offsetOf(block, address)));
    block.lent = new Map(loans.map(({ address, node }) => [offsetOf(block, address), node]));
    block.isVacant = vacant;
    setKept(block, kept, untold);
    const after = lendingOf(block);
    if (JSON.stringify(before) === JSON.stringify(after)) return [];
    const at = this.options.now();
    const isWithheld = (address: string): boolean => {
      const offset = offsetOf(block, address);
      return block.offered.has(offset) || block.lent.has(offset) || block.kept.has(offset);
    };
    // What was on offer may have been lent and given back since the record was last read.
    const aside = [...before.loans, ...before.kept].map(({ address }) => address);
    const returned = [...aside, ...before.offers].filter(
      (address) => !isWithheld(address) && this.index.holder(address) === undefined,
    );
    for (const address of returned) {
      forgetFree(block, offsetOf(block, address));
      this.putToRest(address, at);
    }
    await this.append([
      { op: 'lend', cidr, ...after },
      ...returned.map((address): JournalEntry => ({ op: 'release', address, at })),
    ]);
    return returned;
  }

  /** Addresses that somebody here has and that lie in no block of ours: borrowed, or of a block that was given up. */
  outsideAddresses(): readonly string[] {
    return [...this.index.entries.keys()].filter((address) => this.blocks.locate(address)[0] === undefined);
  }

  /** Every pod's owner with its addresses; what the node itself has (NODE_NETWORK) is nobody's business but its own. */
  owners(): readonly { readonly owner: Owner; readonly addresses: readonly string[] }[] {
    return this.index.owners();
  }

  /** What the node itself has. */
  nodeOwners(): readonly { readonly owner: Owner; readonly addresses: readonly string[] }[] {
    return this.index.nodeOwners();
  }

  /** The whole record of an owner that holds an address; undefined when it holds none. */
  ownerOf(attachment: Attachment): Owner | undefined {
    const [address] = this.index.addresses(attachment);
    return address === undefined ? undefined : this.index.holder(address);
  }

  addressesOfOwner(attachment: Attachment): readonly string[] {
    return this.index.addresses(attachment);
  }

  /**
   * One address of each family, on disk before the promise resolves. All or nothing.
   * @throws NoAddressError when a family has none left in these pools; AddressRefusedError when an address that is asked for is
   * somebody's, or in no block of ours; JournalError when the disk refuses
   */
  async assign(request: AssignRequest): Promise<readonly string[]> {
    const held = this.addressesOfOwner(request.owner);
    const isHeld = (family: Family): boolean => held.some((address) => parseAddress(address).family === family);
    const { addresses = [], borrowed = [] } = request;
    const exact = [...addresses, ...borrowed].filter((address) => !isHeld(parseAddress(address).family));
    const missing = request.families.filter(
      (family) => !isHeld(family) && !exact.some((address) => parseAddress(address).family === family),
    );
    const taken: string[] = [];
    try {
      for (const address of exact) taken.push(this.takeExactly(address, request.owner, borrowed.includes(address)));
      for (const family of missing) taken.push(this.take(family, request.pools, request.owner));
      const written = this.append(taken.map((address) => ({ op: 'assign', address, owner: request.owner })));
      request.onTaken?.();
      await written;
    } catch (error) {
      for (const address of taken) this.putBack(address);
      throw error;
    }
    return [...held, ...taken];
  }

  /** Says something else of an owner that holds addresses here, on disk before the promise resolves. @throws JournalError */
  async amend(owner: Owner): Promise<void> {
    const before = this.ownerOf(owner);
    if (before === undefined) return;
    const held = this.addressesOfOwner(owner);
    for (const address of held) this.index.add(address, owner);
    try {
      await this.append(held.map((address) => ({ op: 'assign', address, owner })));
    } catch (error) {
      for (const address of held) this.index.add(address, before);
      throw error;
    }
  }

  /** Gives back all an owner holds; they rest before reuse, or are kept. Returns the addresses; none when the owner is unknown. */
  async release(attachment: Attachment): Promise<readonly string[]> {
    const addresses = this.addressesOfOwner(attachment);
    const { keep } = this.ownerOf(attachment) ?? {};
    const at = this.options.now();
    const entries: JournalEntry[] = [];
    for (const address of addresses) {
      entries.push({ op: 'release', address, at });
      const block = keep === undefined ? undefined : this.keep(address, keep, at);
      if (block === undefined) this.putToRest(address, at);
      else entries.push({ op: 'lend', cidr: formatPrefix(block.prefix), ...lendingOf(block) });
    }
    await this.append(entries);
    return addresses;
  }

  /** What is kept in the node's blocks. */
  kept(): readonly (KeptOffset & { readonly cidr: string })[] {
    return [...this.blocks.all()].flatMap(([cidr, block]) =>
      [...block.kept.values()].map((each) => ({ ...each, cidr })),
    );
  }

  /** From now on the store may have heard that these are kept. */
  tellKept(cidr: string, addresses: ReadonlySet<string>): void {
    const block = this.blocks.get(cidr);
    for (const [offset, each] of block?.kept ?? [])
      if (addresses.has(each.address)) block?.kept.set(offset, { ...each, isUntold: false });
  }

  /** Kept addresses of other nodes' blocks that an owner here has left, until `forgetOutside`. In memory alone. */
  keptOutside(): ReadonlyMap<string, Kept> {
    return this.outside;
  }

  forgetOutside(address: string): void {
    this.outside.delete(address);
  }

  /** Is the time over for which it is kept? */
  isPast(kept: Kept): boolean {
    return !(Date.parse(kept.until) > this.options.now());
  }

  /**
   * Does this family want one more block of these pools? True when four fifths of the room of its largest block, or more, are
   * gone, so that the next is there before it is needed.
   */
  wantsBlock(family: Family, pools: readonly ServingPool[]): boolean {
    const { free, largest } = this.blocks.roomIn(family, pools);
    return free * 5 <= largest;
  }

  /** Could the node do without this block of these pools, and not want another soon? */
  canSpare(prefix: IpPrefix, pools: readonly ServingPool[]): boolean {
    const { free, largest, count } = this.blocks.roomIn(prefix.family, pools, formatPrefix(prefix));
    return count > 0 && free >= Math.max(1, largest / 2);
  }

  /** Who has this address here; undefined when nobody has. */
  holderOf(address: string): Owner | undefined {
    return this.index.holder(address);
  }

  /** Counts of one block, or undefined when it is not ours. */
  usageOf(cidr: string): BlockUsage | undefined {
    const block = this.blocks.get(cidr);
    return block && usageOf(block);
  }

  /** Takes the longest free address; one still resting only when nothing else is left in any block. */
  private take(family: Family, pools: readonly ServingPool[], owner: Owner): string {
    for (const mayBeResting of [false, true]) {
      for (const block of this.blocks.serving(family, pools)) {
        const offset = takeOffset(block, this.options.now(), this.coolDown, mayBeResting);
        if (offset === undefined) continue;
        const address = formatAddress(addressAt(block.prefix, offset));
        this.record(address, owner);
        return address;
      }
    }
    throw this.noAddress(family, pools);
  }

  /** The head of the file says who may have a reserved or a foreign address. */
  private takeExactly(address: string, owner: Owner, isBorrowed: boolean): string {
    const refused = (why: string): AddressRefusedError =>
      new AddressRefusedError(`Cannot assign address ${address}: ${why}`);
    const holder = this.index.holder(address);
    if (holder !== undefined)
      throw refused(
        holder.network === NODE_NETWORK ? 'the node itself has it' : `pod "${holder.namespace}/${holder.pod}" has it`,
      );
    const [block, offset] = this.blocks.locate(address);
    if (block === undefined) {
      if (!isBorrowed) throw refused('it lies in no block of this node');
      this.record(address, owner);
      return address;
    }
    if (block.foreign.has(offset)) throw refused('an older block of another node has it too');
    const borrower = block.lent.get(offset);
    if (borrower !== undefined) throw refused(`node "${borrower}" has borrowed it`);
    if (block.isVacant || block.offered.has(offset)) throw refused('this node offers it to others');
    const kept = block.kept.get(offset);
    if (kept !== undefined && !(kept.isUntold && kept.keptFor === owner.keep?.keptFor))
      throw refused(`it is kept for ${kept.keptFor} until ${kept.until}`);
    block.resting.delete(offset);
    forgetFree(block, offset);
    this.record(address, owner);
    return address;
  }

  private noAddress(family: Family, pools: readonly ServingPool[]): NoAddressError {
    const ofFamily = pools.filter(({ prefix }) => prefix.family === family);
    const names = ofFamily.map(({ name }) => `"${name}"`).join(', ');
    return new NoAddressError(
      `Cannot assign an IPv${family} address${ofFamily.length === 0 ? '' : ` from pool ${names}`}: ` +
        this.blocks.whyNone(family, ofFamily),
      family,
    );
  }

  private record(address: string, owner: Owner): void {
    this.index.add(address, owner);
    this.outside.delete(address);
    const [block, offset] = this.blocks.locate(address);
    block?.assigned.add(offset);
    block?.kept.delete(offset);
  }

  private forget(address: string): readonly [BlockState | undefined, number] {
    this.index.remove(address);
    const located = this.blocks.locate(address);
    located[0]?.assigned.delete(located[1]);
    return located;
  }

  /** An assignment that never reached the disk. */
  private putBack(address: string): void {
    const [block, offset] = this.forget(address);
    if (block !== undefined) setFree(block, offset);
  }

  private putToRest(address: string, at: number): void {
    const [block, offset] = this.forget(address);
    if (block === undefined) return;
    block.resting.delete(offset);
    block.resting.set(offset, at);
  }

  /** The block of an address that is kept now; undefined when it is not, or in no block of ours. */
  private keep(address: string, { keptFor, seconds }: Keep, at: number): BlockState | undefined {
    const until = new Date(at + seconds * 1000).toISOString();
    const kept = { address, keptFor, until };
    const [block, offset] = this.blocks.locate(address);
    if (this.kept().length + this.outside.size >= MOST_KEPT) return undefined;
    if (block === undefined) {
      this.outside.set(address, kept);
      return undefined;
    }
    if (block.foreign.has(offset) || block.lent.has(offset)) return undefined;
    this.forget(address);
    block.kept.set(offset, { ...kept, isUntold: true });
    return block;
  }

  private replay(entry: JournalEntry): void {
    switch (entry.op) {
      case 'block':
        this.blocks.insert({ prefix: parsePrefix(entry.cidr), pool: entry.pool }, this.index.entries.keys());
        return;
      case 'unblock':
        this.blocks.delete(entry.cidr);
        return;
      case 'lend':
        this.replayLending(entry);
        return;
      case 'assign':
        this.blocks.locate(entry.address)[0]?.resting.delete(this.blocks.locate(entry.address)[1]);
        this.record(entry.address, entry.owner);
        return;
      case 'release':
        this.putToRest(entry.address, entry.at);
    }
  }

  private replayLending({
    cidr,
    offers,
    loans,
    vacant,
    kept = [],
  }: Extract<JournalEntry, { readonly op: 'lend' }>): void {
    const block = this.blocks.get(cidr);
    if (block === undefined) return;
    block.offered = new Set(offers.map((address) => offsetOf(block, address)));
    block.lent = new Map(loans.map(({ address, node }) => [offsetOf(block, address), node]));
    block.isVacant = vacant;
    setKept(block, kept, NONE);
  }

  private living(): readonly JournalEntry[] {
    const entries: JournalEntry[] = [];
    for (const [cidr, block] of this.blocks.all()) {
      entries.push({ op: 'block', cidr, pool: block.pool });
      const lending = lendingOf(block);
      if (lending.vacant || lending.offers.length + lending.loans.length + lending.kept.length > 0)
        entries.push({ op: 'lend', cidr, ...lending });
    }
    for (const [address, owner] of this.index.entries) entries.push({ op: 'assign', address, owner });
    for (const block of this.blocks.all().values())
      for (const [offset, at] of block.resting)
        if (this.options.now() - at < this.coolDown)
          entries.push({ op: 'release', address: formatAddress(addressAt(block.prefix, offset)), at });
    return entries;
  }

  private append(entries: readonly JournalEntry[]): Promise<void> {
    if (this.journal === undefined) throw new Error('The allocator is used before it was opened');
    return this.journal.append(entries);
  }
}
