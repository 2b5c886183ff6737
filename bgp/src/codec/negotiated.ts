/**
 * What two OPEN messages settle for a session: the parameters that decoders and writers of this session need.
 *
 * A feature is on when both sides announced it; ADD-PATH and extended messages are one-way (RFC 7911 section 4,
 * RFC 8654 section 4). IPv4 unicast is implied only when a side announces no multiprotocol capability at all (RFC 4760
 * section 8).
 */
import type { Family } from '../address.js';
import { Afi, MAX_EXTENDED_MESSAGE_LENGTH, MAX_MESSAGE_LENGTH, Safi } from '../iana.js';
import { capabilitiesOf, type AfiSafi, type Capability, type RoleName } from './capability.js';
import type { OpenMessage } from './control-message.js';
import { openAs } from './open.js';

/** All that decoding an UPDATE depends on. Flat booleans, because the decoder reads them per message. */
export interface DecodeParameters {
  /** AS numbers in AS_PATH and AGGREGATOR have four octets (RFC 6793). */
  readonly as4: boolean;
  /** The peer is in another AS: LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST are discarded (RFC 7606 section 7). */
  readonly external: boolean;
  readonly peerAs: number;
  /** The leftmost AS of the path must be the peer's (RFC 4271 section 6.3); off for route servers. */
  readonly enforceFirstAs: boolean;
  /** Families that routes are taken for; others are ignored. */
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** The peer sends path identifiers in this family. */
  readonly addPathIpv4: boolean;
  readonly addPathIpv6: boolean;
  /** IPv4 NLRI may come with an IPv6 next hop (RFC 8950). */
  readonly extendedNextHop: boolean;
  /** A longer AS_PATH (in AS numbers) is treated as withdrawn. Default 0: no bound but the message's. */
  readonly maxAsPathLength: number;
  /**
   * More octets of attributes (normalised) are treated as withdrawn; absent: no bound. Their number times the peer's
   * prefixes is memory.
   */
  readonly maxAttributesLength?: number;
}

/** All that writing an UPDATE depends on. */
export interface EncodeParameters {
  readonly as4: boolean;
  readonly addPathIpv4: boolean;
  readonly addPathIpv6: boolean;
  readonly extendedNextHop: boolean;
  /** 4096, or 65535 when the peer can take it (RFC 8654). */
  readonly maxMessageLength: number;
}

export interface NegotiatedSession {
  readonly localAs: number;
  /** The real AS of the peer, from the four-octet capability if there is one. */
  readonly peerAs: number;
  readonly peerIdentifier: number;
  /** The smaller of the two, in seconds; 0: no keepalives (RFC 4271 section 4.2). */
  readonly holdTime: number;
  /** Unicast families of both sides. */
  readonly families: readonly Family[];
  readonly decode: DecodeParameters;
  readonly encode: EncodeParameters;
  readonly routeRefresh: boolean;
  readonly enhancedRouteRefresh: boolean;
  /** Both sides can restart gracefully; `peer` is what the peer said (undefined: it did not offer it). */
  readonly gracefulRestart: Extract<Capability, { type: 'graceful-restart' }> | undefined;
  readonly longLivedGracefulRestart: Extract<Capability, { type: 'long-lived-graceful-restart' }> | undefined;
  /** RFC 8538: both set the N bit, so NOTIFICATIONs other than a Hard Reset keep routes too. */
  readonly notificationRestart: boolean;
  readonly peerRole: RoleName | undefined;
  readonly peerFqdn: string | undefined;
}

/** What the local side decides beside its own OPEN. */
export interface NegotiationOptions {
  /** The real local AS of this session; the OPEN's field may hold AS_TRANS. */
  readonly localAs: number;
  readonly enforceFirstAs?: boolean;
  readonly maxAsPathLength?: number;
  readonly maxAttributesLength?: number;
  /** False: what we send has at most 4096 octets whatever the peer can take. Default true. */
  readonly extendedMessage?: boolean;
}

