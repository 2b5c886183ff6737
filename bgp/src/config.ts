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
  /** Whole ranges of peers that are known only once they connect. */
  readonly dynamicPeers?: readonly DynamicPeersConfig[];
  /** Prefixes of our own. */
  readonly originate?: readonly OriginatedPrefix[];
  /** Named filters, referred to by peers. */
  readonly filters?: Readonly<Record<string, FilterConfig>>;
  readonly multipath?: MultipathConfig;
  /** Compare MED of paths from different neighbouring AS too (RFC 4271 9.1.2.2 c says not to); default false. A missing one is 0. */
  readonly alwaysCompareMed?: boolean;
  /** Graceful restart (RFC 4724) offered to peers: how long they keep our routes, in seconds. Default 120; 0 is off. */
  readonly gracefulRestartTime?: number;
  /** Long-lived graceful restart (RFC 9494) offered to peers, in seconds after the first period. Default 0: off. */
  readonly longLivedRestartTime?: number;
  /** Write best paths into the kernel's table; default false. */
  readonly installRoutes?: boolean;
  /** Metric of our routes in the kernel; default 20, the distance that routers give to eBGP. */
  readonly kernelMetric?: number;
  /** Of our IPv6 routes; default: `kernelMetric`. */
  readonly kernelMetricIpv6?: number;
  /**
   * RFC 8212: an eBGP peer without import filters gives us no routes, one without export filters gets none. Default
   * false; true in `tortie bgpd`.
   */
  readonly requirePolicy?: boolean;
  /** RFC 8326: announce everything with GRACEFUL_SHUTDOWN, so that peers move away before we stop. Default false. */
  readonly drain?: boolean;
  /** RFC 4456; default: the router id. */
  readonly clusterId?: string;
  /**
   * Interfaces, `*` for any text and `?` for one character, whose prefixes are no link of ours: no next hop resolves through them, and
   * nobody there is a direct neighbour. Their addresses stay ours.
   */
  readonly ignoredInterfaces?: readonly string[];
  /**
   * May a next hop be reached through the kernel's default route, as through its other routes? Default true, as BIRD with `learn`. One of
   * BGP never counts for that: a next hop whose own route is withdrawn shall be gone at once.
   */
  readonly resolveThroughDefault?: boolean;
  /** Least severity that `tortie bgpd` logs, while this configuration stands; default: as it was started. */
  readonly logLevel?: LogLevelName;
  /** BMP stations (RFC 7854) that follow what we hear and say. */
  readonly bmp?: readonly BmpStationConfig[];
  /** Dumps of the whole table in MRT (RFC 6396), written by `tortie bgpd`: the library by itself writes no files. */
  readonly mrt?: MrtConfig;
}

export type LogLevelName = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

export interface MrtConfig {
  /** Absolute path; replaced whole by each dump. */
  readonly file: string;
  /** Older dumps that stay, as `file`.1 (the last one before) to `file`.`keep`; default 0. */
  readonly keep?: number;
  /** Seconds from one dump to the next; default 3600. */
  readonly interval?: number;
}

export interface BmpStationConfig {
  readonly address: string;
  /** Default 11019. */
  readonly port?: number;
  /**
   * Default: adj-rib-in. What peers sent before and after import policy, the best paths, what export policy is asked about, and what
   * peers are sent.
   */
  readonly monitor?: readonly (
    | 'adj-rib-in'
    | 'adj-rib-in-post-policy'
    | 'loc-rib'
    | 'adj-rib-out-pre-policy'
    | 'adj-rib-out'
  )[];
  /** Seconds between reports; default 60, 0 is off. */
  readonly statisticsInterval?: number;
}

export interface ListenConfig {
  readonly address: string;
  /** Default 179. */
  readonly port?: number;
}

export type FamilyName = 'ipv4' | 'ipv6';

/** RFC 9234: what we are to the peer. */
export type RoleName = 'provider' | 'route-server' | 'route-server-client' | 'customer' | 'peer';

/** What every session may set, whether its peer is named or comes out of a range. What contradicts itself cannot be written. */
export type SessionConfig = SessionFields &
  SessionDistance &
  SessionNextHop &
  SessionLocalAs &
  SessionRole &
  SessionAddPath;

