/**
 * One row per path attribute: what flags it has, what makes its octets malformed, what RFC 7606 then wants, and its way to
 * data, bytes and text. The loops over rows (update.ts, parse.ts) do framing, duplicates, flags and order for all of them.
 *
 * `check` runs on every UPDATE and allocates nothing unless it fails. AS_PATH, AGGREGATOR and their AS4 twins are checked
 * in the width of the session and stored with four octets; all other methods see the stored form only.
 */
import { formatIpv4 } from '../address.js';
import { AttributeFlag, AttributeType, OriginCode, UpdateError } from '../iana.js';
import { AS_PATH_FLAWS, encodeAsPath, formatAsPath, parseAsPath, scanAsPath, type AsWidth } from './as-path.js';
import type { Aggregator, LargeCommunity, OriginName, PathAttributes } from './attribute.js';
import type { Severity } from './bgp-error.js';
import { formatCommunity, formatExtendedCommunity, formatLargeCommunity } from './community.js';
import { formatHex, read32, read64, type OctetWriter } from './octets.js';

/** What is wrong with an attribute's octets. */
export interface Flaw {
  readonly subcode: number;
  readonly what: string;
}

export interface AttributeRow {
  readonly code: number;
  /** As in the RFC. */
  readonly name: string;
  /** Optional and Transitive bits it must have. */
  readonly flags: number;
  /** What to do when it is malformed or its flags are wrong (RFC 7606 section 7). */
  readonly approach: Severity;
  /** Meaningless from another AS, where it is discarded unread (RFC 7606 sections 7.5, 7.9, 7.10). */
  readonly internal: boolean;
  readonly check: (bytes: Uint8Array, start: number, end: number, width: AsWidth) => Flaw | undefined;
  /** The attribute's part of PathAttributes. */
  readonly parse: (bytes: Uint8Array, start: number, end: number) => Partial<PathAttributes>;
  /** Appends the value octets; false when the attributes do not have it. */
  readonly encode: (attributes: PathAttributes, out: OctetWriter) => boolean;
  /** undefined when the attributes do not have it. */
  readonly format: (attributes: PathAttributes) => string | undefined;
}

const WELL_KNOWN = AttributeFlag.transitive;
const OPTIONAL_TRANSITIVE = AttributeFlag.optional | AttributeFlag.transitive;
const OPTIONAL = AttributeFlag.optional;

/** RFC 7606 section 7: the value must have exactly this length. */
const exactly =
  (want: number): AttributeRow['check'] =>
  (_bytes, start, end) =>
    end - start === want
      ? undefined
      : { subcode: UpdateError.attributeLength, what: `it has ${end - start} octets instead of ${want}` };

/** A list whose items have `size` octets; an empty list is malformed (RFC 7606 section 4). */
const listOf =
  (size: number): AttributeRow['check'] =>
  (_bytes, start, end) =>
    end > start && (end - start) % size === 0
      ? undefined
      : {
          subcode: UpdateError.attributeLength,
          what: `its ${end - start} octets are no non-empty list of ${size}-octet items`,
        };

function items<T>(
  size: number,
  read: (bytes: Uint8Array, at: number) => T,
): (bytes: Uint8Array, start: number, end: number) => T[] {
  return (bytes, start, end) =>
    Array.from({ length: Math.floor((end - start) / size) }, (_, i) => read(bytes, start + i * size));
}

const read32s = items(4, read32);
const read64s = items(8, read64);
const readLarges = items(
  12,
  (bytes, at): LargeCommunity => ({
    global: read32(bytes, at),
    local1: read32(bytes, at + 4),
    local2: read32(bytes, at + 8),
  }),
);
const readIpv6s = items(20, (bytes, at) => bytes.slice(at, at + 20));

const text = <T>(value: T | undefined, format: (value: T) => string): string | undefined =>
  value === undefined ? undefined : format(value);
const list = <T>(values: readonly T[] | undefined, format: (value: T) => string): string | undefined =>
  values === undefined ? undefined : values.map(format).join(' ');

function write<T>(value: T | undefined, append: (value: T) => unknown): boolean {
  if (value === undefined) return false;
  append(value);
  return true;
}

/** An empty list is not sent at all: on the wire it would be malformed. */
function writeAll<T>(values: readonly T[] | undefined, append: (value: T) => unknown): boolean {
  if (values === undefined || values.length === 0) return false;
  values.forEach(append);
  return true;
}

