/**
 * ROUTE-REFRESH: `| AFI (2) | Message Subtype (1) | SAFI (1) |` (RFC 2918 section 3, RFC 7313 section 3.2).
 */
import { ErrorCode, HEADER_LENGTH, HeaderError, MessageType, RefreshError, RefreshSubtype } from '../iana.js';
import { decoded, failed, resetError, type Decoded } from './bgp-error.js';
import type { RouteRefreshMessage } from './control-message.js';
import { read16, write16 } from './octets.js';

const SUBTYPE_NAMES: readonly RouteRefreshMessage['subtype'][] = ['request', 'begin', 'end'];

export function decodeRouteRefresh(bytes: Uint8Array, start: number, end: number): Decoded<RouteRefreshMessage> {
  const subtype = bytes[start + 2] ?? 0;
  if (end - start !== 4) return failed(lengthError(bytes, start, end, subtype));
  return decoded({
    type: 'route-refresh',
    afi: read16(bytes, start),
    safi: bytes[start + 3] ?? 0,
    subtype: SUBTYPE_NAMES[subtype] ?? 'unknown',
  });
}

/** RFC 7313 section 5: for its own subtypes the whole message goes back as data; otherwise it is a header error. */
function lengthError(bytes: Uint8Array, start: number, end: number, subtype: number) {
  const reason = `Cannot decode ROUTE-REFRESH: its body has ${end - start} octets instead of 4`;
  const length = HEADER_LENGTH + end - start;
  if (subtype !== RefreshSubtype.begin && subtype !== RefreshSubtype.end)
    return resetError(
      ErrorCode.messageHeader,
      HeaderError.badLength,
      reason,
      Uint8Array.of(length >>> 8, length & 255),
    );
  const message = new Uint8Array(length).fill(255, 0, 16);
  write16(message, 16, length);
  message[18] = MessageType.routeRefresh;
  message.set(bytes.subarray(start, end), HEADER_LENGTH);
  return resetError(ErrorCode.routeRefresh, RefreshError.invalidLength, reason, message);
}

/** The body. Throws RangeError for subtype `unknown`, which cannot be sent. */
export function encodeRouteRefresh({ afi, safi, subtype }: RouteRefreshMessage): Uint8Array {
  const code = SUBTYPE_NAMES.indexOf(subtype);
  if (code < 0) throw new RangeError(`Cannot encode ROUTE-REFRESH of subtype "${subtype}"`);
  return Uint8Array.of(afi >>> 8, afi & 255, code, safi);
}
