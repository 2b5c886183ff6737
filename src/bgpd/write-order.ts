/**
 * In which order the changes of a batch go to the kernel. Linux keeps IPv4 routes in a trie, and neighbours that come, or worse go, one
 * after the other reshape the same place again and again: a hundred thousand deletions take it 480 ms in ascending order and 70 ms in
 * no order, additions 160 and 100. Routers that walk a tree send their tables ascending, and withdraw them so.
 *
 * A batch whose IPv4 prefixes ascend is put into the order of the golden section, in which each change is far from those before it. Two
 * changes of one prefix keep theirs, and so do the messages that make up one change. IPv6 routes, whose tree has no such shape, come
 * first as they were. A batch in no order stays as it is.
 */
import type { Family } from 'node-bgp/address';

/** Fewer are not worth the copying. */
const FEWEST = 4096;
/** Of changes in no order half are above the one before. */
const ASCENDING = 0.8;
const GOLDEN_SECTION = 0.618034;

export class WriteOrder {
  /** First message of each change, in the order in which they were written. BOUNDED by the batch. */
  private readonly starts: number[] = [];
  private readonly families: Family[] = [];
  /** Changes, by number, before which all earlier ones have to be written: one has the prefix of an earlier one. */
  private readonly barriers: number[] = [];
  private seen = new Set<number>();
  private previous = 0;
  private ascents = 0;
  private ipv4 = 0;

  /** The change of a prefix begins at message `start`, and ends where the next begins. */
  note(family: Family, words: Uint32Array, at: number, length: number, start: number): void {
    if (family === 4) {
      const key = (words[at] ?? 0) * 64 + length;
      if (this.seen.has(key)) {
        this.barriers.push(this.starts.length);
        this.seen = new Set();
      }
      this.seen.add(key);
      this.ipv4++;
      if (key > this.previous) this.ascents++;
      this.previous = key;
    }
    this.starts.push(start);
    this.families.push(family);
  }

  clear(): void {
    this.starts.length = 0;
    this.families.length = 0;
    this.barriers.length = 0;
    if (this.seen.size > 0) this.seen = new Set();
    this.previous = this.ascents = this.ipv4 = 0;
  }

  /** Do neighbours follow each other? A table in no order is best written as it comes, and soon. */
  get isAscending(): boolean {
    return this.ascents > ASCENDING * this.ipv4;
  }

  /** For each place which of the `count` messages is to stand there; undefined: as they are. */
  order(count: number): Uint32Array | undefined {
    if (this.starts.length < FEWEST || !this.isAscending) return undefined;
    const order = new Uint32Array(count);
    let end = 0;
    const put = (change: number): void => {
      const next = this.starts[change + 1] ?? count;
      for (let message = this.starts[change] ?? count; message < next; message++) order[end++] = message;
    };
    // Messages that belong to no change.
    for (let message = 0; message < (this.starts[0] ?? count); message++) order[end++] = message;
    const ipv4: number[] = [];
    const segments: number[][] = [ipv4];
    let segment = ipv4;
    let barrier = 0;
    for (let change = 0; change < this.starts.length; change++) {
      if (this.barriers[barrier] === change) {
        barrier++;
        segment = [];
        segments.push(segment);
      }
      if (this.families[change] === 4) segment.push(change);
      else put(change);
    }
    for (const changes of segments) for (const at of goldenOrder(changes.length)) put(changes[at] ?? 0);
    return order;
  }
}

/** All numbers below `length`, each far from those before it. */
export function* goldenOrder(length: number): Generator<number> {
  let step = Math.max(1, Math.floor(length * GOLDEN_SECTION));
  while (greatestDivisor(step, length) !== 1) step++;
  for (let i = 0, at = 0; i < length; i++, at = (at + step) % length) yield at;
}

function greatestDivisor(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}
