import { expect } from 'chai';
import fc from 'fast-check';
import {
  containsPrefix,
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
  type IpPrefix,
} from 'node-bgp/address';
import { formatAsPath } from 'node-bgp/codec/as-path';
import type { PathAttributes } from 'node-bgp/codec/attribute';
import { parseCommunity } from 'node-bgp/codec/community';
import { formatAttributes } from 'node-bgp/codec/parse';
import type { FilterConfig, FilterMatch, FilterRule, FilterSet, PrefixMatch } from 'node-bgp/config';
import { validateConfig } from 'node-bgp/config/validate';
import { parseAsPathPattern } from 'node-bgp/filter/as-path-pattern';
import type { FilterSession } from 'node-bgp/filter/condition';
import { explainPolicy, formatExplanation } from 'node-bgp/filter/explain';
import { compilePolicy } from 'node-bgp/filter/policy';
import { PrefixSet, wordsOf } from 'node-bgp/filter/prefix-set';
import type { PolicyRoute } from 'node-bgp/rib/policy';
import { prefixIn } from '../codec/arbitraries.js';

const SESSION: FilterSession = {
  direction: 'import',
  peerType: 'ebgp',
  name: 'tor1',
  address: parseAddress('10.0.0.1'),
  remoteAs: 65001,
  localAs: 64512,
};

const ATTRIBUTES: PathAttributes = {
  origin: 'igp',
  asPath: [{ type: 'sequence', members: [65001, 64600, 64700] }],
  med: 50,
  communities: [0xfc000064, 0xffffff01],
  largeCommunities: [{ global: 64512, local1: 1, local2: 2 }],
  extendedCommunities: [0x0002fc0000000064n],
};

const routeTo = (prefix: string, more: Partial<PolicyRoute> = {}): PolicyRoute => ({
  family: prefix.includes(':') ? 6 : 4,
  prefix: parsePrefix(prefix),
  tags: [],
  source: 'ebgp',
  attributes: ATTRIBUTES,
  nextHop: parseAddress('10.0.0.1'),
  interfaceName: 'eth0',
  from: { name: 'tor1', address: parseAddress('10.0.0.1'), remoteAs: 65001, interfaceName: 'eth0' },
  to: undefined,
  ...more,
});

const policyOf = (rules: readonly FilterRule[], session: Partial<FilterSession> = {}, end?: FilterConfig['default']) =>
  compilePolicy({ f: { rules, default: end } }, ['f'], { ...SESSION, ...session });

/** Does a rule with this condition reject the route? */
const matches = (
  match: FilterMatch,
  route: PolicyRoute = routeTo('10.1.0.0/16'),
  session: Partial<FilterSession> = {},
): boolean => policyOf([{ match, action: 'reject' }], session).judge(route).type === 'reject';

