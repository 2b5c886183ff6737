import { expect } from 'chai';
import type { BgpPeerAddresses } from '@tortie/policy/objects';
import { BGP_KINDS, NodeTopology, type NodeTopologyOptions } from '../../src/agent/node-topology.js';
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
  const optionsWith = (cluster: Cluster): NodeTopologyOptions => ({
    node: 'node1',
    namespace: 'tortie-system',
    cluster,
    onDemand: { need: () => undefined },
    kernel: { links: () => [], loopbackAddresses: () => new Set() },
    blocks: () => [],
    endpoints: () => [],
    log: createLogger('test', { level: 'silent' }),
    onWanted: () => undefined,
  });
  const topology = (): NodeTopology => new NodeTopology(optionsWith(new Cluster(['nodes', ...BGP_KINDS])));
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

  it('tells who are peers of this node, who of any, and where speakers listen', () => {
    const told: BgpPeerAddresses[] = [];
    const cluster = new Cluster(['nodes', ...BGP_KINDS]);
    const it = new NodeTopology({ ...optionsWith(cluster), onPeers: (peers) => void told.push(peers) });
    for (const name of ['node1', 'node2'])
      cluster.upsert('nodes', {
        metadata: { name },
        status: { addresses: [{ type: 'InternalIP', address: `10.0.0.${name.slice(4)}` }] },
      });
    cluster.upsert('bgpConfigurations', {
      metadata: { name: 'default' },
      spec: { asNumber: 64512, listenPort: 1179, nodeToNodeMeshEnabled: false },
    });
    const peer = (node: string, peerIP: string): void =>
      cluster.upsert('bgpPeers', { metadata: { name: node }, spec: { node, peerIP, asNumber: 64513 } });
    peer('node1', '10.65.0.7');
    peer('node2', '[fd00:65::9]:1790');
    it.compute({});
    it.compute({});
    expect(told).to.deep.equal([{ ofNode: ['10.65.0.7'], ofAny: ['10.65.0.7', 'fd00:65::9'], listenPorts: [1179] }]);
    cluster.upsert('bgpPeers', { metadata: { name: 'node1' }, spec: { node: 'node9', peerIP: 'x', asNumber: 64513 } });
    it.compute({});
    expect(told.at(-1)).to.deep.equal({ ofNode: [], ofAny: ['fd00:65::9'], listenPorts: [1179] });
  });

  it('tells of no peer at an address that no host can have, of whichever node', () => {
    const told: BgpPeerAddresses[] = [];
    const cluster = new Cluster(['nodes', ...BGP_KINDS]);
    const it = new NodeTopology({ ...optionsWith(cluster), onPeers: (peers) => void told.push(peers) });
    cluster.upsert('nodes', {
      metadata: { name: 'node1' },
      status: { addresses: ['10.0.0.1', 'fd00::1'].map((address) => ({ type: 'InternalIP', address })) },
    });
    const nowhere = ['0.0.0.0', '0.0.0.0:1179', '255.255.255.255', '224.0.0.5', '127.0.0.1'];
    const nowhere6 = ['::', '[::]:1179', '::1', 'ff02::1', '::ffff:10.65.0.7'];
    for (const [index, peerIP] of [...nowhere, ...nowhere6, '10.65.0.7', 'fd00:65::9'].entries())
      for (const node of ['node1', 'node2'])
        cluster.upsert('bgpPeers', {
          metadata: { name: `${node}-${index}` },
          spec: { node, peerIP, asNumber: 64513 },
        });
    it.compute({});
    expect(told.map(({ ofNode, ofAny }) => [[...ofNode].sort(), [...ofAny].sort()])).to.deep.equal([
      [
        ['10.65.0.7', 'fd00:65::9'],
        ['10.65.0.7', 'fd00:65::9'],
      ],
    ]);
  });

  it('knows the last rules of a filter that went before BGP was computed, as long as a peer names it', () => {
    const cluster = new Cluster(['nodes', ...BGP_KINDS]);
    const it = new NodeTopology(optionsWith(cluster));
    cluster.upsert('nodes', {
      metadata: { name: 'node1' },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    });
    const peer = (filters: readonly string[]): void =>
      cluster.upsert('bgpPeers', {
        metadata: { name: 'tor' },
        spec: { peerIP: '10.0.0.254', asNumber: 65001, filters },
      });
    peer(['f']);
    const f = { metadata: { name: 'f' }, spec: { exportV4: [{ action: 'Accept' }] } } as const;
    const rules = (): unknown => it.compute({}).config?.filters?.['f-export-v4']?.rules;
    const standIn = rules();
    it.isNews({ type: 'upsert', kind: 'bgpFilters', object: f });
    it.isNews({ type: 'delete', kind: 'bgpFilters', object: f });
    expect(rules()).to.deep.equal([{ name: 'BGPFilter/f exportV4[0]', match: {}, action: 'accept' }]);
    peer([]);
    expect(rules()).to.equal(undefined);
    peer(['f']);
    expect(rules()).to.deep.equal(standIn);
  });

  it('is asked anew when a node goes, and comes back', () => {
    const it = topology();
    it.isNews(change(node()));
    expect([it.isNews(change(node(), 'delete')), it.isNews(change(node()))]).to.deep.equal([true, true]);
  });
});
