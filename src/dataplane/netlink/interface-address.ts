/**
 * Addresses on interfaces, as data and as rtnetlink messages (RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR; linux/if_addr.h).
 *
 * ```
 * struct ifaddrmsg: family(1) prefix length(1) flags(1) scope(1) interface index(4), attributes
 * ```
 */
import { addressToBytes, bitsOf, formatAddress, type IpAddress } from 'node-bgp/address';
import { AF_INET, AF_INET6 } from '../libc.js';
import type { NetlinkBatch } from './batch.js';
import { forEachAttribute, type NetlinkMessage } from './message.js';
import type { NetlinkSocket } from './netlink-socket.js';
import { NLM_F_CREATE, NLM_F_REPLACE } from './protocol.js';

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

export interface InterfaceAddress {
  readonly interfaceIndex: number;
  readonly address: IpAddress;
  readonly prefixLength: number;
  /** RT_SCOPE_*: 0 universe, 253 link, 254 host. */
  readonly scope: number;
  /** The other end of a point-to-point address. */
  readonly peer: IpAddress | undefined;
  /** IPv6: duplicate address detection is still running, or has failed. */
  readonly isTentative: boolean;
  readonly hasFailedDetection: boolean;
}

export interface InterfaceAddressRequest {
  readonly interfaceIndex: number;
  readonly address: IpAddress;
  /** Default: the whole address, /32 or /128. */
  readonly prefixLength?: number;
}

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
const IFADDRMSG_SIZE = 8;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;

/** Appends the addition of an address; no error if it is there already. IPv6: usable at once, no duplicate detection. */
export function writeInterfaceAddress(batch: NetlinkBatch, request: InterfaceAddressRequest): void {
  const { address } = request;
  batch.beginMessage(
    RTM_NEWADDR,
    NLM_F_CREATE | NLM_F_REPLACE,
    () => `add address ${formatAddress(address)} to interface ${request.interfaceIndex}`,
  );
  writeBody(batch, request);
  batch.endMessage();
}

export function writeInterfaceAddressDeletion(batch: NetlinkBatch, request: InterfaceAddressRequest): void {
  const { address } = request;
  batch.beginMessage(
    RTM_DELADDR,
    0,
    () => `delete address ${formatAddress(address)} from interface ${request.interfaceIndex}`,
  );
  writeBody(batch, request);
  batch.endMessage();
}

/** Every address of the namespace, or of one interface. */
export function listInterfaceAddresses(
  socket: NetlinkSocket,
  filter: { readonly interfaceIndex?: number } = {},
): InterfaceAddress[] {
  const addresses: InterfaceAddress[] = [];
  const { batch } = socket;
  batch.clear();
  batch.beginMessage(RTM_GETADDR, 0, () => 'list addresses');
  batch.u32(0);
  batch.u32(filter.interfaceIndex ?? 0);
  batch.endMessage();
  const keep = (message: NetlinkMessage): void => {
    const address = message.type === RTM_NEWADDR ? decodeInterfaceAddress(message) : undefined;
    if (address === undefined) return;
    if (filter.interfaceIndex === undefined || filter.interfaceIndex === address.interfaceIndex)
      addresses.push(address);
  };
  socket.dump(batch, keep, () => addresses.splice(0));
  return addresses;
}

/** Decodes RTM_NEWADDR and RTM_DELADDR; undefined for families other than IPv4 and IPv6. */
export function decodeInterfaceAddress(message: NetlinkMessage): InterfaceAddress | undefined {
  const { body } = message;
  const family = body.u8(0);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  let flags = body.u8(2);
  let local: IpAddress | undefined;
  let far: IpAddress | undefined;
  forEachAttribute(body, IFADDRMSG_SIZE, body.length, (type, start, end) => {
    if (type === IFA_LOCAL) local = body.address(start, end);
    else if (type === IFA_ADDRESS) far = body.address(start, end);
    else if (type === IFA_FLAGS) flags = body.u32(start);
  });
  // Without a point-to-point peer, IPv4 sends IFA_ADDRESS equal to IFA_LOCAL and IPv6 sends IFA_ADDRESS alone.
  const address = local ?? far;
  if (address === undefined) return undefined;
  const peer = local !== undefined && far !== undefined && far.value !== local.value ? far : undefined;
  return {
    interfaceIndex: body.u32(4),
    address,
    prefixLength: body.u8(1),
    scope: body.u8(3),
    peer,
    isTentative: (flags & IFA_F_TENTATIVE) !== 0,
    hasFailedDetection: (flags & IFA_F_DADFAILED) !== 0,
  };
}

function writeBody(batch: NetlinkBatch, request: InterfaceAddressRequest): void {
  const { address } = request;
  const isLinkLocal = address.family === 6 && address.value >> 118n === 0x3fan;
  batch.u8(address.family === 4 ? AF_INET : AF_INET6);
  batch.u8(request.prefixLength ?? bitsOf(address.family));
  batch.u8(address.family === 6 ? IFA_F_NODAD : 0);
  batch.u8(isLinkLocal ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
  batch.u32(request.interfaceIndex);
  const bytes = addressToBytes(address);
  batch.attribute(IFA_LOCAL, bytes);
  batch.attribute(IFA_ADDRESS, bytes);
}