/** Both OPENs are acceptable (open.ts: checkOpen); this only combines them. */
export function negotiate(local: OpenMessage, remote: OpenMessage, options: NegotiationOptions): NegotiatedSession {
  const peerAs = openAs(remote);
  const ours = local.capabilities;
  const theirs = remote.capabilities;
  const both = (type: Capability['type']): boolean => has(ours, type) && has(theirs, type);
  const families = ([4, 6] as const).filter((family) => offers(ours, family) && offers(theirs, family));
  const as4 = both('four-octet-as');
  const extendedNextHop = hasExtendedNextHop(ours) && hasExtendedNextHop(theirs);
  const gracefulRestart = both('graceful-restart') ? capabilitiesOf(theirs, 'graceful-restart')[0] : undefined;
  const [fqdn] = capabilitiesOf(theirs, 'fqdn');
  return {
    localAs: options.localAs,
    peerAs,
    peerIdentifier: remote.identifier,
    holdTime: Math.min(local.holdTime, remote.holdTime),
    families,
    decode: {
      as4,
      external: peerAs !== options.localAs,
      peerAs,
      enforceFirstAs: options.enforceFirstAs ?? true,
      ipv4: families.includes(4),
      ipv6: families.includes(6),
      addPathIpv4: addsPath(theirs, ours, 4),
      addPathIpv6: addsPath(theirs, ours, 6),
      extendedNextHop,
      maxAsPathLength: options.maxAsPathLength ?? 0,
      maxAttributesLength: options.maxAttributesLength,
    },
    encode: {
      as4,
      addPathIpv4: addsPath(ours, theirs, 4),
      addPathIpv6: addsPath(ours, theirs, 6),
      extendedNextHop,
      maxMessageLength:
        has(theirs, 'extended-message') && options.extendedMessage !== false
          ? MAX_EXTENDED_MESSAGE_LENGTH
          : MAX_MESSAGE_LENGTH,
    },
    routeRefresh: both('route-refresh'),
    enhancedRouteRefresh: both('enhanced-route-refresh'),
    gracefulRestart,
    // RFC 9494 section 4.2: without the graceful restart capability the long-lived one is ignored.
    longLivedGracefulRestart:
      gracefulRestart !== undefined && both('long-lived-graceful-restart')
        ? capabilitiesOf(theirs, 'long-lived-graceful-restart')[0]
        : undefined,
    notificationRestart:
      gracefulRestart?.notification === true && capabilitiesOf(ours, 'graceful-restart')[0]?.notification === true,
    peerRole: capabilitiesOf(theirs, 'role')[0]?.role,
    peerFqdn: fqdn === undefined ? undefined : fqdn.domain === '' ? fqdn.host : `${fqdn.host}.${fqdn.domain}`,
  };
}

const has = (capabilities: readonly Capability[], type: Capability['type']): boolean =>
  capabilities.some((capability) => capability.type === type);

const isUnicast = ({ afi, safi }: AfiSafi, family: Family): boolean =>
  safi === Safi.unicast && afi === (family === 4 ? Afi.ipv4 : Afi.ipv6);

function offers(capabilities: readonly Capability[], family: Family): boolean {
  const announced = capabilitiesOf(capabilities, 'multiprotocol');
  return announced.length === 0 ? family === 4 : announced.some((afiSafi) => isUnicast(afiSafi, family));
}

/** RFC 7911 section 4: path identifiers go from a side that can send them to one that can receive them. */
function addsPath(from: readonly Capability[], to: readonly Capability[], family: Family): boolean {
  const modeOf = (capabilities: readonly Capability[]) =>
    capabilitiesOf(capabilities, 'add-path')
      .flatMap((capability) => capability.families)
      .find((entry) => isUnicast(entry, family));
  return modeOf(from)?.send === true && modeOf(to)?.receive === true;
}

/** RFC 8950 section 4: IPv4 unicast with IPv6 next hops, the one combination that routing here has a use for. */
const hasExtendedNextHop = (capabilities: readonly Capability[]): boolean =>
  capabilitiesOf(capabilities, 'extended-next-hop').some((capability) =>
    capability.families.some((entry) => isUnicast(entry, 4) && entry.nextHopAfi === Afi.ipv6),
  );
