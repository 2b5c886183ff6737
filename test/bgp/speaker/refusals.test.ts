import { expect } from 'chai';
import { Refusals } from 'node-bgp/speaker/refusals';

describe('bgp/speaker refusals', () => {
  it('are told once per address and reason, a hundred at the most, and again a minute later', () => {
    let now = 0;
    const refusals = new Refusals({ now: () => now });
    expect([
      refusals.isNews('10.0.0.1', 'a'),
      refusals.isNews('10.0.0.1', 'a'),
      refusals.isNews('10.0.0.1', 'b'),
    ]).to.deep.equal([true, false, true]);
    const told = Array.from({ length: 1000 }, (_, i) => refusals.isNews(`fd00::${i}`, 'a')).filter((isTold) => isTold);
    expect(told).to.have.length(98);
    now = 59_999;
    expect(refusals.isNews('10.0.0.2', 'a')).to.equal(false);
    now = 60_000;
    expect([refusals.isNews('10.0.0.1', 'a'), refusals.isNews('10.0.0.2', 'a')]).to.deep.equal([true, true]);
  });
});
