/**
 * The UPDATE message (RFC 4271 section 4.3, RFC 4760, RFC 7606), decoded without an object per prefix or attribute.
 *
 * The way in: framer -> `decodeUpdate(bytes, start, end, parameters)` -> DecodedUpdate. One pass checks everything RFC 7606
 * asks for and leaves
 * - a *normalised attribute block*: the path attributes as bytes, in ascending type order, without NEXT_HOP, MP_REACH_NLRI
 *   and MP_UNREACH_NLRI, without what had to be discarded, AS numbers always in four octets (AS4_PATH and AS4_AGGREGATOR of
 *   old peers merged in), minimal flags. Equal attributes therefore are equal bytes: intern them with one hash per UPDATE;
 * - NLRI as validated ranges of the message's own bytes.
 *
 * Everything in the result is a view that the next call overwrites: use it or copy it before.
 *
 * ```
 * +-----------------------------------------------------+
 * |   Withdrawn Routes Length (2 octets)                |
 * |   Withdrawn Routes (variable)                       |
 * |   Total Path Attribute Length (2 octets)            |
 * |   Path Attributes (variable)                        |
 * |   Network Layer Reachability Information (variable) |   RFC 4271, 4.3
 * +-----------------------------------------------------+
 * ```
 */
import type { Family } from '../address.js';
import { Afi, AttributeType, ErrorCode, Safi, UpdateError } from '../iana.js';
import { attributeError } from './attribute-error.js';
import { NO_BYTES, resetError, strongest, type BgpError, type Severity } from './bgp-error.js';
import type { DecodeParameters } from './negotiated.js';
import { scanAttributes, type AttributeScan } from './normalise.js';
import { scanNlri } from './nlri.js';
import { read16 } from './octets.js';

/**
 * Prefixes of one family: entries back to back in `bytes[start, end)`, each
 * `[path identifier (4 octets, only if addPath)] [length in bits (1)] [prefix (ceil(length / 8))]`.
 * Lengths are legal and the entries end exactly at `end`; bits past a prefix's length may be set and mean nothing.
 */
export interface NlriBlock {
  readonly family: Family;
  readonly addPath: boolean;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Number of entries. */
  readonly count: number;
}

/**
 * Reachable prefixes and their next hop: 4 or 16 octets, or 32 (IPv6 global, or :: where the peer has none, then link-local), in the same
 * `bytes`.
 */
export interface ReachBlock extends NlriBlock {
  readonly nextHopStart: number;
  readonly nextHopLength: number;
}

export interface DecodedUpdate {
  /**
   * ok, or the strongest of `errors`. The lists below already follow it: after `discard` the attribute is gone, after
   * `withdraw` reachable prefixes stand in `withdrawn`, after `reset` there are none and `errors` says what to send.
   */
  readonly severity: 'ok' | Severity;
  readonly errors: readonly BgpError[];
  /** The normalised attribute block is `attributes.subarray(0, attributesLength)`; empty unless `reach` is not. */
  readonly attributes: Uint8Array;
  readonly attributesLength: number;
  /** At most two: MP_REACH_NLRI and the classic field. */
  readonly reach: readonly ReachBlock[];
  /** Processed before `reach`, except that a prefix in both is reachable (RFC 4271 section 4.3). */
  readonly withdrawn: readonly NlriBlock[];
  /** The message is the End-of-RIB marker of this family (RFC 4724 section 2). */
  readonly endOfRib: Family | undefined;
}

/** The mutable side of the views above. */
interface Block {
  family: Family;
  addPath: boolean;
  bytes: Uint8Array;
  start: number;
  end: number;
  count: number;
  nextHopStart: number;
  nextHopLength: number;
}

interface Result {
  severity: 'ok' | Severity;
  errors: BgpError[];
  attributes: Uint8Array;
  attributesLength: number;
  reach: Block[];
  withdrawn: Block[];
  endOfRib: Family | undefined;
}

const newBlock = (): Block => ({
  family: 4,
  addPath: false,
  bytes: NO_BYTES,
  start: 0,
  end: 0,
  count: 0,
  nextHopStart: 0,
  nextHopLength: 0,
});

// Scratch of this thread's one decoder: decoding is synchronous, and callers copy what they keep.
const classicReach = newBlock();
const classicWithdrawn = newBlock();
const mpReach = newBlock();
const mpWithdrawn = newBlock();
const result: Result = {
  severity: 'ok',
  errors: [],
  attributes: NO_BYTES,
  attributesLength: 0,
  reach: [],
  withdrawn: [],
  endOfRib: undefined,
};

