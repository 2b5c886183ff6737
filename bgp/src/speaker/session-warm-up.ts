/**
 * The life of a session, from the accepted connection to its end, lived some dozens of times in memory before the first real one: what
 * warm-up.ts does for routes. Hundreds of peers that connect at the same moment, as after a restart of ours, otherwise all meet code that
 * has never run.
 *
 * A whole speaker's inside (core.ts) takes connections of a transport without sockets, from peers that say what a script says. Nothing is
 * told to anybody, no timer is started, nothing remains.
 */
import type { FilterConfig, SpeakerConfig } from '../config.js';
import { encodeControlMessage, KEEPALIVE } from '../codec/message.js';
import { localOpen, type LocalOpenSettings } from '../session/local-open.js';
import type { Clock } from '../session/clock.js';
import type { Connection, ConnectionEvents, Endpoint, Transport } from '../transport/transport.js';
import { peerSettings } from './config-diff.js';
import { Core } from './core.js';

/** Sessions that are up together, and how often. */
const PEERS = 24;
const ROUNDS = 6;
const LOCAL_AS = 64512;
const FIRST_REMOTE_AS = 64513;

/** Addresses of documentation (RFC 5737). */
const LOCAL: Endpoint = { address: '192.0.2.1', port: 179 };
const remoteAddress = (k: number): string => `192.0.2.${k + 2}`;

/** Returns how many sessions came up. */
export function warmUpSessions(): number {
  const turn: (() => void)[] = [];
  let established = 0;
  const core = new Core({
    transport: NO_TRANSPORT, clock: clockOf(turn), isRestarting: false, keepForwarding: false, forwardingReady: nothing,
    event: ({ type }) => { if (type === 'peer-up') established++; },
    openRouterSocket: () => fail('its peers have addresses'),
    bfd: () => ({ set: nothing, status: () => Promise.resolve([]), close: () => Promise.resolve() }),
  });
  const config = rack();
  core.setConfig(config);
  core.begin(config);
  core.setInterfaces([{ name: 'eth0', isUp: true, addresses: [{ address: { family: 4, value: 0xc0000201n }, length: 24 }] }]);
  for (const settings of peerSettings(config).values()) core.addPeer(settings);
  for (let round = 0; round < ROUNDS; round++) {
    const connections = Array.from({ length: PEERS }, (_, k) => new ScriptedConnection(remoteAddress(k)));
    for (const connection of connections) core.accept(connection);
    runTurns(turn);
    for (const [k, connection] of connections.entries()) connection.say(openOf(k), KEEPALIVE_BYTES);
    runTurns(turn);
    for (const connection of connections) connection.say(END_OF_RIB);
    runTurns(turn);
    for (const connection of connections) connection.close();
    runTurns(turn);
  }
  return established;
}

/** What a rack's peers are like: a filter each way, some with BFD. */
function rack(): SpeakerConfig {
  const filter: FilterConfig = { rules: [{ match: { prefixes: [{ prefix: '10.0.0.0/8', maxLength: 32 }] }, action: 'accept' }], default: 'reject' };
  return {
    localAs: LOCAL_AS, routerId: LOCAL.address, filters: { rack: filter },
    peers: Array.from({ length: PEERS }, (_, k) => ({
      address: remoteAddress(k), remoteAs: FIRST_REMOTE_AS + k, passive: true, import: ['rack'], export: ['rack'], ...(k % 2 === 0 ? { bfd: {} } : {}),
    })),
  };
}

function openOf(k: number): Uint8Array {
  const settings: LocalOpenSettings = {
    localAs: FIRST_REMOTE_AS + k, routerId: 0xc0000202 + k, holdTime: 90, families: [4, 6], extendedNextHop: false, addPathSend: false,
    addPathReceive: false, role: undefined, restartTime: 0, longLivedRestartTime: 0,
  };
  return encodeControlMessage(localOpen(settings, { isRestarting: false, isForwardingPreserved: false }));
}

const KEEPALIVE_BYTES = encodeControlMessage(KEEPALIVE);
/** RFC 4724 section 2: an UPDATE with nothing in it. */
const END_OF_RIB = Uint8Array.from([...Array<number>(16).fill(0xff), 0, 23, 2, 0, 0, 0, 0]);

const nothing = (): void => undefined;

function fail(why: string): never {
  throw new Error(`The rehearsal of sessions opens no socket: ${why}`);
}

/** Time stands still; what is to run soon runs when `runTurns` says so. */
function clockOf(turn: (() => void)[]): Clock {
  const soon = (run: () => void): void => void turn.push(run);
  return { now: () => performance.now(), wallTime: () => Date.now(), after: () => ({ cancel: nothing }), soon, afterPoll: soon, random: () => 0 };
}

function runTurns(turn: (() => void)[]): void {
  for (let run = turn.shift(); run !== undefined; run = turn.shift()) run();
}

const NO_TRANSPORT: Transport = {
  connect: () => ({ cancel: nothing }),
  listen: (endpoint) => Promise.resolve({ endpoint, setKeys: nothing, close: () => Promise.resolve() }),
};

/** The other end is a script; what we write to it is nobody's. */
class ScriptedConnection implements Connection {
  readonly direction = 'incoming';
  readonly local = LOCAL;
  readonly remote: Endpoint;
  readonly queuedBytes = 0;
  private events: ConnectionEvents | undefined;

  constructor(address: string) {
    this.remote = { address, port: 40_000 };
  }

  open(events: ConnectionEvents): void {
    this.events = events;
  }

  /** Each message as a read of its own. */
  say(...messages: readonly Uint8Array[]): void {
    for (const bytes of messages) this.events?.onBytes(bytes);
  }

  close(): void {
    this.events?.onClosed('The peer closed the connection');
  }

  write(): boolean { return true; }
  setReading(): void {}
  setHopLimits(): void {}
  setPassword(): void {}
  end(): void { this.events = undefined; }
  destroy(): void { this.events = undefined; }
}
