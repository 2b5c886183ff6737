/** Random sessions, attributes and prefixes for property tests. */
import fc from 'fast-check';
import { prefixOf, type Family, type IpPrefix } from 'node-bgp/address';
import type { AsPathSegment, PathAttributes } from 'node-bgp/codec/attribute';

const u32 = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(0, 1, 0xffff, 0x10000, 0xffffffff));
export const anyAs = fc.oneof(fc.integer({ min: 1, max: 0xffff }), fc.integer({ min: 0x10000, max: 0xffffffff }));
const segment: fc.Arbitrary<AsPathSegment> = fc.record({
  type: fc.constantFrom('sequence', 'sequence', 'set'),
  members: fc.array(anyAs, { minLength: 1, maxLength: 6 }),
});

/** Paths in the form the codec gives back: no empty segment. */
export const anyAsPath: fc.Arbitrary<readonly AsPathSegment[]> = fc.oneof(
  fc.array(segment, { maxLength: 4 }),
  fc.array(anyAs, { minLength: 200, maxLength: 255 }).map((members) => [{ type: 'sequence' as const, members }]),
);

/** An optional field is absent, never undefined: `deep.equal` tells them apart. */
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const listOf = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T[] | undefined> =>
  optional(fc.array(arbitrary, { minLength: 1, maxLength: 20 }));

export const anyAttributes: fc.Arbitrary<PathAttributes> = fc
  .record({
    origin: fc.constantFrom('igp' as const, 'egp' as const, 'incomplete' as const),
    asPath: anyAsPath,
    med: optional(u32),
    localPreference: optional(u32),
    atomicAggregate: optional(fc.constant(true as const)),
    aggregator: optional(fc.record({ as: anyAs, address: u32 })),
    communities: optional(fc.array(u32, { minLength: 1, maxLength: 90 })),
    originatorId: optional(u32),
    clusterList: listOf(u32),
    extendedCommunities: listOf(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })),
    ipv6ExtendedCommunities: listOf(fc.uint8Array({ minLength: 20, maxLength: 20 })),
    largeCommunities: listOf(fc.record({ global: u32, local1: u32, local2: u32 })),
    otc: optional(u32),
    unknown: optional(
      fc
        .uniqueArray(
          fc.record({
            flags: fc.constantFrom(0xe0),
            code: fc.integer({ min: 100, max: 120 }),
            value: fc.uint8Array({ maxLength: 300 }),
          }),
          { minLength: 1, maxLength: 3, selector: ({ code }) => code },
        )
        .map((list) => list.sort((a, b) => a.code - b.code)),
    ),
  })
  .map(
    (attributes) =>
      Object.fromEntries(
        Object.entries(attributes).filter(([, value]) => value !== undefined),
      ) as unknown as PathAttributes,
  );

export const prefixIn = (family: Family): fc.Arbitrary<IpPrefix> =>
  fc
    .tuple(
      fc.bigInt({ min: 0n, max: (1n << (family === 4 ? 32n : 128n)) - 1n }),
      fc.integer({ min: 0, max: family === 4 ? 32 : 128 }),
    )
    .map(([value, length]) => prefixOf({ family, value }, length));
