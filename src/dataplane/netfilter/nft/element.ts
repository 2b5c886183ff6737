/**
 * Members of address sets as nftables elements, and back. A network is an interval: its first address, and an end element one behind its
 * last. Pure.
 */
import { addressFromBytes, addressToBytes, bitsOf, formatIpv4, type Family, type IpAddress } from 'node-bgp/address';
import { MOST_REMEMBERED } from '@tortie/policy/render/nftables';
import type { SetType } from '@tortie/policy/ruleset';
import { memberKey, type SetMember } from '../set-member.js';
import { concatenation, DataType, SetFlag, type Element, type SetDescription } from './protocol.js';

/** How the kernel describes a set of this kind. */
export function describeSet(
  type: SetType,
  family: Family,
  timeoutSeconds?: number,
): Pick<SetDescription, 'keyType' | 'keyLength' | 'flags' | 'remembers'> {
  if (timeoutSeconds !== undefined) {
    const { flags, ...described } = describeSet(type, family);
    const remembers = { seconds: timeoutSeconds, most: MOST_REMEMBERED };
    return { ...described, flags: flags | SetFlag.Timeout | SetFlag.Dynamic, remembers };
  }
  const address = family === 4 ? DataType.Ipv4Address : DataType.Ipv6Address;
  const bytes = bitsOf(family) / 8;
  switch (type) {
    case 'address':
      return { keyType: address, keyLength: bytes, flags: 0 };
    case 'network':
      return { keyType: address, keyLength: bytes, flags: SetFlag.Interval };
    case 'address-port':
      return { keyType: concatenation(address, DataType.Protocol, DataType.Port), keyLength: bytes + 8, flags: 0 };
  }
}

export function elementsOf(type: SetType, member: SetMember): readonly Element[] {
  const address = addressToBytes(member.address);
  switch (type) {
    case 'address':
      return [{ key: address }];
    case 'address-port': {
      const port = member.port ?? 0;
      return [
        { key: Buffer.concat([address, Buffer.from([member.protocol ?? 0, 0, 0, 0, port >> 8, port & 255, 0, 0])]) },
      ];
    }
    case 'network': {
      const { family, value } = member.address;
      const bits = bitsOf(family);
      const next = value + (1n << BigInt(bits - (member.length ?? bits)));
      // Behind the last address of all there is no end.
      return next >> BigInt(bits) === 1n
        ? [{ key: address }]
        : [{ key: address }, { key: addressToBytes({ family, value: next }), isEnd: true }];
    }
  }
}

/**
 * Member keys of a listing. An interval that is no prefix, which only others can have made, gets a key of its own that no
 * member has.
 */
export function keysOf(type: SetType, family: Family, elements: readonly Element[]): ReadonlySet<string> {
  if (type === 'network') return new Set(networkKeys(family, elements));
  return new Set(elements.map((element) => memberKey(memberOf(type, family, element))));
}

function memberOf(type: SetType, family: Family, { key }: Element): SetMember {
  const bytes = bitsOf(family) / 8;
  const address = addressFromBytes(key.subarray(0, bytes));
  if (type !== 'address-port') return { address };
  return { address, protocol: key[bytes] ?? 0, port: ((key[bytes + 4] ?? 0) << 8) | (key[bytes + 5] ?? 0) };
}

function networkKeys(family: Family, elements: readonly Element[]): readonly string[] {
  if (family === 4) return ipv4NetworkKeys(elements);
  const bits = BigInt(bitsOf(family));
  // Intervals may touch: an end sorts before a start at the same address.
  const points = elements
    .map((element) => ({ value: addressFromBytes(element.key).value, isEnd: element.isEnd === true }))
    .sort((a, b) => (a.value === b.value ? Number(b.isEnd) - Number(a.isEnd) : a.value < b.value ? -1 : 1));
  return points.flatMap((point, i) => {
    if (point.isEnd) return [];
    const next = points[i + 1];
    return [
      intervalKey({ family, value: point.value }, (next?.isEnd === true ? next.value : 1n << bits) - point.value),
    ];
  });
}

/** The same without big numbers, for lists of tens of thousands. */
function ipv4NetworkKeys(elements: readonly Element[]): readonly string[] {
  // Address times two, odd for a start: so an end sorts before a start at the same address.
  const points = Float64Array.from(elements, ({ key, isEnd }) => ipv4Of(key) * 2 + (isEnd === true ? 0 : 1)).sort();
  const keys: string[] = [];
  for (const [i, point] of points.entries()) {
    if (point % 2 === 0) continue;
    const next = points[i + 1] ?? 1;
    const first = (point - 1) / 2;
    const size = (next % 2 === 0 ? next / 2 : 2 ** 32) - first;
    const length = 32 - Math.log2(size);
    const isPrefix = Number.isInteger(length) && first % size === 0;
    const text = formatIpv4(first);
    keys.push(!isPrefix ? `${text} and ${size - 1} more` : length === 32 ? text : `${text}/${length}`);
  }
  return keys;
}

const ipv4Of = ([a = 0, b = 0, c = 0, d = 0]: Uint8Array): number => ((a << 24) >>> 0) + ((b << 16) | (c << 8) | d);

function intervalKey(address: IpAddress, size: bigint): string {
  const length = bitsOf(address.family) - (size.toString(2).length - 1);
  const isPrefix = (size & (size - 1n)) === 0n && address.value % size === 0n;
  return isPrefix ? memberKey({ address, length }) : `${memberKey({ address })} and ${size - 1n} more`;
}
