/**
 * What is told once and not for every message: the same trouble with a peer until its next session, the same refused connection in a
 * minute (refusals.ts). In: each occurrence. Out: the events worth telling. Not here: events that always are, which Core tells itself.
 *
 * RFC 8212 (a peer without policy).
 */
import type { Clock } from '../session/clock.js';
import type { SpeakerEvent } from './event.js';
import type { Peer } from './peer.js';
import { Refusals } from './refusals.js';

/** Different things told of a peer until its next session. */
const MOST_TOLD = 64;

export class Notices {
  /** BOUNDED by the peers and MOST_TOLD. */
  private readonly told = new Map<Peer, Set<string>>();
  private readonly refusals: Refusals;

  constructor(
    clock: Pick<Clock, 'now'>,
    private readonly tell: (event: SpeakerEvent) => void,
  ) {
    this.refusals = new Refusals(clock);
  }

  /** Tells the event unless one with this key has been told of the peer. */
  once(peer: Peer, key: string, event: SpeakerEvent): void {
    const told = this.told.get(peer) ?? new Set();
    if (told.has(key) || told.size >= MOST_TOLD) return;
    this.told.set(peer, told.add(key));
    this.tell(event);
  }

  /** A new session, or the peer is gone. */
  forget(peer: Peer): void {
    this.told.delete(peer);
  }

  refused(address: string, reason: string): void {
    if (this.refusals.isNews(address, reason)) this.tell({ type: 'connection-refused', address, reason });
  }

  /** RFC 8212: who configured no policy wonders where the routes are. */
  noPolicy(peer: Peer): void {
    const { isImportClosed, isExportClosed } = peer.settings;
    const missing = [...(isImportClosed ? ['import'] : []), ...(isExportClosed ? ['export'] : [])];
    if (missing.length === 0) return;
    const what = isImportClosed ? (isExportClosed ? 'taken or sent' : 'taken') : 'sent';
    const reason =
      `No routes are ${what}: the peer names no ${missing.join(' and no ')} filter (RFC 8212); name one, or set ` +
      'requirePolicy to false';
    this.once(peer, 'no policy', { type: 'peer-warning', peer: peer.name, reason });
  }
}
