import type { BgpError } from '../codec/bgp-error.js';
import type { OpenMessage, RouteRefreshMessage } from '../codec/control-message.js';
import type { NegotiatedSession } from '../codec/negotiated.js';
import type { Notification } from '../fsm/event.js';
import type { FsmStateType } from '../fsm/state.js';
import { CeaseCode } from '../iana.js';
import type { Clock } from '../session/clock.js';
import { localOpen } from '../session/local-open.js';
import type { SessionEnd } from '../session/session-end.js';
import type { SessionOwner } from '../session/session-owner.js';
import { Session } from '../session/session.js';
import type { Connection, ConnectTarget, Transport } from '../transport/transport.js';
import { cease, hardened, isCollision } from './cease.js';
import { COLLISION_TEXT, COLLISION_WINDOW, HeldKeepalive, survivor } from './collisions.js';
import { haveNoFamily, type Opens } from './offers.js';
import { PeerBlocks, type Block, type BlockReason } from './peer-blocks.js';
import { inWords, type PeerFailures } from './peer-failures.js';
import type { PeerOwner } from './peer-owner.js';
import { attemptReasons, resetReasons, type PeerSettings } from './peer-settings.js';
import { furthest } from './peer-state.js';
import { connectTarget, openProblem, sessionParameters } from './session-parameters.js';

/** From a refusal of capabilities to the attempt without them. */
const REFUSAL_PAUSE = 100;

export class Peer implements SessionOwner<Session> {
  /** Times Established was reached. */
  establishedCount = 0;
  /** Milliseconds since 1970 of the last change from or to Established. */
  changedAt: number;
  private dialler: Session | undefined;
  private guest: Session | undefined;
  private current: Session | undefined;
  private readonly blocks = new PeerBlocks();
  private readonly failures: PeerFailures;
  private readonly heldKeepalive: HeldKeepalive;
  private shownState: FsmStateType = 'Idle';
  private isStarted = false;
  /** All sessions are being ended: none is to start because another ends. */
  private isStopping = false;
  private delayedStart: { cancel(): void } | undefined;
  private lastOpens: Opens = {};

  constructor(
    private readonly owner: PeerOwner<Peer>,
    private currentSettings: PeerSettings,
  ) {
    this.changedAt = owner.clock.wallTime();
    this.heldKeepalive = new HeldKeepalive(owner.clock);
    this.failures = owner.failures.of(currentSettings.name);
  }

  get settings(): PeerSettings {
    return this.currentSettings;
  }
  get name(): string {
    return this.currentSettings.name;
  }
  get session(): Session | undefined {
    return this.current;
  }
  get isEstablished(): boolean {
    return this.current !== undefined;
  }
  get lastError(): PeerFailures['last'] {
    return this.failures.last;
  }
  /** Of the session, or of the last attempt; whatever came of it. */
  get opens(): Opens {
    return this.current === undefined
      ? this.lastOpens
      : { sent: this.current.ownOpen, received: this.current.peerOpen };
  }
  get transport(): Transport {
    return this.owner.transport;
  }
  get clock(): Clock {
    return this.owner.clock;
  }
  /** The furthest of its connections. */
  get state(): FsmStateType {
    return this.shownState;
  }
  /** Sessions end now because we want it so. */
  get isEnding(): boolean {
    return this.isStopping;
  }
  /** Why it is held down, undefined if it is not. */
  get blockedBy(): Block | undefined {
    return this.blocks.first;
  }

  // ---- calls of the speaker

  start(): void {
    this.isStarted = true;
    if (this.currentSettings.isShutdown) this.blocks.set('shutdown', 'Shut down by configuration');
    this.startDialler();
  }

  /** Ends everything with this peer, for good; without a notification the peer takes it for a crash and keeps our routes. */
  close(notification: Notification | undefined, text: string): void {
    this.isStarted = false;
    this.stopAll(notification, text);
  }

