/**
 * Writes UPDATE messages straight into a caller's buffer, many back to back: begin, add prefixes until there is no room,
 * finish, and so on. No object per message or prefix.
 *
 * Each message carries one thing only, as RFC 7606 section 5.1 wants: classic withdrawals or NLRI for IPv4, or one
 * MP_REACH_NLRI or MP_UNREACH_NLRI, then as the first attribute. NEXT_HOP goes to its place in the type order.
 *
 * ```
 * const writer = new UpdateWriter(parameters);
 * writer.into(buffer, 0);
 * if (writer.beginReach(4, nextHop, block, 0, length))
 *   while (more && writer.addIpv4(address, bits, pathId)) ...;
 * writer.finish();                       // writer.at is now the offset after the message
 * ```
 */
import type { Family, IpPrefix } from '../address.js';
import { Afi, AttributeFlag, AttributeType, HEADER_LENGTH, MessageType, Safi } from '../iana.js';
import { NO_BYTES } from './bgp-error.js';
import { writeHeader } from './message.js';
import type { EncodeParameters } from './negotiated.js';
import { nlriSize, writePrefix } from './nlri.js';
import { copyOctets, read16, write16, write32 } from './octets.js';

/** What the message under construction carries its prefixes in. */
type Carrier = 'none' | 'classic-nlri' | 'classic-withdrawn' | 'mp-reach' | 'mp-unreach';

/** Attributes that have to go behind the prefixes of an MP_REACH_NLRI: a view of the caller's block. */
interface Trailer {
  bytes: Uint8Array;
  start: number;
  end: number;
}

export class UpdateWriter {
  readonly #parameters: EncodeParameters;
  #out: Uint8Array = NO_BYTES;
  #at = 0;
  #message = 0;
  /** No prefix may be written to or past this offset. */
  #limit = 0;
  #carrier: Carrier = 'none';
  #addPath = false;
  /** Where the carrier's own length field is. */
  #lengthAt = 0;
  readonly #trailer: Trailer = { bytes: NO_BYTES, start: 0, end: 0 };

  constructor(parameters: EncodeParameters) {
    this.#parameters = parameters;
  }

  /** Writes into this buffer from `at` on. A message is never begun where a whole one might not fit. */
  into(out: Uint8Array, at: number): void {
    this.#out = out;
    this.#at = at;
    this.#carrier = 'none';
  }

  /** Offset after what has been written. */
  get at(): number {
    return this.#at;
  }

