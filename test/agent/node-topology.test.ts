import { expect } from 'chai';
import { BGP_KINDS, NodeTopology } from '../../src/agent/node-topology.js';
import type { Node } from '../../src/api/core.js';
import { Cluster, type ClusterChange } from '../../src/cluster/cluster.js';
import { createLogger } from '../../src/log.js';

describe('agent/node-topology', () => {
  const node = (more: Partial<Node['metadata']> = {}, ready = 'True', address = '10.0.0.2'): Node => ({
    metadata: { name: 'node2', ...more },
    status: {
      addresses: [{ type: 'InternalIP', address }],
      conditions: [{ type: 'Ready', status: ready as 'True', lastHeartbeatTime: String(Math.random()) } as never],
    },
  });
  const topology = (): NodeTopology =>
    new NodeTopology({
      node: 'node1',
      namespace: 'tortie-system',
      cluster: new Cluster(['nodes', ...BGP_KINDS]),
      onDemand: { need: () => undefined },
      kernel: { links: () => [], loopbackAddresses: () => new Set() },
      blocks: () => [],
      endpoints: () => [],
      log: createLogger('test', { level: 'silent' }),
      onWanted: () => undefined,
    });
  const change = (object: Node, type: 'upsert' | 'delete' = 'upsert'): ClusterChange => ({
    type,
    kind: 'nodes',
    object,
  });

  it('is not asked anew for the heartbeat of a node', () => {
    const it = topology();
    const heard = [
      it.isNews(change(node())),
      it.isNews(change(node())),
      it.isNews(change(node({ resourceVersion: '9', annotations: { 'example.com/x': 'y' } }))),
    ];
    expect(heard).to.deep.equal([true, false, false]);
  });

  for (const [what, next] of [
    ['its address', node({}, 'True', '10.0.0.3')],
    ['a label', node({ labels: { rack: '1' } })],
    ['its AS', node({ annotations: { 'projectcalico.org/ASNumber': '64513' } })],
    ['whether it is ready', node({}, 'False')],
  ] as const)
    it(`is asked anew when a node changes ${what}`, () => {
      const it = topology();
      it.isNews(change(node()));
      expect([it.isNews(change(next)), it.isNews(change(next))]).to.deep.equal([true, false]);
    });

  it('is asked anew when a node goes, and comes back', () => {
    const it = topology();
    it.isNews(change(node()));
    expect([it.isNews(change(node(), 'delete')), it.isNews(change(node()))]).to.deep.equal([true, true]);
  });
});