describe('bgp/filter: conditions', () => {
  const table: readonly (readonly [FilterMatch, boolean])[] = [
    [{}, true],
    [{ prefixes: [{ prefix: '10.1.0.0/16' }] }, true],
    [{ prefixes: [{ prefix: '10.0.0.0/8' }] }, false],
    [{ prefixes: [{ prefix: '10.0.0.0/8', maxLength: 16 }] }, true],
    [{ prefixes: [{ prefix: '10.0.0.0/8', minLength: 17, maxLength: 24 }] }, false],
    [{ prefixes: [{ prefix: '10.0.0.0/8', minLength: 16 }] }, true],
    [{ prefixes: [{ prefix: '10.1.0.0/16', not: true }] }, false],
    [{ prefixes: [{ prefix: '10.2.0.0/16', not: true }] }, true],
    [{ prefixes: [{ prefix: '::/0', maxLength: 128 }] }, false],
    [{ prefixes: [{ prefix: '192.168.0.0/16' }, { prefix: '0.0.0.0/0', maxLength: 32 }] }, true],
    [{ prefixes: [] }, false],
    [{ source: ['ebgp'] }, true],
    [{ source: ['local', 'ibgp'] }, false],
    [{ families: ['ipv4'] }, true],
    [{ families: ['ipv6'] }, false],
    [{ communities: ['64512:100'] }, true],
    [{ communities: ['64512:*'] }, true],
    [{ communities: ['*:100'] }, true],
    [{ communities: ['64513:*'] }, false],
    [{ communities: ['no-export'] }, true],
    [{ communities: ['no-advertise', '64512:1:*'] }, true],
    [{ communities: ['64512:2:*'] }, false],
    [{ communities: ['*:*:2'] }, true],
    [{ communities: ['target:64512:100'] }, true],
    [{ communities: ['rt:64512:*'] }, true],
    [{ communities: ['origin:*:*'] }, false],
    [{ communities: ['target:*:99'] }, false],
    [{ peerTypes: ['ebgp'] }, true],
    [{ peerTypes: ['ibgp'] }, false],
    [{ peers: ['tor1'] }, true],
    [{ peers: ['tor*'] }, true],
    [{ peers: ['*1'] }, true],
    [{ peers: ['t*r*1'] }, true],
    [{ peers: ['tor2'] }, false],
    [{ peers: ['or1'] }, false],
    [{ peers: ['10.0.0.1'] }, true],
    [{ peers: ['10.0.0.0/24'] }, true],
    [{ peers: ['10.1.0.0/24'] }, false],
    [{ peers: ['tor1*tor1'] }, false],
    [{ peerAs: [65001, 65002] }, true],
    [{ peerAs: [65002] }, false],
    [{ interfaces: ['eth*'] }, true],
    [{ interfaces: ['eth1'] }, false],
    [{ asPathPrefix: [65001] }, true],
    [{ asPathPrefix: [65001, 64600] }, true],
    [{ asPathPrefix: [64600] }, false],
    [{ asPathPrefix: [65001, 64600, 64700, 1] }, false],
    [{ asPath: ['^65001_'] }, true],
    [{ asPath: ['_64700$'] }, true],
    [{ asPath: ['_6460_'] }, false],
    [{ asPath: ['^$'] }, false],
    [{ asPath: ['^$', '_64600_'] }, true],
    [{ asPathLength: { min: 3, max: 3 } }, true],
    [{ asPathLength: { min: 4 } }, false],
    [{ asPathLength: { max: 2 } }, false],
    [{ nextHops: ['10.0.0.1'] }, true],
    [{ nextHops: ['10.0.0.0/8'] }, true],
    [{ nextHops: ['10.0.0.2', 'fd00::/8'] }, false],
    [{ med: { min: 50 } }, true],
    [{ med: { max: 49 } }, false],
    [{ localPreference: { min: 100, max: 100 } }, true],
    [{ localPreference: { min: 101 } }, false],
    [{ origins: ['igp'] }, true],
    [{ origins: ['egp', 'incomplete'] }, false],
    [{ kernelMetric: 5 }, false],
    [{ tags: ['block'] }, false],
    [{ prefixes: [{ prefix: '10.1.0.0/16' }], communities: ['64512:100'], source: ['ebgp'] }, true],
    [{ prefixes: [{ prefix: '10.1.0.0/16' }], communities: ['64512:101'], source: ['ebgp'] }, false],
  ];
  for (const [match, want] of table)
    it(`${JSON.stringify(match)} ${want ? 'matches' : 'does not match'}`, () => expect(matches(match)).to.equal(want));

  it('sees the kernel metric that import policy asked for', () =>
    expect(matches({ kernelMetric: 7 }, routeTo('10.1.0.0/16', { metric: 7 }))).to.equal(true));
  it('sees that nobody has asked for a kernel metric', () => {
    expect(matches({ kernelMetric: 'none' }, routeTo('10.1.0.0/16', { metric: 7 }))).to.equal(false);
    expect(matches({ kernelMetric: 'none' }, routeTo('10.1.0.0/16', { metric: 0 }))).to.equal(false);
    expect(matches({ kernelMetric: 'none' }, routeTo('10.1.0.0/16', {}))).to.equal(true);
  });
  it('sees tags of our own prefixes', () =>
    expect(matches({ tags: ['node', 'block'] }, routeTo('10.1.0.0/16', { tags: ['block'], source: 'local' }))).to.equal(
      true,
    ));
  it('sees no interface where the route has none', () =>
    expect(matches({ interfaces: ['*'] }, routeTo('10.1.0.0/16', { interfaceName: undefined }))).to.equal(false));
  it('looks at the interface of the next hop, not at that of the session', () =>
    expect(matches({ interfaces: ['eth0'] }, routeTo('10.1.0.0/16', { interfaceName: 'eth9' }))).to.equal(false));
  it('takes an absent MED as 0', () =>
    expect(
      matches({ med: { max: 0 } }, routeTo('10.1.0.0/16', { attributes: { origin: 'igp', asPath: [] } })),
    ).to.equal(true));
  it('never takes an AS set for a prefix of the path', () =>
    expect(
      matches(
        { asPathPrefix: [1] },
        routeTo('10.1.0.0/16', { attributes: { origin: 'igp', asPath: [{ type: 'set', members: [1] }] } }),
      ),
    ).to.equal(false));
});

