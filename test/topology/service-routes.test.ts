/** Which routes to Services a node announces: ranges whole, single addresses where they have to be. */
import { expect } from 'chai';
import { validateConfig } from 'node-bgp/config/validate';
import { selectorMatches } from '../../src/agent/node-selector.js';
import type { BGPConfigurationSpec } from '../../src/api/bgp.js';
import type { EndpointSlice, LoadBalancerIngress, Service, ServiceSpec } from '../../src/api/core.js';
import type { IPPoolSpec } from '../../src/api/ipam.js';
import { serviceAddressesOf } from '../../src/topology/service-addresses.js';
import { topologyOf, type Topology } from '../../src/topology/speaker-config.js';

interface Endpoint {
  readonly node?: string;
  readonly ready?: boolean;
  readonly family?: 4 | 6;
  /** Of its slice. */
  readonly labels?: Readonly<Record<string, string>>;
}

interface World {
  readonly spec?: ServiceSpec;
  readonly ingress?: readonly LoadBalancerIngress[];
  readonly endpoints?: readonly Endpoint[];
  readonly pools?: Readonly<Record<string, IPPoolSpec>>;
  readonly labels?: Readonly<Record<string, string>>;
}

const here: Endpoint = { node: 'node1' };
const elsewhere: Endpoint = { node: 'node2' };

const slice = ({ node, ready, family = 4, labels }: Endpoint, index: number): EndpointSlice => ({
  metadata: { name: `web-${index}`, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web', ...labels } },
  addressType: `IPv${family}`,
  endpoints: [
    {
      addresses: [family === 4 ? '10.65.0.9' : 'fd00:65::9'],
      ...(ready === undefined ? {} : { conditions: { ready } }),
      ...(node === undefined ? {} : { nodeName: node }),
    },
  ],
});

/** What node1 announces of a Service that has one address of each kind and family. */
function announced(configuration: BGPConfigurationSpec, world: World): readonly string[] {
  const { config, problems } = topologyWith(configuration, world);
  if (world.pools === undefined) expect(problems).to.deep.equal([]);
  for (const { tags } of config?.originate ?? []) expect(tags).to.deep.equal(['service']);
  return (config?.originate ?? []).map(({ prefix }) => prefix);
}

function topologyWith(configuration: BGPConfigurationSpec, world: World): Topology {
  const service: Service = {
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      type: 'LoadBalancer',
      clusterIP: '10.96.0.7',
      clusterIPs: ['10.96.0.7', 'fd00:96::7'],
      externalIPs: ['192.0.2.200', '2001:DB8:2::200'],
      ...world.spec,
    },
    status: { loadBalancer: { ingress: world.ingress ?? [{ ip: '198.51.100.7' }, { ip: '2001:db8:3::7' }] } },
  };
  const topology = topologyOf({
    nodeName: 'node1',
    nodes: [
      {
        metadata: { name: 'node1', labels: world.labels ?? {} },
        status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
      },
    ],
    bgpConfigurations: [{ metadata: { name: 'default' }, spec: configuration }],
    bgpPeers: [],
    bgpFilters: [],
    ipPools: Object.entries(world.pools ?? {}).map(([name, spec]) => ({ metadata: { name }, spec })),
    blocks: [],
    services: serviceAddressesOf(service, (world.endpoints ?? []).map(slice), 'node1'),
    loopbackAddresses: new Set(),
    secret: () => undefined,
    secretNamespace: 'tortie-system',
    matches: selectorMatches,
  });
  expect(validateConfig(topology.config).type).to.equal('valid');
  return topology;
}

const RANGES: BGPConfigurationSpec = {
  serviceClusterIPs: [{ cidr: '10.96.0.0/12' }, { cidr: 'fd00:96::/112' }],
  serviceExternalIPs: [{ cidr: '192.0.2.128/25' }, { cidr: '2001:db8:2::/64' }],
  serviceLoadBalancerIPs: [{ cidr: '198.51.100.0/24' }, { cidr: '2001:db8:3::/64' }],
};
const WHOLE = [
  '10.96.0.0/12',
  'fd00:96::/112',
  '192.0.2.128/25',
  '2001:db8:2::/64',
  '198.51.100.0/24',
  '2001:db8:3::/64',
];
const V4 = ['10.96.0.7/32', '192.0.2.200/32', '198.51.100.7/32'];
const V6 = ['fd00:96::7/128', '2001:db8:2::200/128', '2001:db8:3::7/128'];
const local: ServiceSpec = { externalTrafficPolicy: 'Local' };

