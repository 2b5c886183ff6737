import { expect } from 'chai';
import { isNative, readsNativeRules } from '../../../src/dataplane/netfilter/native-chains.js';
import { renderChain } from '@tortie/policy/render/iptables';
import type { Rule } from '@tortie/policy/ruleset';
import { accept, chain, drop, fromSet, jump } from './rulesets.js';

describe('netfilter/native-chains', () => {
  const isNativeChain = (...rules: readonly Rule[]): boolean =>
    isNative({ type: 'write', table: 'filter', chain: renderChain(chain('filter', 'TORTIE-A', rules), 4) });

  it('takes interfaces, marks and verdicts, and nothing that needs an extension', () => {
    const interfaces: Rule = { matches: [{ type: 'in-interface', name: 'tort+' }], action: { type: 'return' } };
    const mark: Rule = { matches: [{ type: 'mark', value: 1, mask: 1, not: true }], action: { type: 'drop' } };
    expect(isNativeChain(accept, drop, jump('TORTIE-B'), interfaces, mark)).to.equal(true);
    expect(isNativeChain(accept, fromSet('web'))).to.equal(false);
    expect(isNativeChain({ matches: [], action: { type: 'set-mark', value: 1, mask: 1 } })).to.equal(false);
    expect(isNativeChain({ matches: [{ type: 'in-interface', name: '+' }], action: { type: 'drop' } })).to.equal(false);
    expect(isNative({ type: 'delete', table: 'filter', name: 'TORTIE-A' })).to.equal(true);
    expect(isNative({ type: 'hook', table: 'filter', builtin: 'FORWARD', commands: [] })).to.equal(false);
  });

  it('writes past the program only where the program reads it', () => {
    for (const version of ['1.8.9', '1.8.10', '1.9', '2.0.0'])
      expect(readsNativeRules(version), version).to.equal(true);
    for (const version of [undefined, '1.8', '1.8.7', '1.6.99'])
      expect(readsNativeRules(version), version).to.equal(false);
  });
});
