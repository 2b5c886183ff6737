/**
 * What cannot be is left out and named by its own name; everything else stands. Each row is one thing that users write, or that
 * happens to a cluster, and that a daemon refuses.
 */
import { expect } from 'chai';
import type { FilterConfig, PeerConfig } from 'node-bgp/config';
import { formatProblem, validateConfig } from 'node-bgp/config/validate';
import { compilePolicy } from 'node-bgp/filter/policy';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import { selectorMatches } from '../../src/agent/node-selector.js';
import type { BGPConfigurationSpec, BGPFilterSpec, BGPPeer, BGPPeerSpec } from '../../src/api/bgp.js';
import type { Node } from '../../src/api/core.js';
import type { IPPoolSpec } from '../../src/api/ipam.js';
import type { NodeLink } from '../../src/topology/node-side.js';
import { topologyOf, type Topology } from '../../src/topology/speaker-config.js';

interface World {
  /** With their metadata, in place of peers. */
  readonly bgpPeers?: readonly BGPPeer[];
  readonly links?: readonly NodeLink[];
  readonly self?: string;
  readonly nodes?: readonly Node[];
  readonly configuration?: BGPConfigurationSpec;
  readonly peers?: Readonly<Record<string, BGPPeerSpec>>;
  readonly filters?: Readonly<Record<string, BGPFilterSpec>>;
  readonly pools?: Readonly<Record<string, IPPoolSpec>>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly loopback?: readonly string[];
  readonly heldFilters?: Readonly<Record<string, FilterConfig>>;
}

interface NodeWords {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ready?: 'True' | 'False' | 'Unknown';
  readonly createdAt?: string;
}

const node = (name: string, addresses: readonly string[], more: NodeWords = {}): Node => ({
  metadata: {
    name,
    labels: more.labels ?? {},
    annotations: more.annotations ?? {},
    ...(more.createdAt === undefined ? {} : { creationTimestamp: more.createdAt }),
  },
  status: {
    addresses: addresses.map((address) => ({ type: 'InternalIP' as const, address })),
    ...(more.ready === undefined ? {} : { conditions: [{ type: 'Ready', status: more.ready }] }),
  },
});

const RACK: readonly Node[] = [1, 2, 3].map((n) =>
  node(`node${n}`, [`10.0.0.${n}`, `fd00::${n}`], { ready: 'True', labels: { rack: String(n) } }),
);

/** node1 to node3 at 10.0.0.n and fd00::n, labelled rack=n; node1 computes. Whatever is in the world, the daemon takes the document. */
function topology(world: World): Topology {
  const named = <T>(specs: Readonly<Record<string, T>> = {}): { metadata: { name: string }; spec: T }[] =>
    Object.entries(specs).map(([name, spec]) => ({ metadata: { name }, spec }));
  const result = topologyOf({
    nodeName: world.self ?? 'node1',
    nodes: world.nodes ?? RACK,
    bgpConfigurations: world.configuration === undefined ? [] : named({ default: world.configuration }),
    bgpPeers: world.bgpPeers ?? named(world.peers),
    bgpFilters: named(world.filters),
    ipPools: named(world.pools),
    blocks: [{ cidr: '10.65.0.0/26', pool: 'v4' }],
    loopbackAddresses: new Set(world.loopback ?? ['10.0.0.1', 'fd00::1']),
    ...(world.links === undefined ? {} : { links: world.links }),
    secret: (name, key) => world.secrets?.[`${name}/${key}`],
    secretNamespace: 'tortie-system',
    matches: selectorMatches,
    ...(world.heldFilters === undefined ? {} : { heldFilters: world.heldFilters }),
  });
  if (result.config !== undefined) {
    const validated = validateConfig(result.config);
    expect(validated.type === 'invalid' ? validated.problems.map(formatProblem) : []).to.deep.equal([]);
  }
  return result;
}

const MESH = ['mesh-node2-v4', 'mesh-node2-v6', 'mesh-node3-v4', 'mesh-node3-v6'];
const names = (result: Topology): readonly string[] => result.config?.peers?.map(({ name = '' }) => name) ?? [];
const peer = (result: Topology, name: string): PeerConfig | undefined =>
  result.config?.peers?.find((each) => each.name === name);
const sentences = (result: Topology, severity?: 'problem' | 'notice'): readonly string[] =>
  result.problems
    .filter((each) => severity === undefined || each.severity === severity)
    .map(({ resource, message }) => `${resource} ${message}`);

