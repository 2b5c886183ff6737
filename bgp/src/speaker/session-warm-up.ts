/**
 * Rehearses the life of a session, from the accepted connection to its end, some dozens of times on the stage before the first real one:
 * what warm-up.ts does for routes. Hundreds of peers that connect at the same moment, as after a restart of ours, otherwise all meet code
 * that has never run.
 */
import type { FilterConfig, SpeakerConfig } from '../config.js';
import { encodeControlMessage, KEEPALIVE, type ControlMessage } from '../codec/message.js';
import { localOpen, type LocalOpenSettings } from '../session/local-open.js';
import type { Endpoint } from '../transport/transport.js';
import { Speaker } from './speaker.js';
import { StageClock, StageTransport } from './stage.js';

/** Sessions that are up together, and how often. */
const PEERS = 24;
const ROUNDS = 6;
const LOCAL_AS = 64512;
const FIRST_REMOTE_AS = 64513;

/** Addresses of documentation (RFC 5737). */
const LOCAL: Endpoint = { address: '192.0.2.1', port: 179 };
const remoteAddress = (k: number): string => `192.0.2.${k + 2}`;

/** Resolves to how many sessions came up. */
export async function warmUpSessions(): Promise<number> {
  const clock = new StageClock();
  const transport = new StageTransport(LOCAL);
  const speaker = new Speaker({ transport, clock, bfd: () => NO_BFD });
  let established = 0;
  speaker.subscribe(({ type }) => { if (type === 'peer-up') established++; });
  await speaker.configure(rack());
  speaker.setInterfaces([{ name: 'eth0', isUp: true, addresses: [{ address: { family: 4, value: 0xc0000201n }, length: 24 }] }]);
  for (let round = 0; round < ROUNDS; round++) {
    const connections = Array.from({ length: PEERS }, (_, k) => transport.dial(remoteAddress(k)));
    for (const [k, connection] of connections.entries()) connection.receive(openOf(k));
    for (const connection of connections) connection.receive(KEEPALIVE_BYTES);
    clock.settle();
    for (const connection of connections) connection.receive(END_OF_RIB);
    clock.settle();
    for (const connection of connections) connection.hangUp();
    clock.settle();
  }
  await speaker.stop();
  return established;
}

/** What a rack's peers are like: a filter each way, some with BFD. */
function rack(): SpeakerConfig {
  const filter: FilterConfig = { rules: [{ match: { prefixes: [{ prefix: '10.0.0.0/8', maxLength: 32 }] }, action: 'accept' }], default: 'reject' };
  return {
    localAs: LOCAL_AS, routerId: LOCAL.address, listen: [{ address: LOCAL.address }], filters: { rack: filter },
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
  return asRead(localOpen(settings, { isRestarting: false, isForwardingPreserved: false }));
}

/** Sockets give Buffers; code made fast for other Uint8Arrays would be thrown away at the first real one. */
function asRead(message: ControlMessage): Uint8Array {
  return Buffer.from(encodeControlMessage(message));
}

const KEEPALIVE_BYTES = asRead(KEEPALIVE);
/** RFC 4724 section 2: an UPDATE with nothing in it. */
const END_OF_RIB = Buffer.from([...Array<number>(16).fill(0xff), 0, 23, 2, 0, 0, 0, 0]);
const NO_BFD = { set: () => undefined, status: () => Promise.resolve([]), close: () => Promise.resolve() };
