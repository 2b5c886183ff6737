/**
 * One BFD session as a pure machine (RFC 5880 sections 6.2 and 6.8): `step(state, event) -> [state, actions]`. Asynchronous mode;
 * no authentication. The peer's demand mode is honoured, ours is never on. Echoes are sent and counted elsewhere (echo.ts); the machine is
 * told when they begin to count, and when they are lost.
 *
 * Times are microseconds, as on the wire. The machine knows no clock: it asks for its two timers by actions and hears of them
 * by events. The engine draws the jitter (`transmitDelay`).
 */
import { BfdDiagnostic, type BfdPacket, type BfdState } from './packet.js';

/** What a session should run with. */
export interface BfdParameters {
  readonly desiredMinTx: number;
  readonly requiredMinRx: number;
  readonly detectMultiplier: number;
  /** How many echoes of the peer our kernel loops, as the time between two; 0: none. */
  readonly requiredMinEchoRx: number;
}

/** The variables of section 6.8.1, and what a poll sequence holds back. */
export interface BfdSession {
  readonly state: BfdState;
  readonly remoteState: BfdState;
  readonly localDiscriminator: number;
  /** 0: unknown. */
  readonly remoteDiscriminator: number;
  readonly diagnostic: number;
  readonly remoteDiagnostic: number;
  readonly wanted: BfdParameters;
  /** What goes out as Desired Min TX: at least a second unless Up (section 6.8.3). */
  readonly desiredMinTx: number;
  /** What transmission and detection go by until a poll sequence has told the peer (section 6.8.3). */
  readonly activeMinTx: number;
  readonly activeMinRx: number;
  readonly remoteMinRx: number;
  readonly remoteMinTx: number;
  readonly remoteMultiplier: number;
  readonly remoteDemand: boolean;
  /** 0: the peer loops no echoes. */
  readonly remoteMinEchoRx: number;
  /** Echoes watch the path, so the peer need send its control packets only slowly (section 6.8.3). */
  readonly isEchoActive: boolean;
  /** A poll sequence is under way: P is set until F comes. */
  readonly isPolling: boolean;
}

export type BfdSessionEvent =
  | { readonly type: 'packet'; readonly packet: BfdPacket }
  | { readonly type: 'transmit-timer' }
  /** Nothing valid came for the detection time. */
  | { readonly type: 'detection-timer' }
  | { readonly type: 'configure'; readonly wanted: BfdParameters }
  /** Echoes have begun to watch the path, or ceased to. */
  | { readonly type: 'echo'; readonly isActive: boolean }
  /** Enough of them were lost (section 6.8.5). */
  | { readonly type: 'echo-lost' }
  | { readonly type: 'admin-down' }
  | { readonly type: 'enable' };

export type BfdSessionAction =
  | { readonly type: 'send'; readonly packet: BfdPacket }
  /** (Re)start the periodic transmission with the session's present interval; the engine sees to jitter. */
  | { readonly type: 'schedule-transmit' }
  /** Restart the detection timer: something valid has come. */
  | { readonly type: 'schedule-detection' }
  | { readonly type: 'state-changed'; readonly from: BfdState; readonly to: BfdState };

export type BfdStep = readonly [session: BfdSession, actions: readonly BfdSessionAction[]];

/** Slowest start: no faster than this before the session is up (section 6.8.3). */
const SLOW_TX = 1_000_000;
/** What the peer's control packets slow down to while echoes watch the path (section 6.8.3). */
const ECHO_RX = 1_000_000;

export function newBfdSession(localDiscriminator: number, wanted: BfdParameters): BfdSession {
  const desiredMinTx = Math.max(SLOW_TX, wanted.desiredMinTx);
  return {
    state: 'down',
    remoteState: 'down',
    localDiscriminator,
    remoteDiscriminator: 0,
    diagnostic: BfdDiagnostic.none,
    remoteDiagnostic: BfdDiagnostic.none,
    wanted,
    desiredMinTx,
    activeMinTx: desiredMinTx,
    activeMinRx: wanted.requiredMinRx,
    remoteMinRx: 1,
    remoteMinTx: 0,
    remoteMultiplier: 0,
    remoteDemand: false,
    remoteMinEchoRx: 0,
    isEchoActive: false,
    isPolling: false,
  };
}

/** Microseconds between packets before jitter; undefined: the peer wants none (sections 6.8.7 and 6.8.9). */
export function transmitInterval(session: BfdSession): number | undefined {
  if (session.remoteMinRx === 0) return undefined;
  const isSilenced =
    session.remoteDemand && session.state === 'up' && session.remoteState === 'up' && !session.isPolling;
  return isSilenced ? undefined : Math.max(session.activeMinTx, session.remoteMinRx);
}

