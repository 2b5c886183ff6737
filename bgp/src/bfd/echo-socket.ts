/**
 * Echo packets on the wire: an IP packet from us to us (RFC 5881 section 4), handed to the peer's link-layer address,
 * and read when the peer has forwarded it back. Both need a packet socket: no route leads to one's own address through
 * a neighbour, and Linux drops what comes in from one's own address before UDP sees it.
 *
 * The same socket hears the peer's control packets: their frames tell the peer's link-layer address, the interface,
 * and which address of ours it speaks to, as they are now. Nothing is read unless `drain` is called.
 *
 * Kernel interfaces: packet(7), linux/if_packet.h, linux/filter.h. Needs CAP_NET_RAW.
 */
import { addressFromBytes, formatAddress } from '../address.js';
import { Port } from '../iana.js';
import {
  MSG_DONTWAIT,
  NETWORK_CONTROL,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  type BpfProgram,
} from '../native/libc.js';
import type { Libc } from './libc.js';

const AF_PACKET = 17;
const PACKET_HOST = 0;
const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;
const UDP = 17;
const UDP_HEADER = 8;
/** As sent (RFC 5881 section 5), and as it comes back after one hop. */
const SENT_TTL = 255;
const RETURNED_TTL = 254;
/** struct sockaddr_ll: family(2) protocol(2) ifindex(4) hatype(2) pkttype(1) halen(1) addr(8). */
const SOCKADDR_LL = 20;
/** BOUNDED: as many packets as one look takes. */
const MOST_DRAINED = 4096;
const LONGEST_PACKET = 256;
const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Where echoes to a peer go. */
export interface EchoPath {
  readonly family: 4 | 6;
  readonly interfaceIndex: number;
  readonly linkAddress: Uint8Array;
  /** Our address on the link, in network order. */
  readonly ownAddress: Uint8Array;
}

export interface EchoListener {
  /** A control packet of `from` came on this path. */
  readonly onControl: (payload: Uint8Array, from: string, path: EchoPath) => void;
  readonly onEcho: (payload: Uint8Array) => void;
}

export interface EchoSocket {
  readonly descriptor: number;
  /** Sends an echo; an answer is why not. */
  send(path: EchoPath, payload: Uint8Array): string | undefined;
  drain(listener: EchoListener): void;
  close(): void;
}

/** Throws with a sentence when there is no right to it. */
export function openEchoSocket(libc: Libc, family: 4 | 6): EchoSocket {
  const protocol = ETHERTYPE[family];
  const descriptor = libc.calls.socket(
    AF_PACKET,
    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
    ((protocol & 0xff) << 8) | (protocol >> 8),
  );
  if (descriptor < 0) throw libc.error(`open a packet socket for BFD echoes of IPv${family}`);
  try {
    libc.filter(descriptor, family === 4 ? IPV4_FILTER : IPV6_FILTER);
  } catch (error) {
    libc.calls.close(descriptor);
    throw error;
  }
  return {
    descriptor,
    send: (path, payload) => {
      const [packet, address] = [encodeEchoDatagram(path.ownAddress, payload), encodeLinkAddress(path)];
      return libc.calls.sendto(descriptor, packet, packet.length, MSG_DONTWAIT, address, address.length) < 0
        ? libc.errorName()
        : undefined;
    },
    drain: (listener) => {
      const [packet, address, addressLength] = [
        new Uint8Array(LONGEST_PACKET),
        new Uint8Array(SOCKADDR_LL),
        new Uint32Array(1),
      ];
      for (let count = 0; count < MOST_DRAINED; count++) {
        addressLength[0] = SOCKADDR_LL;
        const length = libc.calls.recvfrom(descriptor, packet, packet.length, MSG_DONTWAIT, address, addressLength);
        // EAGAIN: that was all. ENETDOWN, after an interface went, is told once by the kernel and means nothing to the other interfaces.
        if (length < 0 && libc.errorName() === 'ENETDOWN') continue;
        if (length < 0) return;
        hear(family, packet.slice(0, length), address, listener);
      }
    },
    close: () => void libc.calls.close(descriptor),
  };
}

/** UDP, no later fragment, to one of the two ports, TTL 254 at least. Offsets count from the network header. */
const IPV4_FILTER: BpfProgram = [
  [0x30, 0, 0, 9], // ldb [protocol]
  [0x15, 0, 9, UDP], // jeq #17, next, drop
  [0x28, 0, 0, 6], // ldh [fragment offset]
  [0x45, 7, 0, 0x1fff], // jset, drop, next
  [0xb1, 0, 0, 0], // ldx 4 * (header length)
  [0x48, 0, 0, 2], // ldh [x + destination port]
  [0x15, 1, 0, Port.bfdControl], // jeq, ttl, next
  [0x15, 0, 3, Port.bfdEcho], // jeq, ttl, drop
  [0x30, 0, 0, 8], // ttl: ldb [ttl]
  [0x35, 0, 1, RETURNED_TTL], // jge, next, drop
  [0x06, 0, 0, 0xffff], // ret: all of it
  [0x06, 0, 0, 0], // drop
];

