/**
 * Runs cases against the pure engine: every cell is one call of PolicyEngine.verdict. No kernel, no packets.
 */
import { PolicyEngine } from '@tortie/policy/engine';
import type { Decision, Flow, FlowEnd, Verdict } from '@tortie/policy/verdict/flow';
import { isBroken, type BrokenCase, type Case, type Cell, type EndpointId } from './case-file.js';
import { ActionError, ClusterState } from './cluster-state.js';
import type { CaseOutcome, WrongCell } from './outcome.js';

export function runOnEngine(one: Case | BrokenCase): CaseOutcome {
  const start = performance.now();
  const problems: string[] = isBroken(one) ? [...one.problems] : [];
  const wrong: WrongCell[] = [];
  let cells = 0;
  if (!isBroken(one)) {
    try {
      cells = runSteps(one, wrong);
    } catch (error) {
      // Whatever the engine throws is a failure of this case, told with its place; the others still run.
      problems.push(
        error instanceof ActionError
          ? error.message
          : error instanceof Error
            ? (error.stack ?? error.message)
            : String(error),
      );
    }
  }
  return { id: one.id, title: one.title, mode: 'engine', cells, wrong, problems, duration: performance.now() - start };
}

function runSteps(one: Case, wrong: WrongCell[]): number {
  const state = new ClusterState(one.world);
  const engine = new PolicyEngine();
  for (const event of state.start()) engine.apply(event);
  let cells = 0;
  one.steps.forEach((step, index) => {
    for (const action of step.actions) for (const event of state.apply(action)) engine.apply(event);
    for (const cell of step.cells) {
      cells++;
      const verdict = engine.verdict(flowOf(state, cell));
      if (verdict.allowed !== cell.allow)
        wrong.push({
          step: index + 1,
          cell,
          got: verdict.allowed ? 'allowed' : 'dropped',
          because: formatVerdict(verdict),
        });
    }
  });
  return cells;
}

/** The engine's question for one cell; throws ActionError when an end does not exist. */
export function flowOf(state: ClusterState, cell: Cell): Flow {
  return {
    from: endOf(state, cell, cell.from),
    to: endOf(state, cell, cell.to),
    family: cell.family,
    protocol: cell.protocol,
    port: cell.port,
  };
}

function endOf(state: ClusterState, cell: Cell, id: EndpointId): FlowEnd {
  const party = state.party(id);
  switch (party.type) {
    case 'pod':
      return { type: 'pod', namespace: party.pod.namespace, name: party.pod.name };
    case 'node':
      return { type: 'node', name: party.name };
    case 'external': {
      const address = state.addressOf(id, cell.family);
      if (address === undefined)
        throw new ActionError(`Cannot ask about ${id} in IPv${cell.family}: it has no such address`);
      return { type: 'address', address };
    }
  }
}

/** One line: what each end said. */
export function formatVerdict(verdict: Verdict): string {
  const sides = [verdict.egress, verdict.ingress].map(
    ({ direction, allowed, decision }) =>
      `${direction} ${allowed ? 'allowed' : 'denied'} by ${formatDecision(decision)}`,
  );
  return sides.join(', ');
}

function formatDecision(decision: Decision): string {
  switch (decision.type) {
    case 'rule':
      return `rule ${decision.rule} of ${decision.policy.kind} ${decision.policy.namespace}/${decision.policy.name}`;
    case 'tier-default':
      return `the default of tier ${decision.tier} (${decision.policies.map((policy) => `${policy.namespace}/${policy.name}`).join(', ')})`;
    case 'default-allow':
      return 'nobody: no policy isolates it';
    case 'host-default':
      return `host endpoint ${decision.host}: no policy decides, and no profile allows`;
    case 'exempt':
      return `exemption: ${decision.why}`;
    case 'closed':
      return `closed: ${decision.why}`;
    case 'unknown':
      return `caution: ${decision.why}`;
  }
}
