/** The text of `tortie bgp why`. */
import { expect } from 'chai';
import type { WhyJson } from '../../../src/bgpd/route-view.js';
import { formatWhy } from '../../../src/bgpd/show/route-text.js';

const PAIR = { nextHop: '2001:db8::1', linkLocalNextHop: 'fe80::1' };
const WHY: WhyJson = {
  prefix: '2001:db8:65::/48',
  isKnown: true,
  candidates: [
    {
      ...PAIR,
      prefix: '2001:db8:65::/48',
      source: 'ebgp',
      peer: 'tor1',
      isBest: true,
      isMultipath: true,
      isStale: false,
      weight: 0,
      origin: 'igp',
      asPath: '65001',
      decidedBy: 'only-path',
      reason: 'It is the only usable path',
    },
  ],
  peers: [
    { peer: 'node2', advertised: true, reason: 'The best path passes export', asPath: '65001', ...PAIR },
    { peer: 'node3', advertised: false, reason: 'Community NO_ADVERTISE', code: 'no-advertise' },
  ],
};

describe('text of why', () => {
  it('shows both halves of an IPv6 next hop, of what came and of what goes out', () => {
    const lines = formatWhy(WHY).split('\n');
    expect(lines).to.include('1. BEST: from tor1 via 2001:db8::1 (fe80::1)');
    expect(lines).to.include('   node2: yes [65001], The best path passes export, next hop 2001:db8::1 (fe80::1)');
    expect(lines).to.include('   node3: no, Community NO_ADVERTISE');
  });
});
