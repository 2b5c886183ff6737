/**
 * What the rest of the speaker says to BFD and hears from it. Plain data: it crosses a thread boundary.
 */
import type { Scheduling } from './libc.js';
import type { BfdState } from './packet.js';

/** One session somebody wants. Two wishes for the same peer, local address and kind are one session. */
export interface BfdSessionConfig {
  /** The peer's address; a link-local one names its interface: "fe80::1%eth0". */
  readonly peer: string;
  /** Source address of our packets; default: as the kernel routes. */
  readonly localAddress?: string;
  /** RFC 5883: over any number of hops, on port 4784 and with any TTL. Default: single hop, where only TTL 255 is heard (RFC 5881). */
  readonly multihop?: boolean;
  /** Milliseconds between packets that we want to send, and want to receive at most. */
  readonly transmitInterval: number;
  readonly receiveInterval: number;
  /** So many missing packets in a row are a failure. */
  readonly multiplier: number;
  /**
   * Milliseconds between echoes (RFC 5880 section 6.4), ours and at least the peer's; absent: none are sent and none promised to be looped.
   * Single hop only, and not between link-local addresses (RFC 5881 section 4).
   */
  readonly echoInterval?: number;
}

/** Names a session: the same for equal peer, local address and kind. */
export const bfdKey = ({ peer, localAddress = '', multihop = false }: BfdSessionConfig): string =>
  `${peer} ${localAddress} ${multihop ? 'multihop' : 'single-hop'}`;

export type BfdEvent =
  | {
      readonly type: 'state-changed';
      readonly key: string;
      readonly peer: string;
      readonly from: BfdState;
      readonly to: BfdState;
      /** Why, in words: ours, or the peer's when it is the peer that went down. */
      readonly reason: string;
      /**
       * Did the path fail? Only then should those who asked for the session act (RFC 5882 section 3.2): a peer that says AdminDown
       * has merely switched BFD off, and a session that was never up has proven nothing.
       */
      readonly isFailure: boolean;
    }
  /** Something that keeps BFD from working: a port that is taken, a missing privilege. Sessions stay as they are. */
  | { readonly type: 'problem'; readonly reason: string };

export interface BfdSessionStatus {
  readonly key: string;
  readonly config: BfdSessionConfig;
  readonly state: BfdState;
  readonly remoteState: BfdState;
  readonly diagnostic: string;
  readonly remoteDiagnostic: string;
  readonly localDiscriminator: number;
  readonly remoteDiscriminator: number;
  /** Milliseconds since 1970 of the last change of state. */
  readonly since: number;
  /** Times the session went from Up to Down. */
  readonly failures: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  /** Milliseconds; as negotiated. */
  readonly transmitInterval: number | undefined;
  readonly detectionTime: number | undefined;
  /** Present where echoes are wanted. */
  readonly echo?: BfdEchoStatus;
  /** The last packet that could not be sent, in words. */
  readonly sendError: string | undefined;
}

export interface BfdEchoStatus {
  /**
   * "off": the session is not up, or the peer loops no echoes; "unproven": echoes go out and none has come back in
   * time, so that control packets alone watch the path; "active": lost echoes are a failure.
   */
  readonly state: 'off' | 'unproven' | 'active';
  readonly sent: number;
  readonly returned: number;
  /** What keeps echoes from going out, in words. */
  readonly problem: string | undefined;
  /** Have we told the peer that we loop its echoes: does the kernel forward? */
  readonly loopsForPeer: boolean;
}

/** A session, and how the thread that runs them all is scheduled: "normal" means that a busy machine may delay it. */
export interface BfdStatus extends BfdSessionStatus {
  readonly scheduling: Scheduling;
}
