/**
 * Patterns of communities of all three kinds, `*` for any number: "64512:*", "64512:1:*", "target:64512:*", "origin:*:7", or any
 * literal community or well-known name.
 */
import type { LargeCommunity, PathAttributes } from '../codec/attribute.js';
import { parseCommunity } from '../codec/community.js';

export interface CommunityPattern {
  readonly kind: 'standard' | 'extended' | 'large';
  readonly matchesStandard: (value: number) => boolean;
  readonly matchesExtended: (value: bigint) => boolean;
  readonly matchesLarge: (value: LargeCommunity) => boolean;
}

const never = (): boolean => false;
const NOTHING = { matchesStandard: never, matchesExtended: never, matchesLarge: never } as const;

/** undefined for text that is no pattern. */
export function parseCommunityPattern(text: string): CommunityPattern | undefined {
  if (!text.includes('*')) return literal(text);
  const parts = text.split(':');
  const [head = ''] = parts;
  if (head === 'target' || head === 'origin' || head === 'rt' || head === 'soo')
    return extendedPattern(head, parts.slice(1));
  const limit = parts.length === 2 ? 0xffff : 0xffffffff;
  const numbers = parts.map((part) => parsePart(part, limit));
  if (numbers.some((number) => number === undefined)) return undefined;
  const [first, second, third] = numbers;
  if (parts.length === 2)
    return {
      ...NOTHING,
      kind: 'standard',
      matchesStandard: (value) => isAt(first, value >>> 16) && isAt(second, value & 0xffff),
    };
  if (parts.length === 3)
    return {
      ...NOTHING,
      kind: 'large',
      matchesLarge: ({ global, local1, local2 }) => isAt(first, global) && isAt(second, local1) && isAt(third, local2),
    };
  return undefined;
}

function literal(text: string): CommunityPattern | undefined {
  const community = parseCommunity(text);
  switch (community?.type) {
    case undefined:
      return undefined;
    case 'standard':
      return { ...NOTHING, kind: 'standard', matchesStandard: (value) => value === community.value };
    case 'extended':
      return { ...NOTHING, kind: 'extended', matchesExtended: (value) => value === community.value };
    case 'large': {
      const { global, local1, local2 } = community.value;
      return {
        ...NOTHING,
        kind: 'large',
        matchesLarge: (value) => value.global === global && value.local1 === local1 && value.local2 === local2,
      };
    }
  }
}

/** All three encodings of RFC 4360 and RFC 5668: two-octet AS, IPv4 address, four-octet AS. */
function extendedPattern(
  name: string,
  [administrator = '', local = '', ...more]: readonly string[],
): CommunityPattern | undefined {
  const as = parsePart(administrator, 0xffffffff);
  const number = parsePart(local, 0xffffffff);
  if (as === undefined || number === undefined || more.length > 0) return undefined;
  const wanted = name === 'target' || name === 'rt' ? 2n : 3n;
  return {
    ...NOTHING,
    kind: 'extended',
    matchesExtended: (value) => {
      const type = (value >> 56n) & 0x3fn;
      if (((value >> 48n) & 0xffn) !== wanted || type > 2n) return false;
      const isShort = type === 0n;
      return (
        isAt(as, Number((value >> (isShort ? 32n : 16n)) & (isShort ? 0xffffn : 0xffffffffn))) &&
        isAt(number, Number(value & (isShort ? 0xffffffffn : 0xffffn)))
      );
    },
  };
}

/** A number, or "any" for `*`. */
function parsePart(text: string, limit: number): number | 'any' | undefined {
  if (text === '*') return 'any';
  return /^(0|[1-9][0-9]{0,9})$/.test(text) && Number(text) <= limit ? Number(text) : undefined;
}

const isAt = (wanted: number | 'any' | undefined, value: number): boolean => wanted === 'any' || wanted === value;

/** Do the attributes have a community of this pattern? */
export function hasCommunity(
  { communities, extendedCommunities, largeCommunities }: PathAttributes,
  pattern: CommunityPattern,
): boolean {
  switch (pattern.kind) {
    case 'standard':
      return communities?.some(pattern.matchesStandard) ?? false;
    case 'extended':
      return extendedCommunities?.some(pattern.matchesExtended) ?? false;
    case 'large':
      return largeCommunities?.some(pattern.matchesLarge) ?? false;
  }
}

/** The attributes without every community of these patterns; the same object when there is none. */
export function withoutCommunities(attributes: PathAttributes, patterns: readonly CommunityPattern[]): PathAttributes {
  if (!patterns.some((pattern) => hasCommunity(attributes, pattern))) return attributes;
  const keep = <T>(
    values: readonly T[] | undefined,
    matches: (pattern: CommunityPattern, value: T) => boolean,
  ): readonly T[] | undefined => {
    const kept = values?.filter((value) => !patterns.some((pattern) => matches(pattern, value)));
    return kept === undefined || kept.length === 0 ? undefined : kept;
  };
  return {
    ...attributes,
    communities: keep(attributes.communities, (pattern, value) => pattern.matchesStandard(value)),
    extendedCommunities: keep(attributes.extendedCommunities, (pattern, value) => pattern.matchesExtended(value)),
    largeCommunities: keep(attributes.largeCommunities, (pattern, value) => pattern.matchesLarge(value)),
  };
}

/** The attributes with these communities in addition, each once; the same object when all are there. */
export function withCommunities(attributes: PathAttributes, texts: readonly string[]): PathAttributes {
  let result = attributes;
  for (const text of texts) {
    const community = parseCommunity(text);
    const pattern = literal(text);
    if (community === undefined || pattern === undefined || hasCommunity(result, pattern)) continue;
    switch (community.type) {
      case 'standard':
        result = { ...result, communities: [...(result.communities ?? []), community.value] };
        break;
      case 'extended':
        result = { ...result, extendedCommunities: [...(result.extendedCommunities ?? []), community.value] };
        break;
      case 'large':
        result = { ...result, largeCommunities: [...(result.largeCommunities ?? []), community.value] };
        break;
    }
  }
  return result;
}
