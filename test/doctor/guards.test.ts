import { expect } from 'chai';
import type { BGPFilter, BGPPeer } from '../../src/api/bgp.js';
import type { KubeObject } from '../../src/api/meta.js';
import { GUARDS } from '../../src/doctor/checks/cluster.js';
import { formatGuards, standingGuards, type GuardFacts } from '../../src/doctor/guards.js';

const NONE: GuardFacts = { bgpPeers: [], bgpConfigurations: [], bgpFilters: [], ipPools: [], policies: GUARDS };
const peer = (name: string, spec: Partial<BGPPeer['spec']>, guard?: string): BGPPeer =>
  ({ metadata: { name, ...(guard && { annotations: { 'tortie.dev/guard': guard } }) }, spec }) as BGPPeer;
const configuration = (guard: string): KubeObject => ({
  metadata: { name: 'default', annotations: { 'tortie.dev/guard': guard } },
});
const filter = (name: string, action: 'Accept' | 'Reject'): BGPFilter => ({
  metadata: { name },
  spec: { exportV6: [{ action }] },
});
const standing = (facts: Partial<GuardFacts>): Readonly<Record<string, string>> =>
  Object.fromEntries(standingGuards({ ...NONE, ...facts }).map(({ guard, stands }) => [guard, stands]));

describe('doctor: guards', () => {
  it('says of each whether it stands', () => {
    expect(standing({})).to.deep.equal({
      'max-prefixes': 'on',
      'own-routes-only': 'on',
      'no-transit': 'on',
      'own-addresses': 'on',
      'flaps-told': 'on',
      'plain-changes': 'off',
      'tokens-of-nodes': 'on',
    });
  });

  it('says what somebody has widened, and with what', () => {
    const facts: Partial<GuardFacts> = {
      bgpPeers: [peer('wide', { maxPrefixes: 500_000 }), peer('filtered', { filters: ['open', 'closed'] })],
      bgpFilters: [filter('open', 'Accept'), filter('closed', 'Reject'), filter('unused', 'Accept')],
      policies: GUARDS.slice(1),
    };
    expect(standing(facts)).to.include({
      'max-prefixes': 'part',
      'own-routes-only': 'part',
      'no-transit': 'part',
      'tokens-of-nodes': 'part',
    });
    const text = formatGuards(standingGuards({ ...NONE, ...facts }));
    expect(text).to.contain('and more for wide 500000').and.contain('but for what open let through');
    expect(text).to.contain('no ValidatingAdmissionPolicy changes.tortie.dev').and.not.contain('unused');
    expect(standing({ policies: undefined })['tokens-of-nodes']).to.equal('unknown');
    expect(standing({ policies: [] })['tokens-of-nodes']).to.equal('off');
  });

  it('knows who asks for changes to be held', () => {
    const plain = (facts: Partial<GuardFacts>): string | undefined => standing(facts)['plain-changes'];
    expect(plain({ bgpConfigurations: [configuration('required')] })).to.equal('on');
    expect(plain({ bgpPeers: [peer('a', {}, 'required')] })).to.equal('part');
    expect(plain({ bgpPeers: [peer('a', {}, 'required')], bgpConfigurations: [configuration('off')] })).to.equal('off');
  });
});
