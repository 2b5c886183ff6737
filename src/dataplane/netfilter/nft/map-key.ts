/** Keys of dispatch maps as the kernel's verdict maps hold them, and back to text. Pure. */
import { addressFromBytes, addressToBytes, bitsOf, formatAddress } from 'node-bgp/address';
import { parseDispatchKey, PROTOCOLS } from '@tortie/policy/dispatch-key';
import type { DispatchKey, DispatchMap } from '@tortie/policy/ruleset';
import { concatenation, DataType, interfaceName } from './protocol.js';

/** Every part of a key fills whole registers of four bytes. */
const REGISTER = 4;

/** How the kernel describes the keys of such a map. */
export function describeMapKey({ key, family }: Pick<DispatchMap, 'key' | 'family'>): {
  readonly keyType: number;
  readonly keyLength: number;
} {
  const address = family === 6 ? DataType.Ipv6Address : DataType.Ipv4Address;
  const bytes = bitsOf(family ?? 4) / 8;
  switch (key) {
    case 'in-interface':
    case 'out-interface':
      return { keyType: DataType.InterfaceName, keyLength: 16 };
    case 'destination':
      return { keyType: address, keyLength: bytes };
    case 'destination-port':
      return { keyType: concatenation(address, DataType.Protocol, DataType.Port), keyLength: bytes + 2 * REGISTER };
    case 'port':
      return { keyType: concatenation(DataType.Protocol, DataType.Port), keyLength: 2 * REGISTER };
  }
}

/** Throws RangeError or AddressError that names the key. */
export function mapKeyBytes(key: DispatchKey, text: string): Uint8Array {
  if (key === 'in-interface' || key === 'out-interface') return interfaceName(text);
  const { address, protocol, port } = parseDispatchKey(key, text);
  const parts: Uint8Array[] = [];
  if (address !== undefined) parts.push(addressToBytes(address));
  if (protocol !== undefined) parts.push(Uint8Array.of(protocol, 0, 0, 0));
  if (port !== undefined) parts.push(Uint8Array.of(port >> 8, port & 255, 0, 0));
  return Buffer.concat(parts);
}

/** Of a map that somebody else made with other keys: hexadecimal, which no key of ours is. */
export function mapKeyText(keyType: number, key: Uint8Array): string {
  const bytes = Buffer.from(key);
  if (keyType === DataType.InterfaceName) return bytes.toString('utf8').replace(/\0+$/, '');
  const ports = (at: number): string => {
    const number = bytes[at] ?? 0;
    const name = Object.entries(PROTOCOLS).find(([, protocol]) => protocol === number)?.[0];
    return `${name ?? number}:${((bytes[at + REGISTER] ?? 0) << 8) | (bytes[at + REGISTER + 1] ?? 0)}`;
  };
  for (const family of [4, 6] as const) {
    const size = bitsOf(family) / 8;
    if (keyType === describeMapKey({ key: 'destination', family }).keyType && bytes.length === size)
      return formatAddress(addressFromBytes(bytes));
    if (keyType === describeMapKey({ key: 'destination-port', family }).keyType && bytes.length === size + 2 * REGISTER)
      return `${formatAddress(addressFromBytes(bytes.subarray(0, size)))},${ports(size)}`;
  }
  if (keyType === describeMapKey({ key: 'port' }).keyType && bytes.length === 2 * REGISTER) return ports(0);
  return bytes.toString('hex');
}
