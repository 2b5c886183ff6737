/** Each promise of the soak, kept and broken. */
import { expect } from 'chai';
import { formatVerdict, isGood, judge, type Observation, type Sample } from '../../../bench/soak/verdict.js';

const MINUTE = 60_000;
const AT = Date.parse('2026-01-01T00:00:00Z');

/** A sample every ten seconds; `megabytes` by minute. */
const samples = (minutes: number, megabytes: (minute: number) => number): readonly Sample[] =>
  Array.from({ length: minutes * 6 }, (_, k) => ({
    seconds: (k + 1) * 10,
    residentMegabytes: megabytes((k + 1) / 6),
    cpuSeconds: k,
  }));

const GOOD: Observation = {
  minutes: 30,
  rate: 100,
  sent: 180_000,
  late: 0,
  flaps: 60,
  samples: samples(30, (minute) => 130 + (minute < 3 ? -30 : 2 * Math.sin(minute * 7))),
  losses: [],
  silences: [],
  bfdPackets: { ours: 41_000, peer: 41_000 },
  steady: { timesEstablished: 1, bfdFailures: 0 },
  differences: { 'best routes': 0 },
  stalls: [],
};
const broken = (seen: Partial<Observation>): readonly string[] =>
  judge({ ...GOOD, ...seen })
    .filter(({ outcome }) => outcome === 'BROKEN')
    .map(({ promise, evidence }) => `${promise}: ${evidence}`);
const loss = (reason: string): Observation['losses'] => [{ at: AT, peer: 'bird', reason }];

