/**
 * Capabilities of the OPEN message (RFC 5492): what each means as data, and one table row each for their bytes.
 *
 * A capability of known code whose value makes no sense is kept as `unknown` bytes rather than ending the session: RFC 5492
 * section 5 lets a speaker ignore what it does not support, and a session that comes up without a feature beats none.
 */
import { Afi, CapabilityCode, OTHER_CAPABILITIES, Safi, nameOf } from '../iana.js';
import { escapeText, formatHex, OctetWriter, read16, read32 } from './octets.js';

export interface AfiSafi {
  readonly afi: number;
  readonly safi: number;
}

export type RoleName = 'provider' | 'route-server' | 'route-server-client' | 'customer' | 'peer';

export type Capability =
  /** RFC 4760 section 8. */
  | ({ readonly type: 'multiprotocol' } & AfiSafi)
  /** RFC 2918. */
  | { readonly type: 'route-refresh' }
  /** RFC 7313. */
  | { readonly type: 'enhanced-route-refresh' }
  /** RFC 8654. */
  | { readonly type: 'extended-message' }
  /** RFC 6793. */
  | { readonly type: 'four-octet-as'; readonly as: number }
  /** RFC 4724; `notification` is the N bit of RFC 8538. */
  | {
      readonly type: 'graceful-restart';
      /** R bit: the sender has restarted and waits for no End-of-RIB. */
      readonly restarting: boolean;
      readonly notification: boolean;
      /** Seconds, 0..4095. */
      readonly restartTime: number;
      readonly families: readonly (AfiSafi & { readonly forwardingPreserved: boolean })[];
    }
  /** RFC 9494; stale time in seconds, 24 bits. */
  | {
      readonly type: 'long-lived-graceful-restart';
      readonly families: readonly (AfiSafi & { readonly forwardingPreserved: boolean; readonly staleTime: number })[];
    }
  /** RFC 7911: what the sender of the capability can do. */
  | {
      readonly type: 'add-path';
      readonly families: readonly (AfiSafi & { readonly receive: boolean; readonly send: boolean })[];
    }
  /** RFC 8950: NLRI family and the AFI its next hop may have instead. */
  | { readonly type: 'extended-next-hop'; readonly families: readonly (AfiSafi & { readonly nextHopAfi: number })[] }
  /** RFC 9234. */
  | { readonly type: 'role'; readonly role: RoleName }
  /** draft-walton-bgp-hostname-capability. */
  | { readonly type: 'fqdn'; readonly host: string; readonly domain: string }
  /** draft-abraitis-bgp-version-capability. */
  | { readonly type: 'software-version'; readonly version: string }
  | { readonly type: 'unknown'; readonly code: number; readonly value: Uint8Array };

/** Name of a role as text, by its number in RFC 9234 section 4.1. */
const ROLE_NAMES: readonly RoleName[] = ['provider', 'route-server', 'route-server-client', 'customer', 'peer'];

interface CapabilityRow<T extends Capability['type']> {
  readonly type: T;
  readonly code: number;
  /** undefined: the value makes no sense. `value` is exactly the capability's. */
  readonly decode: (value: Uint8Array) => Extract<Capability, { readonly type: T }> | undefined;
  readonly encode: (capability: Extract<Capability, { readonly type: T }>, out: OctetWriter) => void;
}

/** A capability that says all by being there. */
function flag<T extends 'route-refresh' | 'enhanced-route-refresh' | 'extended-message'>(
  type: T,
  code: number,
): CapabilityRow<T> {
  return {
    type,
    code,
    decode: (value) => (value.length === 0 ? ({ type } as Extract<Capability, { readonly type: T }>) : undefined),
    encode: () => undefined,
  };
}

/** A list of fixed-size items, or undefined when the octets are none. An empty list is one. */
function items<T>(value: Uint8Array, size: number, read: (at: number) => T, start = 0): T[] | undefined {
  const length = value.length - start;
  if (length < 0 || length % size !== 0) return undefined;
  return Array.from({ length: length / size }, (_, i) => read(start + i * size));
}

