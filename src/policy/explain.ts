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

function direction(title: string, verdict: DirectionVerdict, traces: readonly PolicyTrace[], kernel: readonly KernelRule[]): readonly string[] {
  const lines = [`${title}: ${formatDecision(verdict.decision)}`];
  let tier: string | undefined;
  for (const trace of traces) {
    if (trace.tier !== tier) lines.push(`  tier ${trace.tier}`);
    tier = trace.tier;
    lines.push(`    ${policyName(trace.policy)}: ${trace.outcome}`);
    for (const rule of trace.rules) lines.push(`      rule ${rule.rule} ${rule.action}: ${rule.outcome}`);
    for (const rule of kernel)
      if (rule.policy === policyName(trace.policy) && rule.direction === verdict.direction) lines.push(`      kernel, ${rule.packets} packets: ${rule.line}`);
  }
  return lines;
}
