import { expect } from 'chai';
import { NO_LOSSES } from '../../src/flows/flow.js';
import { FlowMetrics } from '../../src/flows/flow-metrics.js';
import { MetricText } from '../../src/prometheus.js';
import { begins, ends, networkPolicy, testNode } from './world.js';

const textOf = (metrics: FlowMetrics): readonly string[] => {
  const text = new MetricText('x_');
  metrics.addTo(text, { ...NO_LOSSES, unreported: 7 });
  return text.toString().split('\n');
};

describe('flows: metrics', () => {
  it('count at the end that was judged, by namespace, verdict and what decided', () => {
    const { recorder } = testNode([
      networkPolicy('shop', 'db', { podSelector: { matchLabels: { app: 'db' } }, ingress: [{}] }),
    ]);
    const talk = { from: '10.65.0.1', to: '10.65.0.10' };
    recorder.takeConnection(begins(talk), 1);
    recorder.takeConnection(ends(talk, 100, 50), 2);
    const metrics = new FlowMetrics();
    metrics.take(recorder.close());
    expect(textOf(metrics)).to.include.members([
      'x_flow_connections_total{namespace="shop",direction="egress",verdict="allowed",policy=""} 1',
      'x_flow_connections_total{namespace="shop",direction="ingress",verdict="allowed",policy="NetworkPolicy shop/db"} 1',
      'x_flow_bytes_total{namespace="shop",direction="ingress",verdict="allowed",policy="NetworkPolicy shop/db"} 150',
      'x_flows_lost_total{what="unreported"} 7',
    ]);
  });

  it('have bounded series, whoever makes namespaces', () => {
    const metrics = new FlowMetrics();
    for (let i = 0; i < 3_000; i++)
      metrics.take([
        {
          type: 'flow',
          node: 'n1',
          reporter: 'destination',
          from: { type: 'outside', address: '192.0.2.1' },
          to: { type: 'pod', namespace: `ns-${i}`, name: 'x' },
          family: 4,
          protocol: 'TCP',
          port: 80,
          verdict: 'allowed',
          ingress: { allowed: true, decision: { type: 'default-allow' }, staged: [] },
          start: 1,
          last: 2,
          begun: 1,
          ended: 0,
          sent: { packets: 0, bytes: 0 },
          answered: { packets: 0, bytes: 0 },
        },
      ]);
    const lines = textOf(metrics).filter((line) => line.startsWith('x_flow_connections_total{'));
    expect(lines.length).to.be.at.most(1_001);
    expect(lines).to.include(
      'x_flow_connections_total{namespace="other",direction="ingress",verdict="allowed",policy=""} 2000',
    );
  });
});
