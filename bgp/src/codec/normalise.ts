/**
 * One pass over the path attributes of an UPDATE: framing, duplicates, flags, values (RFC 7606 sections 3, 4 and 7), leaving
 * the normalised block that update.ts describes and the places of the attributes that are not part of it.
 *
 * All state is scratch of this thread that the next scan overwrites.
 */
import { AS_TRANS, AttributeFlag, AttributeType, UpdateError } from '../iana.js';
import { firstAs, mergeAs4Path, scanAsPath } from './as-path.js';
import { attributeError, duplicateError, flagsError, flawError, framingError, sizeError } from './attribute-error.js';
import { ROW_OF } from './attribute-table.js';
import type { BgpError } from './bgp-error.js';
import type { DecodeParameters } from './negotiated.js';
import { copyOctets, read16, read32, write16, write32 } from './octets.js';

/** Attributes that only the end of the scan can judge: offsets of the whole attribute and of its value; -1: absent. */
export interface Place {
  start: number;
  value: number;
  end: number;
}

export interface AttributeScan {
  /** The normalised block is `block.subarray(0, length)`. */
  readonly block: Uint8Array;
  length: number;
  /** Attributes seen, whatever became of them. */
  count: number;
  /** There in any form, well or malformed. */
  hasOrigin: boolean;
  hasAsPath: boolean;
  readonly asPath: Place;
  readonly nextHop: Place;
  readonly mpReach: Place;
  readonly mpUnreach: Place;
  readonly as4Path: Place;
  readonly aggregator: Place;
  readonly as4Aggregator: Place;
}

/** Room for 65,535 octets of attributes whose two-octet paths grow to four, and an AS4_PATH. */
const BLOCK_CAPACITY = 262_144;

const place = (): Place => ({ start: -1, value: -1, end: -1 });

const scan: AttributeScan = {
  block: new Uint8Array(BLOCK_CAPACITY),
  length: 0,
  count: 0,
  hasOrigin: false,
  hasAsPath: false,
  asPath: place(),
  nextHop: place(),
  mpReach: place(),
  mpUnreach: place(),
  as4Path: place(),
  aggregator: place(),
  as4Aggregator: place(),
};

/** The places by attribute type, for the loop. */
const PLACE_OF: readonly (Place | undefined)[] = Array.from({ length: 256 }, (_, code) => {
  switch (code) {
    case AttributeType.nextHop:
      return scan.nextHop;
    case AttributeType.mpReach:
      return scan.mpReach;
    case AttributeType.mpUnreach:
      return scan.mpUnreach;
    case AttributeType.as4Path:
      return scan.as4Path;
    case AttributeType.as4Aggregator:
      return scan.as4Aggregator;
    default:
      return undefined;
  }
});

/** Last message in which an attribute type was seen: clearing 256 flags per message is dearer than counting up. */
const seenIn = new Uint32Array(256);
let message = 0;

/**
 * Scans the attributes in `bytes[start, end)` and appends what is wrong with them to `errors`. A `reset` among those means
 * that the rest of the message must not be used.
 */
export function scanAttributes(
  bytes: Uint8Array,
  start: number,
  end: number,
  parameters: DecodeParameters,
  errors: BgpError[],
): AttributeScan {
  begin();
  let lastCode = -1;
  let isSorted = true;
  for (let at = start; at < end; ) {
    const flags = bytes[at] ?? 0;
    const isLong = (flags & AttributeFlag.extendedLength) !== 0;
    const value = at + (isLong ? 4 : 3);
    const stop = value <= end ? value + (isLong ? read16(bytes, at + 2) : (bytes[at + 2] ?? 0)) : end + 1;
    if (stop > end) {
      errors.push(framingError(bytes, at, value, end));
      break;
    }
    const code = bytes[at + 1] ?? 0;
    scan.count++;
    if (seenIn[code] === message) errors.push(duplicateError(bytes, at, stop));
    else if (take(bytes, at, value, stop, parameters, errors)) {
      isSorted &&= code > lastCode;
      lastCode = code;
    }
    seenIn[code] = message;
    at = stop;
  }
  if (!parameters.as4) {
    mergeOldPeer(bytes, errors);
    isSorted = false;
  }
  if (!isSorted) sortBlock();
  if (scan.asPath.value >= 0) checkPathPolicy(bytes, parameters, errors);
  const { maxAttributesLength } = parameters;
  if (maxAttributesLength !== undefined && scan.length > maxAttributesLength)
    errors.push(sizeError(scan.length, maxAttributesLength));
  return scan;
}