  /**
   * Begins a message that announces prefixes of `family` with the attributes of a block as the peer shall see it (two-octet
   * sessions: rewrite.ts). The next hop has 4, 16 or 32 octets; IPv4 with 4 goes in the classic fields. False when the
   * attributes leave no room for a prefix in the peer's longest message, or the buffer has not that much room left.
   */
  beginReach(family: Family, nextHop: Uint8Array, attributes: Uint8Array, start: number, end: number): boolean {
    const isClassic = family === 4 && nextHop.length === 4;
    const fixed = HEADER_LENGTH + 4 + (end - start) + (isClassic ? 7 : 9 + nextHop.length);
    if (!this.#begin(family, fixed, longestPrefix(family))) return false;
    let at = this.#message + HEADER_LENGTH;
    write16(this.#out, at, 0);
    at += 4;
    if (isClassic) {
      this.#carrier = 'classic-nlri';
      at = writeWithNextHop(this.#out, at, nextHop, attributes, start, end);
      write16(this.#out, this.#message + HEADER_LENGTH + 2, at - this.#message - HEADER_LENGTH - 4);
      this.#at = at;
      return true;
    }
    this.#carrier = 'mp-reach';
    this.#trailer.bytes = attributes;
    this.#trailer.start = start;
    this.#trailer.end = end;
    this.#limit -= end - start;
    at = this.#putCarrierHead(at, AttributeType.mpReach, family);
    this.#out[at++] = nextHop.length;
    at = copyOctets(nextHop, 0, nextHop.length, this.#out, at);
    this.#out[at++] = 0;
    this.#at = at;
    return true;
  }

  /** Begins a message that withdraws prefixes of `family`; IPv4 in the classic field. False: no room in the buffer. */
  beginWithdraw(family: Family): boolean {
    return this.#openWithdraw(family, longestPrefix(family));
  }

  /** `prefixOctets`: room that must be left for prefixes. */
  #openWithdraw(family: Family, prefixOctets: number): boolean {
    if (!this.#begin(family, HEADER_LENGTH + 4 + (family === 4 ? 0 : 7), prefixOctets)) return false;
    const at = this.#message + HEADER_LENGTH;
    if (family === 4) {
      this.#carrier = 'classic-withdrawn';
      this.#limit -= 2;
      this.#at = at + 2;
      return true;
    }
    this.#carrier = 'mp-unreach';
    write16(this.#out, at, 0);
    this.#at = this.#putCarrierHead(at + 4, AttributeType.mpUnreach, family);
    return true;
  }

  /** Adds an IPv4 prefix, its address as unsigned 32 bits. False: no room; finish and begin anew. */
  addIpv4(address: number, length: number, pathId: number): boolean {
    const octets = (length + 7) >>> 3;
    if (this.#at + (this.#addPath ? 5 : 1) + octets > this.#limit) return false;
    this.#putLead(length, pathId);
    for (let i = 0, shift = 24; i < octets; i++, shift -= 8) this.#out[this.#at++] = address >>> shift;
    return true;
  }

  /** Adds an IPv6 prefix, its address as four unsigned 32-bit words from `words[from]` on. False: no room. */
  addIpv6(words: Uint32Array, from: number, length: number, pathId: number): boolean {
    const octets = (length + 7) >>> 3;
    if (this.#at + (this.#addPath ? 5 : 1) + octets > this.#limit) return false;
    this.#putLead(length, pathId);
    for (let i = 0; i < octets; i++) this.#out[this.#at++] = (words[from + (i >>> 2)] ?? 0) >>> (24 - 8 * (i & 3));
    return true;
  }

  /** Adds a prefix of any family whose first octets stand in `bytes` at `start`. False: no room. */
  addOctets(bytes: Uint8Array, start: number, length: number, pathId: number): boolean {
    const octets = (length + 7) >>> 3;
    if (this.#at + (this.#addPath ? 5 : 1) + octets > this.#limit) return false;
    this.#putLead(length, pathId);
    this.#at = copyOctets(bytes, start, start + octets, this.#out, this.#at);
    return true;
  }

  addPrefix(prefix: IpPrefix, pathId: number): boolean {
    if (this.#at + nlriSize(prefix.length, this.#addPath) > this.#limit) return false;
    this.#at = writePrefix(this.#out, this.#at, prefix, this.#addPath ? pathId : undefined);
    return true;
  }

  /** Completes the message; returns the offset after it. */
  finish(): number {
    const bodyAt = this.#message + HEADER_LENGTH;
    if (this.#carrier === 'classic-withdrawn') {
      write16(this.#out, bodyAt, this.#at - bodyAt - 2);
      write16(this.#out, this.#at, 0);
      this.#at += 2;
    } else if (this.#carrier === 'mp-reach' || this.#carrier === 'mp-unreach') {
      write16(this.#out, this.#lengthAt, this.#at - this.#lengthAt - 2);
      if (this.#carrier === 'mp-reach')
        this.#at = copyOctets(this.#trailer.bytes, this.#trailer.start, this.#trailer.end, this.#out, this.#at);
      write16(this.#out, bodyAt + 2, this.#at - bodyAt - 4);
    }
    writeHeader(this.#out, this.#message, MessageType.update, this.#at - this.#message);
    this.#carrier = 'none';
    return this.#at;
  }

  /** The End-of-RIB marker of a family (RFC 4724 section 2) as a whole message. False: no room in the buffer. */
  endOfRib(family: Family): boolean {
    if (!this.#openWithdraw(family, 0)) return false;
    this.finish();
    return true;
  }

  /** `fixed`: octets besides prefixes, `prefixOctets`: those of the prefixes that have to fit in any case. */
  #begin(family: Family, fixed: number, prefixOctets: number): boolean {
    this.#addPath = family === 4 ? this.#parameters.addPathIpv4 : this.#parameters.addPathIpv6;
    const least = fixed + (prefixOctets > 0 && this.#addPath ? prefixOctets + 4 : prefixOctets);
    const room = Math.min(this.#parameters.maxMessageLength, this.#out.length - this.#at);
    if (least > room) return false;
    this.#message = this.#at;
    this.#limit = this.#at + room;
    return true;
  }

  /** Flags, type, a two-octet length to be filled in, AFI and SAFI. */
  #putCarrierHead(at: number, code: number, family: Family): number {
    this.#out[at] = AttributeFlag.optional | AttributeFlag.extendedLength;
    this.#out[at + 1] = code;
    this.#lengthAt = at + 2;
    write16(this.#out, at + 4, family === 4 ? Afi.ipv4 : Afi.ipv6);
    this.#out[at + 6] = Safi.unicast;
    return at + 7;
  }

  #putLead(length: number, pathId: number): void {
    if (this.#addPath) {
      write32(this.#out, this.#at, pathId);
      this.#at += 4;
    }
    this.#out[this.#at++] = length;
  }
}

/** Octets of the longest entry, without a path identifier. */
const longestPrefix = (family: Family): number => (family === 4 ? 5 : 17);

/** Copies a block with NEXT_HOP put in its place, after ORIGIN and AS_PATH (RFC 4271 section 5: ascending order). */
function writeWithNextHop(
  out: Uint8Array,
  at: number,
  nextHop: Uint8Array,
  attributes: Uint8Array,
  start: number,
  end: number,
): number {
  let cut = start;
  while (cut < end && (attributes[cut + 1] ?? 0) < AttributeType.nextHop) {
    const isLong = ((attributes[cut] ?? 0) & AttributeFlag.extendedLength) !== 0;
    cut += isLong ? 4 + read16(attributes, cut + 2) : 3 + (attributes[cut + 2] ?? 0);
  }
  at = copyOctets(attributes, start, cut, out, at);
  out[at] = AttributeFlag.transitive;
  out[at + 1] = AttributeType.nextHop;
  out[at + 2] = 4;
  at = copyOctets(nextHop, 0, 4, out, at + 3);
  return copyOctets(attributes, cut, end, out, at);
}
