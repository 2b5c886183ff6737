/** Pieces of the engine on their own: what they promise, on random input. */
import { expect } from 'chai';
import fc from 'fast-check';
import {
  addressAt,
  containsAddress,
  containsPrefix,
  formatPrefix,
  parsePrefix,
  prefixOf,
  type IpPrefix,
} from 'node-bgp/address';
import { setName, shortId, type DispatchMap } from '@tortie/policy';
import { networksContain, layersOf, unionNetworks } from '@tortie/policy/model/networks';
import {
  packNetworks,
  unionIpv4,
  unionPacked,
  withoutIpv4,
  withoutZeroLength,
} from '@tortie/policy/model/packed-networks';
import { chunkPorts, portsContain, unionPorts } from '@tortie/policy/model/ports';
import { dispatchChains } from '@tortie/policy/render/dispatch-tree';
import { SetStore } from '@tortie/policy/resolve/set-store';
import { matchesSelector, requiredTerms, selectorText, type Selector } from '@tortie/policy/selector/selector';
import { parseLabelSelector } from '@tortie/policy/selector/label-selector';
import { SelectorIndex } from '@tortie/policy/selector/selector-index';
import { labelSelector } from './worlds.js';

/** Prefixes of a small space, so that they meet. */
const prefix: fc.Arbitrary<IpPrefix> = fc
  .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 32 }))
  .map(([last, length]) => prefixOf({ family: 4, value: BigInt(0x0a000000 + last) }, length));
const everyAddress = Array.from({ length: 256 }, (_, index) => addressAt(parsePrefix('10.0.0.0/24'), index));

describe('policy/model/networks', () => {
  it('union and difference hold exactly the right addresses, disjoint and canonical', () =>
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 8 }), fc.array(prefix, { maxLength: 4 }), (list, excepts) => {
        const union = unionNetworks(list);
        for (const address of everyAddress) {
          expect(networksContain(union, address)).to.equal(list.some((one) => containsAddress(one, address)));
          expect(union.filter((one) => containsAddress(one, address)).length).to.be.at.most(1);
        }
        expect(unionNetworks([...list].reverse())).to.deep.equal(union);
        const [cidr] = list;
        if (cidr === undefined) return;
        const inside = excepts.filter((one) => containsPrefix(cidr, one));
        const blocks = [
          { cidr, excepts },
          ...list.slice(1).map((one, at) => ({ cidr: one, excepts: excepts.slice(at) })),
        ];
        for (const [given, wanted] of [
          [blocks.slice(0, 1), [{ cidr, excepts: inside }]],
          [
            blocks,
            blocks.map((one) => ({ ...one, excepts: one.excepts.filter((hole) => containsPrefix(one.cidr, hole)) })),
          ],
        ] as const) {
          const layers = layersOf(given);
          for (const address of everyAddress)
            expect(
              layers.some(
                ({ networks, notNetworks }) =>
                  networksContain(networks, address) && !networksContain(notNetworks ?? [], address),
              ),
            ).to.equal(
              wanted.some(
                (one) =>
                  containsAddress(one.cidr, address) && !one.excepts.some((hole) => containsAddress(hole, address)),
              ),
            );
        }
      }),
    ));

  it('packs networks and makes of them the same union', () =>
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 12 }), fc.array(prefix, { maxLength: 4 }), (some, more) => {
        const pack = (list: readonly IpPrefix[]) =>
          packNetworks(list.map(formatPrefix), (index) => expect.fail(`refused item ${index}`));
        expect(unionPacked([pack(some), pack(more)])).to.deep.equal(unionNetworks([...some, ...more]));
      }),
    ));

  it('tells two packed lists apart as their texts differ, /0 as its halves', () => {
    const packed = (list: readonly IpPrefix[]): Float64Array =>
      withoutZeroLength(unionIpv4([packNetworks(list.map(formatPrefix), (index) => expect.fail(`refused ${index}`))]));
    const all = parsePrefix('0.0.0.0/0');
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 9, arbitrary: prefix }, fc.constant(all))), fc.array(prefix), (a, b) => {
        const texts = (list: readonly IpPrefix[]): readonly string[] =>
          unionNetworks(list).flatMap((one) => (one.length === 0 ? ['0.0.0.0/1', '128.0.0.0/1'] : [formatPrefix(one)]));
        expect(withoutIpv4(packed(a), packed(b))).to.deep.equal(texts(a).filter((one) => !texts(b).includes(one)));
        expect(withoutIpv4(packed(a), packed([]))).to.deep.equal(texts(a));
      }),
    );
  });

  it('packs what Calico takes as a network, and names what it does not', () => {
    const refused: number[] = [];
    const list = [
      '10.1.2.3',
      '10.1.2.3/8',
      'fd00::1',
      '10.1.2',
      '256.1.1.1',
      '1.2.3.4/33',
      '1.2.3.4.5',
      '',
      7,
      '0.0.0.0/0',
      '1..2.3',
      '01.2.3.4/',
    ];
    const union = unionPacked([packNetworks(list, (index) => refused.push(index))]);
    expect(union.map(formatPrefix)).to.deep.equal(['0.0.0.0/0', 'fd00::1/128']);
    expect(refused).to.deep.equal([3, 4, 5, 6, 7, 8, 10, 11]);
  });

  it('takes one address from all of IPv6 with one member more', () => {
    expect(layersOf([{ cidr: parsePrefix('::/0'), excepts: [parsePrefix('2001:db8::1/128')] }])).to.deep.equal([
      { networks: [parsePrefix('::/0')], notNetworks: [parsePrefix('2001:db8::1/128')] },
    ]);
  });

  it('keeps blocks that do not touch in one pair of sets, and one CIDR written twice with the holes of both', () => {
    const block = (cidr: string, ...excepts: readonly string[]) => ({
      cidr: parsePrefix(cidr),
      excepts: excepts.map((one) => parsePrefix(one)),
    });
    const texts = (blocks: readonly ReturnType<typeof block>[]) =>
      layersOf(blocks).map(({ networks, notNetworks = [] }) => [
        networks.map(formatPrefix),
        notNetworks.map(formatPrefix),
      ]);
    expect(
      texts([block('10.0.0.0/8', '10.1.0.0/16'), block('192.0.2.0/24', '192.0.2.1/32'), block('fd00::/8')]),
    ).to.deep.equal([
      [
        ['10.0.0.0/8', '192.0.2.0/24', 'fd00::/8'],
        ['10.1.0.0/16', '192.0.2.1/32'],
      ],
    ]);
    expect(
      texts([block('10.0.0.0/8', '10.1.0.0/16'), block('10.0.0.0/8', '10.1.2.0/24', '10.9.0.0/16')]),
    ).to.deep.equal([[['10.0.0.0/8'], ['10.1.2.0/24']]]);
    expect(texts([block('10.0.0.0/8', '10.1.0.0/16'), block('10.1.0.0/16', '10.1.2.0/24')])).to.deep.equal([
      [['10.0.0.0/8'], ['10.1.0.0/16']],
      [['10.1.0.0/16'], ['10.1.2.0/24']],
    ]);
    expect(texts([block('10.0.0.0/8'), block('10.1.0.0/16', '10.1.2.0/24')])).to.deep.equal([[['10.0.0.0/8'], []]]);
  });
});