/**
 * Decodes the body of an UPDATE, `bytes[start, end)` after the header. Never throws for what a peer sent; what is wrong with
 * it is in the result. The result is overwritten by the next call.
 */
export function decodeUpdate(
  bytes: Uint8Array,
  start: number,
  end: number,
  parameters: DecodeParameters,
): DecodedUpdate {
  clear();
  const { errors } = result;
  // RFC 7606 section 3 b: with lengths that do not fit the message there is nothing to hold on to.
  const attributesAt = start + 4 + read16(bytes, start);
  const nlriAt = attributesAt <= end ? attributesAt + read16(bytes, attributesAt - 2) : end + 1;
  if (end - start < 4 || nlriAt > end)
    return reset(
      resetError(
        ErrorCode.update,
        UpdateError.malformedAttributeList,
        `Cannot decode UPDATE with a body of ${end - start} octets: its withdrawn-routes and attribute lengths exceed it`,
      ),
    );
  if (
    !takeClassic(classicWithdrawn, bytes, start + 2, attributesAt - 2, parameters, result.withdrawn) ||
    !takeClassic(classicReach, bytes, nlriAt, end, parameters, result.reach)
  )
    return reset(
      resetError(
        ErrorCode.update,
        UpdateError.invalidNetworkField,
        'Cannot decode UPDATE: a prefix in it is longer than 32 bits or overruns its field',
      ),
    );

  const scan = scanAttributes(bytes, attributesAt, nlriAt, parameters, errors);
  if (scan.mpUnreach.value >= 0) takeUnreach(bytes, scan, parameters);
  if (scan.mpReach.value >= 0) takeReach(bytes, scan, parameters);
  const hasClassic = nlriAt < end;
  if (hasClassic) takeNextHop(bytes, scan);
  if (hasClassic || scan.mpReach.value >= 0) checkMandatory(scan);
  result.attributes = scan.block;
  if (errors.length > 0) settle(hasClassic, scan, bytes);
  if (result.reach.length > 0) result.attributesLength = scan.length;
  else if (errors.length === 0 && attributesAt === start + 4 && !hasClassic)
    result.endOfRib = endOfRibIn(bytes, scan, parameters);
  return result;
}

function clear(): void {
  result.severity = 'ok';
  if (result.errors.length > 0) result.errors = [];
  result.attributesLength = 0;
  result.reach.length = 0;
  result.withdrawn.length = 0;
  result.endOfRib = undefined;
}

function reset(error: BgpError): DecodedUpdate {
  result.errors.push(error);
  result.severity = 'reset';
  result.reach.length = 0;
  result.withdrawn.length = 0;
  return result;
}

/** The two IPv4 fields of the classic message; false when they cannot be parsed (RFC 7606 sections 3 i and 5.3). */
function takeClassic(
  block: Block,
  bytes: Uint8Array,
  start: number,
  end: number,
  parameters: DecodeParameters,
  into: Block[],
): boolean {
  if (start === end) return true;
  const count = scanNlri(bytes, start, end, 32, parameters.addPathIpv4);
  if (count < 0) return false;
  if (parameters.ipv4) into.push(fill(block, 4, parameters.addPathIpv4, bytes, start, end, count));
  else result.errors.push(unnegotiated('IPv4 unicast'));
  return true;
}

function fill(
  block: Block,
  family: Family,
  addPath: boolean,
  bytes: Uint8Array,
  start: number,
  end: number,
  count: number,
): Block {
  block.family = family;
  block.addPath = addPath;
  block.bytes = bytes;
  block.start = start;
  block.end = end;
  block.count = count;
  return block;
}

/** RFC 4271 section 6.3: NEXT_HOP counts only for the classic NLRI (RFC 4760 section 3), and must be a host's address. */
function takeNextHop(bytes: Uint8Array, scan: AttributeScan): void {
  const { start, value, end } = scan.nextHop;
  if (value < 0) {
    result.errors.push(missing(AttributeType.nextHop, 'NEXT_HOP'));
    return;
  }
  if (((bytes[start] ?? 0) & 0xc0) !== 0x40)
    result.errors.push(
      attributeError('withdraw', UpdateError.attributeFlags, bytes, start, end, 'its flags are wrong'),
    );
  else if (end - value !== 4)
    result.errors.push(
      attributeError(
        'withdraw',
        UpdateError.attributeLength,
        bytes,
        start,
        end,
        `it has ${end - value} octets instead of 4`,
      ),
    );
  else if (!isHostAddress(bytes, value, 4))
    result.errors.push(
      attributeError('withdraw', UpdateError.invalidNextHop, bytes, start, end, 'it is no address of a host'),
    );
  classicReach.nextHopStart = value;
  classicReach.nextHopLength = 4;
}

