/**
 * AS_PATH (RFC 4271 section 4.3 b, 5.1.2) and its four-octet transition (RFC 6793).
 *
 * ```
 * +------------------+-----------------+------------------------------------+
 * | Segment Type (1) | AS count N (1)  | N AS numbers of 2 or 4 octets each |  repeated
 * +------------------+-----------------+------------------------------------+
 * ```
 * Inside this library AS numbers always have four octets: paths of old peers are merged with their AS4_PATH on the way in
 * (`mergeAs4Path`) and taken apart again on the way out (`writeOldAsPath`).
 */
import { AS_TRANS, SegmentType } from '../iana.js';
import type { AsPathSegment } from './attribute.js';
import { copyOctets, read16, read32, write16, write32, type OctetWriter } from './octets.js';

/** Octets per AS number. */
export type AsWidth = 2 | 4;

/** Outcomes of scanAsPath below zero, and what they mean. */
export const AS_PATH_FLAWS: Readonly<Record<number, string>> = {
  [-1]: 'a segment overruns the attribute',
  [-2]: 'a segment has an unknown type',
  [-3]: 'a segment is empty',
  [-4]: 'it has confederation segments, but the peer is in no confederation of ours',
  [-5]: 'AS number 0 is in it',
};

/**
 * Checks a path and measures it: the number of AS numbers as route selection counts them (a set is one, RFC 4271 section
 * 9.1.2.2 a), or a key of AS_PATH_FLAWS. RFC 7606 section 7.2, RFC 7607 section 2, RFC 5065 section 4.
 */
export function scanAsPath(bytes: Uint8Array, start: number, end: number, width: AsWidth): number {
  let at = start;
  let hops = 0;
  while (at < end) {
    const type = bytes[at] ?? 0;
    const count = at + 1 < end ? (bytes[at + 1] ?? 0) : -1;
    if (count < 0) return -1;
    if (type === SegmentType.confedSequence || type === SegmentType.confedSet) return -4;
    if (type !== SegmentType.sequence && type !== SegmentType.set) return -2;
    if (count === 0) return -3;
    const stop = at + 2 + count * width;
    if (stop > end) return -1;
    for (let i = at + 2; i < stop; i += width)
      if (bytes[i] === 0 && bytes[i + 1] === 0 && (width === 2 || (bytes[i + 2] === 0 && bytes[i + 3] === 0)))
        return -5;
    hops += type === SegmentType.set ? 1 : count;
    at = stop;
  }
  return hops;
}

/** The leftmost AS of a checked path, or 0 when it is empty or begins with a set. */
export function firstAs(bytes: Uint8Array, start: number, end: number, width: AsWidth): number {
  if (start >= end || bytes[start] !== SegmentType.sequence) return 0;
  return width === 4 ? read32(bytes, start + 2) : read16(bytes, start + 2);
}

/** The path as data; the bytes have been checked. */
export function parseAsPath(bytes: Uint8Array, start: number, end: number, width: AsWidth = 4): AsPathSegment[] {
  const segments: AsPathSegment[] = [];
  for (let at = start; at + 1 < end; ) {
    const count = bytes[at + 1] ?? 0;
    const members = Array.from({ length: count }, (_, i) =>
      width === 4 ? read32(bytes, at + 2 + 4 * i) : read16(bytes, at + 2 + 2 * i),
    );
    segments.push({ type: SEGMENT_NAMES[bytes[at] ?? 0] ?? 'set', members });
    at += 2 + count * width;
  }
  return segments;
}

/** Segments of more than 255 members are written as several (RFC 4271 section 5.1.2). */
export function encodeAsPath(segments: readonly AsPathSegment[], out: OctetWriter): void {
  for (const segment of segments)
    for (let i = 0; i < segment.members.length; i += 255) {
      const members = segment.members.slice(i, i + 255);
      out.u8(SEGMENT_CODES[segment.type]).u8(members.length);
      for (const as of members) out.u32(as);
    }
}

/** "65001 64512 {65010 65011}", the form of `show ip bgp`; confederation parts in parentheses and brackets. */
export function formatAsPath(segments: readonly AsPathSegment[]): string {
  const brackets = {
    sequence: ['', ''],
    set: ['{', '}'],
    'confed-sequence': ['(', ')'],
    'confed-set': ['[', ']'],
  } as const;
  return segments
    .map(
      ({ type, members }) =>
        `${brackets[type][0]}${members.join(type === 'set' || type === 'confed-set' ? ',' : ' ')}${brackets[type][1]}`,
    )
    .join(' ');
}

