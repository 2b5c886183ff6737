/** The datagrams of one dump: hands over what belongs to it, and says whether it was whole (NLM_F_DUMP_INTR). netlink(7). */
import type { NetlinkBatch } from './batch.js';
import { decodeAnswer, decodeExtendedAck, forEachMessage, type NetlinkMessage } from './message.js';
import { NetlinkError } from './netlink-error.js';
import { NetlinkOverflowError } from './netlink-loss.js';
import { NLM_F_ACK_TLVS, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN } from './protocol.js';

/** Takes a dump's datagrams in. */
export interface DumpReader {
  /** True with the last one. Throws when the kernel refuses. */
  feed(datagram: Uint8Array): boolean;
  /** At the end: false if the table changed meanwhile. Throws what the visitor threw. */
  isWhole(): boolean;
}

/** `sequence`: of the request. Messages are valid only during `visit`. */
export function dumpReader(
  batch: NetlinkBatch,
  sequence: number,
  visit: (message: NetlinkMessage) => void,
): DumpReader {
  let isInterrupted = false;
  let isComplete = false;
  // A socket can run one dump at a time: whatever the visitor throws, the dump is read to its end first.
  let thrown: { readonly error: unknown } | undefined;
  const take = (message: NetlinkMessage): void => {
    if (message.sequence !== sequence || isComplete) return;
    if ((message.flags & NLM_F_DUMP_INTR) !== 0) isInterrupted = true;
    isComplete = endsDump(batch, message);
    if (isComplete || isInterrupted || thrown !== undefined || message.type === NLMSG_NOOP) return;
    try {
      visit(message);
    } catch (error) {
      thrown = { error };
    }
  };
  return {
    feed: (datagram) => {
      forEachMessage(datagram, take);
      return isComplete;
    },
    isWhole: () => {
      if (thrown !== undefined) throw thrown.error;
      return !isInterrupted;
    },
  };
}

function endsDump(batch: NetlinkBatch, message: NetlinkMessage): boolean {
  if (message.type === NLMSG_OVERRUN)
    throw new NetlinkOverflowError(`Cannot ${batch.subjectOf(0)}: the kernel lost data`);
  if (message.type === NLMSG_ERROR) {
    const answer = decodeAnswer(message);
    if (answer.errno !== 0) throw new NetlinkError(batch.subjectOf(0), answer);
    return true;
  }
  if (message.type !== NLMSG_DONE) return false;
  // NLMSG_DONE carries the dump's status; kernels before 2.6.3x leave it out.
  const errno = message.body.length >= 4 ? -message.body.i32(0) : 0;
  if (errno !== 0) {
    const extended = (message.flags & NLM_F_ACK_TLVS) !== 0 ? decodeExtendedAck(message.body, 4) : {};
    throw new NetlinkError(batch.subjectOf(0), { errno, ...extended });
  }
  return true;
}
