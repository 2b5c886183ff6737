/** BGPPeer's and BGPConfiguration's fields, one by one: what the speaker and the kernel are told of each, and what is refused. */
import { expect } from 'chai';
import type { AddressedPeerConfig, PeerConfig } from 'node-bgp/config';
import { validateConfig } from 'node-bgp/config/validate';
import type { BGPConfigurationSpec, BGPFilterSpec, BGPPeerSpec } from '../../src/api/bgp.js';
import { selectorMatches } from '../../src/agent/node-selector.js';
import type { LocalWorkload, NodeLink } from '../../src/topology/node-side.js';
import { topologyOf, type Topology } from '../../src/topology/speaker-config.js';

interface World {
  readonly default?: BGPConfigurationSpec;
  readonly node2?: BGPConfigurationSpec;
  readonly node1?: BGPConfigurationSpec;
  readonly peers?: Readonly<Record<string, BGPPeerSpec>>;
  readonly links?: readonly NodeLink[];
  readonly workloads?: readonly LocalWorkload[];
  readonly self?: string;
  readonly filters?: Readonly<Record<string, BGPFilterSpec>>;
}

/** node1 to node3 at 10.0.0.n and fd00::n, labelled rack=n; node1 computes. */
function topology(world: World): Topology {
  const named = <T>(specs: Readonly<Record<string, T | undefined>>): { metadata: { name: string }; spec: T }[] =>
    Object.entries(specs).flatMap(([name, spec]) => (spec === undefined ? [] : [{ metadata: { name }, spec }]));
  const result = topologyOf({
    nodeName: world.self ?? 'node1',
    nodes: [1, 2, 3].map((n) => ({
      metadata: { name: `node${n}`, labels: { rack: String(n) } },
      status: { addresses: [`10.0.0.${n}`, `fd00::${n}`].map((address) => ({ type: 'InternalIP' as const, address })) },
    })),
    bgpConfigurations: named({ default: world.default, 'node.node1': world.node1, 'node.node2': world.node2 }),
    bgpPeers: named(world.peers ?? {}),
    bgpFilters: named<BGPFilterSpec>({ f: {}, ...world.filters }),
    ipPools: [],
    blocks: [],
    loopbackAddresses: new Set(),
    ...(world.links === undefined ? {} : { links: world.links }),
    ...(world.workloads === undefined ? {} : { workloads: world.workloads }),
    secret: () => undefined,
    secretNamespace: 'tortie-system',
    matches: selectorMatches,
  });
  expect(validateConfig(result.config).type).to.equal('valid');
  return result;
}

const peer = (result: Topology, name: string): PeerConfig | undefined =>
  result.config?.peers?.find((each) => each.name === name);
const sentences = (result: Topology): readonly string[] =>
  result.problems.map(({ resource, message }) => `${resource} ${message}`);
const router = (spec: BGPPeerSpec, more: World = {}): Topology =>
  topology({ ...more, peers: { r: { peerIP: '192.0.2.1', asNumber: 65001, ...spec } } });

