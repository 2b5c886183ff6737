/**
 * Deciding again about what is there already, because the world around it has changed: next hops that resolve otherwise, options of the
 * decision. Each is a job over the paths (jobs.ts).
 *
 * Import policy that looks at interfaces can contradict itself: it rejects a path for the interface that the path, once taken, makes its
 * own next hop use. There is no verdict that stands, so after ASKED_AT_MOST changes of a next hop since anything came from outside, its
 * paths keep the verdict they have (BIRD never asks again at all). The next news from outside (`outside`) starts the count anew.
 */
import type { Family } from '../address.js';
import type { AdjRibIn } from './adj-rib-in.js';
import type { AttributeSets, NextHopId, SetId } from './attribute-sets.js';
import type { PeerId } from './rib-peer.js';
import type { Decision } from './decision.js';
import type { FamilyTable } from './family-table.js';
import type { Import } from './import.js';
import type { Jobs } from './jobs.js';
import type { Carriers, NextHops } from './next-hops.js';
import type { PathId } from './path-table.js';
import { LOCAL_PEER, type Peers } from './peers.js';

export interface RedecisionsContext {
  readonly tables: Readonly<Record<Family, FamilyTable>>;
  readonly sets: AttributeSets;
  readonly nextHops: NextHops;
  readonly peers: Peers;
  readonly importer: Import;
  readonly input: AdjRibIn;
  readonly jobs: Jobs;
}

const FAMILIES: readonly Family[] = [4, 6];
/** More than any chain of routes through routes needs: only paths over links carry others. */
const ASKED_AT_MOST = 8;

export class Redecisions {
  readonly #context: RedecisionsContext;
  /** How often import policy was asked again for a change of this next hop. BOUNDED by the next hops. */
  readonly #asked = new Map<NextHopId, number>();

  constructor(context: RedecisionsContext) {
    this.#context = context;
  }

  /** Something came from outside: whatever oscillated may have an answer now. */
  outside(): void {
    if (this.#asked.size > 0) this.#asked.clear();
  }

  /** Resolves next hops again and lets the prefixes that use a changed one be decided again; returns the steps it took. */
  settle(): number {
    const { nextHops, tables, sets, peers } = this.#context;
    const changed = nextHops.settle();
    if (changed.size === 0) return 1;
    const asksAgain = peers.someImport(({ dependsOnInterface }) => dependsOnInterface === true);
    const asked = asksAgain ? this.#mayAsk(changed) : changed;
    for (const family of FAMILIES) {
      const table = tables[family];
      this.decide(table, (path) => changed.has(sets.nextHop[table.paths.set[path] as SetId] as number));
      if (asksAgain && asked.size > 0) this.#reimport(table, asked);
    }
    return changed.size;
  }

  /** Decides again about the prefixes of these paths. */
  decide(table: FamilyTable, isMeant: (path: PathId) => boolean): void {
    const { jobs, input } = this.#context;
    jobs.add({
      table,
      at: 1,
      visit: (path) => {
        if (isMeant(path)) input.reconsider(table, table.paths.prefix[path] as number);
      },
    });
  }

  #mayAsk(changed: ReadonlySet<NextHopId>): ReadonlySet<NextHopId> {
    const few = new Set<NextHopId>();
    for (const id of changed) {
      const times = (this.#asked.get(id) ?? 0) + 1;
      if (times > ASKED_AT_MOST) continue;
      this.#asked.set(id, times);
      few.add(id);
    }
    return few;
  }

  /** Import policy that looks at interfaces is asked again about paths with these next hops as they came. */
  #reimport(table: FamilyTable, changed: ReadonlySet<NextHopId>): void {
    const { jobs, sets, peers, importer, input } = this.#context;
    jobs.add({
      table,
      at: 1,
      visit: (path) => {
        const raw = table.paths.raw[path] as SetId;
        if (!changed.has(sets.nextHop[raw] as number)) return;
        const entry = peers.get(table.paths.peer[path] as PeerId);
        if (entry.options.importPolicy?.dependsOnInterface !== true) return;
        importer.forget(raw);
        input.reimport(entry, table, path);
      },
    });
  }
}

/** Next hops of the best connected-next-hop routes to an address: what a recursive next hop resolves through. */
export function carriers(
  table: FamilyTable,
  sets: AttributeSets,
  decision: Decision,
  key: Uint32Array,
  minimum: number,
): Carriers | undefined {
  let chosen: readonly PathId[] = [];
  const found = table.prefixes.longestMatch(key, 0, table.prefixes.width * 32, minimum, (prefix) => {
    // A prefix of our own is forwarded by whoever originates it here: nothing lies beyond it.
    const best = table.best[prefix] as PathId;
    const isOwn = best !== 0 && table.paths.peer[best] === LOCAL_PEER;
    chosen = isOwn ? [] : decision.carriers(table, prefix);
    return isOwn || chosen.length > 0;
  });
  if (chosen.length === 0) return undefined;
  return {
    length: table.prefixes.lengths[found] as number,
    nextHops: chosen.map((path) => sets.nextHop[table.paths.set[path] as SetId] as number),
  };
}
