/**
 * What Prometheus is told of flows: connections and octets by namespace, direction, verdict and what decided.
 *
 * BOUNDED: series; those that come later count as namespace "other" without a policy.
 */
import type { MetricText, Sample } from '../prometheus.js';
import { type EndDecision, type Flow, type FlowLosses, policiesOf } from './flow.js';

const MOST_SERIES = 1_000;

interface Series {
  readonly labels: Sample['labels'];
  connections: number;
  bytes: number;
}

export class FlowMetrics {
  private readonly series = new Map<string, Series>();

  take(flows: readonly Flow[]): void {
    for (const flow of flows) {
      this.count(flow, flow.from.namespace, 'egress', flow.egress);
      this.count(flow, flow.to.namespace, 'ingress', flow.ingress);
    }
  }

  addTo(text: MetricText, lost: FlowLosses): void {
    const samples = (read: (series: Series) => number): readonly Sample[] =>
      [...this.series.values()].map((series) => ({ labels: series.labels, value: read(series) }));
    text.add(
      'flow_connections_total',
      'counter',
      "Connections of this node's pods that began, and attempts that were denied, by what decided at this end.",
      samples(({ connections }) => connections),
    );
    text.add(
      'flow_bytes_total',
      'counter',
      'Octets of connections that have ended, both ways, and of reported denied packets.',
      samples(({ bytes }) => bytes),
    );
    text.add(
      'flows_lost_total',
      'counter',
      'What flows lack: events and reports that did not reach the agent, reports beyond the rate of a rule, too many subjects.',
      Object.entries(lost).map(([what, value]) => ({ labels: { what }, value: Number(value) })),
    );
  }

  private count(flow: Flow, namespace: string | undefined, direction: string, end: EndDecision | undefined): void {
    if (end === undefined) return;
    const verdict = end.allowed ? 'allowed' : 'denied';
    const wanted = { namespace: namespace ?? '', direction, verdict, policy: policyText(end) };
    const labels =
      this.series.size < MOST_SERIES || this.series.has(JSON.stringify(wanted))
        ? wanted
        : { namespace: 'other', direction, verdict, policy: '' };
    const key = JSON.stringify(labels);
    const series = this.series.get(key) ?? { labels, connections: 0, bytes: 0 };
    this.series.set(key, series);
    series.connections += flow.begun;
    series.bytes += flow.sent.bytes + flow.answered.bytes;
  }
}

/** "NetworkPolicy shop/web", "end of tier default", "" where no policy has to do with it. */
function policyText(end: EndDecision): string {
  if (end.decision.type === 'tier-default') return `end of tier ${end.decision.tier}`;
  const [policy] = policiesOf(end);
  if (policy === undefined) return '';
  return `${policy.kind} ${policy.namespace === '' ? '' : `${policy.namespace}/`}${policy.name}`;
}
