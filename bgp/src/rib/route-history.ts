/**
 * The last changes of best paths, for people who ask what happened to a route. BOUNDED: a ring in typed arrays, a few nanoseconds per
 * change, so that it can run along with a full table; text is made only for those who ask.
 *
 * Times are those of the batch of input or work that a change belongs to: the clock is read once for it (`tick`).
 */
import type { IpPrefix } from '../address.js';
import type { PeerId } from './rib-peer.js';
import type { RouteChange } from './answers.js';
import { LOCAL_PEER, type Peers } from './peers.js';
import type { PrefixId, PrefixTable } from './prefix-table.js';

/** A power of two. */
const CAPACITY = 8192;
const TYPES = ['added', 'changed', 'withdrawn'] as const;
/** Per change: four words of the prefix, then its length, type and width. */
const STRIDE = 5;

export class RouteHistory {
  readonly #peers: Peers;
  readonly #wallTime: () => number;
  readonly #times = new Float64Array(CAPACITY);
  readonly #words = new Uint32Array(CAPACITY * STRIDE);
  /** A peer may be gone when somebody asks; its name stays. */
  readonly #names: (string | undefined)[] = new Array<string | undefined>(CAPACITY).fill(undefined);
  #count = 0;
  #now = 0;
  /** The last name that was looked up: mostly a batch has one source. An id is not another's within a batch. */
  #namedPeer: PeerId = LOCAL_PEER;
  #name: string | undefined;

  constructor(peers: Peers, wallTime: () => number) {
    this.#peers = peers;
    this.#wallTime = wallTime;
  }

  tick(): void {
    this.#now = this.#wallTime();
    this.#namedPeer = LOCAL_PEER;
    this.#name = undefined;
  }

  /** `before` and `after`: sources of the best path, undefined for none. */
  note(table: PrefixTable, prefix: PrefixId, before: PeerId | undefined, after: PeerId | undefined): void {
    const at = this.#count++ & (CAPACITY - 1);
    const { width, words } = table;
    const to = at * STRIDE;
    this.#times[at] = this.#now;
    for (let i = 0; i < width; i++) this.#words[to + i] = words[prefix * width + i] as number;
    this.#words[to + 4] =
      (table.lengths[prefix] as number) |
      ((before === undefined ? 0 : after === undefined ? 2 : 1) << 8) |
      (width << 16);
    const peer = after ?? before ?? LOCAL_PEER;
    if (peer !== this.#namedPeer) this.#lookUp(peer);
    this.#names[at] = this.#name;
  }

  /** How many there were since the beginning. */
  get count(): number {
    return this.#count;
  }

  /** Oldest first, from the one of this number on; what the ring no longer has is passed over. */
  *changes(from = 0): IterableIterator<RouteChange> {
    for (let i = Math.max(from, this.#count - CAPACITY); i < this.#count; i++) {
      const at = i & (CAPACITY - 1);
      const name = this.#names[at];
      const type = ((this.#words[at * STRIDE + 4] as number) >>> 8) & 3;
      yield {
        at: this.#times[at] as number,
        type: TYPES[type as 0 | 1 | 2],
        prefix: this.#prefix(at),
        ...(name === undefined ? {} : { peer: name }),
      };
    }
  }

  #lookUp(peer: PeerId): void {
    this.#namedPeer = peer;
    this.#name = peer === LOCAL_PEER ? undefined : this.#peers.get(peer).options.name;
  }

  #prefix(at: number): IpPrefix {
    const meta = this.#words[at * STRIDE + 4] as number;
    const width = meta >>> 16;
    let value = 0n;
    for (let i = 0; i < width; i++) value = (value << 32n) | BigInt(this.#words[at * STRIDE + i] as number);
    return { family: width === 1 ? 4 : 6, value, length: meta & 0xff };
  }
}
