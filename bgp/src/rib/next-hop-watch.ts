/** Which next hops a change of a route concerns: a table of every prefix that would carry some next hop. */
import type { Family } from '../address.js';
import type { NextHopId } from './attribute-sets.js';
import { maskInto, PrefixTable, type PrefixId } from './prefix-table.js';

/** Every prefix that would carry some next hop, and whose. */
export class NextHopWatch {
  readonly #prefixes: PrefixTable;
  readonly #ids = new Map<PrefixId, Set<NextHopId>>();

  constructor(family: Family) {
    this.#prefixes = new PrefixTable(family);
  }

  get size(): number {
    return this.#ids.size;
  }

  add(words: Uint32Array, from: number, id: NextHopId): void {
    const key = new Uint32Array(this.#prefixes.width);
    for (let length = from; length <= key.length * 32; length++) {
      maskInto(key, words, 0, length);
      const prefix = this.#prefixes.intern(key, 0, length);
      const ids = this.#ids.get(prefix);
      if (ids === undefined) this.#ids.set(prefix, new Set([id]));
      else ids.add(id);
    }
  }

  remove(words: Uint32Array, id: NextHopId): void {
    const key = new Uint32Array(this.#prefixes.width);
    for (let length = 0; length <= key.length * 32; length++) {
      maskInto(key, words, 0, length);
      const prefix = this.#prefixes.find(key, 0, length);
      const ids = prefix < 0 ? undefined : this.#ids.get(prefix);
      if (ids === undefined || !ids.delete(id) || ids.size > 0) continue;
      this.#ids.delete(prefix);
      this.#prefixes.remove(prefix);
    }
  }

  at(words: Uint32Array, at: number, length: number): Iterable<NextHopId> {
    const prefix = this.#prefixes.find(words, at, length);
    return (prefix < 0 ? undefined : this.#ids.get(prefix)) ?? [];
  }

  *all(): Iterable<NextHopId> {
    for (const ids of this.#ids.values()) yield* ids;
  }
}
