import type { Notification } from '../fsm/event.js';

/** Why a connection ended. */
export interface SessionEnd {
  /** Who found out: we told the peer, the peer told us, or nobody could tell. */
  readonly direction: 'sent' | 'received' | 'local';
  /** What went over the wire, if anything did. */
  readonly notification: Notification | undefined;
  /** One sentence for people. */
  readonly text: string;
  /** Established was reached before. */
  readonly wasEstablished: boolean;
}
