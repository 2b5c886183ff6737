import { expect } from 'chai';
import { LingeringSets } from '../../../src/dataplane/netfilter/lingering-sets.js';

describe('LingeringSets', () => {
  it('waits longer each time, then gives up for good', () => {
    const sets = new LingeringSets();
    const pauses: number[] = [];
    let now = 1_000;
    while (sets.met('a', now)) {
      const next = sets.nextTryAt(() => true);
      if (next === undefined) throw new Error('nothing waits');
      expect(sets.isWaiting('a', now)).to.equal(true);
      pauses.push(next - now);
      now = next;
      expect(sets.isWaiting('a', now)).to.equal(false);
    }
    expect(pauses.slice(0, 7)).to.deep.equal([10, 20, 40, 80, 160, 320, 320]);
    expect(now - 1_000).to.be.within(3_000, 3_500);
    expect(
      sets.nextTryAt(() => true),
      'the backoff takes over',
    ).to.equal(undefined);
    expect(sets.met('a', now + 60_000)).to.equal(false);
  });

  it('forgets what is gone or wanted again', () => {
    const sets = new LingeringSets();
    sets.met('a', 0);
    expect(sets.nextTryAt(() => false)).to.equal(undefined);
    sets.met('b', 0);
    sets.gone('b');
    expect(sets.nextTryAt(() => true)).to.equal(undefined);
  });
});
