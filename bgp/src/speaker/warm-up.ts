/**
 * Runs the way of an UPDATE through framer, decoder, RIB and encoder on made-up routes, in memory, once at start: afterwards the code of
 * that way is compiled. A daemon that has just started would otherwise take its first table at a third of the speed, and its first
 * single prefixes at ten times the latency. Costs a tenth of a second or two; nothing of it remains.
 */
import { parseAddress, type Family } from '../address.js';
import { NO_BYTES } from '../codec/bgp-error.js';
import { MessageFramer } from '../codec/framer.js';
import type { DecodeParameters, EncodeParameters } from '../codec/negotiated.js';
import { write16 } from '../codec/octets.js';
import { encodeAttributes } from '../codec/parse.js';
import { UpdateWriter } from '../codec/update-writer.js';
import { decodeUpdate } from '../codec/update.js';
import { nextHopOctets } from '../rib/peers.js';
import { createRib, type PeerId, type Rib, type RibPeer } from '../rib/index.js';

/** Few prefixes at a time, for the latency of one; then many, for the speed of a table. */
const ROUNDS: readonly { readonly batches: number; readonly prefixes: number }[] = [
  { batches: 250, prefixes: 1 },
  { batches: 4, prefixes: 2000 },
];

const PREFIXES_PER_UPDATE = 5;

const DECODE: DecodeParameters = {
  as4: true, external: true, peerAs: 4200000001, enforceFirstAs: true, ipv4: true, ipv6: true, addPathIpv4: false, addPathIpv6: false,
  extendedNextHop: false, maxAsPathLength: 0,
};
const ENCODE: EncodeParameters = { as4: true, addPathIpv4: false, addPathIpv6: false, extendedNextHop: false, maxMessageLength: 4096 };

const peer = (name: string, address: string, remoteAs: number): RibPeer => ({
  name, role: 'ebgp', address: parseAddress(address), remoteAs, localAs: 65000, routerId: remoteAs, singleHop: true,
  families: [{ family: 4, nextHopSelf: nextHopOctets(parseAddress('192.0.2.1')) }, { family: 6, nextHopSelf: nextHopOctets(parseAddress('2001:db8::1')) }],
});

export function warmUp(): void {
  for (const family of [4, 6] as const) {
    const rib = createRib({ localAs: 65000, routerId: 1, forwarding: true }, { wanted: () => undefined, outputReady: () => undefined });
    const sender = rib.peerUp(peer('sender', '192.0.2.2', DECODE.peerAs));
    const receiver = rib.peerUp(peer('receiver', '192.0.2.3', 65001));
    let first = 0;
    for (const { batches, prefixes } of ROUNDS)
      for (let i = 0; i < batches; i++, first += prefixes) {
        carry(rib, sender, receiver, announcements(family, first, prefixes));
        carry(rib, sender, receiver, withdrawals(family, first, prefixes));
      }
  }
}

function carry(rib: Rib, sender: PeerId, receiver: PeerId, bytes: Uint8Array): void {
  const framer = new MessageFramer((_type, message, start, end) => {
    rib.receive(sender, decodeUpdate(message, start, end, DECODE));
  });
  framer.push(bytes);
  while (rib.run());
  rib.takeOutput(receiver);
  while (rib.takeForwarding(() => undefined));
}

function announcements(family: Family, first: number, count: number): Uint8Array {
  const nextHop = nextHopOctets(parseAddress(family === 4 ? '192.0.2.2' : '2001:db8::2'));
  return messages(family, first, count, (writer, at) => {
    const block = BLOCKS[at % BLOCKS.length] ?? NO_BYTES;
    // The origin AS, the last number of AS_PATH: many sets out of a few blocks.
    write16(block, LAST_AS, at);
    writer.beginReach(family, nextHop, block, 0, block.length);
  });
}

const BLOCKS: readonly Uint8Array[] = Array.from({ length: 12 }, (_, i) => encodeAttributes({
  origin: 'igp', asPath: [{ type: 'sequence', members: [DECODE.peerAs, 1000 + i, 0x10000] }],
  ...(i % 3 === 0 ? { med: i } : {}), ...(i % 2 === 0 ? { communities: [0x03e80000 + i, 0x03e90000] } : {}),
  ...(i % 6 === 0 ? { largeCommunities: [{ global: 1000, local1: i, local2: 1 }] } : {}),
}));
/** ORIGIN takes four octets, the head of AS_PATH three, of its segment two; the low half of the third number follows. */
const LAST_AS = 4 + 3 + 2 + 2 * 4 + 2;

const withdrawals = (family: Family, first: number, count: number): Uint8Array => messages(family, first, count, (writer) => writer.beginWithdraw(family));

function messages(family: Family, first: number, count: number, begin: (writer: UpdateWriter, at: number) => void): Uint8Array {
  const out = new Uint8Array(count * 160 + 4096);
  const writer = new UpdateWriter(ENCODE);
  writer.into(out, 0);
  const words = new Uint32Array(4);
  for (let i = 0; i < count; ) {
    begin(writer, first + i);
    for (const until = Math.min(count, i + PREFIXES_PER_UPDATE); i < until; i++) {
      if (family === 4) writer.addIpv4(0x0b000000 + (first + i) * 256, 24, 0);
      else {
        words[0] = 0x20010db8;
        words[1] = (first + i) << 16;
        writer.addIpv6(words, 0, 48, 0);
      }
    }
    writer.finish();
  }
  return out.subarray(0, writer.at);
}