  /** Ends the sessions and starts afresh: `clear`, or settings that need a new session. */
  reset(notification: Notification, text: string): void {
    this.stopAll(notification, text);
    this.failures.startAfresh();
    this.startDialler();
  }

  /** Ends the established session for a reason of our own, and tries again after the usual pause. */
  fail(notification: Notification, text: string): void {
    const { current } = this;
    if (current === undefined) return;
    this.isStopping = true;
    current.fail(notification, text);
    this.isStopping = false;
    if (current !== this.dialler) this.startDialler();
  }

  /** Holds the peer down. Without a notification nothing is sent: the link is gone. */
  block(reason: BlockReason, text: string, notification?: Notification): void {
    if (this.blocks.set(reason, text)) this.stopAll(notification, text);
  }

  unblock(reason: BlockReason): void {
    if (!this.blocks.lift(reason)) return;
    this.failures.startAfresh();
    this.startDialler();
  }

  /** New settings; answers why the session was reset, or nothing if it lived on. */
  apply(settings: PeerSettings): readonly string[] {
    const before = this.currentSettings;
    this.currentSettings = settings;
    if (settings.isShutdown !== before.isShutdown) {
      if (settings.isShutdown)
        this.block('shutdown', 'Shut down by configuration', cease(CeaseCode.administrativeShutdown));
      else this.unblock('shutdown');
    }
    const reasons = resetReasons(before, settings);
    if (reasons.length > 0) {
      this.reset(cease(CeaseCode.otherConfigurationChange), `Configuration changed: ${reasons.join(', ')}`);
      if (reasons.includes('address') || reasons.includes('interface')) this.failures.forget();
    } else {
      if (settings.password !== undefined && settings.password !== before.password)
        this.exchangePassword(settings.password);
      if (settings.passive !== before.passive) this.startDialler();
      this.applyTimes(before);
    }
    return reasons;
  }

  /** The peer is reached at another of its addresses, by the session that stands. */
  adopt(settings: PeerSettings): void {
    this.currentSettings = settings;
  }

  /** Something has changed for the better (a link came up, the peer was heard of): do not wait for the next attempt. */
  hurry(): void {
    if (this.current === undefined && this.blocks.isFree) this.dialler?.hurry();
  }

  rename(name: string): void {
    this.currentSettings = { ...this.currentSettings, name };
  }

  /** Takes a connection of this peer, or closes it. */
  accept(connection: Connection): void {
    const reason = this.refusal();
    if (reason !== undefined) {
      connection.destroy();
      this.owner.refused(connection.remote.address, reason);
      return;
    }
    try {
      connection.setHopLimits(this.currentSettings.hopLimits);
    } catch (error) {
      connection.destroy();
      this.owner.refused(connection.remote.address, error instanceof Error ? error.message : String(error));
      return;
    }
    // The peer has one connection to us at most: what it opened before is dead, it only did not tell.
    this.guest?.lose('The peer opened another connection');
    this.guest = new Session(this, sessionParameters(this.currentSettings, true), 'incoming');
    this.guest.accept(connection);
  }

  // ---- SessionOwner

  target(): ConnectTarget {
    return connectTarget(this.currentSettings);
  }

  localOpen(): OpenMessage {
    const refused = this.owner.fallback.next(this.name);
    const sent = localOpen(this.currentSettings, this.owner.restartState(this), refused);
    this.lastOpens = { ...this.lastOpens, sent };
    return sent;
  }

  checkOpen(open: OpenMessage): BgpError | undefined {
    this.lastOpens = { ...this.lastOpens, received: open };
    return openProblem(this.currentSettings, open);
  }

