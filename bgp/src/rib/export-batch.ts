/**
 * Changes of an Adj-RIB-Out on their way to the wire, chained by attribute set: one chain is one run of UPDATEs, so that packing
 * needs no sorting. One batch serves all update groups in turn; it is empty between them.
 */
import type { SetId } from './attribute-sets.js';
import { grown, type PrefixId } from './prefix-table.js';

export class ExportBatch {
  count = 0;
  prefix = new Uint32Array(1024);
  /** Path identifier to send, where the group has ADD-PATH. */
  pathId = new Uint32Array(1024);
  /** What the peers had before; 0: nothing. The batch owns a reference. */
  old = new Uint32Array(1024);
  /** Next of the same chain, plus one; 0: last. */
  next = new Uint32Array(1024);
  /** Sets with a chain, in order; 0 is the chain of withdrawals. */
  readonly chains: SetId[] = [];
  #head = new Uint32Array(1024);
  #tail = new Uint32Array(1024);
  #lastSet: SetId = -1;

  add(prefix: PrefixId, pathId: number, set: SetId, old: SetId): void {
    const i = this.count++;
    if (i >= this.prefix.length) this.#grow();
    this.prefix[i] = prefix;
    this.pathId[i] = pathId;
    this.old[i] = old;
    this.next[i] = 0;
    // Prefixes of one set mostly come one after the other.
    if (set !== this.#lastSet) {
      this.#lastSet = set;
      if (set >= this.#head.length) this.#growHeads(set);
      if (this.#head[set] === 0) {
        this.#head[set] = i + 1;
        this.#tail[set] = i;
        this.chains.push(set);
        return;
      }
    }
    this.next[this.#tail[set] as number] = i + 1;
    this.#tail[set] = i;
  }

  /** First entry of a set's chain, plus one. */
  head(set: SetId): number {
    return this.#head[set] as number;
  }

  /** Moves an entry, whose own chain is being given up, to the chain of withdrawals. */
  withdrawInstead(i: number): void {
    this.next[i] = 0;
    if (this.#head[0] === 0) {
      this.#head[0] = i + 1;
      this.chains.push(0);
    } else this.next[this.#tail[0] as number] = i + 1;
    this.#tail[0] = i;
  }

  clear(): void {
    for (const set of this.chains) this.#head[set] = 0;
    this.chains.length = 0;
    this.count = 0;
    this.#lastSet = -1;
  }

  #grow(): void {
    const length = this.prefix.length * 2;
    this.prefix = grown(this.prefix, length);
    this.pathId = grown(this.pathId, length);
    this.old = grown(this.old, length);
    this.next = grown(this.next, length);
  }

  #growHeads(set: SetId): void {
    const length = Math.max(this.#head.length * 2, set + 1);
    this.#head = grown(this.#head, length);
    this.#tail = grown(this.#tail, length);
  }
}
