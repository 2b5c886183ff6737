/**
 * The BFD Control packet (RFC 5880 section 4.1).
 *
 * ```
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                       My Discriminator                        |
 * |                      Your Discriminator                       |
 * |                    Desired Min TX Interval                    |
 * |                   Required Min RX Interval                    |
 * |                 Required Min Echo RX Interval                 |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ```
 * Intervals are microseconds. Authentication is not supported: packets that have it are refused (section 6.8.6).
 */
import { read32, write32 } from '../codec/octets.js';

export type BfdState = 'admin-down' | 'down' | 'init' | 'up';

/** In the order of their numbers in the packet. */
const STATES: readonly BfdState[] = ['admin-down', 'down', 'init', 'up'];

/** Diagnostic codes (RFC 5880 section 4.1, Diag). */
export const BfdDiagnostic = {
  none: 0,
  detectionTimeExpired: 1,
  echoFailed: 2,
  neighborSignaledDown: 3,
  forwardingPlaneReset: 4,
  pathDown: 5,
  concatenatedPathDown: 6,
  administrativelyDown: 7,
  reverseConcatenatedPathDown: 8,
} as const;

const DIAGNOSTIC_WORDS: readonly string[] = [
  'no diagnostic',
  'control detection time expired',
  'echo function failed',
  'neighbor signaled session down',
  'forwarding plane reset',
  'path down',
  'concatenated path down',
  'administratively down',
  'reverse concatenated path down',
];

export const describeDiagnostic = (code: number): string => DIAGNOSTIC_WORDS[code] ?? `diagnostic ${code}`;

export interface BfdPacket {
  readonly diagnostic: number;
  readonly state: BfdState;
  readonly poll: boolean;
  readonly final: boolean;
  /** C bit: the sender's BFD does not share fate with its control plane. */
  readonly controlPlaneIndependent: boolean;
  /** D bit. */
  readonly demand: boolean;
  readonly detectMultiplier: number;
  /** Not 0. */
  readonly myDiscriminator: number;
  readonly yourDiscriminator: number;
  /** Microseconds. */
  readonly desiredMinTx: number;
  readonly requiredMinRx: number;
  readonly requiredMinEchoRx: number;
}

export type DecodedBfd =
  | { readonly type: 'ok'; readonly packet: BfdPacket }
  /** To be dropped without a word to the sender (section 6.8.6). */
  | { readonly type: 'discard'; readonly reason: string };

export const BFD_PACKET_LENGTH = 24;

const discard = (reason: string): DecodedBfd => ({ type: 'discard', reason });

/** The checks of section 6.8.6 that need no session, in its order. Never throws. */
export function decodeBfdPacket(bytes: Uint8Array): DecodedBfd {
  if (bytes.length < BFD_PACKET_LENGTH) return discard(`it has ${bytes.length} octets, less than ${BFD_PACKET_LENGTH}`);
  const [first = 0, second = 0, detectMultiplier = 0, length = 0] = bytes;
  const hasAuthentication = (second & 0x04) !== 0;
  if (first >> 5 !== 1) return discard(`its version is ${first >> 5} instead of 1`);
  if (length < (hasAuthentication ? BFD_PACKET_LENGTH + 2 : BFD_PACKET_LENGTH))
    return discard(`its length field is ${length}`);
  if (length > bytes.length) return discard(`its length field is ${length}, and ${bytes.length} octets came`);
  if (detectMultiplier === 0) return discard('its detect multiplier is 0');
  if ((second & 0x01) !== 0) return discard('its multipoint bit is set');
  if (hasAuthentication) return discard('it is authenticated, and no authentication is in use');
  const state = STATES[second >> 6] ?? 'down';
  const myDiscriminator = read32(bytes, 4);
  const yourDiscriminator = read32(bytes, 8);
  if (myDiscriminator === 0) return discard('its own discriminator is 0');
  if (yourDiscriminator === 0 && state !== 'down' && state !== 'admin-down')
    return discard(`it claims state ${state} without naming our session`);
  return {
    type: 'ok',
    packet: {
      diagnostic: first & 0x1f,
      state,
      poll: (second & 0x20) !== 0,
      final: (second & 0x10) !== 0,
      controlPlaneIndependent: (second & 0x08) !== 0,
      demand: (second & 0x02) !== 0,
      detectMultiplier,
      myDiscriminator,
      yourDiscriminator,
      desiredMinTx: read32(bytes, 12),
      requiredMinRx: read32(bytes, 16),
      requiredMinEchoRx: read32(bytes, 20),
    },
  };
}

export function encodeBfdPacket(packet: BfdPacket): Uint8Array {
  const bytes = new Uint8Array(BFD_PACKET_LENGTH);
  bytes[0] = (1 << 5) | packet.diagnostic;
  bytes[1] =
    (STATES.indexOf(packet.state) << 6) |
    (packet.poll ? 0x20 : 0) |
    (packet.final ? 0x10 : 0) |
    (packet.controlPlaneIndependent ? 0x08 : 0) |
    (packet.demand ? 0x02 : 0);
  bytes[2] = packet.detectMultiplier;
  bytes[3] = BFD_PACKET_LENGTH;
  write32(bytes, 4, packet.myDiscriminator);
  write32(bytes, 8, packet.yourDiscriminator);
  write32(bytes, 12, packet.desiredMinTx);
  write32(bytes, 16, packet.requiredMinRx);
  write32(bytes, 20, packet.requiredMinEchoRx);
  return bytes;
}
