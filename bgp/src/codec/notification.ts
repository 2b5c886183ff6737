/**
 * The NOTIFICATION message (RFC 4271 section 4.5) and what it means in words.
 *
 * `| Error Code (1) | Error Subcode (1) | Data |`
 */
import {
  CeaseCode,
  ErrorCode,
  FsmError,
  HeaderError,
  MAX_MESSAGE_LENGTH,
  HEADER_LENGTH,
  OpenError,
  RefreshError,
  UpdateError,
  nameOf,
} from '../iana.js';
import { attributeName } from './attribute-table.js';
import { decoded, failed, NO_BYTES, resetError, type BgpError, type Decoded } from './bgp-error.js';
import { formatFamily } from './capability.js';
import type { NotificationMessage } from './control-message.js';
import { escapeText, formatHex, read16, read32 } from './octets.js';

export function decodeNotification(bytes: Uint8Array, start: number, end: number): Decoded<NotificationMessage> {
  if (end - start < 2)
    return failed(
      resetError(
        ErrorCode.messageHeader,
        HeaderError.badLength,
        `Cannot decode NOTIFICATION: its body has ${end - start} octets, less than 2`,
      ),
    );
  return decoded({
    type: 'notification',
    code: bytes[start] ?? 0,
    subcode: bytes[start + 1] ?? 0,
    data: bytes.slice(start + 2, end),
  });
}

/** The body; data that does not fit a message is cut, because a NOTIFICATION has to go out. */
export function encodeNotification({ code, subcode, data }: NotificationMessage): Uint8Array {
  const out = new Uint8Array(Math.min(2 + data.length, MAX_MESSAGE_LENGTH - HEADER_LENGTH));
  out[0] = code;
  out[1] = subcode;
  out.set(data.subarray(0, out.length - 2), 2);
  return out;
}

/** The NOTIFICATION that answers an error. */
export const notificationOf = ({ code, subcode, data }: BgpError): NotificationMessage => ({
  type: 'notification',
  code,
  subcode,
  data,
});

const MAX_SHUTDOWN_OCTETS = 255;

/** RFC 9003 section 2: a counted string of at most 255 octets of UTF-8; a longer text is cut between characters. */
export function encodeShutdownText(text: string): Uint8Array {
  let octets = Buffer.from(text, 'utf8');
  if (octets.length > MAX_SHUTDOWN_OCTETS) {
    let end = MAX_SHUTDOWN_OCTETS;
    while (end > 0 && ((octets[end] ?? 0) & 0xc0) === 0x80) end--;
    octets = octets.subarray(0, end);
  }
  return Uint8Array.of(octets.length, ...octets);
}

/** The text of a Cease/2 or Cease/4; undefined when there is none or its length is a lie. Control characters are escaped. */
export function decodeShutdownText(data: Uint8Array): string | undefined {
  const length = data[0] ?? 0;
  if (length === 0 || data.length < 1 + length) return undefined;
  return escapeText(Buffer.from(data.subarray(1, 1 + length)).toString('utf8'));
}