describe('bench/soak/verdict', () => {
  it('is good when everything held', () => {
    const rows = judge(GOOD);
    expect(rows.map(({ outcome }) => outcome)).to.deep.equal(rows.map(() => 'kept'));
    expect([isGood(rows), formatVerdict(rows).split('\n').at(-2)]).to.deep.equal([true, 'good']);
  });

  it('names in its last line what broke, and is not good', () => {
    const rows = judge({ ...GOOD, late: 3, differences: { 'best routes': 2, 'routes in bird': 0 } });
    expect([isGood(rows), formatVerdict(rows).split('\n').at(-2)]).to.deep.equal([
      false,
      'BROKEN: churn as ordered, none late, all tables equal the model',
    ]);
  });

  const cases: readonly (readonly [what: string, seen: Partial<Observation>, ...words: RegExp[]])[] = [
    ['an end before the end', { problem: 'bgpd ended' }, /^it ran to its end: bgpd ended$/],
    ['updates that were late', { late: 1 }, /^churn as ordered, none late: .* 1 late/],
    ['fewer updates than ordered', { sent: 170_000 }, /^churn as ordered, none late: .* 94\/s of 100\/s ordered/],
    [
      'memory that grows',
      { samples: samples(30, (minute) => 100 + minute) },
      /^memory is flat: .* peak 115 MB in the first half and 130 MB in the second, slope there 1\.00 MB\/min$/,
    ],
    [
      'memory that grows after a peak',
      { samples: samples(30, (minute) => (minute < 10 ? 150 : 110 + minute)) },
      /^memory is flat: /,
    ],
    [
      'memory that takes a step up',
      { samples: samples(30, (minute) => (minute < 20 ? 120 : 135)) },
      /^memory is flat: /,
    ],
    [
      'a lost session',
      { losses: loss('hold timer expired') },
      /^no session lost: bird at 2026-01-01T00:00:00.000Z: hold timer expired$/,
    ],
    [
      'a loss that only bgpd has counted',
      { steady: { timesEstablished: 2, bfdFailures: 0 } },
      /^no session lost: bgpd counts 2 times/,
    ],
    [
      'a failure of BFD that only bgpd has counted',
      { steady: { timesEstablished: 1, bfdFailures: 1 } },
      /^BFD 50 ms x 3 never false: 0 failures; bgpd counts 1/,
    ],
    [
      'a bgpd that does not answer',
      { steady: undefined },
      /^no session lost: bgpd could not be asked/,
      /^BFD 50 ms x 3 never false: 0 failures; bgpd counts nothing/,
    ],
    [
      'a capture without our packets',
      { bfdPackets: { ours: 0, peer: 41_000 } },
      /^BFD watched all the time: 0 packets of ours and 41000 of the peer on the wire, at least 34200 expected$/,
    ],
    ['a capture without the peer’s', { bfdPackets: { ours: 41_000, peer: 30_000 } }, /^BFD watched all the time/],
    [
      'a table that differs',
      { differences: { 'best routes': 0, 'routes in the kernel': 7 } },
      /^all tables equal the model: routes in the kernel: 7 differ$/,
    ],
    ['tables that were never compared', { differences: {} }, /^all tables equal the model: never compared$/],
  ];
  for (const [what, seen, ...words] of cases)
    it(`breaks over ${what}`, () => {
      const found = broken(seen);
      expect(found).to.have.length(words.length);
      for (const [index, pattern] of words.entries()) expect(found[index]).to.match(pattern);
    });

  it('bears breathing, growth before the warm-up is over, and a little of it', () => {
    expect(
      broken({ samples: samples(30, (minute) => (minute < 6 ? 20 * minute : 130 + (minute % 2 === 0 ? 8 : 0))) }),
    ).to.deep.equal([]);
    expect(broken({ samples: samples(30, (minute) => 100 + 0.3 * minute) })).to.deep.equal([]);
    // As seen: a young generation given back after four minutes and taken again after thirteen.
    expect(
      broken({ samples: samples(30, (minute) => (minute < 4 || minute > 13 ? 135 : 110) + minute / 15) }),
    ).to.deep.equal([]);
  });

  it('judges memory from six minutes on, and says so where it does not', () => {
    const short = { ...GOOD, minutes: 4, sent: 24_000, samples: samples(4, (minute) => 100 + 50 * minute) };
    expect(formatVerdict(judge(short))).to.match(
      /not judged +memory is flat .*the run is too short\n[\s\S]*\ngood, not judged: memory is flat\n$/,
    );
    expect(broken({ minutes: 6, sent: 36_000, samples: samples(6, (minute) => 100 + 50 * minute) })).to.have.length(1);
    expect(formatVerdict(judge({ ...GOOD, samples: [] }))).to.contain('not judged: memory is flat');
  });

  describe('a failure of BFD', () => {
    const failed = (more: Partial<Observation>): string =>
      broken({
        losses: loss('BFD says that the path to 10.20.0.2 has failed'),
        steady: { timesEstablished: 2, bfdFailures: 1 },
        ...more,
      })[1] ?? '';
    const silence = (from: 'ours' | 'peer', milliseconds = 200): Observation['silences'][number] => ({
      from,
      at: AT + 50,
      milliseconds,
    });
    it('is laid on who was silent', () => {
      expect(failed({ silences: [silence('peer')] })).to.contain(
        'the peer had sent nothing for 200 ms, no stall of the machine',
      );
      expect(failed({ silences: [silence('ours', 176)] })).to.contain('we had sent nothing for 176 ms');
      expect(failed({ silences: [silence('peer'), silence('ours')] })).to.contain(
        'the peer had sent nothing for 200 ms and we had sent nothing for 200 ms',
      );
      expect(failed({})).to.contain('NOBODY had been silent');
    });
    it('is told beside a stall of the machine', () => {
      expect(
        failed({
          silences: [silence('ours')],
          stalls: [
            { at: AT - 500, milliseconds: 160 },
            { at: AT - 5_000, milliseconds: 70 },
          ],
        }),
      )
        .to.contain('within a second the machine stalled for 160 ms')
        .and.to.contain('woke 50 ms late or later 2 times, 1 times 150 ms, at most 160 ms');
    });
    it('is also one when the peer ended the session for it without saying so', () => {
      expect(
        broken({
          losses: loss('the peer sent Cease'),
          silences: [silence('ours')],
          steady: { timesEstablished: 2, bfdFailures: 1 },
        })[1],
      ).to.match(/^BFD 50 ms x 3 never false: 1 failures;/);
    });
    it('does not count the slow packets after it as silence', () => {
      const slow = Array.from({ length: 5 }, (_, k) => ({
        from: 'ours' as const,
        at: AT + 1_000 * (k + 1),
        milliseconds: 1_000,
      }));
      expect(failed({ silences: [silence('ours', 180), ...slow] })).to.contain(
        'longest silence on the wire: ours 180 ms',
      );
    });
  });

  it('shows the longest silences and stalls of a good run', () => {
    const row = judge({
      ...GOOD,
      silences: [{ from: 'peer', at: AT + MINUTE, milliseconds: 120 }],
      stalls: [{ at: AT, milliseconds: 55 }],
    }).find(({ promise }) => promise.startsWith('BFD 50'));
    expect(row).to.deep.include({ outcome: 'kept' });
    expect(row?.evidence)
      .to.contain("longest silence on the wire: ours 0 ms, the peer's 120 ms")
      .and.to.contain('1 times, 0 times 150 ms, at most 55 ms');
  });
});
