import { expect } from 'chai';
import fc from 'fast-check';
import {
  containsAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
  prefixOf,
  type Family,
  type IpPrefix,
} from 'node-bgp/address';
import { PrefixTable, wordsOf } from 'node-bgp/rib/prefix-table';

const put = (table: PrefixTable, prefix: IpPrefix): number => table.intern(wordsOf(prefix), 0, prefix.length);

/** Few distinct bits, so that prefixes contain each other, collide, come back. */
const prefixes = (family: Family): fc.Arbitrary<IpPrefix> =>
  fc
    .tuple(fc.bigInt(0n, 4095n), fc.nat(family === 4 ? 32 : 128))
    .map(([low, length]) =>
      prefixOf({ family, value: family === 4 ? (low << 20n) | low : (low << 116n) | (low << 60n) | low }, length),
    );

describe('PrefixTable', () => {
  for (const family of [4, 6] as const)
    it(`finds exactly what was put in and not taken out (IPv${family})`, () => {
      const event = fc.record({ remove: fc.boolean(), prefix: prefixes(family) });
      fc.assert(
        fc.property(fc.array(event, { maxLength: 2000, size: 'max' }), (events) => {
          const table = new PrefixTable(family, 4);
          const model = new Map<string, number>();
          for (const { remove, prefix } of events) {
            const key = formatPrefix(prefix);
            expect(table.findPrefix(prefix)).to.equal(model.get(key) ?? -1);
            if (!remove) model.set(key, put(table, prefix));
            else if (model.has(key)) {
              table.remove(table.findPrefix(prefix));
              model.delete(key);
            }
            expect(table.size).to.equal(model.size);
          }
          for (const [key, id] of model) {
            expect(formatPrefix(table.prefixOf(id))).to.equal(key);
            expect(table.isLive(id)).to.equal(true);
          }
          expect(new Set(model.values()).size).to.equal(model.size);
        }),
        { numRuns: 60 },
      );
    });

  for (const family of [4, 6] as const)
    it(`finds the longest match within bounds (IPv${family})`, () => {
      fc.assert(
        fc.property(
          fc.array(prefixes(family), { maxLength: 60 }),
          prefixes(family),
          fc.nat(64),
          (all, { value }, minimum) => {
            const table = new PrefixTable(family);
            for (const prefix of all) put(table, prefix);
            const width = family === 4 ? 32 : 128;
            const expected = all
              .filter((prefix) => prefix.length >= minimum && containsAddress(prefix, { family, value }))
              .sort((a, b) => b.length - a.length)[0];
            const found = table.longestMatch(wordsOf({ family, value }), 0, width, minimum, () => true);
            expect(found < 0 ? undefined : formatPrefix(table.prefixOf(found))).to.equal(
              expected && formatPrefix(expected),
            );
          },
        ),
      );
    });

  it('asks further when a match is not accepted', () => {
    const table = new PrefixTable(4);
    const [wide, narrow] = ['10.0.0.0/8', '10.1.0.0/16'].map((text) => put(table, parsePrefix(text)));
    expect(table.longestMatch(wordsOf(parseAddress('10.1.2.3')), 0, 32, 0, (id) => id !== narrow)).to.equal(wide);
  });

  it('gives the number of a removed prefix to another', () => {
    const table = new PrefixTable(6);
    const id = put(table, parsePrefix('fd00::/64'));
    table.remove(id);
    expect(table.isLive(id)).to.equal(false);
    expect(put(table, parsePrefix('fd01::/64'))).to.equal(id);
    expect(table.findPrefix(parsePrefix('fd00::/64'))).to.equal(-1);
  });
});
