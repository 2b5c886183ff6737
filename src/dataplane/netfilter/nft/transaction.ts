/**
 * Sends one nf_tables transaction and says what became of it: everything is in the kernel, or nothing is and the refused
 * messages are named. The kernel answers inside send(2), however long that takes.
 */
import {
  closeFd,
  MSG_DONTWAIT,
  receiveBytes,
  sendBytes,
  sendBytesAsync,
  setSocketOption,
  SOL_SOCKET,
} from '../../libc.js';
import type { NetlinkBatch } from '../../netlink/batch.js';
import { decodeAnswer, forEachMessage, NetlinkProtocolError } from '../../netlink/message.js';
import { NetlinkError } from '../../netlink/netlink-error.js';
import { openNetlink, portIdOf, setReceiveBuffer, trySocketOption } from '../../netlink/open-netlink.js';
import {
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_NETFILTER,
  NLM_F_ACK,
  NLMSG_ERROR,
  SOL_NETLINK,
} from '../../netlink/protocol.js';

export interface TransactionFailure {
  /** Of the message in the batch; undefined when the kernel refused the transaction as a whole. */
  readonly index: number | undefined;
  readonly error: NetlinkError;
}

const SO_SNDBUF = 7;
const SO_SNDBUFFORCE = 32;
/** BOUNDED: the largest transaction. 50,000 rules are some 20 MB. */
const SEND_BUFFER = 64 * 1024 * 1024;
/** Bytes from which a transaction takes longer than to hand it to another thread. */
const LARGE = 64 * 1024;
/** One error answer is some 100 bytes: room for as many as a transaction has messages, within reason. */
const RECEIVE_BUFFER = 8 * 1024 * 1024;

export class TransactionSocket {
  /** The kernel names it in the events of our commits. */
  readonly portId: number;
  private readonly fd: number;
  private readonly buffer = Buffer.allocUnsafe(131_072);
  private sequence = 1;

  /** In the namespace of the calling thread. */
  constructor() {
    this.fd = openNetlink(NETLINK_NETFILTER);
    try {
      if (!trySocketOption(this.fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER))
        setSocketOption(this.fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
      setReceiveBuffer(this.fd, RECEIVE_BUFFER);
      setSocketOption(this.fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
      setSocketOption(this.fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
      this.portId = portIdOf(this.fd);
    } catch (error) {
      closeFd(this.fd);
      throw error;
    }
  }

  /** The batch begins with BATCH_BEGIN and ends with BATCH_END. Empty: all of it is in force. Throws SystemError. */
  commit(batch: NetlinkBatch): readonly TransactionFailure[] {
    const first = this.stamp(batch);
    sendBytes(this.fd, batch.bytes, batch.bytes.length);
    return this.collect(batch, first);
  }

  /**
   * As `commit`; a large transaction on a pool thread: the kernel takes a second for some thousand sets, and the loop has other things to
   * do meanwhile. The batch and the socket are busy until it resolves.
   */
  async commitAsync(batch: NetlinkBatch): Promise<readonly TransactionFailure[]> {
    if (batch.bytes.length < LARGE) return this.commit(batch);
    const first = this.stamp(batch);
    await sendBytesAsync(this.fd, batch.bytes, batch.bytes.length);
    return this.collect(batch, first);
  }

  /** Numbers the messages; returns the first one's number. */
  private stamp(batch: NetlinkBatch): number {
    const first = this.sequence;
    this.sequence = (this.sequence + batch.count) & 0x7fffffff;
    // The last real message is acknowledged after the commit; BATCH_END's own ack is newer than the kernels we serve.
    for (let i = 0; i < batch.count; i++) batch.stamp(i, first + i, i === batch.count - 2 ? NLM_F_ACK : 0);
    return first;
  }

  private collect(batch: NetlinkBatch, first: number): readonly TransactionFailure[] {
    const failures: TransactionFailure[] = [];
    let isAnswered = false;
    for (;;) {
      const received = receiveBytes(this.fd, this.buffer, MSG_DONTWAIT);
      if (received === undefined && !isAnswered)
        throw new NetlinkProtocolError('Cannot commit the nftables transaction: the kernel gave no answer');
      if (received === undefined) return failures;
      forEachMessage(this.buffer.subarray(0, received), (message) => {
        const index = message.sequence - first;
        if (message.type !== NLMSG_ERROR || index < 0 || index >= batch.count) return;
        const answer = decodeAnswer(message);
        isAnswered = true;
        if (answer.errno === 0) return;
        const isWhole = index === 0 || index === batch.count - 1;
        failures.push({
          index: isWhole ? undefined : index,
          error: new NetlinkError(isWhole ? 'commit the transaction' : batch.subjectOf(index), answer),
        });
      });
    }
  }

  close(): void {
    closeFd(this.fd);
  }
}
