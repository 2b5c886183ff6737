import { AddressError } from 'node-bgp/address';
import { expect } from 'chai';
import fc from 'fast-check';
import { memberKey, parseMember, quickKey } from '../../../src/dataplane/netfilter/set-member.js';
import type { Family, SetType } from '@tortie/policy/ruleset';

const key = (type: SetType, family: Family, text: string): string => memberKey(parseMember(type, family, text));

describe('a set member', () => {
  const same: readonly (readonly [SetType, Family, text: string, key: string])[] = [
    ['address', 4, '10.0.0.1', '10.0.0.1'],
    ['address', 6, 'FD00:0::1', 'fd00::1'],
    ['network', 4, '10.0.0.0/8', '10.0.0.0/8'],
    ['network', 4, '10.1.2.3/8', '10.0.0.0/8'],
    ['network', 4, '10.0.0.7/32', '10.0.0.7'],
    ['network', 4, '10.0.0.7', '10.0.0.7'],
    ['network', 6, 'fd00::7/128', 'fd00::7'],
    ['address-port', 4, '10.0.0.1,tcp:80', '10.0.0.1,tcp:80'],
    ['address-port', 6, 'fd00::1,sctp:9', 'fd00::1,sctp:9'],
    ['address-port', 4, '10.0.0.1,17:53', '10.0.0.1,udp:53'],
    ['address-port', 4, '10.0.0.1,99:53', '10.0.0.1,99:53'],
  ];
  for (const [type, family, text, expected] of same)
    it(`${type} "${text}" is ${expected}`, () => expect(key(type, family, text)).to.equal(expected));

  const wrong: readonly (readonly [SetType, Family, string])[] = [
    ['address', 4, 'fd00::1'],
    ['address', 6, '10.0.0.1'],
    ['address', 4, '10.0.0.0/8'],
    ['network', 4, '0.0.0.0/0'],
    ['network', 6, '::/0'],
    ['network', 4, '10.0.0.0/33'],
    ['address-port', 4, '10.0.0.1:80'],
    ['address-port', 4, '10.0.0.1,tcp:65536'],
    ['address-port', 4, '10.0.0.1,nope:80'],
  ];
  for (const [type, family, text] of wrong)
    it(`${type} of IPv${family} refuses "${text}"`, () => expect(() => key(type, family, text)).to.throw(AddressError));

  it('has the same key without being parsed, where that is tried', () => {
    expect(quickKey('address', 4, '10.0.0.1')).to.equal('10.0.0.1');
    expect(quickKey('network', 4, '10.0.0.7/32')).to.equal('10.0.0.7');
    const number = fc.oneof(fc.nat(300).map(String), fc.constantFrom('', '00', '01', '256', '-1'));
    const dotted = fc
      .tuple(
        fc.array(number, { minLength: 3, maxLength: 5 }),
        fc.constantFrom('', '.', '/32', '/31', '/032', '/32/32', ' '),
      )
      .map(([numbers, end]) => `${numbers.join('.')}${end}`);
    fc.assert(
      fc.property(fc.constantFrom<SetType>('address', 'network', 'address-port'), dotted, (type, text) => {
        const quick = quickKey(type, 4, text);
        if (quick !== undefined) expect(quick).to.equal(key(type, 4, text));
      }),
    );
  });
});
