/**
 * Turns a normalised attribute block into the one a peer (or update group) gets, as bytes, without parsing it: what export
 * does to nearly every route. Anything cleverer goes through parseAttributes and encodeAttributes.
 */
import { AS_TRANS, AttributeFlag, AttributeType, SegmentType } from '../iana.js';
import { needsAs4, writeOldAsPath } from './as-path.js';
import { copyOctets, read16, read32, write16, write32 } from './octets.js';

export interface AttributeRewrite {
  /** AS numbers to put in front of AS_PATH, nearest first (RFC 4271 section 5.1.2 b). */
  readonly prepend?: readonly number[];
  /** A number sets it; `{ default }` sets it where it is missing. Absent: as it is. */
  readonly localPreference?: number | 'remove' | { readonly default: number };
  readonly med?: number | 'remove';
  /** RFC 4456: add ORIGINATOR_ID unless there, put the cluster id in front of CLUSTER_LIST; or remove both. */
  readonly reflection?: 'remove' | { readonly originatorId: number; readonly clusterId: number };
  /** Add OTC unless there (RFC 9234 section 5). */
  readonly otc?: number;
  /** Drop extended communities that do not cross AS borders (RFC 4360 section 3). */
  readonly transitiveOnly?: boolean;
  /** false: two-octet AS_PATH with AS_TRANS, AS4_PATH, AS4_AGGREGATOR (RFC 6793 section 4.2.2). Default true. */
  readonly as4?: boolean;
}

/** Octets a rewrite may add to a block at most, besides four per prepended AS. */
export const REWRITE_GROWTH = 64;

const OPTIONAL_TRANSITIVE = AttributeFlag.optional | AttributeFlag.transitive;

/**
 * Writes the rewritten block of `bytes[start, end)` to `out[at]` and returns the offset after it. `out` needs room for the
 * block, REWRITE_GROWTH, four octets per prepended AS and, for an old peer, as much again.
 */
export function rewriteAttributes(
  bytes: Uint8Array,
  start: number,
  end: number,
  rewrite: AttributeRewrite,
  out: Uint8Array,
  at: number,
): number {
  if (rewrite.as4 !== false) return rewriteBlock(bytes, start, end, rewrite, out, at);
  const wide = new Uint8Array(end - start + REWRITE_GROWTH + 4 * (rewrite.prepend?.length ?? 0));
  return downgradeBlock(wide, 0, rewriteBlock(bytes, start, end, rewrite, wide, 0), out, at);
}

function rewriteBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  rewrite: AttributeRewrite,
  out: Uint8Array,
  at: number,
): number {
  let last = -1;
  for (let i = start; i < end; ) {
    const code = bytes[i + 1] ?? 0;
    const isLong = ((bytes[i] ?? 0) & AttributeFlag.extendedLength) !== 0;
    const value = isLong ? i + 4 : i + 3;
    const stop = value + (isLong ? read16(bytes, i + 2) : (bytes[i + 2] ?? 0));
    at = insertBetween(last, code, rewrite, out, at);
    at = rewriteOne(code, bytes, i, value, stop, rewrite, out, at);
    last = code;
    i = stop;
  }
  return insertBetween(last, 256, rewrite, out, at);
}

function rewriteOne(
  code: number,
  bytes: Uint8Array,
  i: number,
  value: number,
  stop: number,
  rewrite: AttributeRewrite,
  out: Uint8Array,
  at: number,
): number {
  switch (code) {
    case AttributeType.asPath:
      if (rewrite.prepend !== undefined) return putPrepended(bytes, value, stop, rewrite.prepend, out, at);
      break;
    case AttributeType.med:
      if (rewrite.med === 'remove') return at;
      if (rewrite.med !== undefined) return put32(AttributeFlag.optional, code, rewrite.med, out, at);
      break;
    case AttributeType.localPreference:
      if (rewrite.localPreference === 'remove') return at;
      if (typeof rewrite.localPreference === 'number')
        return put32(AttributeFlag.transitive, code, rewrite.localPreference, out, at);
      break;
    case AttributeType.originatorId:
      if (rewrite.reflection === 'remove') return at;
      break;
    case AttributeType.clusterList:
      if (rewrite.reflection === 'remove') return at;
      if (rewrite.reflection !== undefined) {
        at = putHead(AttributeFlag.optional, code, stop - value + 4, out, at);
        write32(out, at, rewrite.reflection.clusterId);
        return copyOctets(bytes, value, stop, out, at + 4);
      }
      break;
    case AttributeType.extendedCommunities:
      if (rewrite.transitiveOnly === true) return putTransitive(bytes, i, value, stop, 8, out, at);
      break;
    case AttributeType.ipv6ExtendedCommunities:
      if (rewrite.transitiveOnly === true) return putTransitive(bytes, i, value, stop, 20, out, at);
      break;
  }
  return copyOctets(bytes, i, stop, out, at);
}

/** Attributes the block does not have, at their place in the type order: strictly between two that it has. */
function insertBetween(last: number, next: number, rewrite: AttributeRewrite, out: Uint8Array, at: number): number {
  const { med, localPreference, reflection, otc, prepend } = rewrite;
  const fits = (code: number): boolean => last < code && code < next;
  if (prepend !== undefined && fits(AttributeType.asPath)) at = putPrepended(out, 0, 0, prepend, out, at);
  if (typeof med === 'number' && fits(AttributeType.med))
    at = put32(AttributeFlag.optional, AttributeType.med, med, out, at);
  if (localPreference !== undefined && localPreference !== 'remove' && fits(AttributeType.localPreference)) {
    const preference = typeof localPreference === 'number' ? localPreference : localPreference.default;
    at = put32(AttributeFlag.transitive, AttributeType.localPreference, preference, out, at);
  }
  if (reflection !== undefined && reflection !== 'remove') {
    if (fits(AttributeType.originatorId))
      at = put32(AttributeFlag.optional, AttributeType.originatorId, reflection.originatorId, out, at);
    if (fits(AttributeType.clusterList))
      at = put32(AttributeFlag.optional, AttributeType.clusterList, reflection.clusterId, out, at);
  }
  if (otc !== undefined && fits(AttributeType.otc)) at = put32(OPTIONAL_TRANSITIVE, AttributeType.otc, otc, out, at);
  return at;
}

