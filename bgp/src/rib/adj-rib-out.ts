/**
 * Adj-RIB-Out of an update group (RFC 4271 section 3.2): for each prefix the attribute sets its members have been told.
 *
 * `compare` brings one prefix up to date with the Loc-RIB and puts what has to be sent into a batch, whose owner writes it out. Two
 * kinds: one path per prefix (a column of sets), and several with path identifiers of our own (RFC 7911, a Map per prefix).
 *
 * A set told to the members is held, so that it can still be compared with when its path is long gone.
 */
import type { AttributeSets, SetId } from './attribute-sets.js';
import type { PeerId } from './rib-peer.js';
import type { Export } from './export.js';
import type { ExportBatch } from './export-batch.js';
import type { FamilyTable } from './family-table.js';
import { grown, nextRoom, type PrefixId } from './prefix-table.js';

export interface AdjRibOut {
  /** Prefixes advertised (with ADD-PATH: paths). */
  readonly count: number;
  /** Of these, how many came from a peer: it does not see them itself. */
  countFrom(peer: PeerId): number;
  has(prefix: PrefixId): boolean;
  /** Path identifiers (0 without ADD-PATH) and sets advertised for a prefix. */
  told(prefix: PrefixId): readonly (readonly [number, SetId])[];
  compare(prefix: PrefixId, isForced: boolean, batch: ExportBatch): void;
  /** What `compare` recorded cannot be sent after all. */
  refuse(prefix: PrefixId, pathId: number, set: SetId): void;
  /** A copy that holds its own references. */
  copy(rules: Export): AdjRibOut;
  /** Lets go of everything; tells each prefix that was advertised. */
  clear(gone: ((prefix: PrefixId) => void) | undefined): void;
}

export class SinglePathOut implements AdjRibOut {
  count = 0;
  #sets: Uint32Array;
  /** Per source peer. */
  #from = new Uint32Array(16);
  readonly #table: FamilyTable;
  readonly #attributes: AttributeSets;
  readonly #rules: Export;

  constructor(table: FamilyTable, attributes: AttributeSets, rules: Export) {
    this.#table = table;
    this.#attributes = attributes;
    this.#rules = rules;
    // Small at first: many newcomers have a group of their own for a moment only.
    this.#sets = new Uint32Array(Math.max(64, table.prefixes.end));
  }

  countFrom(peer: PeerId): number {
    return this.#from[peer] ?? 0;
  }

