/**
 * BMP messages (RFC 7854; Adj-RIB-Out RFC 8671; Loc-RIB RFC 9069) as bytes. BMP goes one way, from the router to the station.
 *
 * ```
 * | Version 3 (1) | Length, whole (4) | Type (1) |        RFC 7854, 4.1
 * ```
 * then for all but Initiation and Termination the per-peer header of section 4.2, 42 octets:
 * ```
 * | Peer Type (1) | Peer Flags (1) | Peer Distinguisher (8) | Peer Address (16) |
 * | Peer AS (4) | BGP ID (4) | seconds (4) | microseconds (4) |
 * ```
 */
import { addressToBytes, type Family, type IpAddress } from '../address.js';
import { OctetWriter } from '../codec/octets.js';
import {
  Afi,
  BmpDownReason,
  BmpInformation,
  BmpMessageType,
  BmpPeerFlag,
  BmpPeerType,
  BmpStatistic,
  BmpTermination,
  Safi,
} from '../iana.js';

const VERSION = 3;
const HEADER_LENGTH = 6;

function message(type: number, body: OctetWriter): Uint8Array {
  return new OctetWriter(HEADER_LENGTH + body.length)
    .u8(VERSION)
    .u32(HEADER_LENGTH + body.length)
    .u8(type)
    .bytes(body.finish())
    .finish();
}

/** Which table of which peer a message is about. */
export type BmpTable =
  | { readonly type: 'adj-rib-in'; readonly postPolicy: boolean; readonly peer: BmpPeer }
  | { readonly type: 'adj-rib-out'; readonly postPolicy: boolean; readonly peer: BmpPeer }
  | { readonly type: 'loc-rib'; readonly localAs: number; readonly routerId: number };

export interface BmpPeer {
  readonly address: IpAddress;
  readonly as: number;
  /** BGP Identifier, unsigned 32 bits. */
  readonly identifier: number;
  /** The session has two-octet AS numbers, and so have the UPDATEs. */
  readonly isOld?: boolean;
}

/** Section 4.2; `seconds` since 1970 with fractions. */
function peerHeader(table: BmpTable, seconds: number): OctetWriter {
  const out = new OctetWriter(128);
  const micros = Math.floor((seconds - Math.floor(seconds)) * 1e6);
  if (table.type === 'loc-rib')
    // RFC 9069 section 4.1: no address; our own AS and identifier.
    return out
      .u8(BmpPeerType.locRib)
      .u8(0)
      .u64(0n)
      .bytes(new Uint8Array(16))
      .u32(table.localAs)
      .u32(table.routerId)
      .u32(Math.floor(seconds))
      .u32(micros);
  const { address, as, identifier, isOld } = table.peer;
  const flags =
    (address.family === 6 ? BmpPeerFlag.ipv6 : 0) |
    (table.postPolicy ? BmpPeerFlag.postPolicy : 0) |
    (isOld === true ? BmpPeerFlag.twoOctetAs : 0) |
    (table.type === 'adj-rib-out' ? BmpPeerFlag.adjRibOut : 0);
  return out
    .u8(BmpPeerType.global)
    .u8(flags)
    .u64(0n)
    .bytes(sixteen(address))
    .u32(as)
    .u32(identifier)
    .u32(Math.floor(seconds))
    .u32(micros);
}

/** An IPv4 address stands in the last four of sixteen octets. */
function sixteen(address: IpAddress): Uint8Array {
  const octets = new Uint8Array(16);
  const bytes = addressToBytes(address);
  octets.set(bytes, 16 - bytes.length);
  return octets;
}

/** Information TLV of section 4.4: type, length, UTF-8. */
function text(out: OctetWriter, type: number, value: string): OctetWriter {
  const octets = Buffer.from(value, 'utf8').subarray(0, 0xffff);
  return out.u16(type).u16(octets.length).bytes(octets);
}

/** Section 4.3: the first message. */
export function initiation(sysName: string, sysDescr: string): Uint8Array {
  return message(
    BmpMessageType.initiation,
    text(text(new OctetWriter(), BmpInformation.sysDescr, sysDescr), BmpInformation.sysName, sysName),
  );
}

