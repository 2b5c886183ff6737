/**
 * What changed in a Loc-RIB, in order, for any number of readers at their own pace: update groups, the forwarding table.
 *
 * An entry is only "look at this prefix again"; a reader compares what it finds with what it last did. So a prefix that changes many
 * times before anybody looked stands here once, and a reader that falls too far behind may give up its place and walk the whole
 * table instead, with the same result. That bounds the log by the table (`isLong`).
 *
 * Positions count up for ever (exact to 2^53).
 */
import { grown, nextRoom, type PrefixId } from './prefix-table.js';

const CHUNK_BITS = 12;
const CHUNK = 1 << CHUNK_BITS;
/** A log of fewer entries than this is not too long, unless the owner says otherwise. */
const PATIENCE = 1 << 16;

export interface LogReader {
  /** Next entry to read. */
  position: number;
}

export class ChangeLog {
  readonly #chunks: Uint32Array[] = [];
  /** Position of the first entry of the first chunk. */
  #base = 0;
  #end = 0;
  #trimmed = 0;
  /** No reader is beyond this. */
  #furthest = 0;
  readonly #readers = new Set<LogReader>();
  /** Per prefix: low 32 bits of one more than its last position, 0 when it is not in the log. */
  #last = new Uint32Array(1 << 9);
  #spare: Uint32Array | undefined;
  readonly #patience: number;

  constructor(patience = PATIENCE) {
    this.#patience = patience;
  }

  get end(): number {
    return this.#end;
  }

  /** Entries nobody may skip yet. */
  get length(): number {
    return this.#end - this.#trimmed;
  }

  /** A reader that starts with the next change. */
  subscribe(): LogReader {
    const reader = { position: this.#end };
    this.#readers.add(reader);
    this.#furthest = this.#end;
    return reader;
  }

  unsubscribe(reader: LogReader): void {
    this.#readers.delete(reader);
  }

  /** A reader tells how far it has come. */
  advance(reader: LogReader, position: number): void {
    reader.position = position;
    if (position > this.#furthest) this.#furthest = position;
  }

  append(prefix: PrefixId): void {
    if (prefix >= this.#last.length) this.#last = grown(this.#last, Math.max(nextRoom(this.#last.length), prefix + 1));
    const last = this.#last[prefix] as number;
    // Still ahead of every reader: they will all look at its newest state. (Lengths stay far below 2^32.)
    if (last !== 0 && (this.#end - last + 1) >>> 0 <= this.#end - this.#furthest) return;
    // A mark of 0 means "not in the log": the one position in 2^32 that would get it is filled and skipped.
    if ((this.#end + 1) >>> 0 === 0) this.#push(prefix);
    this.#push(prefix);
    this.#last[prefix] = this.#end >>> 0;
  }

  has(prefix: PrefixId): boolean {
    return (this.#last[prefix] ?? 0) !== 0;
  }

  at(position: number): PrefixId {
    const at = position - this.#base;
    return (this.#chunks[at >>> CHUNK_BITS] as Uint32Array)[at & (CHUNK - 1)] as number;
  }

  #push(prefix: PrefixId): void {
    const at = this.#end - this.#base;
    if (at >>> CHUNK_BITS >= this.#chunks.length) {
      this.#chunks.push(this.#spare ?? new Uint32Array(CHUNK));
      this.#spare = undefined;
    }
    (this.#chunks[at >>> CHUNK_BITS] as Uint32Array)[at & (CHUNK - 1)] = prefix;
    this.#end++;
  }

  /** Is a reader at this position further behind than walking the table of so many prefixes would cost? */
  isLong(position: number, tableSize: number): boolean {
    return this.#end - position > Math.max(this.#patience, tableSize);
  }

  /** Every reader is beyond this. */
  #readByAll(): number {
    let until = this.#end;
    for (const { position } of this.#readers) if (position < until) until = position;
    return until;
  }

  get isTrimmable(): boolean {
    return this.#trimmed < this.#end && this.#readByAll() > this.#trimmed;
  }

  /** Drops up to `limit` entries that every reader has read; tells each prefix that is in the log no more. */
  trim(limit: number, gone: (prefix: PrefixId) => void): void {
    const until = Math.min(this.#readByAll(), this.#trimmed + limit);
    for (; this.#trimmed < until; this.#trimmed++) {
      const prefix = this.at(this.#trimmed);
      if (this.#last[prefix] !== (this.#trimmed + 1) >>> 0) continue;
      this.#last[prefix] = 0;
      gone(prefix);
    }
    while (this.#chunks.length > 0 && this.#trimmed - this.#base >= CHUNK) {
      this.#spare = this.#chunks.shift();
      this.#base += CHUNK;
    }
  }
}
