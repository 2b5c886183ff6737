/**
 * Paths in: from decoded UPDATEs to Adj-RIB-In and on to the Loc-RIB's choice (RFC 4271 section 9.1).
 *
 * For each prefix: find or make its number, find or make the peer's path, exchange the attribute set, choose the best path again, and if
 * that changed, note the prefix in the change log. All per-UPDATE work (next hop, interning, import policy) is done once before. Every
 * way a path changes or goes, from whatever cause, ends in the few methods here.
 */
import type { Family } from '../address.js';
import type { DecodedUpdate, NlriBlock, ReachBlock } from '../codec/update.js';
import type { AttributeSets, SetId } from './attribute-sets.js';
import type { PeerId } from './rib-peer.js';
import type { Decision } from './decision.js';
import type { FamilyTable } from './family-table.js';
import type { Import } from './import.js';
import type { NextHops } from './next-hops.js';
import { NlriReader } from './nlri-reader.js';
import { PathFlag, type PathId } from './path-table.js';
import type { FamilyState, PeerEntry } from './peers.js';
import type { PrefixId } from './prefix-table.js';
import type { RouteHistory } from './route-history.js';

export class AdjRibIn {
  readonly #sets: AttributeSets;
  readonly #nextHops: NextHops;
  readonly #import: Import;
  readonly #decision: Decision;
  readonly #tables: Readonly<Record<Family, FamilyTable>>;
  /** Somebody wants to know of changes behind the best path: ADD-PATH, multipath forwarding. */
  tracksAll = false;
  /** Called with each prefix whose best path changed. */
  bestChanged: ((table: FamilyTable, prefix: PrefixId) => void) | undefined;
  /** Called with each path that came, changed or went. `isSilent`: swept as stale, no UPDATE said so. */
  pathChanged:
    | ((peer: PeerId, table: FamilyTable, prefix: PrefixId, identifier: number, isSilent: boolean) => void)
    | undefined;
  history: RouteHistory | undefined;
  readonly #nlri = new NlriReader();

  constructor(
    sets: AttributeSets,
    nextHops: NextHops,
    importer: Import,
    decision: Decision,
    tables: Readonly<Record<Family, FamilyTable>>,
  ) {
    this.#sets = sets;
    this.#nextHops = nextHops;
    this.#import = importer;
    this.#decision = decision;
    this.#tables = tables;
  }

  receive(entry: PeerEntry, update: DecodedUpdate): void {
    for (const block of update.withdrawn) this.#withdrawBlock(entry, block);
    for (const block of update.reach) this.#announceBlock(entry, update, block);
  }

  #announceBlock(entry: PeerEntry, update: DecodedUpdate, block: ReachBlock): void {
    const table = this.#tables[block.family];
    const hop = this.#nextHops.intern(block.bytes, block.nextHopStart, block.nextHopLength, entry.scope);
    const raw = this.#sets.intern(update.attributes, 0, update.attributesLength, hop, entry.owner, entry.extras);
    // Held over the loop, so that replacing the last path of the set does not end it.
    this.#sets.hold(raw);
    const { keys, lengths, identifiers } = this.#nlri;
    const { width } = table.prefixes;
    for (let at = block.start; at < block.end; ) {
      at = this.#read(block, at, table);
      for (let i = 0; i < this.#nlri.count; i++)
        this.put(entry, table, table.intern(keys, i * width, lengths[i] as number), identifiers[i] as number, raw);
    }
    this.#sets.release(raw);
  }

