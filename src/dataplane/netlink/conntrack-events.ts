/**
 * Connections as the kernel tracks them: which began and which ended, with what they carried (ctnetlink's multicast groups NEW and DESTROY;
 * linux/netfilter/nfnetlink_conntrack.h). A connection is told as new when its first packet has passed all rules of this node: what a rule
 * drops is never told.
 *
 * Events are read in batches, a little after they came: a node with thousands of new connections a second would otherwise wake for
 * each. Octets and packets are there where the connection began under net.netfilter.nf_conntrack_acct, times where it did under
 * nf_conntrack_timestamp.
 *
 * What does not fit the receive buffer the kernel drops, and counts: `onLost` tells the exact number.
 */
import { closeFd, getSocketBytes, pollReadable, setSocketOption, SOL_SOCKET } from '../libc.js';
import { SystemError } from '../system-error.js';
import { type ConnectionTuple, decodeTuple, eachAttribute } from './conntrack-tuple.js';
import { CTA_ID, CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_ZONE, NFGENMSG_SIZE } from './conntrack.js';
import { DatagramReader } from './datagrams.js';
import { forEachRawMessage } from './raw-message.js';
import { openNetlink, setReceiveBuffer } from './open-netlink.js';
import { NETLINK_ADD_MEMBERSHIP, NETLINK_NETFILTER, SOL_NETLINK } from './protocol.js';

/** What one direction has carried. Both 0 where nobody counted. */
export interface Carried {
  readonly packets: number;
  readonly bytes: number;
}

export interface ConnectionState {
  readonly family: 4 | 6;
  /** The kernel's number for it; after it is gone another connection may get it. */
  readonly id: number;
  readonly zone: number;
  /** As the first packet came in: to a Service's address where there is one. */
  readonly original: ConnectionTuple;
  /** As answers come: from who really serves, to whom the client looks like from there. */
  readonly reply: ConnectionTuple;
  /** IPS_* of linux/netfilter/nf_conntrack_common.h. */
  readonly status: number;
  /** TCP_CONNTRACK_*; absent for other protocols. */
  readonly tcpState?: number;
  readonly sent: Carried;
  readonly answered: Carried;
  /** Were packets and octets counted? */
  readonly isCounted: boolean;
  /** Milliseconds since 1970. Events of new connections have none on most kernels. */
  readonly start?: number;
  readonly stop?: number;
}

export type ConnectionEvent = { readonly type: 'new' | 'ended'; readonly connection: ConnectionState };

export interface ConnectionWatchOptions {
  readonly onEvent: (event: ConnectionEvent) => void;
  /** So many events were dropped since the last call. */
  readonly onLost: (count: number) => void;
  /** Something came that is no event; it is left out. */
  readonly onFault: (error: Error) => void;
  /** Called when all that had come has been handed over. */
  readonly onRest?: () => void;
  /** Octets; default 16 MiB, some 15,000 events. */
  readonly receiveBufferSize?: number;
}

export interface ConnectionWatch {
  /** Reads what has come, now. */
  drain(): void;
  close(): void;
}

const NFNL_SUBSYS_CTNETLINK = 1;
const CT_NEW = NFNL_SUBSYS_CTNETLINK << 8;
const CT_DELETE = CT_NEW | 2;
const GROUP_NEW = 1;
const GROUP_DESTROY = 3;
const AF_INET = 2;
const AF_INET6 = 10;
const CTA_STATUS = 3;
const CTA_PROTOINFO = 4;
const CTA_COUNTERS_ORIG = 9;
const CTA_COUNTERS_REPLY = 10;
const CTA_TIMESTAMP = 20;
const CTA_PROTOINFO_TCP = 1;
const CTA_PROTOINFO_TCP_STATE = 1;
const FIRST_FIELD = 1;
const SECOND_FIELD = 2;

/** SO_MEMINFO of asm-generic/socket.h, SK_MEMINFO_DROPS of linux/sock_diag.h. */
const SO_MEMINFO = 55;
const MEMINFO_WORDS = 9;
const DROPS = 8;

/** An event of the longest kind is some 450 octets. */
const MOST_OCTETS = 1024;
const DATAGRAMS_A_CALL = 128;
/** BOUNDED: calls before the event loop gets its turn: 4,096 events. */
const CALLS_A_TURN = 32;
/** Milliseconds in which events may gather. */
const GATHERING = 20;

