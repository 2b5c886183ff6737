/**
 * All BFD sessions of a speaker: which packet is whose, when each is due, and what to do when one stays silent. Owns the timers;
 * packets come and go through `BfdPorts`.
 *
 * Detection must not be fooled by our own slowness: after a stall of this thread the timer fires before packets that have been
 * waiting in the socket are read. So an expired timer first reads the sockets empty, and only then is silence believed. (One turn of
 * the event loop would not do: it takes 32 packets of a socket, and a stall of a second leaves more than that of a few sessions.)
 */
import { parseAddress, formatAddress } from '../address.js';
import type { Clock } from '../session/clock.js';
import { bfdKey, type BfdEchoStatus, type BfdEvent, type BfdSessionConfig, type BfdSessionStatus } from './contract.js';
import { echoDiscriminator, hearEcho, isEchoLost, newEcho, sendEcho, type Echo } from './echo.js';
import type { EchoPath } from './echo-socket.js';
import { BfdDiagnostic, decodeBfdPacket, describeDiagnostic, encodeBfdPacket, type BfdState } from './packet.js';
import {
  detectionTime,
  isSameAgreement,
  newBfdSession,
  peerPatience,
  stepBfd,
  transmitDelay,
  transmitInterval,
  type BfdParameters,
  type BfdSession,
  type BfdSessionAction,
  type BfdSessionEvent,
} from './session.js';

export interface EchoPorts {
  /** Does our kernel loop echoes of a peer that this session talks to? */
  readonly isLooped: (config: BfdSessionConfig) => boolean;
  /** Sends an echo on its way; an answer says why it could not be. */
  readonly send: (path: EchoPath, packet: Uint8Array) => string | undefined;
  readonly newSecret: () => Uint8Array;
}

export interface BfdPorts {
  readonly clock: Clock;
  /** Sends a packet of this session; an answer says why it could not be. */
  readonly send: (config: BfdSessionConfig, packet: Uint8Array) => string | undefined;
  /** The session is gone for good: let go of its socket. */
  readonly release: (config: BfdSessionConfig) => void;
  /** Reads all packets that have arrived; each comes by `receive` before this returns. */
  readonly drain: () => void;
  readonly emit: (event: BfdEvent) => void;
  readonly echo: EchoPorts;
  /** What a successor of this engine needs to go on with a session that is up; undefined: it is no longer up. */
  readonly remember: (key: string, session: BfdSession | undefined) => void;
}

interface Entry {
  config: BfdSessionConfig;
  /** Canonical text of the peer's address, and its interface if it is link-local. */
  readonly address: string;
  readonly zone: string | undefined;
  session: BfdSession;
  /** Removed from the configuration, still telling the peer so. */
  isLeaving: boolean;
  transmitTimer: { cancel(): void } | undefined;
  detectionTimer: { cancel(): void } | undefined;
  /** Present while echoes go out. */
  echo: Echo | undefined;
  echoTimer: { cancel(): void } | undefined;
  /** Where they go: as the peer's last control packet came. */
  echoPath: EchoPath | undefined;
  echoProblem: string | undefined;
  /** When silence becomes a failure; undefined: not watched. */
  silentAt: number | undefined;
  since: number;
  failures: number;
  packetsIn: number;
  packetsOut: number;
  sendError: string | undefined;
}

/** Longest time to go on telling a peer that we are leaving. */
const LONGEST_FAREWELL = 2_000;

export class BfdEngine {
  readonly #ports: BfdPorts;
  /** BOUNDED by the configuration. */
  readonly #entries = new Map<string, Entry>();
  readonly #byDiscriminator = new Map<number, Entry>();
  /** Packets nobody wanted. */
  #discarded = 0;

  constructor(ports: BfdPorts) {
    this.#ports = ports;
  }

  get discarded(): number {
    return this.#discarded;
  }

