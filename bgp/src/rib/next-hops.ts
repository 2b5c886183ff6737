/**
 * Next hops and how they are reached (RFC 4271 section 5.1.3 and 9.1.2.1), each distinct one resolved once.
 *
 * A next hop of a directly connected eBGP neighbour resolves over links only. Any other takes the longest match among links, the kernel's
 * routes of others (underlay.ts) and BGP routes. Of the BGP routes only paths whose own next hop is reached without BGP count, as in BIRD:
 * so nothing oscillates, and the outcome does not depend on the order of events.
 *
 * A path may have its next hop inside its own prefix: a mesh tells each node's own address, by that very address. Taken as the prefix's
 * route it would lead through itself (section 9.1.2.1), unless a link, or something longer than the prefix, leads there. So it carries
 * no next hop, its own least of all (`carries`), and in the decision it comes after every path that does not (`depth`).
 *
 * An IPv6 next hop may be a pair (RFC 2545 section 3). The global half is what it is called by and what goes on to others; where the link
 * is known, the link-local half is what packets go to.
 *
 * Tracking: `routeChanged` compares a changed prefix with those that could carry some next hop (next-hop-watch.ts, empty when all are on
 * links); hits are resolved again by `settle`, which says which next hops changed. Only their dependents are then decided again.
 *
 * Before the first `setConnected` every next hop counts as connected: a route reflector or collector has no forwarding of its own.
 *
 * BOUNDED by the number of attribute sets.
 */
import { addressFromBytes, type Family, type IpAddress } from '../address.js';
import type { NextHopId } from './attribute-sets.js';
import type { ConnectedPrefix, KernelRoute } from './contract.js';
import type { ForwardingHop } from './forwarding-entry.js';
import { isLinkLocal, sameHops, union } from './hops.js';
import { NextHopWatch } from './next-hop-watch.js';
import { grown, wordsOf } from './prefix-table.js';
import type { Column, LookedUp } from './reading.js';
import { Underlay, type UnderlayWay } from './underlay.js';

/** How a session's next hops are looked up. */
export interface NextHopScope {
  /** Only through connected prefixes. */
  readonly direct: boolean;
  /** Where link-local ones live. */
  readonly interfaceName: string | undefined;
}

/** BGP routes that carry a next hop. */
export interface Carriers {
  /** Of their prefix. */
  readonly length: number;
  readonly nextHops: readonly NextHopId[];
}

/** The best BGP routes to an address with next hops reached without BGP, no shorter than `minimum`. */
export type RouteLookup = (family: Family, key: Uint32Array, minimum: number) => Carriers | undefined;

/** A link-local address is ours on one interface and may be a neighbour's on another. */
export type IsOwnAddress = (address: IpAddress, interfaceName: string | undefined) => boolean;

interface NextHop {
  readonly key: string;
  readonly address: IpAddress;
  /** Second half of a pair. */
  readonly linkLocal: IpAddress | undefined;
  /** What has to be reached: the link-local half where the link is known. */
  readonly target: IpAddress;
  /** Of the target. */
  readonly words: Uint32Array;
  readonly scope: NextHopScope;
  references: number;
  /** How it is reached without BGP; undefined: not at all. */
  underlay: UnderlayWay | undefined;
  hops: readonly ForwardingHop[];
  watched: boolean;
  isOurs: boolean;
  oursAsOf: number;
}

/** Next hops without use that are kept. */
const KEPT_IDLE = 256;
/** More than any prefix has bits. */
const ANY_DEPTH = 255;
const NO_HOPS: readonly ForwardingHop[] = [];
const NO_SCOPE: NextHopScope = { direct: false, interfaceName: undefined };

export class NextHops {
  reachable = new Uint8Array(64);
  /** IGP cost: 0 on a link, through a kernel route its metric but 1 at least, and through a BGP route one more. */
  metric = new Uint32Array(64);
  /**
   * Paths of prefixes shorter than this do not lead through themselves, whatever their prefix. What leads to the next hop without BGP may
   * be as long as the prefix; of BGP routes that would be the prefix itself.
   */
  depth = new Uint8Array(64).fill(ANY_DEPTH, 0, 1);
  /** Changes whenever a next hop may be reached another way than before. */
  waysVersion = 0;
  #list: (NextHop | undefined)[] = [undefined];
  readonly #byKey = new Map<string, NextHopId>();
  readonly #free: NextHopId[] = [];
  #underlay: Underlay | undefined;
  #connected: readonly ConnectedPrefix[] | undefined;
  #kernel: readonly KernelRoute[] = [];
  #ignoredDefaults: readonly Family[] = [];
  readonly #watch: Readonly<Record<Family, NextHopWatch>> = { 4: new NextHopWatch(4), 6: new NextHopWatch(6) };
  #dirty = new Set<NextHopId>();
  /** Without references, oldest first. BOUNDED by KEPT_IDLE. */
  readonly #idle = new Set<NextHopId>();
  /** The last answer: UPDATEs of one peer mostly have the same next hop. */
  readonly #last = { bytes: new Uint8Array(32), length: 0, scope: NO_SCOPE, id: 0 };
  readonly #minimum: number;
  readonly #lookup: RouteLookup;
  readonly #added: () => void;

