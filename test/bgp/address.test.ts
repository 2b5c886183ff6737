import { expect } from 'chai';
import fc from 'fast-check';
import { isIP } from 'node:net';
import {
  addressAt,
  addressFromBytes,
  addressToBytes,
  comparePrefixes,
  containsAddress,
  containsPrefix,
  formatAddress,
  formatPrefix,
  isHostAddress,
  parseAddress,
  parsePrefix,
  tryParseAddress,
  tryParsePrefix,
  type IpAddress,
} from 'node-bgp/address';

const anyAddress: fc.Arbitrary<IpAddress> = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 32n) - 1n }).map((value) => ({ family: 4 as const, value })),
  fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }).map((value) => ({ family: 6 as const, value })),
);

describe('bgp/address', () => {
  const canonical: readonly (readonly [string, string])[] = [
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['fe80::ecee:eeff:feee:eeee', 'fe80::ecee:eeff:feee:eeee'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
  ];
  for (const [text, want] of canonical)
    it(`formats ${text} as ${want}`, () => expect(formatAddress(parseAddress(text))).to.equal(want));

  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.0.0.1',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    'g::',
    '1:2:3:4:5:6:7::8:9',
    ' 10.0.0.1',
    'fe80::1%eth0',
    '1.2.3.4::',
    '12345::',
  ])
    it(`refuses "${text}"`, () => expect(tryParseAddress(text)).to.equal(undefined));

  it('round-trips text and bytes, and agrees with Node on validity', () =>
    fc.assert(
      fc.property(anyAddress, (address) => {
        const text = formatAddress(address);
        expect(isIP(text)).to.equal(address.family);
        expect(parseAddress(text)).to.deep.equal(address);
        expect(addressFromBytes(addressToBytes(address))).to.deep.equal(address);
      }),
    ));

  it('accepts exactly what Node accepts', () =>
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-f:.]{0,24}$/), (text) => {
        expect(tryParseAddress(text)?.family ?? 0).to.equal(isIP(text));
      }),
      { numRuns: 2000 },
    ));

  it('masks host bits, or refuses them by name', () => {
    expect(formatPrefix(parsePrefix('10.65.0.77/26'))).to.equal('10.65.0.64/26');
    expect(() => parsePrefix('10.65.0.77/26', 'reject')).to.throw('expected 10.65.0.64/26');
    for (const text of ['10.0.0.0', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/08'])
      expect(tryParsePrefix(text), text).to.equal(undefined);
  });

  it('knows what a prefix holds', () => {
    const block = parsePrefix('10.65.0.0/26');
    expect(containsAddress(block, parseAddress('10.65.0.63'))).to.equal(true);
    expect(containsAddress(block, parseAddress('10.65.0.64'))).to.equal(false);
    expect(containsPrefix(parsePrefix('0.0.0.0/0'), block)).to.equal(true);
    expect(containsPrefix(parsePrefix('::/0'), block)).to.equal(false);
    expect(formatAddress(addressAt(block, 7))).to.equal('10.65.0.7');
    expect(() => addressAt(block, 64)).to.throw(RangeError);
    expect(comparePrefixes(block, parsePrefix('10.65.0.0/24'))).to.be.greaterThan(0);
  });

  const hosts = [
    '192.0.2.1',
    '223.255.255.254',
    '1.0.0.0',
    '169.254.1.1',
    '240.0.0.1',
    '2001:db8::1',
    'fe80::1',
    '::2',
    '64:ff9b::1',
  ];
  const nobody = ['0.0.0.0', '0.1.2.3', '127.0.0.1', '224.0.0.5', '255.255.255.255'];
  const nobody6 = ['::', '::1', 'ff02::1', '::ffff:192.0.2.1'];
  for (const [texts, want] of [
    [hosts, true],
    [[...nobody, ...nobody6], false],
  ] as const)
    for (const text of texts)
      it(`knows that ${text} is ${want ? 'an' : 'no'} address of a host`, () =>
        expect(isHostAddress(parseAddress(text))).to.equal(want));
});
