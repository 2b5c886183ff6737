/**
 * What can happen to one BGP connection: the events of RFC 4271 section 8.1, by the RFC's names and numbers, and the one
 * that RFC 9687 adds. Messages have been decoded and checked before they become events; the FSM never sees bytes.
 *
 * Not here: events 6 and 7 (start with damping). Damping is a property of the machine (`FsmOptions.dampPeerOscillations`)
 * and not of the start, because whoever starts a peer does not know how it last ended.
 */

/** The body of a NOTIFICATION (RFC 4271 section 4.5). */
export interface Notification {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

export type FsmEvent =
  /** 1 ManualStart, 4 ManualStart_with_PassiveTcpEstablishment. */
  | { readonly type: 'ManualStart'; readonly passive: boolean }
  /** 2: an operator stops the peer; the NOTIFICATION is a Cease whose subcode says why (RFC 4486, text by RFC 9003). */
  | { readonly type: 'ManualStop'; readonly notification: Notification }
  /** 3 AutomaticStart, 5 AutomaticStart_with_PassiveTcpEstablishment. */
  | { readonly type: 'AutomaticStart'; readonly passive: boolean }
  /** 8: the speaker itself stops the peer: too many prefixes, BFD down. */
  | { readonly type: 'AutomaticStop'; readonly notification: Notification }
  /** 9 */
  | { readonly type: 'ConnectRetryTimerExpires' }
  /** 10 */
  | { readonly type: 'HoldTimerExpires' }
  /** 11 */
  | { readonly type: 'KeepaliveTimerExpires' }
  /** 12 */
  | { readonly type: 'DelayOpenTimerExpires' }
  /** 13 */
  | { readonly type: 'IdleHoldTimerExpires' }
  /** 14: a SYN came in. Sockets do not show this; the event exists for completeness and changes nothing. */
  | { readonly type: 'TcpConnectionValid' }
  /** 15: a SYN came in from somebody we do not know. As above. */
  | { readonly type: 'TcpConnectionInvalid' }
  /** 16: our own connection attempt succeeded. */
  | { readonly type: 'TcpConnectionRequestAcked' }
  /** 17: the peer's connection was accepted. */
  | { readonly type: 'TcpConnectionConfirmed' }
  /** 18: refused, unreachable, reset or closed. */
  | { readonly type: 'TcpConnectionFails' }
  /** 19, or 20 while the DelayOpenTimer runs. `holdTime` is the negotiated one: the smaller of both OPENs, in seconds. */
  | { readonly type: 'OpenMessage'; readonly holdTime: number }
  /** 21 */
  | { readonly type: 'HeaderError'; readonly notification: Notification }
  /** 22 */
  | { readonly type: 'OpenMessageError'; readonly notification: Notification }
  /** 23: this connection lost against the other one with the same peer (section 6.8). */
  | { readonly type: 'OpenCollisionDump' }
  /** 24: the peer refused our version. */
  | { readonly type: 'NotificationVersionError' }
  /** 25 */
  | { readonly type: 'NotificationMessage' }
  /** 26 */
  | { readonly type: 'KeepaliveMessage' }
  /** 27; ROUTE-REFRESH (RFC 2918) counts as one, it is equally out of place before Established. */
  | { readonly type: 'UpdateMessage' }
  /** 28: an error that RFC 7606 still answers with a session reset. */
  | { readonly type: 'UpdateMessageError'; readonly notification: Notification }
  /** RFC 9687: nothing could be sent for this long, the peer does not read. */
  | { readonly type: 'SendHoldTimerExpires' };

export type FsmEventType = FsmEvent['type'];
