import { expect } from 'chai';
import { selectorMatches } from '../../src/agent/node-selector.js';
import { inUseCondition } from '../../src/agent/object-conditions.js';
import { usageOf } from '../../src/agent/object-usage.js';
import type { BGPPeer, BGPPeerSpec } from '../../src/api/bgp.js';
import type { Condition } from '../../src/api/meta.js';
import { Cluster } from '../../src/cluster/cluster.js';

interface PeerWords {
  readonly conditions?: readonly Pick<Condition, 'type' | 'reason' | 'message'>[];
  readonly others?: Readonly<Record<string, BGPPeerSpec>>;
  readonly nodes?: number;
}

/** "True Selects 2 nodes: node1, node2" */
function inUse(spec: BGPPeerSpec, { conditions = [], others = {}, nodes = 2 }: PeerWords = {}): string {
  const cluster = new Cluster(['nodes', 'bgpPeers', 'bgpConfigurations']);
  for (let n = 1; n <= nodes; n++)
    cluster.upsert('nodes', {
      metadata: { name: `node${n}`, labels: { rack: String(n) } },
      status: { addresses: [`10.0.0.${n}`].map((address) => ({ type: 'InternalIP', address })) },
    });
  const peer = {
    metadata: { name: 'r', creationTimestamp: '2026-02-01T00:00:00Z' },
    spec,
    status: {
      conditions: conditions.map((each) => ({ ...each, status: 'False', lastTransitionTime: '2026-02-01T00:00:00Z' })),
    },
  } as BGPPeer;
  for (const [name, each] of Object.entries(others))
    cluster.upsert('bgpPeers', { metadata: { name, creationTimestamp: '2026-01-01T00:00:00Z' }, spec: each });
  cluster.upsert('bgpPeers', peer);
  const usage = usageOf('bgpPeers', peer, cluster, selectorMatches);
  if (usage === undefined) throw new Error('A BGPPeer has users');
  const { status, message } = inUseCondition(peer, usage);
  return `${status} ${message}`;
}

const good = { peerIP: '192.0.2.1', asNumber: 65001 };

describe('agent/object-usage, of BGPPeers', () => {
  const refused: readonly (readonly [string, BGPPeerSpec, string, PeerWords?])[] = [
    ['an address of nobody', { ...good, peerIP: '255.255.255.255' }, 'spec.peerIP is "255.255.255.255"; expected'],
    ['an address of every host', { ...good, peerIP: '127.0.0.1' }, 'spec.peerIP is "127.0.0.1", an address of this'],
    ['no AS', { peerIP: '192.0.2.1' }, 'spec.asNumber is ""; expected an AS number'],
    ['a local AS that is none', { ...good, localASNumber: 'x' }, 'spec.localASNumber is "x"; expected an AS number'],
    ['a peer selector that is none', { peerSelector: 'a ==' }, 'spec.peerSelector is "a ==": '],
    [
      'a family that no node has',
      { ...good, peerIP: '2001:db8::1' },
      'spec.sourceAddress is UseNodeIP, but node "node1"',
    ],
    [
      'the address of an older one',
      good,
      'spec.peerIP asks for a session with 192.0.2.1, which BGPPeer/a has',
      { others: { a: { ...good, asNumber: 65002 } } },
    ],
    [
      'one of which more nodes refuse than could be asked',
      { ...good, peerIP: '::' },
      'spec.peerIP is "::"',
      { nodes: 99 },
    ],
  ];
  for (const [what, spec, why, more] of refused)
    it(`are in use nowhere: ${what}`, () =>
      expect(
        inUse(spec, more).startsWith(`False The nodes that it selects leave it out: ${why}`),
        inUse(spec, more),
      ).to.equal(true));

  it('are in use where they can be', () => {
    expect(inUse(good)).to.equal('True Selects 2 nodes: node1, node2');
    expect(inUse({ ...good, holdTime: '2s', reachableBy: 'x', filters: ['gone'] })).to.match(/^True Selects 2 nodes/);
    expect(inUse(good, { others: { a: { ...good, node: 'node1' } } })).to.match(/^True Selects 2 nodes/);
    expect(inUse({ ...good, nodeSelector: 'rack == "2"' })).to.equal('True Selects 1 node: node2');
  });

  it('are not in use on nodes that say so', () => {
    const says = (node: string, reason: string) => ({ type: `node${node}/InUse`, reason, message: 'no Secret' });
    expect(inUse(good, { conditions: [says('1', 'LeftOut')] })).to.equal('True Selects 1 node: node2');
    expect(inUse(good, { conditions: [says('1', 'Refused')] })).to.equal('True Selects 2 nodes: node1, node2');
    expect(inUse(good, { conditions: [says('1', 'LeftOut'), says('2', 'LeftOut')] })).to.equal(
      'False The nodes that it selects leave it out: no Secret',
    );
  });

  it('say of a selector that is none what it is, and what is wrong with it', () =>
    expect(inUse({ ...good, nodeSelector: '((' })).to.match(/^False spec\.nodeSelector is "\(\(": ./));
});
