import { expect } from 'chai';
import { NodeTopology } from '../../src/agent/node-topology.js';
import type { KindName, ObjectOf } from '../../src/api/kinds.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { createLogger } from '../../src/log.js';

const KINDS: readonly KindName[] = [
  'nodes',
  'bgpConfigurations',
  'bgpPeers',
  'bgpFilters',
  'ipPools',
  'secrets',
  'pods',
  'namespaces',
  'serviceAccounts',
];

describe('agent/node-topology', () => {
  let cluster: Cluster;
  let wanted = 0;
  let topology: NodeTopology;
  const log = createLogger('test', { level: 'silent' });

  const put = <K extends KindName>(kind: K, object: ObjectOf[K]): void => cluster.upsert(kind, object);

  beforeEach(() => {
    cluster = new Cluster(KINDS);
    wanted = 0;
    log.level = 'silent';
    put('nodes', {
      metadata: { name: 'node1' },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    });
    topology = new NodeTopology({
      node: 'node1',
      namespace: 'tortie-system',
      cluster,
      kernel: {
        links: () => [{ name: 'eth0', prefixes: ['10.1.1.0/31'] }],
        loopbackAddresses: () => new Set(['10.0.0.1']),
      },
      blocks: () => [],
      endpoints: () => [
        { hostInterface: 'tort1', addresses: ['10.65.0.1'], owner: { namespace: 'shop', pod: 'web' } },
        { hostInterface: 'tort2', addresses: ['10.65.0.2'], owner: { namespace: 'shop', pod: 'unknown' } },
      ],
      log,
      onWanted: () => wanted++,
    });
  });

  const configure = (spec: ObjectOf['bgpConfigurations']['spec']): void =>
    put('bgpConfigurations', { metadata: { name: 'default' }, spec });

  it('logs as logSeverityScreen says while it says so', () => {
    configure({ logSeverityScreen: 'Debug' });
    topology.compute({});
    expect(log.level).to.equal('debug');
    configure({});
    topology.compute({});
    expect(log.level).to.equal('silent');
  });

  it('takes a router on a link for direct, and tells once what is wanted of the kernel', () => {
    put('bgpPeers', { metadata: { name: 'near' }, spec: { peerIP: '10.1.1.0', asNumber: 65001 } });
    put('bgpPeers', {
      metadata: { name: 'far' },
      spec: { peerIP: '192.0.2.1', asNumber: 65002, reachableBy: '10.1.1.0' },
    });
    const { config } = topology.compute({});
    expect(config?.peers?.map(({ name, multihop }) => [name, multihop])).to.deep.equal([
      ['far', 255],
      ['near', undefined],
    ]);
    topology.compute({});
    expect(wanted).to.equal(1);
    expect(topology.wanted.gateways).to.deep.equal([
      { address: '192.0.2.1', gateway: '10.1.1.0', field: 'BGPPeer/far spec.reachableBy' },
    ]);
  });

  it('finds pods by all labels that a workload endpoint of Calico has, and by none that nobody has', () => {
    put('namespaces', { metadata: { name: 'shop', labels: { tier: 'gold' } } });
    put('serviceAccounts', { metadata: { name: 'speaker', namespace: 'shop', labels: { trusted: 'yes' } } });
    put('pods', {
      metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } },
      spec: { serviceAccountName: 'speaker', containers: [] },
    });
    configure({ localWorkloadPeeringIPV4: '169.254.0.179' });
    const peersOf = (localWorkloadSelector: string): number => {
      put('bgpPeers', { metadata: { name: 'children' }, spec: { localWorkloadSelector, asNumber: 65401 } });
      return topology.compute({}).config?.peers?.length ?? -1;
    };
    for (const [selector, count] of [
      ['app == "web"', 1],
      ['pcns.tier == "gold" && pcsa.trusted == "yes"', 1],
      ['projectcalico.org/namespace == "shop" && projectcalico.org/orchestrator == "k8s"', 1],
      ['projectcalico.org/serviceaccount == "speaker"', 1],
      ['all()', 1],
      ['app != "web"', 0],
      ['tier == "gold"', 0],
    ] as const)
      expect(peersOf(selector), selector).to.equal(count);
    expect(topology.wanted.peering).to.deep.equal([]);
    peersOf('all()');
    expect(topology.wanted.peering).to.deep.equal([{ hostInterface: 'tort1', address: '169.254.0.179' }]);
  });

  it('is concerned by pods and what labels them only while a resource selects pods', () => {
    const concerned = (): readonly KindName[] => KINDS.filter((kind) => topology.concerns(kind));
    const always = ['nodes', 'bgpConfigurations', 'bgpPeers', 'bgpFilters', 'ipPools', 'secrets'];
    expect(concerned()).to.deep.equal(always);
    put('bgpPeers', { metadata: { name: 'children' }, spec: { localWorkloadSelector: 'all()', asNumber: 65401 } });
    expect(concerned()).to.deep.equal(KINDS);
  });
});
