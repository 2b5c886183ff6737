import { expect } from 'chai';
import { ObjectHistory } from '../../src/agent/object-history.js';
import type { BGPPeer } from '../../src/api/bgp.js';
import type { Node, Secret } from '../../src/api/core.js';
import type { KindName } from '../../src/api/kinds.js';
import type { ManagedFieldsEntry } from '../../src/api/meta.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { KnownObjects } from '../../src/datastore/known-objects.js';
import type { ObjectEntry } from '../../src/history/entry.js';

const written = (manager: string, time: string, subresource?: string): ManagedFieldsEntry => ({
  manager,
  time,
  ...(subresource === undefined ? {} : { subresource }),
});
const peer = (version: number, asNumber: number, managedFields: readonly ManagedFieldsEntry[] = []): BGPPeer => ({
  metadata: { name: 'rack', uid: 'u', resourceVersion: String(version), managedFields },
  spec: { peerIP: '192.0.2.1', asNumber },
});

describe('agent/object-history', () => {
  const kindsWatched: readonly KindName[] = ['bgpPeers', 'nodes', 'secrets', 'pods'];
  const world = (lastNoted?: string) => {
    const cluster = new Cluster(kindsWatched);
    const noted: ObjectEntry[] = [];
    const history = new ObjectHistory({
      note: (entry) => void (entry.type === 'object' && noted.push(entry)),
      lastNoted,
    });
    const of = <K extends KindName>(kind: K) => {
      const observer = history.observerOf(kind);
      return new KnownObjects(kind, cluster, observer === undefined ? {} : { observer });
    };
    return { noted, of };
  };
  const told = (noted: readonly ObjectEntry[]): readonly string[] =>
    noted.map(({ kind, name, verb, by, fields = [] }) => `${kind}/${name} ${verb} by ${by}: ${JSON.stringify(fields)}`);

  it('tells which fields of what, and who wrote last; of a first list nothing', () => {
    const { noted, of } = world();
    const peers = of('bgpPeers');
    const kubectl = written('kubectl-edit', '2026-12-01T08:00:00Z');
    peers.listed([peers.kept(peer(1, 65001, [kubectl]))]);
    const agent = written('tortie', '2026-12-01T09:00:00Z', 'status');
    peers.upsert(peers.kept(peer(2, 65002, [written('argocd', '2026-12-01T08:30:00Z'), kubectl, agent])));
    peers.deleted(peer(2, 65002));
    expect(told(noted)).to.deep.equal([
      'BGPPeer/rack changed by argocd: [{"path":"spec.asNumber","before":"65001","after":"65002"}]',
      'BGPPeer/rack deleted by undefined: []',
    ]);
  });

  it('tells of what was changed while nobody watched, and of nothing that was noted', () => {
    const at = '2026-12-01T08:00:00.500Z';
    for (const [time, count] of [
      ['2026-12-01T07:59:59Z', 0],
      ['2026-12-01T08:00:00Z', 1],
      ['2026-12-01T08:00:01Z', 1],
    ] as const) {
      const { noted, of } = world(at);
      const peers = of('bgpPeers');
      peers.listed([peers.kept(peer(1, 65001, [written('kubectl', time)]))]);
      expect(
        noted.map(({ verb, by }) => `${verb} ${by}`),
        time,
      ).to.deep.equal(count === 0 ? [] : ['found kubectl']);
    }
  });

  it('tells no value of a Secret, and no long one; nothing of a status, nothing of pods', () => {
    const { noted, of } = world();
    const [secrets, nodes, peers, pods] = [of('secrets'), of('nodes'), of('bgpPeers'), of('pods')];
    for (const each of [secrets, nodes, peers, pods]) each.listed([]);
    const secret = (version: string, key: string): Secret => ({
      metadata: { name: 'keys', namespace: 'tortie-system', uid: 's', resourceVersion: version },
      data: { rack: key },
    });
    secrets.upsert(secrets.kept(secret('1', 'b25l')));
    secrets.upsert(secrets.kept(secret('2', 'dHdv')));
    expect(JSON.stringify(noted)).to.not.match(/b25l|dHdv/);
    expect(noted.at(-1))
      .to.include({ name: 'tortie-system/keys', verb: 'changed' })
      .and.have.deep.property('fields', [{ path: 'data.rack' }]);
    const node = (version: string, ready: 'True' | 'False', unschedulable = false): Node => ({
      metadata: { name: 'n1', uid: 'n', resourceVersion: version },
      spec: { unschedulable },
      status: { conditions: [{ type: 'Ready', status: ready }] },
    });
    nodes.upsert(nodes.kept(node('1', 'True')));
    const before = noted.length;
    nodes.upsert(nodes.kept(node('2', 'False')));
    pods.upsert(pods.kept({ metadata: { name: 'p', namespace: 'shop' }, spec: { containers: [] } }));
    expect(noted).to.have.length(before);
    nodes.upsert(nodes.kept(node('3', 'False', true)));
    expect(noted.at(-1)?.fields).to.deep.equal([{ path: 'spec.unschedulable', before: 'false', after: 'true' }]);
    peers.upsert(peers.kept(peer(1, 65001)));
    const long = { ...peer(2, 65001), spec: { peerIP: '192.0.2.1', asNumber: 65001, nodeSelector: 'x'.repeat(100) } };
    peers.upsert(peers.kept(long));
    expect(noted.at(-1)?.fields).to.deep.equal([{ path: 'spec.nodeSelector' }]);
  });
});
