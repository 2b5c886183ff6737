import { expect } from 'chai';
import { judge } from '../../src/cases/kernel/judge.js';

describe('judge', () => {
  it('accepts an answer of the right party, and silence', () => {
    expect(judge(true, 'x/a', { type: 'allow', name: 'x/a', microseconds: 1 })).to.equal(undefined);
    expect(judge(false, 'x/a', { type: 'drop' })).to.equal(undefined);
  });
  it('tells everything else', () => {
    expect(judge(true, 'x/a', { type: 'allow', name: 'x/b', microseconds: 1 })).to.equal('answered by "x/b"');
    expect(judge(true, 'x/a', { type: 'drop' })).to.equal('dropped');
    expect(judge(false, 'x/a', { type: 'allow', name: 'x/a', microseconds: 1 })).to.equal('allowed');
    for (const allow of [true, false]) {
      expect(judge(allow, 'x/a', { type: 'refused' })).to.equal('refused');
      expect(judge(allow, 'x/a', { type: 'unreachable', text: 'No route' })).to.equal('unreachable: No route');
      expect(judge(allow, 'x/a', { type: 'error', text: 'x' })).to.equal('an error of the probe: x');
      expect(judge(allow, 'x/a', undefined)).to.equal('no result from the prober');
    }
  });
});