/** A quarter less at most, so that neighbours do not fall into step; never the whole interval where one loss is fatal (section 6.8.7). */
export function transmitDelay(session: BfdSession, random: number): number | undefined {
  const interval = transmitInterval(session);
  if (interval === undefined) return undefined;
  return Math.floor(interval * (session.wanted.detectMultiplier === 1 ? 0.75 + 0.15 * random : 0.75 + 0.25 * random));
}

/** Microseconds without a packet after which the session is down (section 6.8.4); undefined: the peer has said nothing yet. */
export function detectionTime(session: BfdSession): number | undefined {
  if (session.remoteMultiplier === 0) return undefined;
  return session.remoteMultiplier * Math.max(session.activeMinRx, session.remoteMinTx);
}

/** Has nothing changed that a successor of this session would have to know? */
export function isSameAgreement(a: BfdSession, b: BfdSession): boolean {
  return (
    a.state === b.state &&
    a.localDiscriminator === b.localDiscriminator &&
    a.remoteDiscriminator === b.remoteDiscriminator &&
    a.wanted === b.wanted &&
    a.desiredMinTx === b.desiredMinTx &&
    a.activeMinTx === b.activeMinTx &&
    a.activeMinRx === b.activeMinRx &&
    a.isPolling === b.isPolling &&
    a.isEchoActive === b.isEchoActive &&
    a.remoteMinEchoRx === b.remoteMinEchoRx &&
    a.remoteMinRx === b.remoteMinRx &&
    a.remoteMinTx === b.remoteMinTx &&
    a.remoteMultiplier === b.remoteMultiplier &&
    a.remoteDemand === b.remoteDemand
  );
}

/** Microseconds for which the peer bears our silence, as far as we know. */
export const peerPatience = (session: BfdSession): number =>
  session.wanted.detectMultiplier * Math.max(session.desiredMinTx, session.remoteMinRx);

export function stepBfd(session: BfdSession, event: BfdSessionEvent): BfdStep {
  switch (event.type) {
    case 'packet':
      return receive(session, event.packet);
    case 'transmit-timer':
      return [session, [{ type: 'send', packet: packetOf(session) }, { type: 'schedule-transmit' }]];
    case 'detection-timer':
      return expire(session);
    case 'configure':
      return configure(session, event.wanted);
    case 'echo':
      return changeEcho(session, event.isActive);
    case 'echo-lost':
      return session.state === 'up' ? enter(session, 'down', BfdDiagnostic.echoFailed) : [session, []];
    case 'admin-down':
      return enter({ ...session, remoteDiscriminator: 0 }, 'admin-down', BfdDiagnostic.administrativelyDown);
    case 'enable':
      return session.state === 'admin-down' ? enter(session, 'down', BfdDiagnostic.none) : [session, []];
  }
}

const requiredMinRx = ({ wanted, isEchoActive }: BfdSession): number =>
  isEchoActive ? Math.max(ECHO_RX, wanted.requiredMinRx) : wanted.requiredMinRx;

/** The periodic packet, or with `final` the answer to a poll. */
export function packetOf(session: BfdSession, final = false): BfdPacket {
  return {
    diagnostic: session.diagnostic,
    state: session.state,
    poll: session.isPolling && !final,
    final,
    controlPlaneIndependent: false,
    demand: false,
    detectMultiplier: session.wanted.detectMultiplier,
    myDiscriminator: session.localDiscriminator,
    yourDiscriminator: session.remoteDiscriminator,
    desiredMinTx: session.desiredMinTx,
    requiredMinRx: requiredMinRx(session),
    requiredMinEchoRx: session.wanted.requiredMinEchoRx,
  };
}

/** Section 6.8.6, from "Set bfd.RemoteDiscr" on; what stands before it is in packet.ts and the engine's look-up. */
function receive(session: BfdSession, packet: BfdPacket): BfdStep {
  const before = transmitInterval(session);
  let next: BfdSession = {
    ...session,
    remoteDiscriminator: packet.myDiscriminator,
    remoteState: packet.state,
    remoteDiagnostic: packet.diagnostic,
    remoteDemand: packet.demand,
    remoteMinRx: packet.requiredMinRx,
    remoteMinTx: packet.desiredMinTx,
    remoteMultiplier: packet.detectMultiplier,
    remoteMinEchoRx: packet.requiredMinEchoRx,
  };
  if (next.isPolling && packet.final) next = endPoll(next);
  if (session.state === 'admin-down') return [{ ...session, remoteState: packet.state }, []];
  const actions: BfdSessionAction[] = [];
  const [state, diagnostic] = nextState(session, packet.state);
  if (state !== session.state) {
    const [entered, followUp] = enter(next, state, diagnostic);
    next = entered;
    actions.push(...followUp);
  }
  actions.push({ type: 'schedule-detection' });
  // A poll is answered at once, whatever the transmission timer says (section 6.5).
  if (packet.poll) actions.push({ type: 'send', packet: packetOf(next, true) });
  if (state === session.state && before !== transmitInterval(next)) actions.push({ type: 'schedule-transmit' });
  return [next, actions];
}

