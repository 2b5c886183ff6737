/**
 * All prefixes of one family, each with a small dense number: the key of every other per-prefix column.
 *
 * An open-addressing index of numbers over columns of 32-bit words (one for IPv4, four for IPv6) and lengths: no object per
 * prefix, no pointer to chase but the index.
 *
 * Numbers of removed prefixes are reused, so whoever keeps one must also keep the prefix alive (see family-table.ts).
 *
 * BOUNDED by the sum of what max-prefix lets peers announce and what we originate.
 */
import type { Family, IpPrefix } from '../address.js';

export type PrefixId = number;

const FIRST_CAPACITY = 64;
/** Length of a number that is free. */
const DEAD = 255;

export class PrefixTable {
  readonly family: Family;
  /** Words per address. */
  readonly width: 1 | 4;
  /** Address words of prefix `id` start at `id * width`; host bits are zero. */
  words: Uint32Array;
  lengths: Uint8Array;
  /** Numbers given out so far, live or free: the bound of a walk over all. */
  end = 0;
  #index: Uint32Array;
  #mask: number;
  /** One more than the first number that is free; the next stands in its first word. 0: none. */
  #free = 0;
  #freeCount = 0;
  #seen = 0;
  /** How many prefixes of each length, so that a longest match only tries lengths that exist. */
  readonly #perLength = new Uint32Array(129);

  /** `capacity`: a power of two, how many prefixes there is room for at first. */
  constructor(family: Family, capacity = FIRST_CAPACITY) {
    this.family = family;
    this.width = family === 4 ? 1 : 4;
    this.words = new Uint32Array(capacity * this.width);
    this.lengths = new Uint8Array(capacity);
    this.#index = new Uint32Array(capacity * 2);
    this.#mask = capacity * 2 - 1;
  }

  /** How many ids fit before the columns grow; other per-prefix columns follow this. */
  get capacity(): number {
    return this.lengths.length;
  }

  /** Live prefixes. */
  get size(): number {
    return this.end - this.#freeCount;
  }

  /** Number of the prefix whose words start at `key[at]`, or -1. */
  find(key: Uint32Array, at: number, length: number): PrefixId {
    const index = this.#index;
    const mask = this.#mask;
    const words = this.words;
    const lengths = this.lengths;
    const first = key[at] as number;
    if (this.width === 1) {
      for (let slot = hash4(first, length) & mask; ; slot = (slot + 1) & mask) {
        const id = (index[slot] as number) - 1;
        if (id < 0) return -1;
        if (words[id] === first && lengths[id] === length) return id;
      }
    }
    for (let slot = hash6(key, at, length) & mask; ; slot = (slot + 1) & mask) {
      const id = (index[slot] as number) - 1;
      if (id < 0) return -1;
      if (
        words[id * 4 + 1] === key[at + 1] &&
        words[id * 4] === first &&
        lengths[id] === length &&
        words[id * 4 + 2] === key[at + 2] &&
        words[id * 4 + 3] === key[at + 3]
      )
        return id;
    }
  }

  /**
   * Reads where each of `count` prefixes would be found, to no other end than that it is in the cache when `find` comes. In a big table
   * nearly every look-up misses the cache; here the processor has many misses under way at a time, in the work between two `find` only one.
   */
  touch(keys: Uint32Array, lengths: Uint8Array, count: number): void {
    const index = this.#index;
    const mask = this.#mask;
    const { words, width } = this;
    let seen = 0;
    for (let i = 0; i < count; i++) {
      const slot =
        (width === 1 ? hash4(keys[i] as number, lengths[i] as number) : hash6(keys, i * 4, lengths[i] as number)) &
        mask;
      const id = index[slot] as number;
      if (id !== 0) seen ^= words[(id - 1) * width] as number;
    }
    // Kept, or the compiler would find that nobody needs the reads.
    this.#seen ^= seen;
  }

  /** As find; an unknown prefix gets a number. */
  intern(key: Uint32Array, at: number, length: number): PrefixId {
    const found = this.find(key, at, length);
    return found >= 0 ? found : this.#insert(key, at, length);
  }

  #insert(key: Uint32Array, at: number, length: number): PrefixId {
    if ((this.size + 1) * 2 > this.#index.length) this.#growIndex();
    const id = this.#number();
    for (let i = 0; i < this.width; i++) this.words[id * this.width + i] = key[at + i] as number;
    this.lengths[id] = length;
    this.#perLength[length] = (this.#perLength[length] as number) + 1;
    this.#link(id);
    return id;
  }

  /** Forgets a prefix; its number will be given to another. */
  remove(id: PrefixId): void {
    const index = this.#index;
    const mask = this.#mask;
    let slot = this.#hashOf(id) & mask;
    while (index[slot] !== id + 1) slot = (slot + 1) & mask;
    // Knuth 6.4 R: close the gap so that no probe sequence is cut.
    for (let next = (slot + 1) & mask; index[next] !== 0; next = (next + 1) & mask) {
      const home = this.#hashOf((index[next] as number) - 1) & mask;
      if (((next - home) & mask) >= ((next - slot) & mask)) {
        index[slot] = index[next] as number;
        slot = next;
      }
    }
    index[slot] = 0;
    const length = this.lengths[id] as number;
    this.#perLength[length] = (this.#perLength[length] as number) - 1;
    this.lengths[id] = DEAD;
    this.words[id * this.width] = this.#free;
    this.#free = id + 1;
    this.#freeCount++;
  }

