/** Dispatch by address and port as a tree of chains: finds every key, nothing else, in few comparisons. */
import { addressChains, AddressTree } from '@tortie/policy/render/address-tree';
import { chainKey, type Chain, type DispatchKey, type DispatchMap, type Match } from '@tortie/policy/ruleset';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  containsAddress,
  formatAddress,
  parseAddress,
  parsePrefix,
  type Family,
  type IpAddress,
} from 'node-bgp/address';

interface Flow {
  readonly address: IpAddress;
  readonly protocol: number;
  readonly port: number;
}

const map = (key: DispatchKey, family: Family, keys: Iterable<string>, otherwise: 'drop' | 'return'): DispatchMap => ({
  table: 'nat',
  name: 'TORTIE-SVC12',
  key,
  family,
  entries: new Map([...keys].map((one) => [one, `to ${one}`])),
  otherwise,
});

function matches(match: Match, { address, protocol, port }: Flow): boolean {
  switch (match.type) {
    case 'network':
      return containsAddress(parsePrefix(match.prefix), address);
    case 'protocol':
      return match.protocol === protocol;
    case 'ports':
      return match.ports.some(({ from, to }) => from <= port && port <= to);
    default:
      throw new Error(`A tree has no "${match.type}"`);
  }
}

/** Where a packet ends, and how many rules it was compared with. */
function walk(chains: readonly Chain[], flow: Flow): { readonly end: string; readonly rules: number } {
  const byKey = new Map(chains.map((chain) => [chainKey(chain), chain]));
  let at = chains[0];
  let rules = 0;
  for (;;) {
    const rule = at?.rules.find((one) => {
      rules++;
      return one.matches.every((match) => matches(match, flow));
    });
    if (rule === undefined) return { end: 'return', rules };
    if (rule.action.type !== 'goto') return { end: rule.action.type, rules };
    const { chain } = rule.action;
    if (!byKey.has(`nat/${chain}`)) return { end: chain, rules };
    at = byKey.get(`nat/${chain}`);
  }
}

const NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;
const port = fc.oneof(fc.integer({ min: 0, max: 65_535 }), fc.integer({ min: 30_000, max: 30_020 }));
const protocol = fc.constantFrom(...(Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]));
const addressOf = (family: Family): fc.Arbitrary<IpAddress> =>
  fc.oneof(
    fc
      .integer({ min: 0, max: 40 })
      .map((n) => ({ family, value: (family === 4 ? 0x0a600000n : 0xfd96n << 112n) + BigInt(n) })),
    fc.bigInt({ min: 0n, max: (1n << (family === 4 ? 32n : 128n)) - 1n }).map((value) => ({ family, value })),
  );
const flowOf = (family: Family): fc.Arbitrary<Flow & { readonly text: string }> =>
  fc.record({ address: addressOf(family), name: protocol, port }).map(({ address, name, port: number }) => ({
    address,
    protocol: NUMBERS[name],
    port: number,
    text: `${name}:${number}`,
  }));

const keyOf = (kind: DispatchKey, flow: Flow & { readonly text: string }): string =>
  kind === 'destination'
    ? formatAddress(flow.address)
    : kind === 'port'
      ? flow.text
      : `${formatAddress(flow.address)},${flow.text}`;

