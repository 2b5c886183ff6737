/** The shape of a FilterConfig, and of what it shares with the rest of the configuration. */
import { tryParseAddress, tryParsePrefix } from '../address.js';
import { parseCommunity } from '../codec/community.js';
import { parseAsPathPattern } from '../filter/as-path-pattern.js';
import { parseCommunityPattern } from '../filter/community-pattern.js';
import {
  address,
  boolean,
  either,
  integer,
  isObject,
  list,
  object,
  oneOf,
  pattern,
  prefix,
  text,
  type Field,
} from './schema.js';

/** RFC 6793, less 0 and AS_TRANS (RFC 7607, RFC 6793 section 9). */
export const asNumber: Field = {
  schema: { type: 'integer', minimum: 1, maximum: 4294967295, not: { const: 23456 } },
  check: (value, path, problems) => {
    if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > 4294967295 || value === 23456)
      problems.push({ path, value, expected: 'an AS number from 1 to 4294967295, not 23456' });
  },
};

/** Standard "64512:100", large "64512:1:2", extended "target:64512:100", or a well-known name. */
export const community = text({ description: 'a community of any kind' }, (value) =>
  parseCommunity(value) === undefined
    ? 'a community such as "64512:100", "64512:1:2", "target:64512:100" or "no-export"'
    : undefined,
);

export const family = oneOf('ipv4', 'ipv6');

/** As `community`, where `*` stands for any number. */
const communityPattern = text({ description: 'a community of any kind, * for any number' }, (value) =>
  parseCommunityPattern(value) === undefined
    ? 'a community such as "64512:100", "64512:*", "64512:1:*", "target:64512:*" or "no-export"'
    : undefined,
);

const asPathPattern = text({ description: 'a regular expression on the AS path, _ for a boundary' }, (value) => {
  const parsed = parseAsPathPattern(value);
  return parsed.type === 'ok' ? undefined : `a regular expression with ${parsed.expected}`;
});

/** What is written in another language of patterns would match nothing. */
const interfaceLike = text({ pattern: '^[A-Za-z0-9_.@+=,#~*-]{1,64}$' }, (value) =>
  /^[A-Za-z0-9_.@+=,#~*-]{1,64}$/.test(value) && value.replace(/\*/g, '').length <= 15
    ? undefined
    : 'an interface name of at most 15 characters, * as a wildcard',
);

const nextHop = text({ description: 'an address or CIDR' }, (value) =>
  tryParseAddress(value) === undefined && tryParsePrefix(value) === undefined
    ? 'an address, or CIDR notation'
    : undefined,
);

const prefixMatch = object({ prefix }, { minLength: integer(0, 128), maxLength: integer(0, 128), not: boolean });

const name = pattern(/^[\x21-\x7e]{1,128}$/, '1 to 128 printable characters without blanks');
const u32 = integer(0, 0xffffffff);
const bounds = object({}, { min: u32, max: u32 });
const range: Field = {
  schema: bounds.schema,
  check: (value, path, problems) => {
    bounds.check(value, path, problems);
    const { min, max } = (isObject(value) ? value : {}) as { readonly min?: unknown; readonly max?: unknown };
    if (typeof min === 'number' && typeof max === 'number' && min > max)
      problems.push({ path, value, expected: 'min <= max' });
  },
};
const origin = oneOf('igp', 'egp', 'incomplete');

const match = object(
  {},
  {
    prefixes: list(prefixMatch, { max: 100_000 }),
    tags: list(name, { max: 64 }),
    source: list(oneOf('local', 'ebgp', 'ibgp'), { max: 3 }),
    communities: list(communityPattern, { max: 1024 }),
    families: list(family, { max: 2 }),
    peerTypes: list(oneOf('ebgp', 'ibgp'), { max: 2 }),
    interfaces: list(interfaceLike, { max: 64 }),
    asPathPrefix: list(asNumber, { max: 128 }),
    kernelMetric: either((value) => value === 'none', oneOf('none'), u32),
    peers: list(pattern(/^\S{1,128}$/, 'the name or address of a peer, * as a wildcard, or a CIDR'), { max: 1024 }),
    peerAs: list(asNumber, { max: 1024 }),
    asPath: list(asPathPattern, { max: 256 }),
    asPathLength: range,
    nextHops: list(nextHop, { max: 1024 }),
    med: range,
    localPreference: range,
    origins: list(origin, { max: 3 }),
  },
);

const set = object(
  {},
  {
    localPreference: u32,
    med: either((value) => value === 'remove', oneOf('remove'), u32),
    origin,
    nextHop: address,
    setCommunities: list(community, { max: 64 }),
    addCommunities: list(community, { max: 64 }),
    removeCommunities: list(communityPattern, { max: 64 }),
    prepend: integer(1, 32),
    prependAs: list(asNumber, { max: 128 }),
    weight: integer(0, 65535),
    kernelMetric: u32,
  },
);

/** One rule of a filter. */
export const ruleShape: Field = object(
  { action: oneOf('accept', 'reject', 'next') },
  {
    name: text({ maxLength: 256 }, (value) => (value.length > 256 ? 'at most 256 characters' : undefined)),
    match,
    set,
  },
);

export const filterShape: Field = object(
  { rules: list(ruleShape, { max: 10000 }) },
  { default: oneOf('accept', 'reject', 'next') },
);