/** How far the peer may be: in hops that its packets may take, or must have taken; not both. */
export type SessionDistance =
  | {
      /** eBGP over this many hops at most; default 1, that is, directly connected. */
      readonly multihop?: number;
      readonly ttlSecurityHops?: undefined;
    }
  | {
      readonly multihop?: undefined;
      /** GTSM (RFC 5082): accept only packets that came at most this many hops. */
      readonly ttlSecurityHops?: number;
    };

/** Default: our own address towards eBGP, as it came towards iBGP. */
export type SessionNextHop =
  | {
      /** Put our own address as NEXT_HOP: default true for eBGP, false for iBGP. */
      readonly nextHopSelf?: boolean;
      readonly nextHopUnchanged?: false | undefined;
    }
  | {
      readonly nextHopSelf?: false | undefined;
      /** Leave NEXT_HOP as it came, also on eBGP. Calico: keepOriginalNextHop. */
      readonly nextHopUnchanged?: boolean;
    };

export type SessionLocalAs =
  | {
      /** Default: the speaker's localAs. Towards this peer both stand in the path, ours behind this one (RFC 7705 3.1). */
      readonly localAs?: number;
      readonly localAsOnly?: false | undefined;
    }
  | {
      readonly localAs: number;
      /** Only `localAs` stands in what we send it (RFC 7705 3.3, "Replace Old AS"); default false. */
      readonly localAsOnly?: boolean;
    };

/** RFC 9234. */
export type SessionRole =
  | {
      /** What we are to the peer; no role: nothing is checked. */
      readonly role?: RoleName;
      readonly roleStrict?: false | undefined;
    }
  | {
      readonly role: RoleName;
      /** A peer that sends no role is refused; default false. */
      readonly roleStrict?: boolean;
    };

/** RFC 7911. */
export type SessionAddPath =
  | {
      /** Default off. */
      readonly addPath?: 'send' | 'receive' | 'both';
      readonly addPathLimit?: undefined;
    }
  | {
      readonly addPath: 'send' | 'both';
      /** Most paths of a prefix that the peer is told, best first; default: all usable ones. */
      readonly addPathLimit?: number;
    };

/** Fields that depend on no other. */
export interface SessionFields {
  readonly description?: string;
  /** TCP-MD5 key (RFC 2385), 1..80 bytes. Never logged, never shown. */
  readonly password?: string;
  /** Seconds, 0 or at least 3; default 90. */
  readonly holdTime?: number;
  /** Most seconds between two KEEPALIVEs; default, and never more than, a third of the hold time agreed on (RFC 4271 4.4). */
  readonly keepaliveTime?: number;
  /** Longest pause between two attempts to connect, in seconds; default 30. The first ones follow within a second. */
  readonly connectRetryTime?: number;
  /** Wait so long for the peer's OPEN before sending ours (RFC 4271 8.1.1); default 0. */
  readonly delayOpenTime?: number;
  /** Default: both. */
  readonly families?: readonly FamilyName[];
  /** RFC 8950: offer IPv6 next hops for IPv4 prefixes. Default: only on sessions over IPv6 that carry IPv4. */
  readonly extendedNextHop?: boolean;
  /** Which capabilities (RFC 5492) the peer is offered, for peers that mind one of them. */
  readonly capabilities?: CapabilitiesConfig;
  /** Per family; default 10000. Crossing it is a Cease/1 and the peer stays down `restartAfter` seconds (default: for good). */
  readonly maxPrefixes?: number;
  readonly maxPrefixesRestartAfter?: number;
  /** Per cent of maxPrefixes at which a warning is given; default 75. */
  readonly maxPrefixesWarnAt?: number;
  /** Crossing the limit is only told, nothing is reset. Default false. */
  readonly maxPrefixesWarnOnly?: boolean;
  /** How often our own AS may stand in a received AS_PATH; default 0. Calico: numAllowedLocalASNumbers. */
  readonly allowLocalAs?: number;
  /** Put our AS in the place of the peer's own in what we send it; default false. */
  readonly asOverride?: boolean;
  /** Take private AS numbers (RFC 6996) out of what we send: only where there is no public one, or all. */
  readonly removePrivateAs?: 'only-private' | 'all';
  /** The leftmost AS of a received path must be the peer's (RFC 4271 6.3); default true. False towards a route server. */
  readonly enforceFirstAs?: boolean;
  /** Routes with a longer AS_PATH, in hops, are taken as withdrawn; default: no bound. */
  readonly maxAsPathLength?: number;
  /** Routes with more octets of attributes are taken as withdrawn; default 4096. */
  readonly maxAttributesLength?: number;
  readonly routeReflectorClient?: boolean;
  /** Added to every path of this peer, compared before LOCAL_PREF, never sent; default 0. */
  readonly weight?: number;
  /** Keep this peer's routes over its restart (RFC 4724 helper), at most so many seconds; default true. */
  readonly gracefulRestart?: boolean;
  /** How long this peer is asked to keep our routes, in seconds; default: the speaker's. Calico: maxRestartTime. */
  readonly gracefulRestartTime?: number;
  /** RFC 8326 towards this peer alone. */
  readonly drain?: boolean;
  /** RFC 5880: end the session as soon as the path to the peer fails. Absent: off. */
  readonly bfd?: BfdConfig;
  /** Names of filters, run in this order. No import or export filter means accept (unless `requirePolicy`, RFC 8212). */
  readonly import?: readonly string[];
  readonly export?: readonly string[];
}