/** Section 4.5: the last one. Reason 0 is an administrative close. */
export function termination(reason: number, words: string): Uint8Array {
  return message(
    BmpMessageType.termination,
    text(new OctetWriter(), BmpTermination.string, words).u16(BmpTermination.reason).u16(2).u16(reason),
  );
}

export interface BmpPeerUp {
  readonly localAddress: IpAddress;
  readonly localPort: number;
  readonly remotePort: number;
  /** Whole OPEN messages, with their headers. */
  readonly sentOpen: Uint8Array;
  readonly receivedOpen: Uint8Array;
}

/** Section 4.10. */
export function peerUp(table: BmpTable, seconds: number, session: BmpPeerUp): Uint8Array {
  const body = peerHeader(table, seconds)
    .bytes(sixteen(session.localAddress))
    .u16(session.localPort)
    .u16(session.remotePort)
    .bytes(session.sentOpen)
    .bytes(session.receivedOpen);
  // RFC 9069 section 4.4: a Loc-RIB says which it is.
  return message(BmpMessageType.peerUp, table.type === 'loc-rib' ? text(body, BmpInformation.vrfName, 'global') : body);
}

export type BmpPeerDown =
  /** A NOTIFICATION ended the session; the whole message, with its header. */
  | { readonly type: 'notification'; readonly sent: boolean; readonly message: Uint8Array }
  /** We ended it in silence; the RFC 4271 event number, 0 for none. */
  | { readonly type: 'local'; readonly fsmEvent: number }
  /** The connection just ended. */
  | { readonly type: 'remote' }
  /** It is no longer monitored. */
  | { readonly type: 'deconfigured' };

/** Section 4.9; for a Loc-RIB RFC 9069 section 5.3. */
export function peerDown(table: BmpTable, seconds: number, reason: BmpPeerDown): Uint8Array {
  const body = peerHeader(table, seconds);
  if (table.type === 'loc-rib')
    return message(
      BmpMessageType.peerDown,
      text(body.u8(BmpDownReason.locRibClosed), BmpInformation.vrfName, 'global'),
    );
  switch (reason.type) {
    case 'notification':
      body.u8(reason.sent ? BmpDownReason.localNotification : BmpDownReason.remoteNotification).bytes(reason.message);
      break;
    case 'local':
      body.u8(BmpDownReason.localNoNotification).u16(reason.fsmEvent);
      break;
    case 'remote':
      body.u8(BmpDownReason.remoteNoData);
      break;
    case 'deconfigured':
      body.u8(BmpDownReason.deconfigured);
      break;
  }
  return message(BmpMessageType.peerDown, body);
}

/** Section 4.6: one whole UPDATE, with its header. */
export function routeMonitoring(table: BmpTable, seconds: number, update: Uint8Array): Uint8Array {
  return message(BmpMessageType.routeMonitoring, peerHeader(table, seconds).bytes(update));
}

/** A counter of 32 bits, a gauge of 64, or a gauge per family (section 4.8). */
export type BmpStatisticValue =
  | {
      readonly type: keyof Pick<typeof BmpStatistic, 'rejectedPrefixes' | 'duplicateWithdraws' | 'treatAsWithdraw'>;
      readonly count: number;
    }
  | {
      readonly type: keyof Pick<typeof BmpStatistic, 'adjRibIn' | 'locRib' | 'adjRibOutPostPolicy'>;
      readonly count: number;
    }
  | {
      readonly type: keyof Pick<
        typeof BmpStatistic,
        'adjRibInByFamily' | 'locRibByFamily' | 'adjRibOutPostPolicyByFamily'
      >;
      readonly family: Family;
      readonly count: number;
    };

/** Section 4.8. */
export function statisticsReport(table: BmpTable, seconds: number, values: readonly BmpStatisticValue[]): Uint8Array {
  const body = peerHeader(table, seconds).u32(values.length);
  for (const value of values) {
    body.u16(BmpStatistic[value.type]);
    if ('family' in value)
      body
        .u16(11)
        .u16(value.family === 4 ? Afi.ipv4 : Afi.ipv6)
        .u8(Safi.unicast)
        .u64(BigInt(value.count));
    else if (value.type === 'adjRibIn' || value.type === 'locRib' || value.type === 'adjRibOutPostPolicy')
      body.u16(8).u64(BigInt(value.count));
    else body.u16(4).u32(value.count);
  }
  return message(BmpMessageType.statisticsReport, body);
}
