/**
 * What one session runs with: its part of a validated SpeakerConfig, with every default filled in.
 *
 * Settings are plain data, so two of them can be compared: `sessionKeys` has what the two OPENs, the socket or the decoder depend
 * on, so that a change there needs a new session; everything else is applied to the living one.
 */
import { formatAddress, parseAddress, type Family, type IpAddress } from '../address.js';
import type { RoleName } from '../codec/capability.js';
import type {
  AddressedPeerConfig,
  BfdConfig,
  CapabilityName,
  DynamicPeersConfig,
  PeerConfig,
  SessionConfig,
  SpeakerConfig,
} from '../config.js';
import { canonicalPeerAddress, peerLocation, peerName } from '../config/peer-rules.js';
import type { HopLimits } from '../transport/transport.js';

export interface MaxPrefixes {
  readonly limit: number;
  /** Paths at which a warning is given. */
  readonly warnAt: number;
  readonly warnOnly: boolean;
  /** Seconds; undefined: down for good. */
  readonly restartAfter: number | undefined;
}

export interface PeerSettings {
  readonly name: string;
  readonly description: string | undefined;
  /** Undefined: of an unnumbered peer that has not been heard of. */
  readonly address: IpAddress | undefined;
  /** The address comes from whoever is heard on the interface (unnumbered.ts). */
  readonly isUnnumbered: boolean;
  /** Of a link-local address. */
  readonly interfaceName: string | undefined;
  readonly port: number;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly passive: boolean;
  readonly isShutdown: boolean;
  /** Any of these, or any but ours. */
  readonly remoteAs: readonly number[] | 'external';
  readonly localAs: number;
  /** Our AS towards everybody else; differs from `localAs` where local-as is used. */
  readonly speakerAs: number;
  /** Show the peer `localAs` alone. */
  readonly isLocalAsOnly: boolean;
  readonly routerId: number;
  readonly hopLimits: HopLimits;
  /** eBGP to a direct neighbour: lives and dies with its interface. */
  readonly isSingleHop: boolean;
  readonly password: string | undefined;
  readonly holdTime: number;
  /** Seconds; undefined: a third of the hold time. */
  readonly keepaliveTime: number | undefined;
  readonly connectRetryTime: number;
  readonly delayOpenTime: number;
  readonly families: readonly Family[];
  readonly extendedNextHop: boolean;
  /** Capabilities that are not offered whatever they are for. */
  readonly capabilitiesOff: readonly CapabilityName[];
  readonly addPathSend: boolean;
  readonly addPathReceive: boolean;
  /** Paths of a prefix that it is told at most; undefined: all. */
  readonly addPathLimit: number | undefined;
  readonly maxPrefixes: MaxPrefixes;
  readonly allowLocalAs: number;
  readonly asOverride: boolean;
  readonly removePrivateAs: 'only-private' | 'all' | undefined;
  readonly enforceFirstAs: boolean;
  readonly maxAsPathLength: number;
  readonly maxAttributesLength: number;
  readonly role: RoleName | undefined;
  readonly isRoleStrict: boolean;
  readonly nextHop: 'self' | 'unchanged';
  readonly isRouteReflectorClient: boolean;
  readonly weight: number;
  /** We keep its routes while it restarts. */
  readonly isRestartHelper: boolean;
  /** What we offer it, seconds. */
  readonly restartTime: number;
  readonly longLivedRestartTime: number;
  readonly isDraining: boolean;
  readonly bfd: BfdConfig | undefined;
  readonly import: readonly string[];
  readonly export: readonly string[];
  /** RFC 8212: this external peer has no filter in that direction and so gets, or gives, nothing. */
  readonly isImportClosed: boolean;
  readonly isExportClosed: boolean;
}

const DEFAULT_MAX_PREFIXES = 10_000;
const DEFAULT_WARN_AT = 75;
const DEFAULT_RESTART_TIME = 120;
/** What fits an ordinary message, and so could be passed on to anybody (RFC 8654 section 4). */
const DEFAULT_MAX_ATTRIBUTES = 4096;

/** Settings of a configured peer. The configuration must have passed `validateConfig`. */
export function settingsOf(config: SpeakerConfig, peer: PeerConfig): PeerSettings {
  const isUnnumbered = peer.address === undefined;
  const [address = '', zone] = peerLocation(peer).split('%');
  const localAs = peer.localAs ?? config.localAs;
  const remoteAs = peer.remoteAs === 'external' ? 'external' : [peer.remoteAs === 'internal' ? localAs : peer.remoteAs];
  return {
    ...sessionSettings(config, peer, remoteAs, isUnnumbered ? undefined : parseAddress(address)),
    name: peerName(peer),
    isUnnumbered,
    interfaceName: isUnnumbered ? peer.interface : zone,
    port: peer.port ?? 179,
    // The interface of a link-local one is the peer's; validateConfig has seen to that.
    localAddress:
      peer.localAddress === undefined ? undefined : canonicalPeerAddress(peer.localAddress.split('%')[0] ?? ''),
    localPort: peer.localPort,
    passive: peer.passive ?? false,
    isShutdown: peer.shutdown ?? false,
  };
}