const FORWARDING = 0x80;

const multiprotocol: CapabilityRow<'multiprotocol'> = {
  type: 'multiprotocol',
  code: CapabilityCode.multiprotocol,
  decode: (value) =>
    value.length === 4 ? { type: 'multiprotocol', afi: read16(value, 0), safi: value[3] ?? 0 } : undefined,
  encode: ({ afi, safi }, out) => out.u16(afi).u8(0).u8(safi),
};

const fourOctetAs: CapabilityRow<'four-octet-as'> = {
  type: 'four-octet-as',
  code: CapabilityCode.fourOctetAs,
  decode: (value) => (value.length === 4 ? { type: 'four-octet-as', as: read32(value, 0) } : undefined),
  encode: ({ as }, out) => out.u32(as),
};

/** RFC 4724 section 3: flags (4 bits), restart time (12 bits), then AFI, SAFI, flags each. */
const gracefulRestart: CapabilityRow<'graceful-restart'> = {
  type: 'graceful-restart',
  code: CapabilityCode.gracefulRestart,
  decode: (value) => {
    const families = items(
      value,
      4,
      (at) => ({
        afi: read16(value, at),
        safi: value[at + 2] ?? 0,
        forwardingPreserved: ((value[at + 3] ?? 0) & FORWARDING) !== 0,
      }),
      2,
    );
    if (families === undefined) return undefined;
    const head = read16(value, 0);
    return {
      type: 'graceful-restart',
      restarting: (head & 0x8000) !== 0,
      notification: (head & 0x4000) !== 0,
      restartTime: head & 0xfff,
      families,
    };
  },
  encode: ({ restarting, notification, restartTime, families }, out) => {
    out.u16((restarting ? 0x8000 : 0) | (notification ? 0x4000 : 0) | Math.min(restartTime, 0xfff));
    for (const { afi, safi, forwardingPreserved } of families)
      out
        .u16(afi)
        .u8(safi)
        .u8(forwardingPreserved ? FORWARDING : 0);
  },
};

/** RFC 9494 section 3: AFI, SAFI, flags, stale time (3 octets). */
const longLived: CapabilityRow<'long-lived-graceful-restart'> = {
  type: 'long-lived-graceful-restart',
  code: CapabilityCode.longLivedGracefulRestart,
  decode: (value) => {
    const families = items(value, 7, (at) => ({
      afi: read16(value, at),
      safi: value[at + 2] ?? 0,
      forwardingPreserved: ((value[at + 3] ?? 0) & FORWARDING) !== 0,
      staleTime: ((value[at + 4] ?? 0) << 16) | read16(value, at + 5),
    }));
    return families === undefined ? undefined : { type: 'long-lived-graceful-restart', families };
  },
  encode: ({ families }, out) => {
    for (const { afi, safi, forwardingPreserved, staleTime } of families)
      out
        .u16(afi)
        .u8(safi)
        .u8(forwardingPreserved ? FORWARDING : 0)
        .u8(staleTime >>> 16)
        .u16(staleTime & 0xffff);
  },
};

/** RFC 7911 section 4: AFI, SAFI, 1 receive, 2 send, 3 both; any other value is to be ignored. */
const addPath: CapabilityRow<'add-path'> = {
  type: 'add-path',
  code: CapabilityCode.addPath,
  decode: (value) => {
    const families = items(value, 4, (at) => ({
      afi: read16(value, at),
      safi: value[at + 2] ?? 0,
      mode: value[at + 3] ?? 0,
    }));
    if (families === undefined) return undefined;
    return {
      type: 'add-path',
      families: families
        .filter(({ mode }) => mode >= 1 && mode <= 3)
        .map(({ afi, safi, mode }) => ({ afi, safi, receive: (mode & 1) !== 0, send: (mode & 2) !== 0 })),
    };
  },
  encode: ({ families }, out) => {
    for (const { afi, safi, receive, send } of families)
      if (receive || send)
        out
          .u16(afi)
          .u8(safi)
          .u8((receive ? 1 : 0) | (send ? 2 : 0));
  },
};