const IPV6_FILTER: BpfProgram = [
  [0x30, 0, 0, 6], // ldb [next header]
  [0x15, 0, 6, UDP], // jeq #17, next, drop
  [0x28, 0, 0, 42], // ldh [destination port]
  [0x15, 1, 0, Port.bfdControl], // jeq, hop limit, next
  [0x15, 0, 3, Port.bfdEcho], // jeq, hop limit, drop
  [0x30, 0, 0, 7], // hop limit: ldb [hop limit]
  [0x35, 0, 1, RETURNED_TTL], // jge, next, drop
  [0x06, 0, 0, 0xffff], // ret: all of it
  [0x06, 0, 0, 0], // drop
];

function hear(family: 4 | 6, packet: Uint8Array, address: Uint8Array, { onControl, onEcho }: EchoListener): void {
  const view = new DataView(address.buffer);
  if (address[10] !== PACKET_HOST) return;
  const header = family === 4 ? ((packet[0] ?? 0) & 0xf) * 4 : 40;
  const ttl = packet[family === 4 ? 8 : 7];
  const port = ((packet[header + 2] ?? 0) << 8) | (packet[header + 3] ?? 0);
  const payload = packet.subarray(header + UDP_HEADER);
  const [source, destination] =
    family === 4 ? [packet.slice(12, 16), packet.slice(16, 20)] : [packet.slice(8, 24), packet.slice(24, 40)];
  if (port === Port.bfdEcho && ttl === RETURNED_TTL) return onEcho(payload);
  if (port !== Port.bfdControl || ttl !== SENT_TTL) return;
  const linkAddress = address.slice(12, 12 + Math.min(address[11] ?? 0, 8));
  onControl(payload, formatAddress(addressFromBytes(source)), {
    family,
    interfaceIndex: view.getInt32(4, isLittleEndian),
    linkAddress,
    ownAddress: destination,
  });
}

function encodeLinkAddress({ family, interfaceIndex, linkAddress }: EchoPath): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_LL);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_PACKET, isLittleEndian);
  view.setUint16(2, ETHERTYPE[family]);
  view.setInt32(4, interfaceIndex, isLittleEndian);
  bytes[11] = linkAddress.length;
  bytes.set(linkAddress, 12);
  return bytes;
}

/**
 * The whole IP packet, from `own` to `own`, both ports 3785 (RFC 5881 section 4), with checksums (RFC 791, RFC 768, RFC
 * 8200 section 8.1).
 */
export function encodeEchoDatagram(own: Uint8Array, payload: Uint8Array): Uint8Array {
  const isIpv4 = own.length === 4;
  const header = isIpv4 ? 20 : 40;
  const udpLength = UDP_HEADER + payload.length;
  const packet = new Uint8Array(header + udpLength);
  const view = new DataView(packet.buffer);
  if (isIpv4) {
    packet[0] = 0x45;
    packet[1] = NETWORK_CONTROL;
    view.setUint16(2, packet.length);
    view.setUint16(6, 0x4000); // don't fragment
    packet[8] = SENT_TTL;
    packet[9] = UDP;
    packet.set(own, 12);
    packet.set(own, 16);
    view.setUint16(10, checksum([packet.subarray(0, header)]));
  } else {
    view.setUint32(0, (6 << 28) | (NETWORK_CONTROL << 20));
    view.setUint16(4, udpLength);
    packet[6] = UDP;
    packet[7] = SENT_TTL;
    packet.set(own, 8);
    packet.set(own, 24);
  }
  view.setUint16(header, Port.bfdEcho);
  view.setUint16(header + 2, Port.bfdEcho);
  view.setUint16(header + 4, udpLength);
  packet.set(payload, header + UDP_HEADER);
  const pseudoHeader = new Uint8Array([...own, ...own, 0, UDP, udpLength >> 8, udpLength & 0xff]);
  // 0 would mean "none": its other form in one's complement is sent.
  view.setUint16(header + 6, checksum([pseudoHeader, packet.subarray(header)]) || 0xffff);
  return packet;
}

/** RFC 1071; parts have even lengths, but for the last. */
function checksum(parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) for (let i = 0; i < part.length; i += 2) sum += ((part[i] ?? 0) << 8) | (part[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