describe('topology/service-routes', () => {
  it('announces ranges whole from every node, and nothing of a Cluster Service beside them', () => {
    expect(announced(RANGES, {})).to.have.members(WHOLE);
    expect(announced(RANGES, { endpoints: [here, { ...here, family: 6 }] })).to.have.members(WHOLE);
  });

  it('announces every address of a Local Service from nodes with a ready endpoint, family by family', () => {
    const of = (...endpoints: readonly Endpoint[]): readonly string[] => announced(RANGES, { spec: local, endpoints });
    expect(of(here)).to.have.members([...WHOLE, ...V4]);
    expect(of(here, { ...here, family: 6 })).to.have.members([...WHOLE, ...V4, ...V6]);
    expect(of({ ...here, ready: true })).to.have.members([...WHOLE, ...V4]);
    const forNames = { ...here, labels: { 'service.kubernetes.io/headless': '' } };
    for (const other of [elsewhere, forNames, { ...here, ready: false }, {}]) expect(of(other)).to.have.members(WHOLE);
    expect(of({ ...here, ready: false }, here, elsewhere)).to.have.members([...WHOLE, ...V4]);
  });

  it('announces a cluster address alone where only inside traffic is Local', () =>
    expect(announced(RANGES, { spec: { internalTrafficPolicy: 'Local' }, endpoints: [here] })).to.have.members([
      ...WHOLE,
      '10.96.0.7/32',
    ]));

  it('announces no address outside the ranges of its kind', () => {
    const swapped: BGPConfigurationSpec = {
      serviceClusterIPs: RANGES.serviceLoadBalancerIPs ?? [],
      serviceLoadBalancerIPs: RANGES.serviceExternalIPs ?? [],
      serviceExternalIPs: RANGES.serviceClusterIPs ?? [],
    };
    expect(announced(swapped, { spec: local, endpoints: [here] })).to.have.members(WHOLE);
    expect(announced({}, { spec: local, endpoints: [here] })).to.deep.equal([]);
  });

  it('announces a range of one address only while a Service has it', () => {
    const single: BGPConfigurationSpec = {
      serviceExternalIPs: [{ cidr: '192.0.2.200/32' }, { cidr: '2001:db8:2::200/128' }],
      serviceLoadBalancerIPs: [{ cidr: '198.51.100.7/32' }, { cidr: '198.51.100.8/32' }],
    };
    const of = (spec: ServiceSpec, ...endpoints: readonly Endpoint[]): readonly string[] =>
      announced(single, { spec, endpoints });
    expect(of({})).to.deep.equal([]);
    expect(of({}, elsewhere)).to.have.members(['192.0.2.200/32', '198.51.100.7/32']);
    expect(of(local, elsewhere)).to.deep.equal([]);
    expect(of(local, here)).to.have.members(['192.0.2.200/32', '198.51.100.7/32']);
    const both = { serviceLoadBalancerIPs: [{ cidr: '198.51.100.0/24' }, { cidr: '198.51.100.7/32' }] };
    expect(announced(both, { endpoints: [elsewhere] })).to.have.members(['198.51.100.0/24', '198.51.100.7/32']);
  });

  it('announces each load balancer address by itself with serviceLoadBalancerAggregation Disabled', () => {
    const apart: BGPConfigurationSpec = { ...RANGES, serviceLoadBalancerAggregation: 'Disabled' };
    const rest = WHOLE.slice(0, 4);
    const of = (spec: ServiceSpec, ...endpoints: readonly Endpoint[]): readonly string[] =>
      announced(apart, { spec, endpoints });
    expect(of({}), 'without endpoints').to.have.members(rest);
    expect(of({}, { ...elsewhere, ready: false })).to.have.members(rest);
    expect(of({}, elsewhere), 'from every node').to.have.members([...rest, '198.51.100.7/32']);
    expect(of(local, elsewhere)).to.have.members(rest);
    expect(of(local, here)).to.have.members([...rest, ...V4]);
  });

  it('announces nothing of Services that no proxy serves at the address', () => {
    const of = (spec: ServiceSpec, ingress?: readonly LoadBalancerIngress[]): readonly string[] =>
      announced(RANGES, {
        spec: { ...local, ...spec },
        endpoints: [here],
        ...(ingress === undefined ? {} : { ingress }),
      });
    expect(of({ clusterIP: 'None', clusterIPs: ['None'] })).to.have.members(WHOLE);
    expect(of({ clusterIP: '' })).to.have.members(WHOLE);
    expect(of({ type: 'ExternalName' })).to.have.members(WHOLE);
    expect(of({ type: 'ClusterIP' }), 'a status that no load balancer stands by any more').to.have.members([
      ...WHOLE,
      ...V4.slice(0, 2),
    ]);
    const odd = [{ hostname: 'a.example' }, { ip: 'rubbish' }, { ip: '198.51.100.7', ipMode: 'Proxy' as const }];
    expect(of({}, odd)).to.have.members([...WHOLE, ...V4.slice(0, 2)]);
  });

  it('announces nothing of a node that load balancers leave out, nor of a pool with disableBGPExport', () => {
    const labels = { 'node.kubernetes.io/exclude-from-external-load-balancers': '' };
    expect(announced(RANGES, { spec: local, endpoints: [here], labels })).to.deep.equal([]);
    const pools = { lb: { cidr: '198.51.100.0/24', allowedUses: ['LoadBalancer' as const], disableBGPExport: true } };
    expect(announced(RANGES, { spec: local, endpoints: [here], pools })).to.have.members(
      [...WHOLE, ...V4].filter((prefix) => !prefix.startsWith('198.51.100')),
    );
  });

  for (const serviceLoadBalancerAggregation of ['Enabled', 'Disabled'] as const)
    for (const cidr of ['198.51.100.0/24', '198.51.100.7/32'])
      it(`tells of ${cidr} in a pool with disableBGPExport, aggregation ${serviceLoadBalancerAggregation}`, () => {
        const pools = {
          lb: { cidr: '198.51.100.0/24', allowedUses: ['LoadBalancer' as const], disableBGPExport: true },
        };
        const { config, problems } = topologyWith(
          { serviceLoadBalancerIPs: [{ cidr }], serviceLoadBalancerAggregation },
          { spec: local, ingress: [{ ip: '198.51.100.7' }], endpoints: [here], pools },
        );
        expect(config?.originate).to.deep.equal([]);
        expect(problems.map(({ resource, message }) => `${resource} ${message}`)).to.deep.equal([
          `BGPConfiguration/default spec.serviceLoadBalancerIPs[0].cidr is "${cidr}", in IPPool "lb" with ` +
            'disableBGPExport; left out',
        ]);
      });

  for (const serviceLoadBalancerAggregation of ['Enabled', 'Disabled'] as const)
    for (const [cidr, expected] of [
      ['rubbish', 'CIDR notation such as 10.65.0.0/26 or fd00:65::/122'],
      ['', 'CIDR notation such as 10.65.0.0/26 or fd00:65::/122'],
      ['224.0.0.0/8', 'a unicast prefix that may leave the link'],
      ['224.0.0.5/32', 'a unicast prefix that may leave the link'],
      ['fe80::/64', 'a unicast prefix that may leave the link'],
    ] as const)
      it(`tells once of ${JSON.stringify(cidr)}, with its Services, aggregation ${serviceLoadBalancerAggregation}`, () => {
        for (const field of ['serviceExternalIPs', 'serviceLoadBalancerIPs'] as const) {
          const { config, problems } = topologyWith(
            { [field]: [{ cidr }], serviceLoadBalancerAggregation },
            {
              spec: { ...local, externalIPs: ['224.0.0.5', 'fe80::5'] },
              ingress: [{ ip: '224.0.0.5' }, { ip: 'fe80::5' }],
              endpoints: [here, { ...here, family: 6 }],
            },
          );
          expect(config?.originate).to.deep.equal([]);
          expect(problems.map(({ resource, message }) => `${resource} ${message}`)).to.deep.equal([
            `BGPConfiguration/default spec.${field}[0].cidr is "${cidr}"; expected ${expected}; left out`,
          ]);
        }
      });

  for (const serviceLoadBalancerAggregation of ['Enabled', 'Disabled'] as const)
    for (const field of ['serviceClusterIPs', 'serviceExternalIPs', 'serviceLoadBalancerIPs'] as const)
      it(`announces no default route for ${field}, aggregation ${serviceLoadBalancerAggregation}`, () => {
        const { config, problems } = topologyWith(
          { [field]: ['0.0.0.0/0', '::/0', '10.0.0.1/0'].map((cidr) => ({ cidr })), serviceLoadBalancerAggregation },
          { spec: local, endpoints: [here, { ...here, family: 6 }] },
        );
        expect(config?.originate).to.deep.equal([]);
        expect(problems.map(({ resource, message, severity }) => `${severity}: ${resource} ${message}`)).to.deep.equal(
          ['0.0.0.0/0', '::/0', '10.0.0.1/0'].map(
            (cidr, index) =>
              `problem: BGPConfiguration/default spec.${field}[${index}].cidr is "${cidr}"; expected a range of ` +
              'Services, not every address; left out',
          ),
        );
      });

  it('tells, as a notice, of a range that stands in a field twice, and announces it once', () => {
    const cidrs = ['198.51.100.0/24', '198.51.100.128/24', '2001:DB8:3::/64', '2001:db8:3::1/64', '198.51.100.0/25'];
    const { config, problems } = topologyWith(
      { serviceLoadBalancerIPs: cidrs.map((cidr) => ({ cidr })), serviceExternalIPs: [{ cidr: '198.51.100.0/24' }] },
      {},
    );
    expect(config?.originate?.map(({ prefix }) => prefix)).to.have.members([
      '198.51.100.0/24',
      '2001:db8:3::/64',
      '198.51.100.0/25',
    ]);
    const field = 'BGPConfiguration/default spec.serviceLoadBalancerIPs';
    expect(problems.map(({ resource, message, severity }) => `${severity}: ${resource} ${message}`)).to.deep.equal([
      `notice: ${field}[1].cidr is "198.51.100.128/24", the same range as "198.51.100.0/24" before it`,
      `notice: ${field}[3].cidr is "2001:db8:3::1/64", the same range as "2001:DB8:3::/64" before it`,
    ]);
  });

  it('says an address of two Services once, with the communities of its prefix', () => {
    const twice = { ...local, externalIPs: ['192.0.2.200', '192.0.2.200'] };
    expect(announced(RANGES, { spec: twice, endpoints: [here] })).to.have.members([...WHOLE, ...V4]);
  });
});
