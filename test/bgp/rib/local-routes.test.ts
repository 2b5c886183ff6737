import { expect } from 'chai';
import { formatPrefix, parsePrefix } from 'node-bgp/address';
import type { LocalRoute } from 'node-bgp/rib/index';
import type { RoutePolicy } from 'node-bgp/rib/policy';
import { ribPeer, RibWorld, type WirePeer } from './rib-world.js';

const own = (prefix: string, more: Partial<LocalRoute> = {}): LocalRoute => ({ prefix: parsePrefix(prefix), ...more });
const blocksOnly: RoutePolicy = {
  key: 'blocks',
  dependsOnPrefix: true,
  dependsOnPeer: false,
  judge: ({ tags }) => ({ type: tags.includes('block') ? 'accept' : 'reject' }),
};

function world(exportPolicy?: RoutePolicy): { world: RibWorld; to: WirePeer } {
  const made = new RibWorld();
  return {
    world: made,
    to: made.up(
      ribPeer('to', { role: 'ebgp', at: '10.2.0.1', remoteAs: 65002, ...(exportPolicy && { exportPolicy }) }),
    ),
  };
}

describe('Local routes', () => {
  it('are exactly the last set stated, and the difference is all that is sent', () => {
    const { world: made, to } = world();
    made.originate([own('10.65.0.0/26'), own('10.65.1.0/26'), own('fd00::/122')]);
    made.settle();
    expect([...to.heard.keys()].sort()).to.deep.equal(['10.65.0.0/26', '10.65.1.0/26', 'fd00::/122']);
    const { updates } = to;
    made.originate([own('10.65.0.0/26'), own('10.65.2.0/26'), own('fd00::/122')]);
    made.settle();
    expect([...to.heard.keys()].sort()).to.deep.equal(['10.65.0.0/26', '10.65.2.0/26', 'fd00::/122']);
    expect(to.updates - updates).to.equal(2);
    made.originate(made.local);
    made.settle();
    expect(to.updates - updates, 'the same set again is nothing new').to.equal(2);
    made.originate([]);
    made.settle();
    expect(to.heard.size).to.equal(0);
  });

  it('go to filters with their tags, also when only those change', () => {
    const { world: made, to } = world(blocksOnly);
    made.originate([own('10.65.0.0/26', { tags: ['block'] }), own('192.168.0.1/32', { tags: ['node'] })]);
    made.settle();
    expect([...to.heard.keys()]).to.deep.equal(['10.65.0.0/26']);
    made.originate([own('10.65.0.0/26', { tags: ['service'] }), own('192.168.0.1/32', { tags: ['node', 'block'] })]);
    made.settle();
    expect([...to.heard.keys()]).to.deep.equal(['192.168.0.1/32']);
    expect(made.rib.queries.lookup({ family: 4, value: 0x0a410001n })?.tags).to.deep.equal(['service']);
  });

  it('carry the attributes given', () => {
    const { world: made, to } = world();
    made.originate([own('10.65.0.0/26', { attributes: { communities: [7], origin: 'incomplete' } })]);
    made.settle();
    expect(to.heard.get('10.65.0.0/26')).to.contain('["communities",[7]]').and.to.contain('["origin","incomplete"]');
  });

  describe('aggregates (4271 9.2.2.2)', () => {
    const aggregate = (summaryOnly: boolean): LocalRoute =>
      own('10.65.0.0/16', { aggregate: { summaryOnly, asSet: false } });
    const heard = (...routes: LocalRoute[]): string[] => {
      const { world: made, to } = world();
      made.originate(routes);
      made.settle();
      return [...to.heard.keys()].sort();
    };

    it('stand only while something more specific does', () => {
      expect(heard(aggregate(false))).to.deep.equal([]);
      expect(heard(aggregate(false), own('10.66.0.0/26'))).to.deep.equal(['10.66.0.0/26']);
      expect(heard(aggregate(false), own('10.65.1.0/26'))).to.deep.equal(['10.65.0.0/16', '10.65.1.0/26']);
    });
    it('stand for their parts when told so', () =>
      expect(heard(aggregate(true), own('10.65.1.0/26'), own('10.66.0.0/26'))).to.deep.equal([
        '10.65.0.0/16',
        '10.66.0.0/26',
      ]));
    it('give their parts back when they go', () => {
      const { world: made, to } = world();
      made.originate([aggregate(true), own('10.65.1.0/26')]);
      made.settle();
      expect(made.rib.queries.why(parsePrefix('10.65.1.0/26')).peers[0]?.code).to.equal('summary-only');
      made.originate([own('10.65.1.0/26')]);
      made.settle();
      expect([...to.heard.keys()]).to.deep.equal(['10.65.1.0/26']);
    });
    it('name who made them, and the set of AS they hide (5.1.6, 5.1.7)', () => {
      const parts = [own('10.65.1.0/26', { attributes: { asPath: [{ type: 'sequence', members: [65009] }] } })];
      for (const asSet of [false, true]) {
        const { world: made } = world();
        made.originate([own('10.65.0.0/16', { aggregate: { summaryOnly: true, asSet } }), ...parts]);
        const [path] = made.rib.queries.paths(parsePrefix('10.65.0.0/16'));
        expect(path?.attributes.aggregator?.as).to.equal(65000);
        expect(path?.attributes.atomicAggregate).to.equal(asSet ? undefined : true);
        expect(path?.attributes.asPath).to.deep.equal(asSet ? [{ type: 'set', members: [65009] }] : []);
      }
    });
  });

  it('come in lists of slices', () => {
    const { world: made } = world();
    made.originate(Array.from({ length: 2300 }, (_, i) => own(`20.${i >> 8}.${i & 255}.0/24`)));
    const slices = [...made.rib.queries.best(4)];
    expect(slices.flat().length).to.equal(2300);
    expect(slices.every(({ length }) => length <= 1000)).to.equal(true);
    expect(slices.flat().map(({ prefix }) => formatPrefix(prefix))).to.include('20.8.251.0/24');
  });
});