/** Settings of a peer that has just connected out of a range. */
export function dynamicSettings(
  config: SpeakerConfig,
  range: DynamicPeersConfig,
  address: IpAddress,
  interfaceName: string | undefined,
): PeerSettings {
  const remoteAs = [range.remoteAs].flat();
  const zone = interfaceName === undefined ? '' : `%${interfaceName}`;
  return {
    ...sessionSettings(config, range, remoteAs, address),
    name: `${range.name}/${formatAddress(address)}${zone}`,
    isUnnumbered: false,
    interfaceName,
    port: 179,
    localAddress: undefined,
    localPort: undefined,
    passive: true,
    isShutdown: false,
  };
}

type OwnOfPeer =
  | 'name'
  | 'isUnnumbered'
  | 'interfaceName'
  | 'port'
  | 'localAddress'
  | 'localPort'
  | 'passive'
  | 'isShutdown';

function sessionSettings(
  config: SpeakerConfig,
  session: SessionConfig,
  remoteAs: PeerSettings['remoteAs'],
  address: IpAddress | undefined,
): Omit<PeerSettings, OwnOfPeer> {
  const localAs = session.localAs ?? config.localAs;
  const isInternal = remoteAs !== 'external' && remoteAs.length === 1 && remoteAs[0] === localAs;
  const closed = config.requirePolicy === true && !isInternal;
  return {
    description: session.description,
    address,
    remoteAs,
    localAs,
    speakerAs: config.localAs,
    isLocalAsOnly: session.localAsOnly ?? false,
    routerId: identifierOf(config.routerId),
    hopLimits: hopLimitsOf(session, isInternal),
    isSingleHop: !isInternal && session.multihop === undefined && (session.ttlSecurityHops ?? 1) === 1,
    password: session.password,
    holdTime: session.holdTime ?? 90,
    keepaliveTime: session.keepaliveTime,
    connectRetryTime: session.connectRetryTime ?? 30,
    delayOpenTime: session.delayOpenTime ?? 0,
    families: familiesOf(session),
    extendedNextHop: session.extendedNextHop ?? (address?.family !== 4 && familiesOf(session).includes(4)),
    capabilitiesOff: capabilitiesOff(session),
    addPathSend: session.addPath === 'send' || session.addPath === 'both',
    addPathReceive: session.addPath === 'receive' || session.addPath === 'both',
    addPathLimit: session.addPathLimit,
    maxPrefixes: maxPrefixesOf(session),
    allowLocalAs: session.allowLocalAs ?? 0,
    asOverride: session.asOverride ?? false,
    removePrivateAs: session.removePrivateAs,
    enforceFirstAs: session.enforceFirstAs ?? true,
    maxAsPathLength: session.maxAsPathLength ?? 0,
    maxAttributesLength: session.maxAttributesLength ?? DEFAULT_MAX_ATTRIBUTES,
    role: session.role,
    isRoleStrict: session.roleStrict ?? false,
    nextHop: nextHopOf(session, isInternal),
    isRouteReflectorClient: session.routeReflectorClient ?? false,
    weight: session.weight ?? 0,
    isRestartHelper: session.gracefulRestart ?? true,
    restartTime: session.gracefulRestartTime ?? config.gracefulRestartTime ?? DEFAULT_RESTART_TIME,
    longLivedRestartTime: config.longLivedRestartTime ?? 0,
    isDraining: session.drain ?? config.drain ?? false,
    bfd: session.bfd,
    import: session.import ?? [],
    export: session.export ?? [],
    isImportClosed: closed && (session.import ?? []).length === 0,
    isExportClosed: closed && (session.export ?? []).length === 0,
  };
}

/** RFC 4271 section 4.2: an unsigned 32-bit number. */
export function identifierOf(dottedQuad: string): number {
  return Number(parseAddress(dottedQuad).value);
}

function familiesOf(session: SessionConfig): readonly Family[] {
  const names = session.families ?? ['ipv4', 'ipv6'];
  return ([4, 6] as const).filter((family) => names.includes(family === 4 ? 'ipv4' : 'ipv6'));
}

