/** Nodes that cannot be peers, or not in each family, are left out and named (left-out.test.ts). */
import { expect } from 'chai';
import type { Node } from '../../src/api/core.js';
import { type NodeWords, node, RACK, topology, MESH, names, peer, sentences } from './left-out-scene.js';

describe('topology, of nodes that cannot be', () => {
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
    it('is not said to have no address as well, by the mesh or by a selector', () => {
      const nodes = [...RACK, node('old', ['10.0.0.2', 'fd00::2'], { ready: 'Unknown', labels: { rack: '9' } })];
      const result = topology({ nodes, peers: { r: { nodeSelector: 'rack == "1"', peerSelector: 'rack == "9"' } } });
      expect(sentences(result)).to.deep.equal(
        ['10.0.0.2', 'fd00::2'].map(
          (address) =>
            `Node/old has the address ${address} of node "node2"; expected an address of its own; no session with it`,
        ),
      );
      const [alone] = [topology({ nodes: [...RACK, node('old', [])] })];
      expect(sentences(alone)).to.deep.equal(['Node/old has no address of a family that this node has; no session']);
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
});

function AS_OF(address: string, asNumber: string): Readonly<Record<string, string>> {
  return { 'projectcalico.org/IPv4Address': `${address}/32`, 'projectcalico.org/ASNumber': asNumber };
}
