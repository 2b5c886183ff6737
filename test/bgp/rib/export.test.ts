/** Who is told what, and how it is changed on the way. What is not said about a path in a test is the plainest there is. */
import { expect } from 'chai';
import { addressToBytes, formatAddress, parseAddress, parsePrefix } from 'node-bgp/address';
import type { PathAttributes } from 'node-bgp/codec/attribute';
import type { FilterConfig } from 'node-bgp/config';
import { compilePolicy } from 'node-bgp/filter/policy';
import type { NotAdvertised, PeerVerdict, RibPeer } from 'node-bgp/rib/index';
import { reach, ribPeer, RibWorld, sequence } from './rib-world.js';

const PREFIX = '192.0.2.0/24';
const NO_EXPORT = 0xffffff01;

type Partner = Partial<RibPeer> & Pick<RibPeer, 'role'>;

/** One path from `from` (or our own), and what `to` is told of it. */
function told(
  from: Partner | 'local',
  attributes: Partial<PathAttributes>,
  to: Partner,
  nextHop = '10.1.0.1',
): PeerVerdict {
  const world = new RibWorld();
  world.up(ribPeer('to', { at: '10.2.0.1', remoteAs: to.role === 'ebgp' ? 65100 : 65000, ...to }));
  if (from === 'local') world.originate([{ prefix: parsePrefix(PREFIX), attributes }]);
  else {
    world.up(ribPeer('from', { at: '10.1.0.1', ...from }));
    world.announce('from', reach(PREFIX, nextHop, attributes));
  }
  world.settle();
  const verdict = world.rib.queries.why(parsePrefix(PREFIX)).peers.find(({ peer }) => peer === 'to');
  if (verdict === undefined) throw new Error('The peer has no verdict');
  expect(world.peer('to').heard.has(PREFIX), 'what goes over the wire agrees with the answer').to.equal(
    verdict.advertised,
  );
  return verdict;
}

const EBGP: Partner = { role: 'ebgp' };
const IBGP: Partner = { role: 'ibgp' };
const CLIENT: Partner = { role: 'rr-client' };
const PATH = { asPath: sequence(65001) };

