/**
 * What cannot be is left out and named by its own name; everything else stands. Each row is one thing that users write, or that
 * happens to a cluster, and that a daemon refuses.
 */
import { expect } from 'chai';
import type { PeerConfig } from 'node-bgp/config';
import { diffConfig } from 'node-bgp/speaker/config-diff';
import type { BGPConfigurationSpec, BGPPeer, BGPPeerSpec } from '../../src/api/bgp.js';
import type { NodeLink } from '../../src/topology/node-side.js';
import { node, RACK, topology, MESH, names, peer, sentences } from './left-out-scene.js';

describe('topology, of what cannot be', () => {
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
    ...['255.255.255.255', '0.0.0.1', '0.0.0.1:1179', '::ffff:10.0.0.2', '[::ffff:192.0.2.1]:179'].map(
      (peerIP): readonly [string, BGPPeerSpec, string] => [
        `an address that no host can have, ${peerIP}`,
        { peerIP },
        `spec.peerIP is "${peerIP}"; expected the address of a host; left out`,
      ],
    ),
    ...['127.0.0.1:1790', '127.9.9.9:1790', '[::1]:1790'].map((peerIP): readonly [string, BGPPeerSpec, string] => [
      `an address that every host has, ${peerIP}`,
      { peerIP },
      `spec.peerIP is "${peerIP}"; expected the address of a host; left out`,
    ]),
    ...['127.0.0.1', '127.9.9.9', '::1'].map((peerIP): readonly [string, BGPPeerSpec, string] => [
      `an address that every host has, of whichever node: ${peerIP}`,
      { peerIP },
      `spec.peerIP is "${peerIP}", an address of this node itself; no session`,
    ]),
    ...['fe80::1%eth0:179', 'fe80::1%an-interface-too-long', 'fe80::1%a/b'].map(
      (peerIP): readonly [string, BGPPeerSpec, string] => [
        `an interface that cannot be, ${peerIP}`,
        { peerIP },
        `spec.peerIP is "${peerIP}"; expected an address`,
      ],
    ),
    ['two interfaces', { peerIP: 'fe80::1%eth0%eth1' }, 'spec.peerIP is "fe80::1%eth0%eth1"; expected an address'],
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
      expect(result.problems.map(({ resource, isLeftOut }) => [resource, isLeftOut])).to.deep.equal([
        ['BGPPeer/bad', true],
      ]);
    });

  /** What a session can do without. */
  const fields: readonly (readonly [string, BGPPeerSpec, keyof PeerConfig, string])[] = [
    ['holdTime 2s', { holdTime: '2s' }, 'holdTime', 'spec.holdTime is "2s"; expected 0, or a number of seconds from 3'],
    ['holdTime 0.4s, which is not 0', { holdTime: '0.4s' }, 'holdTime', 'spec.holdTime is "0.4s"; expected 0, or'],
    ['holdTime of a day', { holdTime: '24h' }, 'holdTime', 'spec.holdTime is "24h"'],
    ['a word for a holdTime', { holdTime: 'long' }, 'holdTime', 'spec.holdTime is "long"'],
    [
      'holdTime without a unit',
      { holdTime: '90' },
      'holdTime',
      'spec.holdTime is "90"; expected a duration such as 90s',
    ],
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
      expect(result.problems.every((each) => each.isLeftOut === undefined)).to.equal(true);
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

  describe('names', () => {
    it('of a resource called like a peer of the mesh are both had', () => {
      const result = topology({ peers: { 'mesh-node2-v4': { peerIP: '192.0.2.1', asNumber: 65001 } } });
      expect(peer(result, 'mesh-node2-v4')?.address).to.equal('192.0.2.1');
      const [renamed] = names(result).filter((name) => name.startsWith('mesh-node2-v4~'));
      expect(peer(result, renamed ?? '')?.address).to.equal('10.0.0.2');
      expect(result.problems).to.deep.equal([]);
    });
    it('cost no session of the mesh while its port changes, too', () => {
      const peers = { 'mesh-node2-v4': { peerIP: '192.0.2.1', asNumber: 65001 } };
      const worlds = [
        {},
        { peers, configuration: { listenPort: 1179 } },
        { peers },
        { configuration: { listenPort: 1790 } },
      ];
      const configs = worlds.flatMap((world) => topology(world).config ?? []);
      for (const [index, after] of configs.slice(1).entries()) {
        const { reset, removed, added } = diffConfig(configs[index], after);
        expect([reset, removed.length + added.length <= 1], String(index)).to.deep.equal([[], true]);
      }
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
