import { expect } from 'chai';
import { userText } from '../src/user-text.js';

describe('user-text', () => {
  it('leaves plain text as it is', () => expect(userText('shop/wëb: "x" ≠ y')).to.equal('shop/wëb: "x" ≠ y'));
  it('escapes what a terminal obeys', () =>
    expect(userText('a\u001b[2Jb\nc\u009bd\u202ee\u2028f')).to.equal('a\\u001b[2Jb\\u000ac\\u009bd\\u202ee\\u2028f'));
  it('cuts after escaping, at the length asked for', () => {
    expect(userText('x'.repeat(2_000_000))).to.have.length(1_024);
    expect(userText('\n'.repeat(10), 20)).to.equal('\\u000a\\u000a\\u000a...'.slice(0, 17) + '...');
    expect(userText('12345', 5)).to.equal('12345');
  });
});
