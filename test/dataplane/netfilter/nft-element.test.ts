/** Members as nftables elements and back. */
import { addressToBytes, formatPrefix, parseAddress, prefixOf, type Family } from 'node-bgp/address';
import { expect } from 'chai';
import fc from 'fast-check';
import { elementsOf, keysOf } from '../../../src/dataplane/netfilter/nft/element.js';
import { memberKey, parseMember } from '../../../src/dataplane/netfilter/set-member.js';

const range = (family: Family, from: string, behind?: string) =>
  keysOf('network', family, [
    { key: addressToBytes(parseAddress(from)) },
    ...(behind === undefined ? [] : [{ key: addressToBytes(parseAddress(behind)), isEnd: true }]),
  ]);

describe('nftables elements', () => {
  for (const family of [4, 6] as const)
    it(`of IPv${family} networks are told as the members that they were written from, in whatever order they are listed`, () => {
      const bits = family === 4 ? 32 : 128;
      // Of one length each time, so none holds another; neighbours touch.
      const networks = fc.integer({ min: 1, max: bits }).chain((length) =>
        fc.uniqueArray(
          fc
            .oneof(
              fc.bigInt(0n, (1n << BigInt(bits)) - 1n),
              fc.bigInt(0n, 40n).map((n) => n << BigInt(bits - length)),
            )
            .map((value) => formatPrefix(prefixOf({ family, value: value & ((1n << BigInt(bits)) - 1n) }, length))),
          { maxLength: 20 },
        ),
      );
      fc.assert(
        fc.property(networks, fc.boolean(), (texts, isReversed) => {
          const members = texts.map((text) => parseMember('network', family, text));
          const elements = members.flatMap((member) => elementsOf('network', member));
          const listed = isReversed ? [...elements].reverse() : elements;
          expect([...keysOf('network', family, listed)].sort()).to.deep.equal(members.map(memberKey).sort());
        }),
      );
    });

  it('that are no network have a key that no member has', () => {
    expect([...range(4, '10.0.0.1', '10.0.0.4')]).to.deep.equal(['10.0.0.1 and 2 more']);
    expect([...range(4, '10.0.0.2', '10.0.0.6')]).to.deep.equal(['10.0.0.2 and 3 more']);
    expect([...range(6, 'fd00::1', 'fd00::4')]).to.deep.equal(['fd00::1 and 2 more']);
  });

  it('without an end reach to the last address', () => {
    expect([...range(4, '128.0.0.0')]).to.deep.equal(['128.0.0.0/1']);
    expect([...range(4, '255.255.255.255')]).to.deep.equal(['255.255.255.255']);
    expect([...range(6, '8000::')]).to.deep.equal(['8000::/1']);
  });
});
