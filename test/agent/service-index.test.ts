import { expect } from 'chai';
import fc from 'fast-check';
import { formatPrefix } from 'node-bgp/address';
import { ServiceIndex } from '../../src/agent/service-index.js';
import type { EndpointSlice, Service } from '../../src/api/core.js';
import { Cluster } from '../../src/cluster/cluster.js';

const service = (name: string, externalIP: string, policy: 'Local' | 'Cluster' = 'Local'): Service => ({
  metadata: { name, namespace: 'shop' },
  spec: { clusterIP: '10.96.0.1', externalIPs: [externalIP], externalTrafficPolicy: policy },
});
const slice = (name: string, of: string | undefined, node: string, ready = true): EndpointSlice => ({
  metadata: { name, namespace: 'shop', labels: of === undefined ? {} : { 'kubernetes.io/service-name': of } },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.65.0.1'], nodeName: node, conditions: { ready } }],
});

/** A copy of the cluster, the index over it, and what it calls news. */
function world(): { cluster: Cluster; index: ServiceIndex; news: boolean[] } {
  const cluster = new Cluster(['endpointSlices', 'services']);
  const index = new ServiceIndex(cluster, 'node1');
  const news: boolean[] = [];
  cluster.onChange((change) => news.push(index.changed(change)));
  return { cluster, index, news };
}
const externals = (index: ServiceIndex): readonly string[] =>
  index
    .addresses()
    .filter(({ kind }) => kind === 'external')
    .map(({ prefix }) => formatPrefix(prefix))
    .sort();

describe('agent/service-index', () => {
  it('is empty until it is filled, then has what came before', () => {
    const { cluster, index, news } = world();
    cluster.upsert('endpointSlices', slice('a', 'web', 'node1'));
    cluster.upsert('services', service('web', '192.0.2.1'));
    expect([externals(index), news]).to.deep.equal([[], [false, false]]);
    index.fill();
    expect(externals(index)).to.deep.equal(['192.0.2.1/32']);
  });

  it('calls news only what changes an address that may be announced', () => {
    const { cluster, index, news } = world();
    index.fill();
    const heard = (): boolean | undefined => news.at(-1);
    cluster.upsert('services', service('web', '192.0.2.1'));
    expect(heard(), 'no endpoint yet').to.equal(false);
    cluster.upsert('endpointSlices', slice('a', 'web', 'node2'));
    expect(heard(), 'an endpoint elsewhere').to.equal(false);
    cluster.upsert('endpointSlices', slice('b', 'web', 'node1'));
    expect([heard(), externals(index)]).to.deep.equal([true, ['192.0.2.1/32']]);
    cluster.upsert('endpointSlices', slice('c', 'web', 'node1'));
    expect(heard(), 'one more here').to.equal(false);
    cluster.upsert('endpointSlices', slice('b', 'web', 'node1', false));
    expect(heard(), 'one of two goes').to.equal(false);
    cluster.upsert('endpointSlices', slice('c', 'other', 'node1'));
    expect([heard(), externals(index)], 'the last is relabelled').to.deep.equal([true, []]);
    cluster.upsert('services', service('other', '192.0.2.2'));
    expect([heard(), externals(index)]).to.deep.equal([true, ['192.0.2.2/32']]);
    cluster.delete('endpointSlices', slice('c', 'other', 'node1'));
    expect([heard(), externals(index)]).to.deep.equal([true, []]);
  });

  it('ends the same after any history as when it is filled at the end', () => {
    const names = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('service' as const),
        name: names,
        ip: fc.constantFrom('192.0.2.1', '192.0.2.2', 'rubbish'),
        policy: fc.constantFrom('Local' as const, 'Cluster' as const),
        goes: fc.boolean(),
      }),
      fc.record({
        kind: fc.constant('slice' as const),
        name: names,
        of: fc.option(names, { nil: undefined }),
        node: fc.constantFrom('node1', 'node2'),
        ready: fc.boolean(),
        goes: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { cluster, index, news } = world();
        index.fill();
        for (const each of steps) {
          const before = externals(index).join();
          if (each.kind === 'service')
            cluster[each.goes ? 'delete' : 'upsert']('services', service(each.name, each.ip, each.policy));
          else
            cluster[each.goes ? 'delete' : 'upsert'](
              'endpointSlices',
              slice(each.name, each.of, each.node, each.ready),
            );
          if (externals(index).join() !== before) expect(news.at(-1)).to.equal(true);
        }
        const anew = new ServiceIndex(cluster, 'node1');
        anew.fill();
        expect(externals(index)).to.deep.equal(externals(anew));
      }),
    );
  });
});
