import { expect } from 'chai';
import type { NodeStatus } from '../../src/api/node-status.js';
import {
  formatNode,
  formatNodes,
  formatSessions,
  isNodeWell,
  nodeRows,
  sessionRows,
} from '../../src/node-view/nodes.js';

const NOW = Date.parse('2026-01-01T00:02:00Z');
const condition = (type: string, status: 'True' | 'False' | 'Unknown', message = 'well') => ({
  type,
  status,
  reason: 'x',
  message,
  lastTransitionTime: '2026-01-01T00:00:00Z',
});
const peer = (name: string, state: string, more = {}) => ({
  name,
  address: '192.0.2.254',
  asNumber: 65001,
  state,
  since: '2026-01-01T00:01:00Z',
  ...more,
});
const status = (
  name: string,
  conditions: readonly ReturnType<typeof condition>[],
  peers: readonly ReturnType<typeof peer>[] = [],
): NodeStatus => ({
  metadata: { name },
  status: {
    conditions,
    agent: { version: '0.1.0', heartbeatTime: '2026-01-01T00:01:30Z' },
    blocks: ['10.65.0.0/26'],
    bgp: { asNumber: 64512, routerId: '192.0.2.1', sessions: '1/2', peers },
  },
});
const nodes = ['b', 'a', 'new'].map((name) => ({ metadata: { name } }));
const counted = { establishedCount: 2, receivedPrefixes: 8, acceptedPrefixes: 7, advertisedPrefixes: 4 };
const statuses = [
  status('a', [condition('Ready', 'True'), condition('BGPReady', 'True')], [peer('rack', 'Established', counted)]),
  status(
    'b',
    [condition('Ready', 'False', 'x'), condition('BGPReady', 'False', 'a session is down')],
    [peer('rack', 'Active', { lastError: 'refused' })],
  ),
  status('gone', [condition('Ready', 'Unknown', 'The agent has not reported')]),
];
const rows = nodeRows(nodes, statuses);

describe('node status', () => {
  it('has every Node, those without an agent, and agents without a Node', () =>
    expect(rows.map(({ node, ready, problems }) => [node, ready, problems.map(({ type }) => type)])).to.deep.equal([
      ['a', 'True', []],
      ['b', 'False', ['BGPReady']],
      ['gone', 'Unknown', ['Node', 'Ready']],
      ['new', '-', ['Ready']],
    ]));
  it('is well where all is', () => expect(rows.map(isNodeWell)).to.deep.equal([true, false, false, false]));
  it('is a table', () =>
    expect(formatNodes(rows.slice(0, 2), NOW).split('\n')).to.deep.equal([
      'NODE  READY     AS  ROUTER ID  BGP  BLOCKS  VERSION     HEARD  NOT WELL',
      'a     True   64512  192.0.2.1  1/2       1  0.1.0    00:00:30  -',
      'b     False  64512  192.0.2.1  1/2       1  0.1.0    00:00:30  BGPReady',
    ]));
  it('of one node has its blocks, sessions and sentences', () => {
    const [, b] = rows;
    const text = b === undefined ? '' : formatNode(b, sessionRows(statuses, 'b'), NOW);
    for (const part of ['Blocks: 10.65.0.0/26', 'Active', 'refused', 'BGPReady: a session is down'])
      expect(text).to.include(part);
  });
  it('has the sessions of all nodes, or of one', () => {
    expect(sessionRows(statuses).map(({ node, state }) => `${node} ${state}`)).to.deep.equal([
      'a Established',
      'b Active',
    ]);
    expect(formatSessions(sessionRows(statuses, 'a'), NOW).split('\n')).to.deep.equal([
      'NODE  NEIGHBOR  ADDRESS         AS  STATE         UP/DOWN  TIMES UP  ACC/RCVD  SENT  INFO',
      'a     rack      192.0.2.254  65001  Established  00:01:00         2       7/8     4',
    ]);
  });
});