describe('policy/render/address-tree', () => {
  for (const family of [4, 6] as const)
    for (const kind of ['destination', 'destination-port', 'port'] as const)
      it(`finds what a ${kind} map of IPv${family} holds, and nothing else`, () =>
        fc.assert(
          fc.property(
            fc.array(flowOf(family), { maxLength: 120 }),
            fc.array(flowOf(family), { maxLength: 10 }),
            fc.constantFrom('drop', 'return'),
            (held, others, otherwise) => {
              const keys = new Set(held.map((flow) => keyOf(kind, flow)));
              const chains = addressChains(map(kind, family, keys, otherwise));
              expect(addressChains(map(kind, family, [...keys].reverse(), otherwise))).to.deep.equal(chains);
              for (const chain of chains) expect(chain.name.length).to.be.at.most(28);
              expect(new Set(chains.map(chainKey)).size).to.equal(chains.length);
              for (const flow of [...held, ...others]) {
                const key = keyOf(kind, flow);
                expect(walk(chains, flow).end).to.equal(keys.has(key) ? `to ${key}` : otherwise);
              }
            },
          ),
          { numRuns: 60 },
        ));

  for (const [kind, family] of [
    ['destination', 6],
    ['destination-port', 4],
    ['destination-port', 6],
    ['port', 4],
  ] as const)
    it(`ends in the same chains by changes as at once, a ${kind} map of IPv${family}`, () =>
      fc.assert(
        fc.property(
          fc.array(flowOf(family), { maxLength: 90 }),
          fc.array(fc.array(fc.tuple(flowOf(family), fc.constantFrom('a', 'b', undefined)), { maxLength: 40 }), {
            maxLength: 6,
          }),
          fc.infiniteStream(fc.nat(3)),
          (held, steps, random) => {
            const entries = new Map(
              map(
                kind,
                family,
                held.map((flow) => keyOf(kind, flow)),
                'return',
              ).entries,
            );
            const tree = new AddressTree({ ...map(kind, family, [], 'return'), entries: new Map(entries) });
            const chains = new Map(tree.chains().map((chain) => [chain.name, chain]));
            for (const step of steps) {
              const set = new Map<string, string>();
              const removed = new Set<string>();
              for (const [flow, chain] of step) if (chain !== undefined) set.set(keyOf(kind, flow), chain);
              // Of what is there many go, so that nodes empty, and move.
              for (const key of entries.keys()) if (random.next().value === 0 && !set.has(key)) removed.add(key);
              for (const key of removed) entries.delete(key);
              for (const [key, chain] of set) entries.set(key, chain);
              const { upserted, deleted } = tree.change(set, [...removed]);
              for (const chain of upserted) {
                expect(chains.get(chain.name), 'written though it is the same').to.not.deep.equal(chain);
                chains.set(chain.name, chain);
              }
              for (const name of deleted) expect(chains.delete(name), name).to.equal(true);
              const wanted = addressChains({ ...map(kind, family, [], 'return'), entries });
              expect(tree.chains()).to.deep.equal(wanted);
              const byName = (a: Chain, b: Chain): number => (a.name < b.name ? -1 : 1);
              expect([...chains.values()].sort(byName)).to.deep.equal([...wanted].sort(byName));
            }
          },
        ),
        { numRuns: 80 },
      ));

  it('makes a few nodes anew for one entry of ten thousand', () => {
    const keys = Array.from({ length: 10_000 }, (_, i) => `10.96.${i >> 8}.${i & 255},tcp:80`);
    const tree = new AddressTree(map('destination-port', 4, keys, 'return'));
    const before = JSON.stringify(tree.chains());
    expect(tree.change(new Map([['10.96.200.9,tcp:80', 'a']]), []).upserted.length).to.be.at.most(3);
    const { upserted, deleted } = tree.change(new Map(), ['10.96.200.9,tcp:80']);
    expect(upserted.length).to.be.at.most(3);
    expect(deleted.length).to.be.at.most(2);
    expect(JSON.stringify(tree.chains()) === before, 'as before').to.equal(true);
  });

  it('takes many changes at once', () => {
    const keys = Array.from({ length: 3_000 }, (_, i) => `10.96.${i >> 8}.${i & 255},tcp:80`);
    const tree = new AddressTree(map('destination-port', 4, keys.slice(0, 2_000), 'return'));
    tree.change(new Map(keys.slice(1_000).map((key) => [key, `to ${key}`])), keys.slice(0, 1_000));
    const wanted = addressChains(map('destination-port', 4, keys.slice(1_000), 'return'));
    expect(JSON.stringify(tree.chains()) === JSON.stringify(wanted), 'as at once').to.equal(true);
  });

  it('compares a packet with few rules, however many services there are', () => {
    const keys = Array.from({ length: 10_000 }, (_, i) => `10.96.${i >> 8}.${i & 255},tcp:80`);
    const chains = addressChains(map('destination-port', 4, keys, 'return'));
    for (const key of [keys[0], keys[9_999], keys[4_711]]) {
      const address = parseAddress(key?.split(',')[0] ?? '');
      expect(walk(chains, { address, protocol: 6, port: 80 }).rules).to.be.at.most(80);
    }
  });

  it('changes few chains when one service comes', () => {
    const keys = Array.from({ length: 5_000 }, (_, i) => `10.96.${i >> 8}.${i & 255},tcp:80`);
    const before = new Map(addressChains(map('destination-port', 4, keys, 'return')).map((one) => [one.name, one]));
    const after = addressChains(map('destination-port', 4, [...keys, '10.96.19.200,tcp:80'], 'return'));
    const changed = after.filter((one) => JSON.stringify(before.get(one.name)) !== JSON.stringify(one));
    expect(changed.length).to.be.at.most(2);
  });

  it('names a key that is none', () => {
    for (const [kind, key] of [
      ['destination-port', 'tcp:80'],
      ['destination-port', '10.0.0.1,icmp:8'],
      ['port', '10.0.0.1,tcp:80'],
      ['port', 'tcp:65536'],
    ] as const)
      expect(() => addressChains(map(kind, 4, [key], 'return')), key).to.throw(RangeError, `Cannot read key "${key}"`);
  });
});
