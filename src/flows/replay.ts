/**
 * Recorded flows judged once more, by other policies: what would be denied that was allowed, and allowed that was denied. Pure.
 *
 * An end is judged where it was recorded, so a connection whose ends told of it both counts once at each. A flow that was denied counts as
 * opened only if both its ends let it pass.
 */
import type { Direction, EndVerdict, Flow as PolicyFlow, PodObject, PolicyEngine } from '@tortie/policy';
import { formatTable, type Column } from '../bgpd/show/text-table.js';
import { formatDecision } from '../policy/diff.js';
import { type EndDecision, endText, type Flow, type FlowSubject, type LabelSet, policiesOf } from './flow.js';
import { RecordedPods } from './recorded-pods.js';

export interface VerdictChange {
  readonly type: 'closed' | 'opened';
  readonly direction: Direction;
  /** Of the end that is judged; "" where it is no pod. */
  readonly namespace: string;
  /** Which policy decides now: "NetworkPolicy shop/web", or "" where none does. */
  readonly policy: string;
  readonly connections: number;
  readonly subjects: number;
  readonly examples: readonly {
    readonly flow: FlowSubject;
    readonly before: EndDecision;
    readonly after: EndDecision;
  }[];
}

export interface Replay {
  /** Ends of flows that were judged, and connections in them. */
  readonly judged: number;
  readonly connections: number;
  /** Of which too little was recorded. */
  readonly unjudged: number;
  /** What is judged otherwise than it was recorded, but by the present policies too: earlier changes. */
  readonly differsAlready: number;
  readonly changes: readonly VerdictChange[];
}

const MOST_EXAMPLES = 5;
const WITH_PORTS = new Set(['TCP', 'UDP', 'SCTP']);

/** @param present and @param changed get told of pods that are recorded and no longer there */
export function replayFlows(
  flows: readonly Flow[],
  labels: ReadonlyMap<string, LabelSet['labels']>,
  pods: readonly PodObject[],
  present: PolicyEngine,
  changed: PolicyEngine,
): Replay {
  const recorded = new RecordedPods(pods, labels);
  const questions = questionsOf(flows, recorded);
  for (const event of recorded.events) for (const engine of [present, changed]) engine.apply(event);
  const changes = new Map<string, VerdictChange>();
  let [judged, connections, unjudged, differsAlready] = [0, 0, 0, 0];
  for (const { flow, direction, before, asked, begun } of questions) {
    if (asked === undefined) {
      unjudged++;
      continue;
    }
    judged++;
    connections += begun;
    const after = changed.judge(asked, direction);
    if (passes(changed, asked, after, before) === before.allowed) continue;
    if (passes(present, asked, present.judge(asked, direction), before) !== before.allowed) {
      differsAlready++;
      continue;
    }
    addChange(changes, flow, direction, before, after, begun);
  }
  return {
    judged,
    connections,
    unjudged,
    differsAlready,
    changes: [...changes.values()].sort((a, b) => b.connections - a.connections),
  };
}

/** What was allowed goes on at this end; what was denied has to pass both. */
const passes = (engine: PolicyEngine, asked: PolicyFlow, end: EndVerdict, before: EndDecision): boolean =>
  before.allowed ? end.allowed : end.allowed && engine.verdict(asked).allowed;

interface Question {
  readonly flow: FlowSubject;
  readonly direction: Direction;
  readonly before: EndDecision;
  readonly asked: PolicyFlow | undefined;
  begun: number;
}

/** Each end of each subject once, with all its connections. */
function questionsOf(flows: readonly Flow[], recorded: RecordedPods): Iterable<Question> {
  const questions = new Map<string, Question>();
  for (const flow of flows)
    for (const direction of ['egress', 'ingress'] as const) {
      const before = flow[direction];
      // Of a denied flow the end that denied.
      if (before === undefined || (flow.verdict === 'denied' && before.allowed)) continue;
      const { from, to, family, protocol, port, icmp } = flow;
      const key = JSON.stringify([
        direction,
        flow.verdict,
        endText(from),
        from.labels,
        endText(to),
        to.labels,
        family,
        protocol,
        port,
        icmp,
      ]);
      const known = questions.get(key);
      if (known === undefined)
        questions.set(key, { flow, direction, before, asked: askedOf(flow, recorded), begun: flow.begun });
      else known.begun += flow.begun;
    }
  return questions.values();
}

