/**
 * Reads NLRI (RFC 4271 section 4.3) into columns, some dozens of entries at a time, for those who want to look at all of them before they
 * work on the first: see PrefixTable.touch. The octets have been checked by the codec.
 */
import type { NlriBlock } from '../codec/update.js';

/** As many cache lines as may be under way at once, a few times over. */
const CAPACITY = 64;

export class NlriReader {
  /** Entries read by the last `fill`. */
  count = 0;
  /** Address words of entry `i` start at `i * width`; bits past the length are zero. */
  readonly keys = new Uint32Array(CAPACITY * 4);
  readonly lengths = new Uint8Array(CAPACITY);
  /** ADD-PATH identifiers (RFC 7911); 0 without. */
  readonly identifiers = new Uint32Array(CAPACITY);

  /** Reads on from offset `at`; returns the offset after what was read. */
  fill({ bytes, end, addPath }: NlriBlock, at: number, width: 1 | 4): number {
    const { keys, lengths, identifiers } = this;
    let count = 0;
    for (; at < end && count < CAPACITY; count++) {
      identifiers[count] = addPath ? read32(bytes, at) : 0;
      if (addPath) at += 4;
      const length = bytes[at] as number;
      lengths[count] = length;
      at =
        width === 1 ? readIpv4(bytes, at + 1, length, keys, count) : readIpv6(bytes, at + 1, length, keys, count * 4);
    }
    this.count = count;
    return at;
  }
}

const read32 = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)) >>>
  0;

function readIpv4(bytes: Uint8Array, at: number, length: number, keys: Uint32Array, to: number): number {
  const octets = (length + 7) >>> 3;
  let word = 0;
  for (let i = 0, shift = 24; i < octets; i++, shift -= 8) word |= (bytes[at + i] as number) << shift;
  keys[to] = length === 0 ? 0 : word & (-1 << (32 - length));
  return at + octets;
}

function readIpv6(bytes: Uint8Array, at: number, length: number, keys: Uint32Array, to: number): number {
  const octets = (length + 7) >>> 3;
  keys[to] = keys[to + 1] = keys[to + 2] = keys[to + 3] = 0;
  for (let i = 0; i < octets; i++)
    keys[to + (i >>> 2)] = (keys[to + (i >>> 2)] as number) | ((bytes[at + i] as number) << (24 - 8 * (i & 3)));
  const rest = length & 31;
  if (rest !== 0) keys[to + (length >>> 5)] = (keys[to + (length >>> 5)] as number) & (-1 << (32 - rest));
  return at + octets;
}