describe('policy/model/ports', () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 9 }))
    .map(([from, more]) => ({ from, to: from + more }));
  it('unions are exact and canonical, and chunks lose nothing', () =>
    fc.assert(
      fc.property(fc.array(range, { maxLength: 40 }), (list) => {
        const union = unionPorts(list);
        for (let port = 0; port <= 80; port++)
          expect(portsContain(union, port)).to.equal(list.some((one) => one.from <= port && port <= one.to));
        expect(unionPorts([...list].reverse())).to.deep.equal(union);
        const chunks = chunkPorts(union);
        expect(chunks.flat()).to.deep.equal(union);
        for (const chunk of chunks)
          expect(chunk.reduce((slots, one) => slots + (one.from === one.to ? 1 : 2), 0)).to.be.at.most(15);
      }),
    ));
});

describe('policy/selector', () => {
  const labels = fc
    .dictionary(fc.constantFrom('app', 'constructor', 'x'), fc.constantFrom('a', '', 'b'), {
      maxKeys: 3,
      noNullPrototype: true,
    })
    .map((one) => new Map(Object.entries(one)));
  const selector: fc.Arbitrary<Selector> = labelSelector.map((one) => parseLabelSelector(one, 'spec', []));

  it('an object that matches has one of the required terms, and equal text is equal meaning', () =>
    fc.assert(
      fc.property(selector, selector, labels, (a, b, one) => {
        const terms = requiredTerms(a);
        if (matchesSelector(a, one) && terms !== undefined)
          expect(
            terms.some((term) => [...one].some(([key, value]) => term === key || term === `${key}\u0000${value}`)),
          ).to.equal(true);
        if (selectorText(a) === selectorText(b)) expect(matchesSelector(a, one)).to.equal(matchesSelector(b, one));
      }),
    ));

  it('the index never misses a selector that matches', () =>
    fc.assert(
      fc.property(fc.array(selector, { maxLength: 10 }), labels, (selectors, one) => {
        const index = new SelectorIndex<Selector>();
        for (const item of selectors) {
          const terms = requiredTerms(item);
          index.add(
            { namespace: 'x', ...(terms === undefined ? {} : { terms: { of: 'object', anyOf: terms } }) },
            item,
          );
        }
        const found = index.candidates('x', one, new Map());
        for (const item of selectors) if (matchesSelector(item, one)) expect(found.has(item)).to.equal(true);
        expect(index.candidates('y', one, new Map()).size).to.equal(0);
      }),
    ));
});