  #number(): PrefixId {
    if (this.#free !== 0) {
      const id = this.#free - 1;
      this.#free = this.words[id * this.width] as number;
      this.#freeCount--;
      return id;
    }
    if (this.end >= this.lengths.length) this.#growColumns();
    return this.end++;
  }

  /**
   * Longest prefix holding the address in `key[at]`, no longer than `maximum` and no shorter than `minimum`, that `accepts` says
   * yes to; -1 if there is none.
   */
  longestMatch(
    key: Uint32Array,
    at: number,
    maximum: number,
    minimum: number,
    accepts: (id: PrefixId) => boolean,
  ): PrefixId {
    const probe = new Uint32Array(this.width);
    for (let length = maximum; length >= minimum; length--) {
      if (this.#perLength[length] === 0) continue;
      maskInto(probe, key, at, length);
      const id = this.find(probe, 0, length);
      if (id >= 0 && accepts(id)) return id;
    }
    return -1;
  }

  isLive(id: PrefixId): boolean {
    return id < this.end && this.lengths[id] !== DEAD;
  }

  prefixOf(id: PrefixId): IpPrefix {
    let value = 0n;
    for (let i = 0; i < this.width; i++) value = (value << 32n) | BigInt(this.words[id * this.width + i] as number);
    return { family: this.family, value, length: this.lengths[id] as number };
  }

  /** Number of a prefix given as an object, or -1. */
  findPrefix(prefix: IpPrefix): PrefixId {
    return this.find(wordsOf(prefix), 0, prefix.length);
  }

  #hashOf(id: PrefixId): number {
    const length = this.lengths[id] as number;
    return this.width === 1 ? hash4(this.words[id] as number, length) : hash6(this.words, id * 4, length);
  }

  #link(id: PrefixId): void {
    const index = this.#index;
    const mask = this.#mask;
    let slot = this.#hashOf(id) & mask;
    while (index[slot] !== 0) slot = (slot + 1) & mask;
    index[slot] = id + 1;
  }

  #growIndex(): void {
    this.#index = new Uint32Array(nextCapacity(this.#index.length));
    this.#mask = this.#index.length - 1;
    for (let id = 0; id < this.end; id++) if (this.lengths[id] !== DEAD) this.#link(id);
  }

  #growColumns(): void {
    const capacity = nextRoom(this.lengths.length);
    this.words = grown(this.words, capacity * this.width);
    this.lengths = grown(this.lengths, capacity);
  }
}

/** Fourfold while that is small, then twofold: fewer copies on the way to a big table. */
export const nextCapacity = (capacity: number): number => (capacity <= 1 << 19 ? capacity * 4 : capacity * 2);

/**
 * As nextCapacity, of columns that are written from their start: pages never written cost nothing, what is copied waits for the collector.
 * So a table on its way to a million is copied for the last time when it is small.
 */
export const nextRoom = (capacity: number): number =>
  capacity < 1 << 17 || capacity >= 1 << 21 ? nextCapacity(capacity) : 1 << 21;

/** A longer copy. Pages never written stay unmapped, so room that is not used costs no resident memory. */
export function grown<T extends Uint8Array | Uint16Array | Uint32Array>(old: T, length: number): T {
  const copy = new (old.constructor as new (length: number) => T)(length);
  copy.set(old);
  return copy;
}

/** Words of an address in network order. */
export function wordsOf(address: { readonly family: Family; readonly value: bigint }): Uint32Array {
  if (address.family === 4) return Uint32Array.of(Number(address.value));
  return Uint32Array.from([96n, 64n, 32n, 0n], (shift) => Number((address.value >> shift) & 0xffffffffn));
}

/** Copies an address into `out`, clearing the bits past `length`. */
export function maskInto(out: Uint32Array, key: Uint32Array, at: number, length: number): void {
  for (let i = 0, rest = length; i < out.length; i++, rest -= 32) {
    const word = key[at + i] as number;
    out[i] = rest >= 32 ? word : rest <= 0 ? 0 : word & (-1 << (32 - rest));
  }
}

// Fully mixed. Keeping neighbours in neighbouring slots costs the same time (one cache line serves several prefixes, but more probes are
// needed) and has the longer worst case: 109 probes instead of 30 in a table of a million.
function hash4(word: number, length: number): number {
  let h = Math.imul(word ^ (length << 3), 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return h ^ (h >>> 13);
}

function hash6(key: Uint32Array, at: number, length: number): number {
  let h = Math.imul((key[at] as number) ^ length, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15) ^ (key[at + 1] as number), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13) ^ (key[at + 2] as number), 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 16) ^ (key[at + 3] as number), 0x27d4eb2f);
  return h ^ (h >>> 15);
}