function begin(): void {
  scan.length = 0;
  scan.count = 0;
  scan.hasOrigin = false;
  scan.hasAsPath = false;
  scan.asPath.value = scan.nextHop.value = scan.mpReach.value = scan.mpUnreach.value = -1;
  scan.as4Path.value = scan.aggregator.value = scan.as4Aggregator.value = -1;
  message = (message + 1) >>> 0;
  if (message === 0) {
    seenIn.fill(0);
    message = 1;
  }
}

/** Judges one attribute; true if it went into the block. */
function take(
  bytes: Uint8Array,
  at: number,
  value: number,
  stop: number,
  parameters: DecodeParameters,
  errors: BgpError[],
): boolean {
  const code = bytes[at + 1] ?? 0;
  const row = ROW_OF[code];
  if (row === undefined) return takeRowless(bytes, at, value, stop, parameters, errors);
  if (code === AttributeType.origin) scan.hasOrigin = true;
  if (code === AttributeType.asPath) scan.hasAsPath = true;
  if (row.internal && parameters.external) {
    errors.push(attributeError('discard', 0, bytes, at, stop, 'the peer is in another AS'));
    return false;
  }
  const flags = bytes[at] ?? 0;
  if ((flags & (AttributeFlag.optional | AttributeFlag.transitive)) !== row.flags) {
    errors.push(flagsError(row.approach, bytes, at, stop));
    return false;
  }
  const flaw = row.check(bytes, value, stop, parameters.as4 ? 4 : 2);
  if (flaw !== undefined) {
    errors.push(flawError(row, flaw, bytes, at, stop));
    return false;
  }
  if (code === AttributeType.asPath) mark(scan.asPath, at, value, stop);
  if (!parameters.as4 && code === AttributeType.aggregator) mark(scan.aggregator, at, value, stop);
  if (!parameters.as4 && (code === AttributeType.asPath || code === AttributeType.aggregator)) return false;
  append(
    row.flags | (row.flags & AttributeFlag.optional ? flags & AttributeFlag.partial : 0),
    code,
    bytes,
    value,
    stop,
  );
  return true;
}

/** NLRI carriers, the four-octet twins of old peers, and attributes nobody here knows. */
function takeRowless(
  bytes: Uint8Array,
  at: number,
  value: number,
  stop: number,
  parameters: DecodeParameters,
  errors: BgpError[],
): boolean {
  const flags = bytes[at] ?? 0;
  const code = bytes[at + 1] ?? 0;
  switch (code) {
    case AttributeType.mpReach:
    case AttributeType.mpUnreach:
      if ((flags & (AttributeFlag.optional | AttributeFlag.transitive)) !== AttributeFlag.optional)
        errors.push(flagsError('withdraw', bytes, at, stop));
      break;
    case AttributeType.nextHop:
      break;
    case AttributeType.as4Path:
    case AttributeType.as4Aggregator: {
      const why = whyNotAs4(bytes, value, stop, code, parameters);
      if (why === undefined) break;
      errors.push(attributeError('discard', UpdateError.optionalAttribute, bytes, at, stop, why));
      return false;
    }
    default:
      return takeUnknown(flags, bytes, at, value, stop, errors);
  }
  const found = PLACE_OF[code];
  if (found !== undefined) mark(found, at, value, stop);
  return false;
}

/** RFC 4271 section 5: an unknown transitive attribute goes on, marked Partial; an unknown non-transitive one ends here. */
function takeUnknown(
  flags: number,
  bytes: Uint8Array,
  at: number,
  value: number,
  stop: number,
  errors: BgpError[],
): boolean {
  if ((flags & AttributeFlag.optional) === 0) {
    errors.push(
      attributeError(
        'reset',
        UpdateError.unrecognizedWellKnown,
        bytes,
        at,
        stop,
        'it claims to be well-known and is not',
      ),
    );
    return false;
  }
  if ((flags & AttributeFlag.transitive) === 0) return false;
  append(
    AttributeFlag.optional | AttributeFlag.transitive | AttributeFlag.partial,
    bytes[at + 1] ?? 0,
    bytes,
    value,
    stop,
  );
  return true;
}

/** RFC 6793 sections 4.1 and 6: not from peers that speak four octets anyway, and never malformed. */
function whyNotAs4(
  bytes: Uint8Array,
  value: number,
  stop: number,
  code: number,
  parameters: DecodeParameters,
): string | undefined {
  if (parameters.as4) return 'the session has four-octet AS numbers already';
  if (code === AttributeType.as4Aggregator) {
    if (stop - value !== 8) return `it has ${stop - value} octets instead of 8`;
    return read32(bytes, value) === 0 ? 'its AS number is 0' : undefined;
  }
  return stop > value && scanAsPath(bytes, value, stop, 4) >= 0 ? undefined : 'its path is malformed';
}