/**
 * `false` leaves a capability out of our OPEN, and with it what it stands for; default: all that the rest of the configuration asks for.
 * A peer that refuses one in its NOTIFICATION is asked again without it by itself (RFC 5492 section 3).
 */
export interface CapabilitiesConfig {
  /** RFC 4760. Without it the session carries IPv4 alone. */
  readonly multiprotocol?: boolean;
  /** RFC 2918. */
  readonly routeRefresh?: boolean;
  /** RFC 7313. */
  readonly enhancedRouteRefresh?: boolean;
  /** RFC 8654. Without it no message has more than 4096 octets, either way. */
  readonly extendedMessage?: boolean;
  /** RFC 6793. Without it AS numbers above 65535 are 23456 to the peer, and their real path goes along as AS4_PATH. */
  readonly fourOctetAs?: boolean;
  /** RFC 8950. */
  readonly extendedNextHop?: boolean;
  /** RFC 4724, RFC 8538. Without it neither end keeps the other's routes over a restart. */
  readonly gracefulRestart?: boolean;
  /** RFC 9494. */
  readonly longLivedGracefulRestart?: boolean;
  /** RFC 7911. */
  readonly addPath?: boolean;
  /** RFC 9234. The peer's role is checked all the same. */
  readonly role?: boolean;
}

export type CapabilityName = keyof CapabilitiesConfig;

/** A peer is told by its address, or by the interface at whose other end it is. */
export type PeerConfig = AddressedPeerConfig | UnnumberedPeerConfig;

export type AddressedPeerConfig = SessionConfig &
  PeerFields & {
    /** A link-local address names its interface: "fe80::1%eth0", or `interface` beside it does. */
    readonly address: string;
    readonly interface?: string;
  };

/**
 * An unnumbered peer: the router that is heard on this interface by its Router Advertisements (RFC 4861), or connects over it from a
 * link-local address. One per interface.
 */
export type UnnumberedPeerConfig = SessionConfig &
  PeerFields & {
    readonly interface: string;
    readonly address?: undefined;
  };

export interface PeerFields {
  /** Shown in tables; default is the address, or the interface of an unnumbered peer. Unique. */
  readonly name?: string;
  /** Default 179. */
  readonly port?: number;
  /** `external`: any but our own; `internal`: our own. */
  readonly remoteAs: number | 'external' | 'internal';
  /** Source address of the session. */
  readonly localAddress?: string;
  /** Source port of the session; default: the kernel's choice. */
  readonly localPort?: number;
  /** Wait for the peer to connect. */
  readonly passive?: boolean;
  /** Configured, but kept down (Cease/2). */
  readonly shutdown?: boolean;
}

export type DynamicPeersConfig = SessionConfig & DynamicPeersFields;

