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

  /** name@port, at one address. */
  const ports: readonly (readonly [string, string, string, string])[] = [
    ['a port alone', 'a@179', 'a@1179', ''],
    ['port and name', 'a@179', 'b@1179', 'a>b'],
    ['ports of two by their names', 'a@179 b@1179', 'a@1790 b@2179', ''],
    ['ports exchanged: a session is where it was', 'a@179 b@1179', 'a@1179 b@179', 'b>a a>b'],
    ['port and name of one of two', 'a@179 b@1179', 'c@1790 b@1179', 'a>c'],
    ['of two nobody knows which is which', 'a@179 b@1179', 'c@1790 d@1791', '-a -b'],
    ['one of two goes', 'a@179 b@1179', 'b@179', 'a>b -b'],
  ];
  for (const [what, before, after, want] of ports)
    it(`knows who is who after ${what}`, () => {
      const peersOf = (text: string) => ({
        ...configOf([]),
        peers: text.split(' ').map((each) => {
          const [name = '', port] = each.split('@');
          return { name, address: '10.0.0.2', remoteAs: 64513, port: Number(port) };
        }),
      });
      const { renamed, removed, reset } = diffConfig(peersOf(before), peersOf(after));
      expect([...renamed.map(({ from, to }) => `${from}>${to}`), ...removed.map((name) => `-${name}`)]).to.have.members(
        want.split(' ').filter((each) => each !== ''),
      );
      expect(reset).to.deep.equal([]);
    });
});
