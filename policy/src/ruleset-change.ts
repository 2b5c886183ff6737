/**
 * The delta between two whole rulesets, for makers that compile everything anew at a change, and from the end of one case to the
 * beginning of the next. What is the same is not in it.
 */
import { deltaOf, type AddressSet, type DispatchMap, type Ruleset, type RulesetDelta } from './ruleset.js';

/** A copy that stays as it is while the engine goes on. */
export function snapshot(ruleset: Ruleset): Ruleset {
  return {
    sets: new Map([...ruleset.sets].map(([name, set]) => [name, { ...set, members: new Set(set.members.keys()) }])),
    chains: new Map(ruleset.chains),
    maps: new Map([...ruleset.maps].map(([key, map]) => [key, { ...map, entries: new Map(map.entries) }])),
    hooks: [...ruleset.hooks],
  };
}

export function changeBetween(before: Ruleset, after: Ruleset): RulesetDelta {
  const { hooks, ...whole } = deltaOf(after);
  return {
    ...whole,
    ...(isSame(before.hooks, after.hooks) ? {} : { hooks: hooks ?? [] }),
    chainsUpserted: [...after.chains]
      .filter(([key, chain]) => !isSame(before.chains.get(key), chain))
      .map(([, chain]) => chain),
    mapsUpserted: [...after.maps].filter(([key, map]) => !isSameMap(before.maps.get(key), map)).map(([, map]) => map),
    setsCreated: whole.setsCreated.filter((set) => !before.sets.has(set.name)),
    setsChanged: whole.setsCreated.flatMap((set) => {
      const old = before.sets.get(set.name);
      const change = old === undefined ? undefined : memberChange(old, set);
      return change === undefined || change.added.length + change.removed.length === 0 ? [] : [change];
    }),
    setsDeleted: [...before.sets.keys()].filter((name) => !after.sets.has(name)),
    chainsDeleted: [...before.chains]
      .filter(([key]) => !after.chains.has(key))
      .map(([, chain]) => ({ table: chain.table, name: chain.name })),
    mapsDeleted: [...before.maps]
      .filter(([key]) => !after.maps.has(key))
      .map(([, map]) => ({ table: map.table, name: map.name })),
  };
}

function memberChange(
  before: AddressSet,
  after: AddressSet,
): { name: string; added: readonly string[]; removed: readonly string[] } {
  return {
    name: after.name,
    added: [...after.members.keys()].filter((member) => !before.members.has(member)),
    removed: [...before.members.keys()].filter((member) => !after.members.has(member)),
  };
}

const isSame = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);

function isSameMap(a: DispatchMap | undefined, b: DispatchMap): boolean {
  if (a === undefined) return false;
  const { entries: before, ...rest } = a;
  const { entries: after, ...other } = b;
  return (
    isSame(rest, other) && before.size === after.size && [...after].every(([key, chain]) => before.get(key) === chain)
  );
}
