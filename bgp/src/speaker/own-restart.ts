/**
 * Graceful restart of this very speaker (RFC 4724 section 4.1): after a crash the kernel still forwards by the old routes and the
 * peers keep ours. Nothing is selected, advertised or taken out of the kernel until the peers have told us everything again.
 *
 * But for our own prefixes, which no peer can tell us about: those are said as soon as a session is up. Others may reach us by them
 * only, and after a second crash within the first restart a router has forgotten them.
 *
 * We wait for the End-of-RIB of each peer that can send one. Not for peers without the capability, not for long for peers that
 * do not answer: one dead neighbour must not hold up the rack; their share of the kernel's routes is swept with the rest, which is
 * what their death should lead to. And not for long for peers that say they restart themselves (R bit): two speakers would wait
 * for each other, so section 4.1 excludes them; but FRR sets the bit for its first two minutes whatever happened before, and
 * sends its table a second or two after the session is up, so a router that had just booted would lose its routes for as long.
 */
import type { Family } from '../address.js';
import type { NegotiatedSession } from '../codec/negotiated.js';
import type { Clock } from '../session/clock.js';

/** Seconds for a peer to come up at all. */
const ANSWER_TIME = 15;
/** Seconds for a peer that is up and restarts itself; it holds back for us no longer than we do for it. */
const RESTARTING_TIME = 5;
/** Peers named in a sentence. */
const MOST_NAMED = 5;

export class OwnRestart {
  /** Families still to come by peer name; undefined: the peer is not up yet. */
  private readonly waitingFor = new Map<string, Set<Family> | undefined>();
  /** Peers that were not waited for to the end. */
  private readonly givenUp = new Set<string>();
  private timers: { cancel(): void }[] = [];
  private isOver = false;

  /** `selectionTime`: Selection_Deferral_Timer, in seconds. */
  constructor(
    private readonly clock: Clock,
    selectionTime: number,
    private readonly done: (reason: string) => void,
  ) {
    this.timers = [
      clock.after(Math.min(ANSWER_TIME, selectionTime) * 1000, () => this.giveUpOnSilent()),
      clock.after(selectionTime * 1000, () =>
        this.finish(`Not every peer had sent its End-of-RIB after ${selectionTime} s`),
      ),
    ];
  }

  get isActive(): boolean {
    return !this.isOver;
  }

  /** The peers of the configuration; those that come and go later are added and removed. */
  expect(peers: readonly string[]): void {
    for (const name of this.waitingFor.keys()) if (!peers.includes(name)) this.waitingFor.delete(name);
    for (const name of peers) if (!this.waitingFor.has(name)) this.waitingFor.set(name, undefined);
    this.check();
  }

  up(peer: string, negotiated: NegotiatedSession): void {
    const capability = negotiated.gracefulRestart;
    if (capability === undefined) this.waitingFor.delete(peer);
    else if (this.waitingFor.has(peer)) this.waitingFor.set(peer, new Set(negotiated.families));
    if (capability?.restarting === true && !this.isOver)
      this.timers.push(this.clock.after(RESTARTING_TIME * 1000, () => this.giveUpOn(peer)));
    this.check();
  }

  endOfRib(peer: string, family: Family): void {
    const families = this.waitingFor.get(peer);
    if (families === undefined) return;
    families.delete(family);
    if (families.size === 0) this.waitingFor.delete(peer);
    this.check();
  }

  /** Stops waiting without a word: the speaker itself ends. */
  cancel(): void {
    this.isOver = true;
    for (const timer of this.timers) timer.cancel();
  }

  private giveUpOn(peer: string): void {
    if (this.waitingFor.delete(peer)) this.givenUp.add(peer);
    this.check();
  }

  private giveUpOnSilent(): void {
    for (const [name, families] of [...this.waitingFor]) if (families === undefined) this.giveUpOn(name);
    this.check();
  }

  private check(): void {
    if (this.waitingFor.size > 0) return;
    const names = [...this.givenUp];
    const some = names.slice(0, MOST_NAMED).join(', ') + (names.length > MOST_NAMED ? ', ...' : '');
    this.finish(`Every peer${names.length === 0 ? '' : ` but ${some}`} has sent its End-of-RIB`);
  }

  private finish(reason: string): void {
    if (this.isOver) return;
    this.cancel();
    this.done(reason);
  }
}