  opened(session: Session, open: OpenMessage): boolean {
    if (this.current !== undefined && this.current !== session) {
      // Only a peer that can restart gets this far (see `refusal`): it has restarted (RFC 4724 section 5).
      this.replaceCurrent(this.current);
      return session.state !== 'Idle';
    }
    const other = this.otherThan(session);
    if (other?.state !== 'OpenConfirm') return true;
    const loser = survivor(this.currentSettings, open) === session.direction ? other : session;
    loser.dump();
    this.quieten(loser);
    return loser !== session;
  }

  /**
   * Both ends may see two connections at once and must keep the same one. The rule of 6.8 needs the OPENs of both; until the
   * other's has come, a connection that is going to lose is not established, or each end might kill what the other keeps.
   */
  mayEstablish(session: Session): boolean {
    const other = this.otherThan(session);
    if (
      other?.state !== 'OpenSent' ||
      session.peerOpen === undefined ||
      survivor(this.currentSettings, session.peerOpen) === session.direction
    )
      return true;
    this.heldKeepalive.hold(session);
    return false;
  }

  up(session: Session, negotiated: NegotiatedSession): void {
    this.current = session;
    this.failures.endPause();
    this.establishedCount++;
    this.changedAt = this.clock.wallTime();
    if (session === this.guest) this.guest = undefined;
    this.otherThan(session)?.stop(cease(CeaseCode.connectionCollision), COLLISION_TEXT);
    this.guest = undefined;
    this.owner.up(this, session, negotiated);
  }

  ended(session: Session, end: SessionEnd): void {
    const { negotiated } = session;
    const wasCurrent = session === this.current;
    if (session === this.guest) this.guest = undefined;
    this.heldKeepalive.release();
    const lived = wasCurrent ? this.clock.wallTime() - this.changedAt : undefined;
    if (!this.learn(session, end) && !this.isStopping && !isCollision(end))
      this.failures.count(end, { lived, isGuest: session.direction === 'incoming' });
    if (lived !== undefined) this.owner.fallback.outlived(this.name, lived);
    if (wasCurrent) {
      this.current = undefined;
      this.changedAt = this.clock.wallTime();
      this.failures.remember(end, this.inWords(end));
      if (negotiated !== undefined) this.owner.down(this, end, negotiated);
    } else if (!isCollision(end)) {
      this.failures.remember(end, this.inWords(end));
      this.owner.attemptFailed(this, end);
    }
    this.showState();
    if (session !== this.dialler || isCollision(end)) this.startDialler();
  }

  stateChanged(): void {
    this.showState();
  }

  update(session: Session, bytes: Uint8Array, start: number, end: number): BgpError | undefined {
    return session.negotiated === undefined
      ? undefined
      : this.owner.update(this, session.negotiated, bytes, start, end);
  }

  routeRefresh(_session: Session, message: RouteRefreshMessage): void {
    this.owner.routeRefresh(this, message);
  }

  batchEnd(): void {
    this.owner.batchEnd(this);
  }

  writable(): void {
    this.owner.writable(this);
  }

  // ---- inside

  /** A refusal that makes our OPEN smaller is no failure: it is answered at once. */
  private learn(session: Session, end: SessionEnd): boolean {
    if (haveNoFamily({ sent: session.ownOpen, received: session.peerOpen })) return false;
    const news = this.owner.fallback.learn(this.currentSettings, end, session.ownOpen?.capabilities ?? []);
    if (news.length === 0) return false;
    this.owner.capabilitiesRefused(this, news);
    this.clock.after(REFUSAL_PAUSE, () => this.hurry());
    return true;
  }

  private replaceCurrent(current: Session): void {
    current.lose('The peer opened a new session while this one stood: it has restarted');
    this.quieten(current);
  }

  /** A dialler that has made room for a guest must not dial again by itself; `ended` of the guest starts it. */
  private quieten(session: Session): void {
    if (session === this.dialler && this.guest !== undefined)
      session.stop(cease(CeaseCode.connectionCollision), COLLISION_TEXT);
  }

