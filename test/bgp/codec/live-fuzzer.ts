/**
 * A real speaker under attack over TCP: strangers of an allowed range connect, say a valid OPEN or a damaged one, then send streams of
 * damaged messages, cut anywhere, and vanish in all ways. An honest neighbour beside them must not notice.
 */
import { createConnection, type Socket } from 'node:net';
import { MessageFramer } from 'node-bgp/codec/framer';
import type { OpenMessage } from 'node-bgp/codec/control-message';
import { encodeControlMessage } from 'node-bgp/codec/message';
import { describeNotification } from 'node-bgp/codec/notification';
import { MessageType } from 'node-bgp/iana';
import { Speaker } from 'node-bgp/speaker/speaker';
import { Chance, damage } from './fuzzer.js';
import { generateUpdate } from './fuzz-targets.js';

const OUR_AS = 64512;
const ATTACKER_AS = 65001;
const HONEST_AS = 65002;

export interface LiveReport {
  readonly connections: number;
  readonly messages: number;
  /** Attacks that reached Established. */
  readonly established: number;
  /** NOTIFICATIONs the speaker sent, by their words. */
  readonly notifications: ReadonlyMap<string, number>;
  /** Times the honest neighbour's session went down: has to be 0. */
  readonly honestDowns: number;
  /** Prefixes the honest neighbour had told, and which are still there at the end. */
  readonly honestPrefixes: number;
  /** Bytes of heap in use, after a collection where there is one: before and after. */
  readonly heapBefore: number;
  readonly heapAfter: number;
}

const open = (as: number, identifier: number): OpenMessage => ({
  type: 'open',
  version: 4,
  as,
  holdTime: 90,
  identifier,
  capabilities: [
    { type: 'multiprotocol', afi: 1, safi: 1 },
    { type: 'multiprotocol', afi: 2, safi: 1 },
    { type: 'route-refresh' },
    { type: 'enhanced-route-refresh' },
    { type: 'four-octet-as', as },
    { type: 'extended-message' },
    {
      type: 'graceful-restart',
      restarting: false,
      notification: true,
      restartTime: 1,
      families: [{ afi: 1, safi: 1, forwardingPreserved: true }],
    },
  ],
});

/** Runs `count` attacks, a few at a time. Every failure of the speaker to keep its promises shows in the report, or throws. */
export async function attack(count: number, seed: number): Promise<LiveReport> {
  const chance = new Chance(seed);
  const target = new Speaker();
  const downs: string[] = [];
  let port = 0;
  target.subscribe((event) => {
    if (event.type === 'listening') port = event.port;
    if (event.type === 'peer-down' && event.peer === 'honest') downs.push(event.reason);
  });
  const honest = new Speaker();
  try {
    await target.configure({
      localAs: OUR_AS,
      routerId: '10.0.0.1',
      listen: [{ address: '127.0.0.1', port: 0 }],
      peers: [{ name: 'honest', address: '127.0.2.1', remoteAs: HONEST_AS, passive: true, multihop: 2 }],
      dynamicPeers: [
        { name: 'strangers', range: '127.0.1.0/24', remoteAs: ATTACKER_AS, limit: 254, maxPrefixes: 1_000_000 },
      ],
    });
    await honest.configure({
      localAs: HONEST_AS,
      routerId: '10.0.0.2',
      listen: [],
      peers: [{ address: '127.0.0.1', port, localAddress: '127.0.2.1', remoteAs: OUR_AS, multihop: 2 }],
      originate: Array.from({ length: 50 }, (_, i) => ({ prefix: `10.200.${i}.0/24` })),
    });
    await until('the honest session', () => target.neighbor('honest')?.state === 'Established');
    const heapBefore = heap();
    const tally = { messages: 0, established: 0, notifications: new Map<string, number>() };
    let next = 0;
    const attacker = async (): Promise<void> => {
      while (next < count) {
        await attackOnce(port, 1 + (next++ % 250), chance, tally);
        // Somebody looks, at any moment.
        target.summary();
        for (const name of target.neighborNames) target.neighbor(name);
      }
    };
    await Promise.all(Array.from({ length: 8 }, attacker));
    await until('the strangers to be gone', () => target.neighborNames.length <= 1 + 8);
    const prefixes = [...(target.rib?.best(4) ?? [])]
      .flat()
      .filter(({ source }) => source.type === 'ebgp' && source.peer === 'honest').length;
    return {
      connections: count,
      ...tally,
      honestDowns: downs.length,
      honestPrefixes: prefixes,
      heapBefore,
      heapAfter: heap(),
    };
  } finally {
    await honest.stop();
    await target.stop();
  }
}

