/**
 * Filters as the RIB runs them (octets, shared attribute sets, remembered verdicts, decision trees) against the same rules read one by one
 * on decoded routes, by an interpreter that shares nothing with them.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import {
  containsPrefix,
  formatAddress,
  formatPrefix,
  hostPrefix,
  parseAddress,
  parsePrefix,
  type IpAddress,
} from 'node-bgp/address';
import type { PathAttributes } from 'node-bgp/codec/attribute';
import { formatCommunity } from 'node-bgp/codec/community';
import { encodeAttributes, formatAttributes, parseAttributes } from 'node-bgp/codec/parse';
import type { FilterMatch, FilterRule, FilterSet, PrefixMatch } from 'node-bgp/config';
import { compilePolicy } from 'node-bgp/filter/policy';
import type { RoutePolicy } from 'node-bgp/rib/policy';
import { LOCAL_AS, reach, ribPeer, RibWorld, sequence } from '../rib/rib-world.js';

interface Route {
  readonly prefix: string;
  readonly attributes: PathAttributes;
  readonly nextHop: IpAddress;
  readonly weight: number;
  readonly metric: number | undefined;
}

const numberOf = (text: string): number => Number(text.split(':')[0]) * 65536 + Number(text.split(':')[1]);
const fits = (pattern: string, community: number): boolean =>
  formatCommunity(community)
    .split(':')
    .every((part, i) => pattern.split(':')[i] === '*' || pattern.split(':')[i] === part);

function holds(match: FilterMatch, { prefix, attributes, nextHop, metric }: Route): boolean {
  const path = attributes.asPath.flatMap(({ members }) => members);
  const parsed = parsePrefix(prefix);
  const inRange = (entry: PrefixMatch): boolean => {
    const base = parsePrefix(entry.prefix);
    const min = entry.minLength ?? base.length;
    return (
      containsPrefix(base, parsed) &&
      parsed.length >= min &&
      parsed.length <= (entry.maxLength ?? Math.max(base.length, min))
    );
  };
  const between = (range: { readonly min?: number; readonly max?: number } | undefined, value: number): boolean =>
    range === undefined || (value >= (range.min ?? 0) && value <= (range.max ?? Infinity));
  return (
    (match.prefixes === undefined || match.prefixes.some((entry) => inRange(entry) !== (entry.not === true))) &&
    (match.communities === undefined ||
      match.communities.some((pattern) =>
        (attributes.communities ?? []).some((community) => fits(pattern, community)),
      )) &&
    (match.asPathPrefix === undefined || match.asPathPrefix.every((as, i) => path[i] === as)) &&
    (match.asPath === undefined || match.asPath.some((pattern) => new RegExp(pattern).test(path.join(' ')))) &&
    (match.nextHops === undefined ||
      match.nextHops.some((range) => containsPrefix(parsePrefix(range), hostPrefix(nextHop)))) &&
    (match.origins === undefined || match.origins.includes(attributes.origin)) &&
    (match.kernelMetric === undefined || match.kernelMetric === metric) &&
    between(match.asPathLength, path.length) &&
    between(match.med, attributes.med ?? 0) &&
    between(match.localPreference, attributes.localPreference ?? 100)
  );
}

function change(set: FilterSet, { prefix, attributes, nextHop, weight, metric }: Route): Route {
  const kept = (set.setCommunities?.map(numberOf) ?? attributes.communities ?? []).filter(
    (community) => !(set.removeCommunities ?? []).some((pattern) => fits(pattern, community)),
  );
  const communities = [
    ...kept,
    ...(set.addCommunities ?? []).map(numberOf).filter((community) => !kept.includes(community)),
  ];
  const added = [...(set.prependAs ?? []), ...new Array<number>(set.prepend ?? 0).fill(LOCAL_AS)];
  return {
    prefix,
    weight: set.weight ?? weight,
    metric: set.kernelMetric ?? metric,
    nextHop: set.nextHop === undefined ? nextHop : parseAddress(set.nextHop),
    attributes: {
      ...attributes,
      origin: set.origin ?? attributes.origin,
      localPreference: set.localPreference ?? attributes.localPreference,
      med: set.med === 'remove' ? undefined : (set.med ?? attributes.med),
      communities: communities.length === 0 ? undefined : communities,
      asPath: sequence(...added, ...attributes.asPath.flatMap(({ members }) => members)),
    },
  };
}

/** undefined: rejected. */
function interpret(rules: readonly FilterRule[], route: Route): Route | undefined {
  let now = route;
  for (const { match, set, action } of rules) {
    if (!holds(match ?? {}, now)) continue;
    if (action === 'reject') return undefined;
    if (set !== undefined) now = change(set, now);
    if (action === 'accept') return now;
  }
  return now;
}

