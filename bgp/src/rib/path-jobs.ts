/**
 * What happens to many paths of one peer at once: dropped with their session, kept as stale, swept, depreferenced, imported again (RFC
 * 4724 section 4.2, RFC 9494 section 4.3). Marking is one quick pass; everything else is a job in slices.
 */
import type { Family } from '../address.js';
import { encodeAttributes, parseAttributes } from '../codec/parse.js';
import { WellKnownCommunity } from '../iana.js';
import type { AdjRibIn } from './adj-rib-in.js';
import { SetFlag, type AttributeSets, type SetId } from './attribute-sets.js';
import type { FamilyTable } from './family-table.js';
import type { Import } from './import.js';
import type { Jobs } from './jobs.js';
import { PathFlag, type PathId } from './path-table.js';
import type { PeerEntry } from './peers.js';

export interface PathJobsContext {
  readonly tables: Readonly<Record<Family, FamilyTable>>;
  readonly sets: AttributeSets;
  readonly input: AdjRibIn;
  readonly importer: Import;
  readonly jobs: Jobs;
  /** There is work. */
  readonly wanted: () => void;
  /** A job about this peer has ended. */
  readonly finished: (entry: PeerEntry) => void;
}

const FAMILIES: readonly Family[] = [4, 6];

export class PathJobs {
  readonly #context: PathJobsContext;

  constructor(context: PathJobsContext) {
    this.#context = context;
  }

  /** RFC 9494 section 4.3: stale paths stay as a last resort, those with NO_LLGR go. */
  keepLongLived(entry: PeerEntry, family: Family): void {
    const table = this.#context.tables[family];
    this.walk(entry, family, (path) => {
      if (((table.paths.flags[path] as number) & PathFlag.stale) === 0) return;
      const raw = table.paths.raw[path] as SetId;
      const flags = this.#context.sets.flags[raw] as number;
      if ((flags & SetFlag.noLongLived) !== 0) this.#context.input.remove(entry, table, path);
      else if ((flags & SetFlag.longLivedStale) === 0) this.#depreference(entry, table, path, raw);
    });
  }

  walk(
    entry: PeerEntry,
    family: Family,
    visit: (path: PathId) => void,
    isDone?: () => boolean,
    subject?: object,
  ): void {
    const table = this.#context.tables[family];
    entry.jobs++;
    this.#context.jobs.add({
      subject,
      table,
      at: Math.min(entry.family[family].firstPath, table.paths.end),
      visit: (path) => {
        if (table.paths.peer[path] === entry.id) visit(path);
      },
      isDone,
      finished: () => {
        entry.jobs--;
        this.#context.finished(entry);
      },
    });
    this.#context.wanted();
  }

  /** All paths of a peer go. Marked at once, so that a session that is back already cannot lose its new ones. */
  drop(entry: PeerEntry, family: Family): void {
    this.markStale(entry, family);
    this.sweep(entry, family);
  }

  sweep(entry: PeerEntry, family: Family): void {
    const table = this.#context.tables[family];
    const state = entry.family[family];
    const visit = (path: PathId): void => {
      if (((table.paths.flags[path] as number) & PathFlag.stale) !== 0) this.#context.input.remove(entry, table, path);
    };
    this.walk(entry, family, visit, () => state.stale === 0, state);
  }

  /**
   * The session is gone and its paths stay. What was left from the session before and has not been repeated goes, whether its sweep had
   * begun or not; what an enhanced refresh under way has marked stays like the rest.
   */
  keep(entry: PeerEntry, family: Family): void {
    const state = entry.family[family];
    const wasSwept = this.#context.jobs.cancel(state);
    if (state.stale > 0 && (wasSwept || entry.kept.has(family))) this.#doom(entry, family);
    entry.kept.add(family);
    this.markStale(entry, family);
  }

  #doom(entry: PeerEntry, family: Family): void {
    const table = this.#context.tables[family];
    const { paths } = table;
    let left = entry.family[family].stale;
    for (let path = entry.family[family].firstPath; path < paths.end && left > 0; path++) {
      const flags = paths.flags[path] as number;
      if (paths.peer[path] !== entry.id || (flags & PathFlag.live) === 0 || (flags & PathFlag.stale) === 0) continue;
      paths.flags[path] = flags | PathFlag.doomed;
      left--;
    }
    this.walk(entry, family, (path) => {
      if (((paths.flags[path] as number) & PathFlag.doomed) !== 0) this.#context.input.remove(entry, table, path);
    });
  }

  markStale(entry: PeerEntry, family: Family): void {
    const { paths } = this.#context.tables[family];
    const state = entry.family[family];
    // One sequential pass: two milliseconds for a million paths.
    for (let path = state.firstPath; path < paths.end && state.stale < state.received; path++) {
      const flags = paths.flags[path] as number;
      if (paths.peer[path] !== entry.id || (flags & PathFlag.live) === 0 || (flags & PathFlag.stale) !== 0) continue;
      paths.flags[path] = flags | PathFlag.stale;
      state.stale++;
    }
  }

  /** RFC 9494 section 4.2: the same path with LLGR_STALE. */
  #depreference(entry: PeerEntry, table: FamilyTable, path: PathId, raw: SetId): void {
    const attributes = parseAttributes(this.#context.sets.view(raw));
    const block = encodeAttributes({
      ...attributes,
      communities: [...(attributes.communities ?? []), WellKnownCommunity.longLivedStale],
    });
    const set = this.#context.sets.intern(
      block,
      0,
      block.length,
      this.#context.sets.nextHop[raw] as number,
      entry.owner,
      entry.extras,
    );
    this.#context.sets.hold(set);
    this.#context.input.put(
      entry,
      table,
      table.paths.prefix[path] as number,
      table.paths.identifier[path] as number,
      set,
    );
    this.#context.sets.release(set);
    table.paths.flags[path] = (table.paths.flags[path] as number) | PathFlag.stale;
    entry.family[table.family].stale++;
  }

  redoImport(entry: PeerEntry): void {
    this.#context.importer.forgetPeer(entry.id);
    for (const family of FAMILIES)
      if (entry.family[family].received > 0)
        this.walk(entry, family, (path) => this.#context.input.reimport(entry, this.#context.tables[family], path));
  }
}
