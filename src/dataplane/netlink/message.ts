/**
 * What the kernel sends: datagrams of messages, messages of a family header and attributes, answers with an error number
 * and, on newer kernels, a sentence (the extended ack, NETLINK_EXT_ACK).
 *
 * Decoders never trust a length: one that points outside its container ends in NetlinkProtocolError, never in a read past it.
 */
import { endianness } from 'node:os';
import type { IpAddress } from 'node-bgp/address';
import {
  align4,
  HEADER_SIZE,
  NLA_TYPE_MASK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSGERR_ATTR_MISS_TYPE,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
} from './protocol.js';

const isLittleEndian = endianness() === 'LE';

/** The kernel's side of an exchange is not as netlink(7) promises: bytes that are no message, an answer that never came. */
export class NetlinkProtocolError extends Error {
  override readonly name: string = 'NetlinkProtocolError';
}

/** One message. `body` is everything behind the header: a view into the receive buffer, valid only until the next receive. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  readonly body: Octets;
}

/** What an NLMSG_ERROR says; errno 0 is the ack. */
export interface NetlinkAnswer {
  readonly errno: number;
  /** The kernel's sentence, if it gave one: "Nexthop has invalid gateway". */
  readonly explanation?: string;
  /** Where in the request the offending attribute starts. */
  readonly offset?: number;
  /** Type of an attribute that the kernel missed. */
  readonly missingType?: number;
}

/** Bytes with typed reads in host order; every read is checked against the end. */
export class Octets {
  private readonly view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  u8(at: number): number {
    this.expect(at, 1);
    return this.view.getUint8(at);
  }

  u16(at: number): number {
    this.expect(at, 2);
    return this.view.getUint16(at, isLittleEndian);
  }

  u16be(at: number): number {
    this.expect(at, 2);
    return this.view.getUint16(at);
  }

  u32(at: number): number {
    this.expect(at, 4);
    return this.view.getUint32(at, isLittleEndian);
  }

  u32be(at: number): number {
    this.expect(at, 4);
    return this.view.getUint32(at);
  }

  i32(at: number): number {
    this.expect(at, 4);
    return this.view.getInt32(at, isLittleEndian);
  }

  u64(at: number): bigint {
    this.expect(at, 8);
    return this.view.getBigUint64(at, isLittleEndian);
  }

  u64be(at: number): bigint {
    this.expect(at, 8);
    return this.view.getBigUint64(at);
  }

  /** Text up to `end` or its first NUL. */
  text(start: number, end: number): string {
    this.expect(start, end - start);
    const nul = this.bytes.indexOf(0, start);
    return Buffer.from(
      this.bytes.buffer,
      this.bytes.byteOffset + start,
      (nul < 0 || nul > end ? end : nul) - start,
    ).toString('utf8');
  }

  /** 4 or 16 bytes in network order. */
  address(start: number, end: number): IpAddress {
    if (end - start === 4) return { family: 4, value: BigInt(this.u32be(start)) };
    if (end - start !== 16)
      throw new NetlinkProtocolError(`Cannot decode an address of ${end - start} bytes: expected 4 or 16`);
    return { family: 6, value: (this.u64be(start) << 64n) | this.u64be(start + 8) };
  }

  slice(start: number, end: number): Uint8Array {
    this.expect(start, end - start);
    return this.bytes.subarray(start, end);
  }

  private expect(at: number, size: number): void {
    if (size < 0 || at < 0 || at + size > this.bytes.length)
      throw new NetlinkProtocolError(`Cannot read ${size} bytes at ${at}: the message has ${this.bytes.length}`);
  }
}

/** Splits a datagram and hands over its messages in order. Throws NetlinkProtocolError at the first bad length. */
export function forEachMessage(datagram: Uint8Array, visit: (message: NetlinkMessage) => void): void {
  const octets = new Octets(datagram);
  let at = 0;
  while (at < datagram.length) {
    const length = octets.u32(at);
    if (length < HEADER_SIZE || at + length > datagram.length)
      throw new NetlinkProtocolError(
        `Cannot decode a netlink message of length ${length}: expected ${HEADER_SIZE} to ${datagram.length - at}`,
      );
    visit({
      type: octets.u16(at + 4),
      flags: octets.u16(at + 6),
      sequence: octets.u32(at + 8),
      portId: octets.u32(at + 12),
      body: new Octets(datagram.subarray(at + HEADER_SIZE, at + length)),
    });
    at += align4(length);
  }
}

/**
 * Walks attributes between two offsets of a body: `visit(type, start, end)` with the payload's bounds. NLA_F_NESTED and
 * NLA_F_NET_BYTEORDER are masked from the type. Walk a nested attribute with its own bounds.
 */
export function forEachAttribute(
  body: Octets,
  start: number,
  end: number,
  visit: (type: number, start: number, end: number) => void,
): void {
  let at = start;
  // Fewer than four bytes behind the last attribute are padding (nla_for_each_attr does the same).
  while (at + 4 <= end) {
    const length = body.u16(at);
    if (length < 4 || at + length > end)
      throw new NetlinkProtocolError(
        `Cannot decode a netlink attribute of length ${length}: expected 4 to ${end - at}`,
      );
    visit(body.u16(at + 2) & NLA_TYPE_MASK, at + 4, at + length);
    at += align4(length);
  }
}

/**
 * Decodes an NLMSG_ERROR, or the status of an NLMSG_DONE:
 *
 * ```
 *  | -errno (4) | the request's header (16) [, its rest unless NLM_F_CAPPED] | attributes if NLM_F_ACK_TLVS |
 * ```
 */
export function decodeAnswer(message: NetlinkMessage): NetlinkAnswer {
  const { body, flags } = message;
  const errno = -body.i32(0);
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno };
  const requestLength = (flags & NLM_F_CAPPED) !== 0 ? HEADER_SIZE : align4(body.u32(4));
  return { errno, ...decodeExtendedAck(body, 4 + requestLength) };
}

/** The extended ack's attributes, from `start` of an answer's body. */
export function decodeExtendedAck(body: Octets, start: number): Omit<NetlinkAnswer, 'errno'> {
  let answer: Omit<NetlinkAnswer, 'errno'> = {};
  forEachAttribute(body, start, body.length, (type, from, to) => {
    if (type === NLMSGERR_ATTR_MSG) answer = { ...answer, explanation: body.text(from, to) };
    else if (type === NLMSGERR_ATTR_OFFS) answer = { ...answer, offset: body.u32(from) };
    else if (type === NLMSGERR_ATTR_MISS_TYPE) answer = { ...answer, missingType: body.u32(from) };
  });
  return answer;
}
