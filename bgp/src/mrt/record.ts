/**
 * MRT records (RFC 6396) as bytes: messages and state changes of sessions (BGP4MP), and dumps of the routing table
 * (TABLE_DUMP_V2), as bgpdump, bgpscanner and the route collectors read them. A file is records back to back.
 *
 * ```
 * +---------------------------------------------------------------+
 * | Timestamp (4) | Type (2) | Subtype (2) | Length (4) | message |   RFC 6396, 2
 * +---------------------------------------------------------------+
 * ```
 */
import { addressToBytes, type Family, type IpAddress, type IpPrefix } from '../address.js';
import { OctetWriter, read16 } from '../codec/octets.js';
import { writePrefix } from '../codec/nlri.js';
import { Afi, AttributeFlag, AttributeType, Bgp4mpSubtype, MrtType, TableDumpSubtype } from '../iana.js';

/** A record; `seconds` since 1970, as in all of these functions. */
function record(type: number, subtype: number, seconds: number, message: OctetWriter): Uint8Array {
  return new OctetWriter(12 + message.length)
    .u32(Math.floor(seconds))
    .u16(type)
    .u16(subtype)
    .u32(message.length)
    .bytes(message.finish())
    .finish();
}

const afiOf = (family: Family): number => (family === 4 ? Afi.ipv4 : Afi.ipv6);

/** Both ends of a session; addresses of one family. */
export interface MrtSession {
  readonly peerAs: number;
  readonly localAs: number;
  readonly peerAddress: IpAddress;
  readonly localAddress: IpAddress;
  /** SNMP index of the interface; 0 when unknown. */
  readonly interfaceIndex?: number;
}

function sessionHead({ peerAs, localAs, peerAddress, localAddress, interfaceIndex = 0 }: MrtSession): OctetWriter {
  return new OctetWriter()
    .u32(peerAs)
    .u32(localAs)
    .u16(interfaceIndex)
    .u16(afiOf(peerAddress.family))
    .bytes(addressToBytes(peerAddress))
    .bytes(addressToBytes(localAddress));
}

/** What a reader has to know to understand the UPDATE in a message record. */
export interface MrtMessageFormat {
  /** AS numbers of four octets on the session. */
  readonly as4: boolean;
  /** Path identifiers in its NLRI (RFC 8050). */
  readonly addPath: boolean;
}

/**
 * One BGP message with its header, as it came (RFC 6396 sections 4.4.2 and 4.4.3). For one that we sent, the caller swaps the two ends: the
 * format has no other way to say so.
 */
export function messageRecord(
  seconds: number,
  session: MrtSession,
  message: Uint8Array,
  { as4, addPath }: MrtMessageFormat,
): Uint8Array {
  const subtype = as4
    ? addPath
      ? Bgp4mpSubtype.messageAs4AddPath
      : Bgp4mpSubtype.messageAs4
    : addPath
      ? Bgp4mpSubtype.messageAddPath
      : Bgp4mpSubtype.message;
  const microseconds = Math.floor((seconds - Math.floor(seconds)) * 1e6);
  const body = new OctetWriter(64 + message.length)
    .u32(microseconds)
    .bytes((as4 ? sessionHead(session) : oldSessionHead(session)).finish())
    .bytes(message);
  return record(MrtType.bgp4mpEt, subtype, seconds, body);
}

/** Section 4.4.2: the same with two-octet AS numbers. */
function oldSessionHead({ peerAs, localAs, peerAddress, localAddress, interfaceIndex = 0 }: MrtSession): OctetWriter {
  return new OctetWriter()
    .u16(Math.min(peerAs, 0xffff))
    .u16(Math.min(localAs, 0xffff))
    .u16(interfaceIndex)
    .u16(afiOf(peerAddress.family))
    .bytes(addressToBytes(peerAddress))
    .bytes(addressToBytes(localAddress));
}

export type MrtState = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

/** Section 4.4.1. */
const STATE_CODES: Readonly<Record<MrtState, number>> = {
  Idle: 1,
  Connect: 2,
  Active: 3,
  OpenSent: 4,
  OpenConfirm: 5,
  Established: 6,
};

