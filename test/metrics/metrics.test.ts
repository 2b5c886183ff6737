/** What each daemon exposes: names and texts as docs/metrics.md lists them, in the right format, with labels that users cannot multiply. */
import { expect } from 'chai';
import { FlowMetrics } from '../../src/flows/flow-metrics.js';
import { NO_LOSSES } from '../../src/flows/flow.js';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CniTimes, renderAgentMetrics, type AgentReading } from '../../src/agent/agent-metrics.js';
import { renderMetrics } from '../../src/bgpd/metrics.js';
import { renderControllerMetrics } from '../../src/controller/metrics.js';
import { serveHealth } from '../../src/health.js';
import { Histogram, MetricText } from '../../src/prometheus.js';
import { World } from '../bgp/speaker/world.js';

const DOCUMENT = fileURLToPath(new URL('../../../docs/metrics.md', import.meta.url));

const reading: AgentReading = {
  report: {
    aspects: [
      { type: 'BGPReady', problems: ['a session is down'], wellMessage: 'x' },
      { type: 'PolicyReady', problems: [], warnings: ['odd', 'odd too'], wellMessage: 'x' },
      { type: 'RoutesReady', problems: [], wellMessage: 'x' },
    ],
    blocks: ['10.65.0.0/26', 'fd00:65::/122'],
    bgp: {
      peers: [
        { name: 'a', address: '192.0.2.1', state: 'Established' },
        { name: 'b', address: '192.0.2.2', state: 'Active' },
      ],
    },
  },
  pods: 7,
  usages: [
    { cidr: '10.65.0.0/26', usage: { size: 64, assigned: 7, resting: 1, lent: 2, kept: 0, free: 54 } },
    { cidr: 'fd00:65::/122', usage: { size: 64, assigned: 6, resting: 0, lent: 0, kept: 0, free: 58 } },
  ],
  lostWatches: 3,
};

async function bgpdText(): Promise<string> {
  const { speaker } = new World().speaker('10.0.0.1');
  await speaker.configure({ localAs: 64512, routerId: '10.0.0.1', listen: [], peers: [] });
  const text = renderMetrics({
    speaker,
    fibStatus: { routes: 0, refused: 0, stale: 0, contested: 0, repaired: 0 },
  });
  await speaker.stop();
  return text;
}

/** "| name | type | help |" of each. */
const rowsOf = (text: string): readonly string[] =>
  [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$/gm)].map(
    ([, name, help, type]) => `| \`${name}\` | ${type} | ${help} |`,
  );

describe('metrics', () => {
  const agent = (): string =>
    renderAgentMetrics(reading, new CniTimes(), (text) => new FlowMetrics().addTo(text, NO_LOSSES));
  const controller = (): string =>
    renderControllerMetrics({ isLeader: true, waitingServices: ['a/b'], isReady: false });

  it('are those that docs/metrics.md lists, word for word', async () => {
    const rows = [await bgpdText(), agent(), controller()].flatMap(rowsOf);
    const listed = readFileSync(DOCUMENT, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| `tortie_'));
    expect(listed).to.deep.equal(rows);
    expect(rows.length).to.be.greaterThan(40);
  });
  it('of the agent have the right values', () => {
    const times = new CniTimes();
    times.observe('ADD', true, 0.02);
    times.observe('ADD', false, 30);
    times.observe('NONSENSE', true, 1);
    const text = renderAgentMetrics(reading, times);
    for (const line of [
      'tortie_agent_condition{condition="BGPReady"} 0',
      'tortie_agent_condition{condition="PolicyReady"} 0',
      'tortie_agent_condition{condition="RoutesReady"} 1',
      'tortie_agent_problems{condition="BGPReady"} 1',
      'tortie_agent_warnings{condition="PolicyReady"} 2',
      'tortie_agent_pods 7',
      'tortie_agent_blocks 2',
      'tortie_agent_addresses{family="ipv4",state="free"} 54',
      'tortie_agent_addresses{family="ipv6",state="assigned"} 6',
      'tortie_agent_bgp_sessions 2',
      'tortie_agent_bgp_sessions_up 1',
      'tortie_agent_lost_watches 3',
      'tortie_agent_cni_seconds_bucket{command="ADD",outcome="done",le="0.01"} 0',
      'tortie_agent_cni_seconds_bucket{command="ADD",outcome="done",le="0.025"} 1',
      'tortie_agent_cni_seconds_bucket{command="ADD",outcome="refused",le="20"} 0',
      'tortie_agent_cni_seconds_bucket{command="ADD",outcome="refused",le="+Inf"} 1',
      'tortie_agent_cni_seconds_sum{command="ADD",outcome="done"} 0.02',
    ])
      expect(text.split('\n')).to.include(line);
    expect(text).to.not.include('NONSENSE');
  });
  it('of the controller have the right values', () =>
    expect(controller().split('\n')).to.include.members([
      'tortie_controller_leader 1',
      'tortie_controller_ready 0',
      'tortie_controller_services_waiting 1',
    ]));
  it('are in the format that Prometheus reads', async () => {
    for (const line of `${await bgpdText()}${agent()}${controller()}`.trim().split('\n'))
      expect(line).to.match(
        /^(# (HELP \S+ .+|TYPE \S+ (gauge|counter|histogram))|[a-z_]+(\{(\w+="([^"\\]|\\.)*",?)+\})? -?[\d.e+-]+)$/,
      );
  });
  it('escape what stands in a label', () => {
    const text = new MetricText('x_');
    text.add('y', 'gauge', 'z', [{ labels: { a: 'b"c\\d\ne' }, value: 1 }]);
    expect(text.toString()).to.include('x_y{a="b\\"c\\\\d\\ne"} 1');
    expect(new Histogram([1]).lines('h', 'a="b"')).to.deep.equal([
      'h_bucket{a="b",le="1"} 0',
      'h_bucket{a="b",le="+Inf"} 0',
      'h_sum{a="b"} 0',
      'h_count{a="b"} 0',
    ]);
  });
  it('are beside /readyz where a daemon has some', async () => {
    const server = await serveHealth({ host: '127.0.0.1', port: 0 }, () => [], agent);
    try {
      const address = server.address();
      const port = typeof address === 'object' ? address?.port : 0;
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
      expect([answer.status, answer.headers.get('content-type')]).to.deep.equal([
        200,
        'text/plain; version=0.0.4; charset=utf-8',
      ]);
      expect(await answer.text()).to.include('tortie_agent_pods 7');
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});