const ORIGIN_NAMES: readonly OriginName[] = ['igp', 'egp', 'incomplete'];

function checkOrigin(bytes: Uint8Array, start: number, end: number): Flaw | undefined {
  if (end - start !== 1)
    return { subcode: UpdateError.attributeLength, what: `it has ${end - start} octets instead of 1` };
  const value = bytes[start] ?? 0;
  return value <= OriginCode.incomplete
    ? undefined
    : { subcode: UpdateError.invalidOrigin, what: `its value ${value} is undefined` };
}

function checkAsPath(bytes: Uint8Array, start: number, end: number, width: AsWidth): Flaw | undefined {
  const hops = scanAsPath(bytes, start, end, width);
  return hops >= 0
    ? undefined
    : { subcode: UpdateError.malformedAsPath, what: AS_PATH_FLAWS[hops] ?? 'it is malformed' };
}

/** RFC 7606 section 7.7: six octets, or eight with four-octet AS numbers; RFC 7607: AS 0 is malformed too. */
function checkAggregator(bytes: Uint8Array, start: number, end: number, width: AsWidth): Flaw | undefined {
  if (end - start !== width + 4)
    return { subcode: UpdateError.attributeLength, what: `it has ${end - start} octets instead of ${width + 4}` };
  for (let i = start; i < end - 4; i++) if (bytes[i] !== 0) return undefined;
  return { subcode: UpdateError.optionalAttribute, what: 'its AS number is 0' };
}

const formatAggregator = ({ as, address }: Aggregator): string => `${as} ${formatIpv4(address)}`;

