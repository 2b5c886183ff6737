import { expect } from 'chai';
import { Cluster } from '../../src/cluster/cluster.js';
import { OnDemandWatch } from '../../src/cluster/on-demand-watch.js';
import type { Datastore, Watch } from '../../src/datastore/datastore.js';

describe('cluster/on-demand-watch', () => {
  it('watches a kind once, from when somebody needs it, and nobody waits for it', async () => {
    const started: string[] = [];
    let stopped = 0;
    const cluster = new Cluster(['nodes'], ['services']);
    const watch: Datastore['watch'] = (kind): Watch => {
      started.push(kind);
      return { stop: () => void stopped++ };
    };
    const later = new OnDemandWatch({ watch }, cluster);
    const listed: string[] = [];
    cluster.onListed((kind) => listed.push(kind));

    expect(cluster.all('services').size).to.equal(0);
    cluster.firstListDone('nodes');
    await cluster.synced;
    expect(started).to.deep.equal([]);

    later.need('services');
    later.need('services');
    expect(started).to.deep.equal(['services']);
    expect(cluster.isListed('services')).to.equal(false);
    cluster.upsert('services', { metadata: { name: 'web', namespace: 'shop' } });
    cluster.firstListDone('services');
    expect(cluster.isListed('services')).to.equal(true);
    expect(listed).to.deep.equal(['nodes', 'services']);

    later.stop();
    later.need('pods');
    expect([stopped, started]).to.deep.equal([1, ['services']]);
  });
});
