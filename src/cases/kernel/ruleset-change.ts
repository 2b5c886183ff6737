/**
 * The delta between two whole rulesets. The engine says its own changes; this one leads from the end of one case to
 * the beginning of the next, which has an engine of its own.
 */
import { deltaOf, type AddressSet, type Ruleset, type RulesetDelta } from '@tortie/policy/ruleset';

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
  const whole = deltaOf(after);
  return {
    ...whole,
    setsCreated: whole.setsCreated.filter((set) => !before.sets.has(set.name)),
    setsChanged: whole.setsCreated.flatMap((set) => {
      const old = before.sets.get(set.name);
      return old === undefined ? [] : [memberChange(old, set)];
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