describe('bgp/filter: actions', () => {
  const after = (set: FilterSet, attributes: PathAttributes = ATTRIBUTES): string => {
    const verdict = policyOf([{ set, action: 'accept' }]).judge(routeTo('10.1.0.0/16', { attributes }));
    if (verdict.type === 'reject') return 'rejected';
    const { nextHop, weight, metric } = verdict;
    const lines = formatAttributes(verdict.attributes ?? attributes).map(({ name, text }) => `${name} ${text}`);
    return [
      ...lines,
      nextHop && `via ${formatAddress(nextHop)}`,
      weight && `weight ${weight}`,
      metric && `metric ${metric}`,
    ]
      .filter(Boolean)
      .join('; ');
  };
  const bare: PathAttributes = { origin: 'igp', asPath: [{ type: 'sequence', members: [65001] }] };
  const table: readonly (readonly [FilterSet, PathAttributes, string])[] = [
    [{ localPreference: 200 }, bare, 'ORIGIN igp; AS_PATH 65001; LOCAL_PREF 200'],
    [{ med: 7 }, bare, 'ORIGIN igp; AS_PATH 65001; MULTI_EXIT_DISC 7'],
    [{ med: 'remove' }, { ...bare, med: 7 }, 'ORIGIN igp; AS_PATH 65001'],
    [{ origin: 'incomplete' }, bare, 'ORIGIN incomplete; AS_PATH 65001'],
    [{ prepend: 2 }, bare, 'ORIGIN igp; AS_PATH 64512 64512 65001'],
    [{ prependAs: [1, 2] }, bare, 'ORIGIN igp; AS_PATH 1 2 65001'],
    [{ prependAs: [1], prepend: 1 }, { ...bare, asPath: [] }, 'ORIGIN igp; AS_PATH 1 64512'],
    [{ prepend: 1 }, { ...bare, asPath: [{ type: 'set', members: [5] }] }, 'ORIGIN igp; AS_PATH 64512 {5}'],
    [{ nextHop: '10.9.9.9' }, bare, 'ORIGIN igp; AS_PATH 65001; via 10.9.9.9'],
    [{ nextHop: 'fd00::1' }, bare, 'ORIGIN igp; AS_PATH 65001'],
    [{ weight: 9, kernelMetric: 77 }, bare, 'ORIGIN igp; AS_PATH 65001; weight 9; metric 77'],
    [
      { addCommunities: ['64512:1', 'no-export', '1:2:3', 'target:1:2'] },
      bare,
      'ORIGIN igp; AS_PATH 65001; COMMUNITIES 64512:1 no-export; EXTENDED COMMUNITIES target:1:2; LARGE_COMMUNITY 1:2:3',
    ],
    [
      { addCommunities: ['64512:100', '64512:101'] },
      { ...bare, communities: [0xfc000064] },
      'ORIGIN igp; AS_PATH 65001; COMMUNITIES 64512:100 64512:101',
    ],
    [
      { removeCommunities: ['64512:*'] },
      { ...bare, communities: [0xfc000064, 0xfc010064] },
      'ORIGIN igp; AS_PATH 65001; COMMUNITIES 64513:100',
    ],
    [
      { removeCommunities: ['*:*', '*:*:*', 'target:*:*'] },
      ATTRIBUTES,
      'ORIGIN igp; AS_PATH 65001 64600 64700; MULTI_EXIT_DISC 50',
    ],
    [
      { setCommunities: ['1:1'] },
      ATTRIBUTES,
      'ORIGIN igp; AS_PATH 65001 64600 64700; MULTI_EXIT_DISC 50; COMMUNITIES 1:1',
    ],
    [
      { setCommunities: ['1:1'], removeCommunities: ['1:*'], addCommunities: ['2:2'] },
      ATTRIBUTES,
      'ORIGIN igp; AS_PATH 65001 64600 64700; MULTI_EXIT_DISC 50; COMMUNITIES 2:2',
    ],
  ];
  for (const [set, attributes, want] of table)
    it(`${JSON.stringify(set)} makes ${want}`, () => expect(after(set, attributes)).to.equal(want));

  it('says nothing of attributes that stay as they are', () => {
    for (const set of [
      { origin: 'igp' },
      { addCommunities: ['64512:100'] },
      { removeCommunities: ['9:9'] },
    ] satisfies FilterSet[])
      expect(policyOf([{ set, action: 'accept' }]).judge(routeTo('10.1.0.0/16'))).to.deep.equal({ type: 'accept' });
  });
  it('says that it chose MED even where the value was there before (4271 5.1.4)', () => {
    expect(policyOf([{ set: { med: 50 }, action: 'accept' }]).judge(routeTo('10.1.0.0/16'))).to.deep.equal({
      type: 'accept',
      choseMed: true,
    });
    expect(
      policyOf([
        { set: { med: 50 }, action: 'next' },
        { set: { med: 'remove' }, action: 'accept' },
      ]).judge(routeTo('10.1.0.0/16')),
    ).to.not.have.property('choseMed');
  });
  it('lets later rules see what earlier ones set', () => {
    const policy = policyOf([
      { set: { localPreference: 300, addCommunities: ['1:1'], kernelMetric: 5 }, action: 'next' },
      { match: { localPreference: { min: 300 }, communities: ['1:1'], kernelMetric: 5 }, action: 'reject' },
    ]);
    expect(policy.judge(routeTo('10.1.0.0/16')).type).to.equal('reject');
  });
});

