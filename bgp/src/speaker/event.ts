/**
 * What a speaker tells the world, as typed events: the source of logs, the history ring and metrics. Events never carry secrets.
 */
import type { Family } from '../address.js';
import type { FsmStateType } from '../fsm/state.js';

export type SpeakerEvent =
  | { readonly type: 'peer-state'; readonly peer: string; readonly state: FsmStateType }
  /** A session reached Established. */
  | {
      readonly type: 'peer-up';
      readonly peer: string;
      readonly remoteAs: number;
      readonly routerId: string;
      readonly families: readonly Family[];
      readonly holdTime: number;
    }
  /** It left Established. `keptFamilies` stay as stale routes (RFC 4724). */
  | {
      readonly type: 'peer-down';
      readonly peer: string;
      readonly direction: 'sent' | 'received' | 'local';
      readonly reason: string;
      readonly keptFamilies: readonly Family[];
    }
  /** An attempt came to nothing. Told once per reason, not once per attempt. */
  | {
      readonly type: 'attempt-failed';
      readonly peer: string;
      readonly direction: 'sent' | 'received' | 'local';
      readonly reason: string;
    }
  /**
   * A connection from somebody who is no peer, or from a peer that is held down. Once a minute per address and reason,
   * a hundred in all.
   */
  | { readonly type: 'connection-refused'; readonly address: string; readonly reason: string }
  /** An unnumbered peer's router was heard: from now on it is at this address. */
  | { readonly type: 'neighbour-found'; readonly peer: string; readonly address: string }
  | { readonly type: 'peer-warning'; readonly peer: string; readonly reason: string }
  /** Errors in UPDATEs that cost attributes or routes but not the session (RFC 7606). Told once per reason and session. */
  | {
      readonly type: 'update-error';
      readonly peer: string;
      readonly severity: 'discard' | 'withdraw';
      readonly reason: string;
    }
  | { readonly type: 'end-of-rib'; readonly peer: string; readonly family: Family }
  | { readonly type: 'stale-swept'; readonly peer: string; readonly family: Family; readonly reason: string }
  /** The restart of this speaker is over: routes are selected, advertised and forwarded from now on (RFC 4724 section 4.1). */
  | { readonly type: 'restart-done'; readonly reason: string }
  /** A BMP station (RFC 7854) took our connection, or lost it. */
  | { readonly type: 'bmp-up' | 'bmp-down'; readonly station: string; readonly reason: string }
  | { readonly type: 'listening'; readonly address: string; readonly port: number }
  | { readonly type: 'listen-failed'; readonly address: string; readonly port: number; readonly reason: string };

export type SpeakerEventListener = (event: SpeakerEvent) => void;
