/** The shape of a FilterConfig, and of what it shares with the rest of the configuration. */
import { address, boolean, integer, list, object, oneOf, pattern, prefix, text, type Field } from './schema.js';

/** RFC 6793, less 0 and AS_TRANS (RFC 7607, RFC 6793 section 9). */
export const asNumber: Field = {
  schema: { type: 'integer', minimum: 1, maximum: 4294967295, not: { const: 23456 } },
  check: (value, path, problems) => {
    if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > 4294967295 || value === 23456)
      problems.push({ path, value, expected: 'an AS number from 1 to 4294967295, not 23456' });
  },
};

/** Standard "64512:100", large "64512:1:2", or a well-known name. */
export const community = pattern(
  /^(\d{1,5}:\d{1,5}|\d{1,10}:\d{1,10}:\d{1,10}|no-export|no-advertise|no-export-subconfed|no-peer|graceful-shutdown|blackhole|accept-own|llgr-stale|no-llgr)$/,
  'a community such as "64512:100", "64512:1:2" or "no-export"');

export const family = oneOf('ipv4', 'ipv6');

/** As `community`, where `*` stands for any number. */
const communityPattern = pattern(/^([a-z-]+|(\d+|\*)(:(\d+|\*)){1,2}|(rt|ro|0x[0-9a-f]+):[^\s]+)$/, 'a community such as "64512:100", "64512:*" or "no-export"');

const prefixMatch = object({ prefix }, { minLength: integer(0, 128), maxLength: integer(0, 128), not: boolean });

const name = pattern(/^[\x21-\x7e]{1,128}$/, '1 to 128 printable characters without blanks');
const u32 = integer(0, 0xffffffff);

const match = object({}, {
  prefixes: list(prefixMatch, { max: 100_000 }),
  tags: list(name, { max: 64 }),
  source: list(oneOf('local', 'ebgp', 'ibgp'), { max: 3 }),
  communities: list(communityPattern, { max: 1024 }),
  families: list(family, { max: 2 }),
  peerTypes: list(oneOf('ebgp', 'ibgp'), { max: 2 }),
  interfaces: list(pattern(/^[^\s/]{1,64}$/, 'an interface name, * as a wildcard'), { max: 64 }),
  asPathPrefix: list(asNumber, { max: 64 }),
  kernelMetric: u32,
});

const set = object({}, {
  localPreference: u32, med: u32, nextHop: address,
  addCommunities: list(community, { max: 64 }), removeCommunities: list(communityPattern, { max: 64 }),
  prepend: integer(1, 32), prependAs: list(asNumber, { max: 32 }), kernelMetric: u32,
});

const rule = object({ action: oneOf('accept', 'reject', 'next') }, {
  name: text({ maxLength: 256 }, (value) => (value.length > 256 ? 'at most 256 characters' : undefined)), match, set,
});

export const filterShape: Field = object({ rules: list(rule, { max: 10000 }) }, { default: oneOf('accept', 'reject', 'next') });
