/** Each step of the decision process (RFC 4271 section 9.1.2.2, RFC 4456 section 9): which path wins, and what the loser is told. */
import { expect } from 'chai';
import { parsePrefix } from 'node-bgp/address';
import type { PathAttributes } from 'node-bgp/codec/attribute';
import type { DecisionStep, RibOptions, RibPeer } from 'node-bgp/rib/index';
import { reach, ribPeer, RibWorld, sequence } from './rib-world.js';

const PREFIX = '192.0.2.0/24';

interface Side {
  readonly attributes?: Partial<PathAttributes>;
  readonly peer?: Partial<RibPeer> & { readonly role?: RibPeer['role']; readonly at?: string };
  readonly nextHop?: string;
}

interface Case {
  readonly step: DecisionStep;
  readonly about: string;
  readonly winner: Side;
  readonly loser: Side;
  readonly reason: string;
  readonly options?: Partial<RibOptions>;
}

const path = (...members: number[]): Partial<PathAttributes> => ({ asPath: sequence(...members) });

const CASES: readonly Case[] = [
  {
    step: 'long-lived-stale',
    about: 'a fresh path beats a long-lived stale one (RFC 9494 section 4.3)',
    winner: { attributes: path(65001, 1, 2, 3) },
    loser: { attributes: { ...path(65001), communities: [0xffff0006] } },
    reason: 'It has long-lived stale, a better path has fresh',
  },
  {
    step: 'weight',
    about: 'the greater weight wins over LOCAL_PREF',
    winner: { peer: { weight: 10 }, attributes: path(65001) },
    loser: { peer: { role: 'ibgp' }, attributes: { ...path(65001), localPreference: 900 } },
    reason: 'It has weight 0, a better path has weight 10',
  },
  {
    step: 'local-preference',
    about: 'the greater LOCAL_PREF wins over a shorter path',
    winner: { peer: { role: 'ibgp' }, attributes: { ...path(1, 2, 3), localPreference: 101 } },
    loser: { attributes: path(65001) },
    reason: 'It has LOCAL_PREF 100, a better path has LOCAL_PREF 101',
  },
  {
    step: 'as-path-length',
    about: 'the shorter AS_PATH wins',
    winner: { attributes: { ...path(65001, 2), origin: 'incomplete' } },
    loser: { attributes: path(65001, 2, 3) },
    reason: 'It has an AS_PATH of 3, a better path has an AS_PATH of 2',
  },
  {
    step: 'as-path-length',
    about: 'an AS_SET counts as one',
    loser: { attributes: path(65001, 2, 3) },
    winner: { attributes: { asPath: [...sequence(65001), { type: 'set', members: [2, 3, 4, 5] }] } },
    reason: 'It has an AS_PATH of 3, a better path has an AS_PATH of 2',
  },
  {
    step: 'origin',
    about: 'IGP beats incomplete',
    winner: { attributes: { ...path(65001), med: 50 } },
    loser: { attributes: { ...path(65001), origin: 'incomplete' } },
    reason: 'It has ORIGIN incomplete, a better path has ORIGIN IGP',
  },
  {
    step: 'med',
    about: 'the lower MED of one neighbouring AS wins, also over eBGP',
    winner: { peer: { role: 'ibgp' }, attributes: { ...path(65001), med: 5 } },
    loser: { attributes: { ...path(65001), med: 6 } },
    reason: 'It has MED 6, a better path has MED 5',
  },
  {
    step: 'med',
    about: 'a missing MED is the lowest (section 9.1.2.2 c)',
    winner: { peer: { at: '10.1.0.9' }, attributes: path(65001) },
    loser: { attributes: { ...path(65001), med: 1 } },
    reason: 'It has MED 1, a better path has MED 0',
  },
  {
    step: 'med',
    about: 'of different neighbouring AS too, where asked for',
    options: { alwaysCompareMed: true },
    winner: { peer: { at: '10.1.0.9' }, attributes: { ...path(65002), med: 1 } },
    loser: { attributes: { ...path(65001), med: 2 } },
    reason: 'It has MED 2, a better path has MED 1',
  },
  {
    step: 'ebgp-over-ibgp',
    about: 'eBGP beats iBGP',
    winner: { peer: { at: '10.1.0.9' }, attributes: path(65001) },
    loser: { peer: { role: 'ibgp', at: '10.1.0.1' }, attributes: path(65001) },
    reason: 'It has iBGP, a better path has eBGP',
  },
  {
    step: 'igp-metric',
    about: 'the nearer next hop wins',
    winner: { peer: { role: 'ibgp', at: '10.1.0.9' }, nextHop: '10.1.0.9' },
    loser: { peer: { role: 'ibgp', at: '10.1.0.1' }, nextHop: '172.16.0.1' },
    reason: 'It has a next hop at metric 1, a better path has a next hop at metric 0',
  },
  {
    step: 'router-id',
    about: 'the lower router id wins',
    winner: { peer: { at: '10.1.0.9', routerId: 1 }, attributes: path(65002) },
    loser: { peer: { routerId: 2 }, attributes: path(65001) },
    reason: 'It has router id 0.0.0.2, a better path has router id 0.0.0.1',
  },
  {
    step: 'router-id',
    about: 'ORIGINATOR_ID stands for the router id (RFC 4456 section 9)',
    winner: { peer: { role: 'ibgp', at: '10.1.0.9', routerId: 9 }, attributes: { originatorId: 1 } },
    loser: { peer: { role: 'ibgp', at: '10.1.0.1', routerId: 2 } },
    reason: 'It has router id 0.0.0.2, a better path has router id 0.0.0.1',
  },
  {
    step: 'cluster-list-length',
    about: 'the shorter CLUSTER_LIST wins (RFC 4456 section 9)',
    winner: { peer: { role: 'ibgp', at: '10.1.0.9', routerId: 1 }, attributes: { clusterList: [5] } },
    loser: { peer: { role: 'ibgp', at: '10.1.0.1', routerId: 1 }, attributes: { clusterList: [5, 6] } },
    reason: 'It has a CLUSTER_LIST of 2, a better path has a CLUSTER_LIST of 1',
  },
  {
    step: 'peer-address',
    about: 'the lower peer address wins in the end',
    winner: { peer: { at: '10.1.0.3', routerId: 1 } },
    loser: { peer: { at: '10.1.0.9', routerId: 1 } },
    reason: 'It has peer 10.1.0.9, a better path has peer 10.1.0.3',
  },
];

