/**
 * `struct sockaddr_in` and `sockaddr_in6` of Linux as bytes (ip(7), ipv6(7)); family in host order, the rest in network order.
 *
 * ```
 * sockaddr_in:  family(2) port(2) address(4) zero(8)
 * sockaddr_in6: family(2) port(2) flowinfo(4) address(16) scope_id(4)
 * ```
 */
import { endianness } from 'node:os';
import { addressFromBytes, addressToBytes, formatAddress, parseAddress } from '../address.js';

export const AF_INET = 2;
export const AF_INET6 = 10;
const isLittleEndian = endianness() === 'LE';

export function socketFamily(address: string): typeof AF_INET | typeof AF_INET6 {
  return address.includes(':') ? AF_INET6 : AF_INET;
}

/** `size` pads with zeros, for fields of type sockaddr_storage. `scopeId` is the interface index of a link-local address. */
export function encodeSockaddr(
  address: string,
  port: number,
  options: { readonly scopeId?: number; readonly size?: number } = {},
): Uint8Array {
  const family = socketFamily(address);
  const natural = family === AF_INET ? 16 : 28;
  const bytes = new Uint8Array(Math.max(natural, options.size ?? 0));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family, isLittleEndian);
  view.setUint16(2, port);
  bytes.set(addressToBytes(parseAddress(address)), family === AF_INET ? 4 : 8);
  if (family === AF_INET6) view.setUint32(24, options.scopeId ?? 0, isLittleEndian);
  return bytes;
}

/** The address a datagram came from; `scopeId` is 0 unless it is link-local. */
export function decodeSockaddr(bytes: Uint8Array): {
  readonly address: string;
  readonly port: number;
  readonly scopeId: number;
} {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isIpv4 = view.getUint16(0, isLittleEndian) === AF_INET;
  const address = formatAddress(addressFromBytes(isIpv4 ? bytes.subarray(4, 8) : bytes.subarray(8, 24)));
  return { address, port: view.getUint16(2), scopeId: isIpv4 ? 0 : view.getUint32(24, isLittleEndian) };
}
