import { expect } from 'chai';
import { RepairLedger, REPAIRS_AT_ONCE } from '../../src/dataplane/repair-ledger.js';

describe('repair-ledger', () => {
  let now = 0;
  const ledger = (): RepairLedger => {
    now = 1_000;
    return new RepairLedger(() => now);
  };
  const admit = (each: RepairLedger, ...keys: readonly string[]): ReturnType<typeof each.admit<string>> =>
    each.admit(keys, (key) => key);
  const MANY = Array.from({ length: 5_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);

  it('are made at once a few times, then ever further apart, up to a minute', () => {
    const each = ledger();
    for (let i = 0; i < REPAIRS_AT_ONCE; i++)
      expect(admit(each, 'a')).to.deep.equal({ now: ['a'], contested: [], pause: undefined });
    const pauses: number[] = [];
    for (let i = 0; i < 9; i++) {
      const { now: admitted, contested } = admit(each, 'a');
      expect(admitted).to.deep.equal(['a']);
      pauses.push(contested[0]?.pause ?? 0);
      expect(admit(each, 'a')).to.deep.equal({ now: [], contested: [], pause: pauses.at(-1) });
      now += pauses.at(-1) ?? 0;
    }
    expect(pauses).to.deep.equal([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000));
  });

  it('of one thing do not hold up another', () => {
    const each = ledger();
    for (let i = 0; i <= REPAIRS_AT_ONCE; i++) admit(each, 'a');
    expect([each.isHeldBack('a'), each.isHeldBack('b'), each.size]).to.deep.equal([true, false, 1]);
    expect(admit(each, 'a', 'b')).to.deep.equal({ now: ['b'], contested: [], pause: 1_000 });
  });

  it('are forgotten after two minutes of peace, which is told of what was contested', () => {
    const each = ledger();
    for (let i = 0; i <= REPAIRS_AT_ONCE; i++) admit(each, 'a');
    admit(each, 'b');
    now += 119_000;
    expect(each.forget()).to.deep.equal([]);
    now += 1_000;
    expect(each.forget()).to.deep.equal(['a']);
    expect([each.size, each.forget()]).to.deep.equal([0, []]);
    expect(admit(each, 'a').contested).to.deep.equal([]);
  });

  it('of thousands at once are those of one thing, the table', () => {
    const each = ledger();
    for (let i = 0; i < REPAIRS_AT_ONCE; i++) expect(admit(each, ...MANY).now).to.have.length(MANY.length);
    expect(admit(each, ...MANY).contested).to.deep.equal([
      { key: undefined, count: REPAIRS_AT_ONCE + 1, pause: 1_000 },
    ]);
    expect(admit(each, ...MANY)).to.deep.equal({ now: [], contested: [], pause: 1_000 });
    expect([each.size, each.isHeldBack(MANY[0] ?? '')]).to.deep.equal([1, false]);
    now += 120_000;
    expect([each.forget(), each.size]).to.deep.equal([[undefined], 0]);
  });

  it('remember a bounded number of things', () => {
    const each = ledger();
    for (let i = 0; i <= REPAIRS_AT_ONCE; i++) admit(each, 'a');
    for (let i = 0; i < 3; i++) admit(each, ...MANY.slice(i * 1_500, (i + 1) * 1_500));
    expect([each.isHeldBack('a'), each.size]).to.deep.equal([false, 0]);
  });
});
