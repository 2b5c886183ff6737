/** A session as the RIB knows it: who the peer is, what was agreed with it, and how its routes are to be treated. */
import type { Family, IpAddress } from '../address.js';
import type { RoutePolicy } from './policy.js';

/** A session incarnation in the RIB. Small integers, reused once everything of the old owner is gone. */
export type PeerId = number;

/**
 * What a peer is to us: decides which paths go where (RFC 4271 9.2, RFC 4456 6) and how they change on the way.
 * `rr-client` is an iBGP peer whose paths we reflect.
 */
export type PeerRole = 'ebgp' | 'ibgp' | 'rr-client';

/** NEXT_HOP of what we send: our own address, as it came, or an address from configuration. */
export type NextHopMode =
  | { readonly type: 'self' }
  | { readonly type: 'unchanged' }
  | { readonly type: 'address'; readonly address: IpAddress };

/** RFC 9234: our own role on the session; absent when roles are not used. */
export type LocalRole = 'provider' | 'route-server' | 'route-server-client' | 'customer' | 'peer';

/** How one family runs on a session, after capabilities met (RFC 5492). */
export interface FamilySession {
  readonly family: Family;
  /** RFC 7911: NLRI we receive / send carry a path identifier. */
  readonly addPathReceive?: boolean;
  readonly addPathSend?: boolean;
  /** RFC 8950: IPv4 NLRI with an IPv6 next hop is agreed; then all IPv4 NLRI goes out in MP_REACH_NLRI. */
  readonly extendedNextHop?: boolean;
  /**
   * Our address as a next hop on this session, in network order: 4 octets, 16, or 32 (global and link-local, RFC 2545).
   * Without it the family is received but nothing that needs next-hop-self is sent.
   */
  readonly nextHopSelf?: Uint8Array;
}

export interface RibPeer {
  /** Unique among peers that are up or stale; a session that comes back under this name takes its stale paths over. */
  readonly name: string;
  readonly role: PeerRole;
  /** Address of the other side; the last tie-break (RFC 4271 9.1.2.2 g). */
  readonly address: IpAddress;
  readonly remoteAs: number;
  /** The AS we speak as on this session (local-as). */
  readonly localAs: number;
  /** Only that one stands in what we send (RFC 7705 section 3.3); default: our own behind it. */
  readonly localAsOnly?: boolean;
  /** BGP Identifier of the peer, unsigned 32 bits. */
  readonly routerId: number;
  readonly families: readonly FamilySession[];
  /** Interface of the session: next hops that are link-local are looked for here, and shown to filters. */
  readonly interfaceName?: string;
  /** eBGP to a directly connected neighbour: its next hops must be connected, never resolved through other routes. */
  readonly singleHop: boolean;
  /** RFC 6793: both sides speak four-octet AS numbers; otherwise AS4_PATH is made on the way out. Default true. */
  readonly fourOctetAs?: boolean;
  /** RFC 8654: messages of up to 65,535 octets. */
  readonly extendedMessage?: boolean;
  /** How often our own AS may stand in a received AS_PATH; default 0. */
  readonly allowLocalAs?: number;
  /** Replace the peer's own AS in what we send by ours. */
  readonly asOverride?: boolean;
  /** Strip private AS numbers (RFC 6996) from what we send: only when the path has no public one, or all of them. */
  readonly removePrivateAs?: 'only-private' | 'all';
  /** Default: self for eBGP, unchanged for iBGP. */
  readonly nextHop?: NextHopMode;
  readonly localRole?: LocalRole;
  /** Added to the decision before LOCAL_PREF, never sent; default 0. */
  readonly weight?: number;
  /** Paths of a prefix to send where ADD-PATH is agreed, best first; default: all usable ones. */
  readonly addPathLimit?: number;
  /** RFC 8326: add GRACEFUL_SHUTDOWN to everything sent (we are draining). */
  readonly gracefulShutdown?: boolean;
  /** Peer advertised LLGR (RFC 9494): it may be sent stale routes. */
  readonly longLivedGracefulRestart?: boolean;
  /** Absent: accept everything unchanged. */
  readonly importPolicy?: RoutePolicy;
  readonly exportPolicy?: RoutePolicy;
}

export const sessionOf = (options: RibPeer, family: Family): FamilySession | undefined =>
  options.families.find((session) => session.family === family);

/** Do they treat what the peer tells in different ways? */
export const importDiffers = (a: RibPeer, b: RibPeer): boolean =>
  a.importPolicy?.key !== b.importPolicy?.key ||
  a.allowLocalAs !== b.allowLocalAs ||
  a.localRole !== b.localRole ||
  a.weight !== b.weight;
