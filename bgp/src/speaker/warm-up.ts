/**
 * Rehearses the way of routes through a whole Speaker, in memory, once at start: sessions, framer, decoder, policy,
 * RIB, encoder; tables that
 * come, change and go, a newcomer, a sender lost. Afterwards the code of that way is compiled. A daemon that has just
 * started would otherwise spend three times the processor time on its first table.
 *
 * The rehearsal has to be like the real thing, because compiled code holds only for the kinds of objects it has met: another kind of byte
 * array, a table that grows for the first time, a function called directly that a Session calls by a closure, and the first real UPDATEs
 * throw it all away. So bytes come in as Buffers of the size of a read, all goes through Speaker, and there is more than one speaker: code
 * that has only met one instance of a closure is compiled for that very one.
 *
 * Small speakers of both families come first and are kept for ever (a few hundred prefixes each): V8 forgets the shape of objects when a
 * garbage collection finds none alive, and with the shape the code that was compiled for it.
 *
 * Costs some 0.3 s of processor time, most of it the compiler's (docs/decisions/0022-rib.md).
 */
import { parseAddress, type Family } from '../address.js';
import { NO_BYTES } from '../codec/bgp-error.js';
import { encodeControlMessage } from '../codec/message.js';
import type { EncodeParameters } from '../codec/negotiated.js';
import { write16 } from '../codec/octets.js';
import { openAsField } from '../codec/open.js';
import { encodeAttributes } from '../codec/parse.js';
import { UpdateWriter } from '../codec/update-writer.js';
import type { SpeakerConfig } from '../config.js';
import { Afi, Safi } from '../iana.js';
import { nextHopOctets } from '../rib/peers.js';
import { Speaker } from './speaker.js';
import { StageClock, StageTransport, type StageConnection } from './stage.js';

/** Most that libuv reads from a socket at a time. */
const READ = 65_536;
const PREFIXES_PER_UPDATE = 5;
/** Prefixes one at a time: a turn of the RIB for each. */
const SINGLES = 20;
/** More than a table has room for at first, so that every column grows; too few for the compiler to start before all has been met once. */
const SMALL = 600;
/** Enough for the compiler to take all that runs per prefix. */
const LARGE = 5_000;

const SENDER_AS = 4_200_000_001;
const RECEIVER_AS = 65_001;
const addressOf = (family: Family, host: number): string => `${family === 4 ? '192.0.2.' : '2001:db8::'}${host}`;

/** What keeps the shapes alive. BOUNDED: one speaker a family. */
const kept = new Map<Family, Rehearsal>();

export async function warmUp(): Promise<void> {
  for (const family of [4, 6] as const) kept.set(family, await rehearse(family, SMALL));
  for (const family of [4, 6] as const) await (await rehearse(family, LARGE)).speaker.stop();
}

export interface Rehearsal {
  readonly speaker: Speaker;
  /** What the receivers were sent, in octets, and the routes handed out for forwarding. */
  readonly written: number;
  readonly forwarded: number;
}

/** Plays all scenes with tables of `count` prefixes. Leaves the sessions up, a receiver and a sender of one prefix. */
export async function rehearse(family: Family, count: number): Promise<Rehearsal> {
  const clock = new StageClock();
  const local = { address: addressOf(family, 1), port: 179 };
  const transport = new StageTransport(local);
  let forwarded = 0;
  const forward = (): void =>
    clock.soon(() => {
      while (
        speaker.takeForwarding(() => {
          forwarded++;
        })
      );
    });
  const speaker = new Speaker({ transport, clock, onForwarding: forward, bfd: () => NO_BFD });
  await speaker.configure(configuration(family, count));
  speaker.setInterfaces([
    {
      name: 'eth0',
      isUp: true,
      addresses: [{ address: parseAddress(addressOf(family, 1)), length: family === 4 ? 24 : 64 }],
    },
  ]);
  let sender = establish(transport, family, 2, SENDER_AS);
  const play = (reads: readonly Uint8Array[]): void => {
    for (const bytes of reads) sender.receive(bytes);
    clock.settle();
  };
  const receivers = [establish(transport, family, 3, RECEIVER_AS)];
  clock.settle();
  for (let i = 0; i < SINGLES; i++) {
    play(announcements(family, i, 1, 0));
    play(withdrawals(family, i, 1));
  }
  play(announcements(family, 0, count, 0));
  play(announcements(family, 0, count / 4, 1));
  receivers.push(establish(transport, family, 4, RECEIVER_AS));
  clock.settle();
  play(withdrawals(family, 0, count));
  play(announcements(family, 0, count, 2));
  sender.hangUp();
  clock.settle();
  sender = establish(transport, family, 2, SENDER_AS);
  play(announcements(family, 0, 1, 0));
  return { speaker, written: receivers.reduce((sum, { written }) => sum + written, 0), forwarded };
}

