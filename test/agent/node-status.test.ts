import { expect } from 'chai';
import { conditionsOf } from '../../src/agent/node-status.js';

describe('agent/node-status', () => {
  const report = (problems: readonly string[]) => ({
    aspects: [{ type: 'PolicyReady', problems, wellMessage: 'fine' }],
    blocks: [],
  });

  it('is Ready only when every aspect is, and says why not', () => {
    expect(conditionsOf(report([]), [], 'T1').map((condition) => [condition.type, condition.status])).to.deep.equal([
      ['PolicyReady', 'True'],
      ['Ready', 'True'],
    ]);
    const [, ready] = conditionsOf(report(['a is wrong', 'b is wrong']), [], 'T1');
    expect(ready).to.include({ status: 'False', message: 'a is wrong; b is wrong' });
  });

  it('moves the transition time only when the word changes', () => {
    const first = conditionsOf(report(['x']), [], 'T1');
    expect(conditionsOf(report(['y']), first, 'T2')[0]).to.include({ lastTransitionTime: 'T1', message: 'y' });
    expect(conditionsOf(report([]), first, 'T2')[0]).to.include({ lastTransitionTime: 'T2', status: 'True' });
  });

  it('cuts a message that no status could hold', () => {
    const [condition] = conditionsOf(
      report(Array.from({ length: 10_000 }, (_, i) => `policy number ${i} is wrong`)),
      [],
      'T',
    );
    expect(condition?.message.length).to.be.lessThan(9_000);
    expect(condition?.message).to.match(/\(10000 problems\)$/);
  });
});