describe('bgp/filter: policies', () => {
  it('runs filters in order, each with its default, and accepts at the end', () => {
    const filters: Record<string, FilterConfig> = {
      pass: { rules: [{ match: { tags: ['x'] }, action: 'reject' }] },
      deny: { rules: [{ match: { families: ['ipv4'] }, action: 'accept' }], default: 'reject' },
    };
    const judge = (names: readonly string[], prefix: string): string =>
      compilePolicy(filters, names, SESSION).judge(routeTo(prefix)).type;
    expect([
      judge([], '10.0.0.0/8'),
      judge(['pass'], '10.0.0.0/8'),
      judge(['pass', 'deny'], '10.0.0.0/8'),
      judge(['pass', 'deny'], 'fd00::/8'),
    ]).to.deep.equal(['accept', 'accept', 'accept', 'reject']);
    expect(() => compilePolicy(filters, ['none'], SESSION)).to.throw('"none"');
    expect(() => compilePolicy(filters, ['toString'], SESSION)).to.throw('"toString"');
  });

  it('asks for the prefix only where a rule does', () => {
    const depends = (match: FilterMatch, session: Partial<FilterSession> = {}): boolean =>
      policyOf([{ match, action: 'reject' }], session).dependsOnPrefix;
    expect([
      depends({ communities: ['1:1'] }),
      depends({ prefixes: [{ prefix: '10.0.0.0/8' }] }),
      depends({ tags: ['x'] }),
    ]).to.deep.equal([false, true, true]);
    expect(depends({ tags: ['x'], peerTypes: ['ibgp'] })).to.equal(false);
  });

  it('gives peers that no rule tells apart the same key, and others another', () => {
    const rules: readonly FilterRule[] = [
      { match: { peerTypes: ['ebgp'], peers: ['tor*'], communities: ['1:1'] }, action: 'reject' },
    ];
    const keyOf = (session: Partial<FilterSession>, list: readonly FilterRule[] = rules): string =>
      policyOf(list, session).key;
    expect(keyOf({ name: 'tor1' })).to.equal(keyOf({ name: 'tor2', address: parseAddress('10.0.0.9') }));
    expect(keyOf({ name: 'tor1' })).to.not.equal(keyOf({ name: 'leaf' }));
    expect(keyOf({ localAs: 1 })).to.equal(keyOf({ localAs: 2 }));
    const prepend: readonly FilterRule[] = [{ set: { prepend: 1 }, action: 'next' }];
    expect(keyOf({ localAs: 1 }, prepend)).to.not.equal(keyOf({ localAs: 2 }, prepend));
  });

  it('answers with one verdict object per way through the rules', () => {
    const policy = policyOf([
      { match: { prefixes: [{ prefix: '10.0.0.0/8', maxLength: 32 }] }, set: { localPreference: 200 }, action: 'next' },
      { match: { prefixes: [{ prefix: '10.1.0.0/16', maxLength: 32 }] }, set: { med: 1 }, action: 'accept' },
    ]);
    const tree = policy.specialize(routeTo('0.0.0.0/0', { prefix: undefined }));
    const decide = (prefix: string) =>
      tree.decide(Uint32Array.from(wordsOf(parsePrefix(prefix))), 0, parsePrefix(prefix).length, []);
    expect(decide('10.2.0.0/16')).to.equal(decide('10.3.0.0/24'));
    expect(decide('10.1.0.0/16')).to.equal(decide('10.1.1.0/24'));
    expect(decide('11.0.0.0/8')).to.deep.equal({ type: 'accept' });
    expect(decide('10.1.0.0/16')).to.deep.include({ attributes: { ...ATTRIBUTES, localPreference: 200, med: 1 } });
    expect(decide('10.2.0.0/16')).to.deep.include({ attributes: { ...ATTRIBUTES, localPreference: 200 } });
  });

  it('explains every rule and the one that decided', () => {
    const policy = compilePolicy(
      {
        'tor-in': {
          rules: [
            { name: 'internal only', match: { peerTypes: ['ibgp'] }, action: 'reject' },
            { match: { families: ['ipv4'], communities: ['9:9'] }, action: 'reject' },
            { set: { med: 1 }, action: 'next' },
            { name: 'no bogons', match: { prefixes: [{ prefix: '192.168.0.0/16', maxLength: 32 }] }, action: 'reject' },
          ],
          default: 'reject',
        },
      },
      ['tor-in'],
      SESSION,
    );
    const explain = (prefix: string) => explainPolicy(policy, routeTo(prefix));
    expect(explain('192.168.1.0/24').rules.map(({ index, failed }) => [index, failed])).to.deep.equal([
      [1, 'communities'],
      [2, undefined],
      [3, undefined],
    ]);
    expect(formatExplanation(explain('192.168.1.0/24'))).to.equal('filter "tor-in" rule 4 (no bogons) rejected it');
    expect(explain('10.0.0.0/8').rules.map(({ failed }) => failed)).to.deep.equal([
      'communities',
      undefined,
      'prefixes',
      undefined,
    ]);
    expect(formatExplanation(explain('10.0.0.0/8'))).to.equal('filter "tor-in" default rejected it');
    expect(policy.explain?.(routeTo('10.0.0.0/8'))).to.deep.equal({
      text: 'filter "tor-in" default rejected it',
      rule: { filter: 'tor-in' },
    });
    expect(formatExplanation(explainPolicy(policyOf([]), routeTo('10.0.0.0/8')))).to.equal('no rule decided: accepted');
  });

  const anyMatch: fc.Arbitrary<FilterMatch> = fc.record({
    prefixes: fc.option(
      fc.array(
        fc.constantFrom<PrefixMatch>(
          { prefix: '10.0.0.0/8', maxLength: 32 },
          { prefix: '10.1.0.0/16' },
          { prefix: '10.1.0.0/16', not: true },
        ),
        { maxLength: 2 },
      ),
      { nil: undefined },
    ),
    tags: fc.constantFrom(undefined, ['a'], ['a', 'b']),
    communities: fc.constantFrom(undefined, ['1:1'], ['64512:*']),
    localPreference: fc.constantFrom(undefined, { min: 150 }),
    source: fc.constantFrom(undefined, ['ebgp' as const], ['local' as const]),
  });
  const anyRule: fc.Arbitrary<FilterRule> = fc.record({
    match: anyMatch,
    action: fc.constantFrom('accept', 'reject', 'next', 'next'),
    set: fc.constantFrom<(FilterSet | undefined)[]>(
      undefined,
      { localPreference: 200 },
      { addCommunities: ['1:1'] },
      { removeCommunities: ['64512:*'] },
      { med: 3 },
    ),
  });
  it('decides through the tree as it does rule by rule', () =>
    fc.assert(
      fc.property(
        fc.array(anyRule, { maxLength: 8 }),
        fc.constantFrom('10.1.0.0/16', '10.1.2.0/24', '11.0.0.0/8'),
        fc.constantFrom<readonly string[]>([], ['a'], ['b']),
        (rules, prefix, tags) => {
          const policy = policyOf(rules);
          const route = routeTo(prefix, { tags });
          const { decidedBy, rules: explained } = explainPolicy(policy, route);
          const verdict = policy.judge(route);
          expect(verdict.type).to.equal(decidedBy?.action === 'reject' ? 'reject' : 'accept');
          // What the matching rules set, in order, is what comes out.
          if (verdict.type === 'reject') return;
          const matched = explained
            .filter(({ failed }) => failed === undefined)
            .map(({ index }) => rules[index ?? 0]?.set);
          const last = <K extends keyof FilterSet>(key: K) =>
            matched.filter((set) => set?.[key] !== undefined).at(-1)?.[key];
          expect((verdict.attributes ?? ATTRIBUTES).localPreference).to.equal(last('localPreference'));
          expect((verdict.attributes ?? ATTRIBUTES).med).to.equal(last('med') ?? 50);
        },
      ),
      { numRuns: 500 },
    ));
});

