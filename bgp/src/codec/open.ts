/**
 * The OPEN message (RFC 4271 section 4.2), its optional parameters in both encodings (RFC 5492, RFC 9072), and whether we
 * take what a peer opens with.
 *
 * ```
 * | Version (1) | My AS (2) | Hold Time (2) | BGP Identifier (4) | Opt Parm Len (1) | Optional Parameters |
 *
 * A parameter:  | Type (1) | Length (1) | Value |                     RFC 4271
 * or, after an Opt Parm Len and a first Type of 255 and a two-octet length of the whole:
 *               | Type (1) | Length (2) | Value |                     RFC 9072
 * ```
 */
import { formatIpv4 } from '../address.js';
import { AS_TRANS, CapabilityCode, ErrorCode, OpenError, OpenParameter } from '../iana.js';
import { decoded, failed, NO_BYTES, resetError, type BgpError, type Decoded } from './bgp-error.js';
import { capabilitiesOf, decodeCapability, encodeCapability, type Capability, type RoleName } from './capability.js';
import type { OpenMessage } from './control-message.js';
import { OctetWriter, read16, read32 } from './octets.js';

const FIXED_LENGTH = 10;

/** Decodes the body of an OPEN in `bytes[start, end)`, with all checks of RFC 4271 section 6.2 that need no configuration. */
export function decodeOpen(bytes: Uint8Array, start: number, end: number): Decoded<OpenMessage> {
  if (end - start < FIXED_LENGTH) return malformed(`its body has ${end - start} octets, less than ${FIXED_LENGTH}`);
  const version = bytes[start] ?? 0;
  if (version !== 4)
    return refuse(OpenError.unsupportedVersion, `its version is ${version} instead of 4`, Uint8Array.of(0, 4));
  const holdTime = read16(bytes, start + 3);
  const identifier = read32(bytes, start + 5);
  if (holdTime === 1 || holdTime === 2)
    return refuse(OpenError.unacceptableHoldTime, `its hold time is ${holdTime} s; expected 0 or at least 3`);
  if (identifier === 0) return refuse(OpenError.badIdentifier, 'its BGP identifier is 0.0.0.0');
  const parameters = decodeParameters(bytes, start + FIXED_LENGTH - 1, end);
  if (parameters.type === 'error') return parameters;
  const open: OpenMessage = {
    type: 'open',
    version: 4,
    as: read16(bytes, start + 1),
    holdTime,
    identifier,
    capabilities: parameters.value,
  };
  if (openAs(open) === 0) return refuse(OpenError.badPeerAs, 'its AS number is 0');
  return decoded(open);
}

/** `at` is the Opt Parm Len octet. */
function decodeParameters(bytes: Uint8Array, at: number, end: number): Decoded<Capability[]> {
  const shortLength = bytes[at] ?? 0;
  // RFC 9072 section 2: the first parameter's type decides; the classic length says 255 but is not to be trusted.
  const isExtended = shortLength !== 0 && bytes[at + 1] === OpenParameter.extendedLength;
  const from = isExtended ? at + 4 : at + 1;
  const length = isExtended ? read16(bytes, at + 2) : shortLength;
  if (from + length !== end)
    return malformed(`its optional parameters claim ${length} octets, ${end - from} are there`);
  const headLength = isExtended ? 3 : 2;
  const capabilities: Capability[] = [];
  for (let i = from; i < end; ) {
    const type = bytes[i] ?? 0;
    const value = i + headLength;
    const stop = value <= end ? value + (isExtended ? read16(bytes, i + 1) : (bytes[i + 1] ?? 0)) : end + 1;
    if (stop > end) return malformed('an optional parameter overruns it');
    if (type !== OpenParameter.capabilities)
      return refuse(OpenError.unsupportedParameter, `its optional parameter type ${type} is unknown`);
    if (!decodeCapabilities(bytes, value, stop, capabilities)) return malformed('a capability overruns its parameter');
    i = stop;
  }
  return decoded(capabilities);
}

/** RFC 5492 section 4: | Code (1) | Length (1) | Value |, any number of them in any number of parameters. */
function decodeCapabilities(bytes: Uint8Array, start: number, end: number, into: Capability[]): boolean {
  for (let at = start; at < end; ) {
    const stop = at + 2 <= end ? at + 2 + (bytes[at + 1] ?? 0) : end + 1;
    if (stop > end) return false;
    into.push(decodeCapability(bytes[at] ?? 0, bytes.subarray(at + 2, stop)));
    at = stop;
  }
  return true;
}

