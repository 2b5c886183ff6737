/**
 * A verdict in words: tier by tier, every policy that applies, what it said, and why its rules did not decide.
 */
import type { DirectionVerdict, Explanation, Flow, PolicyTrace } from '@tortie/policy';
import { formatDecision, policyName } from './diff.js';
import { formatEnd, formatFlow } from './question.js';

/** A rule of the kernel beside the rule of the policy it was made from. */
export interface KernelRule {
  readonly policy: string;
  readonly direction: 'egress' | 'ingress';
  readonly line: string;
  readonly packets: number;
}

export function formatExplanation(flow: Flow, explanation: Explanation, kernel: readonly KernelRule[]): string {
  const { verdict } = explanation;
  return [
    `${verdict.allowed ? 'ALLOWED' : 'DENIED'}  ${formatFlow(flow)}`,
    '',
    ...direction(`egress of ${formatEnd(flow.from)}`, verdict.egress, explanation.egress, kernel),
    '',
    ...direction(`ingress of ${formatEnd(flow.to)}`, verdict.ingress, explanation.ingress, kernel),
  ].join('\n');
}

function direction(
  title: string,
  verdict: DirectionVerdict,
  traces: readonly PolicyTrace[],
  kernel: readonly KernelRule[],
): readonly string[] {
  const lines = [`${title}: ${formatDecision(verdict.decision)}`];
  let tier: string | undefined;
  const isIdle = (trace: PolicyTrace): boolean =>
    trace.outcome === 'does not select the pod' || trace.outcome === 'not for this direction';
  for (const trace of traces.filter((one) => !isIdle(one))) {
    if (trace.tier !== tier) lines.push(`  tier ${trace.tier}`);
    tier = trace.tier;
    lines.push(`    ${policyName(trace.policy)}: ${trace.outcome}`);
    for (const rule of trace.rules) lines.push(`      rule ${rule.rule} ${rule.action}: ${rule.outcome}`);
    for (const rule of kernel)
      if (rule.policy === policyName(trace.policy) && rule.direction === verdict.direction)
        lines.push(`      kernel, ${rule.packets} packets: ${rule.line}`);
  }
  return [...lines, ...idle('does not select the pod', traces), ...idle('not for this direction', traces)];
}

/** Names enough to find one's policy among them, not a page of them. */
const MOST_NAMES = 20;

function idle(outcome: PolicyTrace['outcome'], traces: readonly PolicyTrace[]): readonly string[] {
  const names = traces.filter((trace) => trace.outcome === outcome).map((trace) => policyName(trace.policy));
  if (names.length === 0) return [];
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : '';
  return [`  ${outcome}: ${names.slice(0, MOST_NAMES).join(', ')}${more}`];
}
