/**
 * The route of the kernel's that a packet to one address would take, whole (RTM_GETROUTE with RTM_F_FIB_MATCH; linux/rtnetlink.h): all next
 * hops of a multipath route, and the prefix that matched. Nothing is read but that one route.
 */
import { addressToBytes, bitsOf, formatAddress, type IpAddress } from 'node-bgp/address';
import { NetlinkError } from './netlink-error.js';
import type { NetlinkSocket } from './netlink-socket.js';
import type { Route } from './route.js';
import { decodeRoute, RTM_GETROUTE, RTM_NEWROUTE, writeRouteHeader } from './route-message.js';

const RTM_F_FIB_MATCH = 0x2000;
const RTA_DST = 1;
/** There is no route, or one that says so. */
const NO_WAY = ['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL'];

/** Undefined when there is no way to it. @throws NetlinkError */
export function lookUpRoute(socket: NetlinkSocket, address: IpAddress): Route | undefined {
  const { batch } = socket;
  const { family } = address;
  let found: Route | undefined;
  batch.clear();
  batch.beginMessage(RTM_GETROUTE, 0, () => `look up the route to ${formatAddress(address)}`);
  writeRouteHeader(batch, {
    family,
    length: bitsOf(family),
    table: 0,
    protocol: 0,
    scope: 0,
    type: 0,
    flags: RTM_F_FIB_MATCH,
  });
  batch.attribute(RTA_DST, addressToBytes(address));
  batch.endMessage();
  try {
    socket.query(batch, (message) => {
      if (message.type === RTM_NEWROUTE) found = decodeRoute(message);
    });
  } catch (error) {
    if (error instanceof NetlinkError && NO_WAY.includes(error.code)) return undefined;
    throw error;
  }
  return found;
}