describe('Export', () => {
  describe('whether', () => {
    const cases: readonly (readonly [
      string,
      Partner | 'local',
      Partial<PathAttributes>,
      Partner,
      NotAdvertised | undefined,
    ])[] = [
      ['eBGP to eBGP', EBGP, PATH, EBGP, undefined],
      ['eBGP to iBGP', EBGP, PATH, IBGP, undefined],
      ['our own to both', 'local', {}, IBGP, undefined],
      ['not iBGP to iBGP (4271 9.2)', IBGP, {}, IBGP, 'ibgp-to-ibgp'],
      ['client to non-client (4456 6)', CLIENT, {}, IBGP, undefined],
      ['non-client to client (4456 6)', IBGP, {}, CLIENT, undefined],
      ['client to client (4456 6)', CLIENT, {}, CLIENT, undefined],
      ['iBGP to eBGP', IBGP, {}, EBGP, undefined],
      ['NO_ADVERTISE to nobody (1997)', EBGP, { ...PATH, communities: [0xffffff02] }, IBGP, 'no-advertise'],
      ['NO_EXPORT not to another AS (1997)', EBGP, { ...PATH, communities: [NO_EXPORT] }, EBGP, 'no-export'],
      ['NO_EXPORT inside the AS (1997)', EBGP, { ...PATH, communities: [NO_EXPORT] }, IBGP, undefined],
      ['NO_EXPORT_SUBCONFED not to another AS (1997)', EBGP, { ...PATH, communities: [0xffffff03] }, EBGP, 'no-export'],
      ['OTC not to a provider (9234 5)', EBGP, { ...PATH, otc: 65001 }, { ...EBGP, localRole: 'customer' }, 'otc-leak'],
      ['OTC to a customer (9234 5)', EBGP, { ...PATH, otc: 65001 }, { ...EBGP, localRole: 'provider' }, undefined],
      [
        'long-lived stale only to who knows it (9494 4.3)',
        EBGP,
        { ...PATH, communities: [0xffff0006] },
        EBGP,
        'long-lived-stale',
      ],
      [
        'long-lived stale to who knows it (9494 4.3)',
        EBGP,
        { ...PATH, communities: [0xffff0006] },
        { ...EBGP, longLivedGracefulRestart: true },
        undefined,
      ],
      ['nothing where we have no next hop', EBGP, PATH, { ...EBGP, families: [{ family: 4 }] }, 'no-next-hop'],
      [
        'nothing in a family the session lacks',
        EBGP,
        PATH,
        { ...EBGP, families: [{ family: 6, nextHopSelf: new Uint8Array(16).fill(1) }] },
        'family-not-negotiated',
      ],
      [
        'nothing that does not fit a message',
        EBGP,
        { ...PATH, communities: Array.from({ length: 1011 }, (_, i) => i + 1) },
        EBGP,
        'too-big',
      ],
      [
        'that which fits an extended message (8654)',
        EBGP,
        { ...PATH, communities: Array.from({ length: 1011 }, (_, i) => i + 1) },
        { ...EBGP, extendedMessage: true },
        undefined,
      ],
    ];
    for (const [about, from, attributes, to, code] of cases)
      it(about, () => {
        const verdict = told(from, attributes, to);
        expect(verdict.code).to.equal(code);
        expect(verdict.advertised).to.equal(code === undefined);
        expect(verdict.reason).to.match(/^[A-Z].+[^.]$/);
      });

    it('not back to the peer it came from', () => {
      const world = new RibWorld();
      world.up(ribPeer('from', { at: '10.1.0.1', ...EBGP }));
      world.announce('from', reach(PREFIX, '10.1.0.1', PATH));
      world.settle();
      expect(world.rib.queries.why(parsePrefix(PREFIX)).peers.map(({ code }) => code)).to.deep.equal([
        'learned-from-this-peer',
      ]);
      expect(world.peer('from').heard.size).to.equal(0);
      expect(world.rib.queries.counts(world.peer('from').id, 4)).to.deep.equal({
        received: 1,
        accepted: 1,
        stale: 0,
        advertised: 0,
      });
    });

    it('not what policy rejects', () => {
      const exportPolicy = {
        key: 'none',
        dependsOnPrefix: false,
        dependsOnPeer: false,
        judge: () => ({ type: 'reject' as const }),
      };
      expect(told(EBGP, PATH, { ...EBGP, exportPolicy }).code).to.equal('rejected-by-policy');
    });

    it('nothing of a prefix that nobody has', () => {
      const world = new RibWorld();
      world.up(ribPeer('to', { at: '10.2.0.1', ...EBGP }));
      expect(world.rib.queries.why(parsePrefix(PREFIX)).peers[0]?.code).to.equal('unknown-prefix');
    });
  });

  describe('from a reflector to its routers', () => {
    /** Blocks of our pools whoever learned them, and nothing that came from a router. */
    const safety: FilterConfig = {
      rules: [
        {
          name: 'pools',
          match: {
            source: ['local', 'ibgp'],
            prefixes: [
              { prefix: '10.65.0.0/16', maxLength: 32 },
              { prefix: 'fd65::/48', maxLength: 128 },
            ],
          },
          action: 'accept',
        },
      ],
      default: 'reject',
    };
    const router = (name: string, at: string, remoteAs: number): RibPeer =>
      ribPeer(name, {
        role: 'ebgp',
        at,
        remoteAs,
        exportPolicy: compilePolicy({ safety }, ['safety'], {
          direction: 'export',
          peerType: 'ebgp',
          name,
          address: parseAddress(at),
          remoteAs,
          localAs: 65000,
        }),
      });

    it('own blocks go whoever of the cluster learned them; routes of one router do not go to the other', () => {
      const world = new RibWorld();
      world.up(ribPeer('client', { role: 'rr-client', at: '10.9.0.2' }));
      world.up(ribPeer('mesh', { role: 'ibgp', at: '10.9.0.3' }));
      world.up(router('tor1', '10.1.0.1', 65001));
      world.up(router('tor2', '10.2.0.1', 65002));
      world.originate([{ prefix: parsePrefix('10.65.1.0/26') }]);
      world.announce('client', reach('10.65.2.0/26', '10.9.0.2'), reach('fd65::40/122', 'fd00::2'));
      world.announce('client', reach('203.0.113.0/24', '10.9.0.2'));
      world.announce('mesh', reach('10.65.3.0/26', '10.9.0.3'));
      world.announce('tor1', reach('198.51.100.0/24', '10.1.0.1', { asPath: sequence(65001) }));
      world.announce('tor1', reach('10.65.4.0/26', '10.1.0.1', { asPath: sequence(65001) }));
      world.settle();
      const blocks = ['10.65.1.0/26', '10.65.2.0/26', '10.65.3.0/26', 'fd65::40/122'];
      for (const name of ['tor1', 'tor2'])
        expect([...world.peer(name).heard.keys()].sort(), name).to.deep.equal(blocks);
      const to = (prefix: string) =>
        world.rib.queries.why(parsePrefix(prefix)).peers.find(({ peer }) => peer === 'tor2');
      expect(to('10.65.2.0/26')).to.deep.include({
        nextHop: parseAddress('10.0.0.254'),
        rule: { filter: 'safety', index: 0, name: 'pools' },
      });
      expect(to('198.51.100.0/24')).to.deep.include({ code: 'rejected-by-policy', rule: { filter: 'safety' } });
    });
  });

  describe('what', () => {
    const attributes = (...args: Parameters<typeof told>): PathAttributes | undefined => told(...args).attributes;
    const path = (...args: Parameters<typeof told>): number[] | undefined =>
      attributes(...args)?.asPath.flatMap(({ members }) => members);

    it('to another AS: our AS in front, no LOCAL_PREF, no MED of a neighbour, nothing of reflection (4271 5.1)', () => {
      const sent = attributes(
        IBGP,
        { asPath: sequence(65001), localPreference: 300, med: 7, originatorId: 5, clusterList: [6] },
        EBGP,
      );
      expect(sent).to.deep.equal({ origin: 'igp', asPath: sequence(65000, 65001) });
    });
    it('our own MED goes to another AS', () => expect(attributes('local', { med: 7 }, EBGP)?.med).to.equal(7));
    it('inside the AS: LOCAL_PREF always, MED kept, path as it is (4271 5.1)', () => {
      expect(attributes(EBGP, { ...PATH, med: 7 }, IBGP)).to.deep.equal({
        origin: 'igp',
        asPath: sequence(65001),
        med: 7,
        localPreference: 100,
      });
    });
    it('reflected: ORIGINATOR_ID of the source, our cluster in front (4456 8)', () => {
      const sent = attributes({ ...CLIENT, routerId: 77 }, { clusterList: [9] }, IBGP);
      expect([sent?.originatorId, sent?.clusterList]).to.deep.equal([77, [0x0a0000fe, 9]]);
      expect(attributes({ ...CLIENT, routerId: 77 }, { originatorId: 5 }, IBGP)?.originatorId).to.equal(5);
    });
    it('drained by the neighbour: LOCAL_PREF 0 for all of us (8326)', () =>
      expect(attributes(EBGP, { ...PATH, communities: [0xffff0000] }, IBGP)?.localPreference).to.equal(0));
    it('drained by us: GRACEFUL_SHUTDOWN on everything, once (8326)', () => {
      expect(attributes('local', {}, { ...EBGP, gracefulShutdown: true })?.communities).to.deep.equal([0xffff0000]);
      expect(
        attributes('local', { communities: [5, 0xffff0000] }, { ...EBGP, gracefulShutdown: true })?.communities,
      ).to.deep.equal([5, 0xffff0000]);
    });
    it('OTC is added towards a customer (9234 5)', () =>
      expect(attributes(EBGP, PATH, { ...EBGP, localRole: 'provider' })?.otc).to.equal(65000));
    it('as-override puts our AS for theirs', () =>
      expect(path(EBGP, { asPath: sequence(65001, 65100, 65100) }, { ...EBGP, asOverride: true })).to.deep.equal([
        65000, 65001, 65000, 65000,
      ]));
    it('remove-private-as takes out private numbers, or the whole path only if it is all private', () => {
      expect(
        path(EBGP, { asPath: sequence(64999, 3356, 4200000000) }, { ...EBGP, removePrivateAs: 'all' }),
      ).to.deep.equal([65000, 3356]);
      expect(path(EBGP, { asPath: sequence(64999, 3356) }, { ...EBGP, removePrivateAs: 'only-private' })).to.deep.equal(
        [65000, 64999, 3356],
      );
      expect(
        path(EBGP, { asPath: sequence(64999, 65001) }, { ...EBGP, removePrivateAs: 'only-private' }),
      ).to.deep.equal([65000]);
    });
    it('local-as: the AS of the session in front of our own', () =>
      expect(path(EBGP, PATH, { ...EBGP, localAs: 64900 })).to.deep.equal([64900, 65000, 65001]));
    it('extended communities that are not transitive stay inside (4360)', () => {
      const extendedCommunities = [0x4002000000000001n, 0x0002000000000002n];
      expect(attributes(EBGP, { ...PATH, extendedCommunities }, EBGP)?.extendedCommunities).to.deep.equal([
        0x0002000000000002n,
      ]);
      expect(attributes(EBGP, { ...PATH, extendedCommunities }, IBGP)?.extendedCommunities).to.deep.equal(
        extendedCommunities,
      );
    });
    it('an old peer gets AS_TRANS and AS4_PATH, and they merge to the real path (6793)', () => {
      const world = new RibWorld();
      world.up(ribPeer('old', { role: 'ebgp', at: '10.2.0.1', remoteAs: 65100, fourOctetAs: false }));
      world.up(ribPeer('from', { role: 'ebgp', at: '10.1.0.1' }));
      world.announce('from', reach(PREFIX, '10.1.0.1', { asPath: sequence(65001, 4200000001) }));
      world.settle();
      expect(world.peer('old').heard.get(PREFIX)).to.contain('[65000,65001,4200000001]');
    });
  });

  describe('next hop', () => {
    const hop = (...args: Parameters<typeof told>): string | undefined => {
      const { nextHop } = told(...args);
      return nextHop && formatAddress(nextHop);
    };
    it('to another AS: ourselves', () => expect(hop(EBGP, PATH, EBGP)).to.equal('10.0.0.254'));
    it('inside the AS: as it came', () => expect(hop(EBGP, PATH, IBGP)).to.equal('10.1.0.1'));
    it('of our own prefixes: ourselves', () => expect(hop('local', {}, IBGP)).to.equal('10.0.0.254'));
    it('as configured', () => {
      expect(hop(EBGP, PATH, { ...IBGP, nextHop: { type: 'self' } })).to.equal('10.0.0.254');
      expect(hop(EBGP, PATH, { ...EBGP, nextHop: { type: 'unchanged' } })).to.equal('10.1.0.1');
      expect(hop(EBGP, PATH, { ...EBGP, nextHop: { type: 'address', address: parseAddress('10.9.9.9') } })).to.equal(
        '10.9.9.9',
      );
    });
    it('that policy chose stays, also to another AS', () => {
      const exportPolicy = {
        key: 'hop',
        dependsOnPrefix: false,
        dependsOnPeer: false,
        judge: () => ({ type: 'accept' as const, nextHop: parseAddress('10.7.7.7') }),
      };
      expect(hop(EBGP, PATH, { ...EBGP, exportPolicy })).to.equal('10.7.7.7');
    });
    it('for IPv4 may be IPv6 where that was agreed (8950)', () => {
      const nextHopSelf = addressToBytes(parseAddress('fd00::fe'));
      expect(hop(EBGP, PATH, { ...EBGP, families: [{ family: 4, nextHopSelf, extendedNextHop: true }] })).to.equal(
        'fd00::fe',
      );
      expect(told(EBGP, PATH, { ...EBGP, families: [{ family: 4, nextHopSelf }] }).code).to.equal('no-next-hop');
    });
    it('with link-local octets goes out with them (2545)', () => {
      const world = new RibWorld();
      const nextHopSelf = Uint8Array.from([
        ...addressToBytes(parseAddress('fd00::fe')),
        ...addressToBytes(parseAddress('fe80::1')),
      ]);
      world.up(ribPeer('to', { role: 'ebgp', at: 'fd00::2', families: [{ family: 6, nextHopSelf }] }));
      world.originate([{ prefix: parsePrefix('2001:db8::/32') }]);
      world.settle();
      expect(world.peer('to').heard.get('2001:db8::/32')).to.match(
        new RegExp(`via ${Buffer.from(nextHopSelf).toString('hex')}$`),
      );
    });
  });
});
