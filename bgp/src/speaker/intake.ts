/**
 * Messages of established sessions on their way into the RIB: UPDATEs, ROUTE-REFRESHes, and what has to be seen to at the end of a read
 * (limits on prefixes, which changed settings ask for too). RFC 7606 says what a malformed UPDATE costs; RFC 2918 and 7313 what a
 * refresh asks for.
 */
import type { Family } from '../address.js';
import { strongest, type BgpError } from '../codec/bgp-error.js';
import type { RouteRefreshMessage } from '../codec/control-message.js';
import type { NegotiatedSession } from '../codec/negotiated.js';
import { decodeUpdate } from '../codec/update.js';
import { Afi, Safi } from '../iana.js';
import type { PeerId } from '../rib/rib-peer.js';
import type { MaxPrefixHolds } from './max-prefix-holds.js';
import { maxPrefixVerdict } from './max-prefixes.js';
import type { Monitoring } from './monitoring.js';
import type { Notices } from './notices.js';
import type { Peer } from './peer.js';
import type { RibDriver } from './rib-driver.js';

export interface IntakeOwner {
  readonly isConfigured: boolean;
  readonly driver: RibDriver;
  readonly monitoring: Monitoring;
  readonly notices: Notices;
  readonly holds: MaxPrefixHolds;
  idOf(peer: Peer): PeerId | undefined;
  endOfRib(peer: Peer, id: PeerId, family: Family): void;
}

export class Intake {
  constructor(private readonly owner: IntakeOwner) {}

  /** The error is one that ends the session. */
  update(
    peer: Peer,
    negotiated: NegotiatedSession,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): BgpError | undefined {
    const { owner } = this;
    const id = owner.idOf(peer);
    if (id === undefined) return undefined;
    const update = decodeUpdate(bytes, start, end, negotiated.decode);
    if (update.severity === 'reset') return strongest(update.errors);
    for (const { severity, reason } of update.errors)
      if (severity !== 'reset')
        owner.notices.once(peer, `update ${reason}`, { type: 'update-error', peer: peer.name, severity, reason });
    owner.monitoring.received(id, update, bytes, start, end, () => {
      if (update.endOfRib !== undefined) owner.endOfRib(peer, id, update.endOfRib);
      else owner.driver.rib.receive(id, update);
    });
    return undefined;
  }

  routeRefresh(peer: Peer, { afi, safi, subtype }: RouteRefreshMessage): void {
    const id = this.owner.idOf(peer);
    const negotiated = peer.session?.negotiated;
    const family = afi === Afi.ipv4 ? 4 : afi === Afi.ipv6 ? 6 : undefined;
    if (
      id === undefined ||
      negotiated === undefined ||
      family === undefined ||
      safi !== Safi.unicast ||
      !negotiated.families.includes(family)
    )
      return;
    const { rib } = this.owner.driver;
    if (subtype === 'request') rib.refresh(id, family, negotiated.enhancedRouteRefresh);
    else if (subtype === 'begin' && negotiated.enhancedRouteRefresh) rib.beginRefresh(id, family);
    else if (subtype === 'end' && negotiated.enhancedRouteRefresh) rib.endRefresh(id, family);
  }

  /** All that came with one read has been handed over. */
  batchEnd(peer: Peer): void {
    const { owner } = this;
    if (owner.idOf(peer) === undefined || !owner.isConfigured) return;
    // Before anything goes out of a peer that has just sent too much.
    if (this.keepsLimits(peer)) owner.driver.inputDone();
  }

  /** Of what the peer has sent so far; false: it was more than it may, and the session has ended. */
  keepsLimits(peer: Peer): boolean {
    const { owner } = this;
    const id = owner.idOf(peer);
    if (id === undefined) return true;
    for (const family of peer.session?.negotiated?.families ?? []) {
      const { received } = owner.driver.rib.queries.counts(id, family);
      const { maxPrefixes } = peer.settings;
      const verdict = maxPrefixVerdict(maxPrefixes, family, received);
      if (verdict.type === 'ok') continue;
      if (verdict.type === 'warn')
        owner.notices.once(peer, `max-prefixes ${family} ${verdict.level} ${maxPrefixes.limit}`, {
          type: 'peer-warning',
          peer: peer.name,
          reason: verdict.text,
        });
      else {
        owner.holds.stop(peer, verdict);
        return false;
      }
    }
    return true;
  }
}
