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
 * A block serves the pools in whose range it lies, whatever pool it was claimed for: pools are deleted and made anew, addresses
 * stay where they are. Two kinds of address are held back: reserved ones, which only a pod that names one gets, and foreign ones,
 * which another node's older block has too and nobody gets from here.
 *
 * Not here: which pool a pod may use (the caller passes pools), claiming (claim.ts), and who is still alive (`owners` lists what a
 * caller may compare with reality and `release`).
 */
import {
  addressAt,
  containsAddress,
  containsPrefix,
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
  type Family,
  type IpPrefix,
} from 'node-bgp/address';
import {
  heldBackIn,
  holdBackIn,
  newBlockState,
  setFree,
  takeOffset,
  type BlockState,
  type HeldBack,
  type OwnBlock,
} from './block-state.js';
import { type Attachment, Journal, type JournalEntry, type Owner } from './journal.js';

export interface AssignRequest {
  readonly owner: Owner;
  /** One address of each. */
  readonly families: readonly Family[];
  /** Pools that may serve, in order of preference. */
  readonly pools: readonly ServingPool[];
  /** These very addresses instead of any of their families, canonical. */
  readonly addresses?: readonly string[];
}

export interface ServingPool {
  readonly name: string;
  readonly prefix: IpPrefix;
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

/** None of the three may hold a slash. */
const ownerKey = ({ network, containerId, interfaceName }: Attachment): string =>
  `${network}/${containerId}/${interfaceName}`;

export class Allocator {
  private readonly blocks = new Map<string, BlockState>();
  private readonly ownerByAddress = new Map<string, Owner>();
  private readonly addressesOf = new Map<string, Set<string>>();
  private readonly coolDown: number;
  private heldBack: HeldBack = { reserved: [], foreign: [] };
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
    return [...this.blocks.values()].map(({ prefix, pool }) => ({ prefix, pool }));
  }

  /** The same as text, for whoever advertises them. */
  ownBlockRecords(): readonly { readonly cidr: string; readonly pool: string }[] {
    return [...this.blocks].map(([cidr, { pool }]) => ({ cidr, pool }));
  }

  /** Free addresses of blocks that came since the last call: who had them before us, nobody here knows. */
  *unseenAddresses(): Generator<string> {
    for (const block of this.blocks.values()) {
      if (block.wasSeen) continue;
      block.wasSeen = true;
      for (let offset = 0; offset < block.size; offset++)
        if (!block.assigned.has(offset)) yield formatAddress(addressAt(block.prefix, offset));
    }
  }

  /** A block the store says is ours; knowing it already is no error. */
  async addBlock(block: OwnBlock): Promise<void> {
    const cidr = formatPrefix(block.prefix);
    if (this.blocks.has(cidr)) return;
    this.insertBlock(block);
    await this.append([{ op: 'block', cidr, pool: block.pool }]);
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
    if (block === undefined || block.assigned.size > 0) return false;
    await this.removeBlock(prefix);
    return true;
  }

  /** What is given to nobody from now on. Those who have it keep it. */
  holdBack(heldBack: HeldBack): void {
    this.heldBack = heldBack;
    const before: IpPrefix[] = [];
    for (const block of this.blocks.values()) {
      holdBackIn(block, { reserved: heldBack.reserved, foreign: [...heldBack.foreign, ...before] });
      before.push(block.prefix);
    }
  }

  /** Every owner with its addresses. */
  owners(): readonly { readonly owner: Owner; readonly addresses: readonly string[] }[] {
    const owners = new Map<string, Owner>();
    for (const owner of this.ownerByAddress.values()) owners.set(ownerKey(owner), owner);
    return [...owners].map(([key, owner]) => ({ owner, addresses: [...(this.addressesOf.get(key) ?? [])] }));
  }

  /** The whole record of an owner that holds an address; undefined when it holds none. */
  ownerOf(attachment: Attachment): Owner | undefined {
    const [address] = this.addressesOfOwner(attachment);
    return address === undefined ? undefined : this.ownerByAddress.get(address);
  }

  addressesOfOwner(attachment: Attachment): readonly string[] {
    return [...(this.addressesOf.get(ownerKey(attachment)) ?? [])];
  }

  /**
   * One address of each family, on disk before the promise resolves. All or nothing.
   * @throws NoAddressError when a family has none left in these pools; AddressRefusedError when an address that is asked for is
   * somebody's, or in no block of ours; JournalError when the disk refuses
   */
  async assign(request: AssignRequest): Promise<readonly string[]> {
    const held = this.addressesOfOwner(request.owner);
    const isHeld = (family: Family): boolean => held.some((address) => parseAddress(address).family === family);
    const exact = (request.addresses ?? []).filter((address) => !isHeld(parseAddress(address).family));
    const missing = request.families.filter(
      (family) => !isHeld(family) && !exact.some((address) => parseAddress(address).family === family),
    );
    const taken: string[] = [];
    try {
      for (const address of exact) taken.push(this.takeExactly(address, request.owner));
      for (const family of missing) taken.push(this.take(family, request.pools, request.owner));
      await this.append(taken.map((address) => ({ op: 'assign', address, owner: request.owner })));
    } catch (error) {
      for (const address of taken) this.putBack(address);
      throw error;
    }
    return [...held, ...taken];
  }

  /** Gives back all an owner holds; they rest before reuse. Returns the addresses; none when the owner is unknown. */
  async release(attachment: Attachment): Promise<readonly string[]> {
    const addresses = this.addressesOfOwner(attachment);
    const at = this.options.now();
    for (const address of addresses) this.putToRest(address, at);
    await this.append(addresses.map((address) => ({ op: 'release', address, at })));
    return addresses;
  }