describe('bgp/filter/prefix-set', () => {
  const near = (family: 4 | 6): fc.Arbitrary<IpPrefix> =>
    fc.oneof(
      prefixIn(family),
      fc
        .tuple(
          fc.constantFrom(
            ...(family === 4 ? ['10.0.0.0', '10.128.0.0', '10.0.0.128'] : ['fd00::', 'fd00:0:0:8000::', 'fd00::8000']),
          ),
          fc.integer({ min: 0, max: family === 4 ? 32 : 128 }),
        )
        .map(([address, length]) => parsePrefix(`${address}/${length}`)),
    );
  const anyPrefix = fc.oneof(near(4), near(6));
  const anyEntry: fc.Arbitrary<PrefixMatch> = fc
    .tuple(anyPrefix, fc.nat(32), fc.nat(32), fc.boolean(), fc.integer({ min: 0, max: 9 }))
    .map(([prefix, low, span, isExact, negated]) => {
      const width = prefix.family === 4 ? 32 : 128;
      const minLength = Math.min(prefix.length + low, width);
      return {
        prefix: formatPrefix(prefix),
        ...(isExact ? {} : { minLength, maxLength: Math.min(minLength + span, width) }),
        ...(negated === 0 ? { not: true } : {}),
      };
    });

  it('agrees with containment, entry by entry', () =>
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 12 }), anyPrefix, (entries, prefix) => {
        const naive = entries.some((entry) => {
          const outer = parsePrefix(entry.prefix);
          const isIn =
            containsPrefix(outer, prefix) &&
            prefix.length >= (entry.minLength ?? outer.length) &&
            prefix.length <= (entry.maxLength ?? outer.length);
          return isIn !== (entry.not ?? false);
        });
        const words = new Uint32Array(7);
        words.set(wordsOf(prefix), 3);
        expect(new PrefixSet(entries).has(prefix.family, words, 3, prefix.length)).to.equal(naive);
      }),
      { numRuns: 2000 },
    ));
});