describe('topology fields', () => {
  describe('BFD', () => {
    const on = { transmitInterval: 300, receiveInterval: 300, multiplier: 3 };
    for (const [title, settings, expected] of [
      ['an empty object turns it on', {}, on],
      ['enabled: false does not', { enabled: false, multiplier: 5 }, undefined],
      [
        'its own timers',
        { intervalMilliseconds: 50, multiplier: 5 },
        { transmitInterval: 50, receiveInterval: 50, multiplier: 5 },
      ],
    ] as const)
      it(`of a peer and of the mesh: ${title}`, () => {
        expect(peer(router({ bfd: settings }), 'r')?.bfd).to.deep.equal(expected);
        const mesh = topology({ default: { nodeMeshBfd: settings } });
        expect(mesh.config?.peers?.map(({ bfd }) => bfd)).to.deep.equal([expected, expected, expected, expected]);
      });

    it('also between nodes that a selector chooses', () => {
      const result = topology({ peers: { rr: { nodeSelector: 'all()', peerSelector: 'rack == "2"', bfd: {} } } });
      expect(peer(result, 'rr-node2-v4')?.bfd).to.deep.equal(on);
      expect(peer(result, 'mesh-node3-v4')?.bfd).to.equal(undefined);
    });

    it('goes on without it, and says so, where a value cannot be', () => {
      const result = router({ bfd: { intervalMilliseconds: 5 } });
      expect(peer(result, 'r')).to.not.have.property('bfd');
      expect(sentences(result).join()).to.match(/^BGPPeer\/r spec\.bfd is .*going on without BFD/);
    });
  });

  it("takes nodeMeshMaxRestartTime for the mesh alone, and maxRestartTime for the peer's own", () => {
    const world = {
      default: { nodeMeshMaxRestartTime: '200s' },
      peers: { a: { peerIP: '192.0.2.1', asNumber: 65001 } },
    };
    const result = topology(world);
    expect([peer(result, 'mesh-node2-v4'), peer(result, 'a')].map((each) => each?.gracefulRestartTime)).to.deep.equal([
      200,
      undefined,
    ]);
    expect(result.config).to.not.have.property('gracefulRestartTime');
    const wrong = topology({ default: { nodeMeshMaxRestartTime: '5000s' } });
    expect(peer(wrong, 'mesh-node2-v4')).to.not.have.property('gracefulRestartTime');
    expect(sentences(wrong)[0]).to.match(
      /^BGPConfiguration\/default spec\.nodeMeshMaxRestartTime is "5000s"; expected .*using 120s$/,
    );
  });

  it('shows a peer with localASNumber that AS alone', () => {
    expect(peer(router({ localASNumber: '1.10' }), 'r')).to.include({ localAs: 65546, localAsOnly: true });
    expect(peer(router({}), 'r')).to.not.have.property('localAsOnly');
    // Its own AS: an internal session.
    const internal = peer(router({ localASNumber: 65001 }, { links: [] }), 'r');
    expect(internal).to.include({ localAs: 65001, remoteAs: 65001 }).and.not.have.property('multihop');
  });

  it('takes as many own AS numbers in a path as Calico does', () => {
    expect(peer(router({ numAllowedLocalASNumbers: 255 }), 'r')?.allowLocalAs).to.equal(255);
    expect(sentences(router({ numAllowedLocalASNumbers: 256 }))[0]).to.match(/spec\.numAllowedLocalASNumbers is "256"/);
  });

  describe('distance', () => {
    const links: readonly NodeLink[] = [
      { name: 'eth0', prefixes: ['192.0.2.0/31', '2001:db8::/64'] },
      { name: 'docker0', prefixes: ['198.51.100.0/24'] },
    ];
    const distance = (spec: BGPPeerSpec, more: World = {}): unknown => {
      const found = peer(router(spec, { links, ...more }), 'r') as AddressedPeerConfig | undefined;
      return found?.multihop ?? found?.ttlSecurityHops;
    };

    it('is the link for a peer on one, in both families, and any for one behind a router', () => {
      expect(distance({})).to.equal(undefined);
      expect(distance({ peerIP: '2001:db8::9' })).to.equal(undefined);
      expect(distance({ peerIP: 'fe80::1%eth0' })).to.equal(undefined);
      expect(distance({ peerIP: '192.0.2.2' })).to.equal(255);
      expect(distance({ peerIP: '2001:db8:1::9' })).to.equal(255);
    });

    it('is any for a peer on an ignored interface', () => {
      expect(distance({ peerIP: '198.51.100.7' })).to.equal(undefined);
      expect(distance({ peerIP: '198.51.100.7' }, { default: { ignoredInterfaces: ['docker*'] } })).to.equal(255);
    });

    it('is what the resource says, where it says', () => {
      expect(distance({ multihop: 3 })).to.equal(3);
      expect(distance({ peerIP: '192.0.2.2', multihop: 3 })).to.equal(3);
      expect(distance({ peerIP: '192.0.2.2', ttlSecurity: 4 })).to.equal(4);
      expect(distance({ peerIP: '192.0.2.2', ttlSecurity: 255 })).to.equal(254);
    });

    it('is never asked of a peer of our own AS', () => {
      expect(distance({ peerIP: '192.0.2.2', asNumber: 64512 })).to.equal(undefined);
    });
  });

  describe('reachableBy', () => {
    it('is a host route through the gateway, in both families', () => {
      for (const [peerIP, reachableBy] of [
        ['192.0.2.1', '10.1.1.2'],
        ['[2001:db8::1]:1790', 'fd00:1::2'],
      ] as const)
        expect(router({ peerIP, reachableBy }).gateways).to.deep.equal([
          {
            address: peerIP.replace(/[[\]]|:1790$/g, ''),
            gateway: reachableBy,
            field: 'BGPPeer/r spec.reachableBy',
          },
        ]);
    });

    for (const [title, reachableBy, expected] of [
      ['of the other family', 'fd00:1::2', 'expected an IPv4 address, as spec.peerIP is'],
      ['that is none', 'tor1', 'expected an IPv4 address, as spec.peerIP is'],
      ['that is this node', '10.0.0.1', 'expected the address of another machine'],
      ['that is the peer itself', '192.0.2.1', "expected another address than the peer's own"],
      ['that is nobody', '0.0.0.1', 'expected the address of a host'],
      ['that is everybody', '255.255.255.255', 'expected the address of a host'],
      ['on loopback', '127.0.0.2', 'expected the address of a host'],
    ] as const)
      it(`names a gateway ${title}, and keeps the session`, () => {
        const result = router({ reachableBy });
        expect(result.gateways).to.deep.equal([]);
        expect(peer(result, 'r')?.address).to.equal('192.0.2.1');
        expect(sentences(result)).to.deep.equal([
          `BGPPeer/r spec.reachableBy is "${reachableBy}"; ${expected}; no route is kept`,
        ]);
      });

    it('is nothing for other nodes, and one route for two ports of one router', () => {
      expect(router({ node: 'node2', reachableBy: '10.1.1.2' }).gateways).to.deep.equal([]);
      const result = topology({
        peers: {
          a: { peerIP: '192.0.2.1', asNumber: 65001, reachableBy: '10.1.1.2' },
          b: { peerIP: '192.0.2.1:1790', asNumber: 65001, reachableBy: '10.1.1.3' },
        },
      });
      expect(result.gateways.map(({ gateway }) => gateway)).to.deep.equal(['10.1.1.2']);
    });
  });

  describe('the daemon', () => {
    it('logs as logSeverityScreen says, in any case, and for this node as its own resource says', () => {
      for (const [text, level] of [
        ['Trace', 'trace'],
        ['debug', 'debug'],
        ['Info', 'info'],
        ['WARNING', 'warn'],
        ['Error', 'error'],
        ['Fatal', 'fatal'],
        ['', undefined],
      ] as const)
        expect(topology({ default: { logSeverityScreen: text } }).config?.logLevel, text).to.equal(level);
      const own = topology({ default: { logSeverityScreen: 'Info' }, node1: { logSeverityScreen: 'Debug' } });
      expect(own.config?.logLevel).to.equal('debug');
      const wrong = topology({ default: { logSeverityScreen: 'loud' } });
      expect(wrong.config).to.not.have.property('logLevel');
      expect(sentences(wrong)[0]).to.match(/spec\.logSeverityScreen is "loud"; expected one of Trace/);
    });

    it('gives routes without a priority the metric, and filters the number, of the normal one', () => {
      const rules = (priority: number, configuration: BGPConfigurationSpec): unknown => {
        const rule = { action: 'Accept' as const, priority };
        const result = topology({
          default: configuration,
          peers: { r: { peerIP: '192.0.2.1', asNumber: 65001, filters: ['p'] } },
          filters: { p: { importV4: [rule] } },
        });
        const { kernelMetric, kernelMetricIpv6, filters } = result.config ?? {};
        return [
          kernelMetric,
          kernelMetricIpv6,
          filters?.['p-import-v4']?.rules.map(({ match }) => match?.kernelMetric),
        ];
      };
      expect(rules(1024, {})).to.deep.equal([undefined, undefined, [1024, 'none']]);
      expect(rules(512, {})).to.deep.equal([undefined, undefined, [512]]);
      expect(rules(512, { ipv4NormalRoutePriority: 512 })).to.deep.equal([512, undefined, [512, 'none']]);
      expect(rules(1024, { ipv4NormalRoutePriority: 512, ipv6NormalRoutePriority: 99 })).to.deep.equal([
        512,
        99,
        [1024],
      ]);
    });

    it('ignores the interfaces that it can name, and says which it cannot', () => {
      const odd = topology({ default: { ignoredInterfaces: ['', '*', 'eth[0-9]'] } });
      expect(odd.config).to.not.have.property('ignoredInterfaces');
      expect(sentences(odd)).to.have.length(3);
      const result = topology({ default: { ignoredInterfaces: ['docker*', 'a b', 'kube-ipvs?'] } });
      expect(result.config?.ignoredInterfaces).to.deep.equal(['docker*', 'kube-ipvs?']);
      expect(sentences(result)).to.have.length(1);
      expect(sentences(result)[0]).to.match(
        /^BGPConfiguration\/default spec\.ignoredInterfaces\[1\] is "a b"; expected/,
      );
      expect(topology({ default: { ignoredInterfaces: [] } }).config).to.not.have.property('ignoredInterfaces');
    });
  });

  describe('nodes', () => {
    const portOf = (result: Topology, name: string): number | undefined => peer(result, name)?.port;

    it('are dialled on the port of their own node.NAME resource', () => {
      const result = topology({ default: { listenPort: 178 }, node2: { listenPort: 1790 } });
      expect([portOf(result, 'mesh-node2-v4'), portOf(result, 'mesh-node3-v4')]).to.deep.equal([1790, 178]);
      expect(
        topology({ node2: { listenPort: 1790 }, self: 'node2' }).config?.listen?.map(({ port }) => port),
      ).to.deep.equal([1790, 1790]);
    });

    describe('keep what a mesh has to agree on, whatever node.NAME says:', () => {
      const shared: BGPConfigurationSpec = {
        nodeToNodeMeshEnabled: true,
        asNumber: 64600,
        nodeMeshMaxRestartTime: '200s',
        nodeMeshBfd: {},
      };
      for (const [spec, value] of [
        [{ nodeToNodeMeshEnabled: false }, 'false'],
        [{ asNumber: 65001 }, '65001'],
        [{ nodeMeshPassword: { secretKeyRef: { name: 's', key: 'k' } } }, '{"secretKeyRef":{"name":"s","key":"k"}}'],
        [{ nodeMeshMaxRestartTime: '10s' }, '10s'],
        [{ nodeMeshBfd: { enabled: false } }, '{"enabled":false}'],
      ] as const satisfies readonly (readonly [BGPConfigurationSpec, string])[]) {
        const [field = ''] = Object.keys(spec);
        it(field, () => {
          for (const byDefault of [{}, shared]) {
            const expected = topology({ default: { ...byDefault, listenPort: 1790 } });
            const result = topology({ default: byDefault, node1: { ...spec, listenPort: 1790 } });
            // Others dial the port of each node.
            expect(result.config?.listen).to.deep.equal(expected.config?.listen);
            const mesh = ({ config }: Topology): unknown => [
              config?.localAs,
              config?.peers?.map(({ port: _, ...each }) => each),
            ];
            expect(mesh(result)).to.deep.equal(mesh(expected));
            expect(result.config?.peers).to.have.length(4);
            expect(result.problems.map(({ severity }) => severity)).to.deep.equal(['problem']);
            expect(sentences(result)).to.deep.equal([
              `BGPConfiguration/node.node1 spec.${field} is "${value}"; expected in BGPConfiguration/default alone, ` +
                'as both ends of a session have to agree; left out',
            ]);
          }
          expect(sentences(topology({ node2: spec })), 'told by the node it names').to.deep.equal([]);
        });
      }
    });

    it("take what an API server fills into node.NAME for nobody's wish", () => {
      const world = {
        default: { serviceLoadBalancerAggregation: 'Disabled' as const, logSeverityScreen: 'Error' as const },
        node1: { serviceLoadBalancerAggregation: 'Enabled' as const, logSeverityScreen: 'Info' as const },
      };
      const ranges = { serviceLoadBalancerIPs: [{ cidr: '198.51.100.0/24' }] };
      const result = topology({ ...world, default: { ...world.default, ...ranges } });
      expect(result.config?.originate ?? []).to.deep.equal([]);
      expect(result.config?.logLevel).to.equal('error');
      const own = topology({ ...world, node1: { logSeverityScreen: 'Debug' } });
      expect(own.config?.logLevel).to.equal('debug');
    });

    it('named by peerIP are dialled on that port too, unless the resource says another or it is no such node', () => {
      const world = { node2: { listenPort: 1790 } };
      const port = (spec: BGPPeerSpec): unknown =>
        portOf(router({ peerIP: '10.0.0.2', asNumber: 64512, ...spec }, world), 'r');
      expect([port({}), port({ peerIP: '10.0.0.2:180' }), port({ asNumber: 65001 })]).to.deep.equal([
        1790,
        180,
        undefined,
      ]);
    });

    it('named by peerIP have sessions back, over its family, unless reversePeering is Manual', () => {
      const names = (spec: BGPPeerSpec, self: string): readonly (string | undefined)[] =>
        (
          router({ asNumber: 64512, ...spec }, { self, default: { nodeToNodeMeshEnabled: false } }).config?.peers ?? []
        ).map(({ name }) => name);
      expect(names({ peerIP: '10.0.0.1' }, 'node2')).to.deep.equal(['r']);
      expect(names({ peerIP: '10.0.0.1' }, 'node1')).to.deep.equal(['r-node2-v4', 'r-node3-v4']);
      expect(names({ peerIP: 'fd00::1', nodeSelector: 'rack == "3"' }, 'node1')).to.deep.equal(['r-node3-v6']);
      expect(names({ peerIP: '10.0.0.1', reversePeering: 'Manual' }, 'node1')).to.deep.equal([]);
      expect(names({ peerIP: '10.0.0.1', asNumber: 65001 }, 'node1')).to.deep.equal([]);
    });
  });

  describe('pods as peers', () => {
    const workload = (name: string, color: string, ...addresses: readonly string[]): LocalWorkload => ({
      name,
      hostInterface: `tort-${name.split('/')[1] ?? ''}`,
      addresses,
      labels: new Map([['color', color]]),
    });
    const workloads = [
      workload('shop/red-0', 'red', '10.65.0.1', 'fd00:65::1'),
      workload('shop/red-1', 'red', '10.65.0.2'),
      workload('shop/blue', 'blue', '10.65.0.3', 'fd00:65::3'),
    ];
    const local = { localWorkloadPeeringIPV4: '169.254.0.179', localWorkloadPeeringIPV6: 'fd12::1' };
    const children = (spec: BGPPeerSpec = {}, configuration: BGPConfigurationSpec = local): Topology =>
      topology({
        default: { nodeToNodeMeshEnabled: false, ...configuration },
        peers: { c: { localWorkloadSelector: 'color == "red"', asNumber: '65401', ...spec } },
        workloads,
      });

    it('are those that the selector selects, each over its own interface and in each of its families', () => {
      const result = children({ filters: ['f'] });
      expect(result.problems).to.deep.equal([]);
      expect(result.config?.peers).to.deep.equal(
        [
          ['c-shop/red-0-v4', '10.65.0.1', '169.254.0.179', 'ipv4', 4],
          ['c-shop/red-0-v6', 'fd00:65::1', 'fd12::1', 'ipv6', 6],
          ['c-shop/red-1-v4', '10.65.0.2', '169.254.0.179', 'ipv4', 4],
        ].map(([name, address, localAddress, family, version]) => ({
          name,
          address,
          remoteAs: 65401,
          localAddress,
          families: [family],
          import: [`f-import-v${version}`],
          export: ['tortie-handed-on', `f-export-v${version}`, 'tortie-export-peers'],
          multihop: 255,
        })),
      );
      expect(result.peering).to.deep.equal([
        { hostInterface: 'tort-red-0', address: '169.254.0.179' },
        { hostInterface: 'tort-red-0', address: 'fd12::1' },
        { hostInterface: 'tort-red-1', address: '169.254.0.179' },
      ]);
    });

    it('are listened to where they find the node, also with bindMode NodeIP', () => {
      expect(
        children({}, { ...local, bindMode: 'NodeIP' }).config?.listen?.map(({ address }) => address),
      ).to.deep.equal(['10.0.0.1', 'fd00::1', '169.254.0.179', 'fd12::1']);
    });

    it('are nobody on a node that the resource is not for', () => {
      expect(children({ nodeSelector: 'rack == "2"' }).config?.peers).to.deep.equal([]);
      expect(children({ node: 'node1' }).config?.peers).to.have.length(3);
    });

    it('have the fields of other peers, and the least that GTSM can ask for', () => {
      const found = children({ ttlSecurity: 1, passive: true, localASNumber: 65500, keepaliveTime: '10s' }).config
        ?.peers?.[0];
      expect(found).to.include({
        ttlSecurityHops: 2,
        passive: true,
        localAs: 65500,
        localAsOnly: true,
        keepaliveTime: 10,
      });
    });

    for (const [title, spec, configuration, sentence] of [
      [
        'no address to find the node at',
        {},
        {},
        /^BGPPeer\/c spec\.localWorkloadSelector is .*; expected BGPConfiguration\/default with spec\.localWorkloadPeeringIPV4 or/,
      ],
      [
        'a selector that is none',
        { localWorkloadSelector: 'color ==' },
        local,
        /^BGPPeer\/c spec\.localWorkloadSelector is "color =="/,
      ],
      [
        'a peerIP beside it',
        { peerIP: '192.0.2.1' },
        local,
        /^BGPPeer\/c spec\.peerIP stands beside spec\.localWorkloadSelector/,
      ],
      ['no AS', { asNumber: undefined as unknown as string }, local, /^BGPPeer\/c spec\.asNumber is ""; expected/],
      [
        'an address of the other family',
        {},
        { localWorkloadPeeringIPV4: 'fd12::1' },
        /spec\.localWorkloadPeeringIPV4 is "fd12::1"; expected an IPv4 address of a host/,
      ],
      [
        'a link-local IPv6 address',
        {},
        { localWorkloadPeeringIPV6: 'fe80::179' },
        /spec\.localWorkloadPeeringIPV6 is "fe80::179"; expected an address that is not link-local/,
      ],
      [
        "a node's address",
        {},
        { localWorkloadPeeringIPV4: '10.0.0.2' },
        /spec\.localWorkloadPeeringIPV4 is "10\.0\.0\.2"; expected an address that nobody has; node "node2" has it/,
      ],
    ] as const)
      it(`are told of with ${title}`, () => {
        expect(sentences(children(spec, configuration)).join('\n')).to.match(new RegExp(sentence.source, 'm'));
      });
  });
});
