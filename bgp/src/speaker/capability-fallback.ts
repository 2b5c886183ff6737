/**
 * What each peer has refused of our OPEN, so that the next attempt leaves it out (RFC 5492 section 3; session/refused-capabilities.ts reads
 * the NOTIFICATIONs). In: the ends of attempts. Out: what to leave out of the next OPEN.
 *
 * Not for good: a peer is upgraded one day. The whole set is offered again to the first attempt that begins five minutes after the last
 * refusal, and whenever the session starts afresh for another reason: it had lived for a while, the configuration changed, the link came
 * back, an operator cleared it. A session that stands is left alone. This cannot go round in circles: between two tries of the whole set
 * each refusal makes the OPEN smaller, and one that makes it no smaller is met with the pauses of any failure.
 */
import type { Capability } from '../codec/capability.js';
import type { Clock } from '../session/clock.js';
import { keyOf, NOTHING_REFUSED, refusedBy, type RefusedCapabilities } from '../session/refused-capabilities.js';
import type { SessionEnd } from '../session/session-end.js';
import type { PeerSettings } from './peer-settings.js';

/** Milliseconds without a refusal after which everything is offered again. */
const FULL_AGAIN = 300_000;
/** Milliseconds; after a session that lived for so long the peer is taken to have changed since it last refused something. */
const LONG_LIFE = 60_000;
/** BOUNDED: peers out of ranges come and go, the oldest is forgotten first. */
const MOST_PEERS = 1024;

interface Refusal {
  readonly capabilities: readonly Capability[];
  readonly keys: RefusedCapabilities;
  readonly at: number;
}

export class CapabilityFallback {
  /** By the peer's name: a peer out of a range is made anew for each of its attempts. */
  private readonly refusals = new Map<string, Refusal>();

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  /** What the next OPEN leaves out. */
  next(peer: string): RefusedCapabilities {
    const refusal = this.refusals.get(peer);
    if (refusal !== undefined && this.clock.now() - refusal.at >= FULL_AGAIN) this.refusals.delete(peer);
    return this.refusals.get(peer)?.keys ?? NOTHING_REFUSED;
  }

  /** What the peer has refused so far, for people. */
  refused(peer: string): readonly Capability[] {
    return this.refusals.get(peer)?.capabilities ?? [];
  }

  /** A session is over that had stood for so many milliseconds. */
  outlived(peer: string, lived: number): void {
    if (lived > LONG_LIFE) this.forget(peer);
  }

  /** An attempt that sent these capabilities is over. Answers what it has taught: what will be left out from now on. */
  learn(
    settings: PeerSettings,
    { direction, notification }: SessionEnd,
    sent: readonly Capability[],
  ): readonly Capability[] {
    if (direction !== 'received' || notification === undefined) return [];
    const known = this.refusals.get(settings.name);
    const news = refusedBy(notification, sent).filter(
      (capability) => known?.keys.has(keyOf(capability)) !== true && isDispensable(capability, settings),
    );
    if (news.length === 0) return [];
    const capabilities = [...(known?.capabilities ?? []), ...news];
    this.refusals.delete(settings.name);
    const [oldest] = this.refusals.keys();
    if (this.refusals.size >= MOST_PEERS && oldest !== undefined) this.refusals.delete(oldest);
    this.refusals.set(settings.name, { capabilities, keys: new Set(capabilities.map(keyOf)), at: this.clock.now() });
    return news;
  }

  /** The next attempt offers everything. */
  forget(peer: string): void {
    this.refusals.delete(peer);
  }
}

/** An OPEN without families means IPv4 (RFC 4760 section 8): where that is not wanted they have to stay. */
const isDispensable = ({ type }: Capability, { families }: PeerSettings): boolean =>
  type !== 'multiprotocol' || families.includes(4);