/** RFC 8950 section 4: AFI (2), SAFI (2, unlike everywhere else), next hop AFI (2). */
const extendedNextHop: CapabilityRow<'extended-next-hop'> = {
  type: 'extended-next-hop',
  code: CapabilityCode.extendedNextHop,
  decode: (value) => {
    const families = items(value, 6, (at) => ({
      afi: read16(value, at),
      safi: read16(value, at + 2),
      nextHopAfi: read16(value, at + 4),
    }));
    return families === undefined ? undefined : { type: 'extended-next-hop', families };
  },
  encode: ({ families }, out) => {
    for (const { afi, safi, nextHopAfi } of families) out.u16(afi).u16(safi).u16(nextHopAfi);
  },
};

const role: CapabilityRow<'role'> = {
  type: 'role',
  code: CapabilityCode.role,
  decode: (value) => {
    const name = value.length === 1 ? ROLE_NAMES[value[0] ?? 255] : undefined;
    return name === undefined ? undefined : { type: 'role', role: name };
  },
  encode: (capability, out) => out.u8(ROLE_NAMES.indexOf(capability.role)),
};

/** Two counted strings of UTF-8. */
const fqdn: CapabilityRow<'fqdn'> = {
  type: 'fqdn',
  code: CapabilityCode.fqdn,
  decode: (value) => {
    const hostEnd = 1 + (value[0] ?? 255);
    const domainEnd = hostEnd + 1 + (value[hostEnd] ?? 255);
    if (domainEnd > value.length) return undefined;
    const read = (start: number, end: number): string => Buffer.from(value.subarray(start, end)).toString('utf8');
    return { type: 'fqdn', host: read(1, hostEnd), domain: read(hostEnd + 1, domainEnd) };
  },
  encode: ({ host, domain }, out) => {
    for (const text of [host, domain]) {
      const octets = Buffer.from(text, 'utf8').subarray(0, 64);
      out.u8(octets.length).bytes(octets);
    }
  },
};

/** A counted string of UTF-8. */
const softwareVersion: CapabilityRow<'software-version'> = {
  type: 'software-version',
  code: CapabilityCode.softwareVersion,
  decode: (value) => {
    const end = 1 + (value[0] ?? 255);
    if (end > value.length) return undefined;
    return { type: 'software-version', version: Buffer.from(value.subarray(1, end)).toString('utf8') };
  },
  encode: ({ version }, out) => {
    const octets = Buffer.from(version, 'utf8').subarray(0, 64);
    out.u8(octets.length).bytes(octets);
  },
};

// A row's encode takes its own capability only; `encodeCapability` is the one place that pairs them by type.
type AnyRow = CapabilityRow<Capability['type']>;
const ROWS = [
  multiprotocol,
  flag('route-refresh', CapabilityCode.routeRefresh),
  extendedNextHop,
  flag('extended-message', CapabilityCode.extendedMessage),
  role,
  gracefulRestart,
  fourOctetAs,
  addPath,
  flag('enhanced-route-refresh', CapabilityCode.enhancedRouteRefresh),
  longLived,
  fqdn,
  softwareVersion,
] as unknown as readonly AnyRow[];

/** Never fails: what it cannot read it keeps as unknown. */
export function decodeCapability(code: number, value: Uint8Array): Capability {
  const row = ROWS.find((candidate) => candidate.code === code);
  return row?.decode(value) ?? { type: 'unknown', code, value: value.slice() };
}

/** Appends code, length and value. Throws RangeError for a value over 255 octets: the caller made it up, not a peer. */
export function encodeCapability(capability: Capability, out: OctetWriter): void {
  const row = ROWS.find((candidate) => candidate.type === capability.type);
  const value = new OctetWriter(32);
  if (capability.type === 'unknown') value.bytes(capability.value);
  else row?.encode(capability, value);
  if (value.length > 255)
    throw new RangeError(`Cannot encode capability ${capability.type}: its value has ${value.length} octets, 255 fit`);
  out
    .u8(capability.type === 'unknown' ? capability.code : (row?.code ?? 0))
    .u8(value.length)
    .bytes(value.finish());
}

