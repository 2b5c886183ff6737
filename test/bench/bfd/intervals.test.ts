import { expect } from 'chai';
import { intervalsOf } from '../../../bench/bfd/intervals.js';

const line = (milliseconds: number, source: string): string =>
  `${(milliseconds / 1000).toFixed(6)} IP ${source}.50000 > 10.20.0.9.3784: UDP, length 24`;

describe('bench/bfd/intervals', () => {
  it('measures one side, within the time asked for', () => {
    const capture = [
      'listening on dR',
      ...[0, 40, 90, 130, 330, 370].map((at) => line(1_000_000 + at, '10.0.0.1')),
      line(1_000_050, '10.0.0.2'),
    ].join('\n');
    expect(intervalsOf(capture, '10.0.0.1', 1_000_000, 1_000_400)).to.deep.equal({
      count: 5,
      median: 40,
      p99: 200,
      longest: 200,
    });
    expect(intervalsOf(capture, '10.0.0.1', 1_000_000, 1_000_200)).to.include({ count: 3, longest: 50 });
  });
  it('does not take silence for short intervals', () => {
    expect(intervalsOf('', '10.0.0.1', 0, 2_000_000)).to.equal(undefined);
    expect(intervalsOf(line(1_000_000, '10.0.0.1'), '10.0.0.1', 0, 2_000_000)).to.equal(undefined);
    expect(
      intervalsOf([line(1_000_000, '10.0.0.1'), line(1_000_050, '10.0.0.1')].join('\n'), '10.0.0.2', 0, 2_000_000),
    ).to.equal(undefined);
  });
});
