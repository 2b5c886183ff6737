/**
 * Path attributes as readable data (RFC 4271 section 5 and the RFCs named at each field).
 *
 * This form is for policy, `show` commands and building routes of our own. The hot path carries the same attributes as a
 * *normalised block* instead: see update.ts for what that is, `parseAttributes` and `encodeAttributes` for the way between.
 * NEXT_HOP, MP_REACH_NLRI and MP_UNREACH_NLRI are not attributes here: they belong to the NLRI they came with.
 */
export type OriginName = 'igp' | 'egp' | 'incomplete';

export interface AsPathSegment {
  readonly type: 'sequence' | 'set' | 'confed-sequence' | 'confed-set';
  readonly members: readonly number[];
}

export interface LargeCommunity {
  readonly global: number;
  readonly local1: number;
  readonly local2: number;
}

export interface Aggregator {
  readonly as: number;
  /** Unsigned 32 bits. */
  readonly address: number;
}

/** An attribute this library has no row for; only transitive ones survive decoding, with the Partial bit set. */
export interface UnknownAttribute {
  readonly flags: number;
  readonly code: number;
  readonly value: Uint8Array;
}

export interface PathAttributes {
  readonly origin: OriginName;
  readonly asPath: readonly AsPathSegment[];
  readonly med?: number;
  readonly localPreference?: number;
  readonly atomicAggregate?: true;
  readonly aggregator?: Aggregator;
  /** RFC 1997, unsigned 32 bits each, in the order received. */
  readonly communities?: readonly number[];
  /** RFC 4456. */
  readonly originatorId?: number;
  readonly clusterList?: readonly number[];
  /** RFC 4360, unsigned 64 bits each. */
  readonly extendedCommunities?: readonly bigint[];
  /** RFC 5701, 20 octets each. */
  readonly ipv6ExtendedCommunities?: readonly Uint8Array[];
  /** RFC 8092. */
  readonly largeCommunities?: readonly LargeCommunity[];
  /** Only To Customer, RFC 9234. */
  readonly otc?: number;
  readonly unknown?: readonly UnknownAttribute[];
}
