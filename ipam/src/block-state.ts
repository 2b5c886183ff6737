/** One block of the node in memory: which of its addresses are free, rest, are assigned, held back, offered or lent. */
import { addressAt, formatAddress, parseAddress, prefixesOverlap, sizeOf, type IpPrefix } from 'node-bgp/address';
import type { Loan } from './block-store.js';
import type { Kept } from './kept.js';

export interface OwnBlock {
  readonly prefix: IpPrefix;
  readonly pool: string;
}

/** What is held back; reserved addresses go to pods that name one, foreign ones to nobody. */
export interface HeldBack {
  readonly reserved: readonly IpPrefix[];
  readonly foreign: readonly IpPrefix[];
}

export interface BlockState extends OwnBlock {
  readonly size: number;
  /** Lowest offset never given out since the process started. */
  nextOffset: number;
  /** Offsets that are free below nextOffset, oldest first. */
  readonly free: number[];
  /** Offset -> when it was released; insertion order is release order. */
  readonly resting: Map<number, number>;
  /** BOUNDED by the size of the block. */
  readonly assigned: Set<number>;
  /** Offsets held back. BOUNDED by the size of the block. */
  reserved: ReadonlySet<number>;
  foreign: ReadonlySet<number>;
  /** Offsets that other nodes may borrow, and those that they have with who has them. BOUNDED by the size of the block. */
  offered: ReadonlySet<number>;
  lent: ReadonlyMap<number, string>;
  /** Offsets that are kept for pods that may come again. BOUNDED by MOST_KEPT of the allocator. */
  readonly kept: Map<number, KeptOffset>;
  /** The whole block is for the taking. */
  isVacant: boolean;
  wasSeen: boolean;
}

export interface KeptOffset extends Kept {
  /** Nobody else has heard of it. Of what a journal says, nobody knows. */
  readonly isUntold: boolean;
}

/** What of a block is for others, as its record in the store has it. */
export interface Lending {
  readonly offers: readonly string[];
  readonly loans: readonly Loan[];
  readonly vacant: boolean;
  readonly kept: readonly Kept[];
}

/** Addresses of a block, counted. */
export interface BlockUsage {
  readonly size: number;
  readonly assigned: number;
  readonly resting: number;
  readonly lent: number;
  /** For pods that may come again. */
  readonly kept: number;
  /** What nobody has and nothing holds back: resting and offered ones included. */
  readonly free: number;
}

const NOTHING: ReadonlySet<number> = new Set();
const NOBODY: ReadonlyMap<number, string> = new Map();

/** Offsets of a block that lie in one of the ranges. */
function offsetsIn(block: IpPrefix, ranges: readonly IpPrefix[]): ReadonlySet<number> {
  const offsets = new Set<number>();
  for (const range of ranges) {
    if (!prefixesOverlap(block, range)) continue;
    const first = range.length <= block.length ? 0 : Number(range.value - block.value);
    const count = Number(range.length <= block.length ? sizeOf(block) : sizeOf(range));
    for (let offset = first; offset < first + count; offset++) offsets.add(offset);
  }
  return offsets.size === 0 ? NOTHING : offsets;
}

export const newBlockState = (block: OwnBlock): BlockState => ({
  ...block,
  size: Number(sizeOf(block.prefix)),
  nextOffset: 0,
  free: [],
  resting: new Map(),
  assigned: new Set(),
  reserved: NOTHING,
  foreign: NOTHING,
  offered: NOTHING,
  lent: NOBODY,
  kept: new Map(),
  isVacant: false,
  wasSeen: false,
});

export function holdBackIn(block: BlockState, { reserved, foreign }: HeldBack): void {
  block.reserved = offsetsIn(block.prefix, reserved);
  block.foreign = offsetsIn(block.prefix, foreign);
}

/** The scan of nextOffset finds the offsets that it has not passed yet by itself. */
export function setFree(block: BlockState, offset: number): void {
  if (offset < block.nextOffset) block.free.push(offset);
}