  /**
   * Makes the sessions exactly these; keys are unique. Sessions that leave say AdminDown for their detection time. `heirlooms`: what a
   * predecessor that died had been told to remember; a new session with such a key goes on where it stood.
   */
  configure(sessions: readonly BfdSessionConfig[], heirlooms: ReadonlyMap<string, BfdSession> = new Map()): void {
    const wanted = new Map(sessions.map((config) => [bfdKey(config), config]));
    for (const [key, entry] of this.#entries) if (!wanted.has(key) && !entry.isLeaving) this.#leave(key, entry);
    for (const [key, config] of wanted) {
      const entry = this.#entries.get(key);
      if (entry === undefined) this.#join(key, config, heirlooms.get(key));
      else this.#change(entry, config);
    }
  }

  /** A packet from the network; `from` may carry a zone, "fe80::1%eth0". */
  receive(bytes: Uint8Array, from: string, multihop: boolean): void {
    const decoded = decodeBfdPacket(bytes);
    const entry = decoded.type === 'ok' ? this.#find(decoded.packet.yourDiscriminator, from, multihop) : undefined;
    if (decoded.type === 'discard' || entry === undefined) {
      this.#discarded++;
      return;
    }
    entry.packetsIn++;
    this.#step(entry, { type: 'packet', packet: decoded.packet });
  }

  /** A frame has brought a control packet; the packet itself comes, or has come, by `receive`. */
  receivePath(bytes: Uint8Array, from: string, path: EchoPath): void {
    const decoded = decodeBfdPacket(bytes);
    const entry = decoded.type === 'ok' ? this.#find(decoded.packet.yourDiscriminator, from, false) : undefined;
    if (entry !== undefined) entry.echoPath = path;
  }

  /** An echo has come back. */
  receiveEcho(packet: Uint8Array): void {
    const entry = this.#byDiscriminator.get(echoDiscriminator(packet) ?? 0);
    if (entry?.echo === undefined) return;
    entry.echo = hearEcho(entry.echo, packet, entry.config.multiplier);
    if (entry.echo.isProven) this.#step(entry, { type: 'echo', isActive: true });
  }

  status(): BfdSessionStatus[] {
    return [...this.#entries].map(([key, entry]) => {
      const { session, config, since, failures, packetsIn, packetsOut, sendError } = entry;
      const interval = transmitInterval(session);
      const detection = detectionTime(session);
      return {
        key,
        config,
        state: session.state,
        remoteState: session.remoteState,
        diagnostic: describeDiagnostic(session.diagnostic),
        remoteDiagnostic: describeDiagnostic(session.remoteDiagnostic),
        localDiscriminator: session.localDiscriminator,
        remoteDiscriminator: session.remoteDiscriminator,
        since,
        failures,
        packetsIn,
        packetsOut,
        transmitInterval: interval === undefined ? undefined : interval / 1000,
        detectionTime: detection === undefined ? undefined : detection / 1000,
        sendError,
        ...(config.echoInterval === undefined ? {} : { echo: echoStatusOf(entry) }),
      };
    });
  }

  /** Milliseconds that a farewell to all peers takes. */
  get farewellTime(): number {
    return Math.max(0, ...[...this.#entries.values()].map(farewellOf));
  }

  /** Stops every timer; nothing is sent any more. */
  close(): void {
    for (const [key, entry] of this.#entries) this.#remove(key, entry);
  }

  #join(key: string, config: BfdSessionConfig, heirloom: BfdSession | undefined): void {
    const isFree = heirloom !== undefined && !this.#byDiscriminator.has(heirloom.localDiscriminator);
    const wanted = this.#parametersOf(config);
    const session = isFree ? heirloom : newBfdSession(this.#newDiscriminator(), wanted);
    const [plain = '', zone] = config.peer.split('%');
    const entry: Entry = {
      config,
      address: formatAddress(parseAddress(plain)),
      zone,
      session,
      isLeaving: false,
      transmitTimer: undefined,
      detectionTimer: undefined,
      silentAt: undefined,
      echo: undefined,
      echoTimer: undefined,
      echoPath: undefined,
      echoProblem: undefined,
      since: this.#ports.clock.wallTime(),
      failures: 0,
      packetsIn: 0,
      packetsOut: 0,
      sendError: undefined,
    };
    this.#entries.set(key, entry);
    this.#byDiscriminator.set(session.localDiscriminator, entry);
    if (isFree) {
      this.#watch(entry);
      this.#ports.remember(key, session);
      this.#step(entry, { type: 'configure', wanted });
      // Our echoes have to prove themselves anew.
      this.#step(entry, { type: 'echo', isActive: false });
    }
    this.#step(entry, { type: 'transmit-timer' });
  }

  #change(entry: Entry, config: BfdSessionConfig): void {
    entry.config = config;
    if (entry.isLeaving) {
      entry.isLeaving = false;
      this.#step(entry, { type: 'enable' });
    }
    this.#step(entry, { type: 'configure', wanted: this.#parametersOf(config) });
  }

  /** RFC 5880 section 6.8.16: AdminDown for a detection time, so that the peer does not take it for a failure. */
  #leave(key: string, entry: Entry): void {
    entry.isLeaving = true;
    const patience = farewellOf(entry);
    this.#step(entry, { type: 'admin-down' });
    this.#ports.clock.after(patience, () => {
      if (entry.isLeaving && this.#entries.get(key) === entry) this.#remove(key, entry);
    });
  }

