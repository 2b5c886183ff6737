/**
 * One direction of one endpoint as a chain: tier after tier, policy after policy, then the default.
 *
 * The chain drops or returns; it never accepts, because the packet's other end may be on this node too and has a say.
 */
import type { Direction, Policy, PolicyRule } from '../model/policy.js';
import { DEFAULT_TIER } from '../model/tier.js';
import type { TierPolicies } from '../resolve/policy-index.js';
import type { Action, Chain, Match, Rule } from '../ruleset.js';
import { endpointChainName, MARK_ALLOW, MARK_PASS, policyChainName, policyNote } from './names.js';

const NOT_PASSED: Match = { type: 'mark', value: 0, mask: MARK_PASS };
const ALLOWED: Match = { type: 'mark', value: MARK_ALLOW, mask: MARK_ALLOW };

/** `groups` are those of this direction; `closed` says why the endpoint is shut, when it is. */
export function compileEndpointChain(
  direction: Direction,
  interfaceName: string,
  groups: readonly TierPolicies[],
  closed?: string,
): Chain {
  const name = endpointChainName(direction, interfaceName);
  if (closed !== undefined)
    return { table: 'filter', name, rules: [{ matches: [], action: { type: 'drop' }, note: closed }] };
  return {
    table: 'filter',
    name,
    rules: compileTiers(direction, groups, {
      allowed: { type: 'return' },
      tiersDeny: true,
      before: (group) => hairpin(direction, interfaceName, group),
    }),
  };
}

export interface TierSettings {
  /** What an allow of a policy ends in. */
  readonly allowed: Action;
  /** Do tiers whose default is to deny, deny? */
  readonly tiersDeny: boolean;
  /** Rules that stand before a tier. */
  before(group: TierPolicies): readonly Rule[];
}

/** Tier after tier, for packets without marks. One that falls off the end was decided by none of them. */
export function compileTiers(
  direction: Direction,
  groups: readonly TierPolicies[],
  settings: TierSettings,
): readonly Rule[] {
  const rules: Rule[] = [];
  for (const [index, group] of groups.entries()) {
    if (index > 0) rules.push({ matches: [], action: { type: 'set-mark', value: 0, mask: MARK_PASS } });
    for (const rule of [...settings.before(group), ...tierRules(direction, group, settings)]) rules.push(rule);
    if (settings.tiersDeny && deniesAtEnd(group) && !group.policies.some((policy) => canPass(policy, direction))) break;
  }
  return rules;
}

function tierRules(direction: Direction, group: TierPolicies, settings: TierSettings): readonly Rule[] {
  const { tier, policies } = group;
  const rules: Rule[] = [];
  let mayHavePassed = false;
  for (const policy of policies) {
    if (hasChain(policy, direction)) {
      const matches = mayHavePassed ? [NOT_PASSED] : [];
      rules.push({
        matches,
        action: { type: 'jump', chain: policyChainName(direction, policy.key) },
        note: policyNote(policy.key),
      });
      if (policy.staged !== true) rules.push({ matches: [ALLOWED], action: settings.allowed });
    }
    mayHavePassed ||= canPass(policy, direction);
  }
  if (settings.tiersDeny && deniesAtEnd(group))
    rules.push({
      matches: mayHavePassed ? [NOT_PASSED] : [],
      action: { type: 'drop' },
      note: `end of tier ${tier.name}`,
    });
  return rules;
}

/** Staged policies alone put nobody under the tier's default. */
const deniesAtEnd = ({ tier, policies }: TierPolicies): boolean =>
  tier.defaultAction === 'deny' && policies.some((policy) => policy.staged !== true);

/**
 * A pod that reaches itself through a Service: NetworkPolicy says nothing about it (a pod always reaches itself), ClusterNetworkPolicy
 * applies to it. So the way out stands after the Admin tier and before the first NetworkPolicy.
 */
function hairpin(direction: Direction, interfaceName: string, group: TierPolicies): readonly Rule[] {
  if (group.tier.name !== DEFAULT_TIER.name || !group.policies.some((policy) => policy.key.kind === 'NetworkPolicy'))
    return [];
  const match: Match = { type: direction === 'egress' ? 'out-interface' : 'in-interface', name: interfaceName };
  return [{ matches: [match], action: { type: 'return' }, note: 'to itself through a Service' }];
}

/** An enforced policy without rules needs no chain: the tier's end speaks for it. A staged one says so in its chain. */
export const hasChain = (policy: Policy, direction: Direction): boolean =>
  policy[direction] !== undefined && (policy.staged === true || (policy[direction] ?? []).length > 0);

const canPass = (policy: Policy, direction: Direction): boolean => {
  const rules = policy.staged === true ? undefined : policy[direction];
  if (rules === undefined) return false;
  let answer = passes.get(rules);
  if (answer === undefined) {
    answer = rules.some((rule) => rule.action === 'pass' && rule.alternatives.length > 0);
    passes.set(rules, answer);
  }
  return answer;
};

/** Asked for every endpoint that a policy holds, of lists that may be long and do not change. */
const passes = new WeakMap<readonly PolicyRule[], boolean>();