  /**
   * Does this family want one more block of these pools? True when less than a quarter of a block is free, so that the next is
   * there before it is needed.
   */
  wantsBlock(family: Family, pools: readonly ServingPool[]): boolean {
    let free = 0;
    let quarter = 1;
    for (const block of this.blocksOf(family, pools)) {
      free += block.size - block.assigned.size - heldBackIn(block);
      quarter = Math.max(quarter, Math.floor(block.size / 4));
    }
    return free < quarter;
  }

  /** Who has this address here; undefined when nobody has. */
  holderOf(address: string): Owner | undefined {
    return this.ownerByAddress.get(address);
  }

  /** Counts of one block, or undefined when it is not ours. */
  usageOf(cidr: string): { readonly size: number; readonly assigned: number; readonly resting: number } | undefined {
    const block = this.blocks.get(cidr);
    return block && { size: block.size, assigned: block.assigned.size, resting: block.resting.size };
  }

  private *blocksOf(family: Family, pools: readonly ServingPool[]): Generator<BlockState> {
    for (const pool of pools)
      for (const block of this.blocks.values())
        if (block.prefix.family === family && containsPrefix(pool.prefix, block.prefix)) yield block;
  }

  /** Takes the longest free address; one still resting only when nothing else is left in any block. */
  private take(family: Family, pools: readonly ServingPool[], owner: Owner): string {
    for (const mayBeResting of [false, true]) {
      for (const block of this.blocksOf(family, pools)) {
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
  private takeExactly(address: string, owner: Owner): string {
    const refused = (why: string): AddressRefusedError =>
      new AddressRefusedError(`Cannot assign address ${address}: ${why}`);
    const holder = this.ownerByAddress.get(address);
    if (holder !== undefined) throw refused(`pod "${holder.namespace}/${holder.pod}" has it`);
    const [block, offset] = this.locate(address);
    if (block === undefined) throw refused('it lies in no block of this node');
    if (block.foreign.has(offset)) throw refused('an older block of another node has it too');
    block.resting.delete(offset);
    const at = block.free.indexOf(offset);
    if (at >= 0) block.free.splice(at, 1);
    this.record(address, owner);
    return address;
  }

  private noAddress(family: Family, pools: readonly ServingPool[]): NoAddressError {
    const ofFamily = pools.filter(({ prefix }) => prefix.family === family);
    const blocks = [...this.blocksOf(family, ofFamily)];
    const names = ofFamily.map(({ name }) => `"${name}"`).join(', ');
    const total = blocks.reduce((sum, block) => sum + block.size, 0);
    const heldBack = blocks.reduce((sum, block) => sum + heldBackIn(block), 0);
    const why =
      ofFamily.length === 0
        ? 'no pool of this family may serve the pod'
        : blocks.length === 0
          ? 'this node owns no block of it yet'
          : `all ${total} addresses of this node's ${blocks.length} block${blocks.length === 1 ? '' : 's'} are in use` +
            (heldBack === 0 ? '' : ` or held back (${heldBack})`);
    return new NoAddressError(
      `Cannot assign an IPv${family} address${ofFamily.length === 0 ? '' : ` from pool ${names}`}: ${why}`,
      family,
    );
  }

  private record(address: string, owner: Owner): void {
    const key = ownerKey(owner);
    this.ownerByAddress.set(address, owner);
    const addresses = this.addressesOf.get(key) ?? new Set();
    addresses.add(address);
    this.addressesOf.set(key, addresses);
    const [block, offset] = this.locate(address);
    block?.assigned.add(offset);
  }

  private forget(address: string): readonly [BlockState | undefined, number] {
    const owner = this.ownerByAddress.get(address);
    this.ownerByAddress.delete(address);
    if (owner !== undefined) {
      const key = ownerKey(owner);
      const addresses = this.addressesOf.get(key);
      addresses?.delete(address);
      if (addresses?.size === 0) this.addressesOf.delete(key);
    }
    const located = this.locate(address);
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

  private locate(address: string): readonly [BlockState | undefined, number] {
    const parsed = parseAddress(address);
    for (const block of this.blocks.values())
      if (containsAddress(block.prefix, parsed)) return [block, Number(parsed.value - block.prefix.value)];
    return [undefined, -1];
  }

  private insertBlock(block: OwnBlock): void {
    const cidr = formatPrefix(block.prefix);
    if (this.blocks.has(cidr)) return;
    const state = newBlockState(block);
    this.blocks.set(cidr, state);
    // Of two blocks of this node that overlap, the first alone gives out what both have.
    this.holdBack(this.heldBack);
    // A block may come back (an API server restored from backup) while its addresses are still in use.
    for (const address of this.ownerByAddress.keys()) {
      const parsed = parseAddress(address);
      if (containsAddress(block.prefix, parsed)) state.assigned.add(Number(parsed.value - block.prefix.value));
    }
  }

  private replay(entry: JournalEntry): void {
    switch (entry.op) {
      case 'block':
        this.insertBlock({ prefix: parsePrefix(entry.cidr), pool: entry.pool });
        return;
      case 'unblock':
        this.blocks.delete(entry.cidr);
        return;
      case 'assign':
        this.locate(entry.address)[0]?.resting.delete(this.locate(entry.address)[1]);
        this.record(entry.address, entry.owner);
        return;
      case 'release':
        this.putToRest(entry.address, entry.at);
    }
  }

  private living(): readonly JournalEntry[] {
    const entries: JournalEntry[] = [];
    for (const [cidr, { pool }] of this.blocks) entries.push({ op: 'block', cidr, pool });
    for (const [address, owner] of this.ownerByAddress) entries.push({ op: 'assign', address, owner });
    for (const block of this.blocks.values())
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
