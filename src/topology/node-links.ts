/**
 * Whether a peer is on a link of this node. Calico's BIRD says "multihop" of every session, so that a router behind a router is reached
 * like any other; a neighbour on a link has more: its session lives and dies with the carrier, BFD is the single-hop kind, and its routes
 * lead over that interface.
 *
 * A link counts also while it has no carrier: an outage must not turn one kind of session into the other.
 */
import { containsAddress, parsePrefix, type IpAddress } from 'node-bgp/address';
import { isLinkLocal } from 'node-bgp/session/interface';
import { isIgnored } from 'node-bgp/speaker/connectivity';
import type { NodeLink } from './node-side.js';

/** `ignored`: patterns of interfaces that are no links. */
export function isOnLink(address: IpAddress, links: readonly NodeLink[], ignored: readonly string[]): boolean {
  return (
    isLinkLocal(address) ||
    links.some(
      ({ name, prefixes }) =>
        !isIgnored(name, ignored) && prefixes.some((prefix) => containsAddress(parsePrefix(prefix), address)),
    )
  );
}