const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 });
const some = <T>(...values: T[]): fc.Arbitrary<readonly T[]> =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 });
const anyMatch: fc.Arbitrary<FilterMatch> = fc
  .record({
    prefixes: maybe(
      some<PrefixMatch>(
        { prefix: '10.0.0.0/8', maxLength: 24 },
        { prefix: '10.1.0.0/16', minLength: 20 },
        { prefix: '10.1.0.0/16', not: true },
        { prefix: '11.0.0.0/8' },
      ),
    ),
    communities: maybe(some('1:1', '2:*', '*:3')),
    asPathPrefix: maybe(some(7, 8)),
    asPath: maybe(some('^7', '8$', '^7 8', '9')),
    asPathLength: maybe(fc.constantFrom({ min: 2 }, { max: 2 })),
    nextHops: maybe(some('10.0.0.1/32', '10.0.0.0/30')),
    origins: maybe(some('igp' as const, 'egp' as const)),
    med: maybe(fc.constantFrom({ min: 1 }, { max: 0 }, { min: 5, max: 9 })),
    localPreference: maybe(fc.constantFrom({ min: 101 }, { max: 100 })),
    kernelMetric: maybe(fc.constantFrom(5)),
  })
  .map((match) => ({ ...match }));
const anySet: fc.Arbitrary<FilterSet> = fc.record({
  localPreference: maybe(fc.constantFrom(50, 150)),
  med: maybe(fc.constantFrom<number | 'remove'>(6, 'remove')),
  origin: maybe(fc.constantFrom('igp' as const, 'incomplete' as const)),
  nextHop: maybe(fc.constantFrom('10.0.0.2', '10.0.0.9')),
  setCommunities: maybe(some('1:1', '2:2')),
  addCommunities: maybe(some('2:3', '1:1')),
  removeCommunities: maybe(some('1:*', '*:3')),
  prepend: maybe(fc.constantFrom(1, 2)),
  prependAs: maybe(some(7, 9)),
  weight: maybe(fc.constantFrom(3)),
  kernelMetric: maybe(fc.constantFrom(5, 6)),
});
const anyRules: fc.Arbitrary<readonly FilterRule[]> = fc.array(
  fc
    .record({
      match: maybe(anyMatch),
      set: maybe(anySet),
      action: fc.constantFrom('accept' as const, 'reject' as const, 'next' as const, 'next' as const),
    })
    .map(
      ({ match, set, action }): FilterRule => ({
        action,
        ...(match === undefined ? {} : { match }),
        ...(set === undefined ? {} : { set }),
      }),
    ),
  { minLength: 1, maxLength: 6 },
);
const anyRoute: fc.Arbitrary<Route> = fc
  .record({
    prefix: fc.constantFrom('10.0.0.0/8', '10.1.0.0/16', '10.1.16.0/20', '10.1.2.0/24', '11.0.0.0/8', '12.0.0.0/9'),
    nextHop: fc.constantFrom('10.0.0.1', '10.0.0.7').map(parseAddress),
    attributes: fc.record({
      origin: fc.constantFrom('igp' as const, 'egp' as const),
      asPath: fc.constantFrom(sequence(7), sequence(7, 8), sequence(8, 9, 7)),
      med: maybe(fc.constantFrom(0, 5, 9)),
      communities: maybe(some(numberOf('1:1'), numberOf('2:2'), numberOf('5:3'))),
    }),
  })
  .map((route) => ({ ...route, weight: 0, metric: undefined }));

/** As an operator reads it; attributes have been through octets. */
function textOf({ prefix, attributes, nextHop, weight, metric }: Route): string {
  const there = parseAttributes(encodeAttributes(attributes));
  return `${prefix} via ${formatAddress(nextHop)} weight ${weight} metric ${metric ?? '-'} ${formatAttributes(there)
    .map(({ name, text }) => `${name} ${text}`)
    .join(' ')}`;
}

const compiled = (rules: readonly FilterRule[]): RoutePolicy =>
  compilePolicy({ f: { rules } }, ['f'], {
    direction: 'import',
    peerType: 'ebgp',
    name: 'a',
    address: parseAddress('10.0.0.1'),
    remoteAs: 65001,
    localAs: LOCAL_AS,
  });

describe('bgp/filter on octets', () => {
  it('decides and changes as the rules read, for all routes and after every change of policy', () =>
    fc.assert(
      fc.property(
        fc.array(anyRules, { minLength: 1, maxLength: 3 }),
        fc.uniqueArray(anyRoute, { selector: ({ prefix }) => prefix, minLength: 1 }),
        (policies, routes) => {
          const world = new RibWorld();
          const options = ribPeer('a', { role: 'ebgp', at: '10.0.0.1' });
          const { id } = world.up(options);
          for (const { prefix, attributes, nextHop } of routes)
            world.announce('a', reach(prefix, formatAddress(nextHop), attributes));
          for (const rules of policies) {
            world.rib.peerChanged(id, { ...options, importPolicy: compiled(rules) });
            world.settle();
            const shown = [...world.rib.queries.received(id, 4, 'after-policy')]
              .flat()
              .map(({ prefix, attributes, nextHop, weight }) =>
                textOf({
                  prefix: formatPrefix(prefix),
                  attributes,
                  nextHop: nextHop ?? parseAddress('0.0.0.0'),
                  weight,
                  metric: world.rib.queries.why(prefix).forwarding?.metric,
                }),
              );
            expect(shown.sort()).to.deep.equal(
              routes
                .flatMap((route) => interpret(rules, route) ?? [])
                .map(textOf)
                .sort(),
            );
          }
        },
      ),
      { numRuns: 300 },
    ));
});
