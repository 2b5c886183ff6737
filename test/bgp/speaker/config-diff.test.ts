import { expect } from 'chai';
import * as fc from 'fast-check';
import type { OriginatedPrefix } from 'node-bgp/config';
import { diffConfig } from 'node-bgp/speaker/config-diff';

const route: fc.Arbitrary<OriginatedPrefix> = fc.record(
  {
    prefix: fc.constantFrom('10.0.0.0/8', '10.1.0.0/16', '10.2.0.0/16', 'fd00::/48', 'fd01::/48', '10.3.0.0/24'),
    tags: fc.subarray(['a', 'b']),
    communities: fc.subarray(['1:1', '1:2']),
    aggregate: fc.record({ summaryOnly: fc.boolean() }),
  },
  { requiredKeys: ['prefix'] },
);
const table = fc.uniqueArray(route, { selector: ({ prefix }) => prefix });
const configOf = (originate: readonly OriginatedPrefix[]) => ({ localAs: 64512, routerId: '10.0.0.1', originate });

describe('bgp/speaker config-diff', () => {
  it('counts the prefixes that come and go, whatever their order', () => {
    fc.assert(
      fc.property(table, table, fc.nat(6), (start, end, shared) => {
        // Often alike at the front, as tables are that are stated again.
        const [old, next] = [
          start,
          [
            ...start.slice(0, shared),
            ...end.filter(({ prefix }) => !start.slice(0, shared).some((each) => each.prefix === prefix)),
          ],
        ];
        const texts = (routes: readonly OriginatedPrefix[]): readonly string[] =>
          routes.map((each) => JSON.stringify(each));
        const wanted = {
          added: texts(next).filter((text) => !texts(old).includes(text)).length,
          removed: texts(old).filter((text) => !texts(next).includes(text)).length,
        };
        expect(diffConfig(configOf(old), configOf(next)).originated).to.deep.equal(wanted);
      }),
    );
  });
});