  private startDialler(): void {
    this.delayedStart?.cancel();
    this.delayedStart = undefined;
    if (
      !this.isStarted ||
      this.isStopping ||
      !this.blocks.isFree ||
      this.current !== undefined ||
      this.currentSettings.address === undefined
    )
      return;
    if (this.currentSettings.passive) {
      this.dialler?.stop(cease(CeaseCode.otherConfigurationChange), 'The peer is passive now');
      this.dialler = undefined;
      this.showState();
      return;
    }
    // A new machine, so that new settings take hold. One that waits or is busy is left alone.
    if (this.dialler !== undefined && this.dialler.state !== 'Idle') return;
    if (this.guest !== undefined) return;
    this.dialler?.stop(cease(CeaseCode.connectionCollision), COLLISION_TEXT);
    this.dialler = new Session(this, sessionParameters(this.currentSettings, false), 'outgoing');
    const wait = this.failures.pause;
    if (wait === 0) this.dialler.start();
    else {
      const { dialler } = this;
      this.delayedStart = this.clock.after(wait, () => {
        if (this.dialler === dialler && dialler.state === 'Idle' && this.current === undefined) dialler.start();
      });
    }
  }

  private stopAll(notification: Notification | undefined, text: string): void {
    this.isStopping = true;
    for (const session of new Set([this.current, this.guest, this.dialler])) {
      if (session === undefined) continue;
      if (notification === undefined) session.lose(text);
      session.stop(hardened(notification ?? cease(CeaseCode.administrativeReset), session), text);
    }
    this.isStopping = false;
    this.delayedStart?.cancel();
    this.guest = undefined;
    this.dialler = undefined;
    // A peer out of a range goes with each of its attempts.
    if (this.isStarted) this.owner.fallback.forget(this.name);
    this.showState();
  }

  private refusal(): string | undefined {
    const block = this.blockedBy;
    if (!this.isStarted) return `Peer ${this.name} is being removed`;
    if (block !== undefined) return `Peer ${this.name} is held down: ${block.text}`;
    if (this.failures.deafness > 0)
      return `Peer ${this.name} has just failed: ${this.lastError.sent?.text ?? this.lastError.received?.text ?? 'protocol error'}`;
    // Section 6.8: the established connection stays. RFC 4724 section 5 prefers the new one of a peer that can restart; but one that
    // comes in just after the first was still sent before the peer knew of that, and our OPEN on it would upset the peer's choice.
    const isNew = this.clock.wallTime() - this.changedAt < COLLISION_WINDOW;
    if (this.current !== undefined && (isNew || this.current.negotiated?.gracefulRestart === undefined))
      return `Peer ${this.name} already has a session`;
    return undefined;
  }

  private otherThan(session: Session): Session | undefined {
    return session === this.dialler ? this.guest : this.dialler;
  }

  inWords(end: SessionEnd): string {
    return inWords(end, this.currentSettings, this.lastOpens);
  }

  private exchangePassword(password: string): void {
    this.current?.setPassword(password);
    // An attempt under way has the old key.
    if (this.current === undefined)
      this.reset(cease(CeaseCode.otherConfigurationChange), 'Configuration changed: password');
  }

  /** What a session that stands can live on with; an attempt begins anew. */
  private applyTimes(before: PeerSettings): void {
    const { currentSettings, current } = this;
    const changed = attemptReasons(before, currentSettings);
    if (current === undefined && changed.length > 0)
      this.reset(cease(CeaseCode.otherConfigurationChange), `Configuration changed: ${changed.join(', ')}`);
    current?.retime(currentSettings);
  }

  private showState(): void {
    const states = [this.current, this.guest, this.dialler].map((session) => session?.state ?? 'Idle');
    const waiting: FsmStateType =
      this.isStarted && this.blocks.isFree && this.currentSettings.passive ? 'Active' : 'Idle';
    const state = furthest([...states, waiting]);
    if (state === this.shownState) return;
    this.shownState = state;
    this.owner.stateChanged(this, state);
  }
}