describe('bgp/filter/as-path-pattern', () => {
  const compiled = (source: string): { readonly test: (path: string) => boolean } => {
    const parsed = parseAsPathPattern(source);
    if (parsed.type === 'error') throw new Error(`${source}: ${parsed.expected}`);
    return parsed.pattern;
  };
  const table: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['^$', [''], ['1']],
    ['_65001_', ['65001', '1 65001 2', '{65001,2}', '1 {2,65001}'], ['165001', '650011', '']],
    ['^65001_', ['65001', '65001 2'], ['650012', '1 65001']],
    ['^[0-9]+$', ['65001'], ['1 2', '']],
    ['^65001( 6500[0-9])*$', ['65001', '65001 65003 65009'], ['65001 65010']],
    ['^(1|2 3)+$', ['1'], ['3']],
    ['\\{1,2\\}', ['5 {1,2}'], ['1,2']],
    ['^.{3}$', ['1 2'], ['12', '1234']],
    ['^1{2,3}$', ['11', '111'], ['1', '1111']],
    ['^[^1]', ['2'], ['1', '']],
    ['^\\d+ \\d+$', ['10 20'], ['10']],
    ['a|', ['', 'zzz'], []],
  ];
  for (const [source, good, bad] of table)
    it(`${source} matches ${good.join(' | ')} and not ${bad.join(' | ')}`, () => {
      for (const path of good) expect(compiled(source).test(path), path).to.equal(true);
      for (const path of bad) expect(compiled(source).test(path), path).to.equal(false);
    });

  for (const source of [
    '(',
    ')',
    '*',
    'a**)',
    '[',
    '[9-0]',
    'a{',
    'a{2,1}',
    'a{999}',
    '{1}',
    '\\',
    '((a{200}){200}){200}',
  ])
    it(`refuses ${source}`, () => expect(parseAsPathPattern(source).type).to.equal('error'));

  const piece = fc.constantFrom('1', '2', ' ', '.', '[12]', '[^1]', '\\d');
  const anyPattern = fc.letrec<{ pattern: string; atom: string }>((tie) => ({
    // Not deeper: JavaScript's own engine takes seconds for one in ten thousand of the deeper ones.
    atom: fc.oneof(
      { maxDepth: 2 },
      piece,
      piece,
      tie('pattern').map((inner) => `(${inner})`),
    ),
    pattern: fc
      .array(
        fc
          .tuple(tie('atom'), fc.constantFrom('', '', '*', '+', '?', '{1,2}', '{2}'))
          .map(([atom, times]) => atom + times),
        { minLength: 1, maxLength: 3 },
      )
      .chain((parts) => fc.constantFrom(parts.join(''), parts.join('|'), `^${parts.join('')}`, `${parts.join('')}$`)),
  })).pattern;
  it('agrees with JavaScript where both speak the same language', () =>
    fc.assert(
      fc.property(anyPattern, fc.stringMatching(/^[12 ]{0,6}$/), (source, path) => {
        expect(compiled(source).test(path)).to.equal(new RegExp(source).test(path));
      }),
      { numRuns: 2000 },
    ));

  it('takes no exponential time', () => {
    // A backtracking engine would need 2^4000 steps for this: the test would never end.
    expect(compiled('^((1|1)*)*2$').test('1'.repeat(4000))).to.equal(false);
  });
  it('reads the text that formatAsPath writes', () =>
    expect(
      compiled('^65001 \\{1,2\\}$').test(
        formatAsPath([
          { type: 'sequence', members: [65001] },
          { type: 'set', members: [1, 2] },
        ]),
      ),
    ).to.equal(true));
});

