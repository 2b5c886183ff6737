import type { FsmEvent, Notification } from '../fsm/event.js';

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

/** Of the hold timer; 0 seconds: that of an OPEN that did not come. */
export const silenceText = (seconds: number): string =>
  seconds > 0
    ? `Nothing was heard from the peer for ${seconds} s (hold time); check the path to it, and whether it is alive`
    : 'The peer accepted the connection but sent no OPEN';

/** Of the send hold timer (RFC 9687). */
export const unreadText = (seconds: number): string => `The peer has read nothing for ${seconds} s`;

/** Where nothing better is known. */
export const endText = ({ type }: FsmEvent): string =>
  type === 'OpenMessage' ? 'The peer sent a second OPEN' : `The session ended by ${type}`;
