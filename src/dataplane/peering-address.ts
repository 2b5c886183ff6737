/**
 * Addresses of this node on the host sides of pods' interfaces: where a pod's own BGP speaker finds the node
 * (BGPConfiguration localWorkloadPeeringIPV4 and IPV6). Beside the IPv6 gateway's they are the only ones there.
 *
 * Level-triggered: the caller states the whole set; observe, diff, apply. Interfaces are told by Tortie's alias; on those, whatever
 * address is not wanted goes, but link-local IPv6 ones. With an interface its addresses go by themselves.
 */
import { formatAddress, type IpAddress } from 'node-bgp/address';
import { INTERFACE_PREFIX, ownerOfAlias } from './endpoint-name.js';
import {
  type InterfaceAddress,
  listInterfaceAddresses,
  writeInterfaceAddress,
  writeInterfaceAddressDeletion,
} from './netlink/interface-address.js';
import { listLinks } from './netlink/link.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';

export interface WantedAddress {
  readonly hostInterface: string;
  readonly address: IpAddress;
}

/** Returns a sentence for each change that the kernel refused. @param socket of family 'route', in the node's namespace */
export function levelPeeringAddresses(socket: NetlinkSocket, wanted: readonly WantedAddress[]): readonly string[] {
  const present = listInterfaceAddresses(socket).filter(({ address }) => !isLinkLocalIpv6(address));
  const links = listLinks(socket).filter(
    ({ name, alias }) => name.startsWith(INTERFACE_PREFIX) && ownerOfAlias(alias) !== undefined,
  );
  const { batch } = socket;
  batch.clear();
  let changes = 0;
  for (const { index, name } of links) {
    const missing = new Map(
      wanted
        .filter(({ hostInterface }) => hostInterface === name)
        .map(({ address }) => [formatAddress(address), address]),
    );
    for (const { address, prefixLength } of present.filter(({ interfaceIndex }) => interfaceIndex === index)) {
      if (missing.delete(formatAddress(address))) continue;
      writeInterfaceAddressDeletion(batch, { interfaceIndex: index, address, prefixLength });
      changes++;
    }
    for (const address of missing.values()) {
      writeInterfaceAddress(batch, { interfaceIndex: index, address });
      changes++;
    }
  }
  if (changes === 0) return [];
  // ENODEV, EADDRNOTAVAIL: the interface, or its address, went between the look and the deed.
  return socket
    .transact(batch)
    .filter(({ code }) => code !== 'ENODEV' && code !== 'EADDRNOTAVAIL')
    .map(({ error }) => error.message);
}

const isLinkLocalIpv6 = ({ family, value }: InterfaceAddress['address']): boolean =>
  family === 6 && value >> 118n === 0x3fan;
