/**
 * What is wrong with an attribute, as an error: how bad it is (RFC 7606), what a NOTIFICATION of it would carry (RFC 4271 section 6.3),
 * and a sentence. Who finds it is in normalise.ts and update.ts.
 */
import { AttributeType, ErrorCode, UpdateError } from '../iana.js';
import { attributeName, type AttributeRow, type Flaw } from './attribute-table.js';
import type { BgpError, Severity } from './bgp-error.js';

export const sizeError = (length: number, bound: number): BgpError => ({
  severity: 'withdraw',
  code: ErrorCode.update,
  subcode: UpdateError.malformedAttributeList,
  data: new Uint8Array(0),
  reason: `Cannot accept ${length} octets of attributes: the bound is ${bound}`,
});

/** RFC 7606 section 4. An NLRI carrier that overruns takes its NLRI with it, and then nothing milder is left (section 3 j). */
export function framingError(bytes: Uint8Array, at: number, value: number, end: number): BgpError {
  const code = bytes[at + 1] ?? 0;
  const isCarrier = at + 1 < end && (code === AttributeType.mpReach || code === AttributeType.mpUnreach);
  const isUnderrun = value > end;
  return attributeError(
    isCarrier ? 'reset' : 'withdraw',
    isUnderrun ? UpdateError.malformedAttributeList : UpdateError.attributeLength,
    bytes,
    at,
    end,
    isUnderrun ? 'its header is cut off' : 'it overruns the attributes',
  );
}

/** RFC 7606 section 3 g: the first one counts, unless it carries NLRI. */
export function duplicateError(bytes: Uint8Array, at: number, stop: number): BgpError {
  const code = bytes[at + 1] ?? 0;
  const severity = code === AttributeType.mpReach || code === AttributeType.mpUnreach ? 'reset' : 'discard';
  return attributeError(severity, UpdateError.malformedAttributeList, bytes, at, stop, 'it is there twice');
}

export const flagsError = (severity: Severity, bytes: Uint8Array, at: number, stop: number): BgpError =>
  attributeError(
    severity,
    UpdateError.attributeFlags,
    bytes,
    at,
    stop,
    `its flags are 0x${(bytes[at] ?? 0).toString(16).padStart(2, '0')}`,
  );

export const flawError = (row: AttributeRow, flaw: Flaw, bytes: Uint8Array, at: number, stop: number): BgpError =>
  attributeError(row.approach, flaw.subcode, bytes, at, stop, flaw.what);

/** A NOTIFICATION has to fit 4,096 octets, and the data is the erroneous attribute (RFC 4271 section 6.3). */
const MAX_DATA = 4096 - 21;

export function attributeError(
  severity: Severity,
  subcode: number,
  bytes: Uint8Array,
  at: number,
  stop: number,
  what: string,
): BgpError {
  const verb = severity === 'discard' ? 'Discard' : 'Cannot accept';
  return {
    severity,
    code: ErrorCode.update,
    subcode,
    data:
      subcode === UpdateError.malformedAsPath || subcode === UpdateError.malformedAttributeList
        ? new Uint8Array(0)
        : bytes.slice(at, Math.min(stop, at + MAX_DATA)),
    reason: `${verb} ${attributeName(bytes[at + 1] ?? 0)}: ${what}`,
  };
}
