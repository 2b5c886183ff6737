/**
 * What has gone wrong with a peer: the last error of each direction in words, and how long it is not met again because of it.
 *
 * A peer that breaks the protocol again and again is met less and less often (RFC 4271 section 8.1.1, DampPeerOscillations). Ends that are
 * nobody's fault (Cease, an expired timer, a lost connection) do not count, but where one short session follows the other.
 *
 * That is about dialling, and about who came in and broke the protocol. An OPEN that one end refuses is a mistake of somebody who is about
 * to correct it, mostly at the other end, where nobody can call `clear` here: who dials after that is heard again within seconds.
 */
import { formatIpv4 } from '../address.js';
import { innerReason } from '../codec/notification.js';
import { CeaseCode, ErrorCode, OpenError } from '../iana.js';
import type { Clock } from '../session/clock.js';
import type { SessionEnd } from '../session/session-end.js';
import { familiesText, haveNoFamily, type Opens } from './offers.js';
import { peerAddressText, type PeerSettings } from './peer-settings.js';

export interface LastError {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly text: string;
  /** Does not explain what fails later. */
  readonly isHistory: boolean;
}

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;
/** Of who dials us, after an OPEN was refused. */
const LONGEST_DEAFNESS = 4000;
/** Milliseconds; a session that ends sooner was hardly one. */
const SHORT_LIFE = 10_000;
/** So many in a row cost nothing: a daemon that is restarted by hand, a link that settles. */
const FREE_SHORT_LIVES = 5;
const NOBODYS_FAULT: ReadonlySet<number> = new Set([
  ErrorCode.cease,
  ErrorCode.holdTimerExpired,
  ErrorCode.sendHoldTimerExpired,
]);
/** Of who means to come back at once: they do not say why it does not. */
const RESETS: ReadonlySet<number> = new Set([CeaseCode.administrativeReset, CeaseCode.otherConfigurationChange]);
const DIRECTIONS = ['sent', 'received', 'local'] as const satisfies readonly SessionEnd['direction'][];

export class PeerFailures {
  /** In words, both ways. */
  readonly last: Partial<Record<SessionEnd['direction'], LastError>> = {};
  private inARow = 0;
  private shortLives = 0;
  private pausedUntil = 0;
  private deafUntil = 0;

  constructor(private readonly clock: Clock) {}

  /** Milliseconds until the peer may be met again; 0: now. */
  get pause(): number {
    return Math.max(0, this.pausedUntil - this.clock.now());
  }

  /** Milliseconds until a connection of the peer's own is taken again; 0: now. */
  get deafness(): number {
    return Math.max(0, this.deafUntil - this.clock.now());
  }

  /** The reason to wait is gone. */
  endPause(): void {
    this.pausedUntil = this.deafUntil = 0;
  }

  /** With other settings, say: what went wrong so far is no reason to wait, and explains nothing of what follows. */
  startAfresh(): void {
    for (const direction of DIRECTIONS) {
      const error = this.last[direction];
      if (error !== undefined) this.last[direction] = { ...error, isHistory: true };
    }
    this.endPause();
  }

  /** Another neighbour has this place now. */
  forget(): void {
    for (const direction of DIRECTIONS) delete this.last[direction];
    this.inARow = this.shortLives = 0;
    this.endPause();
  }

  /** One more end. */
  count(
    { notification }: SessionEnd,
    { lived, isGuest }: { readonly lived: number | undefined; readonly isGuest: boolean },
  ): void {
    if (lived !== undefined && lived > LONGEST_PAUSE) this.inARow = this.shortLives = 0;
    const code = notification === undefined ? undefined : innerReason(notification).code;
    if (code !== undefined && !NOBODYS_FAULT.has(code))
      return this.pauseFor(this.inARow++, code === ErrorCode.open ? LONGEST_DEAFNESS : LONGEST_PAUSE);
    // A peer that opens and ceases, over and over; what we dial ourselves has the pauses of the state machine.
    const isShort = lived === undefined ? isGuest && code === ErrorCode.cease : lived < SHORT_LIFE;
    if (isShort && ++this.shortLives > FREE_SHORT_LIVES) this.pauseFor(this.shortLives - FREE_SHORT_LIVES - 1);
  }

  private pauseFor(earlier: number, longestDeafness = LONGEST_PAUSE): void {
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** earlier);
    this.pausedUntil = this.clock.now() + pause;
    this.deafUntil = this.clock.now() + Math.min(pause, longestDeafness);
  }

  /** `text`: the end in words. */
  remember({ direction, notification }: SessionEnd, text: string): void {
    const reason = notification === undefined ? undefined : innerReason(notification);
    const isHistory = reason?.code === ErrorCode.cease && RESETS.has(reason.subcode);
    this.last[direction] = { at: this.clock.wallTime(), text, isHistory };
  }
}

/** Those that may be about capabilities. */
const REFUSALS: ReadonlySet<number> = new Set([
  OpenError.unsupportedParameter,
  OpenError.unsupportedCapability,
  OpenError.unspecific,
]);

/** What the codes alone do not say: both views of the commonest mistakes. */
export function inWords({ notification, direction, text }: SessionEnd, settings: PeerSettings, opens: Opens): string {
  if (notification?.code !== ErrorCode.open) return text;
  if (direction === 'received' && REFUSALS.has(notification.subcode) && haveNoFamily(opens))
    return `${text}: no address family in common; ${familiesText(opens)}`;
  const where = peerAddressText(settings);
  const own = formatIpv4(settings.routerId);
  if (direction === 'received' && notification.subcode === OpenError.badPeerAs)
    return `${text}: peer ${where} does not expect our AS ${settings.localAs}; compare its configuration`;
  if (direction === 'sent' && notification.subcode === OpenError.badPeerAs)
    return `${text}; correct "remoteAs" of peer ${where} here, or the AS over there`;
  if (direction === 'received' && notification.subcode === OpenError.badIdentifier)
    return `${text}: peer ${where} refuses our router id ${own}; is it the same on both ends?`;
  if (direction === 'received' && REFUSALS.has(notification.subcode) && !settings.families.includes(4))
    return `${text}: IPv6 needs the multiprotocol capability (RFC 4760), so peer ${where} is not asked without it`;
  if (direction === 'sent' && notification.subcode === OpenError.badIdentifier)
    return `${text}: peer ${where} has the same router id ${own} as we; each needs its own`;
  return text;
}
