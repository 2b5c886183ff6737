/**
 * One netlink socket for requests: the kernel answers inside send(2), so every exchange is synchronous, costs microseconds,
 * and needs no event loop. Batches go out with one send for many messages; only the last message of a send asks for an ack
 * (refusals are answered without being asked for), which halves the cost, and answers are matched by sequence number.
 *
 * The socket belongs to the network namespace of the thread that made it (see `inNamespace`), whoever uses it later.
 * Events are not for this socket: see monitor.ts. netlink(7), rtnetlink(7), linux/netlink.h.
 *
 * Not thread-safe and not re-entrant: one owner. An asynchronous transaction must end before the next one starts.
 */
import {
  closeFd,
  ENOBUFS,
  MSG_DONTWAIT,
  MSG_TRUNC,
  receiveBytes,
  receiveBytesAsync,
  sendBytes,
  sendBytesAsync,
  setSocketBytes,
  setSocketOption,
  SO_RCVTIMEO,
  SOL_SOCKET,
} from '../libc.js';
import { errnoCode, SystemError } from '../system-error.js';
import { NetlinkBatch } from './batch.js';
import { dumpReader, type DumpReader } from './dump-reader.js';
import {
  decodeAnswer,
  forEachMessage,
  NetlinkProtocolError,
  type NetlinkAnswer,
  type NetlinkMessage,
} from './message.js';
import { NetlinkError } from './netlink-error.js';
import { NetlinkOverflowError, NetlinkUnsteadyError } from './netlink-loss.js';
import { openNetlink, portIdOf, setReceiveBuffer, setSendBuffer, trySocketOption } from './open-netlink.js';
import {
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLMSG_ERROR,
  NLMSG_NOOP,
  SOL_NETLINK,
} from './protocol.js';

/**
 * Message `index` of a batch failed. Some refusals are expected, and an Error costs more than the exchange: it is made for who asks for it.
 */
export class BatchFailure {
  private made: NetlinkError | undefined;

  /** @param subject what the message was to do, without "Cannot" */
  constructor(
    readonly index: number,
    private readonly subject: string,
    private readonly answer: NetlinkAnswer,
  ) {}

  /** "ENODEV". */
  get code(): string {
    return errnoCode(this.answer.errno);
  }

  get error(): NetlinkError {
    this.made ??= new NetlinkError(this.subject, this.answer);
    return this.made;
  }
}

export interface NetlinkSocketOptions {
  /** Default 'route'. */
  readonly family?: 'route' | 'netfilter';
  /** The kernel's receive buffer in bytes; default 4 MiB, which holds the answers of far more than one send. */
  readonly receiveBufferSize?: number;
  /** Default 256. More is for sends on a pool thread: the kernel need not wait for this thread between them. At most 2048. */
  readonly messagesPerSend?: number;
  /** Memory of a socket that has been closed, or is idle as long as this one lives: saves making some for short-lived sockets. */
  readonly memory?: NetlinkMemory;
}

/** What a socket writes into and reads into. */
export interface NetlinkMemory {
  readonly batch: NetlinkBatch;
  readonly receiveBuffer: Uint8Array;
}

export const netlinkMemory = (): NetlinkMemory => ({
  batch: new NetlinkBatch(),
  receiveBuffer: new Uint8Array(RECEIVE_SIZE),
});

/**
 * BOUNDED: messages and bytes of one send. 256 refusals take at most 0.3 MB of receive buffer, and 64 KB stay under the
 * smallest send buffer in use (net.core.wmem_default). 2048 refusals take 2.4 MB.
 */
const MESSAGES_PER_SEND = 256;
const MAX_MESSAGES_PER_SEND = 2048;
const BYTES_PER_MESSAGE = 256;

/** The kernel makes dump datagrams of 32 KB at most, and answers to single requests fit well into this. */
const RECEIVE_SIZE = 131_072;

/** struct timeval: seconds(8) microseconds(8). */
const ANSWER_TIMEOUT = new Uint8Array(BigInt64Array.of(5n, 0n).buffer);

