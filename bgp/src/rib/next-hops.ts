/**
 * Next hops and how they are reached (RFC 4271 section 5.1.3 and 9.1.2.1), each distinct one resolved once.
 *
 * A next hop of a directly connected eBGP neighbour resolves through connected prefixes only. Any other takes the longest match
 * among connected prefixes and BGP routes. Of the BGP routes only paths whose own next hop is connected count, as in BIRD: so a
 * next hop never resolves through itself, nothing oscillates, and the outcome does not depend on the order of events.
 *
 * Tracking: `routeChanged` compares a changed prefix with those that could carry some next hop (a table of every next hop's
 * own prefixes, empty when all are on links); hits are resolved again by `settle`, which says which next hops changed. Only
 * their dependents are then decided again.
 *
 * Before the first `setConnected` every next hop counts as connected: a route reflector or collector has no forwarding of its own.
 *
 * BOUNDED by the number of attribute sets.
 */
import { addressFromBytes, type Family, type IpAddress } from '../address.js';
import type { NextHopId } from './attribute-sets.js';
import type { ConnectedPrefix, ForwardingHop } from './contract.js';
import { grown, maskInto, PrefixTable, wordsOf, type PrefixId } from './prefix-table.js';

/** How a session's next hops are looked up. */
export interface NextHopScope {
  /** Only through connected prefixes. */
  readonly direct: boolean;
  /** Where link-local ones live. */
  readonly interfaceName: string | undefined;
}

/** The best BGP route to an address with a connected next hop, no shorter than `minimum`: its next hops. */
export type RouteLookup = (family: Family, key: Uint32Array, minimum: number) => readonly NextHopId[] | undefined;

interface NextHop {
  readonly key: string;
  readonly address: IpAddress;
  readonly words: Uint32Array;
  readonly scope: NextHopScope;
  references: number;
  /** Way over a link, and the length of the connected prefix; undefined: not on any. */
  connected: ForwardingHop | undefined;
  connectedLength: number;
  hops: readonly ForwardingHop[];
  watched: boolean;
  isOurs: boolean;
  oursAsOf: number;
}

/** Next hops without use that are kept. */
const KEPT_IDLE = 256;
const NO_HOPS: readonly ForwardingHop[] = [];
const NO_SCOPE: NextHopScope = { direct: false, interfaceName: undefined };

export class NextHops {
  reachable = new Uint8Array(64);
  /** IGP cost: 0 on a link, 1 through a BGP route. */
  metric = new Uint32Array(64);
  /** Changes whenever a next hop may be reached another way than before. */
  waysVersion = 0;
  #list: (NextHop | undefined)[] = [undefined];
  readonly #byKey = new Map<string, NextHopId>();
  readonly #free: NextHopId[] = [];
  #connected: ReadonlyMap<Family, ConnectedTable> | undefined;
  readonly #watch: Readonly<Record<Family, WatchTable>> = { 4: new WatchTable(4), 6: new WatchTable(6) };
  #dirty = new Set<NextHopId>();
  /** Without references, oldest first. BOUNDED by KEPT_IDLE. */
  readonly #idle = new Set<NextHopId>();
  /** The last answer: UPDATEs of one peer mostly have the same next hop. */
  readonly #last = { bytes: new Uint8Array(32), length: 0, scope: NO_SCOPE, id: 0 };
  readonly #minimum: number;
  readonly #lookup: RouteLookup;

  constructor(throughDefault: boolean, lookup: RouteLookup) {
    this.#minimum = throughDefault ? 0 : 1;
    this.#lookup = lookup;
    // Number 0, "none", is always reachable: our own prefixes have it.
    this.reachable[0] = 1;
  }

  /** Number of a next hop of 4, 16 or 32 octets (then the link-local one counts where the interface is known). */
  intern(bytes: Uint8Array, start: number, length: number, scope: NextHopScope): NextHopId {
    const last = this.#last;
    if (last.id !== 0 && last.scope === scope && last.length === length && sameOctets(last.bytes, bytes, start, length))
      return last.id;
    const id = this.#internOctets(bytes, start, length, scope);
    last.bytes.set(bytes.subarray(start, start + length));
    last.length = length;
    last.scope = scope;
    last.id = id;
    return id;
  }

