/**
 * Chains and dispatch maps by name, and what changed in them since the last drain. Writing the same content again is no change.
 */
import { chainKey, type Chain, type ChainName, type DispatchMap, type Rule } from '../ruleset.js';

/** What a drain reports for one kind of named thing. */
export interface NamedDelta<T> {
  readonly upserted: readonly T[];
  readonly deleted: readonly ChainName[];
}

export class NamedStore<T extends ChainName> {
  private readonly items = new Map<string, T>();
  /** The item as it was at the last drain, for every key written since. */
  private readonly before = new Map<string, T | undefined>();

  constructor(private readonly same: (a: T, b: T) => boolean) {}

  put(item: T): void {
    const key = chainKey(item);
    this.remember(key);
    this.items.set(key, item);
  }

  delete(name: ChainName): void {
    const key = chainKey(name);
    this.remember(key);
    this.items.delete(key);
  }

  all(): ReadonlyMap<string, T> {
    return this.items;
  }

  drain(): NamedDelta<T> {
    const upserted: T[] = [];
    const deleted: ChainName[] = [];
    for (const [key, old] of this.before) {
      const now = this.items.get(key);
      if (now !== undefined && (old === undefined || !this.same(old, now))) upserted.push(now);
      else if (now === undefined && old !== undefined) deleted.push({ table: old.table, name: old.name });
    }
    this.before.clear();
    return { upserted, deleted };
  }

  private remember(key: string): void {
    if (!this.before.has(key)) this.before.set(key, this.items.get(key));
  }
}

/** Rules that were taken over as they are cost nothing: chains of a thousand are compared at every change of a policy. */
export const sameChain = (a: Chain, b: Chain): boolean =>
  a.rules === b.rules ||
  (a.rules.length === b.rules.length && a.rules.every((rule, index) => sameRule(rule, b.rules[index])));

const sameRule = (a: Rule, b: Rule | undefined): boolean =>
  a === b || (a.note === b?.note && JSON.stringify(a) === JSON.stringify(b));

export function sameMap(a: DispatchMap, b: DispatchMap): boolean {
  if (a.entries.size !== b.entries.size || a.otherwise !== b.otherwise) return false;
  for (const [name, chain] of a.entries) if (b.entries.get(name) !== chain) return false;
  return true;
}