function mark(found: Place, start: number, value: number, end: number): void {
  found.start = start;
  found.value = value;
  found.end = end;
}

function append(flags: number, code: number, bytes: Uint8Array, value: number, stop: number): void {
  scan.length = copyOctets(bytes, value, stop, scan.block, putHeader(flags, code, stop - value, scan.length));
}

/** Writes flags, type and length; returns the offset of the value. */
function putHeader(flags: number, code: number, length: number, at: number): number {
  const { block } = scan;
  block[at + 1] = code;
  if (length <= 255) {
    block[at] = flags;
    block[at + 2] = length;
    return at + 3;
  }
  block[at] = flags | AttributeFlag.extendedLength;
  write16(block, at + 2, length);
  return at + 4;
}

/** RFC 6793 section 4.2.3: AS_PATH and AGGREGATOR of a two-octet peer, with what their AS4 twins know better. */
function mergeOldPeer(bytes: Uint8Array, errors: BgpError[]): void {
  const { asPath, aggregator, as4Path, as4Aggregator } = scan;
  // An AGGREGATOR with a real AS was rewritten by a router that knows no AS4 attributes: they are out of date.
  const isStale = aggregator.value >= 0 && as4Aggregator.value >= 0 && read16(bytes, aggregator.value) !== AS_TRANS;
  if (asPath.value >= 0) {
    const hasAs4 = as4Path.value >= 0 && !isStale;
    const at = scan.length + 4;
    const end = mergeAs4Path(
      bytes,
      asPath.value,
      asPath.end,
      hasAs4 ? as4Path.value : 0,
      hasAs4 ? as4Path.end : 0,
      scan.block,
      at,
    );
    if (end - at > 0xffff)
      errors.push(
        attributeError(
          'withdraw',
          UpdateError.malformedAsPath,
          bytes,
          asPath.start,
          asPath.end,
          'it is too long for four-octet AS numbers',
        ),
      );
    else {
      const value = putHeader(AttributeFlag.transitive, AttributeType.asPath, end - at, scan.length);
      scan.block.copyWithin(value, at, end);
      scan.length = value + end - at;
    }
  }
  if (aggregator.value < 0) return;
  const partial = (bytes[aggregator.start] ?? 0) & AttributeFlag.partial;
  const value = putHeader(
    AttributeFlag.optional | AttributeFlag.transitive | partial,
    AttributeType.aggregator,
    8,
    scan.length,
  );
  if (as4Aggregator.value >= 0 && !isStale)
    copyOctets(bytes, as4Aggregator.value, as4Aggregator.end, scan.block, value);
  else {
    write32(scan.block, value, read16(bytes, aggregator.value));
    copyOctets(bytes, aggregator.value + 2, aggregator.end, scan.block, value + 4);
  }
  scan.length = value + 8;
}

/** Checks that are about the session rather than about the attribute: RFC 4271 section 6.3, and our own bound. */
function checkPathPolicy(bytes: Uint8Array, parameters: DecodeParameters, errors: BgpError[]): void {
  const { start, value, end } = scan.asPath;
  const width = parameters.as4 ? 4 : 2;
  if (parameters.external && parameters.enforceFirstAs) {
    const first = firstAs(bytes, value, end, width);
    const want = width === 2 && parameters.peerAs > 0xffff ? AS_TRANS : parameters.peerAs;
    if (first !== want)
      errors.push(
        attributeError(
          'withdraw',
          UpdateError.malformedAsPath,
          bytes,
          start,
          end,
          `it begins with AS ${first} instead of the peer's ${want}`,
        ),
      );
  }
  if (parameters.maxAsPathLength === 0) return;
  const hops = scanAsPath(bytes, value, end, width);
  if (hops > parameters.maxAsPathLength)
    errors.push(
      attributeError(
        'withdraw',
        UpdateError.malformedAsPath,
        bytes,
        start,
        end,
        `its ${hops} hops exceed the bound of ${parameters.maxAsPathLength}`,
      ),
    );
}

/** Puts the block into ascending type order: for the rare peer that does not send it so, and for merged paths. */
function sortBlock(): void {
  const { block, length } = scan;
  const copy = block.slice(0, length);
  const parts: { code: number; start: number; end: number }[] = [];
  for (let at = 0; at < length; ) {
    const isLong = ((copy[at] ?? 0) & AttributeFlag.extendedLength) !== 0;
    const end = isLong ? at + 4 + read16(copy, at + 2) : at + 3 + (copy[at + 2] ?? 0);
    parts.push({ code: copy[at + 1] ?? 0, start: at, end });
    at = end;
  }
  let at = 0;
  for (const part of parts.sort((a, b) => a.code - b.code)) at = copyOctets(copy, part.start, part.end, block, at);
}
