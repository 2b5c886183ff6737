/** Frames as a pod with NET_RAW may send them: Ethernet, and in it whatever the test says. */
import { addressToBytes, parseAddress } from 'node-bgp/address';
import { bindSocket, closeFd, openSocket, sendBytes, SOCK_RAW } from '../../src/dataplane/libc.js';
import { NetlinkSocket } from '../../src/dataplane/netlink/netlink-socket.js';
import { findLink } from '../../src/dataplane/netlink/link.js';
import { inNamespace } from '../../src/dataplane/netns.js';

const AF_PACKET = 17;
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 9);
const ETHERTYPE = { arp: 0x0806, ipv6: 0x86dd } as const;

/** packet(7): a socket of one interface in a namespace. */
export class PacketSocket {
  private readonly fd: number;

  constructor(namespace: string, name: string) {
    this.fd = inNamespace(namespace, () => {
      const netlink = new NetlinkSocket();
      const index = findLink(netlink, { name })?.index ?? 0;
      netlink.close();
      const fd = openSocket(AF_PACKET, SOCK_RAW, 0);
      // struct sockaddr_ll: family(2) protocol(2) ifindex(4) ...
      const address = Buffer.alloc(20);
      address.writeUInt16LE(AF_PACKET, 0);
      address.writeInt32LE(index, 4);
      bindSocket(fd, address);
      return fd;
    });
  }

  send(...frames: readonly Uint8Array[]): void {
    for (const frame of frames) sendBytes(this.fd, frame, frame.length);
  }

  close(): void {
    closeFd(this.fd);
  }
}

const frame = (to: Uint8Array, type: number, payload: Uint8Array): Uint8Array =>
  Buffer.concat([to, MAC, Uint8Array.of(type >> 8, type & 255), payload]);
const bytes = (address: string): Uint8Array => addressToBytes(parseAddress(address));

/** RFC 826: who has `target`, tell `sender`? */
export const arpRequest = (sender: string, target: string): Uint8Array =>
  frame(
    new Uint8Array(6).fill(255),
    ETHERTYPE.arp,
    Buffer.concat([Uint8Array.of(0, 1, 8, 0, 6, 4, 0, 1), MAC, bytes(sender), new Uint8Array(6), bytes(target)]),
  );

/** An ICMPv6 message of hop limit 255, checksum made; `to` is a multicast group or, with `mac`, a host. */
export function icmpv6(from: string, to: string, type: number, rest: Uint8Array, mac?: Uint8Array): Uint8Array {
  const message = Buffer.concat([Uint8Array.of(type, 0, 0, 0), rest]);
  const [source, destination] = [bytes(from), bytes(to)];
  message.writeUInt16BE(checksum(Buffer.concat([source, destination, word(message.length), word(58), message])), 2);
  const header = Buffer.concat([
    Uint8Array.of(0x60, 0, 0, 0),
    word(message.length).subarray(2),
    Uint8Array.of(58, 255),
  ]);
  const group = Buffer.concat([Uint8Array.of(0x33, 0x33), destination.subarray(12)]);
  return frame(mac ?? group, ETHERTYPE.ipv6, Buffer.concat([header, source, destination, message]));
}

/** RFC 4861 4.6.1: source (1) or target (2) link-layer address. */
const linkLayerOption = (type: 1 | 2): Uint8Array => Buffer.concat([Uint8Array.of(type, 1), MAC]);

export const solicitation = (from: string, target: string, group: string): Uint8Array =>
  icmpv6(from, group, 135, Buffer.concat([word(0), bytes(target), linkLayerOption(1)]));
/** Unsolicited, to all nodes. */
export const advertisement = (from: string, target: string): Uint8Array =>
  icmpv6(from, 'ff02::1', 136, Buffer.concat([word(0x20000000), bytes(target), linkLayerOption(2)]));
export const routerSolicitation = (from: string): Uint8Array =>
  icmpv6(from, 'ff02::2', 133, Buffer.concat([word(0), linkLayerOption(1)]));
export const routerAdvertisement = (from: string): Uint8Array =>
  icmpv6(from, 'ff02::1', 134, Buffer.concat([word(0x40000708), word(0), word(0), linkLayerOption(1)]));
export const echoRequest = (from: string, to: string, mac: Uint8Array): Uint8Array =>
  icmpv6(from, to, 128, word(0x00010001), mac);

function word(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value >>> 0);
  return buffer;
}

function checksum(data: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < data.length; at += 2) sum += ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
