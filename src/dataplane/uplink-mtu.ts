/**
 * The largest packet that the links of pod traffic carry: the least MTU of the interfaces that the default routes leave by, or
 * else of those that have the node's addresses. A pod that starts with more would send what its node cannot pass on whole.
 */
import { compareAddresses, parseAddress, type IpAddress } from 'node-bgp/address';
import { listInterfaceAddresses } from './netlink/interface-address.js';
import { findLink } from './netlink/link.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';
import { lookUpRoute } from './netlink/route-lookup.js';

/** Documentation ranges (RFC 5737, RFC 3849): nobody has a narrower route to them, so what matches is the default route. */
const FAR = ['192.0.2.1', '2001:db8::1'].map(parseAddress);
const LOOPBACK_INDEX = 1;

/** Undefined when nothing says it: no default route, and no link with one of these addresses. */
export function uplinkMtu(socket: NetlinkSocket, nodeAddresses: readonly IpAddress[]): number | undefined {
  const uplinks = new Set(
    FAR.flatMap((address) => lookUpRoute(socket, address)?.nextHops ?? []).map(({ interfaceIndex }) => interfaceIndex),
  );
  if (uplinks.size === 0)
    for (const { address, interfaceIndex } of listInterfaceAddresses(socket))
      if (nodeAddresses.some((own) => own.family === address.family && compareAddresses(own, address) === 0))
        uplinks.add(interfaceIndex);
  // One by one: a node has an uplink or two and hundreds of pods' interfaces.
  const mtus = [...uplinks].flatMap((index) => {
    const link = index === undefined || index === LOOPBACK_INDEX ? undefined : findLink(socket, { index });
    return link === undefined ? [] : [link.mtu];
  });
  return mtus.length === 0 ? undefined : Math.min(...mtus);
}
