/**
 * In which other network namespaces something of a network has changed: interfaces, addresses, routes, neighbours. One multicast socket
 * with NETLINK_LISTEN_ALL_NSID (netlink(7), Linux 4.2) hears all namespaces that this one has a number for, and it has one for each
 * namespace that the far end of a veth is in (IFLA_LINK_NETNSID).
 *
 * Read by the caller's clock, not by readiness: whoever may change the network of its own namespace may do so as often as it likes, and
 * must not have us run as often. What the kernel drops meanwhile (ENOBUFS) says that anything may have changed.
 */
import { endianness } from 'node:os';
import { attachSocketFilter, closeFd, ENOBUFS, receiveWithControl, setSocketOption } from '../libc.js';
import { SystemError } from '../system-error.js';
import { eventProgram } from './event-filter.js';
import { joinGroups } from './monitor.js';
import { openNetlink, setReceiveBuffer } from './open-netlink.js';
import { NETLINK_LISTEN_ALL_NSID, NETLINK_ROUTE, SOL_NETLINK } from './protocol.js';

const isLittleEndian = endianness() === 'LE';

export interface NamespaceChanges {
  /** Our numbers of the namespaces that had events. */
  readonly namespaceIds: ReadonlySet<number>;
  /** Events were lost: any namespace may have changed. */
  readonly isIncomplete: boolean;
}

/** BOUNDED: datagrams of one reading. What is left fills the buffer, and then it is said. */
const MOST_DATAGRAMS = 1_024;
const RECEIVE_BUFFER = 1024 * 1024;
/** Of a datagram, only where it came from is of interest. */
const HEAD = 64;
const CONTROL = 64;
/** struct cmsghdr: length(8) level(4) type(4) on 64-bit machines, then the data. */
const CMSG_LEVEL_AT = 8;
const CMSG_DATA_AT = 16;

export class NamespaceEvents {
  private readonly fd: number;
  private readonly bytes = new Uint8Array(HEAD);
  private readonly control = new Uint8Array(CONTROL);

  /** Works in the calling thread's namespace. @param notOfProtocols routes of these protocols do not count */
  constructor(notOfProtocols: readonly number[] = []) {
    this.fd = openNetlink(NETLINK_ROUTE);
    try {
      setReceiveBuffer(this.fd, RECEIVE_BUFFER);
      const program = eventProgram({ notOfProtocols });
      if (program !== undefined) attachSocketFilter(this.fd, program);
      setSocketOption(this.fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1);
      joinGroups(this.fd, { link: true, address: true, route: true, neighbour: true });
    } catch (error) {
      closeFd(this.fd);
      throw error;
    }
  }

  /** What has happened since the last reading. */
  read(): NamespaceChanges {
    const namespaceIds = new Set<number>();
    const view = new DataView(this.control.buffer);
    let isIncomplete = false;
    for (let i = 0; i < MOST_DATAGRAMS; i++) {
      try {
        const received = receiveWithControl(this.fd, this.bytes, this.control);
        if (received === undefined) break;
        // Events of this very namespace come without a number.
        if (received.controlLength > CMSG_DATA_AT && view.getInt32(CMSG_LEVEL_AT, isLittleEndian) === SOL_NETLINK)
          namespaceIds.add(view.getInt32(CMSG_DATA_AT, isLittleEndian));
      } catch (error) {
        if (!(error instanceof SystemError) || error.errno !== ENOBUFS) throw error;
        isIncomplete = true;
      }
    }
    return { namespaceIds, isIncomplete };
  }

  close(): void {
    closeFd(this.fd);
  }
}