  has(prefix: PrefixId): boolean {
    return (this.#sets[prefix] ?? 0) !== 0;
  }

  told(prefix: PrefixId): readonly (readonly [number, SetId])[] {
    const set = this.#sets[prefix] ?? 0;
    return set === 0 ? [] : [[0, set]];
  }

  compare(prefix: PrefixId, isForced: boolean, batch: ExportBatch): void {
    const table = this.#table;
    if (prefix >= this.#sets.length) this.#sets = grown(this.#sets, Math.max(nextRoom(this.#sets.length), prefix + 1));
    const best = table.best[prefix] as number;
    const set = best === 0 ? 0 : this.#rules.select(table.paths.set[best] as number, prefix);
    const old = this.#sets[prefix] as number;
    if (set === old && (!isForced || set === 0)) return;
    if (set !== 0) {
      this.#attributes.hold(set);
      this.#count(set, 1);
    }
    if (old !== 0) this.#count(old, -1);
    this.#sets[prefix] = set;
    batch.add(prefix, 0, set, old);
  }

  refuse(prefix: PrefixId, _pathId: number, set: SetId): void {
    this.#sets[prefix] = 0;
    this.#count(set, -1);
    this.#attributes.release(set);
  }

  copy(rules: Export): AdjRibOut {
    const copy = new SinglePathOut(this.#table, this.#attributes, rules);
    copy.#sets = this.#sets.slice();
    copy.#from = this.#from.slice();
    copy.count = this.count;
    for (const set of copy.#sets) if (set !== 0) this.#attributes.hold(set);
    return copy;
  }

  clear(gone: ((prefix: PrefixId) => void) | undefined): void {
    const sets = this.#sets;
    this.#sets = new Uint32Array(0);
    for (let prefix = 0; prefix < sets.length; prefix++) {
      if (sets[prefix] === 0) continue;
      this.#attributes.release(sets[prefix] as number);
      gone?.(prefix);
    }
    this.count = 0;
  }

  #count(set: SetId, by: 1 | -1): void {
    const peer = this.#attributes.peer[set] as number;
    if (peer >= this.#from.length) this.#from = grown(this.#from, Math.max(this.#from.length * 2, peer + 1));
    this.#from[peer] = (this.#from[peer] as number) + by;
    this.count += by;
  }
}

/** Path identifiers we give: one per peer and identifier it gave, stable as long as the peer's paths live. */
export class PathNames {
  readonly #names = new Map<number, number>();
  readonly #inUse = new Set<number>();
  #next = 1;

  /** BOUNDED by the paths of peers with ADD-PATH; forgotten with the peer. */
  name(peer: PeerId, identifier: number): number {
    const key = peer * 2 ** 32 + identifier;
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    while (this.#inUse.has(this.#next)) this.#advance();
    const name = this.#next;
    this.#advance();
    this.#names.set(key, name);
    this.#inUse.add(name);
    return name;
  }

  forgetPeer(peer: PeerId): void {
    for (const [key, name] of this.#names) {
      if (Math.floor(key / 2 ** 32) !== peer) continue;
      this.#names.delete(key);
      this.#inUse.delete(name);
    }
  }

  #advance(): void {
    this.#next = this.#next >= 0xffffffff ? 1 : this.#next + 1;
  }
}

/** Usable paths of a prefix, best first. */
export type PathChoice = (table: FamilyTable, prefix: PrefixId) => readonly number[];

export class AddPathOut implements AdjRibOut {
  count = 0;
  readonly #prefixes = new Map<PrefixId, Map<number, SetId>>();
  readonly #from = new Map<PeerId, number>();
  readonly #table: FamilyTable;
  readonly #attributes: AttributeSets;
  readonly #rules: Export;
  readonly #names: PathNames;
  readonly #choose: PathChoice;

  constructor(table: FamilyTable, attributes: AttributeSets, rules: Export, names: PathNames, choose: PathChoice) {
    this.#table = table;
    this.#attributes = attributes;
    this.#rules = rules;
    this.#names = names;
    this.#choose = choose;
  }

  countFrom(peer: PeerId): number {
    return this.#from.get(peer) ?? 0;
  }

  has(prefix: PrefixId): boolean {
    return this.#prefixes.has(prefix);
  }

  told(prefix: PrefixId): readonly (readonly [number, SetId])[] {
    return [...(this.#prefixes.get(prefix) ?? [])];
  }

  compare(prefix: PrefixId, isForced: boolean, batch: ExportBatch): void {
    const wanted = this.#wanted(prefix);
    const told = this.#prefixes.get(prefix);
    for (const [pathId, old] of told ?? []) {
      if (wanted.has(pathId)) continue;
      this.#count(old, -1);
      batch.add(prefix, pathId, 0, old);
    }
    for (const [pathId, set] of wanted) {
      const old = told?.get(pathId) ?? 0;
      if (set === old && !isForced) continue;
      this.#attributes.hold(set);
      this.#count(set, 1);
      if (old !== 0) this.#count(old, -1);
      batch.add(prefix, pathId, set, old);
    }
    if (wanted.size === 0) this.#prefixes.delete(prefix);
    else this.#prefixes.set(prefix, wanted);
  }

  refuse(prefix: PrefixId, pathId: number, set: SetId): void {
    const told = this.#prefixes.get(prefix);
    told?.delete(pathId);
    if (told?.size === 0) this.#prefixes.delete(prefix);
    this.#count(set, -1);
    this.#attributes.release(set);
  }

  copy(rules: Export): AdjRibOut {
    const copy = new AddPathOut(this.#table, this.#attributes, rules, this.#names, this.#choose);
    for (const [prefix, told] of this.#prefixes) {
      copy.#prefixes.set(prefix, new Map(told));
      for (const set of told.values()) {
        this.#attributes.hold(set);
        copy.#count(set, 1);
      }
    }
    return copy;
  }

  clear(gone: ((prefix: PrefixId) => void) | undefined): void {
    const prefixes = [...this.#prefixes];
    this.#prefixes.clear();
    this.#from.clear();
    this.count = 0;
    for (const [prefix, told] of prefixes) {
      for (const set of told.values()) this.#attributes.release(set);
      gone?.(prefix);
    }
  }

  #wanted(prefix: PrefixId): Map<number, SetId> {
    const { paths } = this.#table;
    const wanted = new Map<number, SetId>();
    for (const path of this.#choose(this.#table, prefix)) {
      if (wanted.size >= this.#rules.pathLimit) break;
      const set = this.#rules.select(paths.set[path] as number, prefix);
      if (set !== 0) wanted.set(this.#names.name(paths.peer[path] as number, paths.identifier[path] as number), set);
    }
    return wanted;
  }

  #count(set: SetId, by: 1 | -1): void {
    const peer = this.#attributes.peer[set] as number;
    this.#from.set(peer, (this.#from.get(peer) ?? 0) + by);
    this.count += by;
  }
}