/** The body. All capabilities go into one parameter, with the lengths of RFC 9072 only when they need them. */
export function encodeOpen(open: OpenMessage): Uint8Array {
  const capabilities = new OctetWriter();
  for (const capability of open.capabilities) encodeCapability(capability, capabilities);
  const out = new OctetWriter().u8(open.version).u16(open.as).u16(open.holdTime).u32(open.identifier);
  const { length } = capabilities;
  if (length === 0) out.u8(0);
  else if (length + 2 <= 255)
    out
      .u8(length + 2)
      .u8(OpenParameter.capabilities)
      .u8(length);
  else
    out
      .u8(255)
      .u8(OpenParameter.extendedLength)
      .u16(length + 3)
      .u8(OpenParameter.capabilities)
      .u16(length);
  return out.bytes(capabilities.finish()).finish();
}

/** The sender's real AS number (RFC 6793 section 4.1). */
export function openAs(open: OpenMessage): number {
  return capabilitiesOf(open.capabilities, 'four-octet-as')[0]?.as ?? open.as;
}

/** What to put into the AS field of our own OPEN. */
export const openAsField = (as: number): number => (as > 0xffff ? AS_TRANS : as);

/** What the configuration of a peer demands of its OPEN. */
export interface OpenExpectation {
  readonly localAs: number;
  readonly localIdentifier: number;
  /** `external`: any but ours. */
  readonly remoteAs: number | 'external';
  /** Our role on this session (RFC 9234). */
  readonly role?: RoleName;
  /** Refuse a peer that announces no role (RFC 9234 section 4.2, strict mode). */
  readonly requireRole?: boolean;
}

/** RFC 9234 section 4.2: what the other side must be. */
const COUNTERPART: Readonly<Record<RoleName, RoleName>> = {
  provider: 'customer',
  customer: 'provider',
  peer: 'peer',
  'route-server': 'route-server-client',
  'route-server-client': 'route-server',
};

/** The error that refuses this OPEN, or undefined. RFC 4271 section 6.2, RFC 6286 section 2.2, RFC 9234 section 4.2. */
export function checkOpen(open: OpenMessage, expected: OpenExpectation): BgpError | undefined {
  const as = openAs(open);
  const { remoteAs, localAs } = expected;
  if (remoteAs === 'external' ? as === localAs : as !== remoteAs)
    return openError(
      OpenError.badPeerAs,
      `its AS is ${as}; expected ${remoteAs === 'external' ? 'any but our own' : remoteAs}`,
    );
  // RFC 6286: identifiers need to differ inside an AS only.
  if (as === expected.localAs && open.identifier === expected.localIdentifier)
    return openError(OpenError.badIdentifier, `its BGP identifier ${formatIpv4(open.identifier)} is our own`);
  return checkRole(open, expected);
}

function checkRole(open: OpenMessage, { role, requireRole }: OpenExpectation): BgpError | undefined {
  if (role === undefined) return undefined;
  const theirs = capabilitiesOf(open.capabilities, 'role').map((capability) => capability.role);
  const unreadable = open.capabilities.some(
    (capability) => capability.type === 'unknown' && capability.code === CapabilityCode.role,
  );
  if (theirs.length === 0 && !unreadable)
    return requireRole === true
      ? openError(OpenError.roleMismatch, `it announces no role; expected ${COUNTERPART[role]}`)
      : undefined;
  if (unreadable || theirs.some((name) => name !== COUNTERPART[role]))
    return openError(
      OpenError.roleMismatch,
      `its role is ${theirs.join(' and ') || 'undefined'}; expected ${COUNTERPART[role]} beside our ${role}`,
    );
  return undefined;
}

const openError = (subcode: number, what: string, data: Uint8Array = NO_BYTES): BgpError =>
  resetError(ErrorCode.open, subcode, `Cannot accept OPEN: ${what}`, data);
const refuse = (subcode: number, what: string, data?: Uint8Array): Decoded<never> =>
  failed(openError(subcode, what, data));
/** RFC 4271 section 6.2: a recognised but malformed part is subcode 0. */
const malformed = (what: string): Decoded<never> => refuse(OpenError.unspecific, what);