/** Writes flags, type and length; returns the offset of the value. */
function putHead(flags: number, code: number, length: number, out: Uint8Array, at: number): number {
  out[at + 1] = code;
  if (length > 255) {
    out[at] = flags | AttributeFlag.extendedLength;
    write16(out, at + 2, length);
    return at + 4;
  }
  out[at] = flags;
  out[at + 2] = length;
  return at + 3;
}

function put32(flags: number, code: number, value: number, out: Uint8Array, at: number): number {
  at = putHead(flags, code, 4, out, at);
  write32(out, at, value);
  return at + 4;
}

/** RFC 4271 section 5.1.2: into the leading sequence while it holds at most 255, else as a sequence of its own. */
function putPrepended(
  bytes: Uint8Array,
  value: number,
  stop: number,
  prepend: readonly number[],
  out: Uint8Array,
  at: number,
): number {
  const added = prepend.length;
  if (added === 0 || added > 255) throw new RangeError(`Cannot prepend ${added} AS numbers: expected 1 to 255`);
  const members = value < stop && bytes[value] === SegmentType.sequence ? (bytes[value + 1] ?? 0) : 0;
  const joins = members > 0 && members + added <= 255;
  at = putHead(AttributeFlag.transitive, AttributeType.asPath, stop - value + 4 * added + (joins ? 0 : 2), out, at);
  out[at] = SegmentType.sequence;
  out[at + 1] = joins ? members + added : added;
  at += 2;
  for (const as of prepend) {
    write32(out, at, as);
    at += 4;
  }
  return copyOctets(bytes, joins ? value + 2 : value, stop, out, at);
}

/** Drops communities whose type octet has bit 0x40; the whole attribute if none is left. */
function putTransitive(
  bytes: Uint8Array,
  i: number,
  value: number,
  stop: number,
  size: number,
  out: Uint8Array,
  at: number,
): number {
  let kept = 0;
  for (let k = value; k < stop; k += size) if (((bytes[k] ?? 0) & 0x40) === 0) kept += size;
  if (kept === stop - value) return copyOctets(bytes, i, stop, out, at);
  if (kept === 0) return at;
  at = putHead((bytes[i] ?? 0) & ~AttributeFlag.extendedLength, bytes[i + 1] ?? 0, kept, out, at);
  for (let k = value; k < stop; k += size)
    if (((bytes[k] ?? 0) & 0x40) === 0) at = copyOctets(bytes, k, k + size, out, at);
  return at;
}

/** RFC 6793 section 4.2.2: the block for a peer with two-octet AS numbers. */
function downgradeBlock(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  let path = -1;
  let pathEnd = -1;
  let aggregator = -1;
  let areTwinsDone = false;
  for (let i = start; i <= end; ) {
    const code = i < end ? (bytes[i + 1] ?? 0) : 256;
    if (code > AttributeType.as4Path && !areTwinsDone) {
      at = putTwins(bytes, path, pathEnd, aggregator, out, at);
      areTwinsDone = true;
    }
    if (i >= end) break;
    const isLong = ((bytes[i] ?? 0) & AttributeFlag.extendedLength) !== 0;
    const value = isLong ? i + 4 : i + 3;
    const stop = value + (isLong ? read16(bytes, i + 2) : (bytes[i + 2] ?? 0));
    if (code === AttributeType.asPath) {
      path = value;
      pathEnd = stop;
      at = putOldPath(bytes, value, stop, out, at);
    } else if (code === AttributeType.aggregator) {
      const as = read32(bytes, value);
      if (as > 0xffff) aggregator = value;
      at = putHead(bytes[i] ?? 0, code, 6, out, at);
      write16(out, at, as > 0xffff ? AS_TRANS : as);
      at = copyOctets(bytes, value + 4, stop, out, at + 2);
    } else at = copyOctets(bytes, i, stop, out, at);
    i = stop;
  }
  return at;
}

function putOldPath(bytes: Uint8Array, value: number, stop: number, out: Uint8Array, at: number): number {
  let length = 0;
  for (let i = value; i < stop; i += 2 + 4 * (bytes[i + 1] ?? 0)) length += 2 + 2 * (bytes[i + 1] ?? 0);
  return writeOldAsPath(
    bytes,
    value,
    stop,
    out,
    putHead(AttributeFlag.transitive, AttributeType.asPath, length, out, at),
  );
}

/** AS4_PATH and AS4_AGGREGATOR, where the old forms had to lose something. */
function putTwins(
  bytes: Uint8Array,
  path: number,
  pathEnd: number,
  aggregator: number,
  out: Uint8Array,
  at: number,
): number {
  if (path >= 0 && needsAs4(bytes, path, pathEnd))
    at = copyOctets(
      bytes,
      path,
      pathEnd,
      out,
      putHead(OPTIONAL_TRANSITIVE, AttributeType.as4Path, pathEnd - path, out, at),
    );
  if (aggregator >= 0)
    at = copyOctets(
      bytes,
      aggregator,
      aggregator + 8,
      out,
      putHead(OPTIONAL_TRANSITIVE, AttributeType.as4Aggregator, 8, out, at),
    );
  return at;
}
