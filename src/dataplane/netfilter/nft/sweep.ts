/** Finds and removes our nftables table, for when policy is written another way, or by nobody. */
import { NetlinkBatch } from '../../netlink/batch.js';
import { NetlinkProtocolError } from '../../netlink/message.js';
import { NetlinkSocket } from '../../netlink/netlink-socket.js';
import { SystemError } from '../../system-error.js';
import type { Within } from '../child.js';
import { writeBatchBegin, writeBatchEnd, writeTableDeletion } from './protocol.js';
import { hasTable } from './reader.js';
import { TransactionSocket } from './transaction.js';

/** Is it there? @throws SystemError, NetlinkProtocolError */
export function hasOwnTable(within: Within): boolean {
  const socket = within(() => new NetlinkSocket({ family: 'netfilter' }));
  try {
    return hasTable(socket);
  } catch (error) {
    if (isWithoutNftables(error)) return false;
    throw error;
  } finally {
    socket.close();
  }
}

/** A kernel without nftables has no table of ours. */
const isWithoutNftables = (error: unknown): boolean =>
  error instanceof SystemError && ['EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT'].includes(error.code);

/** Why it could not, or undefined. Reads first: where there is no such table nothing is written. */
export function sweepNftables(within: Within): string | undefined {
  try {
    if (!hasOwnTable(within)) return undefined;
    const transaction = within(() => new TransactionSocket());
    const batch = new NetlinkBatch();
    writeBatchBegin(batch);
    writeTableDeletion(batch);
    writeBatchEnd(batch);
    const [failure] = transaction.commit(batch);
    transaction.close();
    return failure?.error.message;
  } catch (error) {
    if (!(error instanceof SystemError) && !(error instanceof NetlinkProtocolError)) throw error;
    return isWithoutNftables(error) ? undefined : `Cannot sweep nftables: ${error.message}`;
  }
}
