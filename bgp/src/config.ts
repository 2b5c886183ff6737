/**
 * The desired state of a speaker: everything it should do, as one plain value. A caller states the whole; the speaker
 * works out the difference (see `Speaker.configure`). JSON and YAML files of `tortie bgpd` have exactly this shape.
 *
 * Addresses and prefixes are text here, because this is what people write; `validateConfig` checks them all and reports
 * every problem with its path. Durations are seconds, as in the RFCs and in every router's configuration.
 */

export interface SpeakerConfig {
  /** 1..4294967295 (RFC 6793); 23456 and 0 are refused (RFC 7607). */
  readonly localAs: number;
  /** Dotted quad, not 0.0.0.0 (RFC 6286). */
  readonly routerId: string;
  /** Where to accept connections; default 0.0.0.0 and :: on 179. An empty list: never listen. */
  readonly listen?: readonly ListenConfig[];
  readonly peers?: readonly PeerConfig[];
  /** Prefixes of our own. */
  readonly originate?: readonly OriginatedPrefix[];
  /** Named filters, referred to by peers. */
  readonly filters?: Readonly<Record<string, FilterConfig>>;
  readonly multipath?: MultipathConfig;
  /** Graceful restart (RFC 4724) offered to peers: how long they keep our routes, in seconds. Default 120; 0 is off. */
  readonly gracefulRestartTime?: number;
  /** Write best paths into the kernel's table; default false. */
  readonly installRoutes?: boolean;
}

export interface ListenConfig {
  readonly address: string;
  /** Default 179. */
  readonly port?: number;
}

export type FamilyName = 'ipv4' | 'ipv6';

export interface PeerConfig {
  /** Shown in tables; default is the address. Unique. */
  readonly name?: string;
  readonly address: string;
  /** Default 179. */
  readonly port?: number;
  readonly remoteAs: number;
  /** Default: the speaker's localAs. */
  readonly localAs?: number;
  /** Source address of the session. */
  readonly localAddress?: string;
  /** Wait for the peer to connect. */
  readonly passive?: boolean;
  /** eBGP over this many hops at most; default 1, that is, directly connected. */
  readonly multihop?: number;
  /** GTSM (RFC 5082): accept only packets that came at most this many hops. */
  readonly ttlSecurityHops?: number;
  /** TCP-MD5 key (RFC 2385), 1..80 bytes. Never logged, never shown. */
  readonly password?: string;
  /** Seconds, 0 or at least 3; default 90. */
  readonly holdTime?: number;
  /** Default: both. */
  readonly families?: readonly FamilyName[];
  /** Per family; default 10000. Crossing it is a Cease/1 and the peer stays down `restartAfter` seconds (default: for good). */
  readonly maxPrefixes?: number;
  readonly maxPrefixesRestartAfter?: number;
  /** How often our own AS may stand in a received AS_PATH; default 0. Calico: numAllowedLocalASNumbers. */
  readonly allowLocalAs?: number;
  /** Put our own address as NEXT_HOP: default true for eBGP, false for iBGP. */
  readonly nextHopSelf?: boolean;
  /** Leave NEXT_HOP as it came, also on eBGP. Calico: keepOriginalNextHop. */
  readonly nextHopUnchanged?: boolean;
  readonly routeReflectorClient?: boolean;
  /** Keep this peer's routes over its restart (RFC 4724 helper), at most so many seconds; default true. */
  readonly gracefulRestart?: boolean;
  /** Names of filters, run in this order. No import or export filter means accept (the daemon's `requirePolicy` is RFC 8212). */
  readonly import?: readonly string[];
  readonly export?: readonly string[];
}

export interface OriginatedPrefix {
  readonly prefix: string;
  /** Filters may match on these: `{ tag: ['node'] }`. Tortie uses block, node, service, borrowed. */
  readonly tags?: readonly string[];
  /** "64512:100" or "64512:1:2". */
  readonly communities?: readonly string[];
}

export interface MultipathConfig {
  /** Most next hops of one kernel route learned over eBGP / iBGP; default 16 each. */
  readonly ebgp?: number;
  readonly ibgp?: number;
  /** Paths of equal length through different neighbours' AS are equal; default true. */
  readonly relaxAsPath?: boolean;
}

/** First rule that matches and has accept or reject decides; `next` applies `set` and goes on. */
export interface FilterConfig {
  readonly rules: readonly FilterRule[];
  /** What happens to a route that no rule decided; default 'next': the next filter, then accept. */
  readonly default?: 'accept' | 'reject' | 'next';
}

export interface FilterRule {
  readonly name?: string;
  /** All given conditions must hold; a list inside a condition means any of. Absent: matches every route. */
  readonly match?: FilterMatch;
  readonly set?: FilterSet;
  readonly action: 'accept' | 'reject' | 'next';
}

export interface PrefixMatch {
  readonly prefix: string;
  /** Lengths that match; default: exactly the prefix's own. */
  readonly minLength?: number;
  readonly maxLength?: number;
}

export interface FilterMatch {
  readonly prefixes?: readonly PrefixMatch[];
  /** Tags of an originated prefix. */
  readonly tags?: readonly string[];
  readonly source?: readonly ('local' | 'ebgp' | 'ibgp')[];
  readonly communities?: readonly string[];
  readonly families?: readonly FamilyName[];
}

export interface FilterSet {
  readonly localPreference?: number;
  readonly med?: number;
  readonly nextHop?: string;
  readonly addCommunities?: readonly string[];
  readonly removeCommunities?: readonly string[];
  readonly prepend?: number;
}
