/**
 * One member of an address set: text as the ruleset gives it, a key to compare by, and the bytes the kernel wants. Pure.
 *
 * Two texts of one member ("10.0.0.7" and "10.0.0.7/32" in a hash:net) have one key, which is ipset's own spelling, so that a
 * wanted member, a listed one and `ipset list` agree.
 */
import {
  addressFromBytes,
  addressToBytes,
  AddressError,
  bitsOf,
  formatAddress,
  parseAddress,
  parsePrefix,
  type Family,
  type IpAddress,
} from 'node-bgp/address';
import type { SetType } from '@tortie/policy/ruleset';

export interface SetMember {
  readonly address: IpAddress;
  /** Prefix length, for type 'network'. */
  readonly length?: number;
  /** IP protocol and port, for type 'address-port'. */
  readonly protocol?: number;
  readonly port?: number;
}

const PROTOCOL_NAMES: ReadonlyMap<string, number> = new Map([
  ['icmp', 1],
  ['tcp', 6],
  ['udp', 17],
  ['icmpv6', 58],
  ['sctp', 132],
  ['udplite', 136],
]);
const PROTOCOL_NUMBERS: ReadonlyMap<number, string> = new Map(
  [...PROTOCOL_NAMES].map(([name, number]) => [number, name]),
);

/** Throws AddressError naming the member when it does not fit the type and family. */
export function parseMember(type: SetType, family: Family, text: string): SetMember {
  const member = readMember(type, text);
  if (member.address.family !== family)
    throw new AddressError(`Cannot put "${text}" into an IPv${family} set: it is IPv${member.address.family}`);
  return member;
}

function readMember(type: SetType, text: string): SetMember {
  switch (type) {
    case 'address':
      return { address: parseAddress(text) };
    case 'network': {
      const { family, value, length } = parsePrefix(
        text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`,
      );
      if (length === 0)
        throw new AddressError(`Cannot put "${text}" into a hash:net: the kernel takes no prefix of length 0`);
      return { address: { family, value }, length };
    }
    case 'address-port': {
      const match = /^([^,]+),([a-z0-9]+):(\d{1,5})$/.exec(text);
      const [, address = '', name = '', digits = ''] = match ?? [];
      const protocol = PROTOCOL_NAMES.get(name) ?? (/^\d{1,3}$/.test(name) ? Number(name) : 256);
      if (match === null || protocol > 255 || Number(digits) > 65535)
        throw new AddressError(
          `Cannot parse set member "${text}": expected ADDRESS,PROTOCOL:PORT such as 10.65.0.7,tcp:80`,
        );
      return { address: parseAddress(address), protocol, port: Number(digits) };
    }
  }
}

/** ipset's spelling; the identity of a member within a set. */
export function memberKey(member: SetMember): string {
  const address = formatAddress(member.address);
  if (member.port !== undefined && member.protocol !== undefined)
    return `${address},${PROTOCOL_NUMBERS.get(member.protocol) ?? member.protocol}:${member.port}`;
  return member.length === undefined || member.length === bitsOf(member.address.family)
    ? address
    : `${address}/${member.length}`;
}

const SINGLE = /^((?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!\/|$)|(?=\/|$))){4})(\/32)?$/;

/** The memberKey of a single IPv4 address, by far the most members, without parsing it. Undefined says nothing: parse the member. */
export function quickKey(type: SetType, family: Family, text: string): string | undefined {
  if (family !== 4 || type === 'address-port') return undefined;
  const [, address, length] = SINGLE.exec(text) ?? [];
  return length !== undefined && type !== 'network' ? undefined : address;
}

export const addressBytes = (member: SetMember): Uint8Array => addressToBytes(member.address);

/** The memberKey of a listed member. */
export function keyFromBytes(address: Uint8Array, rest: Omit<SetMember, 'address'>): string {
  const isSingle = rest.port === undefined && (rest.length === undefined || rest.length === 32);
  if (isSingle && address.length === 4) return address.join('.');
  return memberKey({ address: addressFromBytes(address), ...rest });
}
