/**
 * What a change of policy would do, pair by pair, before it is applied.
 */
import type { Family } from 'node-bgp/address';
import type { Decision, Flow, FlowEnd, PodObject, PolicyEngine, Verdict } from '@tortie/policy';
import { declaredProbes, formatFlow, type Probe } from './question.js';

export interface VerdictChange {
  readonly flow: Flow;
  readonly before: Verdict;
  readonly after: Verdict;
}

/** Both engines judge every pair on every port; without `probes` on those that the receiver declares. */
export function changedVerdicts(
  before: PolicyEngine,
  after: PolicyEngine,
  ends: readonly FlowEnd[],
  pods: readonly PodObject[],
  probes: readonly Probe[],
  families: readonly Family[],
): readonly VerdictChange[] {
  const byName = new Map(pods.map((pod) => [`${pod.metadata?.namespace}/${pod.metadata?.name}`, pod]));
  const changes: VerdictChange[] = [];
  for (const to of ends) {
    const pod = to.type === 'pod' ? byName.get(`${to.namespace}/${to.name}`) : undefined;
    for (const probe of probes.length > 0 ? probes : declaredProbes(pod ?? {}))
      for (const family of families)
        for (const from of ends) {
          const flow: Flow = { from, to, family, ...probe };
          const [old, now] = [before.verdict(flow), after.verdict(flow)];
          if (old.allowed !== now.allowed) changes.push({ flow, before: old, after: now });
        }
  }
  return changes;
}

export function formatChanges(changes: readonly VerdictChange[]): string {
  if (changes.length === 0) return 'No pair changes';
  const allowed = changes.filter((change) => change.after.allowed);
  const denied = changes.filter((change) => !change.after.allowed);
  return [...section('become allowed', allowed), ...section('become denied', denied)].join('\n');
}

function section(title: string, changes: readonly VerdictChange[]): readonly string[] {
  if (changes.length === 0) return [];
  return [
    `${changes.length} ${changes.length === 1 ? 'pair' : 'pairs'} ${title}:`,
    ...changes.map((change) => `  ${formatFlow(change.flow)}: ${whyNow(change.after)}`),
  ];
}

/** The decision that denies, or what lets both ends allow. */
function whyNow(verdict: Verdict): string {
  const directions = verdict.allowed
    ? [verdict.egress, verdict.ingress]
    : [verdict.egress, verdict.ingress].filter((one) => !one.allowed);
  return directions.map((one) => `${one.direction} ${formatDecision(one.decision)}`).join(', ');
}

export function formatDecision(decision: Decision): string {
  switch (decision.type) {
    case 'rule':
      return (
        `${decision.action === 'allow' ? 'allowed' : 'denied'} by ${policyName(decision.policy)} rule ` +
        `${decision.rule} (tier ${decision.tier})`
      );
    case 'tier-default':
      return (
        `denied at the end of tier ${decision.tier}: selected by ${decision.policies.map(policyName).join(', ')}, ` +
        'and no rule allows it'
      );
    case 'default-allow':
      return 'allowed: no policy isolates this end';
    case 'host-default':
      return `denied: no policy decides, and host endpoint ${decision.host} has no profile that allows`;
    case 'exempt':
      return `allowed: ${decision.why}`;
    case 'closed':
      return `denied: ${decision.why}`;
    case 'unknown':
      return `denied: ${decision.why}`;
  }
}

export const policyName = (policy: {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}): string => `${policy.kind} ${policy.namespace === '' ? '' : `${policy.namespace}/`}${policy.name}`;

export const changesJson = (changes: readonly VerdictChange[]): unknown =>
  changes.map(({ flow, before, after }) => ({ flow, allowed: after.allowed, before, after }));
