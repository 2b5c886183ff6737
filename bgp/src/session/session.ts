/**
 * One connection with a peer, from the first SYN to the last NOTIFICATION: the state machine (fsm/), carried out on a transport.
 *
 * In: calls of the owner (`start`, `accept`, `stop`), timers, bytes. Out: what `SessionOwner` is told. Control messages are decoded
 * here; UPDATEs go to the owner as bytes, because only the RIB's side knows what to do with them.
 *
 * A late callback of an old connection must not touch the next one: each connection gets its own closure that compares itself
 * with the current one.
 *
 * RFC 4271 sections 6 and 8; RFC 9687 (send hold). Not here: two connections with one peer, and everything about routes.
 */
import type { BgpError } from '../codec/bgp-error.js';
import { MessageFramer } from '../codec/framer.js';
import type { OpenMessage, RouteRefreshMessage } from '../codec/control-message.js';
import { decodeControlMessage } from '../codec/message.js';
import { negotiate, type NegotiatedSession } from '../codec/negotiated.js';
import { describeNotification, notificationOf } from '../codec/notification.js';
import type { FsmEvent, Notification } from '../fsm/event.js';
import {
  initialState,
  type FsmAction,
  type FsmOptions,
  type FsmState,
  type FsmStateType,
  type FsmTimer,
} from '../fsm/state.js';
import { step } from '../fsm/step.js';
import { ErrorCode, MessageType, OpenError } from '../iana.js';
import { noAnswer, type Connection } from '../transport/transport.js';
import { noMessages, type MessageCounters } from './message-counters.js';
import { endText, silenceText, unreadText, type SessionEnd } from './session-end.js';
import type { SessionOwner } from './session-owner.js';
import { SessionOutput } from './session-output.js';
import { Timers } from './timers.js';

export interface SessionParameters {
  readonly localAs: number;
  readonly enforceFirstAs: boolean;
  readonly maxAsPathLength: number;
  readonly maxAttributesLength: number;
  readonly extendedMessage: boolean;
  readonly fsm: FsmOptions;
}

export type SessionTimes = Pick<FsmOptions, 'keepaliveTime' | 'connectRetryTime' | 'delayOpenTime'>;

export class Session {
  readonly received: MessageCounters = noMessages();
  private machine: FsmState;
  private readonly timers: Timers;
  private readonly output: SessionOutput;
  private connection: Connection | undefined;
  private attempt: { cancel(): void } | undefined;
  private sentOpen: OpenMessage | undefined;
  private receivedOpen: OpenMessage | undefined;
  private negotiatedSession: NegotiatedSession | undefined;
  private end: Omit<SessionEnd, 'wasEstablished'> | undefined;
  private lastHeardAt = 0;
  private isKeepaliveHeld = false;

  constructor(
    private readonly owner: SessionOwner<Session>,
    private readonly parameters: SessionParameters,
    readonly direction: 'outgoing' | 'incoming',
  ) {
    this.machine = initialState(parameters.fsm);
    this.timers = new Timers(owner.clock, (timer) => this.timerExpired(timer));
    this.output = new SessionOutput(
      owner.clock,
      () => this.connection,
      () => this.state === 'Established',
    );
  }

  get sent(): MessageCounters {
    return this.output.sent;
  }
  get state(): FsmStateType {
    return this.machine.type;
  }
  get failures(): number {
    return this.machine.connectRetryCounter;
  }
  get ownOpen(): OpenMessage | undefined {
    return this.sentOpen;
  }
  get peerOpen(): OpenMessage | undefined {
    return this.receivedOpen;
  }
  get negotiated(): NegotiatedSession | undefined {
    return this.negotiatedSession;
  }
  get endpoints(): Pick<Connection, 'local' | 'remote'> | undefined {
    return this.connection;
  }
  get queuedBytes(): number {
    return this.output.queuedBytes;
  }
  remaining(timer: FsmTimer): number | undefined {
    return this.timers.remaining(timer);
  }

  // ---- calls of the owner

  start(): void {
    this.feed({ type: 'AutomaticStart', passive: this.parameters.fsm.passive });
  }

  /** Ends a pause in Idle at once: the reason to wait is gone. */
  hurry(): void {
    if (this.state === 'Idle') this.feed({ type: 'IdleHoldTimerExpires' });
    else if (this.state === 'Active') this.feed({ type: 'ConnectRetryTimerExpires' });
  }

  /** Takes a connection that the peer has opened. */
  accept(connection: Connection): void {
    if (this.state === 'Idle') this.feed({ type: 'ManualStart', passive: true });
    this.attach(connection);
    this.feed({ type: 'TcpConnectionConfirmed' });
  }

  /** An operator's stop: no further attempt until `start`. `text` says why, for our own tables. */
  stop(notification: Notification, text: string): void {
    this.finish({ type: 'ManualStop', notification }, text);
  }

  /** The speaker's stop: the machine starts again by itself after a pause. */
  fail(notification: Notification, text: string): void {
    this.finish({ type: 'AutomaticStop', notification }, text);
  }