/** The code of a capability (RFC 5492 section 4). */
export const capabilityCode = (capability: Capability): number =>
  capability.type === 'unknown'
    ? capability.code
    : (ROWS.find((candidate) => candidate.type === capability.type)?.code ?? 0);

/** "graceful-restart", "bgpsec", "capability 200". */
export const capabilityName = (code: number): string =>
  ROWS.find((candidate) => candidate.code === code)?.type ?? OTHER_CAPABILITIES[code] ?? `capability ${code}`;

/** All capabilities of one type, for `find`-like questions with the right type. */
export function capabilitiesOf<T extends Capability['type']>(
  capabilities: readonly Capability[],
  type: T,
): Extract<Capability, { readonly type: T }>[] {
  return capabilities.filter(
    (capability): capability is Extract<Capability, { readonly type: T }> => capability.type === type,
  );
}

const waysOf = ({ receive, send }: { readonly receive: boolean; readonly send: boolean }): string =>
  receive ? (send ? 'both' : 'receive') : 'send';

/** "multiprotocol ipv6 unicast", "graceful-restart 120 s": for people. What a peer wrote itself is escaped. */
export function formatCapability(capability: Capability): string {
  const name = capabilityName(capabilityCode(capability));
  const value = capabilityValue(capability);
  return value === '' ? name : `${name} ${value}`;
}

/** What it says beside its name: "120 s, notification: ipv4 unicast"; empty for one that says all by being there. */
export function capabilityValue(capability: Capability): string {
  switch (capability.type) {
    case 'multiprotocol':
      return formatFamily(capability);
    case 'four-octet-as':
      return String(capability.as);
    case 'graceful-restart':
      return gracefulRestartValue(capability);
    case 'long-lived-graceful-restart':
      return capability.families
        .map((family) => `${formatFamily(family)} ${family.staleTime} s${forwarding(family)}`)
        .join(', ');
    case 'add-path':
      return capability.families.map((family) => `${formatFamily(family)} ${waysOf(family)}`).join(', ');
    case 'extended-next-hop':
      return capability.families
        .map((family) => `${formatFamily(family)} over ${nameOf(Afi, family.nextHopAfi) ?? `AFI ${family.nextHopAfi}`}`)
        .join(', ');
    case 'role':
      return capability.role;
    case 'fqdn':
      return formatHostName(capability);
    case 'software-version':
      return escapeText(capability.version);
    case 'unknown':
      return capability.value.length === 0 ? '' : formatHex(capability.value, 32);
    case 'route-refresh':
    case 'enhanced-route-refresh':
    case 'extended-message':
      return '';
  }
}

/** "leaf1.example.net"; a peer's own text, made fit for a terminal. */
export const formatHostName = ({ host, domain }: Extract<Capability, { readonly type: 'fqdn' }>): string =>
  escapeText(domain === '' ? host : `${host}.${domain}`);

function gracefulRestartValue({
  restartTime,
  restarting,
  notification,
  families,
}: Extract<Capability, { readonly type: 'graceful-restart' }>): string {
  const head = `${restartTime} s${restarting ? ', restarting' : ''}${notification ? ', notification' : ''}`;
  const list = families.map((family) => `${formatFamily(family)}${forwarding(family)}`);
  return list.length === 0 ? head : `${head}: ${list.join(', ')}`;
}

const forwarding = ({ forwardingPreserved }: { readonly forwardingPreserved: boolean }): string =>
  forwardingPreserved ? ' (forwarding)' : '';

export function formatFamily({ afi, safi }: AfiSafi): string {
  return `${nameOf(Afi, afi) ?? `AFI ${afi}`} ${nameOf(Safi, safi) ?? `SAFI ${safi}`}`;
}