/** How often an interrupted dump (the table changed meanwhile) is repeated before its last result is taken as an error. */
const MAX_DUMP_ATTEMPTS = 10;

export class NetlinkSocket {
  /** For the exchange at hand: whoever starts one clears it. Saves an allocation each time. */
  readonly batch: NetlinkBatch;
  private readonly fd: number;
  private readonly messagesPerSend: number;
  private readonly receiveBuffer: Uint8Array;
  private sequence = 1;
  private isClosed = false;
  /** The kernel knows how long an answer may be. */
  private isWide = false;
  private knownPortId: number | undefined;

  constructor(options: NetlinkSocketOptions = {}) {
    ({ batch: this.batch, receiveBuffer: this.receiveBuffer } = options.memory ?? netlinkMemory());
    this.messagesPerSend = Math.min(MAX_MESSAGES_PER_SEND, options.messagesPerSend ?? MESSAGES_PER_SEND);
    this.fd = openNetlink(options.family === 'netfilter' ? NETLINK_NETFILTER : NETLINK_ROUTE);
    try {
      setReceiveBuffer(this.fd, options.receiveBufferSize ?? 4 * 1024 * 1024);
      if (this.messagesPerSend > MESSAGES_PER_SEND)
        setSendBuffer(this.fd, 2 * BYTES_PER_MESSAGE * this.messagesPerSend);
      // Answers are in the queue when send returns; a receive that would wait is a lost answer, and five seconds end it.
      setSocketBytes(this.fd, SOL_SOCKET, SO_RCVTIMEO, ANSWER_TIMEOUT);
      setSocketOption(this.fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
      setSocketOption(this.fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
      // Kernels before 4.20 filter no dumps by themselves; callers filter again anyway.
      if (options.family !== 'netfilter') trySocketOption(this.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK);
    } catch (error) {
      closeFd(this.fd);
      throw error;
    }
  }

  /** For whoever waits for what comes unasked (packet-log.ts). */
  get descriptor(): number {
    return this.fd;
  }

  /** By which the kernel knows the socket: in events, who asked for the change. */
  get portId(): number {
    this.knownPortId ??= portIdOf(this.fd);
    return this.knownPortId;
  }

  /** Sends every message and waits for all answers; returns what the kernel refused, in order. Empty: all done. */
  transact(batch: NetlinkBatch): readonly BatchFailure[] {
    const failures: BatchFailure[] = [];
    for (const part of parts(batch, this.messagesPerSend)) {
      const sequence = this.stamp(batch, part);
      sendBytes(this.fd, part.bytes, part.bytes.length);
      this.collect(batch, part, sequence, failures);
    }
    return failures;
  }

  /** As `transact`, with send(2) on a pool thread: for requests that hold the kernel up, such as deleting interfaces. */
  async transactAsync(batch: NetlinkBatch): Promise<readonly BatchFailure[]> {
    const failures: BatchFailure[] = [];
    for (const part of parts(batch, this.messagesPerSend)) {
      const sequence = this.stamp(batch, part);
      await sendBytesAsync(this.fd, part.bytes, part.bytes.length);
      this.collect(batch, part, sequence, failures);
    }
    return failures;
  }

  /** `transact` that throws the first refusal. */
  request(batch: NetlinkBatch): void {
    const [first] = this.transact(batch);
    if (first !== undefined) throw first.error;
  }

  /**
   * Sends the batch's one message and hands over what the kernel answers besides the ack; throws NetlinkError on refusal.
   * Messages are valid only during `visit`.
   */
  query(batch: NetlinkBatch, visit: (message: NetlinkMessage) => void): void {
    const failure = this.tryQuery(batch, visit);
    if (failure !== undefined) throw failure.error;
  }

  /** `query` that returns the refusal. */
  tryQuery(batch: NetlinkBatch, visit: (message: NetlinkMessage) => void): BatchFailure | undefined {
    const part = onlyPart(batch);
    const sequence = this.stamp(batch, part);
    sendBytes(this.fd, part.bytes, part.bytes.length);
    const failures: BatchFailure[] = [];
    this.collect(batch, part, sequence, failures, visit);
    return failures[0];
  }

  /**
   * Sends the batch's one message as a dump request and hands over every item. A dump that the kernel marks as interrupted
   * (NLM_F_DUMP_INTR: the table changed while it was read) is begun again; `restart` then tells the caller to forget what
   * it got. Messages are valid only during `visit`.
   */
  dump(batch: NetlinkBatch, visit: (message: NetlinkMessage) => void, restart: () => void): void {
    const { bytes } = onlyPart(batch);
    for (let attempt = 1; attempt <= MAX_DUMP_ATTEMPTS; attempt++) {
      const reader = this.beginDump(batch, visit);
      sendBytes(this.fd, bytes, bytes.length);
      while (!reader.feed(this.receive(batch, 0)));
      if (reader.isWhole()) return;
      restart();
    }
    throw changesTooOften(batch);
  }

  /**
   * As `dump`, asking `pause` between two answers whether to wait: for what is long to read, not to find. The socket is busy until it
   * resolves.
   */
  async dumpInTurns(
    batch: NetlinkBatch,
    visit: (message: NetlinkMessage) => void,
    restart: () => void,
    pause: () => Promise<void> | undefined,
  ): Promise<void> {
    const { bytes } = onlyPart(batch);
    for (let attempt = 1; attempt <= MAX_DUMP_ATTEMPTS; attempt++) {
      const reader = this.beginDump(batch, visit);
      sendBytes(this.fd, bytes, bytes.length);
      while (!reader.feed(this.receive(batch, 0))) await pause();
      if (reader.isWhole()) return;
      restart();
    }
    throw changesTooOften(batch);
  }

  /**
   * As `dump`, with the kernel's part on a pool thread: for tables whose walk takes long (connections: 10 ms at least). The
   * socket is busy until it resolves.
   */
  async dumpAsync(batch: NetlinkBatch, visit: (message: NetlinkMessage) => void, restart: () => void): Promise<void> {
    const { bytes } = onlyPart(batch);
    for (let attempt = 1; attempt <= MAX_DUMP_ATTEMPTS; attempt++) {
      const reader = this.beginDump(batch, visit);
      await sendBytesAsync(this.fd, bytes, bytes.length);
      while (!reader.feed(await this.receiveAsync(batch, 0)));
      if (reader.isWhole()) return;
      restart();
    }
    throw changesTooOften(batch);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    closeFd(this.fd);
  }

  /**
   * The kernel sizes a dump's first buffer by what the reader has last offered, 3.7 KB before there was any, and an IPv4
   * route that does not fit ends the dump, with success. So one answer is read before the first dump, if need be that to a message
   * that asks for nothing.
   */
  private widen(): void {
    const batch = new NetlinkBatch(64);
    batch.beginMessage(NLMSG_NOOP, 0, () => 'ask for nothing');
    batch.endMessage();
    // Who may do nothing here is told so by what is asked next.
    this.transact(batch);
  }

  /** Gives the part's messages consecutive sequence numbers and the last one NLM_F_ACK; returns the first number. */
  private stamp(batch: NetlinkBatch, part: Part): number {
    const first = this.nextSequence(part.count);
    for (let i = 0; i < part.count; i++) batch.stamp(part.first + i, first + i, i === part.count - 1 ? NLM_F_ACK : 0);
    return first;
  }

  private nextSequence(count: number): number {
    // Sequence numbers are 32 bits; start over long before they wrap inside a batch.
    if (this.sequence + count > 0xffff_0000) this.sequence = 1;
    const first = this.sequence;
    this.sequence += count;
    return first;
  }

  /** Reads answers until the last message's. Throws if the kernel's answers were lost: then their outcome is unknown. */
  private collect(
    batch: NetlinkBatch,
    part: Part,
    sequence: number,
    failures: BatchFailure[],
    visit?: (message: NetlinkMessage) => void,
  ): void {
    const last = sequence + part.count - 1;
    let isComplete = false;
    while (!isComplete) {
      const datagram = this.receive(batch, part.first);
      forEachMessage(datagram, (message) => {
        const index = message.sequence - sequence;
        if (index < 0 || index >= part.count) return; // an answer that an earlier, failed exchange left behind
        if (message.type !== NLMSG_ERROR) {
          visit?.(message);
          return;
        }
        const answer = decodeAnswer(message);
        if (answer.errno !== 0)
          failures.push(new BatchFailure(part.first + index, batch.subjectOf(part.first + index), answer));
        if (message.sequence === last) isComplete = true;
      });
    }
  }

  /** A reader for the dump that the batch's message asks for. */
  private beginDump(batch: NetlinkBatch, visit: (message: NetlinkMessage) => void): DumpReader {
    if (!this.isWide) this.widen();
    const sequence = this.nextSequence(1);
    batch.stamp(0, sequence, NLM_F_DUMP);
    return dumpReader(batch, sequence, visit);
  }

  /** One datagram; a view into the receive buffer. */
  private receive(batch: NetlinkBatch, index: number): Uint8Array {
    try {
      return this.received(batch, index, receiveBytes(this.fd, this.receiveBuffer, MSG_TRUNC));
    } catch (error) {
      throw this.receiveFailure(batch.subjectOf(index), error);
    }
  }

  private async receiveAsync(batch: NetlinkBatch, index: number): Promise<Uint8Array> {
    try {
      return this.received(batch, index, await receiveBytesAsync(this.fd, this.receiveBuffer, MSG_TRUNC));
    } catch (error) {
      throw this.receiveFailure(batch.subjectOf(index), error);
    }
  }

  private receiveFailure(subject: string, error: unknown): unknown {
    if (!(error instanceof SystemError) || error.errno !== ENOBUFS) return error;
    this.discard();
    return new NetlinkOverflowError(
      `Cannot tell whether the kernel did "${subject}": its answers overflowed the receive buffer`,
    );
  }

  private received(batch: NetlinkBatch, index: number, received: number | undefined): Uint8Array {
    this.isWide = true;
    if (received === undefined)
      throw new NetlinkProtocolError(`Cannot ${batch.subjectOf(index)}: the kernel gave no answer in 5 s`);
    if (received > this.receiveBuffer.length)
      throw new NetlinkProtocolError(
        `Cannot ${batch.subjectOf(index)}: the kernel's answer of ${received} bytes exceeds ${this.receiveBuffer.length}`,
      );
    return this.receiveBuffer.subarray(0, received);
  }

  /** Empties the receive queue: a full one would lose the next exchange's answers too. */
  private discard(): void {
    for (;;) {
      try {
        if (receiveBytes(this.fd, this.receiveBuffer, MSG_DONTWAIT) === undefined) return;
      } catch (error) {
        if (!(error instanceof SystemError && error.errno === ENOBUFS)) throw error;
      }
    }
  }
}

function changesTooOften(batch: NetlinkBatch): NetlinkUnsteadyError {
  return new NetlinkUnsteadyError(
    `Cannot ${batch.subjectOf(0)}: it changed during each of ${MAX_DUMP_ATTEMPTS} readings`,
  );
}

interface Part {
  readonly first: number;
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** Cuts a batch into sends. */
function* parts(batch: NetlinkBatch, maxMessages: number): Generator<Part> {
  let first = 0;
  while (first < batch.count) {
    const start = batch.offsetOf(first);
    let end = first + 1;
    while (
      end < batch.count &&
      end - first < maxMessages &&
      batch.offsetOf(end + 1) - start <= maxMessages * BYTES_PER_MESSAGE
    )
      end++;
    yield { first, count: end - first, bytes: batch.bytes.subarray(start, batch.offsetOf(end)) };
    first = end;
  }
}

function onlyPart(batch: NetlinkBatch): Part {
  if (batch.count !== 1) throw new RangeError(`A query has one message, not ${batch.count}`);
  return { first: 0, count: 1, bytes: batch.bytes };
}