/** Hops as route selection counts them; confederation segments count nothing (RFC 5065 section 5.3). */
export function asPathLength(segments: readonly AsPathSegment[]): number {
  let hops = 0;
  for (const { type, members } of segments) hops += type === 'sequence' ? members.length : type === 'set' ? 1 : 0;
  return hops;
}

/**
 * RFC 6793 section 4.2.3: rebuilds the real path from an old peer's AS_PATH (two octets) and AS4_PATH, both checked, and
 * writes it with four octets at `out[at]`; returns the offset after it. A AS4_PATH longer than the AS_PATH is ignored.
 */
export function mergeAs4Path(
  bytes: Uint8Array,
  start: number,
  end: number,
  as4Start: number,
  as4End: number,
  out: Uint8Array,
  at: number,
): number {
  const hops = scanAsPath(bytes, start, end, 2);
  const as4Hops = scanAsPath(bytes, as4Start, as4End, 4);
  const useAs4 = as4Start < as4End && as4Hops > 0 && as4Hops <= hops;
  let lead = useAs4 ? hops - as4Hops : Number.MAX_SAFE_INTEGER;
  let segment = at;
  let written = at;
  for (let i = start; i < end && lead > 0; ) {
    const type = bytes[i] ?? 0;
    const count = bytes[i + 1] ?? 0;
    const take = type === SegmentType.set ? count : Math.min(count, lead);
    lead -= type === SegmentType.set ? 1 : take;
    segment = written;
    out[written++] = type;
    out[written++] = take;
    for (let k = 0; k < take; k++, written += 4) write32(out, written, read16(bytes, i + 2 + 2 * k));
    i += 2 + count * 2;
  }
  return useAs4 ? appendPath(bytes, as4Start, as4End, out, segment, written) : written;
}

/** Appends a four-octet path; its first sequence joins a sequence that ends at `at`, so that equal paths get equal bytes. */
function appendPath(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  segment: number,
  at: number,
): number {
  const count = (out[segment + 1] ?? 0) + (bytes[start + 1] ?? 0);
  const joins =
    at > segment && out[segment] === SegmentType.sequence && bytes[start] === SegmentType.sequence && count <= 255;
  if (!joins) return copyOctets(bytes, start, end, out, at);
  out[segment + 1] = count;
  return copyOctets(bytes, start + 2, end, out, at);
}

/** RFC 6793 section 4.2.2: the two-octet form, AS_TRANS for what does not fit. Returns the offset after it. */
export function writeOldAsPath(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  for (let i = start; i + 1 < end; ) {
    const count = bytes[i + 1] ?? 0;
    out[at++] = bytes[i] ?? 0;
    out[at++] = count;
    for (let k = 0; k < count; k++, at += 2) {
      const as = read32(bytes, i + 2 + 4 * k);
      write16(out, at, as > 0xffff ? AS_TRANS : as);
    }
    i += 2 + count * 4;
  }
  return at;
}

/** Does any AS number of a checked four-octet path need four octets? Then an old peer also gets AS4_PATH. */
export function needsAs4(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i + 1 < end; ) {
    const count = bytes[i + 1] ?? 0;
    for (let k = 0; k < count; k++) if (read16(bytes, i + 2 + 4 * k) !== 0) return true;
    i += 2 + count * 4;
  }
  return false;
}

/** How often an AS stands in a checked four-octet path: loop detection (RFC 4271 section 9.1.2). */
export function countAs(bytes: Uint8Array, start: number, end: number, as: number): number {
  let found = 0;
  for (let i = start; i + 1 < end; ) {
    const count = bytes[i + 1] ?? 0;
    for (let k = 0; k < count; k++) if (read32(bytes, i + 2 + 4 * k) === as) found++;
    i += 2 + count * 4;
  }
  return found;
}

const SEGMENT_CODES = {
  set: SegmentType.set,
  sequence: SegmentType.sequence,
  'confed-sequence': SegmentType.confedSequence,
  'confed-set': SegmentType.confedSet,
} as const;

const SEGMENT_NAMES: Readonly<Record<number, AsPathSegment['type']>> = {
  [SegmentType.set]: 'set',
  [SegmentType.sequence]: 'sequence',
  [SegmentType.confedSequence]: 'confed-sequence',
  [SegmentType.confedSet]: 'confed-set',
};
