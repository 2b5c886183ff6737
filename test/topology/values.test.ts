import { expect } from 'chai';
import { formatAddress } from 'node-bgp/address';
import { parseAsNumber, parseDuration, parsePeerAddress } from '../../src/topology/values.js';

describe('topology/values', () => {
  const asNumbers: readonly (readonly [number | string | undefined, number | undefined])[] = [
    [65001, 65001],
    ['65001', 65001],
    ['1.10', 65546],
    ['0.1', 1],
    [4294967294, 4294967294],
    [0, undefined],
    [23456, undefined],
    [4294967295, 4294967295],
    [4294967296, undefined],
    ['65536.1', undefined],
    ['-1', undefined],
    [1.5, 65541],
    ['x', undefined],
    [undefined, undefined],
  ];
  for (const [text, want] of asNumbers)
    it(`reads AS ${text} as ${want}`, () => expect(parseAsNumber(text)).to.equal(want));

  const durations: readonly (readonly [string, number | undefined])[] = [
    ['90s', 90],
    ['1m30s', 90],
    ['1.5h', 5400],
    ['500ms', 0.5],
    ['1500us', 0.0015],
    ['90', undefined],
    ['', undefined],
    ['s', undefined],
    ['-1s', undefined],
  ];
  for (const [text, want] of durations)
    it(`reads "${text}" as ${want} s`, () => expect(parseDuration(text)).to.equal(want));

  const addresses: readonly (readonly [string, string | undefined])[] = [
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:1179', '192.0.2.1 1179'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]:1179', '2001:db8::1 1179'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
    ['192.0.2.1:0', undefined],
    ['192.0.2.1:70000', undefined],
    ['[2001:db8::1]', undefined],
    ['tor1', undefined],
    ['fe80::1%', undefined],
  ];
  for (const [text, want] of addresses)
    it(`reads peer "${text}" as ${want}`, () => {
      const peer = parsePeerAddress(text);
      const shown =
        peer &&
        formatAddress(peer.address) +
          (peer.interfaceName === undefined ? '' : `%${peer.interfaceName}`) +
          (peer.port === undefined ? '' : ` ${peer.port}`);
      expect(shown).to.equal(want);
    });
});
