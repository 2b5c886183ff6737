/**
 * Many small byte strings without an object each: slabs of 1 MiB cut into pieces of a multiple of eight octets, and a free list per
 * piece size. A string is known by one number, its place.
 */
const SLAB_BITS = 20;
const SLAB = 1 << SLAB_BITS;

export class ByteStore {
  readonly #slabs: Uint8Array[] = [];
  /** Free places of pieces of 8 * index octets. */
  readonly #free: (number[] | undefined)[] = [];
  #next = SLAB;

  /** Copies `bytes[start, end)` in and returns its place. At most 65,536 octets. */
  put(bytes: Uint8Array, start: number, end: number): number {
    const size = (end - start + 7) >>> 3;
    const place = this.#free[size]?.pop() ?? this.#cut(size * 8);
    const slab = this.slab(place);
    const at = place & (SLAB - 1);
    for (let i = start, to = at; i < end; i++, to++) slab[to] = bytes[i] as number;
    return place;
  }

  remove(place: number, length: number): void {
    const size = (length + 7) >>> 3;
    const free = this.#free[size];
    if (free === undefined) this.#free[size] = [place];
    else free.push(place);
  }

  /** The slab a place lies in; the string starts at `offsetOf(place)`. */
  slab(place: number): Uint8Array {
    const slab = this.#slabs[place >>> SLAB_BITS];
    if (slab === undefined) throw new RangeError(`No slab holds place ${place}`);
    return slab;
  }

  /** A view, valid until the string is removed. */
  view(place: number, length: number): Uint8Array {
    const at = offsetOf(place);
    return this.slab(place).subarray(at, at + length);
  }

  equals(place: number, bytes: Uint8Array, start: number, length: number): boolean {
    const slab = this.slab(place);
    for (let i = 0, at = offsetOf(place); i < length; i++, at++) if (slab[at] !== bytes[start + i]) return false;
    return true;
  }

  #cut(size: number): number {
    if (this.#next + size > SLAB) {
      // What is left of the old slab is lost: 0.4 % for typical attribute sets.
      this.#slabs.push(new Uint8Array(SLAB));
      this.#next = 0;
    }
    const place = (this.#slabs.length - 1) * SLAB + this.#next;
    this.#next += size;
    return place;
  }
}

export const offsetOf = (place: number): number => place & (SLAB - 1);

/** Murmur-like hash of `bytes[start, end)`, four octets a step. */
export function hashBytes(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let h = seed;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    const word =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    h = Math.imul(h ^ Math.imul(word, 0xcc9e2d51), 0x1b873593);
    h ^= h >>> 15;
  }
  for (; i < end; i++) h = Math.imul(h ^ (bytes[i] as number), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return h ^ (h >>> 13);
}