const NO_BFD = { set: () => undefined, status: () => Promise.resolve([]), close: () => Promise.resolve() };

const configuration = (family: Family, count: number): SpeakerConfig => ({
  localAs: 65_000,
  routerId: '192.0.2.1',
  listen: [{ address: addressOf(family, 1) }],
  gracefulRestartTime: 0,
  filters: { all: { rules: [{ action: 'accept' }] }, none: { rules: [{ action: 'reject' }] } },
  peers: [SENDER_AS, RECEIVER_AS, RECEIVER_AS].map((remoteAs, i) => ({
    address: addressOf(family, i + 2),
    remoteAs,
    passive: true,
    families: [family === 4 ? 'ipv4' : 'ipv6'],
    maxPrefixes: 2 * count,
    import: ['all'],
    export: [remoteAs === SENDER_AS ? 'none' : 'all'],
  })),
});

function establish(transport: StageTransport, family: Family, host: number, as: number): StageConnection {
  const connection = transport.dial(addressOf(family, host));
  connection.receive(
    Buffer.from(
      encodeControlMessage({
        type: 'open',
        version: 4,
        as: openAsField(as),
        holdTime: 90,
        identifier: host,
        capabilities: [
          { type: 'multiprotocol', afi: family === 4 ? Afi.ipv4 : Afi.ipv6, safi: Safi.unicast },
          { type: 'four-octet-as', as },
        ],
      }),
    ),
  );
  connection.receive(Buffer.from(encodeControlMessage({ type: 'keepalive' })));
  return connection;
}

const ENCODE: EncodeParameters = {
  as4: true,
  addPathIpv4: false,
  addPathIpv6: false,
  extendedNextHop: false,
  maxMessageLength: 4096,
};

const BLOCKS: readonly Uint8Array[] = Array.from({ length: 12 }, (_, i) =>
  encodeAttributes({
    origin: i % 5 === 0 ? 'incomplete' : 'igp',
    asPath: [{ type: 'sequence', members: [SENDER_AS, 1000 + i, 0x10000] }],
    ...(i % 3 === 0 ? { med: i } : {}),
    ...(i % 2 === 0 ? { communities: [0x03e80000 + i, 0x03e90000] } : {}),
    ...(i % 6 === 0 ? { largeCommunities: [{ global: 1000, local1: i, local2: 1 }] } : {}),
  }),
);
/** ORIGIN takes four octets, the head of AS_PATH three, of its segment two; the low half of the third number follows. */
const LAST_AS = 4 + 3 + 2 + 2 * 4 + 2;

/** `version` tells attributes of the same prefix apart. */
function announcements(family: Family, first: number, count: number, version: number): readonly Uint8Array[] {
  const nextHop = nextHopOctets(parseAddress(addressOf(family, 2)));
  return reads(family, first, count, PREFIXES_PER_UPDATE, (writer, at) => {
    const block = BLOCKS[(at + version) % BLOCKS.length] ?? NO_BYTES;
    // The origin AS, the last number of AS_PATH: many sets out of a few blocks.
    write16(block, LAST_AS, at);
    writer.beginReach(family, nextHop, block, 0, block.length);
  });
}

const withdrawals = (family: Family, first: number, count: number): readonly Uint8Array[] =>
  reads(family, first, count, Infinity, (writer) => writer.beginWithdraw(family));

/** UPDATEs of at most so many prefixes, cut as a socket hands them out: without regard to messages. */
function reads(
  family: Family,
  first: number,
  count: number,
  perUpdate: number,
  begin: (writer: UpdateWriter, at: number) => void,
): readonly Uint8Array[] {
  const out = Buffer.allocUnsafeSlow(count * 160 + 8192);
  const writer = new UpdateWriter(ENCODE);
  writer.into(out, 0);
  const words = new Uint32Array(4);
  for (let i = 0; i < count; ) {
    begin(writer, first + i);
    for (let added = 0; i < count && added < perUpdate && addPrefix(writer, family, first + i, words); added++) i++;
    writer.finish();
  }
  return Array.from({ length: Math.ceil(writer.at / READ) }, (_, i) =>
    out.subarray(i * READ, Math.min(writer.at, (i + 1) * READ)),
  );
}

/** Lengths as on the Internet, more or less; no two prefixes are alike. Words from both halves of 32 bits: V8 tells them apart. */
function addPrefix(writer: UpdateWriter, family: Family, number: number, words: Uint32Array): boolean {
  const length = (family === 4 ? 24 : 48) - (number % 4);
  if (family === 4) return writer.addIpv4((number % 2 === 0 ? 0x0b000000 : 0xc6000000) + number * 2048, length, 0);
  words[0] = 0x20010000 + (number >>> 12);
  words[1] = ~number << 19;
  return writer.addIpv6(words, 0, length, 0);
}
