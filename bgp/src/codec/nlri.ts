/**
 * Network Layer Reachability Information: prefixes as they travel (RFC 4271 section 4.3; path identifiers RFC 7911
 * section 3).
 *
 * ```
 * +--------------------------------+
 * | Path Identifier (4 octets)     |  only with ADD-PATH
 * +--------------------------------+
 * | Length in bits (1 octet)       |
 * +--------------------------------+
 * | Prefix (ceil(Length/8) octets) |  bits past Length are irrelevant
 * +--------------------------------+
 * ```
 */
import { prefixOf, type Family, type IpPrefix } from '../address.js';
import { read32, write32 } from './octets.js';

/** Why a scan failed: RFC 7606 section 5.3. */
export const NLRI_OVERRUN = -1;
export const NLRI_BAD_LENGTH = -2;

/** Number of entries in `bytes[start, end)` if every one is well-formed, else NLRI_OVERRUN or NLRI_BAD_LENGTH. */
export function scanNlri(bytes: Uint8Array, start: number, end: number, maxBits: number, addPath: boolean): number {
  const lead = addPath ? 4 : 0;
  let count = 0;
  let at = start;
  while (at < end) {
    at += lead;
    if (at >= end) return NLRI_OVERRUN;
    const bits = bytes[at] ?? 0;
    if (bits > maxBits) return NLRI_BAD_LENGTH;
    at += 1 + ((bits + 7) >>> 3);
    count++;
  }
  return at === end ? count : NLRI_OVERRUN;
}

export interface NlriEntry {
  readonly prefix: IpPrefix;
  /** 0 without ADD-PATH. */
  readonly pathId: number;
}

/** The entries of a validated block as objects. For people and tests; the RIB walks the bytes itself. */
export function* entriesOf(block: {
  readonly family: Family;
  readonly addPath: boolean;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}): Generator<NlriEntry> {
  let at = block.start;
  while (at < block.end) {
    const pathId = block.addPath ? read32(block.bytes, at) : 0;
    if (block.addPath) at += 4;
    const length = block.bytes[at] ?? 0;
    const octets = (length + 7) >>> 3;
    yield { prefix: readPrefix(block.family, block.bytes, at + 1, length), pathId };
    at += 1 + octets;
  }
}

function readPrefix(family: Family, bytes: Uint8Array, at: number, length: number): IpPrefix {
  const width = family === 4 ? 4 : 16;
  let value = 0n;
  for (let i = 0; i < width; i++) value = (value << 8n) | BigInt(i < (length + 7) >>> 3 ? (bytes[at + i] ?? 0) : 0);
  return prefixOf({ family, value }, length);
}

/** Octets one entry takes. */
export const nlriSize = (length: number, addPath: boolean): number => (addPath ? 5 : 1) + ((length + 7) >>> 3);

/** Writes one entry at `at` and returns the offset after it; the caller has checked the room (nlriSize). */
export function writePrefix(out: Uint8Array, at: number, prefix: IpPrefix, pathId: number | undefined): number {
  if (pathId !== undefined) {
    write32(out, at, pathId);
    at += 4;
  }
  out[at++] = prefix.length;
  const bits = prefix.family === 4 ? 32 : 128;
  for (let i = 0; i < (prefix.length + 7) >>> 3; i++)
    out[at++] = Number((prefix.value >> BigInt(bits - 8 - 8 * i)) & 0xffn);
  return at;
}