describe('bgp/filter: validation', () => {
  const problemsOf = (rule: unknown): string[] => {
    const outcome = validateConfig({ localAs: 64512, routerId: '10.0.0.1', filters: { f: { rules: [rule] } } });
    return outcome.type === 'valid' ? [] : outcome.problems.map(({ path }) => path);
  };
  it('takes every field', () => {
    expect(
      problemsOf({
        name: 'all',
        action: 'accept',
        match: {
          prefixes: [{ prefix: '10.0.0.0/8', minLength: 8, maxLength: 24, not: true }],
          tags: ['block'],
          source: ['local'],
          communities: ['1:*', '1:*:*', 'target:*:1', 'no-export'],
          families: ['ipv4'],
          peerTypes: ['ebgp'],
          peers: ['tor*'],
          peerAs: [65001],
          interfaces: ['eth*'],
          asPathPrefix: [1],
          asPath: ['^1_'],
          asPathLength: { max: 5 },
          nextHops: ['10.0.0.1', 'fd00::/8'],
          med: { min: 1 },
          localPreference: { min: 1, max: 2 },
          origins: ['egp'],
          kernelMetric: 1,
        },
        set: {
          localPreference: 1,
          med: 'remove',
          origin: 'igp',
          nextHop: 'fd00::1',
          setCommunities: [],
          addCommunities: ['1:1', 'target:1:1', '1:1:1'],
          removeCommunities: ['*:*'],
          prepend: 1,
          prependAs: [1],
          weight: 1,
          kernelMetric: 1,
        },
      }),
    ).to.deep.equal([]);
  });
  it('names every problem', () => {
    expect(
      problemsOf({
        action: 'maybe',
        match: {
          communities: ['1:99999999'],
          asPath: ['('],
          asPathLength: { min: 5, max: 1 },
          nextHops: ['x'],
          origins: ['bgp'],
          peers: ['a b'],
        },
        set: { med: 'gone', addCommunities: ['1:*'], origin: 1 },
      }),
    ).to.have.members([
      'filters.f.rules[0].action',
      'filters.f.rules[0].match.communities[0]',
      'filters.f.rules[0].match.asPath[0]',
      'filters.f.rules[0].match.asPathLength',
      'filters.f.rules[0].match.nextHops[0]',
      'filters.f.rules[0].match.origins[0]',
      'filters.f.rules[0].match.peers[0]',
      'filters.f.rules[0].set.med',
      'filters.f.rules[0].set.addCommunities[0]',
      'filters.f.rules[0].set.origin',
    ]);
  });
  it('knows the communities the codec knows', () =>
    expect(parseCommunity('llgr-stale')).to.deep.equal({ type: 'standard', value: 0xffff0006 }));
});