/** Watches the network namespace of the thread that calls this. @throws SystemError */
export function watchConnections(options: ConnectionWatchOptions): ConnectionWatch {
  const fd = openNetlink(NETLINK_NETFILTER);
  try {
    setReceiveBuffer(fd, options.receiveBufferSize ?? 16 * 1024 * 1024);
    for (const group of [GROUP_NEW, GROUP_DESTROY]) setSocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return new EventReader(fd, options);
}

class EventReader implements ConnectionWatch {
  private readonly reader = new DatagramReader(DATAGRAMS_A_CALL, MOST_OCTETS);
  private poll: { close(): void; unref(): void } | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isClosed = false;
  private drops = 0;
  /** Calls that found something. */
  private seen = 0;

  constructor(
    private readonly fd: number,
    private readonly options: ConnectionWatchOptions,
  ) {
    this.await();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.poll?.close();
    clearTimeout(this.timer);
    closeFd(this.fd);
  }

  drain(): void {
    for (let call = 0; call < CALLS_A_TURN && !this.isClosed; call++) if (!this.readSome()) return;
  }

  /** Sleeps until something comes, then lets more gather. */
  private await(): void {
    this.poll = pollReadable(this.fd, () => {
      this.poll?.close();
      this.poll = undefined;
      this.gather();
    });
    this.poll.unref();
  }

  private gather(): void {
    this.timer = setTimeout(() => {
      const before = this.seen;
      this.drain();
      if (this.isClosed) return;
      this.options.onRest?.();
      if (this.isClosed) return;
      if (this.seen === before) this.await();
      else this.gather();
    }, GATHERING);
    this.timer.unref();
  }

  /** False when there is nothing more now. */
  private readSome(): boolean {
    const received = this.reader.read(this.fd);
    if (received.type === 'datagrams' && received.count === 0) return false;
    this.seen++;
    if (received.type === 'lost') {
      this.tellLost();
      return true;
    }
    for (let i = 0; i < received.count && !this.isClosed; i++) this.take(i);
    return received.count === this.reader.most;
  }

  private take(index: number): void {
    const { bytes, size } = this.reader;
    const [start, length] = [index * size, this.reader.lengthOf(index)];
    try {
      if (length > size) throw new RangeError(`Cannot read an event of ${length} octets: expected ${size} at most`);
      forEachRawMessage(bytes, start, start + length, (type, from, to) => {
        const event = decodeEvent(type, bytes, from, to);
        if (event !== undefined) this.options.onEvent(event);
      });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.options.onFault(error);
    }
  }

  private tellLost(): void {
    const drops = socketDrops(this.fd);
    const lost = drops === undefined ? 1 : (drops - this.drops) >>> 0;
    this.drops = drops ?? this.drops;
    if (lost > 0) this.options.onLost(lost);
  }
}

/** Datagrams that the kernel has dropped for want of room since the socket was made; undefined on kernels that do not say (before 4.12). */
function socketDrops(fd: number): number | undefined {
  const words = new Uint32Array(MEMINFO_WORDS);
  try {
    getSocketBytes(fd, SOL_SOCKET, SO_MEMINFO, new Uint8Array(words.buffer));
    return words[DROPS];
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** One message's body from `start`; undefined: it is of something else. Exported for its test. @throws NetlinkProtocolError */
export function decodeEvent(type: number, bytes: Buffer, start: number, end: number): ConnectionEvent | undefined {
  if (type !== CT_NEW && type !== CT_DELETE) return undefined;
  const connection = decodeConnection(bytes, start, end);
  return connection && { type: type === CT_NEW ? 'new' : 'ended', connection };
}

const NOTHING: Carried = { packets: 0, bytes: 0 };

/** A connection as events and lists tell it: `start` is where its nfgenmsg is. @throws NetlinkProtocolError */
export function decodeConnection(bytes: Buffer, start: number, end: number): ConnectionState | undefined {
  const protocolFamily = bytes[start];
  if (protocolFamily !== AF_INET && protocolFamily !== AF_INET6) return undefined;
  let original: ConnectionTuple | undefined;
  let reply: ConnectionTuple | undefined;
  let [id, zone, status] = [0, 0, 0];
  let tcpState: number | undefined;
  let [sent, answered, isCounted] = [NOTHING, NOTHING, false];
  let times: Times = {};
  eachAttribute(bytes, start + NFGENMSG_SIZE, end, (type, at, until) => {
    if (type === CTA_TUPLE_ORIG) original = decodeTuple(bytes, at, until);
    else if (type === CTA_TUPLE_REPLY) reply = decodeTuple(bytes, at, until);
    else if (type === CTA_STATUS) status = bytes.readUInt32BE(at);
    else if (type === CTA_ID) id = bytes.readUInt32BE(at);
    else if (type === CTA_ZONE) zone = bytes.readUInt16BE(at);
    else if (type === CTA_COUNTERS_ORIG) [sent, isCounted] = [decodeCarried(bytes, at, until), true];
    else if (type === CTA_COUNTERS_REPLY) answered = decodeCarried(bytes, at, until);
    else if (type === CTA_TIMESTAMP) times = decodeTimes(bytes, at, until);
    else if (type === CTA_PROTOINFO) tcpState = decodeTcpState(bytes, at, until);
  });
  if (original === undefined || reply === undefined) return undefined;
  return {
    family: protocolFamily === AF_INET ? 4 : 6,
    id,
    zone,
    original,
    reply,
    status,
    sent,
    answered,
    isCounted,
    ...times,
    ...(tcpState === undefined ? {} : { tcpState }),
  };
}

const u64 = (bytes: Buffer, at: number): number => bytes.readUInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);

function decodeCarried(bytes: Buffer, start: number, end: number): Carried {
  let [packets, octets] = [0, 0];
  eachAttribute(bytes, start, end, (type, at, until) => {
    if (until - at !== 8) return;
    if (type === FIRST_FIELD) packets = u64(bytes, at);
    else if (type === SECOND_FIELD) octets = u64(bytes, at);
  });
  return { packets, bytes: octets };
}

type Times = Pick<ConnectionState, 'start' | 'stop'>;

/** Nanoseconds since 1970 in the message. */
function decodeTimes(bytes: Buffer, start: number, end: number): Times {
  let times: Times = {};
  eachAttribute(bytes, start, end, (type, at, until) => {
    if (until - at !== 8) return;
    const milliseconds = Math.floor(u64(bytes, at) / 1e6);
    if (type === FIRST_FIELD) times = { ...times, start: milliseconds };
    else if (type === SECOND_FIELD) times = { ...times, stop: milliseconds };
  });
  return times;
}

function decodeTcpState(bytes: Buffer, start: number, end: number): number | undefined {
  let state: number | undefined;
  eachAttribute(bytes, start, end, (type, from, to) => {
    if (type !== CTA_PROTOINFO_TCP) return;
    eachAttribute(bytes, from, to, (field, at) => {
      if (field === CTA_PROTOINFO_TCP_STATE) state = bytes[at];
    });
  });
  return state;
}