  /** The connection is as good as lost: link down, or replaced by the peer's newer one. Nothing is sent. */
  lose(text: string): void {
    this.end = { direction: 'local', notification: undefined, text };
    this.feed({ type: 'TcpConnectionFails' });
  }

  /** This connection lost against the other one (section 6.8). */
  dump(): void {
    this.finish({ type: 'OpenCollisionDump' }, 'Closed in favour of the other connection with this peer');
  }

  /** From the next KEEPALIVE, the next attempt on. */
  retime({ keepaliveTime, connectRetryTime, delayOpenTime }: SessionTimes): void {
    this.machine = {
      ...this.machine,
      options: { ...this.machine.options, keepaliveTime, connectRetryTime, delayOpenTime },
    };
  }

  /** The owner had held back the KEEPALIVE that establishes; now it may. */
  confirm(): void {
    const { isKeepaliveHeld } = this;
    this.isKeepaliveHeld = false;
    if (isKeepaliveHeld && this.state === 'OpenConfirm') this.feed({ type: 'KeepaliveMessage' });
  }

  /** Writes UPDATEs, whole messages in each buffer. False: wait for `writable`. */
  writeUpdates(buffers: readonly Uint8Array[], messages: number): boolean {
    return this.output.updates(buffers, messages);
  }

  sendRouteRefresh(message: RouteRefreshMessage): void {
    this.output.routeRefresh(message);
  }

  setPassword(password: string): void {
    this.connection?.setPassword(password);
  }

  // ---- the machine

  private finish(event: FsmEvent & { readonly notification?: Notification }, text: string): void {
    this.end = { direction: 'local', notification: event.notification, text };
    this.feed(event);
  }

  private feed(event: FsmEvent): void {
    const before = this.machine;
    const [after, actions] = step(before, event);
    this.machine = after;
    for (const action of actions) this.carryOut(action);
    const { end } = this;
    this.end = undefined;
    if (after.type === before.type) return;
    this.owner.stateChanged(this, after.type);
    const isOver = after.type === 'Idle' || (after.type === 'Active' && before.type === 'OpenSent');
    if (isOver)
      this.owner.ended(this, {
        ...(end ?? { direction: 'local', notification: undefined, text: endText(event) }),
        wasEstablished: before.type === 'Established',
      });
    if (after.type === 'Established' && this.negotiatedSession !== undefined)
      this.owner.up(this, this.negotiatedSession);
  }

  private carryOut(action: FsmAction): void {
    switch (action.type) {
      case 'StartTimer':
        return this.timers.start(action.timer, action.seconds, action.jitter);
      case 'StopTimer':
        return this.timers.stop(action.timer);
      case 'StopAllTimers':
        return this.timers.stopAll();
      case 'Connect':
        return this.connect();
      case 'DropConnection':
        return this.drop();
      case 'SendOpen':
        return this.sendOpen();
      case 'SendKeepalive':
        return this.output.keepalive();
      case 'SendNotification':
        return this.sendNotification(action.notification);
      // The owner hears of both through `up` and `ended`.
      case 'SessionUp':
      case 'SessionDown':
        return;
    }
  }

  private timerExpired(timer: FsmTimer): void {
    switch (timer) {
      case 'Hold':
        return this.holdTimerExpired();
      case 'SendHold':
        if (this.queuedBytes === 0) return this.timers.start('SendHold', this.parameters.fsm.sendHoldTime, false);
        this.end = { direction: 'sent', notification: undefined, text: unreadText(this.parameters.fsm.sendHoldTime) };
        return this.feed({ type: 'SendHoldTimerExpires' });
      case 'ConnectRetry':
        if (this.state === 'Connect')
          this.owner.ended(this, {
            direction: 'local',
            notification: undefined,
            text: noAnswer(this.owner.target().remote),
            wasEstablished: false,
          });
        return this.feed({ type: 'ConnectRetryTimerExpires' });
      case 'Keepalive':
        return this.feed({ type: 'KeepaliveTimerExpires' });
      case 'DelayOpen':
        return this.feed({ type: 'DelayOpenTimerExpires' });
      case 'IdleHold':
        return this.feed({ type: 'IdleHoldTimerExpires' });
    }
  }

  /** We may have been too busy to read: what waits in the socket counts before the peer is called silent. */
  private holdTimerExpired(): void {
    const { connection, lastHeardAt } = this;
    this.owner.clock.afterPoll(() => {
      if (this.connection !== connection || connection === undefined) return;
      if (this.lastHeardAt !== lastHeardAt) return this.timers.start('Hold', this.machine.holdTime, false);
      this.end = { direction: 'sent', notification: undefined, text: silenceText(this.machine.holdTime) };
      this.feed({ type: 'HoldTimerExpires' });
    });
  }

  // ---- connections

  private connect(): void {
    this.attempt = this.owner.transport.connect(this.owner.target(), (outcome) => {
      this.attempt = undefined;
      if (outcome.type === 'failed') return this.lose(outcome.reason);
      this.attach(outcome.connection);
      this.feed({ type: 'TcpConnectionRequestAcked' });
    });
  }