  #remove(key: string, entry: Entry): void {
    entry.transmitTimer?.cancel();
    entry.detectionTimer?.cancel();
    this.#endEcho(entry);
    entry.transmitTimer = entry.detectionTimer = undefined;
    this.#entries.delete(key);
    this.#byDiscriminator.delete(entry.session.localDiscriminator);
    this.#ports.release(entry.config);
  }

  /** RFC 5880 section 6.8.6; the address is checked beside the discriminator, which a stranger could guess. */
  #find(discriminator: number, from: string, multihop: boolean): Entry | undefined {
    const [plain = '', zone] = from.split('%');
    const address = formatAddress(parseAddress(plain));
    // A zone counts where the configuration has one: link-local addresses say nothing without it.
    const fits = (entry: Entry): boolean =>
      entry.address === address &&
      (entry.zone === undefined || entry.zone === zone) &&
      (entry.config.multihop ?? false) === multihop;
    if (discriminator !== 0) {
      const entry = this.#byDiscriminator.get(discriminator);
      return entry !== undefined && fits(entry) ? entry : undefined;
    }
    for (const entry of this.#entries.values()) if (fits(entry)) return entry;
    return undefined;
  }

  #newDiscriminator(): number {
    for (;;) {
      const discriminator = 1 + Math.floor(this.#ports.clock.random() * 0xfffffffe);
      if (!this.#byDiscriminator.has(discriminator)) return discriminator;
    }
  }

  #step(entry: Entry, event: BfdSessionEvent): void {
    const before = entry.session;
    const [session, actions] = stepBfd(before, event);
    entry.session = session;
    if (session.state === 'up' ? !isSameAgreement(before, session) : before.state === 'up') {
      this.#ports.remember(bfdKey(entry.config), session.state === 'up' ? session : undefined);
    }
    for (const action of actions) this.#perform(entry, action);
    this.#tendEcho(entry);
  }

  #perform(entry: Entry, action: BfdSessionAction): void {
    switch (action.type) {
      case 'send':
        return this.#send(entry, encodeBfdPacket(action.packet));
      case 'schedule-transmit':
        return this.#scheduleTransmit(entry);
      case 'schedule-detection':
        return this.#watch(entry);
      case 'state-changed':
        return this.#changed(entry, action.from, action.to);
    }
  }

  #send(entry: Entry, packet: Uint8Array): void {
    entry.sendError = this.#ports.send(entry.config, packet);
    if (entry.sendError === undefined) entry.packetsOut++;
  }

  #scheduleTransmit(entry: Entry): void {
    const { clock } = this.#ports;
    entry.transmitTimer?.cancel();
    const delay = transmitDelay(entry.session, clock.random());
    entry.transmitTimer =
      delay === undefined ? undefined : clock.after(delay / 1000, () => this.#step(entry, { type: 'transmit-timer' }));
  }

  #watch(entry: Entry): void {
    const time = detectionTime(entry.session);
    if (time === undefined) return;
    entry.silentAt = this.#ports.clock.now() + time / 1000;
    entry.detectionTimer ??= this.#watchTimer(entry);
  }

  /** One timer runs until the deadline that held when it was set, then looks whether the deadline has moved on. */
  #watchTimer(entry: Entry): { cancel(): void } {
    const { clock } = this.#ports;
    return clock.after(Math.max(1, Math.ceil((entry.silentAt ?? 0) - clock.now())), () => {
      if (this.#isSilent(entry)) this.#ports.drain();
      this.#judge(entry);
    });
  }

  #isSilent(entry: Entry): boolean {
    return entry.silentAt !== undefined && this.#ports.clock.now() >= entry.silentAt;
  }

  #judge(entry: Entry): void {
    entry.detectionTimer = undefined;
    if (!this.#isSilent(entry)) {
      if (entry.silentAt !== undefined) entry.detectionTimer = this.#watchTimer(entry);
      return;
    }
    entry.silentAt = undefined;
    this.#step(entry, { type: 'detection-timer' });
  }

  /** Section 6.8.9: echoes go out while the session is up and the peer says it loops them. */
  #tendEcho(entry: Entry): void {
    const {
      session: { state, remoteMinEchoRx },
      config: { echoInterval },
    } = entry;
    const isWanted = state === 'up' && remoteMinEchoRx !== 0 && echoInterval !== undefined;
    if (isWanted === (entry.echo !== undefined)) return;
    if (!isWanted) {
      this.#endEcho(entry);
      return this.#step(entry, { type: 'echo', isActive: false });
    }
    entry.echo = newEcho(this.#ports.echo.newSecret());
    this.#scheduleEcho(entry, echoInterval);
  }

  #endEcho(entry: Entry): void {
    entry.echoTimer?.cancel();
    entry.echo = entry.echoTimer = entry.echoPath = entry.echoProblem = undefined;
  }

  /** A quarter less at most (section 6.8.9). */
  #scheduleEcho(entry: Entry, echoInterval: number): void {
    const { clock } = this.#ports;
    const interval = Math.max(echoInterval, entry.session.remoteMinEchoRx / 1000);
    entry.echoTimer = clock.after(interval * (0.75 + 0.25 * clock.random()), () => this.#echo(entry));
  }

  #echo(entry: Entry): void {
    this.#ports.drain();
    const { echo, config, session } = entry;
    // What was read may have ended it.
    if (echo === undefined || config.echoInterval === undefined) return;
    if (isEchoLost(echo, config.multiplier)) return this.#step(entry, { type: 'echo-lost' });
    if (entry.echoPath === undefined) entry.echoProblem = 'no control packet has shown the way to the peer yet';
    else {
      const [next, packet] = sendEcho(echo, session.localDiscriminator);
      entry.echo = next;
      entry.echoProblem = this.#ports.echo.send(entry.echoPath, packet);
    }
    this.#scheduleEcho(entry, config.echoInterval);
  }

  #parametersOf(config: BfdSessionConfig): BfdParameters {
    const { transmitInterval: tx, receiveInterval: rx, multiplier, echoInterval } = config;
    const requiredMinEchoRx = echoInterval !== undefined && this.#ports.echo.isLooped(config) ? echoInterval * 1000 : 0;
    return { desiredMinTx: tx * 1000, requiredMinRx: rx * 1000, detectMultiplier: multiplier, requiredMinEchoRx };
  }

  #changed(entry: Entry, from: BfdState, to: BfdState): void {
    const { session } = entry;
    entry.since = this.#ports.clock.wallTime();
    const isTheirs = session.diagnostic === BfdDiagnostic.neighborSignaledDown;
    const isFailure = from === 'up' && to === 'down' && !(isTheirs && session.remoteState === 'admin-down');
    if (isFailure) entry.failures++;
    const reason = isTheirs
      ? `the peer says ${session.remoteState}: ${describeDiagnostic(session.remoteDiagnostic)}`
      : describeDiagnostic(session.diagnostic);
    this.#ports.emit({
      type: 'state-changed',
      key: bfdKey(entry.config),
      peer: entry.config.peer,
      from,
      to,
      reason,
      isFailure,
    });
  }
}

function echoStatusOf({ echo, echoProblem, session }: Entry): BfdEchoStatus {
  const state = echo === undefined ? 'off' : echo.isProven ? 'active' : 'unproven';
  return {
    state,
    sent: echo?.sent ?? 0,
    returned: echo?.returned ?? 0,
    problem: echoProblem,
    loopsForPeer: session.wanted.requiredMinEchoRx !== 0,
  };
}

/** The peer's detection time, as far as we know it. */
function farewellOf({ session }: Entry): number {
  if (session.state !== 'up' && session.state !== 'init') return 0;
  return Math.min(peerPatience(session) / 1000, LONGEST_FAREWELL);
}
