/**
 * What two OPEN messages settle for a session: the parameters that decoders and writers of this session need.
 *
 * A feature is on when both sides announced it; ADD-PATH and extended messages are one-way (RFC 7911 section 4,
 * RFC 8654 section 4). IPv4 unicast is implied only when a side announces no multiprotocol capability at all (RFC 4760
 * section 8).
 */
import type { Family } from '../address.js';
import type { Capability, RoleName } from './capability.js';
import type { OpenMessage } from './message.js';

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
}

export type Negotiate = (local: OpenMessage, remote: OpenMessage, options: NegotiationOptions) => NegotiatedSession;
