/**
 * The BFD thread: an engine of its own event loop, so that a full table in the main thread costs BFD nothing. Started by
 * service.ts; talks to it in worker-message.ts.
 */
import type { Socket } from 'node:dgram';
import { parentPort } from 'node:worker_threads';
import { systemClock } from '../session/clock.js';
import { bfdKey, type BfdSessionConfig } from './contract.js';
import { BfdEngine } from './engine.js';
import { BfdUdp, type BfdSender } from './udp-socket.js';
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

const udp = new BfdUdp();
udp.raisePriority();
const senders = new Map<string, BfdSender>();
/** By family and kind; a promise while it is being opened. */
const listeners = new Map<string, Promise<Socket | undefined>>();

const engine = new BfdEngine({
  clock: systemClock,
  send,
  release: (config) => releaseSender(bfdKey(config)),
  emit: (event) => tell({ type: 'event', event }),
});

port.on('message', (message: ToBfdWorker) => {
  switch (message.type) {
    case 'configure':
      for (const config of message.sessions) ensureListener(config);
      return engine.configure(message.sessions);
    case 'status': return tell({ type: 'status', request: message.request, sessions: engine.status() });
    case 'close': return close();
  }
});

/** Opens the socket with the first packet; a socket that fails is opened anew next time: its address may have come and gone. */
function send(config: BfdSessionConfig, packet: Uint8Array): string | undefined {
  const key = bfdKey(config);
  try {
    const sender = senders.get(key) ?? udp.connect(config.peer, config.localAddress, config.multihop ?? false);
    senders.set(key, sender);
    const failure = sender.send(packet);
    if (failure !== undefined) releaseSender(key);
    return failure;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function releaseSender(key: string): void {
  senders.get(key)?.close();
  senders.delete(key);
}

function ensureListener({ peer, multihop = false }: BfdSessionConfig): void {
  const family = peer.includes(':') ? 6 : 4;
  const key = `${family} ${multihop}`;
  if (listeners.has(key)) return;
  listeners.set(key, listen(key, family, multihop));
}

async function listen(key: string, family: 4 | 6, multihop: boolean): Promise<Socket | undefined> {
  try {
    const socket = await udp.listen(family, multihop, (bytes, from) => engine.receive(bytes, from, multihop));
    socket.on('error', (error) => problem(key, `BFD listener failed: ${error.message}`));
    told.delete(key);
    return socket;
  } catch (error) {
    problem(key, error instanceof Error ? error.message : String(error));
    setTimeout(() => { if (!isClosing) listeners.set(key, listen(key, family, multihop)); }, LISTEN_RETRY);
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
    // Closing its port ends the thread once nothing else is left; an exit makes sure.
    void Promise.all([...listeners.values()].map(async (listener) => (await listener)?.close())).finally(() => process.exit(0));
  }, patience);
}
