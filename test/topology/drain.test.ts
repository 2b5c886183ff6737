/** When a node drains, and what it announces while it does. */
import { expect } from 'chai';
import { selectorMatches } from '../../src/agent/node-selector.js';
import type { EndpointSlice, Node, NodeSpec, NodeStatusCore, Service } from '../../src/api/core.js';
import type { ObjectMeta } from '../../src/api/meta.js';
import { drainOf, type DrainInput } from '../../src/topology/drain.js';
import { serviceAddressesOf } from '../../src/topology/service-addresses.js';
import { topologyOf, type Topology, type TopologyInput } from '../../src/topology/speaker-config.js';

const node = (
  name: string,
  metadata: Partial<ObjectMeta> = {},
  spec: NodeSpec = {},
  status: NodeStatusCore = {},
): Node => ({
  metadata: { name, ...metadata },
  spec,
  status: { addresses: [{ type: 'InternalIP', address: `10.0.0.${name.slice(-1)}` }], ...status },
});
const ready = (status: 'True' | 'False', message: string): NodeStatusCore => ({
  conditions: [{ type: 'Ready', status, message }],
});
const tainted = (key: string): NodeSpec => ({ taints: [{ key, effect: 'NoSchedule' }] });

describe('topology/drain', () => {
  for (const [what, object, cause] of [
    ['a cordon', node('n1', {}, { unschedulable: true, ...tainted('node.kubernetes.io/unschedulable') }), undefined],
    ['a kubelet that is not ready', node('n1', {}, {}, ready('False', 'container runtime is down')), undefined],
    ['the annotation', node('n1', { annotations: { 'tortie.dev/drain': '' } }), 'Requested'],
    ["the autoscaler's taint", node('n1', {}, tainted('ToBeDeletedByClusterAutoscaler')), 'Autoscaler'],
    ['the taint out-of-service', node('n1', {}, tainted('node.kubernetes.io/out-of-service')), 'OutOfService'],
    ["a cloud's taint shutdown", node('n1', {}, tainted('node.cloudprovider.kubernetes.io/shutdown')), 'OutOfService'],
    ['a shutdown', node('n1', {}, {}, ready('False', '[node is shutting down]')), 'Shutdown'],
    ['its deletion', node('n1', { deletionTimestamp: '2026-12-01T00:00:00Z' }), 'Deleted'],
  ] as const)
    it(`${what}: ${cause ?? 'in service'}`, () => expect(drainOf(object)?.cause).to.equal(cause));

  const slice = (...homes: readonly string[]): EndpointSlice => ({
    metadata: { name: 'web-1', namespace: 'shop' },
    addressType: 'IPv4',
    endpoints: homes.map((nodeName, index) => ({ addresses: [`10.65.0.${index + 1}`], nodeName })),
  });
  const service: Service = {
    metadata: { name: 'web', namespace: 'shop' },
    spec: { clusterIP: '10.96.0.7', externalIPs: ['192.0.2.200'], externalTrafficPolicy: 'Local' },
  };
  const draining: DrainInput = { hasSettled: true, floor: 1, tells: () => true, hasPods: true };
  const topology = (
    drain: DrainInput | undefined,
    world: Partial<TopologyInput> = {},
    homes = ['n1', 'n2'],
  ): Topology =>
    topologyOf({
      nodeName: 'n1',
      nodes: ['n1', 'n2', 'n3'].map((name) => node(name)),
      bgpConfigurations: [
        { metadata: { name: 'default' }, spec: { serviceExternalIPs: [{ cidr: '192.0.2.128/24' }] } },
      ],
      bgpPeers: [],
      bgpFilters: [],
      ipPools: [{ metadata: { name: 'p' }, spec: { cidr: '10.65.0.0/16' } }],
      blocks: [{ cidr: '10.65.0.0/26', pool: 'p' }],
      services: serviceAddressesOf(service, [slice(...homes)], 'n1'),
      loopbackAddresses: new Set(['10.0.0.1']),
      secret: () => undefined,
      secretNamespace: 'tortie-system',
      matches: selectorMatches,
      ...(drain === undefined ? {} : { drain }),
      ...world,
    });
  const routes = (of: Topology): Readonly<Record<string, string>> =>
    Object.fromEntries((of.config?.originate ?? []).map((route) => [route.prefix, (route.communities ?? []).join()]));
  const OWN = { '10.65.0.0/26': '', '10.0.0.1/32': '' };
  const MARK = '65535:0';

  it('in service nothing is marked, and no filter lowers a preference', () => {
    const served = topology(undefined);
    expect(routes(served)).to.deep.equal({ ...OWN, '192.0.2.0/24': '', '192.0.2.200/32': '' });
    expect(JSON.stringify(served.config?.filters)).to.not.include('localPreference');
    expect(served.drain).to.equal(undefined);
  });

  it('first marks what is of Services, and lowers its preference inside the AS, before any filter of a user', () => {
    const first = topology({ ...draining, hasSettled: false });
    expect(routes(first)).to.deep.equal({ ...OWN, '192.0.2.0/24': MARK, '192.0.2.200/32': MARK });
    expect(first.drain).to.deep.equal({ marked: ['192.0.2.0/24', '192.0.2.200/32'], withdrawn: [] });
    for (const name of ['tortie-export-mesh'])
      expect(first.config?.filters?.[name]?.rules[0]).to.deep.include({
        match: { tags: ['service'], source: ['local'] },
        set: { localPreference: 0 },
      });
    expect(first.serviceRanges).to.deep.equal(['192.0.2.0/24']);
  });

  it('keeps the communities that users gave', () => {
    const spec = {
      serviceExternalIPs: [{ cidr: '192.0.2.0/24' }],
      prefixAdvertisements: [{ cidr: '192.0.2.0/24', communities: ['64512:7'] }],
    };
    const given = topology(
      { ...draining, hasSettled: false },
      { bgpConfigurations: [{ metadata: { name: 'default' }, spec }] },
    );
    expect(routes(given)['192.0.2.0/24']).to.equal(`${MARK},64512:7`);
  });

  it('then withdraws what enough others tell, and what is dropped where nobody translates stays so', () => {
    const left = topology(draining);
    expect(routes(left)).to.deep.equal(OWN);
    expect(left.drain?.withdrawn).to.have.members(['192.0.2.0/24', '192.0.2.200/32']);
    expect(left.serviceRanges).to.deep.equal(['192.0.2.0/24']);
  });

  it('an address of a Local Service is left only to nodes with an endpoint of it', () => {
    expect(routes(topology(draining, {}, ['n1']))).to.deep.equal({ ...OWN, '192.0.2.200/32': MARK });
    expect(routes(topology({ ...draining, tells: (name) => name === 'n3' }))).to.deep.equal({
      ...OWN,
      '192.0.2.200/32': MARK,
    });
  });

  it('keeps told what fewer than the floor would', () => {
    expect(routes(topology({ ...draining, floor: 2 }))).to.deep.equal({ ...OWN, '192.0.2.200/32': MARK });
    const all = { ...OWN, '192.0.2.0/24': MARK, '192.0.2.200/32': MARK };
    expect(routes(topology({ ...draining, floor: 3 }))).to.deep.equal(all);
    expect(routes(topology({ ...draining, tells: () => false }))).to.deep.equal(all);
  });

  it('counts no node that routers should send no Services to, or that has other ranges', () => {
    const excluded = { labels: { 'node.kubernetes.io/exclude-from-external-load-balancers': '' } };
    const nodes = [node('n1'), node('n2', excluded), node('n3')];
    expect(routes(topology({ ...draining, floor: 2 }, { nodes }))).to.include({ '192.0.2.0/24': MARK });
    const bgpConfigurations = [
      { metadata: { name: 'default' }, spec: { serviceExternalIPs: [{ cidr: '192.0.2.0/24' }] } },
      { metadata: { name: 'node.n2' }, spec: { serviceExternalIPs: [{ cidr: '198.51.100.0/24' }] } },
    ];
    expect(routes(topology({ ...draining, floor: 2 }, { bgpConfigurations }))).to.include({ '192.0.2.0/24': MARK });
    expect(routes(topology(draining, { bgpConfigurations }))).to.not.have.property('192.0.2.0/24');
  });

  it('blocks of pods go when the last pod has, and not before what is marked was told', () => {
    expect(routes(topology({ ...draining, hasPods: false }))).to.deep.equal({ '10.0.0.1/32': '' });
    expect(routes(topology({ ...draining, hasPods: false, hasSettled: false }))).to.include({ '10.65.0.0/26': '' });
  });

  it('tells of Services only what the kernel serves', () => {
    const mayTellService = (prefix: string): boolean => prefix === '192.0.2.0/24';
    const part = topology(undefined, { mayTellService });
    expect(routes(part)).to.deep.equal({ ...OWN, '192.0.2.0/24': '' });
    expect(part.serviceRanges).to.deep.equal(['192.0.2.0/24']);
  });
});
