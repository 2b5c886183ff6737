import { expect } from 'chai';
import { latenciesOf, quantile, type Flip } from '../../../bench/load/latency.js';

describe('bench/load/latency', () => {
  const flip = (isAllowed: boolean, sentAt: number): Flip => ({ isAllowed, sentAt, acknowledgedAt: sentAt + 2_000 });
  /** One datagram a millisecond, answered from one time to another. */
  const answeredBetween = (from: number, to: number): readonly number[] =>
    Array.from({ length: (to - from) / 1000 }, (_, index) => from + index * 1000);
  const measure = (flips: readonly Flip[], answered: readonly number[]) =>
    latenciesOf(flips, answered, 1_000, 400_000).map(({ sinceAcknowledged }) => sinceAcknowledged);

  it('is the first answer after an opening, and the end of answers after a closing', () => {
    const flips = [flip(true, 100_000), flip(false, 200_000)];
    expect(measure(flips, answeredBetween(107_000, 212_000))).to.deep.equal([5, 10]);
  });

  it('is nothing where the packet filter was faster than the acknowledgement', () => {
    const flips = [flip(true, 100_000), flip(false, 200_000)];
    expect(measure(flips, answeredBetween(101_000, 200_000))).to.deep.equal([0, 0]);
  });

  it('is not known where the next change came first', () => {
    expect(measure([flip(true, 100_000), flip(false, 200_000)], [])).to.deep.equal([undefined, 0]);
    expect(
      measure([flip(true, 100_000), flip(false, 200_000), flip(true, 300_000)], answeredBetween(102_000, 400_000)),
    ).to.deep.equal([0, undefined, 0]);
  });

  it('takes a single answer after a gap for an open flow', () => {
    expect(
      measure([flip(true, 100_000), flip(false, 200_000)], [...answeredBetween(102_000, 200_000), 250_000]),
    ).to.deep.equal([0, 49]);
  });

  it('counts a share of the values from below', () => {
    const values = Array.from({ length: 200 }, (_, index) => index + 1);
    expect([quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)]).to.deep.equal([100, 198, 200]);
  });
});
