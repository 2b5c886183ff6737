/** Small rulesets for the applier's tests. */
import {
  chainKey,
  setName,
  type AddressSet,
  type Chain,
  type DispatchMap,
  type Family,
  type Hook,
  type Rule,
  type Ruleset,
  type RulesetDelta,
  type SetType,
  type Table,
} from '@tortie/policy/ruleset';

export const set = (family: Family, id: string, type: SetType, members: readonly string[]): AddressSet => ({
  name: setName(family, id),
  id,
  family,
  type,
  members: new Set(members),
  note: id,
});

export const chain = (table: Table, name: string, rules: readonly Rule[]): Chain => ({ table, name, rules });

export const accept: Rule = { matches: [], action: { type: 'accept' } };
export const drop: Rule = { matches: [], action: { type: 'drop' } };
export const jump = (name: string): Rule => ({ matches: [], action: { type: 'jump', chain: name } });
export const fromSet = (id: string, action: Rule['action'] = { type: 'accept' }): Rule => ({
  matches: [{ type: 'set', side: 'source', set: id }],
  action,
});
/** The kernel takes it in raw and mangle only. */
export const misplaced: Rule = { matches: [{ type: 'reverse-path-fails' }], action: { type: 'drop' } };

export interface Parts {
  readonly sets?: readonly AddressSet[];
  readonly chains?: readonly Chain[];
  readonly maps?: readonly DispatchMap[];
  readonly hooks?: readonly Hook[];
}

export const ruleset = (parts: Parts): Ruleset => ({
  sets: new Map((parts.sets ?? []).map((one) => [one.name, one])),
  chains: new Map((parts.chains ?? []).map((one) => [chainKey(one), one])),
  maps: new Map((parts.maps ?? []).map((one) => [chainKey(one), one])),
  hooks: parts.hooks ?? [],
});

export const delta = (parts: Partial<RulesetDelta>): RulesetDelta => ({
  setsCreated: [],
  setsChanged: [],
  setsDeleted: [],
  chainsUpserted: [],
  chainsDeleted: [],
  mapsUpserted: [],
  mapsChanged: [],
  mapsDeleted: [],
  ...parts,
});

export const forward: Hook = { table: 'filter', builtin: 'FORWARD', chain: 'TORTIE-FORWARD' };

/** Two chains behind one jump, a set in each family. */
export const small = ruleset({
  sets: [set(4, 'web', 'address', ['10.0.0.1', '10.0.0.2']), set(6, 'web', 'address', ['fd00::1'])],
  chains: [
    chain('filter', 'TORTIE-FORWARD', [fromSet('web', { type: 'jump', chain: 'TORTIE-WEB' }), drop]),
    chain('filter', 'TORTIE-WEB', [accept]),
  ],
  hooks: [forward],
});
