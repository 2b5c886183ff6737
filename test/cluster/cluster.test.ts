import { expect } from 'chai';
import type { IPPool } from '../../src/api/ipam.js';
import { Cluster, type ClusterChange } from '../../src/cluster/cluster.js';

const pool = (metadata: Partial<IPPool['metadata']>, cidr = '10.65.0.0/16'): IPPool => ({
  metadata: { name: 'pods', uid: 'u', generation: 1, ...metadata },
  spec: { cidr },
});

describe('cluster', () => {
  let cluster: Cluster;
  let changes: ClusterChange[];

  beforeEach(() => {
    cluster = new Cluster(['ipPools', 'nodes']);
    changes = [];
    cluster.onChange((change) => changes.push(change));
  });

  /** Whether the second version of an object is told as a change of its status alone. */
  const isStatusOnly = (first: IPPool, second: IPPool): boolean => {
    cluster.upsert('ipPools', first);
    cluster.upsert('ipPools', second);
    expect(changes[0]?.isStatusOnly).to.equal(undefined);
    return changes[1]?.isStatusOnly === true;
  };

  it('knows a change of nothing but the status by the generation', () => {
    const conditions = { status: { conditions: [] } };
    expect(isStatusOnly(pool({}), { ...pool({ resourceVersion: '2' }), ...conditions } as IPPool)).to.equal(true);
  });

  for (const [what, second] of [
    ['another generation', pool({ generation: 2 }, '10.66.0.0/16')],
    ['other labels', pool({ labels: { team: 'a' } })],
    ['other annotations', pool({ annotations: { note: 'b' } })],
    ['another object of the name', pool({ uid: 'v' })],
    ['one that is going', pool({ deletionTimestamp: '2026-12-01T00:00:00Z' })],
  ] as const)
    it(`takes ${what} for more than that`, () => expect(isStatusOnly(pool({}), second)).to.equal(false));

  it('takes nothing for that where the server counts no generations', () => {
    cluster.upsert('nodes', { metadata: { name: 'n', uid: 'u' } });
    cluster.upsert('nodes', { metadata: { name: 'n', uid: 'u', resourceVersion: '2' } });
    expect(changes[1]?.isStatusOnly).to.equal(undefined);
  });
});