export interface DynamicPeersFields {
  /** Unique; a peer out of the range is called "<name>/<address>". */
  readonly name: string;
  /** Who may connect: "10.0.0.0/24"; fe80::/10 with `interface` is everybody on that link. */
  readonly range: string;
  readonly interface?: string;
  /** One AS, or any of several. */
  readonly remoteAs: number | readonly number[];
  /** Most peers at a time; default 100. */
  readonly limit?: number;
}

export interface BfdConfig {
  /** Milliseconds between packets, sent and expected; default 300 each, at least 10. */
  readonly transmitInterval?: number;
  readonly receiveInterval?: number;
  /** So many missing packets in a row are a failure; default 3. */
  readonly multiplier?: number;
  /**
   * Milliseconds between echoes, at least 10; absent: none. The peer has to forward, and for its echoes so does this machine: see
   * docs/bgp.md. Single hop only.
   */
  readonly echoInterval?: number;
}

export interface OriginatedPrefix {
  readonly prefix: string;
  /** Filters may match on these: `{ tag: ['node'] }`. Tortie uses block, node, service, borrowed. */
  readonly tags?: readonly string[];
  /** "64512:100" or "64512:1:2". */
  readonly communities?: readonly string[];
  /** RFC 4271 9.2.2.2: stands only while we originate a prefix inside it. */
  readonly aggregate?: {
    /** The prefixes inside are not announced beside it. */
    readonly summaryOnly: boolean;
  };
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
  /** Matches everything but this. */
  readonly not?: boolean;
}

/** Inclusive bounds; an absent one is none. */
export interface NumberRange {
  readonly min?: number;
  readonly max?: number;
}

export interface FilterMatch {
  /** A prefix with `not` matches whatever is not in it. */
  readonly prefixes?: readonly PrefixMatch[];
  /** Tags of an originated prefix. */
  readonly tags?: readonly string[];
  /** Where the route was learned. */
  readonly source?: readonly ('local' | 'ebgp' | 'ibgp')[];
  /** "64512:100", "64512:1:2", "target:64512:100", well-known names; `*` for any number. */
  readonly communities?: readonly string[];
  readonly families?: readonly FamilyName[];
  /** The session the route comes from (import) or goes to (export). */
  readonly peerTypes?: readonly ('ebgp' | 'ibgp')[];
  /** Name or address of that session's peer, `*` for any text, or a CIDR that holds its address. */
  readonly peers?: readonly string[];
  readonly peerAs?: readonly number[];
  /**
   * Interface that the route's next hop is reached over, on import and on export; `*` is a wildcard. Never holds for prefixes of our own,
   * and where several ways lead over different interfaces.
   */
  readonly interfaces?: readonly string[];
  /** The AS_PATH starts with these. */
  readonly asPathPrefix?: readonly number[];
  /** Regular expressions on the path as text, `_` for a boundary: "^65001_", "_65010$", "^$". */
  readonly asPath?: readonly string[];
  /** In hops, a set counting one. */
  readonly asPathLength?: NumberRange;
  /** Address or CIDR of NEXT_HOP. */
  readonly nextHops?: readonly string[];
  /** Absent MULTI_EXIT_DISC is 0, absent LOCAL_PREF 100. */
  readonly med?: NumberRange;
  readonly localPreference?: NumberRange;
  readonly origins?: readonly ('igp' | 'egp' | 'incomplete')[];
  /** Kernel metric set before; `none`: nobody has set one. */
  readonly kernelMetric?: number | 'none';
}

export interface FilterSet {
  readonly localPreference?: number;
  readonly med?: number | 'remove';
  readonly origin?: 'igp' | 'egp' | 'incomplete';
  /** For routes of its own family. */
  readonly nextHop?: string;
  /** Instead of all the route has. */
  readonly setCommunities?: readonly string[];
  readonly addCommunities?: readonly string[];
  /** Patterns as in `match`. */
  readonly removeCommunities?: readonly string[];
  /** Our own AS so many times. */
  readonly prepend?: number;
  /** These AS numbers, the first outermost. */
  readonly prependAs?: readonly number[];
  /** Import only: compared before LOCAL_PREF, never sent. */
  readonly weight?: number;
  readonly kernelMetric?: number;
}