describe('policy/render/dispatch-tree', () => {
  const mapOf = (names: readonly string[]): DispatchMap => ({
    table: 'filter',
    name: 'TORTIE-FROM',
    key: 'in-interface',
    entries: new Map(names.map((name) => [name, `chain-${name}`])),
    otherwise: 'drop',
  });

  /** Where a packet of an interface ends, and how many rules it was compared with. */
  function find(map: DispatchMap, name: string): { readonly chain: string; readonly rules: number } {
    const chains = new Map(dispatchChains(map).map((chain) => [chain.name, chain]));
    let rules = 0;
    for (let at = map.name; ; ) {
      const chain = chains.get(at);
      if (chain === undefined) return { chain: at, rules };
      const hit = chain.rules.find((rule) => {
        rules++;
        const [match] = rule.matches;
        return (
          match === undefined ||
          (match.type === 'in-interface' &&
            (match.name.endsWith('+') ? name.startsWith(match.name.slice(0, -1)) : match.name === name))
        );
      });
      if (hit?.action.type !== 'goto') return { chain: hit?.action.type ?? 'return', rules };
      at = hit.action.chain;
    }
  }

  const names = fc.uniqueArray(fc.stringMatching(/^tort[0-9a-f]{1,11}$/), { maxLength: 80 });

  it('leads every interface to its chain and others to a drop, in names of at most 28 characters, whatever the order', () =>
    fc.assert(
      fc.property(names, fc.stringMatching(/^tort[0-9a-f]{1,11}$/), (list, other) => {
        const map = mapOf(list);
        for (const name of list) expect(find(map, name).chain).to.equal(`chain-${name}`);
        if (!list.includes(other)) expect(find(map, other).chain).to.equal('drop');
        for (const chain of dispatchChains(map)) expect(chain.name.length).to.be.at.most(28);
        expect(dispatchChains(mapOf([...list].reverse()))).to.deep.equal(dispatchChains(map));
      }),
      { numRuns: 50 },
    ));

  it('compares 500 endpoints in some twenty rules, not five hundred', () => {
    const list = Array.from(
      { length: 500 },
      (_, index) => `tort${((index * 2654435761) % 2 ** 44).toString(16).padStart(11, '0')}`,
    );
    const map = mapOf(list);
    const costs = list.map((name) => find(map, name).rules);
    expect(costs.reduce((sum, one) => sum + one, 0) / costs.length).to.be.below(25);
    expect(Math.max(...costs)).to.be.below(50);
  });
});

describe('policy/resolve/set-store', () => {
  it('reports what differs since the last drain, by owners and not by events', () =>
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.boolean(), fc.boolean()), { maxLength: 40 }),
        (steps) => {
          const store = new SetStore();
          store.create('s', 'address', '');
          store.drain();
          const owners = new Map<string, number>();
          const seen = new Set<string>();
          const drain = (): void => {
            for (const { added, removed } of store.drain().changed) {
              for (const member of added) {
                expect(seen.has(member)).to.equal(false);
                seen.add(member);
              }
              for (const member of removed) {
                expect(seen.has(member)).to.equal(true);
                seen.delete(member);
              }
            }
            expect([...seen].sort()).to.deep.equal(
              [...owners]
                .filter(([, count]) => count > 0)
                .map(([member]) => member)
                .sort(),
            );
          };
          for (const [member, isAdded, drains] of steps) {
            const count = owners.get(member) ?? 0;
            if (isAdded) store.add('s', 4, member);
            else if (count > 0) store.remove('s', 4, member);
            owners.set(member, isAdded ? count + 1 : Math.max(0, count - 1));
            if (drains) drain();
          }
          drain();
        },
      ),
    ));

  it('refuses to remove what is not there, which would be our own fault', () => {
    const store = new SetStore();
    store.create('s', 'address', '');
    expect(() => store.remove('s', 4, 'x')).to.throw('Cannot remove x from set tortie4-s');
  });

  it('the unspecified address is nobody, whom no kernel takes', () => {
    const store = new SetStore();
    store.create('s', 'address', '');
    store.add('s', 4, '0.0.0.0');
    store.add('s', 6, '::');
    store.add('s', 6, '::1');
    expect(store.drain().created.map(({ members }) => [...members.keys()])).to.deep.equal([[], ['::1']]);
    store.add('s', 4, '0.0.0.0');
    store.remove('s', 4, '0.0.0.0');
    store.remove('s', 6, '::');
    expect(store.drain().changed).to.deep.equal([]);
  });
});

describe('policy/ruleset', () => {
  it('ids keep parts apart and names in bounds', () => {
    const ids = [
      ['a', 'b-c'],
      ['a-b', 'c'],
      ['a', 'b', 'c'],
      ['ab', 'c'],
      ['a', 'bc'],
      ['a'.repeat(253)],
      ['a'.repeat(252) + 'b'],
    ].map((parts) => shortId(...parts));
    expect(new Set(ids).size).to.equal(ids.length);
    for (const id of ids) {
      expect(id).to.match(/^[0-9A-Za-z]{18}$/);
      expect(setName(6, id).length).to.be.at.most(31);
    }
  });

  it('ids stay what they are from one version to the next: names of chains and sets hang on them', () => {
    expect(shortId('NetworkPolicy', 'shop', 'web')).to.equal('WlYleirNsWc6tnFAxV');
    expect(shortId('ä\ud800')).to.equal('FNSb1iBeKAMu5uNbwR');
    expect(shortId()).to.equal('aIf2LIW6Bicnm3lOrW');
  });
});
