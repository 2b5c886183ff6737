/** The ring of changes of best paths. */
import { expect } from 'chai';
import { formatPrefix, parsePrefix } from 'node-bgp/address';
import { reach, ribPeer, RibWorld, sequence } from './rib-world.js';

describe('Route history', () => {
  const texts = (world: RibWorld): string[] =>
    [...world.rib.queries.changes()].map(
      ({ at, type, prefix, peer }) => `${at} ${type} ${formatPrefix(prefix)} ${peer ?? '-'}`,
    );

  it('has every change of a best path, with its source, also when the source is gone', () => {
    let now = 0;
    const world = new RibWorld({ wallTime: () => now });
    world.up(ribPeer('a', { role: 'ebgp', at: '10.0.0.1' }));
    world.up(ribPeer('b', { role: 'ebgp', at: '10.0.0.2', remoteAs: 65002 }));
    world.settle();
    now = 1;
    world.announce(
      'a',
      reach('10.65.0.0/24', '10.0.0.1', { asPath: sequence(65001, 7) }),
      reach('fd65::/64', 'fd00::1', { asPath: sequence(65001) }),
    );
    world.settle();
    now = 2;
    world.announce('b', reach('10.65.0.0/24', '10.0.0.2', { asPath: sequence(65002) }));
    now = 3;
    world.announce('a', reach('10.65.0.0/24', '10.0.0.1', { asPath: sequence(65001, 8) }));
    world.settle();
    now = 4;
    world.down('b', 'drop');
    world.settle();
    world.down('a', 'drop');
    world.settle();
    world.originate([{ prefix: parsePrefix('10.64.0.0/24') }]);
    world.settle();
    expect(texts(world)).to.deep.equal([
      '1 added 10.65.0.0/24 a',
      '1 added fd65::/64 a',
      '2 changed 10.65.0.0/24 b',
      '4 changed 10.65.0.0/24 a',
      '4 withdrawn 10.65.0.0/24 a',
      '4 withdrawn fd65::/64 a',
      '4 added 10.64.0.0/24 -',
    ]);
  });

  it('has one time for all that comes before the work of a turn is done', () => {
    let now = 1;
    const world = new RibWorld({ wallTime: () => now });
    world.up(ribPeer('a', { role: 'ebgp', at: '10.0.0.1' }));
    world.settle();
    for (now = 2; now < 5; now++)
      world.announce('a', reach('10.65.0.0/24', '10.0.0.1', { asPath: sequence(65001), med: now }));
    world.settle();
    world.announce('a', reach('10.65.0.0/24', '10.0.0.1', { asPath: sequence(65001), med: now }));
    expect(texts(world).map((text) => text.slice(0, 9))).to.deep.equal([
      '2 added 1',
      '2 changed',
      '2 changed',
      '5 changed',
    ]);
  });

  it('is bounded, and not kept without a clock', () => {
    const world = new RibWorld({ wallTime: () => 5 });
    world.up(ribPeer('a', { role: 'ebgp', at: '10.0.0.1' }));
    for (let i = 0; i < 9000; i++)
      world.announce('a', reach(`10.65.${i & 255}.0/24`, '10.0.0.1', { asPath: sequence(65001), med: i }));
    expect(texts(world).length).to.equal(8192);
    expect(texts(world).at(-1)).to.equal(`5 changed 10.65.${8999 & 255}.0/24 a`);
    const silent = new RibWorld();
    silent.originate([{ prefix: parsePrefix('10.64.0.0/24') }]);
    expect(texts(silent)).to.deep.equal([]);
  });
});
