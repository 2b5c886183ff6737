/**
 * Communities as text: "64512:100" (RFC 1997), "64512:1:2" (RFC 8092), "target:64512:100" (RFC 4360, 7153), and the names of
 * well-known ones. Parsing is for configuration and returns undefined for text that is no community.
 */
import { formatIpv4, tryParseAddress } from '../address.js';
import { WellKnownCommunity } from '../iana.js';
import type { LargeCommunity } from './attribute.js';

/** Names as routers write them, "no-export"; RFC 9494 abbreviates its two. */
const WELL_KNOWN_TEXT: ReadonlyMap<string, number> = new Map(
  Object.entries(WellKnownCommunity).map(([name, value]) => {
    if (value === WellKnownCommunity.longLivedStale) return ['llgr-stale', value];
    return value === WellKnownCommunity.noLongLived
      ? ['no-llgr', value]
      : [name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), value];
  }),
);
const WELL_KNOWN_NAME: ReadonlyMap<number, string> = new Map(
  [...WELL_KNOWN_TEXT].map(([name, value]) => [value, name]),
);

export type Community =
  | { readonly type: 'standard'; readonly value: number }
  | { readonly type: 'extended'; readonly value: bigint }
  | { readonly type: 'large'; readonly value: LargeCommunity };

/** Any kind of community, told apart by its form; undefined if it has none. */
export function parseCommunity(text: string): Community | undefined {
  const standard = parseStandardCommunity(text);
  if (standard !== undefined) return { type: 'standard', value: standard };
  const large = parseLargeCommunity(text);
  if (large !== undefined) return { type: 'large', value: large };
  const extended = parseExtendedCommunity(text);
  return extended === undefined ? undefined : { type: 'extended', value: extended };
}

/** "64512:100", or the name of a well-known one. */
export function parseStandardCommunity(text: string): number | undefined {
  const named = WELL_KNOWN_TEXT.get(text);
  if (named !== undefined) return named;
  const parts = parseNumbers(text, 2, 0xffff);
  return parts === undefined ? undefined : (parts[0] ?? 0) * 0x10000 + (parts[1] ?? 0);
}

export function parseLargeCommunity(text: string): LargeCommunity | undefined {
  const [global, local1, local2] = parseNumbers(text, 3, 0xffffffff) ?? [];
  return global === undefined || local1 === undefined || local2 === undefined ? undefined : { global, local1, local2 };
}

/** Sub-types of RFC 7153 with the names people use. */
const SUBTYPES: ReadonlyMap<string, number> = new Map([
  ['target', 2],
  ['origin', 3],
  ['rt', 2],
  ['soo', 3],
]);

/** "target:64512:100", "target:10.0.0.1:5", "origin:4200000000:7", or "0x" and sixteen hexadecimal digits. */
export function parseExtendedCommunity(text: string): bigint | undefined {
  if (/^0x[0-9a-fA-F]{16}$/.test(text)) return BigInt(text);
  const match = /^([a-z]+):([0-9.]+):([0-9]{1,10})$/.exec(text);
  const [, name = '', administrator = '', digits = ''] = match ?? [];
  const subtype = SUBTYPES.get(name);
  if (subtype === undefined) return undefined;
  const local = Number(digits);
  const address = administrator.includes('.') ? tryParseAddress(administrator) : undefined;
  if (address !== undefined) return packExtended(1, subtype, address.value, 16n, local);
  if (!/^[0-9]{1,10}$/.test(administrator)) return undefined;
  const as = Number(administrator);
  if (as > 0xffffffff) return undefined;
  return as > 0xffff
    ? packExtended(2, subtype, BigInt(as), 16n, local)
    : packExtended(0, subtype, BigInt(as), 32n, local);
}

function packExtended(
  type: number,
  subtype: number,
  administrator: bigint,
  localBits: bigint,
  local: number,
): bigint | undefined {
  if (BigInt(local) >> localBits !== 0n) return undefined;
  return (BigInt(type * 256 + subtype) << 48n) | (administrator << localBits) | BigInt(local);
}

export const formatCommunity = (value: number): string =>
  WELL_KNOWN_NAME.get(value) ?? `${value >>> 16}:${value & 0xffff}`;

export const formatLargeCommunity = ({ global, local1, local2 }: LargeCommunity): string =>
  `${global}:${local1}:${local2}`;

export function formatExtendedCommunity(value: bigint): string {
  const type = Number(value >> 56n);
  const subtype = Number((value >> 48n) & 0xffn);
  const name = subtype === 2 ? 'target' : subtype === 3 ? 'origin' : undefined;
  const low = Number(value & 0xffffffffn);
  const high = Number((value >> 16n) & 0xffffffffn);
  if (name !== undefined && type === 0) return `${name}:${high >>> 16}:${low}`;
  if (name !== undefined && type === 1) return `${name}:${formatIpv4(high)}:${low & 0xffff}`;
  // A small AS in the four-octet form must not read like the two-octet form: it is another community.
  if (name !== undefined && type === 2 && high > 0xffff) return `${name}:${high}:${low & 0xffff}`;
  return `0x${value.toString(16).padStart(16, '0')}`;
}

/** Bit 0x40 of the type octet: stays inside the AS (RFC 4360 section 2). */
export const isTransitive = (extended: bigint): boolean => ((extended >> 62n) & 1n) === 0n;

function parseNumbers(text: string, count: number, max: number): number[] | undefined {
  const parts = text.split(':');
  if (parts.length !== count || !parts.every((part) => /^(0|[1-9][0-9]{0,9})$/.test(part))) return undefined;
  const numbers = parts.map(Number);
  return numbers.every((number) => number <= max) ? numbers : undefined;
}
