import { expect } from 'chai';
import type { SpeakerConfig } from 'node-bgp/config';
import type { PeerDetail } from 'node-bgp/speaker/view';
import { verifyTors, type TorCheck } from '../../src/tor/verify.js';
import { peer as summary } from '../doctor/world.js';

const OFFERS = [2, 64, 65].map((code) => ({ code, name: 'x', value: 'x' }));
const detail = (more: Partial<PeerDetail> = {}): PeerDetail => ({
  ...summary({ families: { ipv4: { received: 3, accepted: 3, stale: 0, advertised: 2 } } }),
  holdTime: 90,
  capabilities: {},
  offers: { theirs: OFFERS },
  timers: {},
  errors: {},
  stale: [],
  maxPrefixes: 10_000,
  importFilters: [],
  exportFilters: [],
  ...more,
});
const wanted = (more = {}): SpeakerConfig => ({
  localAs: 64512,
  routerId: '192.0.2.1',
  peers: [{ name: 'rack', address: '192.0.2.254', remoteAs: 65001, families: ['ipv4'], ...more }],
});
const counts = (more = {}) => ({ families: { ipv4: { received: 3, accepted: 3, stale: 0, advertised: 2, ...more } } });

const CASES: readonly (readonly [TorCheck, string, SpeakerConfig, Partial<PeerDetail>, RegExp])[] = [
  [
    'session',
    'is down',
    wanted(),
    { isEstablished: false, state: 'Active', lastError: 'refused' },
    /^The session is Active: refused$/,
  ],
  ['families', 'lacks a family', wanted({ families: ['ipv4', 'ipv6'] }), {}, /does not offer ipv6/],
  [
    'graceful-restart',
    'does not keep routes',
    wanted(),
    { offers: { theirs: OFFERS.slice(0, 1) } },
    /drops our routes whenever bgpd restarts/,
  ],
  ['route-refresh', 'cannot be asked again', wanted(), { offers: { theirs: OFFERS.slice(1) } }, /route refresh/],
  [
    'four-octet-as',
    'knows small numbers only',
    wanted(),
    { localAs: 4_200_000_000, offers: { theirs: OFFERS.slice(0, 2) } },
    /ours is 4200000000/,
  ],
  ['hold-time', 'has a lower hold time', wanted(), { holdTime: 30 }, /agreed on is 30 s; 90 s is wanted/],
  ['bfd', 'has no BFD', wanted({ bfd: {} }), { bfd: 'down' }, /^BFD is down/],
  ['heard', 'announces nothing', wanted(), counts({ received: 0, accepted: 0 }), /announces nothing over ipv4/],
  [
    'heard',
    'announces what is not accepted',
    wanted(),
    counts({ accepted: 1 }),
    /^Of 3 prefixes over ipv4 1 are accepted$/,
  ],
  ['told', 'is told nothing', wanted(), counts({ advertised: 0 }), /We announce nothing/],
];

describe('tor-verify', () => {
  const verify = (config: SpeakerConfig, ...peers: readonly PeerDetail[]) =>
    verifyTors(config, peers, ({ name }) => name !== 'mesh-b');
  it('finds nothing where all is as intended', () =>
    expect(verify(wanted(), detail(), detail({ name: 'mesh-b', isEstablished: false }))).to.deep.equal({
      peers: ['rack'],
      findings: [],
    }));
  for (const [check, what, config, changes, evidence] of CASES)
    it(`says when the router ${what}`, () => {
      const { findings } = verify(config, detail(changes));
      const found = findings.filter((each) => each.check === check);
      expect(found, JSON.stringify(findings)).to.have.length(1);
      expect(found[0]?.where).to.equal('rack (192.0.2.254)');
      expect(found[0]?.evidence).to.match(evidence);
    });
});
