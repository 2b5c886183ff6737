/**
 * Deciding again about what is there already, because the world around it has changed: next hops that resolve otherwise, options of the
 * decision. Each is a job over the paths (jobs.ts).
 */
import type { Family } from '../address.js';
import type { AdjRibIn } from './adj-rib-in.js';
import type { AttributeSets, NextHopId, SetId } from './attribute-sets.js';
import type { PeerId } from './contract.js';
import type { Decision } from './decision.js';
import type { FamilyTable } from './family-table.js';
import type { Import } from './import.js';
import type { Jobs } from './jobs.js';
import type { NextHops } from './next-hops.js';
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

export class Redecisions {
  readonly #context: RedecisionsContext;

  constructor(context: RedecisionsContext) {
    this.#context = context;
  }

  /** Resolves next hops again and lets the prefixes that use a changed one be decided again; returns the steps it took. */
  settle(): number {
    const { nextHops, tables, sets, peers } = this.#context;
    const changed = nextHops.settle();
    if (changed.size === 0) return 1;
    for (const family of FAMILIES) {
      const table = tables[family];
      this.decide(table, (path) => changed.has(sets.nextHop[table.paths.set[path] as SetId] as number));
      if (peers.someImport(({ dependsOnInterface }) => dependsOnInterface === true)) this.#reimport(table, changed);
    }
    return changed.size;
  }

  /** Decides again about the prefixes of these paths. */
  decide(table: FamilyTable, isMeant: (path: PathId) => boolean): void {
    const { jobs, input } = this.#context;
    jobs.add({ table, at: 1, visit: (path) => { if (isMeant(path)) input.reconsider(table, table.paths.prefix[path] as number); } });
  }

  /** Import policy that looks at interfaces is asked again about paths with these next hops as they came. */
  #reimport(table: FamilyTable, changed: ReadonlySet<NextHopId>): void {
    const { jobs, sets, peers, importer, input } = this.#context;
    jobs.add({
      table, at: 1,
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
export function carriers(table: FamilyTable, sets: AttributeSets, decision: Decision, key: Uint32Array, minimum: number): readonly NextHopId[] | undefined {
  let chosen: readonly PathId[] = [];
  table.prefixes.longestMatch(key, 0, table.prefixes.width * 32, minimum, (prefix) => {
    // A prefix of our own is forwarded by whoever originates it here: nothing lies beyond it.
    const best = table.best[prefix] as PathId;
    const isOwn = best !== 0 && table.paths.peer[best] === LOCAL_PEER;
    chosen = isOwn ? [] : decision.carriers(table, prefix);
    return isOwn || chosen.length > 0;
  });
  return chosen.length === 0 ? undefined : chosen.map((path) => sets.nextHop[table.paths.set[path] as SetId] as number);
}