describe('topology, of what cannot be', () => {
  describe('a node left over with the address of another', () => {
    const stale = (name: string, addresses: readonly string[], more: NodeWords = {}): Node =>
      node(name, [], { annotations: { 'projectcalico.org/IPv4Address': `${addresses[0]}/32` }, ...more });

    it("is left out where it has this node's own address, and told", () => {
      const result = topology({ nodes: [...RACK, stale('node1-old', ['10.0.0.1'])] });
      expect(names(result)).to.deep.equal(MESH);
      expect(sentences(result, 'problem')).to.deep.equal([
        'Node/node1-old has the address 10.0.0.1 of node "node1"; expected an address of its own; no session with it',
      ]);
    });
    for (const [what, nodes] of [
      ['of which nothing is known', [stale('aaa-old', ['10.0.0.1'], { annotations: AS_OF('10.0.0.1', '64999') })]],
      [
        'that is not ready',
        [node('aaa-old', ['10.0.0.1', 'fd00::1'], { ready: 'False', createdAt: '2020-01-01T00:00:00Z' })],
      ],
      ['whose kubelet has gone silent', [node('aaa-old', ['10.0.0.1'], { ready: 'Unknown' })]],
    ] as const)
      it(`never displaces a living node on others: one ${what}`, () => {
        const result = topology({ self: 'node2', nodes: [...nodes, ...RACK] });
        expect(names(result)).to.include.members(['mesh-node1-v4', 'mesh-node3-v4']);
        expect(peer(result, 'mesh-node1-v4')?.remoteAs).to.equal(64512);
        expect(sentences(result, 'problem')).to.deep.equal([]);
        expect(sentences(result, 'notice').join()).to.include('Node/aaa-old has the address 10.0.0.1 of node "node1"');
      });
    it('goes before a younger one of which as little is known', () => {
      const twins = ['2026-02-01', '2026-01-01'].map((day, i) =>
        node(i === 0 ? 'a' : 'b', ['10.0.0.9'], { createdAt: `${day}T00:00:00Z` }),
      );
      expect(names(topology({ nodes: [...RACK, ...twins] })))
        .to.include('mesh-b-v4')
        .and.not.to.include('mesh-a-v4');
    });
    it('has the session of the family that is its own', () => {
      const result = topology({ nodes: [...RACK, node('old', ['10.0.0.2', 'fd00::9'], { ready: 'False' })] });
      expect(names(result)).to.include('mesh-old-v6').and.not.to.include('mesh-old-v4');
    });
  });

  describe('a password that names no secret', () => {
    it('leaves out the peer, which must not come up in the open', () => {
      const result = topology({ peers: { r: { peerIP: '192.0.2.1', asNumber: 65001, password: {} } } });
      expect(names(result)).to.deep.equal(MESH);
      expect(sentences(result, 'problem')).to.deep.equal([
        'BGPPeer/r spec.password has no secretKeyRef; expected the name and key of a secret, or no password at all; ' +
          'left out until it has one',
      ]);
    });
    it('leaves out the mesh', () => {
      const result = topology({ configuration: { nodeMeshPassword: {} } });
      expect(names(result)).to.deep.equal([]);
      expect(sentences(result, 'problem').join()).to.include(
        'BGPConfiguration/default spec.nodeMeshPassword has no secretKeyRef',
      );
    });
  });

  it('tells of an address for sessions with pods while nobody asks for such sessions', () => {
    const configuration = { localWorkloadPeeringIPV4: 'fd12::1', localWorkloadPeeringIPV6: 'foo' };
    expect(sentences(topology({ configuration }), 'problem')).to.deep.equal(
      [
        ['4', 'fd12::1'],
        ['6', 'foo'],
      ].map(
        ([family, value]) =>
          `BGPConfiguration/default spec.localWorkloadPeeringIPV${family} is "${value}"; ` +
          `expected an IPv${family} address of a host; no IPv${family} sessions with pods`,
      ),
    );
  });

  it('keeps the session of the older of two resources, whatever their names', () => {
    const made = (name: string, year: number, asNumber: number): BGPPeer => ({
      metadata: { name, creationTimestamp: `${year}-01-01T00:00:00Z` },
      spec: { peerIP: '192.0.2.1', asNumber },
    });
    const both = [made('a', 2026, 65099), made('z', 2025, 65001)];
    for (const bgpPeers of [both, [...both].reverse()]) {
      const result = topology({ bgpPeers });
      expect(peer(result, 'z')).to.include({ address: '192.0.2.1', remoteAs: 65001 });
      expect(peer(result, 'a')).to.equal(undefined);
      expect(sentences(result, 'problem')).to.deep.equal([
        'BGPPeer/a spec.peerIP asks for a session with 192.0.2.1, which BGPPeer/z has; expected one to an address and port; left out',
      ]);
    }
  });

  describe('two TCP-MD5 keys for one address, of which the kernel has one', () => {
    const secrets = { 'one/k': 'sesame', 'two/k': 'barley' };
    const made = (name: string, year: number, peerIP: string, secret?: string): BGPPeer => ({
      metadata: { name, creationTimestamp: `${year}-01-01T00:00:00Z` },
      spec: {
        peerIP,
        asNumber: 65001,
        ...(secret === undefined ? {} : { password: { secretKeyRef: { name: secret, key: 'k' } } }),
      },
    });

    for (const [family, address, second] of [
      ['IPv4', '192.0.2.1', '192.0.2.1:1790'],
      ['IPv6', '2001:db8::1', '[2001:db8::1]:1790'],
    ] as const)
      it(`${family}: the older resource's holds, in whatever order they come`, () => {
        const both = [made('a', 2026, second, 'two'), made('z', 2025, address, 'one')];
        for (const bgpPeers of [both, [...both].reverse()]) {
          const result = topology({ bgpPeers, secrets });
          expect(peer(result, 'z')).to.include({ address, password: 'sesame' });
          expect(peer(result, 'a')).to.equal(undefined);
          expect(sentences(result)).to.deep.equal([
            `BGPPeer/a spec.password.secretKeyRef gives ${address} another TCP-MD5 key than ` +
              'BGPPeer/z spec.password.secretKeyRef; expected one to an address, whatever its ports; left out',
          ]);
        }
      });

    it('is told of the mesh too, which a resource goes before', () => {
      const result = topology({
        bgpPeers: [made('r', 2026, '10.0.0.2:1790', 'two')],
        configuration: { nodeMeshPassword: { secretKeyRef: { name: 'one', key: 'k' } } },
        secrets,
      });
      expect(names(result)).to.include.members(['r', 'mesh-node2-v6']).and.not.to.include('mesh-node2-v4');
      expect(sentences(result, 'problem')).to.deep.equal([
        'BGPConfiguration/default spec.nodeMeshPassword.secretKeyRef gives 10.0.0.2 another TCP-MD5 key than ' +
          'BGPPeer/r spec.password.secretKeyRef; expected one to an address, whatever its ports; left out',
      ]);
    });

    for (const [what, secret] of [
      ['the same key', 'one'],
      ['no key', undefined],
    ] as const)
      it(`lets a second session have ${what}`, () => {
        const result = topology({
          bgpPeers: [made('a', 2025, '192.0.2.1', 'one'), made('b', 2026, '192.0.2.1:1790', secret)],
          secrets,
        });
        expect(names(result)).to.include.members(['a', 'b']);
        expect(sentences(result)).to.deep.equal([]);
      });
  });

  describe('a BGPFilter with a name that the speaker does not take', () => {
    for (const name of ['läuft', 'with a blank', 'line\nbreak', 'ф'.repeat(100)]) {
      const router = { peerIP: '192.0.2.1', asNumber: 65001, filters: [name] };

      it(`holds all the same: ${JSON.stringify(name).slice(0, 20)}`, () => {
        const result = topology({ peers: { r: router }, filters: { [name]: { exportV4: [{ action: 'Reject' }] } } });
        expect(sentences(result)).to.deep.equal([]);
        const rules = (peer(result, 'r')?.export ?? []).flatMap((each) => result.config?.filters?.[each]?.rules ?? []);
        expect(rules.map((rule) => rule.name)).to.include(`BGPFilter/${name} exportV4[0]`);
      });
      it(`is named in one sentence when it is missing: ${JSON.stringify(name).slice(0, 20)}`, () => {
        const result = topology({ peers: { r: router } });
        expect(peer(result, 'r')).to.include({ address: '192.0.2.1' });
        expect(sentences(result)).to.have.length(1);
        expect(sentences(result, 'problem').join()).to.match(
          /^BGPPeer\/r spec\.filters\[0\] is "(.|\n)*"; expected a BGPFilter of that name; until there is one, no route passes/,
        );
      });
    }
  });

  it('tells that multihop means nothing inside an AS', () => {
    const result = topology({ peers: { r: { peerIP: '192.0.2.1', asNumber: 64512, multihop: 5 } } });
    expect(sentences(result, 'notice').join()).to.include('BGPPeer/r spec.multihop is 5 beside');
    expect(peer(result, 'r')).to.not.have.property('multihop');
  });

  describe('a peer that is the node itself', () => {
    for (const peerIP of ['10.0.0.1', '10.0.0.1:179', 'fd00::1', 'FD00:0::1', '[fd00::1]:179'])
      it(`is left out on that node alone: ${peerIP}`, () => {
        const peers = { rr: { peerIP, asNumber: 64512, reversePeering: 'Manual' as const } };
        const configuration = { nodeToNodeMeshEnabled: false };
        const result = topology({ configuration, peers });
        expect(names(result)).to.deep.equal([]);
        expect(sentences(result, 'notice').join()).to.include(`BGPPeer/rr spec.peerIP is "${peerIP}"`);
        expect(names(topology({ self: 'node2', configuration, peers, loopback: ['10.0.0.2'] }))).to.deep.equal(['rr']);
      });
    const links: readonly NodeLink[] = [
      { name: 'eth0', prefixes: ['10.1.1.2/31'], addresses: ['10.1.1.3', 'fe80::3'] },
      { name: 'eth1', prefixes: ['10.1.2.0/31'], addresses: ['10.1.2.1', 'fe80::4'] },
    ];
    for (const [peerIP, isOwn] of [
      ['10.1.1.3', true],
      ['fe80::3%eth0', true],
      ['127.0.0.1', true],
      ['::1', true],
      ['10.1.1.2', false],
      ['fe80::3%eth1', false],
      ['10.1.1.3:1790', false],
    ] as const)
      it(`is ${isOwn ? '' : 'not '}so at ${peerIP}, of the links of the node`, () => {
        const result = topology({ links, peers: { r: { node: 'node1', peerIP, asNumber: 65001 } } });
        expect(names(result).includes('r')).to.equal(!isOwn);
        const told = `BGPPeer/r spec.peerIP is "${peerIP}", an address of this node itself; no session`;
        expect(sentences(result, 'problem')).to.deep.equal(isOwn ? [told] : []);
      });
    it('is another daemon on the address of a link where this one listens on those of the node alone', () => {
      const configuration = { bindMode: 'NodeIP' as const };
      const peers = { r: { node: 'node1', peerIP: '10.1.1.3', asNumber: 65001 } };
      expect(names(topology({ links, configuration, peers }))).to.include('r');
    });
    it('is another daemon where it is on another port', () => {
      const result = topology({ peers: { bird: { node: 'node1', peerIP: '10.0.0.1:1790', asNumber: 64512 } } });
      expect(peer(result, 'bird')).to.deep.include({ address: '10.0.0.1', port: 1790 });
      const moved = topology({
        configuration: { listenPort: 1790 },
        peers: { bird: { node: 'node1', peerIP: '10.0.0.1:179', asNumber: 64512 } },
      });
      expect(peer(moved, 'bird')?.port).to.equal(179);
    });
  });

  /** A router that cannot be, beside one that can: the other and the mesh stand. */
  const routers: readonly (readonly [string, BGPPeerSpec, string])[] = [
    [
      'a link-local address',
      { peerIP: 'fe80::1' },
      'spec.peerIP is "fe80::1"; expected a link-local address with its interface',
    ],
    ['an address of nobody', { peerIP: '0.0.0.0' }, 'spec.peerIP is "0.0.0.0"; expected the address of a host'],
    ['a multicast address', { peerIP: '224.0.0.5' }, 'spec.peerIP is "224.0.0.5"; expected the address of a host'],
    ['an IPv6 address of nobody', { peerIP: '::' }, 'spec.peerIP is "::"; expected the address of a host'],
    ['an IPv6 multicast address', { peerIP: 'ff02::5' }, 'spec.peerIP is "ff02::5"; expected the address of a host'],
    ['no address', { peerIP: '' }, 'spec.peerIP is ""; expected an address'],
    ['no AS', { asNumber: '' }, 'spec.asNumber is ""; expected an AS number'],
    ['AS_TRANS', { asNumber: 23456 }, 'spec.asNumber is "23456"; expected an AS number'],
    ['a word for an AS', { asNumber: 'external' }, 'spec.asNumber is "external"; expected an AS number'],
    ['a local AS of nobody', { localASNumber: 23456 }, 'spec.localASNumber is "23456"; expected an AS number'],
    ['a selector that is none', { nodeSelector: '((' }, 'spec.nodeSelector is "(("'],
    ['a peer selector that is none', { peerIP: '', peerSelector: 'a ==' }, 'spec.peerSelector is "a =="'],
    [
      'the address of another resource',
      { peerIP: '192.0.2.2' },
      'spec.peerIP asks for a session with 192.0.2.2, which BGPPeer/a has',
    ],
    [
      'a second session to a port',
      { peerIP: '192.0.2.2:179' },
      'spec.peerIP asks for a session with 192.0.2.2, which BGPPeer/a has',
    ],
  ];
  for (const [what, spec, sentence] of routers)
    it(`a router with ${what}`, () => {
      const result = topology({
        peers: { a: { peerIP: '192.0.2.2', asNumber: 65001 }, bad: { peerIP: '192.0.2.1', asNumber: 65001, ...spec } },
      });
      expect(names(result)).to.deep.equal(['a', ...MESH]);
      expect(sentences(result, 'problem').join('\n')).to.include(`BGPPeer/bad ${sentence}`);
      expect(result.problems.every(({ message, field = '' }) => message.startsWith(field))).to.equal(true);
    });

  /** What a session can do without. */
  const fields: readonly (readonly [string, BGPPeerSpec, keyof PeerConfig, string])[] = [
    ['holdTime 2s', { holdTime: '2s' }, 'holdTime', 'spec.holdTime is "2s"; expected 0, or a number of seconds from 3'],
    ['holdTime 0.4s, which is not 0', { holdTime: '0.4s' }, 'holdTime', 'spec.holdTime is "0.4s"; expected 0, or'],
    ['holdTime of a day', { holdTime: '24h' }, 'holdTime', 'spec.holdTime is "24h"'],
    ['a word for a holdTime', { holdTime: 'long' }, 'holdTime', 'spec.holdTime is "long"'],
    ['keepaliveTime 0s', { keepaliveTime: '0s' }, 'keepaliveTime', 'spec.keepaliveTime is "0s"'],
    ['maxRestartTime 2h', { maxRestartTime: '2h' }, 'gracefulRestartTime', 'spec.maxRestartTime is "2h"'],
    [
      'numAllowedLocalASNumbers 256',
      { numAllowedLocalASNumbers: 256 },
      'allowLocalAs',
      'spec.numAllowedLocalASNumbers is "256"',
    ],
    ['maxPrefixes 0', { maxPrefixes: 0 }, 'maxPrefixes', 'spec.maxPrefixes is "0"'],
    [
      'maxPrefixesRestartAfter 2 days',
      { maxPrefixesRestartAfter: '48h' },
      'maxPrefixesRestartAfter',
      'spec.maxPrefixesRestartAfter is "48h"',
    ],
  ];
  for (const [what, spec, field, sentence] of fields)
    it(`a router with ${what} has its session without`, () => {
      const result = topology({ peers: { r: { peerIP: '192.0.2.1', asNumber: 65001, ...spec } } });
      expect(names(result)).to.deep.equal(['r', ...MESH]);
      expect(peer(result, 'r')?.[field]).to.equal(undefined);
      expect(sentences(result, 'problem').join()).to.include(`BGPPeer/r ${sentence}`);
    });

  it('takes numbers up to the bounds of the API', () => {
    const result = topology({
      peers: {
        r: { peerIP: '192.0.2.1', asNumber: 4294967295, numAllowedLocalASNumbers: 255, maxRestartTime: '4095s' },
      },
    });
    expect(peer(result, 'r')).to.deep.include({ remoteAs: 4294967295, allowLocalAs: 255, gracefulRestartTime: 4095 });
    expect(result.problems).to.deep.equal([]);
  });

  describe('a password', () => {
    const bad: readonly (readonly [string, string | undefined, string])[] = [
      ['that is missing', undefined, 'expected that secret with that key'],
      ['that is empty', '', 'which is empty; expected 1 to 80 octets'],
      ['of 81 octets', 'x'.repeat(81), 'which has 81 octets; expected 1 to 80'],
      ['of 82 octets in 41 letters', 'ä'.repeat(41), 'which has 82 octets'],
      ['with a NUL', 'a\0b', 'which holds a control character'],
      ['with the line break of echo', 'sesame\n', 'which holds a control character (a line break at its end?)'],
      ['that is no text', 'a\ufffd', 'which is not UTF-8'],
    ];
    const reference = { secretKeyRef: { name: 'bgp', key: 'password' } };
    for (const [what, password, sentence] of bad) {
      const secrets: Readonly<Record<string, string>> = password === undefined ? {} : { 'bgp/password': password };
      it(`${what} costs that session alone, and says where it was looked for`, () => {
        const result = topology({ secrets, peers: { r: { peerIP: '192.0.2.1', asNumber: 1, password: reference } } });
        expect(names(result)).to.deep.equal(MESH);
        const told = sentences(result, 'problem').join();
        expect(told).to.include(
          'BGPPeer/r spec.password.secretKeyRef names key "password" of secret "tortie-system/bgp"',
        );
        expect(told).to.include(sentence).and.not.to.include('sesame');
      });
      it(`of the mesh ${what} costs the mesh`, () => {
        const result = topology({
          secrets,
          configuration: { nodeMeshPassword: reference },
          peers: { r: { peerIP: '192.0.2.1', asNumber: 1 } },
        });
        expect(names(result)).to.deep.equal(['r']);
        expect(sentences(result, 'problem').join()).to.include(
          'BGPConfiguration/default spec.nodeMeshPassword.secretKeyRef names',
        );
      });
    }
    it('of 80 octets is taken', () => {
      const secrets = { 'bgp/password': 'x'.repeat(80) };
      const result = topology({ secrets, peers: { r: { peerIP: '192.0.2.1', asNumber: 1, password: reference } } });
      expect(peer(result, 'r')?.password).to.have.length(80);
    });
  });

  describe('names', () => {
    it('of a resource called like a peer of the mesh are both had', () => {
      const result = topology({ peers: { 'mesh-node2-v4': { peerIP: '192.0.2.1', asNumber: 65001 } } });
      expect(peer(result, 'mesh-node2-v4')?.address).to.equal('192.0.2.1');
      const [renamed] = names(result).filter((name) => name.startsWith('mesh-node2-v4~'));
      expect(peer(result, renamed ?? '')?.address).to.equal('10.0.0.2');
      expect(result.problems).to.deep.equal([]);
    });
    it('that read alike are told apart: "a-b" with "c", "a" with "b-c"', () => {
      const result = topology({
        nodes: [...RACK, node('c', ['10.0.0.4']), node('b-c', ['10.0.0.5'])],
        configuration: { nodeToNodeMeshEnabled: false },
        peers: {
          'a-b': { nodeSelector: 'rack == "1"', peerSelector: '!has(rack)' },
          a: { nodeSelector: 'rack == "1"', peerSelector: '!has(rack)' },
        },
      });
      expect(result.config?.peers?.map(({ address }) => address).sort()).to.deep.equal(['10.0.0.4', '10.0.0.5']);
      expect(new Set(names(result)).size).to.equal(2);
    });
    it('of 253 characters are cut for the speaker, not for people', () => {
      const long = 'x'.repeat(253);
      const result = topology({
        nodes: [...RACK, node(long, ['10.0.0.4'])],
        peers: { [long]: { peerIP: '192.0.2.1', asNumber: 65001, filters: [long] } },
        filters: { [long]: { importV4: [{ action: 'Reject' }] } },
      });
      expect(result.config?.peers).to.have.length(6);
      expect(result.problems).to.deep.equal([]);
    });
  });

  describe('an explicit peer at the address of a node', () => {
    for (const [what, spec] of [
      ['a resource with its address', { peerIP: '10.0.0.2', asNumber: 64512 }],
      ['a selector', { nodeSelector: 'rack == "1"', peerSelector: 'rack == "2"', reversePeering: 'Manual' }],
    ] as const)
      it(`takes the place of the mesh's, by ${what}`, () => {
        const result = topology({ peers: { own: spec } });
        expect(names(result)).to.not.include('mesh-node2-v4');
        expect(names(result)).to.include('mesh-node3-v4');
        expect(result.config?.peers?.filter(({ address }) => address === '10.0.0.2')).to.have.length(1);
        expect(sentences(result, 'problem')).to.deep.equal([]);
        expect(sentences(result, 'notice').join()).to.include(
          'BGPPeer/own takes the place of the mesh session with 10.0.0.2',
        );
      });
  });

  describe('a Node object', () => {
    const bad: readonly (readonly [string, string, string])[] = [
      ['an AS that is none', 'ASNumber', '0'],
      ['AS_TRANS', 'ASNumber', '23456'],
      ['an AS beyond 32 bits', 'ASNumber', '4294967296'],
      ['an address of nobody', 'IPv4Address', '0.0.0.0/0'],
      ['a loopback address', 'IPv4Address', '127.0.0.1/8'],
      ['a multicast address', 'IPv4Address', '224.0.0.1/24'],
      ['a link-local address', 'IPv6Address', 'fe80::1/64'],
      ['an IPv6 loopback address', 'IPv6Address', '::1/128'],
      ['an address of the other family', 'IPv6Address', '10.0.0.9'],
      ['a length that is none', 'IPv4Address', '10.0.0.9/33'],
      ['a cluster id that is no dotted quad', 'RouteReflectorClusterID', 'first'],
      ['cluster id 0', 'RouteReflectorClusterID', '0.0.0.0'],
    ];
    for (const [what, annotation, value] of bad)
      it(`with ${what}: told, and the node has its session all the same`, () => {
        const wrong = node('node4', ['10.0.0.4', 'fd00::4'], {
          annotations: { [`projectcalico.org/${annotation}`]: value },
        });
        const other = topology({ nodes: [...RACK, wrong] });
        const sentence = `Node/node4 metadata.annotations[projectcalico.org/${annotation}] is "${value}"; expected`;
        expect(sentences(other, 'notice').join()).to.include(sentence);
        if (annotation !== 'RouteReflectorClusterID')
          expect(peer(other, 'mesh-node4-v4')).to.deep.include({ address: '10.0.0.4', remoteAs: 64512 });
        const own = topology({ self: 'node4', nodes: [...RACK, wrong] });
        expect(sentences(own, 'problem').join()).to.include(sentence);
        expect(own.config).to.deep.include({ routerId: '10.0.0.4', localAs: 64512 });
      });
    it('whose addresses nobody can reach has no session, and is told', () => {
      const result = topology({ nodes: [...RACK, node('node4', ['0.0.0.0', '::1', '169.254.1.1'])] });
      expect(names(result)).to.deep.equal(MESH);
      expect(sentences(result, 'notice').filter((text) => text.startsWith('Node/node4'))).to.have.length(4);
    });
  });

  describe('BGPConfiguration', () => {
    const bad: readonly (readonly [string, BGPConfigurationSpec, string])[] = [
      ['nodeMeshMaxRestartTime 2h', { nodeMeshMaxRestartTime: '2h' }, 'spec.nodeMeshMaxRestartTime is "2h"'],
      ['a hold time of 1 s', { holdTime: '1s' }, 'spec.holdTime is "1s"'],
      ['AS_TRANS', { asNumber: 23456 }, 'spec.asNumber is "23456"'],
      [
        'a range that is none',
        { serviceClusterIPs: [{ cidr: '10.96.0.0/99' }] },
        'spec.serviceClusterIPs[0].cidr is "10.96.0.0/99"',
      ],
      [
        'a range that is never routed',
        { serviceLoadBalancerIPs: [{ cidr: 'fe80::/64' }] },
        'spec.serviceLoadBalancerIPs[0].cidr is "fe80::/64"',
      ],
      [
        'a community beyond 16 bits',
        { prefixAdvertisements: [{ cidr: '10.65.0.0/16', communities: ['65536:100'] }] },
        'spec.prefixAdvertisements[0].communities[0] is "65536:100"',
      ],
      [
        'a community of no name',
        { prefixAdvertisements: [{ cidr: '10.65.0.0/16', communities: ['gone'] }] },
        'spec.prefixAdvertisements[0].communities[0] is "gone"',
      ],
      [
        'a range of advertisements that is none',
        { prefixAdvertisements: [{ cidr: '10.65', communities: ['1:2'] }] },
        'spec.prefixAdvertisements[0].cidr is "10.65"',
      ],
      [
        'a value that is no community',
        { communities: [{ name: 'x', value: '1:70000' }] },
        'spec.communities[0].value is "1:70000"',
      ],
      [
        'a range of external addresses that is none',
        { serviceExternalIPs: [{ cidr: '192.0.2.128/33' }] },
        'spec.serviceExternalIPs[0].cidr is "192.0.2.128/33"',
      ],
    ];
    for (const [what, configuration, sentence] of bad)
      it(`with ${what}: told, and the rest stands`, () => {
        const result = topology({ configuration });
        expect(names(result)).to.deep.equal(MESH);
        expect(result.config?.originate?.map(({ prefix }) => prefix)).to.include('10.65.0.0/26');
        expect(sentences(result, 'problem').join()).to.include(`BGPConfiguration/default ${sentence}`);
      });
    it('with one range twice announces it once', () => {
      const range = [{ cidr: '10.96.0.0/12' }];
      const result = topology({
        configuration: { serviceClusterIPs: range, serviceLoadBalancerIPs: [{ cidr: '10.96.0.1/12' }] },
      });
      expect(result.config?.originate?.filter(({ prefix }) => prefix === '10.96.0.0/12')).to.have.length(1);
      expect(result.problems).to.deep.equal([]);
    });
    it('announces no service range from a node that load balancers leave out', () => {
      const excluded = node('node1', ['10.0.0.1'], {
        labels: { 'node.kubernetes.io/exclude-from-external-load-balancers': 'true' },
      });
      const result = topology({
        nodes: [excluded],
        configuration: { serviceLoadBalancerIPs: [{ cidr: '198.51.100.0/24' }] },
      });
      expect(result.config?.originate?.map(({ tags }) => tags?.join())).to.not.include('service');
    });
  });

  describe('a BGPFilter', () => {
    const tor: Readonly<Record<string, BGPPeerSpec>> = {
      tor: { peerIP: '192.0.2.1', asNumber: 65001, filters: ['f'] },
    };
    const rules: readonly (readonly [string, NonNullable<BGPFilterSpec['exportV4']>[number], string])[] = [
      [
        'lengths the wrong way round',
        { action: 'Accept', cidr: '10.65.0.0/16', matchOperator: 'In', prefixLength: { min: 28, max: 24 } },
        'spec.exportV4[0].prefixLength is',
      ],
      [
        'a CIDR of the other family',
        { action: 'Accept', cidr: 'fd00::/8', matchOperator: 'In' },
        'spec.exportV4[0].cidr is "fd00::/8"',
      ],
      [
        'a community beyond 16 bits',
        { action: 'Accept', communities: { values: ['65536:1'] } },
        'spec.exportV4[0].communities.values[0] is "65536:1"',
      ],
      [
        'AS_TRANS in a path',
        { action: 'Accept', asPathPrefix: [65001, 23456] },
        'spec.exportV4[0].asPathPrefix[1] is "23456"',
      ],
      ['an interface of blanks', { action: 'Accept', interface: 'e h' }, 'spec.exportV4[0].interface is "e h"'],
      [
        'AS 0 to prepend',
        { action: 'Accept', operations: [{ prependASPath: { prefix: [0] } }] },
        'spec.exportV4[0].operations',
      ],
      ['an operation that is none', { action: 'Accept', operations: [{}] }, 'spec.exportV4[0].operations[0] is empty'],
    ];
    for (const [what, rule, sentence] of rules)
      it(`with ${what}: the rules before stand, from there on nothing passes, and the session stays`, () => {
        const good = { action: 'Reject', cidr: '10.9.0.0/16', matchOperator: 'Equal' } as const;
        const alone = topology({ peers: tor, filters: { f: { exportV4: [rule] } } });
        expect(sentences(alone, 'problem').join()).to.include(`BGPFilter/f ${sentence}`);
        const result = topology({ peers: tor, filters: { f: { exportV4: [good, rule, good], importV4: [good] } } });
        expect(names(result)).to.include('tor');
        const { filters = {} } = result.config ?? {};
        expect(
          filters['f-export-v4']?.rules.map(({ action, match }) => [action, match?.prefixes?.length]),
        ).to.deep.equal([
          ['reject', 1],
          ['reject', undefined],
        ]);
        expect(filters['f-import-v4']?.rules).to.have.length(1);
      });

    it('that sets a priority on export is told so, and holds but for that; on import it acts', () => {
      const rule = {
        action: 'Accept',
        operations: [{ setPriority: { value: 77 } }, { addCommunity: { value: '64512:9' } }],
      } as const;
      const result = topology({ peers: tor, filters: { f: { exportV4: [rule], importV4: [rule] } } });
      expect(sentences(result, 'problem')).to.deep.equal([
        "BGPFilter/f spec.exportV4[0].operations[0].setPriority has no effect: it sets the metric in this node's kernel, and no peer " +
          'hears of that; expected it in importV4; the rest of the rule holds',
      ]);
      const { filters = {} } = result.config ?? {};
      expect(filters['f-export-v4']?.rules.map(({ action, set }) => [action, set])).to.deep.equal([
        ['accept', { addCommunities: ['64512:9'] }],
      ]);
      expect(filters['f-import-v4']?.rules.map(({ set }) => set)).to.deep.equal([
        { kernelMetric: 77, addCommunities: ['64512:9'] },
      ]);
    });

    it('takes as many AS numbers as the API lets it', () => {
      const prefix = Array.from({ length: 10 }, () => 65001);
      const operations = Array.from({ length: 10 }, () => ({ prependASPath: { prefix } }));
      const asPathPrefix = Array.from({ length: 100 }, (_, i) => i + 1);
      const result = topology({
        peers: tor,
        filters: { f: { exportV4: [{ action: 'Accept', asPathPrefix, operations }] } },
      });
      expect(result.problems).to.deep.equal([]);
      expect(result.config?.filters?.['f-export-v4']?.rules[0]?.set?.prependAs).to.have.length(100);
    });

    for (const [what, rules, first] of [
      ['rules', Array.from({ length: 300 }, () => ({ action: 'Accept' as const, cidr: '10.65.0.0/16' })), 256],
      [
        'values',
        Array.from({ length: 60 }, () => ({
          action: 'Accept' as const,
          asPathPrefix: Array.from({ length: 100 }, (_, i) => i + 1),
        })),
        40,
      ],
    ] as const)
      it(`that has more ${what} than it may rejects what comes to the first one too many, and says so`, () => {
        const result = topology({ peers: tor, filters: { f: { exportV4: rules } } });
        expect(sentences(result, 'problem').join()).to.match(
          new RegExp(`BGPFilter/f spec.exportV4\\[${first}\\] is one too many; expected at most \\d+ ${what}`),
        );
        const kept = result.config?.filters?.['f-export-v4']?.rules ?? [];
        expect(kept).to.have.length(first + 1);
        expect(kept.at(-1)).to.deep.include({ action: 'reject' });
      });

    it('that is missing ends no session: nothing passes where it would decide', () => {
      const result = topology({ peers: tor });
      expect(names(result)).to.include('tor');
      expect(sentences(result, 'problem')).to.deep.equal([
        'BGPPeer/tor spec.filters[0] is "f"; expected a BGPFilter of that name; until there is one, no route passes where it would decide',
      ]);
      expect(verdict(result, 'tor', 'export', '10.65.0.0/26', 'local')).to.equal('reject');
      expect(verdict(result, 'tor', 'import', '0.0.0.0/0', 'ebgp')).to.equal('reject');
    });

    it('that is missing is told by the nodes that have such a session, and by no other', () => {
      const far = { peerIP: '192.0.2.9', asNumber: 65001, node: 'node2', filters: ['f'] };
      expect(sentences(topology({ peers: { far } }), 'problem')).to.deep.equal([]);
    });

    it('that is wrong is a problem of the nodes that use it, and a notice on all others', () => {
      const f: BGPFilterSpec = { importV4: [{ action: 'Accept', cidr: 'rubbish', matchOperator: 'In' }] };
      const told = (severity: 'problem' | 'notice', result: Topology): number =>
        sentences(result, severity).filter((sentence) => sentence.startsWith('BGPFilter/f spec.importV4[0]')).length;
      expect([
        told('problem', topology({ filters: { f } })),
        told('notice', topology({ filters: { f } })),
      ]).to.deep.equal([0, 1]);
      expect(told('problem', topology({ peers: tor, filters: { f } }))).to.equal(1);
    });

    it('that has gone stands on as the speaker holds it', () => {
      const filters = { f: { exportV4: [{ action: 'Reject', cidr: '10.9.0.0/16', matchOperator: 'In' }] } } as const;
      const before = topology({ peers: tor, filters });
      const after = topology({ peers: tor, heldFilters: before.config?.filters ?? {} });
      expect(after.config).to.deep.equal(before.config);
      expect(sentences(after, 'problem').join()).to.include('its last known rules stand');
    });
  });

  describe('what goes out', () => {
    const pools = { v4: { cidr: '10.65.0.0/16' }, quiet: { cidr: '10.76.0.0/16', disableBGPExport: true } };
    const allow: BGPFilterSpec = { exportV4: [{ action: 'Accept', cidr: '203.0.113.0/24', matchOperator: 'In' }] };
    const world: World = {
      pools,
      peers: {
        tor: { peerIP: '192.0.2.1', asNumber: 65001 },
        open: { peerIP: '192.0.2.2', asNumber: 65002, filters: ['allow'] },
        inner: { peerIP: '192.0.2.3', asNumber: 64512 },
      },
      filters: { allow },
    };
    const rows: readonly (readonly [string, string, string, 'local' | 'ebgp' | 'ibgp', 'accept' | 'reject'])[] = [
      ['our own block to a router', 'tor', '10.65.0.0/26', 'local', 'accept'],
      ["another node's block to a router", 'tor', '10.65.9.0/26', 'ibgp', 'accept'],
      ["another node's block to a router of our AS", 'inner', '10.65.9.0/26', 'ibgp', 'accept'],
      ['what another node has learned elsewhere', 'tor', '203.0.113.0/24', 'ibgp', 'reject'],
      ['a block of a pool that stays inside', 'tor', '10.76.0.0/26', 'ibgp', 'reject'],
      ["one router's routes to another", 'tor', '203.0.113.0/24', 'ebgp', 'reject'],
      ["one router's routes of our pools to another", 'tor', '10.65.9.0/26', 'ebgp', 'reject'],
      ['what a BGPFilter lets through', 'open', '203.0.113.0/24', 'ebgp', 'accept'],
      ['what that BGPFilter says nothing about', 'open', '198.51.100.0/24', 'ebgp', 'reject'],
      ['our own block beside a BGPFilter', 'open', '10.65.0.0/26', 'local', 'accept'],
    ];
    for (const [what, to, prefix, source, expected] of rows)
      it(`${what}: ${expected}`, () =>
        expect(verdict(topology(world), to, 'export', prefix, source)).to.equal(expected));
  });

  describe('is told of what is not there', () => {
    const rows: readonly (readonly [string, BGPPeerSpec, string])[] = [
      [
        'a node',
        { node: 'gone', peerIP: '192.0.2.1', asNumber: 1 },
        'spec.node is "gone"; there is no node of that name',
      ],
      [
        'nodes',
        { nodeSelector: 'rack == "9"', peerIP: '192.0.2.1', asNumber: 1 },
        'spec.nodeSelector is "rack == "9""; it selects no node',
      ],
      ['peers', { peerSelector: 'rack == "9"' }, 'spec.peerSelector is "rack == "9""; it selects no node'],
    ];
    for (const [what, spec, sentence] of rows)
      it(`${what}, which makes nothing unwell`, () => {
        const result = topology({ peers: { r: spec } });
        expect(names(result)).to.deep.equal(MESH);
        expect(sentences(result, 'problem')).to.deep.equal([]);
        expect(sentences(result, 'notice')).to.include(`BGPPeer/r ${sentence}`);
      });
  });
});

function AS_OF(address: string, asNumber: string): Readonly<Record<string, string>> {
  return { 'projectcalico.org/IPv4Address': `${address}/32`, 'projectcalico.org/ASNumber': asNumber };
}

/** What the filters of a peer say of a route. */
function verdict(
  { config }: Topology,
  name: string,
  direction: 'import' | 'export',
  prefix: string,
  source: 'local' | 'ebgp' | 'ibgp',
): string {
  const settings = config?.peers?.find((each) => each.name === name);
  if (settings?.address === undefined) throw new Error(`There is no peer "${name}"`);
  const remoteAs = Number(settings.remoteAs);
  const address = parseAddress(settings.address);
  const policy = compilePolicy(config?.filters ?? {}, settings[direction] ?? [], {
    direction,
    peerType: remoteAs === 64512 ? 'ibgp' : 'ebgp',
    name,
    address,
    remoteAs,
    localAs: 64512,
  });
  return policy.judge({
    family: 4,
    prefix: parsePrefix(prefix),
    tags: source === 'local' ? ['block'] : [],
    source,
    attributes: { origin: 'igp', asPath: [] } as never,
    nextHop: address,
    interfaceName: undefined,
    from: undefined,
    to: undefined,
  }).type;
}
