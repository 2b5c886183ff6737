/**
 * Tuples of tracked connections, read where they lie in a receive buffer (linux/netfilter/nfnetlink_conntrack.h). For whoever reads
 * thousands a second: no views, no big integers, and an address is formatted once.
 *
 * ```
 * CTA_TUPLE_*: CTA_TUPLE_IP { v4 source, v4 destination, v6 source, v6 destination }, CTA_TUPLE_PROTO { number, ports or ICMP }
 * ```
 */
import { endianness } from 'node:os';
import { addressFromBytes, formatAddress, formatIpv4 } from 'node-bgp/address';
import { NetlinkProtocolError } from './message.js';
import { align4, NLA_TYPE_MASK } from './protocol.js';

/** Addresses are canonical text. */
export interface ConnectionTuple {
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  /** 0 for protocols without; of ICMP the identifier. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmp?: { readonly type: number; readonly code: number };
}

const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
const enum Proto {
  Number = 1,
  SourcePort = 2,
  DestinationPort = 3,
  IcmpId = 4,
  IcmpType = 5,
  IcmpCode = 6,
  Icmpv6Id = 7,
  Icmpv6Type = 8,
  Icmpv6Code = 9,
}

const isLittleEndian = endianness() === 'LE';
const u16 = (bytes: Buffer, at: number): number => (isLittleEndian ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));

/** Walks attributes between two offsets, as `forEachAttribute` does with Octets. @throws NetlinkProtocolError */
export function eachAttribute(
  bytes: Buffer,
  start: number,
  end: number,
  visit: (type: number, start: number, end: number) => void,
): void {
  for (let at = start; at + 4 <= end; ) {
    const length = u16(bytes, at);
    if (length < 4 || at + length > end)
      throw new NetlinkProtocolError(
        `Cannot decode a netlink attribute of length ${length}: expected 4 to ${end - at}`,
      );
    visit(u16(bytes, at + 2) & NLA_TYPE_MASK, at + 4, at + length);
    at += align4(length);
  }
}

/** The tuple between two offsets. @throws NetlinkProtocolError */
export function decodeTuple(bytes: Buffer, start: number, end: number): ConnectionTuple {
  let [protocol, sourcePort, destinationPort, icmpType, icmpCode] = [0, 0, 0, -1, 0];
  let [source, destination] = ['', ''];
  eachAttribute(bytes, start, end, (part, from, to) => {
    if (part === CTA_TUPLE_IP)
      eachAttribute(bytes, from, to, (field, at, until) => {
        if (field === CTA_IP_V4_SRC || field === CTA_IP_V6_SRC) source = addressText(bytes, at, until);
        else if (field === CTA_IP_V4_DST || field === CTA_IP_V6_DST) destination = addressText(bytes, at, until);
      });
    else if (part === CTA_TUPLE_PROTO)
      eachAttribute(bytes, from, to, (field, at, until) => {
        const isWide = until - at >= 2;
        if (field === Proto.Number) protocol = bytes[at] ?? 0;
        else if ((field === Proto.SourcePort || field === Proto.IcmpId || field === Proto.Icmpv6Id) && isWide)
          sourcePort = bytes.readUInt16BE(at);
        else if (field === Proto.DestinationPort && isWide) destinationPort = bytes.readUInt16BE(at);
        else if (field === Proto.IcmpType || field === Proto.Icmpv6Type) icmpType = bytes[at] ?? 0;
        else if (field === Proto.IcmpCode || field === Proto.Icmpv6Code) icmpCode = bytes[at] ?? 0;
      });
  });
  const tuple = { protocol, source, destination, sourcePort, destinationPort };
  return icmpType < 0 ? tuple : { ...tuple, icmp: { type: icmpType, code: icmpCode } };
}

/** BOUNDED: begun anew when full; a node sees the same addresses again and again. */
const MOST_KNOWN = 65_536;
let known4 = new Map<number, string>();
let known6 = new Map<string, string>();

/** 4 or 16 octets in network order as canonical text. @throws NetlinkProtocolError */
export function addressText(bytes: Buffer, start: number, end: number): string {
  if (end - start === 4) {
    const value = bytes.readUInt32BE(start);
    const known = known4.get(value);
    if (known !== undefined) return known;
    if (known4.size >= MOST_KNOWN) known4 = new Map();
    const text = formatIpv4(value);
    known4.set(value, text);
    return text;
  }
  if (end - start !== 16)
    throw new NetlinkProtocolError(`Cannot decode an address of ${end - start} bytes: expected 4 or 16`);
  const key = bytes.toString('latin1', start, end);
  const known = known6.get(key);
  if (known !== undefined) return known;
  if (known6.size >= MOST_KNOWN) known6 = new Map();
  const text = formatAddress(addressFromBytes(bytes.subarray(start, end)));
  known6.set(key, text);
  return text;
}
