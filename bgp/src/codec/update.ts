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
import type { BgpError, Severity } from './bgp-error.js';

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

/** Reachable prefixes and their next hop: 4 or 16 octets, or 32 (IPv6 global, then link-local), in the same `bytes`. */
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
