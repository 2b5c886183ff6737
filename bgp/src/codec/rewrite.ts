/**
 * Turns a normalised attribute block into the one a peer (or update group) gets, as bytes, without parsing it: what export
 * does to nearly every route. Anything cleverer goes through parseAttributes and encodeAttributes.
 */
export interface AttributeRewrite {
  /** AS numbers to put in front of AS_PATH, nearest first (RFC 4271 section 5.1.2 b). */
  readonly prepend?: readonly number[];
  /** A number sets it; `{ default }` sets it where it is missing. Absent: as it is. */
  readonly localPreference?: number | 'remove' | { readonly default: number };
  readonly med?: number | 'remove';
  /** RFC 4456: add ORIGINATOR_ID unless there, put the cluster id in front of CLUSTER_LIST; or remove both. */
  readonly reflection?: 'remove' | { readonly originatorId: number; readonly clusterId: number };
  /** Add OTC unless there (RFC 9234 section 5). */
  readonly otc?: number;
  /** Drop extended communities that do not cross AS borders (RFC 4360 section 3). */
  readonly transitiveOnly?: boolean;
  /** false: two-octet AS_PATH with AS_TRANS, AS4_PATH, AS4_AGGREGATOR (RFC 6793 section 4.2.2). Default true. */
  readonly as4?: boolean;
}
