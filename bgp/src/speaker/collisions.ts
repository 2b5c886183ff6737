/**
 * Two connections with one peer at once (RFC 4271 section 6.8): which of them stays, and the KEEPALIVE that is held back until both
 * ends can know. Whose connections they are and what becomes of the loser is the peer's business.
 */
import type { OpenMessage } from '../codec/control-message.js';
import { openAs } from '../codec/open.js';
import { resolveCollision } from '../fsm/collision.js';
import type { Clock } from '../session/clock.js';
import type { Session } from '../session/session.js';
import type { PeerSettings } from './peer-settings.js';

/** How long a KEEPALIVE is held back for the connection that will win the collision. */
const PATIENCE = 1000;

/** Milliseconds; a second connection so soon after the first is a collision, not a restart. */
export const COLLISION_WINDOW = 5000;

export const COLLISION_TEXT = 'Closed in favour of the other connection with this peer';

/** The direction of the connection that stays. */
export function survivor(
  { routerId, localAs }: Pick<PeerSettings, 'routerId' | 'localAs'>,
  open: OpenMessage,
): Session['direction'] {
  const verdict = resolveCollision(
    { identifier: routerId, as: localAs },
    { identifier: open.identifier, as: openAs(open) },
  );
  return verdict === 'ours' ? 'outgoing' : 'incoming';
}

/** A KEEPALIVE that would establish a connection which is going to lose; one at a time. */
export class HeldKeepalive {
  private held: { readonly session: Session; readonly timer: { cancel(): void } } | undefined;

  constructor(private readonly clock: Clock) {}

  hold(session: Session): void {
    this.held?.timer.cancel();
    this.held = { session, timer: this.clock.after(PATIENCE, () => this.release()) };
  }

  release(): void {
    const { held } = this;
    this.held = undefined;
    held?.timer.cancel();
    held?.session.confirm();
  }
}