  /** `added`: there is an address that was not there before. */
  constructor(throughDefault: boolean, lookup: RouteLookup, added: () => void = () => undefined) {
    this.#minimum = throughDefault ? 0 : 1;
    this.#lookup = lookup;
    this.#added = added;
    // Number 0, "none", is always reachable: our own prefixes have it.
    this.reachable[0] = 1;
  }

  /** Number of a next hop of 4, 16 or 32 octets. */
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
    const first = addressFromBytes(bytes.subarray(start, start + (length === 4 ? 4 : 16)));
    if (length !== 32) return this.internAddress(first, scope);
    const second = addressFromBytes(bytes.subarray(start + 16, start + 32));
    if (!isLinkLocal(second)) return this.internAddress(first, scope);
    // Peers without a global address leave the first half empty, or write the same twice.
    return first.value === 0n || isLinkLocal(first)
      ? this.internAddress(second, scope)
      : this.#internPair(first, second, scope);
  }

  internAddress(address: IpAddress, scope: NextHopScope): NextHopId {
    return this.#internPair(address, undefined, scope);
  }

  #internPair(address: IpAddress, linkLocal: IpAddress | undefined, scope: NextHopScope): NextHopId {
    const target = linkLocal !== undefined && scope.interfaceName !== undefined ? linkLocal : address;
    const local = isLinkLocal(target);
    const key = [
      address.family,
      address.value,
      linkLocal?.value ?? '',
      scope.direct || local ? 'd' : 'r',
      local ? (scope.interfaceName ?? '') : '',
    ].join('|');
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const id = this.#free.pop() ?? this.#list.length;
    if (id >= this.reachable.length) {
      this.reachable = grown(this.reachable, this.reachable.length * 2);
      this.metric = grown(this.metric, this.metric.length * 2);
      this.depth = grown(this.depth, this.depth.length * 2);
    }
    const hop: NextHop = {
      key,
      address,
      linkLocal,
      target,
      words: wordsOf(target),
      scope: local ? { direct: true, interfaceName: scope.interfaceName } : { ...NO_SCOPE, direct: scope.direct },
      references: 0,
      underlay: undefined,
      hops: NO_HOPS,
      watched: false,
      isOurs: false,
      oursAsOf: -1,
    };
    this.#list[id] = hop;
    this.#byKey.set(key, id);
    if (!local) this.#added();
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
  isOurs(id: NextHopId, version: number, isOwn: IsOwnAddress): boolean {
    const hop = this.#list[id];
    if (hop === undefined) return false;
    if (hop.oursAsOf !== version) {
      hop.isOurs = isOwn(hop.target, hop.scope.interfaceName);
      hop.oursAsOf = version;
    }
    return hop.isOurs;
  }

  /** The global half of a pair. */
  address(id: NextHopId): IpAddress | undefined {
    return this.#list[id]?.address;
  }

  /** As `isOurs`, without remembering the answer. */
  isAmong(id: NextHopId, isOwn: IsOwnAddress): boolean {
    const hop = this.#list[id];
    return hop !== undefined && isOwn(hop.target, hop.scope.interfaceName);
  }

  /** The other half of a pair. */
  linkLocal(id: NextHopId): IpAddress | undefined {
    return this.#list[id]?.linkLocal;
  }

  /** What has to be reached, without what is known to be on a link of its own. */
  *targets(): IterableIterator<IpAddress> {
    for (const hop of this.#list) if (hop !== undefined && !isLinkLocal(hop.target)) yield hop.target;
  }

  hops(id: NextHopId): readonly ForwardingHop[] {
    return this.#list[id]?.hops ?? NO_HOPS;
  }

  /** Is it reached without BGP, and not through the prefix itself? Only such a next hop's paths of the prefix may carry others. */
  carries(id: NextHopId, family: Family, words: Column, at: number, length: number): boolean {
    const hop = this.#list[id];
    if (hop?.underlay === undefined || hop.underlay.hops.length === 0) return false;
    return isOnLink(hop) || hop.underlay.length >= length || !this.isWithin(id, family, words, at, length);
  }

  lookedUp(id: NextHopId): LookedUp | undefined {
    const hop = this.#list[id];
    if (hop === undefined) return undefined;
    const { target, scope, underlay } = hop;
    return { target, interfaceName: scope.interfaceName, isDirect: scope.direct, length: underlay?.length };
  }

  ignoresDefault(family: Family): boolean {
    return this.#ignoredDefaults.includes(family);
  }

  /** Does it lie in a prefix? */
  isWithin(id: NextHopId, family: Family, words: Column, at: number, length: number): boolean {
    const hop = this.#list[id];
    if (hop === undefined || hop.target.family !== family) return false;
    for (let i = 0, left = length; left > 0; i++, left -= 32) {
      const mask = left >= 32 ? 0xffffffff : -1 << (32 - left);
      if ((((hop.words[i] as number) ^ (words[at + i] as number)) & mask) !== 0) return false;
    }
    return true;
  }

  /** Replaces all connected prefixes; next hops that changed come out of `settle`. */
  setConnected(prefixes: readonly ConnectedPrefix[]): void {
    this.#connected = prefixes;
    this.#setUnderlay();
  }

  /** Replaces all routes of the kernel; without a word about links they count for nothing. */
  setKernelRoutes(routes: readonly KernelRoute[], ignoredDefaults: readonly Family[] = []): void {
    this.#kernel = routes;
    this.#ignoredDefaults = ignoredDefaults;
    this.#setUnderlay();
  }

  #setUnderlay(): void {
    if (this.#connected === undefined) return;
    this.#underlay = new Underlay(this.#connected, this.#kernel);
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
    const { target, scope } = hop;
    if (this.#underlay !== undefined && !isLinkLocal(target)) {
      hop.underlay = this.#underlay.match(target, hop.words, scope.direct);
      return;
    }
    const { interfaceName } = scope;
    const isOnLink =
      this.#underlay === undefined || (interfaceName !== undefined && this.#underlay.isUp(interfaceName));
    hop.underlay = isOnLink
      ? { hops: [{ address: target, interfaceName, weight: 1 }], length: hop.words.length * 32, metric: 0 }
      : undefined;
  }

  /** True when the outcome differs from before. */
  #resolve(id: NextHopId, hop: NextHop): boolean {
    let hops = hop.underlay?.hops ?? NO_HOPS;
    let metric = hop.underlay?.metric ?? 0;
    let depth = isOnLink(hop) ? ANY_DEPTH : (hop.underlay?.length ?? -1) + 1;
    if (!hop.scope.direct) {
      const from = Math.max((hop.underlay?.length ?? -1) + 1, this.#minimum);
      const carriers = this.#lookup(hop.target.family, hop.words, from);
      if (carriers !== undefined) {
        if (depth !== ANY_DEPTH) depth = carriers.length;
        const ways = carriers.nextHops
          .map((carrier) => this.#list[carrier]?.underlay)
          .filter((way) => way !== undefined);
        hops = union(ways.flatMap((way) => way.hops));
        metric = 1 + Math.min(...ways.map((way) => way.metric));
      }
    }
    const reachable = hops.length > 0 ? 1 : 0;
    const same =
      this.reachable[id] === reachable &&
      this.metric[id] === metric &&
      this.depth[id] === depth &&
      sameHops(hop.hops, hops);
    if (same) return false;
    hop.hops = hops;
    this.reachable[id] = reachable;
    this.metric[id] = metric;
    this.depth[id] = depth;
    return true;
  }

  #rewatch(id: NextHopId, hop: NextHop): void {
    this.#unwatch(id, hop);
    if (hop.scope.direct) return;
    const from = Math.max((hop.underlay?.length ?? -1) + 1, this.#minimum);
    if (from > hop.words.length * 32) return;
    this.#watch[hop.target.family].add(hop.words, from, id);
    hop.watched = true;
  }

  #unwatch(id: NextHopId, hop: NextHop): void {
    if (!hop.watched) return;
    this.#watch[hop.target.family].remove(hop.words, id);
    hop.watched = false;
  }
}

/** Whoever is there is asked for by no route. */
const isOnLink = ({ scope, underlay }: NextHop): boolean =>
  scope.direct || (underlay !== undefined && underlay.hops.length > 0 && underlay.metric === 0);

function sameOctets(a: Uint8Array, b: Uint8Array, start: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[i] !== b[start + i]) return false;
  return true;
}