export const ATTRIBUTE_ROWS: readonly AttributeRow[] = [
  {
    code: AttributeType.origin,
    name: 'ORIGIN',
    flags: WELL_KNOWN,
    approach: 'withdraw',
    internal: false,
    check: checkOrigin,
    parse: (bytes, start) => ({ origin: ORIGIN_NAMES[bytes[start] ?? 2] ?? 'incomplete' }),
    encode: ({ origin }, out) => write(origin, (name) => out.u8(ORIGIN_NAMES.indexOf(name))),
    format: ({ origin }) => origin,
  },
  {
    code: AttributeType.asPath,
    name: 'AS_PATH',
    flags: WELL_KNOWN,
    approach: 'withdraw',
    internal: false,
    check: checkAsPath,
    parse: (bytes, start, end) => ({ asPath: parseAsPath(bytes, start, end) }),
    encode: ({ asPath }, out) => write(asPath, (path) => encodeAsPath(path, out)),
    format: ({ asPath }) => formatAsPath(asPath),
  },
  {
    code: AttributeType.med,
    name: 'MULTI_EXIT_DISC',
    flags: OPTIONAL,
    approach: 'withdraw',
    internal: false,
    check: exactly(4),
    parse: (bytes, start) => ({ med: read32(bytes, start) }),
    encode: ({ med }, out) => write(med, (value) => out.u32(value)),
    format: ({ med }) => text(med, String),
  },
  {
    code: AttributeType.localPreference,
    name: 'LOCAL_PREF',
    flags: WELL_KNOWN,
    approach: 'withdraw',
    internal: true,
    check: exactly(4),
    parse: (bytes, start) => ({ localPreference: read32(bytes, start) }),
    encode: ({ localPreference }, out) => write(localPreference, (value) => out.u32(value)),
    format: ({ localPreference }) => text(localPreference, String),
  },
  {
    code: AttributeType.atomicAggregate,
    name: 'ATOMIC_AGGREGATE',
    flags: WELL_KNOWN,
    approach: 'discard',
    internal: false,
    check: exactly(0),
    parse: () => ({ atomicAggregate: true }),
    encode: ({ atomicAggregate }) => atomicAggregate === true,
    format: ({ atomicAggregate }) => text(atomicAggregate, () => 'yes'),
  },
  {
    code: AttributeType.aggregator,
    name: 'AGGREGATOR',
    flags: OPTIONAL_TRANSITIVE,
    approach: 'discard',
    internal: false,
    check: checkAggregator,
    parse: (bytes, start) => ({ aggregator: { as: read32(bytes, start), address: read32(bytes, start + 4) } }),
    encode: ({ aggregator }, out) => write(aggregator, ({ as, address }) => out.u32(as).u32(address)),
    format: ({ aggregator }) => text(aggregator, formatAggregator),
  },
  {
    code: AttributeType.communities,
    name: 'COMMUNITIES',
    flags: OPTIONAL_TRANSITIVE,
    approach: 'withdraw',
    internal: false,
    check: listOf(4),
    parse: (bytes, start, end) => ({ communities: read32s(bytes, start, end) }),
    encode: ({ communities }, out) => writeAll(communities, (value) => out.u32(value)),
    format: ({ communities }) => list(communities, formatCommunity),
  },
  {
    code: AttributeType.originatorId,
    name: 'ORIGINATOR_ID',
    flags: OPTIONAL,
    approach: 'withdraw',
    internal: true,
    check: exactly(4),
    parse: (bytes, start) => ({ originatorId: read32(bytes, start) }),
    encode: ({ originatorId }, out) => write(originatorId, (value) => out.u32(value)),
    format: ({ originatorId }) => text(originatorId, formatIpv4),
  },
  {
    code: AttributeType.clusterList,
    name: 'CLUSTER_LIST',
    flags: OPTIONAL,
    approach: 'withdraw',
    internal: true,
    check: listOf(4),
    parse: (bytes, start, end) => ({ clusterList: read32s(bytes, start, end) }),
    encode: ({ clusterList }, out) => writeAll(clusterList, (value) => out.u32(value)),
    format: ({ clusterList }) => list(clusterList, formatIpv4),
  },
  {
    code: AttributeType.extendedCommunities,
    name: 'EXTENDED COMMUNITIES',
    flags: OPTIONAL_TRANSITIVE,
    approach: 'withdraw',
    internal: false,
    check: listOf(8),
    parse: (bytes, start, end) => ({ extendedCommunities: read64s(bytes, start, end) }),
    encode: ({ extendedCommunities }, out) => writeAll(extendedCommunities, (value) => out.u64(value)),
    format: ({ extendedCommunities }) => list(extendedCommunities, formatExtendedCommunity),
  },
  {
    code: AttributeType.ipv6ExtendedCommunities,
    name: 'IPv6 EXTENDED COMMUNITIES',
    flags: OPTIONAL_TRANSITIVE,
    approach: 'withdraw',
    internal: false,
    check: listOf(20),
    parse: (bytes, start, end) => ({ ipv6ExtendedCommunities: readIpv6s(bytes, start, end) }),
    encode: ({ ipv6ExtendedCommunities }, out) => writeAll(ipv6ExtendedCommunities, (value) => out.bytes(value)),
    format: ({ ipv6ExtendedCommunities }) => list(ipv6ExtendedCommunities, (value) => `0x${formatHex(value)}`),
  },
  {
    code: AttributeType.largeCommunities,
    name: 'LARGE_COMMUNITY',
    flags: OPTIONAL_TRANSITIVE,
    approach: 'withdraw',
    internal: false,
    check: listOf(12),
    parse: (bytes, start, end) => ({ largeCommunities: readLarges(bytes, start, end) }),
    encode: ({ largeCommunities }, out) =>
      writeAll(largeCommunities, ({ global, local1, local2 }) => out.u32(global).u32(local1).u32(local2)),
    format: ({ largeCommunities }) => list(largeCommunities, formatLargeCommunity),
  },
  {
    code: AttributeType.otc,
    name: 'ONLY_TO_CUSTOMER',
    flags: OPTIONAL_TRANSITIVE,
    approach: 'withdraw',
    internal: false,
    check: exactly(4),
    parse: (bytes, start) => ({ otc: read32(bytes, start) }),
    encode: ({ otc }, out) => write(otc, (value) => out.u32(value)),
    format: ({ otc }) => text(otc, String),
  },
];

/** The row of an attribute type code, by index. */
export const ROW_OF: readonly (AttributeRow | undefined)[] = Array.from({ length: 256 }, (_, code) =>
  ATTRIBUTE_ROWS.find((row) => row.code === code),
);

/** RFC names also of the attributes that have no row of their own. */
export const attributeName = (code: number): string => ROW_OF[code]?.name ?? OTHER_NAMES[code] ?? `attribute ${code}`;

const OTHER_NAMES: Readonly<Record<number, string>> = {
  [AttributeType.nextHop]: 'NEXT_HOP',
  [AttributeType.mpReach]: 'MP_REACH_NLRI',
  [AttributeType.mpUnreach]: 'MP_UNREACH_NLRI',
  [AttributeType.as4Path]: 'AS4_PATH',
  [AttributeType.as4Aggregator]: 'AS4_AGGREGATOR',
};
