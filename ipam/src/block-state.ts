/** One block of the node in memory: which of its addresses are free, rest, are assigned or held back. */
import { prefixesOverlap, sizeOf, type IpPrefix } from 'node-bgp/address';

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
  wasSeen: boolean;
}

const NOTHING: ReadonlySet<number> = new Set();

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

/** Offsets that are held back and that nobody has. */
export function heldBackIn(block: BlockState): number {
  if (block.reserved.size === 0 && block.foreign.size === 0) return 0;
  let count = 0;
  for (const offset of new Set([...block.reserved, ...block.foreign])) if (!block.assigned.has(offset)) count++;
  return count;
}

/** The longest free offset; a resting one only where it may be. Undefined when there is none. */
export function takeOffset(
  block: BlockState,
  now: number,
  coolDown: number,
  mayBeResting: boolean,
): number | undefined {
  const isHeldBack = (offset: number): boolean => block.reserved.has(offset) || block.foreign.has(offset);
  for (const [offset, at] of block.resting) {
    if (now - at < coolDown && (!mayBeResting || isHeldBack(offset))) {
      if (mayBeResting) continue;
      break;
    }
    block.resting.delete(offset);
    setFree(block, offset);
    if (mayBeResting && !isHeldBack(offset)) break;
  }
  while (block.nextOffset < block.size) {
    const offset = block.nextOffset++;
    if (block.assigned.has(offset) || block.resting.has(offset)) continue;
    if (!isHeldBack(offset)) return offset;
    // It may be given back to the others one day.
    block.free.push(offset);
  }
  const at = block.free.findIndex((offset) => !isHeldBack(offset));
  return at < 0 ? undefined : block.free.splice(at, 1)[0];
}