/** Both orders of arrival: the outcome must not depend on it. */
function decide({ winner, loser, options }: Case, winnerFirst: boolean): RibWorld {
  const world = new RibWorld(options);
  world.connect([{ prefix: parsePrefix('10.1.0.0/24'), interfaceName: 'eth1' }]);
  world.up(ribPeer('carrier', { role: 'ebgp', at: '10.1.0.77' }));
  world.announce('carrier', reach('172.16.0.0/16', '10.1.0.77', path(65001)));
  const sides = [
    ['winner', winner, '10.1.0.2'],
    ['loser', loser, '10.1.0.4'],
  ] as const;
  for (const [name, side, at] of winnerFirst ? sides : [...sides].reverse()) {
    const { role = 'ebgp', ...more } = side.peer ?? {};
    const peer = ribPeer(name, { role, at, singleHop: false, ...more });
    world.up(peer);
    world.announce(name, reach(PREFIX, side.nextHop ?? '10.1.0.50', { ...side.attributes }));
  }
  world.settle();
  return world;
}

describe('Decision', () => {
  for (const each of CASES)
    it(`${each.step}: ${each.about}`, () => {
      for (const winnerFirst of [true, false]) {
        const { candidates } = decide(each, winnerFirst).rib.queries.why(parsePrefix(PREFIX));
        expect(
          candidates.map(({ source, decidedBy, reason }) => [
            source.type === 'local' ? '' : source.peer,
            decidedBy,
            reason,
          ]),
        ).to.deep.equal([
          ['winner', each.step, candidates[0]?.reason],
          ['loser', each.step, each.reason],
        ]);
        expect(candidates[0]?.isBest).to.equal(true);
      }
    });

  it('prefers a prefix of our own to any other, whatever its weight', () => {
    const world = new RibWorld();
    world.up(ribPeer('peer', { role: 'ebgp', at: '10.1.0.2', weight: 65535 }));
    world.announce('peer', reach(PREFIX, '10.1.0.2', path(65001)));
    world.originate([{ prefix: parsePrefix(PREFIX) }]);
    world.settle();
    const [best, learned] = world.rib.queries.why(parsePrefix(PREFIX)).candidates;
    expect(best?.source.type).to.equal('local');
    expect(learned?.decidedBy).to.equal('local-origin');
    expect([...world.forwarding], 'a learned route for our own prefix is never installed').to.deep.equal([]);
  });

  it('compares MED inside groups of one neighbouring AS, so that order of arrival does not matter', () => {
    // The classic trap: pairwise, a beats b (router id), b beats c (router id), c beats a (MED).
    const sides: readonly (readonly [string, number, Partial<PathAttributes>])[] = [
      ['a', 1, { ...path(65001), med: 20 }],
      ['b', 2, { ...path(65002), med: 0 }],
      ['c', 3, { ...path(65001), med: 10 }],
    ];
    for (const order of [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ]) {
      const world = new RibWorld();
      for (const i of order) {
        const [name, routerId, attributes] = sides[i] as (typeof sides)[number];
        world.up(ribPeer(name, { role: 'ebgp', at: `10.1.0.${routerId}`, routerId }));
        world.announce(name, reach(PREFIX, `10.1.0.${routerId}`, attributes));
      }
      const why = world.rib.queries
        .why(parsePrefix(PREFIX))
        .candidates.map(({ source, decidedBy }) => `${source.type === 'local' ? '' : source.peer} ${decidedBy}`);
      expect(why, order.join()).to.deep.equal(['b router-id', 'c router-id', 'a med']);
    }
  });

  it('says that a path is alone', () => {
    const world = new RibWorld();
    world.up(ribPeer('peer', { role: 'ebgp', at: '10.1.0.2' }));
    world.announce('peer', reach(PREFIX, '10.1.0.2', path(65001)));
    const [only] = world.rib.queries.why(parsePrefix(PREFIX)).candidates;
    expect([only?.decidedBy, only?.reason]).to.deep.equal(['only-path', 'It is the only usable path']);
  });

  describe('multipath', () => {
    const world = (options: Partial<RibOptions>, third: Partial<PathAttributes> = path(65003)): RibWorld => {
      const made = new RibWorld(options);
      made.connect([{ prefix: parsePrefix('10.1.0.0/24'), interfaceName: 'eth1' }]);
      for (const [i, attributes] of [path(65001), path(65002), third].entries()) {
        const at = `10.1.0.${i + 1}`;
        made.up(ribPeer(`p${i + 1}`, { role: 'ebgp', at }));
        made.announce(`p${i + 1}`, reach(PREFIX, at, attributes));
      }
      made.settle();
      return made;
    };
    const hops = (made: RibWorld): number => (made.forwarding.get(PREFIX) ?? '').split(' ').length;

    it('shares among all that are equal before the tie-breaks', () => expect(hops(world({}))).to.equal(3));
    it('leaves out what lost before', () => expect(hops(world({}, path(65003, 1)))).to.equal(2));
    it('takes no more than the limit', () => expect(hops(world({ multipath: { ebgp: 2 } }))).to.equal(2));
    it('wants the same AS_PATH when told so', () =>
      expect(hops(world({ multipath: { relaxAsPath: false } }, path(65001)))).to.equal(2));
    it('marks them in answers', () => {
      const { candidates } = world({ multipath: { ebgp: 2 } }).rib.queries.why(parsePrefix(PREFIX));
      expect(candidates.map(({ isBest, isMultipath }) => [isBest, isMultipath])).to.deep.equal([
        [true, true],
        [false, true],
        [false, false],
      ]);
    });
  });
});