function capabilitiesOff({ capabilities = {} }: SessionConfig): readonly CapabilityName[] {
  const names = Object.keys(capabilities) as CapabilityName[];
  return names.filter((name) => capabilities[name] === false).sort();
}

/** A direct eBGP neighbour gets TTL 1, as every router does it; GTSM turns this round (RFC 5082 section 3). */
function hopLimitsOf(session: SessionConfig, isInternal: boolean): HopLimits {
  if (session.ttlSecurityHops !== undefined) return { ttl: 255, minTtl: 256 - session.ttlSecurityHops };
  if (isInternal) return {};
  return { ttl: session.multihop ?? 1 };
}

function maxPrefixesOf(session: SessionConfig): MaxPrefixes {
  const limit = session.maxPrefixes ?? DEFAULT_MAX_PREFIXES;
  return {
    limit,
    warnAt: Math.floor((limit * (session.maxPrefixesWarnAt ?? DEFAULT_WARN_AT)) / 100),
    warnOnly: session.maxPrefixesWarnOnly ?? false,
    restartAfter: session.maxPrefixesRestartAfter,
  };
}

function nextHopOf(session: SessionConfig, isInternal: boolean): 'self' | 'unchanged' {
  if (session.nextHopUnchanged === true) return 'unchanged';
  return (session.nextHopSelf ?? !isInternal) ? 'self' : 'unchanged';
}

/** Canonical text of the peer's address, with the interface of a link-local one; the interface alone while the address is not known. */
export function peerAddressText({ address, interfaceName = '' }: PeerSettings): string {
  if (address === undefined) return interfaceName;
  return interfaceName === '' ? formatAddress(address) : `${formatAddress(address)}%${interfaceName}`;
}

/** The address of a peer that has a session or may begin one: an unnumbered peer without one is held down. */
export function knownAddress({ name, address }: PeerSettings): IpAddress {
  if (address === undefined) throw new Error(`Peer ${name} has no address yet: it must not have a session`);
  return address;
}

/**
 * A change in any of these takes a new session; beside each, what it is called in a configuration. The password is apart: a key can be
 * exchanged on a living connection. So is the port: where a peer listens matters to the next attempt alone.
 */
const SESSION_KEYS = {
  address: 'address',
  interfaceName: 'interface',
  localAddress: 'localAddress',
  localPort: 'localPort',
  remoteAs: 'remoteAs',
  localAs: 'localAs',
  speakerAs: 'localAs',
  routerId: 'routerId',
  holdTime: 'holdTime',
  families: 'families',
  extendedNextHop: 'extendedNextHop',
  capabilitiesOff: 'capabilities',
  addPathSend: 'addPath',
  addPathReceive: 'addPath',
  enforceFirstAs: 'enforceFirstAs',
  maxAsPathLength: 'maxAsPathLength',
  maxAttributesLength: 'maxAttributesLength',
  role: 'role',
  isRoleStrict: 'roleStrict',
  restartTime: 'gracefulRestartTime',
  longLivedRestartTime: 'longLivedRestartTime',
} as const satisfies Partial<Record<keyof PeerSettings, keyof AddressedPeerConfig | keyof SpeakerConfig>>;

/** The fields of the configuration that need a new session; a password that comes or goes is one. */
export function resetReasons(before: PeerSettings, after: PeerSettings): readonly string[] {
  const differs = (key: keyof PeerSettings): boolean => textOf(before[key]) !== textOf(after[key]);
  const reasons = new Set<string>(
    Object.entries(SESSION_KEYS).flatMap(([key, field]) => (differs(key as keyof PeerSettings) ? [field] : [])),
  );
  // How far a peer may be follows from whether it is external, where nobody says so.
  const isOtherKind = reasons.has('remoteAs') || reasons.has('localAs');
  if (!isOtherKind && (differs('hopLimits') || differs('isSingleHop')))
    reasons.add(
      [before, after].some(({ hopLimits }) => hopLimits.minTtl !== undefined) ? 'ttlSecurityHops' : 'multihop',
    );
  if ((before.password === undefined) !== (after.password === undefined)) reasons.add('password');
  return [...reasons];
}

/** What the next attempt is made with: a session that stands lives on without. */
const ATTEMPT_KEYS = ['port', 'connectRetryTime', 'delayOpenTime'] as const satisfies readonly (keyof PeerSettings)[];

export const attemptReasons = (before: PeerSettings, after: PeerSettings): readonly string[] =>
  ATTEMPT_KEYS.filter((key) => before[key] !== after[key]);

/** Do they differ in anything at all? */
export const sameSettings = (a: PeerSettings, b: PeerSettings): boolean => textOf(a) === textOf(b);

const textOf = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? part.toString() : part)) ?? '';