  #internOctets(bytes: Uint8Array, start: number, length: number, scope: NextHopScope): NextHopId {
    const from = length === 32 && scope.interfaceName !== undefined ? start + 16 : start;
    const address = addressFromBytes(bytes.subarray(from, from + (length === 4 ? 4 : 16)));
    return this.internAddress(address, scope);
  }

  internAddress(address: IpAddress, scope: NextHopScope): NextHopId {
    const local = isLinkLocal(address);
    const key = `${address.family}|${address.value}|${scope.direct || local ? 'd' : 'r'}|${local ? (scope.interfaceName ?? '') : ''}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const id = this.#free.pop() ?? this.#list.length;
    if (id >= this.reachable.length) {
      this.reachable = grown(this.reachable, this.reachable.length * 2);
      this.metric = grown(this.metric, this.metric.length * 2);
    }
    const hop: NextHop = {
      key,
      address,
      words: wordsOf(address),
      scope: local ? { direct: true, interfaceName: scope.interfaceName } : { ...NO_SCOPE, direct: scope.direct },
      references: 0,
      connected: undefined,
      connectedLength: -1,
      hops: NO_HOPS,
      watched: false,
      isOurs: false,
      oursAsOf: -1,
    };
    this.#list[id] = hop;
    this.#byKey.set(key, id);
    this.#connect(hop);
    this.#rewatch(id, hop);
    this.#resolve(id, hop);
    return id;
  }

  hold(id: NextHopId): void {
    if (id === 0) return;
    if (this.#get(id).references++ === 0) this.#idle.delete(id);
  }

  release(id: NextHopId): void {
    if (id === 0) return;
    if (--this.#get(id).references > 0) return;
    // Mostly the next UPDATE brings it back: a few of those without use are kept.
    this.#idle.add(id);
    for (const oldest of this.#idle) {
      if (this.#idle.size <= KEPT_IDLE) return;
      this.#forget(oldest);
    }
  }

  #forget(id: NextHopId): void {
    const hop = this.#get(id);
    this.#idle.delete(id);
    this.#unwatch(id, hop);
    this.#byKey.delete(hop.key);
    this.#dirty.delete(id);
    if (this.#last.id === id) this.#last.id = 0;
    this.#list[id] = undefined;
    this.reachable[id] = 0;
    this.#free.push(id);
  }

  /** Is it an address that `isOwn` knows? Asked once per next hop and `version` of what is known. */
  isOurs(id: NextHopId, version: number, isOwn: (address: IpAddress) => boolean): boolean {
    const hop = this.#list[id];
    if (hop === undefined) return false;
    if (hop.oursAsOf !== version) {
      hop.isOurs = isOwn(hop.address);
      hop.oursAsOf = version;
    }
    return hop.isOurs;
  }

  address(id: NextHopId): IpAddress | undefined {
    return this.#list[id]?.address;
  }

  hops(id: NextHopId): readonly ForwardingHop[] {
    return this.#list[id]?.hops ?? NO_HOPS;
  }

  /** Is it on a link? Only such a next hop's routes may carry others. */
  isConnected(id: NextHopId): boolean {
    return this.#list[id]?.connected !== undefined;
  }

  /** Replaces all connected prefixes; next hops that changed come out of `settle`. */
  setConnected(prefixes: readonly ConnectedPrefix[]): void {
    this.#connected = new Map([
      [4, new ConnectedTable(4, prefixes)],
      [6, new ConnectedTable(6, prefixes)],
    ]);
    for (const [id, hop] of this.#list.entries()) {
      if (hop === undefined) continue;
      this.#connect(hop);
      this.#rewatch(id, hop);
      this.#dirty.add(id);
    }
    // A next hop that left its link takes away a way for those that resolve through its routes.
    this.routesChanged();
  }

  /** Does any next hop depend on routes? Saves the caller from asking about every change. */
  watches(family: Family): boolean {
    return this.#watch[family].size > 0;
  }

  /** Some path of a prefix came, went or changed. */
  routeChanged(family: Family, words: Uint32Array, at: number, length: number): void {
    for (const id of this.#watch[family].at(words, at, length)) this.#dirty.add(id);
  }

  /** Any route may have changed: every next hop that resolves through one is looked at again. */
  routesChanged(): void {
    for (const family of [4, 6] as const) for (const id of this.#watch[family].all()) this.#dirty.add(id);
  }

  get isSettled(): boolean {
    return this.#dirty.size === 0;
  }

  /** Resolves again what may have changed; the next hops whose way or reachability did change. */
  settle(): ReadonlySet<NextHopId> {
    const changed = new Set<NextHopId>();
    const dirty = this.#dirty;
    this.#dirty = new Set();
    for (const id of dirty) {
      const hop = this.#list[id];
      if (hop !== undefined && this.#resolve(id, hop)) changed.add(id);
    }
    if (changed.size > 0) this.waysVersion++;
    return changed;
  }

  #get(id: NextHopId): NextHop {
    const hop = this.#list[id];
    if (hop === undefined) throw new RangeError(`Next hop ${id} is not in the table`);
    return hop;
  }

  #connect(hop: NextHop): void {
    hop.connected = undefined;
    hop.connectedLength = -1;
    if (this.#connected === undefined) {
      hop.connected = { address: hop.address, interfaceName: hop.scope.interfaceName, weight: 1 };
      hop.connectedLength = hop.address.family === 4 ? 32 : 128;
      return;
    }
    const table = this.#connected.get(hop.address.family);
    if (isLinkLocal(hop.address)) {
      const name = hop.scope.interfaceName;
      if (name === undefined || !this.#isUp(name)) return;
      hop.connected = { address: hop.address, interfaceName: name, weight: 1 };
      hop.connectedLength = 128;
      return;
    }
    const match = table?.match(hop.words);
    if (match === undefined) return;
    hop.connected = { address: hop.address, interfaceName: match.interfaceName, weight: 1 };
    hop.connectedLength = match.prefix.length;
  }

  #isUp(interfaceName: string): boolean {
    for (const table of this.#connected?.values() ?? []) if (table.interfaces.has(interfaceName)) return true;
    return false;
  }

  /** True when the outcome differs from before. */
  #resolve(id: NextHopId, hop: NextHop): boolean {
    let hops: readonly ForwardingHop[] = hop.connected === undefined ? NO_HOPS : [hop.connected];
    let metric = 0;
    if (!hop.scope.direct) {
      const carriers = this.#lookup(hop.address.family, hop.words, Math.max(hop.connectedLength + 1, this.#minimum));
      if (carriers !== undefined) {
        hops = union(carriers.map((carrier) => this.#list[carrier]?.connected).filter((way) => way !== undefined));
        metric = 1;
      }
    }
    const reachable = hops.length > 0 ? 1 : 0;
    const same = this.reachable[id] === reachable && this.metric[id] === metric && sameHops(hop.hops, hops);
    if (same) return false;
    hop.hops = hops;
    this.reachable[id] = reachable;
    this.metric[id] = metric;
    return true;
  }

  #rewatch(id: NextHopId, hop: NextHop): void {
    this.#unwatch(id, hop);
    if (hop.scope.direct) return;
    const from = Math.max(hop.connectedLength + 1, this.#minimum);
    if (from > hop.words.length * 32) return;
    this.#watch[hop.address.family].add(hop.words, from, id);
    hop.watched = true;
  }

  #unwatch(id: NextHopId, hop: NextHop): void {
    if (!hop.watched) return;
    this.#watch[hop.address.family].remove(hop.words, id);
    hop.watched = false;
  }
}

/** Every prefix that would carry some next hop, and whose. */
class WatchTable {
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

class ConnectedTable {
  readonly interfaces = new Set<string>();
  readonly #prefixes: PrefixTable;
  readonly #entries: ConnectedPrefix[] = [];

  constructor(family: Family, prefixes: readonly ConnectedPrefix[]) {
    this.#prefixes = new PrefixTable(family);
    for (const entry of prefixes) {
      if (entry.prefix.family !== family) continue;
      this.interfaces.add(entry.interfaceName);
      // Two links with the same prefix: the first one listed carries it, as the kernel's lower metric would.
      const id = this.#prefixes.intern(wordsOf(entry.prefix), 0, entry.prefix.length);
      this.#entries[id] ??= entry;
    }
  }

  match(words: Uint32Array): ConnectedPrefix | undefined {
    const id = this.#prefixes.longestMatch(words, 0, words.length * 32, 0, () => true);
    return id < 0 ? undefined : this.#entries[id];
  }
}

function sameOctets(a: Uint8Array, b: Uint8Array, start: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[i] !== b[start + i]) return false;
  return true;
}

/** fe80::/10 (RFC 4291 section 2.5.6). */
export const isLinkLocal = (address: IpAddress): boolean => address.family === 6 && address.value >> 118n === 0x3fan;

export const sameHop = (a: ForwardingHop, b: ForwardingHop): boolean =>
  a.interfaceName === b.interfaceName &&
  a.weight === b.weight &&
  a.address?.value === b.address?.value &&
  a.address?.family === b.address?.family;

const sameHops = (a: readonly ForwardingHop[], b: readonly ForwardingHop[]): boolean =>
  a.length === b.length && a.every((hop, i) => sameHop(hop, b[i] as ForwardingHop));

/** Each way once. */
export function union(hops: readonly ForwardingHop[]): readonly ForwardingHop[] {
  return hops.filter((hop, i) => hops.findIndex((other) => sameHop(hop, other)) === i);
}
