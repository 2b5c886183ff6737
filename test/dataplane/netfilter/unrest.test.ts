import { expect } from 'chai';
import { Unrest } from '../../../src/dataplane/netfilter/unrest.js';

describe('netfilter/unrest', () => {
  it('lets a few repairs follow at once, then puts them off ever longer, up to a bound', () => {
    const unrest = new Unrest();
    const waits: number[] = [];
    for (let now = 0, i = 0; i < 12; i++) {
      unrest.repaired(now);
      waits.push(unrest.wait(now));
      now += unrest.wait(now) + 1;
    }
    expect(waits.slice(0, 9)).to.deep.equal([0, 0, 0, 0, 0, 250, 500, 1000, 2000]);
    expect(Math.max(...waits)).to.be.at.most(5_000);
  });

  it('says so while it lasts, and forgets it', () => {
    const unrest = new Unrest();
    for (let i = 0; i < 5; i++) unrest.repaired(i);
    expect(unrest.describe(10)).to.equal(undefined);
    unrest.repaired(10);
    expect(unrest.describe(20)).to.match(
      /^Somebody keeps changing Tortie's rules: put back 6 times in 10 s; looking again 0\.25 s/,
    );
    expect(unrest.describe(20_000)).to.equal(undefined);
    unrest.repaired(20_000);
    expect(unrest.wait(20_000)).to.equal(0);
  });
});
