import { expect } from 'chai';
import { validateConfig } from 'node-bgp/config/validate';
import type { BGPConfigurationSpec, BGPFilterSpec, BGPPeerSpec } from '../../src/api/bgp.js';
import type { IPPoolSpec } from '../../src/api/ipam.js';
import { topologyOf, type Topology, type TopologyInput } from '../../src/topology/speaker-config.js';

interface World {
  readonly configuration?: BGPConfigurationSpec;
  readonly peers?: Readonly<Record<string, BGPPeerSpec>>;
  readonly filters?: Readonly<Record<string, BGPFilterSpec>>;
  readonly pools?: Readonly<Record<string, IPPoolSpec>>;
  readonly annotations?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
  readonly loopback?: readonly string[];
}

const named = <T>(specs: Readonly<Record<string, T>> = {}): { metadata: { name: string }; spec: T }[] =>
  Object.entries(specs).map(([name, spec]) => ({ metadata: { name }, spec }));

/** Node n has 10.0.0.n and fd00::n and the label rack=n; selectors of this test are "key=value". */
function topology(nodeName: string, world: World): Topology {
  const nodes = [1, 2, 3].map((n) => ({
    metadata: { name: `node${n}`, labels: { rack: String(n) }, annotations: world.annotations?.[`node${n}`] ?? {} },
    status: {
      addresses: (world.addresses?.[`node${n}`] ?? [`10.0.0.${n}`, `fd00::${n}`]).map((address) => ({
        type: 'InternalIP' as const,
        address,
      })),
    },
  }));
  const input: TopologyInput = {
    nodeName,
    nodes,
    bgpConfigurations: world.configuration === undefined ? [] : named({ default: world.configuration }),
    bgpPeers: named(world.peers),
    bgpFilters: named(world.filters),
    ipPools: named(world.pools),
    blocks: [
      { cidr: '10.65.0.0/26', pool: 'v4' },
      { cidr: 'fd00:65::/122', pool: 'v6' },
    ],
    loopbackAddresses: new Set(world.loopback ?? []),
    secret: (name, key) => world.secrets?.[`${name}/${key}`],
    secretNamespace: 'tortie-system',
    matches: (selector, labels) => {
      const [key = '', value] = selector.split('=');
      if (value === undefined) throw new Error(`Cannot parse the selector "${selector}"`);
      return labels.get(key) === value;
    },
  };
  return topologyOf(input);
}

const peersOf = (
  result: Topology,
): readonly (readonly [string | undefined, string | undefined, number | string, readonly string[]])[] =>
  (result.config?.peers ?? []).map((peer) => [peer.name, peer.address, peer.remoteAs, peer.export ?? []]);
const messages = (result: Topology): string =>
  result.problems.map(({ resource, message }) => `${resource} ${message}`).join('\n');

