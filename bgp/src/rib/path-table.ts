/**
 * The paths of one family: all Adj-RIB-Ins in one table. A path is a row of numbers; the paths of a prefix form a chain through
 * `next`, newest first. The row keeps the attribute set as received (`raw`) and after import policy (`set`, 0 when policy or a loop
 * check keeps the path out), so that policy can change without asking the peer again (RFC 4271 section 3.2).
 *
 * Path 0 is no path. BOUNDED by max-prefix of each peer.
 */
import type { PeerId } from './rib-peer.js';
import { grown, nextRoom, type PrefixId } from './prefix-table.js';

export type PathId = number;

/** Bits of the `flags` column. */
export const PathFlag = {
  live: 1,
  /** Left over from before a restart or refresh (RFC 4724 section 4.2, RFC 7313 section 4). */
  stale: 2,
  /** Stale already when the peer went away again: such a path goes (RFC 4724 section 4.2). */
  doomed: 4,
} as const;

const FIRST_CAPACITY = 1 << 9;

export class PathTable {
  next = new Uint32Array(FIRST_CAPACITY);
  prefix = new Uint32Array(FIRST_CAPACITY);
  raw = new Uint32Array(FIRST_CAPACITY);
  set = new Uint32Array(FIRST_CAPACITY);
  peer = new Uint16Array(FIRST_CAPACITY);
  flags = new Uint8Array(FIRST_CAPACITY);
  /** ADD-PATH identifiers as received; without pages behind it until a peer uses them. */
  identifier = new Uint32Array(FIRST_CAPACITY);
  /** Rows handed out so far: the bound of a walk over all. Dead rows in it have no flags. */
  end = 1;
  /** The first row that is free; the next stands in its `next`. 0: none. */
  #free: PathId = 0;
  #freeCount = 0;

  get size(): number {
    return this.end - 1 - this.#freeCount;
  }

  add(prefix: PrefixId, peer: PeerId, identifier: number, next: PathId): PathId {
    const id = this.#row();
    this.next[id] = next;
    this.prefix[id] = prefix;
    this.peer[id] = peer;
    this.raw[id] = 0;
    this.set[id] = 0;
    this.flags[id] = PathFlag.live;
    // Writing only what is not zero already keeps the column's pages unmapped without ADD-PATH.
    if (this.identifier[id] !== identifier) this.identifier[id] = identifier;
    return id;
  }

  remove(id: PathId): void {
    this.flags[id] = 0;
    this.next[id] = this.#free;
    this.#free = id;
    this.#freeCount++;
  }

  #row(): PathId {
    const id = this.#free;
    if (id !== 0) {
      this.#free = this.next[id] as PathId;
      this.#freeCount--;
      return id;
    }
    if (this.end >= this.next.length) this.#grow();
    return this.end++;
  }

  #grow(): void {
    const length = nextRoom(this.next.length);
    this.next = grown(this.next, length);
    this.prefix = grown(this.prefix, length);
    this.raw = grown(this.raw, length);
    this.set = grown(this.set, length);
    this.peer = grown(this.peer, length);
    this.flags = grown(this.flags, length);
    this.identifier = grown(this.identifier, length);
  }
}
