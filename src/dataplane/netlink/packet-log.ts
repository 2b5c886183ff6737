/**
 * Packets that rules hand to a group of nfnetlink_log (targets NFLOG of iptables and `log group` of nft), with the rule's prefix
 * (linux/netfilter/nfnetlink_log.h). The kernel sends the first octets of each, many in a datagram.
 *
 * Every packet of a group has a number; what does not fit the receive buffer is missing in the row, so `onLost` is exact.
 *
 * ```
 * struct nfgenmsg: family(1) version(1) resource id(2, network order: the group), attributes
 * NFULA_CFG_MODE:  copy range(4, network order) mode(1) pad(1)
 * ```
 */
import { pollReadable } from '../libc.js';
import { addressText, type ConnectionTuple, eachAttribute } from './conntrack-tuple.js';
import { DatagramReader } from './datagrams.js';
import { forEachRawMessage } from './raw-message.js';
import { NetlinkBatch } from './batch.js';
import { NetlinkSocket } from './netlink-socket.js';

export interface LoggedPacket {
  /** Of the rule. */
  readonly prefix: string;
  readonly family: 4 | 6;
  readonly tuple: ConnectionTuple;
  /** Octets of the whole packet, its IP header included. */
  readonly bytes: number;
  readonly inInterface?: number;
  readonly outInterface?: number;
}

export interface PacketLogOptions {
  /** 1 to 65535. One socket of a namespace has it. */
  readonly group: number;
  readonly onPacket: (packet: LoggedPacket) => void;
  /** So many packets of the group did not reach us. */
  readonly onLost: (count: number) => void;
  /** Something came that is no packet of IP; it is left out. */
  readonly onFault: (error: Error) => void;
}

export interface PacketLog {
  close(): void;
}

const NFNL_SUBSYS_ULOG = 4;
const MSG_PACKET = NFNL_SUBSYS_ULOG << 8;
const MSG_CONFIG = MSG_PACKET | 1;
const AF_UNSPEC = 0;
const NFGENMSG_SIZE = 4;

const enum Config {
  Command = 1,
  Mode = 2,
  Timeout = 4,
  Threshold = 5,
  Flags = 6,
}
const COMMAND_BIND = 1;
const COPY_PACKET = 2;
const FLAG_SEQUENCE = 1;
const enum Attribute {
  InInterface = 4,
  OutInterface = 5,
  Payload = 9,
  Prefix = 10,
  Sequence = 12,
}

/** Octets of a packet: the longest IPv4 header and ports, or an IPv6 header, some extension headers and ports. */
const SNAP = 128;
/** Packets of a datagram at most, and how long the kernel waits for more, in hundredths of a second. */
const THRESHOLD = 64;
const PATIENCE = 5;
const MOST_OCTETS = 65_536;
const DATAGRAMS_A_CALL = 8;
/** BOUNDED: calls before the event loop gets its turn. */
const CALLS_A_TURN = 16;

/** Listens in the network namespace of the thread that calls this. @throws NetlinkError (EBUSY: another has the group), SystemError */
export function openPacketLog(options: PacketLogOptions): PacketLog {
  const socket = new NetlinkSocket({ family: 'netfilter', receiveBufferSize: 4 * 1024 * 1024 });
  try {
    socket.request(configuration(options.group));
  } catch (error) {
    socket.close();
    throw error;
  }
  return new PacketReader(socket, options);
}

function configuration(group: number): NetlinkBatch {
  const batch = new NetlinkBatch(512);
  const message = (fill: () => void): void => {
    batch.beginMessage(MSG_CONFIG, 0, () => `listen to packets of NFLOG group ${group}`);
    batch.u8(AF_UNSPEC);
    batch.u8(0);
    batch.u16be(group);
    fill();
    batch.endMessage();
  };
  message(() => batch.attributeU8(Config.Command, COMMAND_BIND));
  message(() => {
    const mode = new Uint8Array(6);
    new DataView(mode.buffer).setUint32(0, SNAP);
    mode[4] = COPY_PACKET;
    batch.attribute(Config.Mode, mode);
    batch.attributeU32be(Config.Timeout, PATIENCE);
    batch.attributeU32be(Config.Threshold, THRESHOLD);
    batch.attributeU16be(Config.Flags, FLAG_SEQUENCE);
  });
  return batch;
}

class PacketReader implements PacketLog {
  private readonly reader = new DatagramReader(DATAGRAMS_A_CALL, MOST_OCTETS);
  private readonly poll: { close(): void; unref(): void };
  private isClosed = false;
  /** Number of the packet that should come next. */
  private next = 0;

  constructor(
    private readonly socket: NetlinkSocket,
    private readonly options: PacketLogOptions,
  ) {
    this.poll = pollReadable(socket.descriptor, () => this.drain());
    this.poll.unref();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.poll.close();
    // The group goes with its socket.
    this.socket.close();
  }

  private drain(): void {
    for (let call = 0; call < CALLS_A_TURN && !this.isClosed; call++) {
      const received = this.reader.read(this.socket.descriptor);
      // The numbers tell how many.
      if (received.type === 'lost') continue;
      for (let i = 0; i < received.count && !this.isClosed; i++) this.take(i);
      if (received.count < this.reader.most) return;
    }
  }

