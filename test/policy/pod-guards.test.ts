/** What stands before any policy: pods do not send from others' addresses and do not reach the node's loopback. */
import { expect } from 'chai';
import { PolicyEngine, renderIptables, renderNftables, type Ruleset } from '@tortie/policy';

describe('policy: guards of the node', () => {
  let ruleset: Ruleset;
  before(() => {
    const engine = new PolicyEngine({ nodeName: 'n1' });
    engine.flush();
    ruleset = engine.ruleset();
  });
  const bodies = (family: 4 | 6, chain: string): readonly string[] =>
    renderIptables(ruleset, family)
      .split('\n')
      .filter((line) => line.startsWith(`-A ${chain} `))
      .map((line) => line.slice(chain.length + 4).replace(/-m comment --comment (?:"[^"]*"|\S+) ?/g, ''));

  for (const [family, loopback] of [
    [4, '127.0.0.0/8'],
    [6, '::1/128'],
  ] as const)
    it(`IPv${family}: first in raw, a source that does not route back is dropped, then what goes to ${loopback}`, () => {
      const [spoofed, ...others] = bodies(family, 'TORTIE-PREROUTING');
      const toLoopback = others.find((line) => line.includes('-d '));
      expect(spoofed).to.match(/-i tort\+ .*rpfilter.*--invert.* -j DROP/);
      expect(toLoopback).to.match(
        new RegExp(`-i tort\\+ .*-d ${loopback} .*-j DROP|-d ${loopback} .*-i tort\\+ .*-j DROP`),
      );
      expect(bodies(family, 'TORTIE-INPUT')[0], 'and again behind a DNAT').to.match(
        new RegExp(`-d ${loopback} .*-j DROP`),
      );
    });

  it('nftables says the same', () => {
    const text = renderNftables(ruleset);
    expect(text).to.match(/iifname "tort\*".*fib saddr \. iif.* drop/);
    for (const loopback of ['ip daddr 127.0.0.0/8', 'ip6 daddr ::1']) expect(text).to.contain(loopback);
  });
});