/** Somebody gets it, or it rests: it is not among the free any more. */
export function forgetFree(block: BlockState, offset: number): void {
  const at = block.free.indexOf(offset);
  if (at >= 0) block.free.splice(at, 1);
}

/** Offsets that are held back, kept or lent and that nobody here has. What is offered can be taken back, so it counts as free. */
export function heldBackIn(block: BlockState): number {
  const { reserved, foreign, lent, kept } = block;
  if (reserved.size === 0 && foreign.size === 0 && lent.size === 0 && kept.size === 0) return 0;
  let count = 0;
  for (const offset of new Set([...reserved, ...foreign, ...lent.keys(), ...kept.keys()]))
    if (!block.assigned.has(offset)) count++;
  return count;
}

export const usageOf = (block: BlockState): BlockUsage => ({
  size: block.size,
  assigned: block.assigned.size,
  resting: block.resting.size,
  lent: block.lent.size,
  kept: block.kept.size,
  free: block.size - block.assigned.size - heldBackIn(block),
});

/** Nobody has an address of it, here or elsewhere, and none waits for anybody. */
export const isEmpty = ({ assigned, lent, kept }: BlockState): boolean =>
  assigned.size === 0 && lent.size === 0 && kept.size === 0;

export const offsetOf = (block: BlockState, address: string): number =>
  Number(parseAddress(address).value - block.prefix.value);

export const lendingOf = (block: BlockState): Lending => {
  const text = (offset: number): string => formatAddress(addressAt(block.prefix, offset));
  return {
    offers: [...block.offered].map(text),
    loans: [...block.lent].map(([offset, node]) => ({ address: text(offset), node })),
    vacant: block.isVacant,
    kept: [...block.kept.values()].map(({ address, keptFor, until }) => ({ address, keptFor, until })),
  };
};

/** What is kept, and all of it, but for what somebody here has. */
export function setKept(block: BlockState, kept: readonly Kept[], untold: ReadonlySet<string>): void {
  block.kept.clear();
  for (const each of kept) {
    const offset = offsetOf(block, each.address);
    if (offset < 0 || offset >= block.size || block.assigned.has(offset)) continue;
    block.kept.set(offset, { ...each, isUntold: untold.has(each.address) });
    block.resting.delete(offset);
  }
}

/** Up to so many offsets that nobody has, the last ones first: the owner gives out from the other end. */
export function offerable(block: BlockState, most: number, now: number, coolDown: number): readonly number[] {
  const found: number[] = [];
  for (let offset = block.size - 1; offset >= 0 && found.length < most; offset--) {
    const restsSince = block.resting.get(offset);
    const isRestless = restsSince === undefined || now - restsSince >= coolDown;
    if (isRestless && !block.assigned.has(offset) && !isHeldBack(block, offset)) found.push(offset);
  }
  return found;
}

function isHeldBack(block: BlockState, offset: number): boolean {
  const { reserved, foreign, offered, lent, kept } = block;
  return [reserved, foreign, offered, lent, kept].some((each) => each.has(offset));
}

/** The longest free offset; a resting one only where it may be. Undefined when there is none. */
export function takeOffset(
  block: BlockState,
  now: number,
  coolDown: number,
  mayBeResting: boolean,
): number | undefined {
  if (block.isVacant) return undefined;
  for (const [offset, at] of block.resting) {
    if (now - at < coolDown && (!mayBeResting || isHeldBack(block, offset))) {
      if (mayBeResting) continue;
      break;
    }
    block.resting.delete(offset);
    setFree(block, offset);
    if (mayBeResting && !isHeldBack(block, offset)) break;
  }
  while (block.nextOffset < block.size) {
    const offset = block.nextOffset++;
    if (block.assigned.has(offset) || block.resting.has(offset)) continue;
    if (!isHeldBack(block, offset)) return offset;
    // It may be given back to the others one day.
    block.free.push(offset);
  }
  const at = block.free.findIndex((offset) => !isHeldBack(block, offset));
  return at < 0 ? undefined : block.free.splice(at, 1)[0];
}
