/**
 * One direction of one endpoint as a chain: tier after tier, policy after policy, then the default.
 *
 * The chain drops or returns; it never accepts, because the packet's other end may be on this node too and has a say.
 */
import type { Direction, Policy, PolicyKey, PolicyRule } from '../model/policy.js';
import { DEFAULT_TIER } from '../model/tier.js';
import type { TierPolicies } from '../resolve/policy-index.js';
import type { Action, Chain, Match, Rule } from '../ruleset.js';
import type { DenyActions } from './denied-chain.js';
import { endpointChainName, MARK_ALLOW, MARK_PASS, policyChainName, policyNote } from './names.js';

const NOT_PASSED: Match = { type: 'mark', value: 0, mask: MARK_PASS };
const ALLOWED: Match = { type: 'mark', value: MARK_ALLOW, mask: MARK_ALLOW };

/** The rule behind a policy that allows. */
export const allowedEnds = (action: Action): Rule => ({ matches: [ALLOWED], action });
const ALLOWED_RETURNS = allowedEnds({ type: 'return' });

/** What all endpoints have in common that the same policies hold in a direction: one list for all of them. */
export type EndpointTiers = readonly Rule[];

/** `groups` are those of this direction. */
export const compileEndpointTiers = (
  direction: Direction,
  groups: readonly TierPolicies[],
  deny: DenyActions,
): EndpointTiers =>
  compileTiers(direction, groups, {
    deny,
    allowed: ALLOWED_RETURNS,
    tiersDeny: true,
    before: (group) => (mayReachItself(group) ? [TO_ITSELF] : []),
  });

export const compileEndpointChain = (direction: Direction, interfaceName: string, tiers: EndpointTiers): Chain => ({
  table: 'filter',
  name: endpointChainName(direction, interfaceName),
  rules: tiers.map((rule) => (rule === TO_ITSELF ? hairpin(direction, interfaceName) : rule)),
});

/** `reason`: why the endpoint is shut. */
export const compileClosedChain = (
  direction: Direction,
  interfaceName: string,
  reason: string,
  deny: DenyActions,
): Chain => ({
  table: 'filter',
  name: endpointChainName(direction, interfaceName),
  rules: [{ matches: [], action: deny({ type: 'closed', direction }), note: reason }],
});

export interface TierSettings {
  /** What an allow of a policy ends in, as allowedEnds makes it. */
  readonly allowed: Rule;
  /** Do tiers whose default is to deny, deny? */
  readonly tiersDeny: boolean;
  readonly deny: DenyActions;
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
      rules.push(jumpsTo(policy.key)[direction][mayHavePassed ? 'unlessPassed' : 'always']);
      if (policy.staged !== true) rules.push(settings.allowed);
    }
    mayHavePassed ||= canPass(policy, direction);
  }
  if (settings.tiersDeny && deniesAtEnd(group))
    rules.push({
      matches: mayHavePassed ? [NOT_PASSED] : [],
      action: settings.deny({ type: 'tier-end', direction, tier: tier.name }),
      note: `end of tier ${tier.name}`,
    });
  return rules;
}

type Jumps = Readonly<Record<Direction, Readonly<Record<'always' | 'unlessPassed', Rule>>>>;

/** One rule for all chains that ask a policy, for as long as it stays: they are made and compared at every change. */
function jumpsTo(key: PolicyKey): Jumps {
  const known = jumps.get(key);
  if (known !== undefined) return known;
  const note = policyNote(key);
  const made = (direction: Direction): Jumps[Direction] => {
    const action: Action = { type: 'jump', chain: policyChainName(direction, key) };
    return { always: { matches: [], action, note }, unlessPassed: { matches: [NOT_PASSED], action, note } };
  };
  const both: Jumps = { ingress: made('ingress'), egress: made('egress') };
  jumps.set(key, both);
  return both;
}

const jumps = new WeakMap<PolicyKey, Jumps>();

/** Staged policies alone put nobody under the tier's default. */
const deniesAtEnd = ({ tier, policies }: TierPolicies): boolean =>
  tier.defaultAction === 'deny' && policies.some((policy) => policy.staged !== true);

/**
 * A pod that reaches itself through a Service: NetworkPolicy says nothing about it (a pod always reaches itself), ClusterNetworkPolicy
 * applies to it. So the way out stands after the Admin tier and before the first NetworkPolicy.
 */
const mayReachItself = (group: TierPolicies): boolean =>
  group.tier.name === DEFAULT_TIER.name && group.policies.some((policy) => policy.key.kind === 'NetworkPolicy');

/** Stands in the tiers for the hairpin of the endpoint. */
const TO_ITSELF: Rule = { matches: [], action: { type: 'return' }, note: 'to itself through a Service' };

function hairpin(direction: Direction, interfaceName: string): Rule {
  const match: Match = { type: direction === 'egress' ? 'out-interface' : 'in-interface', name: interfaceName };
  return { ...TO_ITSELF, matches: [match] };
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
