/** A filter's rule as it is run: its match settled for one session, its actions a function. */
import type { Family } from '../address.js';
import type { FilterRule } from '../config.js';
import type { PolicyRoute, RoutePolicy, SpecializedPolicy } from '../rib/policy.js';
import type { Action } from './action.js';
import type { CompiledMatch, RouteState } from './condition.js';

/** One rule with the names by which people know it. */
export interface CompiledRule {
  readonly filter: string;
  /** Index in the filter; undefined for the filter's default. */
  readonly index: number | undefined;
  readonly name: string | undefined;
  readonly match: CompiledMatch;
  readonly set: Action | undefined;
  readonly action: FilterRule['action'];
}

export interface CompiledPolicy extends RoutePolicy {
  readonly rules: readonly CompiledRule[];
  /** `route` may lack the prefix; its getters must go on working as long as the result is used. */
  specialize(route: PolicyRoute): SpecializedPolicy;
}

export const attributesHold = ({ match }: CompiledRule, state: RouteState): boolean => {
  for (const condition of match.attributes) if (!condition.holds(state)) return false;
  return true;
};

export function prefixHolds(
  { match }: CompiledRule,
  family: Family,
  words: Uint32Array,
  at: number,
  length: number,
  tags: readonly string[],
): boolean {
  for (const condition of match.prefix) if (!condition.holds(family, words, at, length, tags)) return false;
  return true;
}