export function stateChangeRecord(seconds: number, session: MrtSession, from: MrtState, to: MrtState): Uint8Array {
  const microseconds = Math.floor((seconds - Math.floor(seconds)) * 1e6);
  const body = new OctetWriter()
    .u32(microseconds)
    .bytes(sessionHead(session).finish())
    .u16(STATE_CODES[from])
    .u16(STATE_CODES[to]);
  return record(MrtType.bgp4mpEt, Bgp4mpSubtype.stateChangeAs4, seconds, body);
}

export interface MrtPeer {
  /** BGP Identifier, unsigned 32 bits. */
  readonly identifier: number;
  readonly address: IpAddress;
  readonly as: number;
}

/** Section 4.3.1: the first record of a table dump; RIB records name peers by their index in `peers`. */
export function peerIndexRecord(
  seconds: number,
  collectorId: number,
  viewName: string,
  peers: readonly MrtPeer[],
): Uint8Array {
  const name = Buffer.from(viewName, 'utf8').subarray(0, 0xffff);
  const body = new OctetWriter(64 + 25 * peers.length).u32(collectorId).u16(name.length).bytes(name).u16(peers.length);
  // Peer type: bit 0 an IPv6 address, bit 1 an AS number of four octets.
  for (const { identifier, address, as } of peers)
    body
      .u8(address.family === 6 ? 3 : 2)
      .u32(identifier)
      .bytes(addressToBytes(address))
      .u32(as);
  return record(MrtType.tableDumpV2, TableDumpSubtype.peerIndexTable, seconds, body);
}

export interface MrtPath {
  readonly peerIndex: number;
  /** Seconds since 1970. */
  readonly originatedAt: number;
  /** Normalised attribute block (codec/update.ts). */
  readonly attributes: Uint8Array;
  readonly nextHop: IpAddress | undefined;
  /** Second half of a pair (RFC 2545 section 3). */
  readonly linkLocalNextHop?: IpAddress;
  readonly pathId?: number;
}

/** Section 4.3.2 and RFC 8050 section 4: one prefix and all its paths. With path identifiers when any path has one. */
export function ribRecord(seconds: number, sequence: number, prefix: IpPrefix, paths: readonly MrtPath[]): Uint8Array {
  const withPathId = paths.some(({ pathId }) => pathId !== undefined);
  const plain = prefix.family === 4 ? TableDumpSubtype.ribIpv4Unicast : TableDumpSubtype.ribIpv6Unicast;
  const addPath = prefix.family === 4 ? TableDumpSubtype.ribIpv4UnicastAddPath : TableDumpSubtype.ribIpv6UnicastAddPath;
  const nlri = new Uint8Array(17);
  const body = new OctetWriter(256)
    .u32(sequence >>> 0)
    .bytes(nlri.subarray(0, writePrefix(nlri, 0, prefix, undefined)))
    .u16(paths.length);
  for (const path of paths) {
    body.u16(path.peerIndex).u32(Math.floor(path.originatedAt));
    if (withPathId) body.u32(path.pathId ?? 0);
    const attributes = withNextHop(path);
    body.u16(attributes.length).bytes(attributes);
  }
  return record(MrtType.tableDumpV2, withPathId ? addPath : plain, seconds, body);
}

/**
 * The block with its next hop back in place: NEXT_HOP, or for IPv6 an MP_REACH_NLRI that holds nothing but the length and the address
 * (section 4.3.4).
 */
function withNextHop({ attributes, nextHop, linkLocalNextHop }: MrtPath): Uint8Array {
  if (nextHop === undefined) return attributes;
  const second = linkLocalNextHop === undefined ? [] : addressToBytes(linkLocalNextHop);
  const octets = [...addressToBytes(nextHop), ...second];
  const added =
    nextHop.family === 4
      ? [AttributeFlag.transitive, AttributeType.nextHop, 4, ...octets]
      : [AttributeFlag.optional, AttributeType.mpReach, octets.length + 1, octets.length, ...octets];
  const code = nextHop.family === 4 ? AttributeType.nextHop : AttributeType.mpReach;
  let cut = 0;
  while (cut < attributes.length && (attributes[cut + 1] ?? 0) < code) {
    const isLong = ((attributes[cut] ?? 0) & AttributeFlag.extendedLength) !== 0;
    cut += isLong ? 4 + read16(attributes, cut + 2) : 3 + (attributes[cut + 2] ?? 0);
  }
  return Uint8Array.of(...attributes.subarray(0, cut), ...added, ...attributes.subarray(cut));
}