  #withdrawBlock(entry: PeerEntry, block: NlriBlock): void {
    const table = this.#tables[block.family];
    const { keys, lengths, identifiers } = this.#nlri;
    const { width } = table.prefixes;
    for (let at = block.start; at < block.end; ) {
      at = this.#read(block, at, table);
      for (let i = 0; i < this.#nlri.count; i++) {
        const prefix = table.prefixes.find(keys, i * width, lengths[i] as number);
        if (prefix < 0) continue;
        const path = table.findPath(prefix, entry.id, identifiers[i] as number);
        if (path !== 0) this.remove(entry, table, path);
      }
    }
  }

  /** The next entries of a block, and what the tables have of them fetched from memory all at once. */
  #read(block: NlriBlock, from: number, table: FamilyTable): number {
    const at = this.#nlri.fill(block, from, table.prefixes.width);
    table.prefixes.touch(this.#nlri.keys, this.#nlri.lengths, this.#nlri.count);
    return at;
  }

  /** The peer announces a prefix with a set (that the caller holds). */
  put(entry: PeerEntry, table: FamilyTable, prefix: PrefixId, identifier: number, raw: SetId): void {
    const { paths } = table;
    const state = entry.family[table.family];
    let path = state.received === 0 ? 0 : table.findPath(prefix, entry.id, identifier);
    if (path === 0) {
      path = table.addPath(prefix, entry.id, identifier);
      if (state.received++ === 0 || path < state.firstPath) state.firstPath = path;
      this.#sets.hold(raw);
      paths.raw[path] = raw;
    } else {
      this.#refreshed(state, table, path);
      const old = paths.raw[path] as SetId;
      if (old === raw) return;
      this.#sets.hold(raw);
      paths.raw[path] = raw;
      this.#release(old, paths.set[path] as SetId, table, path, state);
    }
    this.#admit(entry, table, prefix, path, raw, state);
  }

  /** Import has to be asked again for a path whose set has not changed: policy has. */
  reimport(entry: PeerEntry, table: FamilyTable, path: PathId): void {
    const { paths } = table;
    const raw = paths.raw[path] as SetId;
    const state = entry.family[table.family];
    this.#sets.hold(raw);
    this.#release(raw, paths.set[path] as SetId, table, path, state);
    this.#sets.hold(raw);
    this.#admit(entry, table, paths.prefix[path] as PrefixId, path, raw, state);
    this.#sets.release(raw);
  }

  remove(entry: PeerEntry, table: FamilyTable, path: PathId): void {
    const { paths } = table;
    const prefix = paths.prefix[path] as PrefixId;
    const identifier = paths.identifier[path] as number;
    const isSilent = ((paths.flags[path] as number) & PathFlag.stale) !== 0;
    const state = entry.family[table.family];
    this.#refreshed(state, table, path);
    state.received--;
    const raw = paths.raw[path] as SetId;
    const set = paths.set[path] as SetId;
    table.removePath(path);
    this.#touch(table, prefix, path);
    this.#release(raw, set, table, path, state);
    this.pathChanged?.(entry.id, table, prefix, identifier, isSilent);
  }

  /** Chooses again: a next hop of one of its paths changed. */
  reconsider(table: FamilyTable, prefix: PrefixId): void {
    const old = table.best[prefix] as PathId;
    const now = this.#decision.best(table, prefix);
    if (old !== now) this.#choose(table, prefix, now);
    // Whoever looks behind the best path may have seen one that was usable in between, even where there is no best.
    else if (now !== 0 || this.tracksAll) table.log.append(prefix);
  }

  #admit(entry: PeerEntry, table: FamilyTable, prefix: PrefixId, path: PathId, raw: SetId, state: FamilyState): void {
    const set = this.#import.setFor(raw, entry, table, prefix);
    if (set !== 0) {
      if (set !== raw) this.#sets.hold(set);
      state.accepted++;
    }
    table.paths.set[path] = set;
    this.#touch(table, prefix, path);
    this.pathChanged?.(entry.id, table, prefix, table.paths.identifier[path] as number, false);
  }

  /** Lets go of a path's two sets. */
  #release(raw: SetId, set: SetId, table: FamilyTable, path: PathId, state: FamilyState): void {
    table.paths.set[path] = 0;
    if (set !== 0) {
      state.accepted--;
      if (set !== raw) this.#sets.release(set);
    }
    this.#sets.release(raw);
  }

  #refreshed(state: FamilyState, table: FamilyTable, path: PathId): void {
    const flags = table.paths.flags[path] as number;
    if ((flags & PathFlag.stale) === 0) return;
    table.paths.flags[path] = flags & ~(PathFlag.stale | PathFlag.doomed);
    state.stale--;
  }

  /** A path of the prefix came, went or changed. */
  #touch(table: FamilyTable, prefix: PrefixId, path: PathId): void {
    const { prefixes } = table;
    if (this.#nextHops.watches(table.family))
      this.#nextHops.routeChanged(
        table.family,
        prefixes.words,
        prefix * prefixes.width,
        prefixes.lengths[prefix] as number,
      );
    const old = table.best[prefix] as PathId;
    const now = this.#decision.best(table, prefix);
    // The best path itself was touched: other attributes, even if it is still the best.
    if (now !== old || now === path) this.#choose(table, prefix, now);
    else if (this.tracksAll) table.log.append(prefix);
    // Neither before nor after a usable path: nobody was told, but an empty prefix must be forgotten.
    else if (now === 0 && table.head[prefix] === 0 && !table.log.has(prefix)) table.log.append(prefix);
  }

  #choose(table: FamilyTable, prefix: PrefixId, path: PathId): void {
    const old = table.best[prefix] as PathId;
    const { peer } = table.paths;
    // A path that is just gone still stands in its row.
    this.history?.note(table.prefixes, prefix, old === 0 ? undefined : peer[old], path === 0 ? undefined : peer[path]);
    table.setBest(prefix, path);
    table.log.append(prefix);
    this.bestChanged?.(table, prefix);
  }
}