interface Reason {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

/**
 * What to decide by: the reason inside a Hard Reset (RFC 8538 section 3.1), which itself only says that no routes are to be kept. All
 * else is its own reason, and so is a wrapped wrapper: a peer could nest two thousand of them.
 */
export function innerReason(notification: Reason): Reason {
  const { code, subcode, data } = notification;
  const [inner, innerSubcode] = data;
  if (code !== ErrorCode.cease || subcode !== CeaseCode.hardReset || inner === undefined || innerSubcode === undefined)
    return notification;
  if (inner === ErrorCode.cease && innerSubcode === CeaseCode.hardReset) return notification;
  return { code: inner, subcode: innerSubcode, data: data.subarray(2) };
}

/** Data of a Hard Reset (RFC 8538 section 3.1): the code, subcode and data that it wraps. */
export function encodeHardReset(inner: NotificationMessage): NotificationMessage {
  return {
    type: 'notification',
    code: ErrorCode.cease,
    subcode: CeaseCode.hardReset,
    data: Uint8Array.of(inner.code, inner.subcode, ...inner.data),
  };
}

const CODE_WORDS: Readonly<Record<number, string>> = {
  [ErrorCode.messageHeader]: 'Message Header Error',
  [ErrorCode.open]: 'OPEN Message Error',
  [ErrorCode.update]: 'UPDATE Message Error',
  [ErrorCode.holdTimerExpired]: 'Hold Timer Expired',
  [ErrorCode.fsm]: 'Finite State Machine Error',
  [ErrorCode.cease]: 'Cease',
  [ErrorCode.routeRefresh]: 'ROUTE-REFRESH Message Error',
  [ErrorCode.sendHoldTimerExpired]: 'Send Hold Timer Expired',
};

const SUBCODES: Readonly<Record<number, Readonly<Record<string, number>>>> = {
  [ErrorCode.messageHeader]: HeaderError,
  [ErrorCode.open]: OpenError,
  [ErrorCode.update]: UpdateError,
  [ErrorCode.fsm]: FsmError,
  [ErrorCode.cease]: CeaseCode,
  [ErrorCode.routeRefresh]: RefreshError,
};

/** The words of the RFC where they are not the key of the table spelled out. */
const SUBCODE_WORDS: Readonly<Record<string, string>> = {
  notSynchronized: 'Connection Not Synchronized',
  badLength: 'Bad Message Length',
  badType: 'Bad Message Type',
  unsupportedVersion: 'Unsupported Version Number',
  badPeerAs: 'Bad Peer AS',
  badIdentifier: 'Bad BGP Identifier',
  unsupportedParameter: 'Unsupported Optional Parameter',
  unrecognizedWellKnown: 'Unrecognized Well-known Attribute',
  missingWellKnown: 'Missing Well-known Attribute',
  attributeFlags: 'Attribute Flags Error',
  attributeLength: 'Attribute Length Error',
  invalidOrigin: 'Invalid ORIGIN Attribute',
  invalidNextHop: 'Invalid NEXT_HOP Attribute',
  optionalAttribute: 'Optional Attribute Error',
  malformedAsPath: 'Malformed AS_PATH',
  openSent: 'Unexpected Message in OpenSent State',
  openConfirm: 'Unexpected Message in OpenConfirm State',
  established: 'Unexpected Message in Established State',
  maximumPrefixes: 'Maximum Number of Prefixes Reached',
  peerDeconfigured: 'Peer De-configured',
  connectionCollision: 'Connection Collision Resolution',
  outOfResources: 'Out of Resources',
  bfdDown: 'BFD Down',
};

/**
 * "Cease / Administrative Shutdown (6/2): rack 7 moves to hall B"; a Hard Reset by the reason that it wraps. Never throws, whatever the
 * numbers and data are.
 */
export function describeNotification(code: number, subcode: number, data: Uint8Array = NO_BYTES): string {
  const reason = innerReason({ code, subcode, data });
  const name = nameOf(SUBCODES[reason.code] ?? {}, reason.subcode);
  // Subcode 0 is "unspecific" in every table: it says nothing, so neither do we.
  const sub =
    reason.subcode === 0
      ? ''
      : ` / ${name === undefined ? `subcode ${reason.subcode}` : (SUBCODE_WORDS[name] ?? titled(name))}`;
  const detail = describeDetail(reason.code, reason.subcode, reason.data);
  const wrapper = reason.code === code && reason.subcode === subcode ? '' : `, as a Hard Reset (${code}/${subcode})`;
  const words = CODE_WORDS[reason.code] ?? `Error code ${reason.code}`;
  return `${words}${sub} (${reason.code}/${reason.subcode})${wrapper}${detail === '' ? '' : `: ${detail}`}`;
}

function describeDetail(code: number, subcode: number, data: Uint8Array): string {
  if (data.length === 0) return '';
  if (code === ErrorCode.cease) return describeCease(subcode, data);
  if (code === ErrorCode.messageHeader && subcode === HeaderError.badLength && data.length === 2)
    return `length ${read16(data, 0)}`;
  if (code === ErrorCode.messageHeader && subcode === HeaderError.badType && data.length === 1)
    return `type ${data[0] ?? 0}`;
  if (code === ErrorCode.open && subcode === OpenError.unsupportedVersion && data.length === 2)
    return `version ${read16(data, 0)} is supported`;
  if (code === ErrorCode.update && subcode === UpdateError.missingWellKnown && data.length === 1)
    return attributeName(data[0] ?? 0);
  if (code === ErrorCode.update && ATTRIBUTE_DATA.has(subcode) && data.length >= 3)
    return `${attributeName(data[1] ?? 0)}, ${formatHex(data, 32)}`;
  return `data ${formatHex(data, 32)}`;
}

/** UPDATE errors whose data is the erroneous attribute. */
const ATTRIBUTE_DATA: ReadonlySet<number> = new Set([
  UpdateError.unrecognizedWellKnown,
  UpdateError.attributeFlags,
  UpdateError.attributeLength,
  UpdateError.invalidOrigin,
  UpdateError.invalidNextHop,
  UpdateError.optionalAttribute,
]);

function describeCease(subcode: number, data: Uint8Array): string {
  if (subcode === CeaseCode.administrativeShutdown || subcode === CeaseCode.administrativeReset)
    return decodeShutdownText(data) ?? `data ${formatHex(data, 32)}`;
  // RFC 4486 section 4: AFI, SAFI and the bound.
  if (subcode === CeaseCode.maximumPrefixes && data.length === 7)
    return `${formatFamily({ afi: read16(data, 0), safi: data[2] ?? 0 })}, at most ${read32(data, 3)}`;
  return `data ${formatHex(data, 32)}`;
}

/** "administrativeShutdown" -> "Administrative Shutdown". */
function titled(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter}`).replace(/^./, (letter) => letter.toUpperCase());
}
