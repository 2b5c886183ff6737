/**
 * Which of the routers heard on an interface is the peer: a small machine without effects (RFC 4861 says how routers make themselves
 * known, nobody says which one an unnumbered session is with).
 *
 * The first one heard is the neighbour, and stays as long as a session with it stands or it is heard of. Another router on the same
 * segment is a rival: told once, never preferred, because two routers that take turns would be a session that flaps. When the neighbour has
 * no session and has been silent for three intervals, the next router heard takes its place: so a router that was replaced behind a
 * switch, where no carrier is lost, is found without anybody's help. With the link everything is forgotten.
 */
import type { IpAddress } from '../address.js';

/** Milliseconds from one advertisement to the next; FRR's for unnumbered peers. */
export const ADVERTISEMENT_INTERVAL = 10_000;
/** A neighbour without a session counts for so long after it was last heard. */
export const NEIGHBOUR_LIFETIME = 3 * ADVERTISEMENT_INTERVAL;
/** BOUNDED: rivals that were told; more are not told any more. */
const MOST_RIVALS = 8;

export interface Neighbour {
  readonly address: IpAddress;
  /** Clock milliseconds at which it was last heard. */
  readonly heardAt: number;
  readonly rivals: readonly IpAddress[];
}

export interface Heard {
  readonly now: number;
  readonly from: IpAddress;
  /** A session with the neighbour stands. */
  readonly isUp: boolean;
}

export type Verdict =
  | { readonly type: 'known'; readonly neighbour: Neighbour }
  /** From now on it is this one. */
  | { readonly type: 'found'; readonly neighbour: Neighbour }
  /** Somebody else is there; `isNew`: not told before. */
  | { readonly type: 'rival'; readonly neighbour: Neighbour; readonly isNew: boolean };

/** A router was heard, by an advertisement or because it connected. */
export function hear(neighbour: Neighbour | undefined, { now, from, isUp }: Heard): Verdict {
  if (
    neighbour === undefined ||
    (!isUp && now - neighbour.heardAt > NEIGHBOUR_LIFETIME && !same(neighbour.address, from))
  )
    return { type: 'found', neighbour: { address: from, heardAt: now, rivals: [] } };
  if (same(neighbour.address, from)) return { type: 'known', neighbour: { ...neighbour, heardAt: now } };
  const isNew = neighbour.rivals.length < MOST_RIVALS && !neighbour.rivals.some((rival) => same(rival, from));
  return { type: 'rival', isNew, neighbour: isNew ? { ...neighbour, rivals: [...neighbour.rivals, from] } : neighbour };
}

const same = (a: IpAddress, b: IpAddress): boolean => a.family === b.family && a.value === b.value;