function askedOf(flow: FlowSubject, recorded: RecordedPods): PolicyFlow | undefined {
  const { family, protocol, port, icmp, node } = flow;
  const [from, to] = [recorded.endOf(flow.from, node), recorded.endOf(flow.to, node)];
  if (from === undefined || to === undefined || (port === 0 && WITH_PORTS.has(protocol))) return undefined;
  return {
    from,
    to,
    family,
    protocol: protocolOf(protocol),
    port,
    ...(icmp === undefined ? {} : { icmp }),
  };
}

function protocolOf(text: string): PolicyFlow['protocol'] {
  switch (text) {
    case 'TCP':
    case 'UDP':
    case 'SCTP':
    case 'ICMP':
    case 'ICMPv6':
      return text;
    default:
      return Number(text);
  }
}

function addChange(
  changes: Map<string, VerdictChange>,
  flow: FlowSubject,
  direction: Direction,
  before: EndDecision,
  after: EndVerdict,
  begun: number,
): void {
  const type = before.allowed ? 'closed' : 'opened';
  const namespace = (direction === 'egress' ? flow.from : flow.to).namespace ?? '';
  const now: EndDecision = { allowed: after.allowed, decision: after.decision, staged: after.staged };
  const policy = policyText(now);
  const key = JSON.stringify([type, direction, namespace, policy]);
  const known = changes.get(key);
  changes.set(key, {
    type,
    direction,
    namespace,
    policy,
    connections: (known?.connections ?? 0) + begun,
    subjects: (known?.subjects ?? 0) + 1,
    examples:
      (known?.examples.length ?? 0) < MOST_EXAMPLES
        ? [...(known?.examples ?? []), { flow, before, after: now }]
        : (known?.examples ?? []),
  });
}

function policyText(end: EndDecision): string {
  if (end.decision.type === 'tier-default') return `end of tier ${end.decision.tier}`;
  const [policy] = policiesOf(end);
  return policy === undefined
    ? ''
    : `${policy.kind} ${policy.namespace === '' ? '' : `${policy.namespace}/`}${policy.name}`;
}

export function formatReplay(replay: Replay): string {
  const { changes, judged, connections, unjudged, differsAlready } = replay;
  const columns: readonly Column<VerdictChange>[] = [
    { title: 'CHANGE', text: ({ type }) => type },
    { title: 'NAMESPACE', text: ({ namespace }) => namespace },
    { title: 'DIRECTION', text: ({ direction }) => direction },
    { title: 'FLOWS', text: ({ subjects }) => String(subjects), align: 'right' },
    { title: 'CONNECTIONS', text: (change) => String(change.connections), align: 'right' },
    { title: 'BY', text: ({ policy }) => policy || '-' },
  ];
  const examples = changes.flatMap((change) =>
    change.examples.map(({ flow, before, after }) =>
      [
        `${change.type}: ${endText(flow.from)} -> ${endText(flow.to)} ${flow.port}/${flow.protocol}, ${change.direction}`,
        `  recorded: ${formatDecision(before.decision)}`,
        `  replayed: ${formatDecision(after.decision)}`,
      ].join('\n'),
    ),
  );
  return [
    `${judged} ends of flows judged (${connections} connections); ${unjudged} could not be: too little was recorded`,
    ...(differsAlready === 0
      ? []
      : [`${differsAlready} are judged otherwise by the present policies already, and are left out`]),
    ...(changes.length === 0 ? ['Nothing changes'] : ['', formatTable(columns, changes), '', ...examples]),
  ].join('\n');
}
