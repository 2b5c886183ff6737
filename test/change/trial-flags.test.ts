import { expect } from 'chai';
import { parseTrialFlags } from '../../src/change/trial-flags.js';

describe('tortie apply --confirm: flags', () => {
  const parse = (flags: Parameters<typeof parseTrialFlags>[0]) =>
    parseTrialFlags(flags, new Date('2026-01-02T03:04:05Z'));

  it('say how the Change goes', () => {
    const flags = {
      filename: ['a'],
      confirm: '5m',
      canary: 'n1,n2',
      step: '3',
      minSessions: '0',
      probe: ['web:80', 'shop/db:5432'],
    };
    expect(parse(flags)).to.deep.equal({
      name: 'change-20260102t030405',
      spec: {
        confirmSeconds: 300,
        canary: ['n1', 'n2'],
        stepSize: 3,
        minSessions: 0,
        probes: ['default/web:80', 'shop/db:5432'],
      },
      labels: [],
      isRemoval: false,
      isWaiting: true,
    });
    expect(parse({ confirm: '10s', label: ['n1', 'a=b', 'n2', 'c-'] })?.labels).to.deep.equal([
      { node: 'n1', wish: 'a=b' },
      { node: 'n2', wish: 'c-' },
    ]);
    expect(parse({ filename: ['a'] })).to.equal(undefined);
  });

  for (const [what, flags, message] of [
    ['no objects', {}, 'Cannot apply: no objects are given; expected -f'],
    ['a trial without time', { filename: ['a'], canary: 'n1' }, 'Cannot use --canary without --confirm'],
    ['minSessions alone', { filename: ['a'], minSessions: '1' }, 'Cannot use --min-sessions without --confirm'],
    ['no change', { confirm: '5m' }, 'Cannot apply: no change is given; expected -f or --label'],
    ['a time without unit', { filename: ['a'], confirm: '5' }, 'Cannot use --confirm "5": expected 10s to 24h'],
    ['a short time', { filename: ['a'], confirm: '9s' }, 'Cannot use --confirm "9s"'],
    ['a long time', { filename: ['a'], confirm: '25h' }, 'Cannot use --confirm "25h"'],
    [
      'a step of none',
      { filename: ['a'], confirm: '5m', step: '0' },
      'Cannot use --step "0": expected a number from 1',
    ],
    [
      'a probe without port',
      { filename: ['a'], confirm: '5m', probe: ['a/b'] },
      'Cannot use --probe "a/b": expected NAMESPACE/POD:PORT',
    ],
    ['a port past all', { filename: ['a'], confirm: '5m', probe: ['a/b:70000'] }, 'Cannot use --probe "a/b:70000"'],
    ['half a label', { confirm: '5m', label: ['n1'] }, 'Cannot use --label "n1": expected NODE KEY=VALUE'],
  ] as const)
    it(`refuse ${what}`, () => expect(() => parse(flags)).to.throw(message));
});