/** Not 0.0.0.0/8, ::, multicast or reserved (224.0.0.0/3, ff00::/8), nor IPv4-mapped, which is on no wire (RFC 4291 section 2.5.5.2). */
function isHostAddress(bytes: Uint8Array, at: number, length: number): boolean {
  const first = bytes[at] ?? 0;
  if (length === 4) return first > 0 && first < 224;
  if (first !== 0) return first !== 0xff;
  for (let i = at; i < at + 10; i++) if (bytes[i] !== 0) return true;
  const isMapped = bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
  for (let i = at + 10; i < at + length; i++) if (bytes[i] !== 0) return !isMapped;
  return false;
}

/**
 * RFC 4760 section 3:
 * ```
 * | AFI (2) | SAFI (1) | Next Hop Length (1) | Next Hop | Reserved (1) | NLRI |
 * ```
 * A next hop of unexpected length hides where the NLRI begins: RFC 7606 section 7.11 leaves only the reset. One that is of a known form
 * but not for this session does not, and a reset would bring it back with the next session, for ever: its routes are withdrawn.
 */
function takeReach(bytes: Uint8Array, scan: AttributeScan, parameters: DecodeParameters): void {
  const { start, value, end } = scan.mpReach;
  const length = bytes[value + 3] ?? 0;
  if (end - value < 5 || value + 5 + length > end) return malformed(bytes, start, end, 'its next hop overruns it');
  const family = familyAt(bytes, value, parameters);
  if (family === undefined) {
    result.errors.push(unnegotiated(`AFI ${read16(bytes, value)} SAFI ${bytes[value + 2] ?? 0}`));
    return;
  }
  const isKnown = (family === 4 && length === 4) || length === 16 || length === 32 || length === 24 || length === 48;
  if (!isKnown) return malformed(bytes, start, end, `its next hop has ${length} octets`);
  const addPath = family === 4 ? parameters.addPathIpv4 : parameters.addPathIpv6;
  const count = scanNlri(bytes, value + 5 + length, end, family === 4 ? 32 : 128, addPath);
  if (count < 0) return malformed(bytes, start, end, 'a prefix in it is too long or overruns it');
  const fault = nextHopFault(bytes, value + 4, length, family, parameters);
  if (fault !== undefined)
    result.errors.push(attributeError('withdraw', UpdateError.invalidNextHop, bytes, start, end, fault));
  if (count === 0) return;
  fill(mpReach, family, addPath, bytes, value + 5 + length, end, count);
  mpReach.nextHopStart = value + 4;
  // RFC 2545 section 3: a second half is a link-local address, or it is nothing.
  mpReach.nextHopLength = length === 32 && !isLinkLocalAt(bytes, value + 20) ? 16 : length;
  result.reach.push(mpReach);
}

function nextHopFault(
  bytes: Uint8Array,
  at: number,
  length: number,
  family: Family,
  parameters: DecodeParameters,
): string | undefined {
  // RFC 8950 section 3 and RFC 4659 section 3.2.1: with Route Distinguishers, for labelled VPN routes.
  if (length === 24 || length === 48)
    return `its next hop has ${length} octets, with a Route Distinguisher, which unicast routes do not have`;
  if (family === 4 && length !== 4 && !parameters.extendedNextHop)
    return 'its next hop is an IPv6 address, which the session did not negotiate for IPv4 routes (RFC 8950)';
  return isNextHop(bytes, at, length) ? undefined : 'its next hop is no address of a host';
}

/** fe80::/10 (RFC 4291 section 2.5.6). */
const isLinkLocalAt = (bytes: Uint8Array, at: number): boolean =>
  bytes[at] === 0xfe && ((bytes[at + 1] ?? 0) & 0xc0) === 0x80;

/** Of a pair (RFC 2545 section 3) one address is enough: some unnumbered peers leave the global one empty. */
const isNextHop = (bytes: Uint8Array, at: number, length: number): boolean =>
  isHostAddress(bytes, at, length === 4 ? 4 : 16) || (length === 32 && isLinkLocalAt(bytes, at + 16));