describe('topology', () => {
  it('meshes all nodes by default, one session a family', () => {
    const result = topology('node1', {});
    expect(result.config).to.include({ localAs: 64512, routerId: '10.0.0.1', installRoutes: true });
    expect(peersOf(result)).to.deep.equal([
      ['mesh-node2-v4', '10.0.0.2', 64512, ['tortie-export-mesh']],
      ['mesh-node2-v6', 'fd00::2', 64512, ['tortie-export-mesh']],
      ['mesh-node3-v4', '10.0.0.3', 64512, ['tortie-export-mesh']],
      ['mesh-node3-v6', 'fd00::3', 64512, ['tortie-export-mesh']],
    ]);
    expect(result.config?.peers?.[0]).to.deep.include({ localAddress: '10.0.0.1', families: ['ipv4'] });
    expect(result.problems).to.deep.equal([]);
  });

  it('names the same of several silent pools around a service range, in whatever order they come', () => {
    const pool = { cidr: '198.51.100.0/24', disableBGPExport: true };
    const texts = [
      { a: pool, b: pool },
      { b: pool, a: pool },
    ].map((pools) =>
      messages(
        topology('node1', { pools, configuration: { serviceLoadBalancerIPs: [{ cidr: '198.51.100.128/25' }] } }),
      ),
    );
    expect(texts[0]).to.deep.equal(texts[1]);
  });

  it('names a service range that a pool with disableBGPExport keeps silent', () => {
    const result = topology('node1', {
      pools: { lb: { cidr: '198.51.100.0/24', disableBGPExport: true } },
      configuration: { serviceLoadBalancerIPs: [{ cidr: '198.51.100.128/25' }] },
    });
    expect(result.config?.originate?.map(({ prefix }) => prefix)).to.not.include('198.51.100.128/25');
    expect(messages(result)).to.include(
      'spec.serviceLoadBalancerIPs[0].cidr is "198.51.100.128/25", in IPPool "lb" with disableBGPExport; left out',
    );
  });

  it('waits for its own node, and says so', () => {
    const result = topology('node9', {});
    expect(result.config).to.equal(undefined);
    expect(messages(result)).to.equal('Node/node9 the API server has no such node yet');
  });

  it('originates blocks, service ranges, and a node address that only the loopback has', () => {
    const result = topology('node1', {
      loopback: ['10.0.0.1'],
      pools: { v6: { cidr: 'fd00:65::/48', disableBGPExport: true } },
      configuration: {
        serviceClusterIPs: [{ cidr: '10.96.0.0/12' }, { cidr: 'rubbish' }],
        communities: [{ name: 'pods', value: '64512:7' }],
        prefixAdvertisements: [{ cidr: '10.65.0.0/16', communities: ['pods', '64512:1:2', 'unknown'] }],
      },
    });
    expect(result.config?.originate).to.deep.equal([
      { prefix: '10.65.0.0/26', tags: ['block'], communities: ['64512:7', '64512:1:2'] },
      { prefix: '10.0.0.1/32', tags: ['node'] },
      { prefix: '10.96.0.0/12', tags: ['service'] },
    ]);
    expect(messages(result))
      .to.include('BGPConfiguration/default spec.serviceClusterIPs[1].cidr is "rubbish"; expected CIDR notation')
      .and.to.include('spec.prefixAdvertisements[0].communities[2] is "unknown"; expected a value');
  });

  it('peers with the routers of this node only, as each resource says', () => {
    const result = topology('node2', {
      configuration: { nodeToNodeMeshEnabled: false, holdTime: '9s', asNumber: '1.10' },
      peers: {
        all: { peerIP: '192.0.2.9', asNumber: 65001 },
        mine: {
          node: 'node2',
          peerIP: '[2001:db8::1]:1179',
          asNumber: 65002,
          sourceAddress: 'None',
          numAllowedLocalASNumbers: 1,
          holdTime: '1m',
          nextHopMode: 'Keep',
        },
        other: { node: 'node1', peerIP: '192.0.2.10', asNumber: 65001 },
        rack: {
          nodeSelector: 'rack=2',
          peerIP: '192.0.2.11:2179',
          asNumber: '65002',
          password: { secretKeyRef: { name: 's', key: 'k' } },
        },
      },
      secrets: { 's/k': 'sesame' },
    });
    expect(messages(result)).to.equal('');
    expect(result.config?.localAs).to.equal(65546);
    // bgpd closes external sessions without filters (RFC 8212); a BGPPeer without BGPFilters is open, as in Calico.
    expect(result.config?.requirePolicy).to.equal(false);
    expect(result.config?.peers).to.deep.equal([
      {
        name: 'all',
        address: '192.0.2.9',
        remoteAs: 65001,
        localAddress: '10.0.0.2',
        families: ['ipv4'],
        holdTime: 9,
        export: ['tortie-handed-on', 'tortie-export-peers'],
      },
      {
        name: 'mine',
        address: '2001:db8::1',
        port: 1179,
        remoteAs: 65002,
        families: ['ipv6'],
        holdTime: 60,
        allowLocalAs: 1,
        nextHopUnchanged: true,
        export: ['tortie-handed-on', 'tortie-export-peers'],
      },
      {
        name: 'rack',
        address: '192.0.2.11',
        port: 2179,
        remoteAs: 65002,
        localAddress: '10.0.0.2',
        families: ['ipv4'],
        holdTime: 9,
        password: 'sesame',
        export: ['tortie-handed-on', 'tortie-export-peers'],
      },
    ]);
  });

  it('takes keepaliveTime and maxRestartTime of a BGPPeer, and names values that no session can have', () => {
    const result = topology('node1', {
      configuration: { nodeToNodeMeshEnabled: false },
      peers: {
        good: { peerIP: '192.0.2.1', asNumber: 65001, keepaliveTime: '5s', maxRestartTime: '2m30s' },
        wrong: { peerIP: '192.0.2.2', asNumber: 65001, keepaliveTime: '0s', maxRestartTime: '2h' },
      },
    });
    expect(
      result.config?.peers?.map(({ name, keepaliveTime, gracefulRestartTime }) => [
        name,
        keepaliveTime,
        gracefulRestartTime,
      ]),
    ).to.deep.equal([
      ['good', 5, 150],
      ['wrong', undefined, undefined],
    ]);
    expect(messages(result))
      .to.include(
        'BGPPeer/wrong spec.keepaliveTime is "0s"; expected a number of seconds from 1 to 21845; using a third',
      )
      .and.to.include('BGPPeer/wrong spec.maxRestartTime is "2h"; expected a number of seconds from 0 to 4095');
  });

  it('never asks for what a speaker refuses together, which would cost the node all its peers', () => {
    const result = topology('node1', {
      configuration: { nodeToNodeMeshEnabled: false },
      peers: {
        both: { peerIP: '192.0.2.1', asNumber: 65001, ttlSecurity: 255, multihop: 3 },
        internal: { peerIP: '192.0.2.2', asNumber: 64512, multihop: 3 },
        hops: { peerIP: '192.0.2.3', asNumber: 65001, nextHopMode: 'Self', keepOriginalNextHop: true },
        nodes: { peerSelector: 'rack == "2"', ttlSecurity: 4, nodeSelector: 'all()' },
      },
    });
    const { config } = result;
    expect(validateConfig(config)).to.deep.include({ type: 'valid' });
    const shown = (config?.peers ?? []).map(({ name, multihop, ttlSecurityHops, nextHopSelf, nextHopUnchanged }) => ({
      name,
      multihop,
      ttlSecurityHops,
      nextHopSelf,
      nextHopUnchanged,
    }));
    const nothing = {
      multihop: undefined,
      ttlSecurityHops: undefined,
      nextHopSelf: undefined,
      nextHopUnchanged: undefined,
    };
    expect(shown.slice(0, 3)).to.deep.equal([
      { ...nothing, name: 'both', ttlSecurityHops: 254 },
      { ...nothing, name: 'hops', nextHopSelf: true },
      { ...nothing, name: 'internal' },
    ]);
    expect(messages(result)).to.include(
      'BGPPeer/both spec.multihop is 3 beside spec.ttlSecurity 255, which already says how far the peer is; going by spec.ttlSecurity',
    );
  });

  const wrong: readonly (readonly [string, BGPPeerSpec, string])[] = [
    ['a bad address', { peerIP: '192.0.2', asNumber: 65001 }, 'spec.peerIP is "192.0.2"; expected an address'],
    ['a bad AS', { peerIP: '192.0.2.1', asNumber: 0 }, 'spec.asNumber is "0"; expected an AS number from 1'],
    ['AS_TRANS', { peerIP: '192.0.2.1', asNumber: 23456 }, 'spec.asNumber is "23456"'],
    [
      'a missing password',
      { peerIP: '192.0.2.1', asNumber: 1, password: { secretKeyRef: { name: 's', key: 'gone' } } },
      'spec.password.secretKeyRef names key "gone" of secret "tortie-system/s"; expected that secret',
    ],
    [
      'a bad selector',
      { peerIP: '192.0.2.1', asNumber: 1, nodeSelector: '((' },
      'spec.nodeSelector is "((": Cannot parse the selector',
    ],
  ];
  for (const [what, spec, sentence] of wrong)
    it(`leaves out a peer with ${what}, names it and keeps the others`, () => {
      const result = topology('node1', {
        configuration: { nodeToNodeMeshEnabled: false },
        peers: { bad: spec, good: { peerIP: '192.0.2.2', asNumber: 65001 } },
      });
      expect(messages(result)).to.include(`BGPPeer/bad ${sentence}`);
      expect(peersOf(result).map(([name]) => name)).to.deep.equal(['good']);
    });

  it('gives one router one session however many resources ask', () => {
    const result = topology('node1', {
      configuration: { nodeToNodeMeshEnabled: false },
      peers: { a: { peerIP: '192.0.2.2', asNumber: 1 }, b: { peerIP: '192.0.2.2', asNumber: 2 } },
    });
    expect(peersOf(result).map(([name]) => name)).to.deep.equal(['a']);
    expect(messages(result)).to.equal(
      'BGPPeer/b spec.peerIP asks for a session with 192.0.2.2, which BGPPeer/a has; expected one to an address and port; left out',
    );
  });

  it('keeps a reflector out of the mesh and peers it with its clients from both ends', () => {
    const world: World = {
      annotations: { node1: { 'projectcalico.org/RouteReflectorClusterID': '10.255.0.1' } },
      configuration: { nodeToNodeMeshEnabled: false },
      peers: { rr: { nodeSelector: 'rack=2', peerSelector: 'rack=1' } },
      pools: { v4: { cidr: '10.65.0.0/16' } },
    };
    const reflector = topology('node1', world);
    expect(peersOf(reflector)).to.deep.equal([
      ['rr-node2-v4', '10.0.0.2', 64512, ['tortie-export-clients']],
      ['rr-node2-v6', 'fd00::2', 64512, ['tortie-export-clients']],
    ]);
    expect(reflector.config?.peers?.every((peer) => peer.routeReflectorClient)).to.equal(true);
    expect([reflector.config?.clusterId, topology('node2', world).config?.clusterId]).to.deep.equal([
      '10.255.0.1',
      undefined,
    ]);
    expect(peersOf(topology('node2', world)).map(([name]) => name)).to.deep.equal(['rr-node1-v4', 'rr-node1-v6']);
    expect(peersOf(topology('node3', world))).to.deep.equal([]);
  });

  it('names a node that has the address of this one', () => {
    const result = topology('node1', { addresses: { node1: ['10.0.0.1'], node2: ['10.0.0.1'] } });
    expect(messages(result)).to.include('Node/node2 has the address 10.0.0.1 of node "node1"');
  });

  it('asks the filters of users first, then our own, which lets through nothing that is not ours', () => {
    const result = topology('node1', {
      configuration: { nodeToNodeMeshEnabled: false },
      peers: { tor: { peerIP: '192.0.2.2', asNumber: 65001, filters: ['f'] } },
      filters: {
        f: {
          exportV4: [
            {
              cidr: '10.65.0.0/16',
              matchOperator: 'In',
              prefixLength: { min: 26, max: 26 },
              action: 'Accept',
              operations: [{ addCommunity: { value: '64512:9' } }],
            },
            { cidr: '10.0.0.0/8', matchOperator: 'NotIn', action: 'Reject' },
          ],
        },
      },
    });
    const [tor] = result.config?.peers ?? [];
    expect(tor?.import).to.deep.equal(['f-import-v4']);
    expect(tor?.export).to.deep.equal(['tortie-handed-on', 'f-export-v4', 'tortie-export-peers']);
    expect(result.config?.filters?.['f-export-v4']?.rules).to.deep.equal([
      {
        name: 'BGPFilter/f exportV4[0]',
        match: { prefixes: [{ prefix: '10.65.0.0/16', minLength: 26, maxLength: 26 }] },
        action: 'accept',
        set: { addCommunities: ['64512:9'] },
      },
      {
        name: 'BGPFilter/f exportV4[1]',
        match: { prefixes: [{ prefix: '10.0.0.0/8', minLength: 8, maxLength: 32, not: true }] },
        action: 'reject',
      },
    ]);
    expect(result.config?.filters?.['tortie-export-peers']).to.deep.equal({
      rules: [{ name: 'ours', match: { source: ['local'] }, action: 'accept' }],
      default: 'reject',
    });
  });

  it("tells routers of other nodes' blocks as a second choice, whatever filter lets them out", () => {
    const result = topology('node1', {
      peers: { tor: { peerIP: '192.0.2.2', asNumber: 65001, filters: ['f'] } },
      filters: { f: { exportV4: [{ action: 'Accept' }] } },
    });
    const [first = ''] = result.config?.peers?.find(({ name }) => name === 'tor')?.export ?? [];
    expect(result.config?.filters?.[first]).to.deep.equal({
      rules: [{ name: "other nodes' routes", match: { source: ['ibgp'] }, set: { med: 100 }, action: 'next' }],
      default: 'next',
    });
  });

  it('rejects everything from a rule on that it does not understand', () => {
    const result = topology('node1', {
      peers: { tor: { peerIP: '192.0.2.2', asNumber: 65001, filters: ['f'] } },
      filters: { f: { importV4: [{ cidr: 'fd00::/8', action: 'Accept' }, { action: 'Accept' }] } },
    });
    expect(result.config?.filters?.['f-import-v4']?.rules.map((rule) => rule.action)).to.deep.equal(['reject']);
    expect(messages(result)).to.include('BGPFilter/f spec.importV4[0].cidr is "fd00::/8"; expected an IPv4 CIDR');
  });
});
