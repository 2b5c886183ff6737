/**
 * What a kernel event that we did not cause means for our routes. Nothing is mirrored from events: half of what happens is not told
 * (IPv4 routes that go with their nexthop object, objects that go with their interface), and IPv6 tells the same loss in two shapes.
 * An event says only that it is time to read.
 */
import type { IpPrefix } from 'node-bgp/address';
import { MAIN_TABLE, PROTOCOL_TORTIE_BGP, type KernelEvent } from '../dataplane/netlink/index.js';

/**
 * What we have to do with a prefix at a metric: our route should be there; the kernel refuses it, since somebody else has the place or for
 * another reason; a former process left it and nobody has confirmed it; or somebody takes it so often that it is left alone for now.
 */
export type FibClaim = 'wanted' | 'refused' | 'left' | 'held-back' | undefined;

/** `loss`: our routes may be gone or changed. `gain`: what was refused may be taken now. `left-gone`: what was left is gone. */
export type FibConsequence = 'loss' | 'gain' | 'left-gone' | undefined;

export function consequenceOf(
  event: KernelEvent,
  claimOf: (prefix: IpPrefix, metric: number) => FibClaim,
): FibConsequence {
  switch (event.type) {
    case 'resync':
      return 'loss';
    case 'nexthop':
      return event.nexthop.protocol === PROTOCOL_TORTIE_BGP ? 'loss' : undefined;
    case 'route': {
      const { route, isGone } = event;
      if (route.table !== MAIN_TABLE) return undefined;
      const claim = claimOf(route.prefix, route.metric);
      if (claim === 'held-back') return undefined;
      const isOurs = route.protocol === PROTOCOL_TORTIE_BGP;
      // Somebody's new route at our place may have replaced ours; a new one of our protocol is a stray.
      if (!isGone) return claim === 'wanted' || isOurs ? 'loss' : undefined;
      if (claim === 'refused') return 'gain';
      if (!isOurs) return undefined;
      return claim === 'wanted' ? 'loss' : claim === 'left' ? 'left-gone' : undefined;
    }
    case 'link':
    case 'address':
    case 'neighbour':
      return undefined;
  }
}