/** RFC 4760 section 4: `| AFI (2) | SAFI (1) | Withdrawn Routes |`; RFC 7606 section 7.12. */
function takeUnreach(bytes: Uint8Array, scan: AttributeScan, parameters: DecodeParameters): void {
  const { start, value, end } = scan.mpUnreach;
  if (end - value < 3) return malformed(bytes, start, end, `it has ${end - value} octets instead of at least 3`);
  const family = familyAt(bytes, value, parameters);
  if (family === undefined) {
    result.errors.push(unnegotiated(`AFI ${read16(bytes, value)} SAFI ${bytes[value + 2] ?? 0}`));
    return;
  }
  const addPath = family === 4 ? parameters.addPathIpv4 : parameters.addPathIpv6;
  const count = scanNlri(bytes, value + 3, end, family === 4 ? 32 : 128, addPath);
  if (count < 0) return malformed(bytes, start, end, 'a prefix in it is too long or overruns it');
  if (count > 0) result.withdrawn.push(fill(mpWithdrawn, family, addPath, bytes, value + 3, end, count));
}

function familyAt(bytes: Uint8Array, at: number, parameters: DecodeParameters): Family | undefined {
  if (bytes[at + 2] !== Safi.unicast) return undefined;
  const afi = read16(bytes, at);
  if (afi === Afi.ipv4 && parameters.ipv4) return 4;
  return afi === Afi.ipv6 && parameters.ipv6 ? 6 : undefined;
}

/** RFC 4760 section 7 wants an incorrect carrier answered with Optional Attribute Error. */
function malformed(bytes: Uint8Array, start: number, end: number, what: string): void {
  result.errors.push(attributeError('reset', UpdateError.optionalAttribute, bytes, start, end, what));
}

/**
 * RFC 7606 section 3 d. One that is there but malformed has been reported already. LOCAL_PREF is not asked of internal
 * peers: its absence has an obvious meaning, the default.
 */
function checkMandatory(scan: AttributeScan): void {
  if (!scan.hasOrigin) result.errors.push(missing(AttributeType.origin, 'ORIGIN'));
  if (!scan.hasAsPath) result.errors.push(missing(AttributeType.asPath, 'AS_PATH'));
}

const missing = (code: number, name: string): BgpError => ({
  severity: 'withdraw',
  code: ErrorCode.update,
  subcode: UpdateError.missingWellKnown,
  data: Uint8Array.of(code),
  reason: `Cannot accept routes without ${name}`,
});

const unnegotiated = (family: string): BgpError => ({
  severity: 'discard',
  code: ErrorCode.update,
  subcode: UpdateError.optionalAttribute,
  data: NO_BYTES,
  reason: `Ignore routes of ${family}: the session did not negotiate it`,
});

/** Makes the result follow the strongest of its errors (RFC 7606 section 3 h). */
function settle(hasClassic: boolean, scan: AttributeScan, bytes: Uint8Array): void {
  const worst = strongest(result.errors);
  if (worst === undefined) return;
  result.severity = worst.severity;
  if (worst.severity === 'discard') return;
  if (worst.severity === 'withdraw') {
    const { value, end } = scan.mpReach;
    const carriesReach = hasClassic || (value >= 0 && value + 5 + (bytes[value + 3] ?? 0) < end);
    const isUnreachAlone = scan.count === 1 && scan.mpUnreach.value >= 0;
    if (carriesReach || isUnreachAlone) {
      result.withdrawn.push(...result.reach);
      result.reach.length = 0;
      return;
    }
    // RFC 7606 section 5.2: attributes but no NLRI, and one is broken: the NLRI may be hidden in it.
    reset({
      ...worst,
      severity: 'reset',
      reason: `${worst.reason}; the UPDATE has no reachable prefix that could be withdrawn`,
    });
    return;
  }
  result.severity = 'reset';
  result.reach.length = 0;
  result.withdrawn.length = 0;
}

/** RFC 4724 section 2: an empty UPDATE, or one with nothing but an empty MP_UNREACH_NLRI. */
function endOfRibIn(bytes: Uint8Array, scan: AttributeScan, parameters: DecodeParameters): Family | undefined {
  if (scan.count === 0) return parameters.ipv4 ? 4 : undefined;
  const { value, end } = scan.mpUnreach;
  return scan.count === 1 && value >= 0 && end - value === 3 ? familyAt(bytes, value, parameters) : undefined;
}
