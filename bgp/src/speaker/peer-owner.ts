/** Between a peer and the speaker (peer.ts). */
import type { BgpError } from '../codec/bgp-error.js';
import type { Capability } from '../codec/capability.js';
import type { RouteRefreshMessage } from '../codec/control-message.js';
import type { NegotiatedSession } from '../codec/negotiated.js';
import type { FsmStateType } from '../fsm/state.js';
import type { Clock } from '../session/clock.js';
import type { RestartState } from '../session/local-open.js';
import type { SessionEnd } from '../session/session-end.js';
import type { Session } from '../session/session.js';
import type { Transport } from '../transport/transport.js';
import type { CapabilityFallback } from './capability-fallback.js';
import type { FailureMemory } from './failure-memory.js';

/** What a peer needs of its owner, and tells it. */
export interface PeerOwner<Peer> {
  readonly transport: Transport;
  readonly clock: Clock;
  /** What peers have refused of our OPENs. */
  readonly fallback: CapabilityFallback;
  /** What went wrong with the peer of this name: of one out of a range, also before it was made. */
  readonly failures: FailureMemory;
  restartState(peer: Peer): RestartState;
  stateChanged(peer: Peer, state: FsmStateType): void;
  up(peer: Peer, session: Session, negotiated: NegotiatedSession): void;
  down(peer: Peer, end: SessionEnd, negotiated: NegotiatedSession): void;
  attemptFailed(peer: Peer, end: SessionEnd): void;
  /** The next attempt leaves these out. */
  capabilitiesRefused(peer: Peer, capabilities: readonly Capability[]): void;
  refused(address: string, reason: string): void;
  update(
    peer: Peer,
    negotiated: NegotiatedSession,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): BgpError | undefined;
  routeRefresh(peer: Peer, message: RouteRefreshMessage): void;
  batchEnd(peer: Peer): void;
  writable(peer: Peer): void;
}
