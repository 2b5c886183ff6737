/** What annotations, labels, Secrets and the finer fields of filters come to: one look each at the document that the daemon gets. */
import { expect } from 'chai';
import type { BGPConfigurationSpec, BGPFilterSpec, BGPPeerSpec } from '../../src/api/bgp.js';
import { selectorMatches } from '../../src/agent/node-selector.js';
import { topologyOf, type Topology } from '../../src/topology/speaker-config.js';

interface World {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly configuration?: BGPConfigurationSpec;
  readonly peer?: BGPPeerSpec;
  readonly filter?: BGPFilterSpec;
  readonly secret?: string;
}

/** node1 (what the world says of it) and node2 with 10.0.0.2. */
const topology = (world: World): Topology =>
  topologyOf({
    nodeName: 'node1',
    nodes: [
      {
        metadata: { name: 'node1', annotations: world.annotations ?? {}, labels: world.labels ?? {} },
        status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
      },
      { metadata: { name: 'node2' }, status: { addresses: [{ type: 'InternalIP', address: '10.0.0.2' }] } },
    ],
    bgpConfigurations: [{ metadata: { name: 'default' }, spec: world.configuration ?? {} }],
    bgpPeers: world.peer === undefined ? [] : [{ metadata: { name: 'r' }, spec: world.peer }],
    bgpFilters: world.filter === undefined ? [] : [{ metadata: { name: 'f' }, spec: world.filter }],
    ipPools: [],
    blocks: [{ cidr: '10.65.0.0/26', pool: 'v4' }],
    loopbackAddresses: new Set(),
    secret: () => world.secret,
    secretNamespace: 'tortie-system',
    matches: selectorMatches,
  });

const meshPeer = (world: World): unknown =>
  topology(world).config?.peers?.find(({ name }) => name?.startsWith('mesh-'));
const router: BGPPeerSpec = { peerIP: '10.0.0.254', asNumber: 65001 };
const prefixes = (world: World): readonly string[] =>
  (topology(world).config?.originate ?? []).map(({ prefix }) => prefix);

describe('topology: marks and finer fields', () => {
  it("takes a node's addresses from Calico's annotations first", () => {
    const config = topology({
      annotations: { 'projectcalico.org/IPv4Address': '10.9.0.1/24', 'projectcalico.org/IPv6Address': 'fd09::1/64' },
    }).config;
    expect(config?.routerId).to.equal('10.9.0.1');
    expect(config?.peers?.map((peer) => peer.localAddress)).to.deep.equal(['10.9.0.1']);
  });

  it("takes a node's AS number from its annotation", () =>
    expect(topology({ annotations: { 'projectcalico.org/ASNumber': '64600' } }).config?.localAs).to.equal(64600));

  it('announces no service range from a node that load balancers should leave out', () => {
    const configuration = { serviceClusterIPs: [{ cidr: '10.96.0.0/12' }] };
    expect(prefixes({ configuration })).to.include('10.96.0.0/12');
    const labels = { 'node.kubernetes.io/exclude-from-external-load-balancers': '' };
    expect(prefixes({ configuration, labels })).to.deep.equal(['10.65.0.0/26']);
  });

  it('has no session without its password, unless that is optional', () => {
    const spec = (optional: boolean): BGPPeerSpec => ({
      ...router,
      password: { secretKeyRef: { name: 's', key: 'k', optional } },
    });
    const names = (world: World): readonly unknown[] => topology(world).config?.peers?.map(({ name }) => name) ?? [];
    expect(names({ peer: spec(false) })).to.not.include('r');
    expect(names({ peer: spec(true) })).to.include('r');
    expect(topology({ peer: spec(false), secret: 'x' }).config?.peers?.find(({ name }) => name === 'r')).to.include({
      password: 'x',
    });
  });

  it('gives sessions the hold time of the cluster', () =>
    expect(meshPeer({ configuration: { holdTime: '30s' } })).to.include({ holdTime: 30 }));

  it('narrows the prefixes of a filter, and asks for routes of peers alone', () => {
    const filter: BGPFilterSpec = {
      importV4: [
        {
          action: 'Accept',
          cidr: '10.0.0.0/8',
          matchOperator: 'In',
          prefixLength: { min: 16, max: 24 },
          source: 'RemotePeers',
        },
      ],
    };
    const { config } = topology({ filter, peer: { ...router, filters: ['f'] } });
    const matches = Object.values(config?.filters ?? {}).flatMap(({ rules }) => rules.map(({ match }) => match));
    expect(matches).to.deep.include({
      prefixes: [{ prefix: '10.0.0.0/8', minLength: 16, maxLength: 24 }],
      source: ['ebgp', 'ibgp'],
    });
  });
});
