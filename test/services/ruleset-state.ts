/** A ruleset that deltas are applied to, strictly: what is deleted or changed must be there. */
import {
  chainKey,
  type AddressSet,
  type Chain,
  type DispatchMap,
  type Hook,
  type Ruleset,
  type RulesetDelta,
} from '@tortie/policy/ruleset';

export interface HeldRuleset extends Ruleset {
  readonly sets: Map<string, AddressSet>;
  readonly chains: Map<string, Chain>;
  readonly maps: Map<string, DispatchMap>;
  hooks: readonly Hook[];
}

export const emptyRuleset = (): HeldRuleset => ({ sets: new Map(), chains: new Map(), maps: new Map(), hooks: [] });

export function applyDelta(held: HeldRuleset, delta: RulesetDelta): void {
  for (const set of delta.setsCreated) {
    if (held.sets.has(set.name)) throw new Error(`Set ${set.name} is created twice`);
    held.sets.set(set.name, set);
  }
  for (const { name, added, removed } of delta.setsChanged) {
    const set = held.sets.get(name);
    if (set === undefined) throw new Error(`Set ${name} is changed and not there`);
    const gone = new Set(removed);
    held.sets.set(name, {
      ...set,
      members: new Set([...set.members.keys(), ...added].filter((one) => !gone.has(one))),
    });
  }
  for (const name of delta.setsDeleted)
    if (!held.sets.delete(name)) throw new Error(`Set ${name} is deleted and not there`);
  for (const chain of delta.chainsUpserted) held.chains.set(chainKey(chain), chain);
  for (const name of delta.chainsDeleted)
    if (!held.chains.delete(chainKey(name))) throw new Error(`Chain ${chainKey(name)} is deleted and not there`);
  for (const map of delta.mapsUpserted) held.maps.set(chainKey(map), map);
  for (const change of delta.mapsChanged) {
    const map = held.maps.get(chainKey(change));
    if (map === undefined) throw new Error(`Map ${chainKey(change)} is changed and not there`);
    const entries = new Map(map.entries);
    for (const key of change.removed)
      if (!entries.delete(key)) throw new Error(`Key ${key} of map ${chainKey(change)} is removed and not there`);
    for (const [key, chain] of change.added) {
      if (entries.has(key)) throw new Error(`Key ${key} of map ${chainKey(change)} is added and there`);
      entries.set(key, chain);
    }
    held.maps.set(chainKey(change), { ...map, entries });
  }
  for (const name of delta.mapsDeleted)
    if (!held.maps.delete(chainKey(name))) throw new Error(`Map ${chainKey(name)} is deleted and not there`);
  if (delta.hooks !== undefined) held.hooks = delta.hooks;
}

/** For comparing: sets and maps as sorted lists. */
export function plain(ruleset: Ruleset): object {
  const sorted = <T>(items: Iterable<readonly [string, T]>): readonly (readonly [string, T])[] =>
    [...items].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    sets: sorted([...ruleset.sets].map(([name, set]) => [name, { ...set, members: [...set.members.keys()].sort() }])),
    chains: sorted(ruleset.chains),
    maps: sorted([...ruleset.maps].map(([name, map]) => [name, { ...map, entries: sorted(map.entries) }])),
    hooks: ruleset.hooks,
  };
}
