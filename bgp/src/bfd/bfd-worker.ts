/**
 * The BFD thread: an engine of its own event loop, so that a full table in the main thread costs BFD nothing. Started by
 * service.ts; talks to it in worker-message.ts.
 */
import { randomBytes } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { systemClock } from '../session/clock.js';
import { bfdKey, type BfdSessionConfig } from './contract.js';
import { openEchoSocket, type EchoListener, type EchoPath, type EchoSocket } from './echo-socket.js';
import { SECRET_LENGTH } from './echo.js';
import { BfdEngine } from './engine.js';
import { forwardsFor } from './forwarding.js';
import { Libc } from './libc.js';
import type { BfdSession } from './session.js';
import { BfdUdp, type BfdListener, type BfdSender } from './udp-socket.js';
import type { FromBfdWorker, ToBfdWorker } from './worker-message.js';

/** Milliseconds before a port that was taken is tried again. */
const LISTEN_RETRY = 5_000;

const port = parentPort;
if (port === null) throw new Error('Cannot start the BFD worker: it is not a thread');
const tell = (message: FromBfdWorker): void => port.postMessage(message);
/** What has been told, by listener: not once per attempt. */
const told = new Map<string, string>();
function problem(key: string, reason: string): void {
  if (told.get(key) !== reason) tell({ type: 'event', event: { type: 'problem', reason } });
  told.set(key, reason);
}

const libc = new Libc();
const scheduling = libc.raisePriority();
const udp = new BfdUdp(libc);
const senders = new Map<string, BfdSender>();
/** By family and kind; a promise while it is being opened. */
const listeners = new Map<string, Promise<BfdListener | undefined>>();
const openListeners = new Set<BfdListener>();
/** By family, from the first session on that wants echoes. */
const echoSockets = new Map<4 | 6, EchoSocket>();
let heirlooms: ReadonlyMap<string, BfdSession> = new Map();

const engine = new BfdEngine({
  clock: systemClock,
  send,
  release: (config) => releaseSender(bfdKey(config)),
  drain: () => {
    for (const listener of openListeners) listener.drain();
    for (const socket of echoSockets.values()) socket.drain(echoListener);
  },
  echo: {
    isLooped: ({ localAddress }) => localAddress !== undefined && forwardsFor(localAddress),
    send: (path, packet) => sendEcho(path, packet),
    newSecret: () => randomBytes(SECRET_LENGTH),
  },
  emit: (event) => tell({ type: 'event', event }),
  remember: (key, session) =>
    tell(session === undefined ? { type: 'remember', key } : { type: 'remember', key, session }),
});

const echoListener: EchoListener = {
  onControl: (payload, from, path) => engine.receivePath(payload, from, path),
  onEcho: (payload) => engine.receiveEcho(payload),
};

port.on('message', (message: ToBfdWorker) => {
  switch (message.type) {
    case 'inherit':
      heirlooms = message.legacy.sessions;
      for (const descriptor of message.legacy.descriptors) libc.calls.close(descriptor);
      return;
    case 'configure':
      for (const config of message.sessions) ensureListener(config);
      tendEchoSockets(message.sessions);
      engine.configure(message.sessions, heirlooms);
      heirlooms = new Map();
      return;
    case 'status':
      return tell({
        type: 'status',
        request: message.request,
        sessions: engine.status().map((session) => ({ ...session, scheduling })),
      });
    case 'close':
      return close();
  }
});

/** Opens the socket with the first packet; a socket that fails is opened anew next time: its address may have come and gone. */
function send(config: BfdSessionConfig, packet: Uint8Array): string | undefined {
  const key = bfdKey(config);
  try {
    const sender = senders.get(key) ?? openSender(key, config);
    const failure = sender.send(packet);
    if (failure !== undefined) releaseSender(key);
    return failure;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function openSender(key: string, config: BfdSessionConfig): BfdSender {
  const sender = udp.connect(config.peer, config.localAddress, config.multihop ?? false);
  tell({ type: 'opened', descriptor: sender.descriptor });
  senders.set(key, sender);
  return sender;
}

function sendEcho(path: EchoPath, packet: Uint8Array): string | undefined {
  const socket = echoSockets.get(path.family);
  return socket === undefined ? 'there is no packet socket' : socket.send(path, packet);
}

/** A packet socket per family that has sessions with echoes; one that cannot be opened is tried again with the next change. */
function tendEchoSockets(sessions: readonly BfdSessionConfig[]): void {
  for (const family of [4, 6] as const) {
    const isWanted = sessions.some(
      ({ peer, echoInterval }) => echoInterval !== undefined && peer.includes(':') === (family === 6),
    );
    const socket = echoSockets.get(family);
    if (isWanted && socket === undefined) openEchoes(family);
    else if (!isWanted && socket !== undefined) {
      echoSockets.delete(family);
      tell({ type: 'closing', descriptor: socket.descriptor });
      socket.close();
    }
  }
}

function openEchoes(family: 4 | 6): void {
  try {
    const socket = openEchoSocket(libc, family);
    tell({ type: 'opened', descriptor: socket.descriptor });
    echoSockets.set(family, socket);
    told.delete(`echo ${family}`);
  } catch (error) {
    problem(`echo ${family}`, error instanceof Error ? error.message : String(error));
  }
}

function releaseSender(key: string): void {
  const sender = senders.get(key);
  if (sender === undefined) return;
  senders.delete(key);
  // Told before: a number that is no longer ours must never be in the legacy.
  tell({ type: 'closing', descriptor: sender.descriptor });
  sender.close();
}

function ensureListener({ peer, multihop = false }: BfdSessionConfig): void {
  const family = peer.includes(':') ? 6 : 4;
  const key = `${family} ${multihop}`;
  if (listeners.has(key)) return;
  listeners.set(key, listen(key, family, multihop));
}

async function listen(key: string, family: 4 | 6, multihop: boolean): Promise<BfdListener | undefined> {
  try {
    const listener = await udp.listen(
      family,
      multihop,
      (bytes, from) => engine.receive(bytes, from, multihop),
      (error) => problem(key, `BFD listener failed: ${error.message}`),
    );
    told.delete(key);
    openListeners.add(listener);
    return listener;
  } catch (error) {
    problem(key, error instanceof Error ? error.message : String(error));
    setTimeout(() => {
      if (!isClosing) listeners.set(key, listen(key, family, multihop));
    }, LISTEN_RETRY);
    return undefined;
  }
}

let isClosing = false;

function close(): void {
  if (isClosing) return;
  isClosing = true;
  const patience = engine.farewellTime;
  engine.configure([]);
  setTimeout(() => {
    engine.close();
    for (const listener of openListeners) listener.close();
    process.exit(0);
  }, patience);
}
