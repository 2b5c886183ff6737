import { expect } from 'chai';
import fc from 'fast-check';
import type { ChangeEntry } from '../../src/api/change.js';
import type { BGPPeer } from '../../src/api/bgp.js';
import type { Node } from '../../src/api/core.js';
import type { KindName } from '../../src/api/kinds.js';
import { AGENT_KINDS } from '../../src/agent/agent-options.js';
import { keeperOf } from '../../src/agent/policy-events.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { ObjectLayers } from '../../src/change/object-layers.js';
import { isAsWished, layersOf } from '../../src/change/overlay.js';
import { changeOf, peerEntry } from './world.js';

const peer = (name: string, peerIP: string, generation = 1): BGPPeer =>
  ({ metadata: { name, uid: name, generation }, spec: { peerIP } }) as BGPPeer;
const node = (name: string, labels: Readonly<Record<string, string>>): Node =>
  ({ metadata: { name, labels }, spec: {} }) as Node;

function world(): {
  readonly cluster: Cluster;
  readonly layers: ObjectLayers;
  readonly lay: (...entries: readonly ChangeEntry[]) => void;
} {
  const cluster = new Cluster(AGENT_KINDS);
  const layers = new ObjectLayers(cluster, (kind, object) => keeperOf(kind)(object));
  return { cluster, layers, lay: (...objects) => layers.lay(layersOf(changeOf('c', { spec: { objects } }))) };
}

describe('layers over objects', () => {
  it('show what a Change says, and the plain objects again when they are taken away', () => {
    const { cluster, layers, lay } = world();
    layers.upsert('bgpPeers', peer('a', '192.0.2.1'));
    layers.upsert('bgpPeers', peer('b', '192.0.2.2'));
    layers.upsert('nodes', node('n', { rack: 'a', old: 'x' }));
    lay(
      peerEntry('a', { peerIP: '192.0.2.9' }),
      { apiVersion: 'projectcalico.org/v3', kind: 'BGPPeer', name: 'b', remove: true },
      peerEntry('new'),
      { apiVersion: 'v1', kind: 'Node', name: 'n', labels: { rack: 'b' }, removedLabels: ['old'] },
    );
    const peers = (): readonly string[] =>
      [...cluster.all('bgpPeers').values()].map(({ metadata, spec }) => `${metadata.name} ${spec.peerIP}`);
    expect(peers()).to.have.members(['a 192.0.2.9', 'new 192.0.2.1']);
    expect(cluster.get('nodes', 'n')?.metadata.labels).to.deep.equal({ rack: 'b' });
    expect(cluster.get('bgpPeers', 'new')?.metadata.creationTimestamp).to.equal('2026-01-01T00:00:00Z');
    layers.lay(new Map());
    expect(peers()).to.have.members(['a 192.0.2.1', 'b 192.0.2.2']);
    expect(cluster.get('nodes', 'n')?.metadata.labels).to.deep.equal({ rack: 'a', old: 'x' });
  });

  it('are seen by every listener as more than a new status, on the way there and back', () => {
    const { cluster, layers, lay } = world();
    layers.upsert('bgpPeers', peer('a', '192.0.2.1'));
    const told: (boolean | undefined)[] = [];
    cluster.onChange(({ isStatusOnly }) => told.push(isStatusOnly));
    lay(peerEntry('a', { peerIP: '192.0.2.9' }));
    layers.lay(new Map());
    expect(told).to.deep.equal([undefined, undefined]);
  });

  it('have caught up when the plain objects say the same', () => {
    const { layers, lay } = world();
    layers.upsert('bgpPeers', peer('a', '192.0.2.1'));
    lay(peerEntry('a', { peerIP: '192.0.2.9' }), { apiVersion: 'v1', kind: 'Node', name: 'n', labels: { rack: 'b' } });
    layers.upsert('nodes', node('n', { rack: 'b', more: '1' }));
    expect(layers.isCaughtUp()).to.equal(false);
    layers.upsert('bgpPeers', peer('a', '192.0.2.9', 2));
    expect(layers.isCaughtUp()).to.equal(true);
    layers.delete('nodes', node('n', { rack: 'b', more: '1' }));
    expect(layers.isCaughtUp()).to.equal(true);
  });

  it('stand on objects of before where no server answers, until it does', () => {
    const { cluster, layers } = world();
    const kinds = new Map<KindName, readonly (BGPPeer | Node)[]>([
      ['bgpPeers', [peer('a', '192.0.2.1'), peer('gone', '192.0.2.2')]],
      ['nodes', [node('n', {})]],
    ]);
    layers.standIn(kinds);
    expect(cluster.isListed('bgpPeers')).to.equal(true);
    expect([...cluster.all('bgpPeers').keys()]).to.deep.equal(['a', 'gone']);
    layers.upsert('bgpPeers', peer('a', '192.0.2.7'));
    layers.firstListDone('bgpPeers');
    expect([...cluster.all('bgpPeers').values()].map(({ spec }) => spec.peerIP)).to.deep.equal(['192.0.2.7']);
    expect([...cluster.all('nodes').keys()]).to.deep.equal(['n']);
  });

  it('whatever comes in whatever order: taken away, all is as if they had never been', () => {
    const names = fc.constantFrom('a', 'b', 'c');
    const event = fc.oneof(
      fc.record({ type: fc.constant('upsert' as const), name: names, ip: fc.integer({ min: 1, max: 250 }) }),
      fc.record({ type: fc.constant('delete' as const), name: names }),
      fc.record({
        type: fc.constant('lay' as const),
        removed: fc.subarray(['a', 'b', 'c']),
        made: fc.subarray(['a', 'b', 'c']),
      }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), (events) => {
        const { cluster, layers, lay } = world();
        const plain = new Cluster(AGENT_KINDS);
        for (const [index, each] of events.entries()) {
          if (each.type === 'lay')
            lay(
              ...each.made.map((name) => peerEntry(name, { peerIP: '198.51.100.1' })),
              ...each.removed
                .filter((name) => !each.made.includes(name))
                .map((name) => ({ apiVersion: 'projectcalico.org/v3', kind: 'BGPPeer', name, remove: true })),
            );
          else {
            const object = peer(each.name, `192.0.2.${each.type === 'upsert' ? each.ip : 0}`, index + 1);
            if (each.type === 'delete' && !plain.all('bgpPeers').has(each.name)) continue;
            for (const sink of [layers, plain]) sink[each.type]('bgpPeers', object);
          }
        }
        layers.lay(new Map());
        expect(new Map([...cluster.all('bgpPeers')].sort())).to.deep.equal(new Map([...plain.all('bgpPeers')].sort()));
      }),
      { numRuns: 300 },
    );
  });

  it('two objects are alike whatever servers write', () => {
    const one = {
      metadata: { name: 'a', uid: '1', generation: 1, labels: {} },
      spec: { a: 1, b: 2 },
      status: { x: 1 },
    };
    const other = { metadata: { name: 'a', uid: '2', resourceVersion: '7' }, spec: { b: 2, a: 1 } };
    expect(isAsWished(one, other)).to.equal(true);
    expect(isAsWished(one, { ...other, spec: { a: 1 } } as typeof other)).to.equal(false);
    expect(isAsWished(one, undefined)).to.equal(false);
  });
});
