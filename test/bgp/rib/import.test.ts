/** What is let in, and what import policy makes of it. */
import { expect } from 'chai';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import type { PathAttributes } from 'node-bgp/codec/attribute';
import type { Candidate, RibPeer, Unusable } from 'node-bgp/rib/index';
import type { PolicyVerdict, RoutePolicy } from 'node-bgp/rib/policy';
import { LOCAL_AS, reach, ribPeer, RibWorld, ROUTER_ID, sequence } from './rib-world.js';

const PREFIX = '192.0.2.0/24';

function candidate(
  peer: Partial<RibPeer> & Pick<RibPeer, 'role'>,
  attributes: Partial<PathAttributes>,
  nextHop = '10.1.0.1',
): Candidate | undefined {
  const world = new RibWorld();
  world.connect([{ prefix: parsePrefix('10.1.0.0/24'), interfaceName: 'eth1' }]);
  world.up(ribPeer('from', { at: '10.1.0.1', ...peer }));
  world.announce('from', reach(PREFIX, nextHop, attributes));
  return world.rib.queries.why(parsePrefix(PREFIX)).candidates[0];
}

const policy = (judge: RoutePolicy['judge'], more: Partial<RoutePolicy> = {}): RoutePolicy => ({
  key: `${Math.random()}`,
  dependsOnPrefix: false,
  dependsOnPeer: false,
  judge,
  ...more,
});
const always = (verdict: PolicyVerdict): RoutePolicy => policy(() => verdict);