/** The state machine of section 6.2, with the diagnostic that goes with a change. */
function nextState(session: BfdSession, heard: BfdState): readonly [BfdState, number] {
  const stay = [session.state, session.diagnostic] as const;
  if (heard === 'admin-down') return session.state === 'down' ? stay : ['down', BfdDiagnostic.neighborSignaledDown];
  switch (session.state) {
    case 'admin-down':
      return stay;
    case 'down':
      return heard === 'down' ? ['init', BfdDiagnostic.none] : heard === 'init' ? ['up', BfdDiagnostic.none] : stay;
    case 'init':
      return heard === 'down' ? stay : ['up', BfdDiagnostic.none];
    case 'up':
      return heard === 'down' ? ['down', BfdDiagnostic.neighborSignaledDown] : stay;
  }
}

/** A change of state is told at once and not only when the timer is due (section 6.8.7); Up goes over to the wanted pace. */
function enter(session: BfdSession, state: BfdState, diagnostic: number): BfdStep {
  const changed = { ...session, state, diagnostic };
  const next = state === 'up' ? beginPoll(changed, session.wanted) : slowDown(changed);
  const actions: BfdSessionAction[] = [{ type: 'send', packet: packetOf(next) }, { type: 'schedule-transmit' }];
  if (state !== session.state) actions.unshift({ type: 'state-changed', from: session.state, to: state });
  return [next, actions];
}

function slowDown(session: BfdSession): BfdSession {
  const desiredMinTx = Math.max(SLOW_TX, session.wanted.desiredMinTx);
  return {
    ...session,
    desiredMinTx,
    activeMinTx: desiredMinTx,
    activeMinRx: session.wanted.requiredMinRx,
    isEchoActive: false,
    isPolling: false,
  };
}

/** Section 6.8.4 and "bfd.RemoteDiscr" of 6.8.1: silence is forgotten too. */
function expire(session: BfdSession): BfdStep {
  const silent: BfdSession = {
    ...session,
    remoteDiscriminator: 0,
    remoteState: 'down',
    remoteMinRx: 1,
    remoteDemand: false,
    remoteMinEchoRx: 0,
  };
  if (session.state !== 'init' && session.state !== 'up') return [silent, []];
  return enter(silent, 'down', BfdDiagnostic.detectionTimeExpired);
}

function configure(session: BfdSession, wanted: BfdParameters): BfdStep {
  const { desiredMinTx, requiredMinRx: minRx, detectMultiplier, requiredMinEchoRx } = session.wanted;
  const isSame =
    desiredMinTx === wanted.desiredMinTx &&
    minRx === wanted.requiredMinRx &&
    detectMultiplier === wanted.detectMultiplier &&
    requiredMinEchoRx === wanted.requiredMinEchoRx;
  if (isSame) return [session, []];
  const next = session.state === 'up' ? beginPoll({ ...session, wanted }, wanted) : slowDown({ ...session, wanted });
  return [next, [{ type: 'schedule-transmit' }]];
}

/** The peer hears of its new pace by a poll, as of any other change. */
function changeEcho(session: BfdSession, isActive: boolean): BfdStep {
  if (session.state !== 'up' || session.isEchoActive === isActive) return [session, []];
  return [beginPoll({ ...session, isEchoActive: isActive }, session.wanted), [{ type: 'schedule-transmit' }]];
}

/**
 * Section 6.8.3: the new intervals are announced with P set. A slower transmission and a shorter detection wait for the answer, or
 * the peer would take the change for a loss; the other directions are safe at once.
 */
function beginPoll(session: BfdSession, wanted: BfdParameters): BfdSession {
  return {
    ...session,
    desiredMinTx: wanted.desiredMinTx,
    activeMinTx: Math.min(session.activeMinTx, wanted.desiredMinTx),
    activeMinRx: Math.max(session.activeMinRx, requiredMinRx({ ...session, wanted })),
    isPolling: true,
  };
}

function endPoll(session: BfdSession): BfdSession {
  return { ...session, activeMinTx: session.desiredMinTx, activeMinRx: requiredMinRx(session), isPolling: false };
}
