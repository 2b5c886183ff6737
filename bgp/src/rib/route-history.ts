/**
 * The last changes of best paths, for people who ask what happened to a route. BOUNDED: a ring in typed arrays, a few nanoseconds per
 * change, so that it can run along with a full table; text is made only for those who ask.
 *
 * Times are those of the batch of input or work that a change belongs to: the clock is read once for it (`tick`).
 */
import type { IpPrefix } from '../address.js';
import type { PeerId, RouteChange } from './contract.js';
import { LOCAL_PEER, type Peers } from './peers.js';
import type { PrefixId, PrefixTable } from './prefix-table.js';

const CAPACITY = 8192;
const TYPES = ['added', 'changed', 'withdrawn'] as const;
const WORDS = 4;

export class RouteHistory {
  readonly #peers: Peers;
  readonly #wallTime: () => number;
  readonly #times = new Float64Array(CAPACITY);
  readonly #words = new Uint32Array(CAPACITY * WORDS);
  readonly #lengths = new Uint8Array(CAPACITY);
  readonly #types = new Uint8Array(CAPACITY);
  readonly #isIpv6 = new Uint8Array(CAPACITY);
  /** A peer may be gone when somebody asks; its name stays. */
  readonly #names: (string | undefined)[] = new Array<string | undefined>(CAPACITY).fill(undefined);
  #count = 0;
  #now = 0;

  constructor(peers: Peers, wallTime: () => number) {
    this.#peers = peers;
    this.#wallTime = wallTime;
  }

  tick(): void {
    this.#now = this.#wallTime();
  }

  /** `before` and `after`: sources of the best path, undefined for none. */
  note(table: PrefixTable, prefix: PrefixId, before: PeerId | undefined, after: PeerId | undefined): void {
    const at = this.#count++ % CAPACITY;
    this.#times[at] = this.#now;
    for (let i = 0; i < table.width; i++) this.#words[at * WORDS + i] = table.words[prefix * table.width + i] as number;
    this.#lengths[at] = table.lengths[prefix] as number;
    this.#isIpv6[at] = table.width === 1 ? 0 : 1;
    this.#types[at] = before === undefined ? 0 : after === undefined ? 2 : 1;
    const peer = after ?? before;
    this.#names[at] = peer === undefined || peer === LOCAL_PEER ? undefined : this.#peers.get(peer).options.name;
  }

  /** Oldest first. */
  *changes(): IterableIterator<RouteChange> {
    for (let i = Math.max(0, this.#count - CAPACITY); i < this.#count; i++) {
      const at = i % CAPACITY;
      const name = this.#names[at];
      yield { at: this.#times[at] as number, type: TYPES[this.#types[at] as 0 | 1 | 2], prefix: this.#prefix(at), ...(name === undefined ? {} : { peer: name }) };
    }
  }

  #prefix(at: number): IpPrefix {
    const width = this.#isIpv6[at] === 1 ? WORDS : 1;
    let value = 0n;
    for (let i = 0; i < width; i++) value = (value << 32n) | BigInt(this.#words[at * WORDS + i] as number);
    return { family: width === 1 ? 4 : 6, value, length: this.#lengths[at] as number };
  }
}