describe('Import', () => {
  const cases: readonly (readonly [
    string,
    Partial<RibPeer> & Pick<RibPeer, 'role'>,
    Partial<PathAttributes>,
    Unusable | undefined,
    string?,
  ])[] = [
    ['takes a path', { role: 'ebgp' }, { asPath: sequence(65001) }, undefined],
    ['refuses our own AS in the path (4271 9.1.2)', { role: 'ebgp' }, { asPath: sequence(65001, LOCAL_AS) }, 'as-loop'],
    [
      'takes it as often as allowed',
      { role: 'ebgp', allowLocalAs: 1 },
      { asPath: sequence(65001, LOCAL_AS) },
      undefined,
    ],
    [
      'and not more often',
      { role: 'ebgp', allowLocalAs: 1 },
      { asPath: sequence(65001, LOCAL_AS, LOCAL_AS) },
      'as-loop',
    ],
    [
      'refuses the AS of the session too (local-as)',
      { role: 'ebgp', localAs: 64900 },
      { asPath: sequence(65001, 64900) },
      'as-loop',
    ],
    ['refuses our ORIGINATOR_ID (4456 8)', { role: 'ibgp' }, { originatorId: ROUTER_ID }, 'originator-loop'],
    ['refuses our cluster (4456 8)', { role: 'ibgp' }, { clusterList: [1, ROUTER_ID] }, 'cluster-loop'],
    ['refuses our own address as next hop (4271 5.1.3)', { role: 'ibgp' }, {}, 'next-hop-is-ours', '10.0.0.254'],
    [
      'refuses a next hop off the link from a direct neighbour',
      { role: 'ebgp' },
      { asPath: sequence(65001) },
      'next-hop-unreachable',
      '10.200.0.1',
    ],
    [
      'refuses OTC from a customer (9234 5)',
      { role: 'ebgp', localRole: 'provider' },
      { asPath: sequence(65001), otc: 65001 },
      'otc-leak',
    ],
    [
      'refuses foreign OTC from a peer (9234 5)',
      { role: 'ebgp', localRole: 'peer' },
      { asPath: sequence(65001), otc: 65009 },
      'otc-leak',
    ],
    [
      'takes its own OTC from a peer (9234 5)',
      { role: 'ebgp', localRole: 'peer' },
      { asPath: sequence(65001), otc: 65001 },
      undefined,
    ],
    [
      'refuses what policy rejects',
      { role: 'ebgp', importPolicy: always({ type: 'reject' }) },
      { asPath: sequence(65001) },
      'rejected-by-policy',
    ],
  ];
  for (const [about, peer, attributes, unusable, nextHop] of cases)
    it(about, () => {
      const found = candidate(peer, attributes, nextHop);
      expect(found?.unusable).to.equal(unusable);
      expect(found?.isBest).to.equal(unusable === undefined);
      expect(found?.reason).to.match(/^[A-Z].+[^.]$/);
    });

  it('stamps what comes from a provider with its AS (9234 5)', () =>
    expect(candidate({ role: 'ebgp', localRole: 'customer' }, { asPath: sequence(65001) })?.attributes.otc).to.equal(
      65001,
    ));

  it('lets policy change attributes, next hop and weight', () => {
    const importPolicy = policy(({ attributes }) => ({
      type: 'accept',
      attributes: { ...attributes, localPreference: 7 },
      nextHop: parseAddress('10.1.0.9'),
      weight: 3,
    }));
    const found = candidate({ role: 'ebgp', importPolicy }, { asPath: sequence(65001) });
    expect([found?.attributes.localPreference, found?.nextHop, found?.weight]).to.deep.equal([
      7,
      parseAddress('10.1.0.9'),
      3,
    ]);
  });

  it('shows paths as they came, also those kept out', () => {
    const world = new RibWorld();
    const importPolicy = policy(
      ({ prefix, attributes }) =>
        prefix?.length === 24 ? { type: 'reject' } : { type: 'accept', attributes: { ...attributes, med: 1 } },
      { dependsOnPrefix: true },
    );
    const { id } = world.up(ribPeer('from', { role: 'ebgp', at: '10.1.0.1', importPolicy }));
    world.announce(
      'from',
      reach('192.0.2.0/24', '10.1.0.1', { asPath: sequence(65001) }),
      reach('192.0.0.0/16', '10.1.0.1', { asPath: sequence(65001) }),
    );
    const list = (when: 'before-policy' | 'after-policy') =>
      [...world.rib.queries.received(id, 4, when)]
        .flat()
        .map(({ prefix, attributes }) => [prefix.length, attributes.med]);
    expect(list('before-policy')).to.deep.equal([
      [24, undefined],
      [16, undefined],
    ]);
    expect(list('after-policy')).to.deep.equal([[16, 1]]);
    expect(world.rib.queries.counts(id, 4)).to.deep.equal({ received: 2, accepted: 1, stale: 0, advertised: 0 });
  });

  it('asks a policy that ignores prefixes once for all prefixes of a set, one that does not once each', () => {
    for (const [dependsOnPrefix, expected] of [
      [false, 1],
      [true, 3],
    ] as const) {
      let asked = 0;
      const importPolicy = policy(
        () => {
          asked++;
          return { type: 'accept' };
        },
        { dependsOnPrefix },
      );
      const world = new RibWorld();
      world.up(ribPeer('from', { role: 'ebgp', at: '10.1.0.1', importPolicy }));
      world.announce(
        'from',
        ...['10.0.0.0/8', '11.0.0.0/8', '12.0.0.0/8'].map((prefix) =>
          reach(prefix, '10.1.0.1', { asPath: sequence(65001) }),
        ),
      );
      expect(asked).to.equal(expected);
    }
  });

  it('is redone from what is there when policy changes, both ways, without asking the peer', () => {
    const world = new RibWorld();
    const plain = ribPeer('from', { role: 'ebgp', at: '10.1.0.1' });
    const { id } = world.up(plain);
    const to = world.up(ribPeer('to', { role: 'ibgp', at: '10.2.0.1' }));
    world.announce('from', reach(PREFIX, '10.1.0.1', { asPath: sequence(65001) }));
    world.settle();
    expect([...to.heard.keys()]).to.deep.equal([PREFIX]);
    world.rib.peerChanged(id, { ...plain, importPolicy: always({ type: 'reject' }) });
    world.settle();
    expect([...to.heard.keys()]).to.deep.equal([]);
    world.rib.peerChanged(id, {
      ...plain,
      importPolicy: policy(({ attributes }) => ({ type: 'accept', attributes: { ...attributes, localPreference: 5 } })),
    });
    world.settle();
    expect(to.heard.get(PREFIX)).to.contain('"localPreference",5');
    world.rib.peerChanged(id, plain);
    world.settle();
    expect(to.heard.get(PREFIX)).to.contain('"localPreference",100');
  });
});