  private attach(connection: Connection): void {
    this.connection = connection;
    this.isKeepaliveHeld = false;
    this.receivedOpen = undefined;
    this.negotiatedSession = undefined;
    const isCurrent = (): boolean => this.connection === connection;
    const framer = new MessageFramer((type, bytes, start, end) => {
      this.message(type, bytes, start, end);
      return isCurrent();
    }, this.parameters.extendedMessage);
    connection.open({
      onBytes: (bytes) => {
        if (isCurrent()) this.bytes(framer, bytes);
      },
      onDrain: () => {
        if (isCurrent()) this.drained();
      },
      onClosed: (reason) => {
        if (isCurrent()) this.lose(reason);
      },
    });
  }

  private drop(): void {
    this.output.burst.stop();
    this.attempt?.cancel();
    this.attempt = undefined;
    const { connection } = this;
    this.connection = undefined;
    // `end` lets a NOTIFICATION that was just queued still go out.
    connection?.end();
  }

  private drained(): void {
    if (this.state === 'Established' && this.parameters.fsm.sendHoldTime > 0)
      this.timers.start('SendHold', this.parameters.fsm.sendHoldTime, false);
    this.output.burst.drained();
    this.owner.writable(this);
  }

  // ---- messages in

  private bytes(framer: MessageFramer, bytes: Uint8Array): void {
    this.received.bytes += bytes.length;
    this.lastHeardAt = this.owner.clock.now();
    const updatesBefore = this.received.update;
    const refreshesBefore = this.received.routeRefresh;
    const error = framer.push(bytes);
    // One restart of the hold timer for all UPDATEs of a read: they have arrived at the same moment.
    if (this.received.update !== updatesBefore && this.state === 'Established') this.feed({ type: 'UpdateMessage' });
    if (error !== undefined) this.protocolError('HeaderError', error);
    // OPENs and KEEPALIVEs leave nothing for the RIB to work off.
    if (this.received.update !== updatesBefore || this.received.routeRefresh !== refreshesBefore)
      this.owner.batchEnd(this);
  }

  private message(type: number, bytes: Uint8Array, start: number, end: number): void {
    // Routes on a connection whose KEEPALIVE is held: the peer has settled for this one, so do we.
    if (type === MessageType.update || type === MessageType.routeRefresh) this.confirm();
    if (type === MessageType.update) return this.updateMessage(bytes, start, end);
    const decoded = decodeControlMessage(type, bytes, start, end);
    if (decoded.type === 'error')
      return this.protocolError(
        decoded.error.code === ErrorCode.open ? 'OpenMessageError' : 'HeaderError',
        decoded.error,
      );
    const message = decoded.value;
    switch (message.type) {
      case 'open':
        this.received.open++;
        return this.openMessage(message);
      case 'keepalive':
        this.received.keepalive++;
        if (this.state === 'OpenConfirm' && !this.owner.mayEstablish(this)) {
          this.isKeepaliveHeld = true;
          return;
        }
        return this.feed({ type: 'KeepaliveMessage' });
      case 'notification':
        this.received.notification++;
        this.end = {
          direction: 'received',
          notification: message,
          text: describeNotification(message.code, message.subcode, message.data),
        };
        return this.feed({
          type:
            message.code === ErrorCode.open && message.subcode === OpenError.unsupportedVersion
              ? 'NotificationVersionError'
              : 'NotificationMessage',
        });
      case 'route-refresh':
        this.received.routeRefresh++;
        this.feed({ type: 'UpdateMessage' });
        if (this.state === 'Established') this.owner.routeRefresh(this, message);
    }
  }

  private updateMessage(bytes: Uint8Array, start: number, end: number): void {
    this.received.update++;
    if (this.state !== 'Established') return this.feed({ type: 'UpdateMessage' });
    const error = this.owner.update(this, bytes, start, end);
    if (error !== undefined) this.protocolError('UpdateMessageError', error);
  }

  private openMessage(open: OpenMessage): void {
    const { sentOpen } = this;
    const isExpected = this.state === 'OpenSent' || this.machine.isDelayOpenRunning;
    if (!isExpected) return this.feed({ type: 'OpenMessage', holdTime: 0 });
    const error = this.owner.checkOpen(open);
    if (error !== undefined) return this.protocolError('OpenMessageError', error);
    this.receivedOpen = open;
    if (!this.owner.opened(this, open)) return;
    const local = sentOpen ?? this.owner.localOpen();
    const negotiated = negotiate(local, open, this.parameters);
    this.negotiatedSession = negotiated;
    this.feed({ type: 'OpenMessage', holdTime: negotiated.holdTime });
  }

  private protocolError(type: 'HeaderError' | 'OpenMessageError' | 'UpdateMessageError', error: BgpError): void {
    const notification = notificationOf(error);
    this.end = { direction: 'sent', notification, text: error.reason };
    this.feed({ type, notification });
  }

  // ---- messages out

  private sendOpen(): void {
    const open = this.owner.localOpen();
    this.sentOpen = open;
    this.output.open(open);
  }

  private sendNotification(notification: Notification): void {
    this.output.notification(notification);
    const text = this.end?.text ?? describeNotification(notification.code, notification.subcode, notification.data);
    this.end = { direction: 'sent', notification, text };
  }
}
