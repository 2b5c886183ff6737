/** How often the patrol looks; what it finds is netfilter.test.ts's. */
import { expect } from 'chai';
import { pauseAfter } from '../../../src/dataplane/netfilter/patrol.js';

describe('netfilter patrol', () => {
  for (const [what, lastDuration, pause] of [
    ['as often as it may where a look is quick', 2, 400],
    ['for a hundredth of the time where that is every few seconds', 30, 3_000],
    ['every ten seconds where it is not', 200, 10_000],
    ['for a twentieth of the time at most', 1_000, 20_000],
  ] as const)
    it(`looks ${what}`, () => expect(pauseAfter(lastDuration, 400)).to.equal(pause));
});
