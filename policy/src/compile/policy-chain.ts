/**
 * One direction of one policy as a chain: each rule's alternatives in order, each alternative one kernel rule (or a few, where 15 ports a
 * rule, blocks of both families, or network sets beside endpoints make it more).
 *
 * Allow and pass leave by `goto` to a chain that sets a mark and falls off its end, which returns past this chain to the endpoint's: one
 * rule per allow, nothing to test afterwards. Deny drops. The chain is shared by all endpoints of the node that the policy selects.
 * A staged policy's chain logs what it would do and returns.
 */
import type { Direction, Policy, PolicyRule } from '../model/policy.js';
import type { Action, Chain, Rule, Table } from '../ruleset.js';
import { compileAlternative, type SetResolver } from './alternative.js';
import type { DenyActions } from './denied-chain.js';
import { ALLOW_CHAIN, PASS_CHAIN, policyChainName, policyNote } from './names.js';

export function compilePolicyChain(
  policy: Policy,
  direction: Direction,
  table: Table,
  sets: SetResolver,
  deny: DenyActions,
): Chain {
  const rules = (policy[direction] ?? []).flatMap((rule) => compileRule(policy, rule, direction, sets, deny));
  const whole = policy.staged === true ? [...rules, logged({ matches: [] }, policy, `${direction} no rule`)] : rules;
  return { table, name: policyChainName(direction, policy.key), rules: whole };
}

type RuleHead = Omit<Rule, 'action'>;

function compileRule(
  policy: Policy,
  rule: PolicyRule,
  direction: Direction,
  sets: SetResolver,
  deny: DenyActions,
): readonly Rule[] {
  const about = `${direction} rule ${rule.index}`;
  const note = `${policyNote(policy.key)} ${about}`;
  const heads = rule.alternatives
    .flatMap((alternative) => compileAlternative(alternative, direction, sets))
    .map((match): RuleHead => ({ ...match, note }));
  if (rule.action === 'log') return heads.map((head) => logged(head, policy, about));
  if (policy.staged === true)
    return heads.flatMap((head) => [
      logged(head, policy, `${about} ${rule.action}`),
      { ...head, action: { type: 'return' } },
    ]);
  const action =
    rule.action === 'deny' && heads.length > 0
      ? deny({ type: 'rule', direction, tier: policy.tier, policy: policy.key, rule: rule.index })
      : ruleAction(rule.action);
  return heads.map((head) => ({ ...head, action }));
}

function ruleAction(action: 'allow' | 'deny' | 'pass'): Action {
  switch (action) {
    case 'allow':
      return { type: 'goto', chain: ALLOW_CHAIN };
    case 'pass':
      return { type: 'goto', chain: PASS_CHAIN };
    case 'deny':
      return { type: 'drop' };
  }
}

/** Bounded: a flood of packets must not become a flood of log lines. */
function logged(head: RuleHead, policy: Policy, about: string): Rule {
  const prefix = `tortie${policy.staged === true ? ' staged' : ''} ${about} `;
  return { ...head, matches: [...head.matches, { type: 'limit', perSecond: 10 }], action: { type: 'log', prefix } };
}
