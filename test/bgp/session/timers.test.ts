import { expect } from 'chai';
import { Timers } from 'node-bgp/session/timers';
import { FakeClock } from './fake-clock.js';

describe('Timers', () => {
  it('take up to a quarter off where jitter is asked for (4271 10)', () => {
    for (const [random, jitter, expires] of [
      [0, true, 100],
      [0.5, true, 87.5],
      [0.999_999, true, 75],
      [0.999_999, false, 100],
    ] as const) {
      const clock = new FakeClock(() => random);
      let expired = 0;
      new Timers(clock, () => expired++).start('Hold', 100, jitter);
      clock.advance(expires * 1000 - 100);
      expect(expired, `${random} before`).to.equal(0);
      clock.advance(200);
      expect(expired, `${random} after`).to.equal(1);
    }
  });

  it('never let KEEPALIVEs come less than a second apart (4271 4.4)', () => {
    const clock = new FakeClock(() => 0.999_999);
    const timers = new Timers(clock, () => undefined);
    for (const [seconds, left] of [
      [1, 1000],
      [1.2, 1000],
      [2, 1500],
    ] as const) {
      timers.stop('Keepalive');
      timers.start('Keepalive', seconds, true);
      expect(Math.round(timers.remaining('Keepalive') ?? 0)).to.equal(left);
    }
  });

  it('started again run from then on, and stopped ones do not expire', () => {
    const clock = new FakeClock();
    const expired: string[] = [];
    const timers = new Timers(clock, (timer) => void expired.push(timer));
    timers.start('Hold', 10, false);
    timers.start('Keepalive', 5, false);
    clock.advance(4_000);
    timers.start('Hold', 10, false);
    timers.stop('Keepalive');
    clock.advance(9_000);
    expect([expired, timers.remaining('Hold'), timers.remaining('Keepalive')]).to.deep.equal([[], 1000, undefined]);
    clock.advance(1_000);
    expect(expired).to.deep.equal(['Hold']);
  });
});