interface Tally {
  messages: number;
  established: number;
  readonly notifications: Map<string, number>;
}

/** One connection from 127.0.1.x, to its bitter end. */
async function attackOnce(port: number, host: number, chance: Chance, tally: Tally): Promise<void> {
  const socket = createConnection({ host: '127.0.0.1', port, localAddress: `127.0.1.${host}` });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  let keepalives = 0;
  const framer = new MessageFramer((type, bytes, start) => {
    if (type === MessageType.keepalive) keepalives++;
    if (type !== MessageType.notification) return;
    const words = describeNotification(bytes[start] ?? 0, bytes[start + 1] ?? 0);
    tally.notifications.set(words, (tally.notifications.get(words) ?? 0) + 1);
  }, true);
  socket.on('data', (chunk) => framer.push(chunk));
  socket.write(
    chance.oneIn(8)
      ? injured(chance, encodeControlMessage(open(ATTACKER_AS, 0x0a000100 + host)))
      : encodeControlMessage(open(ATTACKER_AS, 0x0a000100 + host)),
  );
  socket.write(encodeControlMessage({ type: 'keepalive' }));
  await Promise.race([closed, pause(2_000), keptAlive(() => keepalives > 0)]);
  if (keepalives > 0) tally.established++;
  for (let burst = chance.below(6); burst > 0 && !socket.destroyed && socket.writable; burst--) {
    tally.messages += send(socket, chance);
    await pause(chance.below(3));
  }
  if (chance.oneIn(3)) socket.resetAndDestroy();
  else socket.end();
  await Promise.race([closed, pause(5_000)]);
  socket.destroy();
}

async function keptAlive(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !holds(); i++) await pause(5);
}

/** A stream of messages, some of them broken, in random pieces; returns how many. */
function send(socket: Socket, chance: Chance): number {
  const messages: Uint8Array[] = [];
  for (let count = 1 + chance.below(20); count > 0; count--) messages.push(randomMessage(chance));
  const stream = Buffer.concat(messages);
  for (let at = 0; at < stream.length; ) {
    const end = chance.oneIn(3) ? stream.length : Math.min(stream.length, at + 1 + chance.below(400));
    socket.write(stream.subarray(at, end));
    at = end;
  }
  return messages.length;
}

const buffer = new Uint8Array(8192);

function randomMessage(chance: Chance): Uint8Array {
  if (chance.oneIn(10))
    return injured(
      chance,
      encodeControlMessage(
        chance.oneIn(2) ? { type: 'route-refresh', afi: 1, safi: 1, subtype: 'request' } : { type: 'keepalive' },
      ),
    );
  let length = generateUpdate(chance, buffer);
  if (!chance.oneIn(3)) length = damage(chance, buffer, length);
  const size = Math.max(length, 4);
  const message = new Uint8Array(19 + size).fill(0xff, 0, 16);
  message[16] = (19 + size) >> 8;
  message[17] = 19 + size;
  message[18] = MessageType.update;
  message.set(buffer.subarray(0, length), 19);
  return chance.oneIn(60) ? injured(chance, message) : message;
}

function injured(chance: Chance, message: Uint8Array): Uint8Array {
  buffer.set(message);
  return buffer.slice(0, damage(chance, buffer, message.length));
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 3000; i++) {
    if (holds()) return;
    await pause(10);
  }
  throw new Error(`Waited in vain for ${what}`);
}

function heap(): number {
  (globalThis as { readonly gc?: () => void }).gc?.();
  return process.memoryUsage().heapUsed;
}
