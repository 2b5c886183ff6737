/**
 * Graceful restart as a helper (RFC 4724 section 4.2, RFC 8538, RFC 9494): routes of a peer that went away are kept as stale until
 * it is back and has sent them again, or until its time is up. Every peer and family has a timer of its own, so that one dead
 * peer delays nobody.
 *
 * Life of a family's stale routes: `restarting` (peer away, its restart time runs), then `refreshing` (peer back, End-of-RIB
 * outstanding) or, when it did not come back and LLGR was agreed, `long-lived` (least preferred, its stale time runs, and goes on
 * running while the peer is back: RFC 9494 section 4.3). A peer that goes away again while `refreshing` loses what it had not repeated.
 */
import type { Family } from '../address.js';
import type { NegotiatedSession } from '../codec/negotiated.js';
import { Afi, CeaseCode, ErrorCode, Safi } from '../iana.js';
import type { PeerId } from '../rib/rib-peer.js';
import type { Rib } from '../rib/contract.js';
import type { Clock } from '../session/clock.js';
import type { SessionEnd } from '../session/session-end.js';

/** How long a peer that is back may take for its End-of-RIB; seconds. Others use six minutes too. */
const REFRESH_TIME = 360;

type Phase = 'restarting' | 'refreshing' | 'long-lived';

interface Stale {
  readonly phase: Phase;
  readonly endsAt: number;
  readonly timer: { cancel(): void };
}

export interface StaleView {
  readonly family: Family;
  readonly phase: Phase;
  /** Seconds until the routes go. */
  readonly remaining: number;
}

interface AfiSafi {
  readonly afi: number;
  readonly safi: number;
}

const isUnicast =
  (family: Family) =>
  ({ afi, safi }: AfiSafi): boolean =>
    afi === (family === 4 ? Afi.ipv4 : Afi.ipv6) && safi === Safi.unicast;

/**
 * Families whose routes outlive this end of the session. RFC 4724 keeps them when TCP ends without a NOTIFICATION; RFC 8538 also
 * after one, unless it is a Hard Reset, if both sides said so. What we end on purpose is not kept: the caller says so by `isOurs`.
 */
export function familiesToKeep(negotiated: NegotiatedSession, end: SessionEnd, isOurs: boolean): readonly Family[] {
  const capability = negotiated.gracefulRestart;
  if (capability === undefined || isOurs) return [];
  const { notification } = end;
  const isHardReset = notification?.code === ErrorCode.cease && notification.subcode === CeaseCode.hardReset;
  if (notification !== undefined && (isHardReset || !negotiated.notificationRestart)) return [];
  const longLived = negotiated.longLivedGracefulRestart?.families ?? [];
  return negotiated.families.filter(
    (family) =>
      (capability.restartTime > 0 && capability.families.some(isUnicast(family))) || longLived.some(isUnicast(family)),
  );
}

export class RestartHelper {
  private readonly stale = new Map<PeerId, Map<Family, Stale>>();

  constructor(
    private readonly clock: Clock,
    private readonly rib: () => Rib,
    private readonly swept: (id: PeerId, family: Family, reason: string) => void,
  ) {}

  /** The session is gone and the RIB has marked these families stale. */
  keep(id: PeerId, families: readonly Family[], negotiated: NegotiatedSession): void {
    const restartTime = negotiated.gracefulRestart?.restartTime ?? 0;
    for (const family of families) {
      const staleTime = negotiated.longLivedGracefulRestart?.families.find(isUnicast(family))?.staleTime ?? 0;
      this.set(id, family, 'restarting', restartTime, () => {
        if (staleTime === 0) this.sweep(id, family, `The peer was not back after ${restartTime} s`);
        else this.keepLongLived(id, family, staleTime);
      });
    }
  }

  /** The peer is back under the same PeerId: what it did not preserve goes now, the rest when it has said all (section 4.2). */
  returned(id: PeerId, negotiated: NegotiatedSession): void {
    for (const family of [...(this.stale.get(id)?.keys() ?? [])]) {
      const preserved = [
        ...(negotiated.gracefulRestart?.families ?? []),
        ...(negotiated.longLivedGracefulRestart?.families ?? []),
      ];
      if (!preserved.some((entry) => isUnicast(family)(entry) && entry.forwardingPreserved))
        this.sweep(id, family, 'The peer came back without its forwarding state');
      else {
        const seconds = Math.min(REFRESH_TIME, this.longLivedLeft(id, family));
        this.set(id, family, 'refreshing', seconds, () =>
          this.sweep(id, family, `No End-of-RIB within ${Math.round(seconds)} s`),
        );
      }
    }
  }

  /** The peer goes away once more. The RIB lets what is still stale go, whatever is kept of the rest. */
  wentAgain(id: PeerId): void {
    for (const { family, phase } of this.view(id))
      if (phase === 'refreshing')
        this.swept(id, family, 'The peer went away again before it had repeated them (RFC 4724)');
    this.forget(id);
  }

  /** End-of-RIB has come; the RIB sweeps by itself. */
  finished(id: PeerId, family: Family): void {
    this.stale.get(id)?.get(family)?.timer.cancel();
    this.stale.get(id)?.delete(family);
    if (this.stale.get(id)?.size === 0) this.stale.delete(id);
  }

  /** Forgets a peer whose routes are gone by other means. */
  forget(id: PeerId): void {
    for (const family of [...(this.stale.get(id)?.keys() ?? [])]) this.finished(id, family);
  }

  /** Sweeps all that is kept of a peer, for instance because it was removed. */
  sweepAll(id: PeerId, reason: string): void {
    for (const family of [...(this.stale.get(id)?.keys() ?? [])]) this.sweep(id, family, reason);
  }

  holds(id: PeerId): boolean {
    return this.stale.has(id);
  }

  view(id: PeerId): readonly StaleView[] {
    return [...(this.stale.get(id) ?? [])].map(([family, { phase, endsAt }]) => ({
      family,
      phase,
      remaining: Math.max(0, Math.round((endsAt - this.clock.now()) / 1000)),
    }));
  }

  stop(): void {
    for (const id of [...this.stale.keys()]) this.forget(id);
  }

  /** Seconds. */
  private longLivedLeft(id: PeerId, family: Family): number {
    const stale = this.stale.get(id)?.get(family);
    return stale?.phase === 'long-lived' ? Math.max(0, (stale.endsAt - this.clock.now()) / 1000) : Infinity;
  }

  private keepLongLived(id: PeerId, family: Family, staleTime: number): void {
    this.rib().keepLongLived(id, family);
    this.set(id, family, 'long-lived', staleTime, () =>
      this.sweep(id, family, `The peer was not back after another ${staleTime} s (RFC 9494)`),
    );
  }

  private sweep(id: PeerId, family: Family, reason: string): void {
    this.finished(id, family);
    this.rib().sweepStale(id, family);
    this.swept(id, family, reason);
  }

  private set(id: PeerId, family: Family, phase: Phase, seconds: number, expired: () => void): void {
    const families = this.stale.get(id) ?? new Map<Family, Stale>();
    families.get(family)?.timer.cancel();
    families.set(family, {
      phase,
      endsAt: this.clock.now() + seconds * 1000,
      timer: this.clock.after(seconds * 1000, expired),
    });
    this.stale.set(id, families);
  }
}
