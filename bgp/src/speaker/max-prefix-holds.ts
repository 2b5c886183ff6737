/** Peers that sent too much: stopped, and let back in after `restartAfter` where that is configured (max-prefixes.ts judges). */
import type { Clock } from '../session/clock.js';
import type { MaxPrefixVerdict } from './max-prefixes.js';
import type { Peer } from './peer.js';

export class MaxPrefixHolds {
  /** BOUNDED by the peers. */
  private readonly timers = new Map<Peer, { cancel(): void }>();

  constructor(private readonly clock: Pick<Clock, 'after'>) {}

  stop(peer: Peer, { text, notification }: Extract<MaxPrefixVerdict, { readonly type: 'stop' }>): void {
    peer.block('max-prefixes', text, notification);
    const { restartAfter } = peer.settings.maxPrefixes;
    this.timers.get(peer)?.cancel();
    if (restartAfter !== undefined)
      this.timers.set(
        peer,
        this.clock.after(restartAfter * 1000, () => peer.unblock('max-prefixes')),
      );
  }

  /** It may send more now, or less is done about it: let it try. */
  release(peer: Peer): void {
    this.forget(peer);
    peer.unblock('max-prefixes');
  }

  /** The peer is gone. */
  forget(peer: Peer): void {
    this.timers.get(peer)?.cancel();
    this.timers.delete(peer);
  }

  stopAll(): void {
    for (const timer of this.timers.values()) timer.cancel();
  }
}