  private take(index: number): void {
    const { bytes, size } = this.reader;
    const [start, length] = [index * size, this.reader.lengthOf(index)];
    try {
      if (length > size) throw new RangeError(`Cannot read a datagram of ${length} octets: expected ${size} at most`);
      forEachRawMessage(bytes, start, start + length, (type, from, to) => {
        if (type === MSG_PACKET) this.takePacket(bytes, from, to);
      });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.options.onFault(error);
    }
  }

  private takePacket(bytes: Buffer, start: number, end: number): void {
    const { packet, sequence } = decodeLogged(bytes, start, end);
    if (sequence !== undefined) {
      const lost = (sequence - this.next) >>> 0;
      this.next = (sequence + 1) >>> 0;
      if (lost > 0) this.options.onLost(lost);
    }
    if (packet !== undefined) this.options.onPacket(packet);
  }
}

/** `start` is where the nfgenmsg is. Exported for its test. @throws NetlinkProtocolError */
export function decodeLogged(
  bytes: Buffer,
  start: number,
  end: number,
): { readonly packet?: LoggedPacket; readonly sequence?: number } {
  let prefix = '';
  let sequence: number | undefined;
  let interfaces: Pick<LoggedPacket, 'inInterface' | 'outInterface'> = {};
  let header: PacketHeader | undefined;
  eachAttribute(bytes, start + NFGENMSG_SIZE, end, (type, at, until) => {
    if (type === Attribute.Prefix) prefix = bytes.toString('latin1', at, bytes[until - 1] === 0 ? until - 1 : until);
    else if (type === Attribute.Sequence) sequence = bytes.readUInt32BE(at);
    else if (type === Attribute.InInterface) interfaces = { ...interfaces, inInterface: bytes.readUInt32BE(at) };
    else if (type === Attribute.OutInterface) interfaces = { ...interfaces, outInterface: bytes.readUInt32BE(at) };
    else if (type === Attribute.Payload) header = decodePacket(bytes, at, until);
  });
  return {
    ...(sequence === undefined ? {} : { sequence }),
    ...(header === undefined ? {} : { packet: { prefix, ...header, ...interfaces } }),
  };
}

type PacketHeader = Pick<LoggedPacket, 'family' | 'tuple' | 'bytes'>;

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const ICMP = 1;
const ICMPV6 = 58;
const WITH_PORTS = new Set([6, 17, 132, 136, 33]);
const FRAGMENT = 44;
/** Hop-by-hop, routing, destination options: their second octet counts eights behind the first (RFC 8200 section 4). */
const OPTIONS = new Set([0, 43, 60]);

/** IP and transport header of a packet's first octets; undefined: none of IP. */
function decodePacket(bytes: Buffer, start: number, end: number): PacketHeader | undefined {
  const version = (bytes[start] ?? 0) >>> 4;
  if (version === 4 && end - start >= IPV4_HEADER) {
    const protocol = bytes[start + 9] ?? 0;
    const isFirst = (bytes.readUInt16BE(start + 6) & 0x1fff) === 0;
    return {
      family: 4,
      bytes: bytes.readUInt16BE(start + 2),
      tuple: {
        protocol,
        source: addressText(bytes, start + 12, start + 16),
        destination: addressText(bytes, start + 16, start + 20),
        ...transport(bytes, isFirst ? start + ((bytes[start] ?? 0) & 15) * 4 : end, end, protocol),
      },
    };
  }
  if (version !== 6 || end - start < IPV6_HEADER) return undefined;
  let [protocol, at] = [bytes[start + 6] ?? 0, start + IPV6_HEADER];
  while ((OPTIONS.has(protocol) || protocol === FRAGMENT) && at + 8 <= end) {
    const isLater = protocol === FRAGMENT && (bytes.readUInt16BE(at + 2) & 0xfff8) !== 0;
    const length = protocol === FRAGMENT ? 8 : 8 + (bytes[at + 1] ?? 0) * 8;
    protocol = bytes[at] ?? 0;
    at = isLater ? end : at + length;
  }
  return {
    family: 6,
    bytes: IPV6_HEADER + bytes.readUInt16BE(start + 4),
    tuple: {
      protocol,
      source: addressText(bytes, start + 8, start + 24),
      destination: addressText(bytes, start + 24, start + 40),
      ...transport(bytes, at, end, protocol),
    },
  };
}

function transport(
  bytes: Buffer,
  at: number,
  end: number,
  protocol: number,
): Pick<ConnectionTuple, 'sourcePort' | 'destinationPort' | 'icmp'> {
  if (WITH_PORTS.has(protocol) && at + 4 <= end)
    return { sourcePort: bytes.readUInt16BE(at), destinationPort: bytes.readUInt16BE(at + 2) };
  const ports = { sourcePort: 0, destinationPort: 0 };
  if ((protocol !== ICMP && protocol !== ICMPV6) || at + 8 > end) return ports;
  return {
    sourcePort: bytes.readUInt16BE(at + 4),
    destinationPort: 0,
    icmp: { type: bytes[at] ?? 0, code: bytes[at + 1] ?? 0 },
  };
}
