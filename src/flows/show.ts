/** Flows as tables and lines for people. Pure. */
import { formatTable, type Column } from '../bgpd/show/text-table.js';
import { formatDecision } from '../policy/diff.js';
import { escaped } from '../user-text.js';
import {
  type Amount,
  type Connection,
  type EndDecision,
  endText,
  type Flow,
  type FlowLosses,
  type FlowSubject,
  lossSum,
} from './flow.js';

/** Flows of the same subject as one, the busiest first. */
export function mergeFlows(flows: readonly Flow[]): readonly Flow[] {
  const merged = new Map<string, Flow>();
  for (const flow of flows) {
    const { type, start, last, begun, ended, sent, answered, from, to, ...rest } = flow;
    const key = JSON.stringify([endText(from), endText(to), rest]);
    const known = merged.get(key);
    merged.set(
      key,
      known === undefined
        ? flow
        : {
            ...known,
            start: Math.min(known.start, start),
            last: Math.max(known.last, last),
            begun: known.begun + begun,
            ended: known.ended + ended,
            sent: sum(known.sent, sent),
            answered: sum(known.answered, answered),
          },
    );
  }
  return [...merged.values()].sort((a, b) => b.begun - a.begun || b.last - a.last);
}

const sum = (a: Amount, b: Amount): Amount => ({ packets: a.packets + b.packets, bytes: a.bytes + b.bytes });

export function formatFlows(flows: readonly Flow[], hasNodes: boolean): string {
  const columns: readonly Column<Flow>[] = [
    { title: 'LAST', text: ({ last }) => timeText(last) },
    ...(hasNodes ? [{ title: 'NODE', text: ({ node }: Flow) => node }] : []),
    { title: 'FROM', text: ({ from }) => endText(from) },
    { title: 'TO', text: ({ to }) => endText(to) },
    { title: 'SERVICE', text: serviceText },
    { title: 'PORT', text: portText },
    { title: 'VERDICT', text: ({ verdict }) => verdict },
    { title: 'BEGUN', text: ({ begun }) => String(begun), align: 'right' },
    { title: 'SENT', text: ({ sent }) => amountText(sent), align: 'right' },
    { title: 'ANSWERED', text: ({ answered }) => amountText(answered), align: 'right' },
    { title: 'DECIDED', text: decisionText },
  ];
  return flows.length === 0 ? 'No flows' : formatTable(columns, flows);
}

/** One line. */
export function formatHappening(flow: Flow | Connection): string {
  const time = timeText(flow.type === 'flow' ? flow.last : flow.at);
  const what =
    flow.type === 'flow'
      ? `${flow.begun} begun, ${flow.ended} ended`
      : flow.happening === 'ended'
        ? `ended${flow.start === undefined || flow.last === undefined ? '' : ` after ${(flow.last - flow.start) / 1000} s`}`
        : flow.happening;
  const via = flow.service === undefined ? '' : ` via ${serviceText(flow)}`;
  const source = flow.type === 'flow' || flow.sourcePort === 0 ? '' : ` port ${flow.sourcePort}`;
  const carried = flow.sent.packets + flow.answered.packets;
  const amounts = carried === 0 ? '' : `, ${amountText(flow.sent)} sent, ${amountText(flow.answered)} answered`;
  return escaped(
    `${time} ${flow.node} ${flow.verdict} ${endText(flow.from)}${source} -> ${endText(flow.to)} ${portText(flow)}${via}: ` +
      `${what}${amounts}; ${decisionText(flow)}`,
  );
}

/** What the answer lacks; undefined when nothing. */
export function formatLosses(node: string, lost: FlowLosses): string | undefined {
  if (lossSum(lost) === 0) return undefined;
  const parts = [
    [lost.connections, 'events of connections were dropped'],
    [lost.reports, 'reports of denied packets were dropped'],
    [lost.unreported, 'denied packets were beyond the rate of their rule'],
    [lost.subjects, 'connections were too many to tell apart'],
  ] as const;
  const said = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return `Not in these flows, since the agent of ${node} started: ${said.join(', ')}`;
}

const timeText = (at: number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ');

const serviceText = ({ service }: FlowSubject): string =>
  service === undefined ? '' : `${service.namespace}/${service.name}:${service.port}`;

function portText({ port, protocol, icmp }: FlowSubject): string {
  if (icmp !== undefined) return `${protocol} ${icmp.type}/${icmp.code}`;
  return port === 0 ? protocol : `${port}/${protocol}`;
}

const UNITS = ['', 'k', 'M', 'G', 'T', 'P'];

/** Octets, three figures: "1.23k". */
function amountText({ bytes }: Amount): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)}${UNITS[unit] ?? ''}`;
}

/** What denied, or what let it pass at each end of this node; and what staged policies would change. */
function decisionText({ egress, ingress, verdict }: FlowSubject): string {
  const ends = [
    ['egress', egress],
    ['ingress', ingress],
  ] as const;
  return ends
    .flatMap(([direction, end]) => {
      if (end === undefined || (verdict === 'denied' && end.allowed)) return [];
      return [`${direction} ${formatDecision(end.decision)}${stagedText(end)}`];
    })
    .join('; ');
}

function stagedText({ staged }: EndDecision): string {
  const said = staged.map(
    ({ policy, action }) =>
      `${policy.kind} ${policy.namespace === '' ? '' : `${policy.namespace}/`}${policy.name} would ` +
      `${action === 'none' ? 'say nothing' : action}`,
  );
  return said.length === 0 ? '' : ` (${said.join(', ')})`;
}
