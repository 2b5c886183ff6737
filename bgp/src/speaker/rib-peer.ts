/**
 * A session as the RIB sees it: settings and what the OPENs agreed on, put together.
 *
 * The one thing to find out here is our own address as a next hop (RFC 4271 section 5.1.3, RFC 2545 section 3, RFC 8950): for
 * the family that the session runs over it is the session's local address; for the other one, an address of the same interface.
 */
import { addressToBytes, parseAddress, type Family, type IpAddress } from '../address.js';
import type { NegotiatedSession } from '../codec/negotiated.js';
import type { FamilySession, PeerRole, RibPeer } from '../rib/rib-peer.js';
import type { RoutePolicy } from '../rib/policy.js';
import { globalAddress, isLinkLocal, linkLocalAddress, type LocalInterface } from '../session/interface.js';
import { sessionLink } from './connectivity.js';
import { knownAddress, type PeerSettings } from './peer-settings.js';

export interface RibPeerSources {
  readonly settings: PeerSettings;
  readonly negotiated: NegotiatedSession;
  /** Local address of the connection. */
  readonly localAddress: string;
  readonly interfaces: readonly LocalInterface[];
  readonly importPolicy: RoutePolicy | undefined;
  readonly exportPolicy: RoutePolicy | undefined;
}

export function ribPeer(sources: RibPeerSources): RibPeer {
  const { settings, negotiated, importPolicy, exportPolicy } = sources;
  const local = parseAddress(sources.localAddress.split('%')[0] ?? '');
  const link = sessionLink(settings, sources.localAddress, sources.interfaces);
  return {
    name: settings.name,
    role: roleOf(settings, negotiated),
    address: knownAddress(settings),
    remoteAs: negotiated.peerAs,
    localAs: settings.localAs,
    localAsOnly: settings.isLocalAsOnly,
    routerId: negotiated.peerIdentifier,
    families: negotiated.families.map((family) => familySession(family, local, link, settings, negotiated)),
    interfaceName: settings.interfaceName ?? (settings.isSingleHop ? link?.name : undefined),
    singleHop: settings.isSingleHop,
    fourOctetAs: negotiated.encode.as4,
    extendedMessage: negotiated.encode.maxMessageLength > 4096,
    allowLocalAs: settings.allowLocalAs,
    asOverride: settings.asOverride,
    removePrivateAs: settings.removePrivateAs,
    nextHop: { type: settings.nextHop },
    localRole: settings.role,
    weight: settings.weight,
    ...(settings.addPathLimit === undefined ? {} : { addPathLimit: settings.addPathLimit }),
    gracefulShutdown: settings.isDraining,
    longLivedGracefulRestart: negotiated.longLivedGracefulRestart !== undefined,
    importPolicy,
    exportPolicy,
  };
}

function roleOf(settings: PeerSettings, negotiated: NegotiatedSession): PeerRole {
  if (negotiated.peerAs !== settings.localAs) return 'ebgp';
  return settings.isRouteReflectorClient ? 'rr-client' : 'ibgp';
}

function familySession(
  family: Family,
  local: IpAddress,
  link: LocalInterface | undefined,
  settings: PeerSettings,
  negotiated: NegotiatedSession,
): FamilySession {
  const { decode, encode } = negotiated;
  return {
    family,
    addPathReceive: family === 4 ? decode.addPathIpv4 : decode.addPathIpv6,
    addPathSend: family === 4 ? encode.addPathIpv4 : encode.addPathIpv6,
    extendedNextHop: family === 4 && encode.extendedNextHop,
    nextHopSelf: nextHopSelf(family, local, link, settings, encode.extendedNextHop),
  };
}

function nextHopSelf(
  family: Family,
  local: IpAddress,
  link: LocalInterface | undefined,
  settings: PeerSettings,
  extendedNextHop: boolean,
): Uint8Array | undefined {
  if (family === 4) {
    const own = local.family === 4 ? local : globalAddress(link, 4);
    if (own !== undefined && !extendedNextHop) return addressToBytes(own);
    if (local.family === 4) return addressToBytes(local);
    return extendedNextHop ? ipv6NextHop(local, link, settings) : undefined;
  }
  if (local.family === 6) return ipv6NextHop(local, link, settings);
  const global = globalAddress(link, 6);
  const own = global ?? linkLocalAddress(link);
  return own === undefined || (global === undefined && !settings.isSingleHop)
    ? undefined
    : ipv6NextHop(own, link, settings);
}

/** RFC 2545 section 3: the link-local address goes along exactly when the peer is on the link. */
function ipv6NextHop(own: IpAddress, link: LocalInterface | undefined, settings: PeerSettings): Uint8Array {
  const global = isLinkLocal(own) ? (globalAddress(link, 6) ?? own) : own;
  const linkLocal = isLinkLocal(own) ? own : linkLocalAddress(link);
  const isOnLink = settings.isSingleHop || settings.interfaceName !== undefined;
  if (!isOnLink || linkLocal === undefined) return addressToBytes(global);
  const both = new Uint8Array(32);
  both.set(addressToBytes(global));
  both.set(addressToBytes(linkLocal), 16);
  return both;
}
