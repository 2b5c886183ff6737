/**
 * Opens the way to the kernel's address sets: netlink from this process, or the ipset program where that cannot be.
 */
import { NetlinkSocket } from '../netlink/netlink-socket.js';
import { SystemError } from '../system-error.js';
import type { Within } from './child.js';
import { ChildSets } from './child-sets.js';
import { NetlinkSets } from './netlink-sets.js';
import type { SetTransport } from './set-transport.js';

export interface OpenedSets {
  readonly transport: SetTransport;
  /** Why it is not netlink. */
  readonly reason: string | undefined;
}

export function openSets(within: Within): OpenedSets {
  try {
    const socket = within(() => new NetlinkSocket({ family: 'netfilter' }));
    return { transport: new NetlinkSets(socket), reason: undefined };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { transport: new ChildSets(within), reason: `Cannot open a netfilter socket: ${error.message}` };
  }
}
