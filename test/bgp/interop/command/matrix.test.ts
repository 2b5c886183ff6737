import { expect } from 'chai';
import { formatMatrix, type Row } from './matrix.js';
import { compare, keyOf } from './reader-tables.js';

const row = (version: string, ...states: readonly ('pass' | 'fail' | 'cannot')[]): Row => ({
  peer: 'bird',
  version,
  from: 'Debian 13',
  outcomes: states.map((state, i) => ({
    scenario: `scenario ${i}`,
    party: 'bird',
    state,
    ...(state === 'fail' ? { why: 'Not within 5 s\nand more' } : {}),
  })),
});

describe('interop matrix', () => {
  it('has a row per peer, a column per scenario, and says why', () => {
    const text = formatMatrix([row('2.17', 'pass', 'cannot'), row('3.1', 'pass', 'fail', 'pass')], 'text');
    expect(text.split('\n').slice(0, 3)).to.deep.equal([
      'peer       from       1  2  3',
      'bird 2.17  Debian 13  ✓  ·',
      'bird 3.1   Debian 13  ✓  ✗  ✓',
    ]);
    expect(text).to.contain('3. scenario 2').and.contain('bird 3.1, 2: Not within 5 s\n').and.not.contain('and more');
  });

  it('holds what a reader has read against our own table', () => {
    const told = (nextHop: string, asPath = '65001'): { readonly asPath: string; readonly nextHop: string } => ({
      asPath,
      nextHop,
    });
    const own = new Map([
      [keyOf('10.0.0.1', '10.1.0.0/16', 7), told('2001:db8::1 fe80::1')],
      [keyOf('10.0.0.1', '10.2.0.0/16', undefined), told('10.0.0.1')],
      [keyOf('10.0.0.1', '10.3.0.0/16', 0), told('10.0.0.1')],
    ]);
    const read = new Map([
      [keyOf('10.0.0.1', '10.1.0.0/16', 7), told('fe80::1')],
      [keyOf('10.0.0.1', '10.2.0.0/16', 0), told('10.0.0.1', '65002')],
      [keyOf('10.0.0.1', '10.4.0.0/16', 0), told('10.0.0.1')],
    ]);
    expect(compare('reader', '1', 'mrt', own, read)).to.deep.include({
      own: 3,
      read: 3,
      missing: ['1', '10.0.0.1 10.3.0.0/16 0'],
      strange: ['1', '10.0.0.1 10.4.0.0/16 0'],
      different: ['1', '10.0.0.1 10.2.0.0/16 0: "65002" via "10.0.0.1", not "65001" via "10.0.0.1"'],
    });
  });
});
