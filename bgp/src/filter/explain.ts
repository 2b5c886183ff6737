/** Why a policy decided as it did: every rule in order, and for each that did not match the condition that failed. */
import type { FilterMatch } from '../config.js';
import type { PolicyRoute, PolicyRule, PolicyVerdict } from '../rib/policy.js';
import { untouched, type RouteState } from './condition.js';
import type { CompiledPolicy, CompiledRule } from './compiled-rule.js';
import { wordsOf } from './prefix-set.js';

export interface ExplainedRule {
  readonly filter: string;
  /** Index in the filter; undefined: the filter's default. */
  readonly index: number | undefined;
  readonly name: string | undefined;
  /** Why it does not match; undefined: it does. */
  readonly failed: keyof FilterMatch | undefined;
  readonly action: 'accept' | 'reject' | 'next';
}

export interface Explanation {
  readonly verdict: PolicyVerdict;
  /** The rule that accepted or rejected; undefined: none did, and the route is accepted. */
  readonly decidedBy: ExplainedRule | undefined;
  /** Up to the deciding one. Rules that are about another kind of peer are not in the policy at all. */
  readonly rules: readonly ExplainedRule[];
}

/** `route` must have its prefix if the policy depends on it. */
export function explainPolicy(policy: CompiledPolicy, route: PolicyRoute): Explanation {
  let state: RouteState = untouched(route);
  const rules: ExplainedRule[] = [];
  for (const rule of policy.rules) {
    const explained: ExplainedRule = {
      filter: rule.filter,
      index: rule.index,
      name: rule.name,
      failed: failedField(rule, state),
      action: rule.action,
    };
    rules.push(explained);
    if (explained.failed !== undefined) continue;
    if (rule.action !== 'next') return { verdict: policy.judge(route), decidedBy: explained, rules };
    if (rule.set !== undefined) state = rule.set(state);
  }
  return { verdict: policy.judge(route), decidedBy: undefined, rules };
}

function failedField({ match }: CompiledRule, state: RouteState): keyof FilterMatch | undefined {
  const attribute = match.attributes.find((condition) => !condition.holds(state));
  if (attribute !== undefined) return attribute.field;
  const { family, prefix, tags } = state.route;
  const words = prefix === undefined ? new Uint32Array(4) : Uint32Array.from(wordsOf(prefix));
  return match.prefix.find((condition) => !condition.holds(family, words, 0, prefix?.length ?? 0, tags))?.field;
}

export const ruleOf = ({ filter, index, name }: ExplainedRule): PolicyRule => ({
  filter,
  ...(index === undefined ? {} : { index }),
  ...(name === undefined ? {} : { name }),
});

/** 'filter "tor-in" rule 2 (no bogons) rejected it', or that no rule did anything. */
export function formatExplanation({ decidedBy }: Explanation): string {
  if (decidedBy === undefined) return 'no rule decided: accepted';
  const { filter, index, name, action } = decidedBy;
  const rule = index === undefined ? 'default' : `rule ${index + 1}${name === undefined ? '' : ` (${name})`}`;
  return `filter "${filter}" ${rule} ${action === 'accept' ? 'accepted' : 'rejected'} it`;
}
