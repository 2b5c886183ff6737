/**
 * Which of two connections with one peer stays (RFC 4271 section 6.8, with RFC 6286 for speakers of equal identifier).
 * Both ends compute this from the same two OPENs and so agree without a word.
 */

/** One end as its OPEN shows it; `identifier` is the unsigned 32-bit BGP Identifier. */
export interface CollisionSide {
  readonly identifier: number;
  readonly as: number;
}

/** The survivor, seen from us: the connection that we opened, or the one that the peer opened. */
export function resolveCollision(local: CollisionSide, remote: CollisionSide): 'ours' | 'theirs' {
  if (local.identifier !== remote.identifier) return local.identifier > remote.identifier ? 'ours' : 'theirs';
  // RFC 6286 section 2.3: equal identifiers are legal between autonomous systems; then the larger AS decides.
  return local.as > remote.as ? 'ours' : 'theirs';
}
