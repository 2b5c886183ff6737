/**
 * IP addresses and prefixes of both families: the one address module of all of Tortie.
 *
 * An address is its family and an unsigned integer; a prefix adds a length and keeps its host bits zero, so two equal
 * prefixes always have equal text. Text forms: dotted quad (RFC 791) and RFC 5952 for IPv6. Parsers accept what
 * inet_pton(3) accepts and nothing more: no leading zeros, no zone, no surrounding blanks.
 *
 * Not here: hot-path tables. Codec and RIB keep addresses as raw bytes or 32-bit words in typed arrays.
 */

export type Family = 4 | 6;

/** One address; `value` is the unsigned integer of its 32 or 128 bits in network order. */
export interface IpAddress {
  readonly family: Family;
  readonly value: bigint;
}

/** A CIDR block; bits of `value` past `length` are zero. */
export interface IpPrefix {
  readonly family: Family;
  readonly value: bigint;
  readonly length: number;
}

/** Text is not an address or prefix. The message quotes the text and says what was expected. */
export class AddressError extends Error {
  override readonly name = 'AddressError';
}

/** Address width in bits: 32 or 128. */
export const bitsOf = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);

/** Parses "10.0.0.1" or "fd00::1"; throws AddressError. */
export function parseAddress(text: string): IpAddress {
  const address = tryParseAddress(text);
  if (address === undefined) throw new AddressError(`Cannot parse address "${text}": expected an IPv4 or IPv6 address`);
  return address;
}

/** As parseAddress, undefined instead of an error. */
export function tryParseAddress(text: string): IpAddress | undefined {
  if (text.includes(':')) {
    const value = parseIpv6(text);
    return value === undefined ? undefined : { family: 6, value };
  }
  const value = parseIpv4(text);
  return value === undefined ? undefined : { family: 4, value: BigInt(value) };
}

/** Canonical text of an address (RFC 5952 for IPv6). */
export function formatAddress(address: IpAddress): string {
  return address.family === 4 ? formatIpv4(Number(address.value)) : formatIpv6(address.value);
}

/**
 * Parses "10.65.0.0/26" or "fd00::/64"; a bare address is not a prefix. `hostBits: 'mask'` (the default) clears bits past
 * the length, as Kubernetes does; 'reject' makes them an error, as a router's configuration wants. Throws AddressError.
 */
export function parsePrefix(text: string, hostBits: 'mask' | 'reject' = 'mask'): IpPrefix {
  const slash = text.indexOf('/');
  const address = slash < 0 ? undefined : tryParseAddress(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(digits) || Number(digits) > bitsOf(address.family))
    throw new AddressError(
      `Cannot parse prefix "${text}": expected CIDR notation such as 10.65.0.0/26 or fd00:65::/122`,
    );
  const prefix = prefixOf(address, Number(digits));
  if (hostBits === 'reject' && prefix.value !== address.value)
    throw new AddressError(
      `Cannot parse prefix "${text}": bits are set past its length; expected ${formatPrefix(prefix)}`,
    );
  return prefix;
}

/** As parsePrefix with host bits masked, undefined instead of an error. */
export function tryParsePrefix(text: string): IpPrefix | undefined {
  try {
    return parsePrefix(text);
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

/** Canonical text, always with the length: "10.65.0.7/32". */
export function formatPrefix(prefix: IpPrefix): string {
  return `${formatAddress(prefix)}/${prefix.length}`;
}

/** The prefix of this length that holds the address. */
export function prefixOf(address: IpAddress, length: number): IpPrefix {
  const host = BigInt(bitsOf(address.family) - length);
  return { family: address.family, value: (address.value >> host) << host, length };
}

/** The /32 or /128 of one address. */
export const hostPrefix = (address: IpAddress): IpPrefix => prefixOf(address, bitsOf(address.family));

/** Number of addresses in a prefix. */
export const sizeOf = (prefix: IpPrefix): bigint => 1n << BigInt(bitsOf(prefix.family) - prefix.length);

/** The address at an offset from the first of a prefix; throws RangeError outside it. */
export function addressAt(prefix: IpPrefix, offset: bigint | number): IpAddress {
  const at = BigInt(offset);
  if (at < 0n || at >= sizeOf(prefix)) throw new RangeError(`Offset ${at} is outside ${formatPrefix(prefix)}`);
  return { family: prefix.family, value: prefix.value + at };
}

/** Does the prefix hold the address? Always false across families. */
export function containsAddress(prefix: IpPrefix, address: IpAddress): boolean {
  return prefix.family === address.family && prefixOf(address, prefix.length).value === prefix.value;
}

/** Does `outer` hold every address of `inner` (or equal it)? Always false across families. */
export function containsPrefix(outer: IpPrefix, inner: IpPrefix): boolean {
  return outer.length <= inner.length && containsAddress(outer, inner);
}

export const prefixesOverlap = (a: IpPrefix, b: IpPrefix): boolean => containsPrefix(a, b) || containsPrefix(b, a);

/** Could a host on some network have it? Not unspecified, loopback, multicast, broadcast or IPv4-mapped (RFC 6890, RFC 4291 2.5). */
export const isHostAddress = ({ family, value }: IpAddress): boolean =>
  family === 4
    ? value >> 24n !== 0n && value >> 24n !== 127n && value >> 28n !== 0xen && value !== 0xffffffffn
    : value > 1n && value >> 120n !== 0xffn && value >> 32n !== 0xffffn;

/** One that every host has to itself. */
export const isLoopback = ({ family, value }: IpAddress): boolean =>
  family === 6 ? value === 1n : value >> 24n === 127n;

/** Orders by family, then address, then length: the order of `show ip bgp`. */
export function comparePrefixes(a: IpPrefix, b: IpPrefix): number {
  if (a.family !== b.family) return a.family - b.family;
  if (a.value !== b.value) return a.value < b.value ? -1 : 1;
  return a.length - b.length;
}

export function compareAddresses(a: IpAddress, b: IpAddress): number {
  if (a.family !== b.family) return a.family - b.family;
  return a.value === b.value ? 0 : a.value < b.value ? -1 : 1;
}

/** 4 or 16 bytes in network order. */
export function addressToBytes(address: IpAddress): Uint8Array {
  const bytes = new Uint8Array(bitsOf(address.family) / 8);
  if (address.family === 4) {
    const value = Number(address.value);
    for (let i = 0; i < 4; i++) bytes[i] = value >>> (24 - 8 * i);
    return bytes;
  }
  let rest = address.value;
  for (let i = bytes.length - 1; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

/** From exactly 4 or 16 bytes; throws RangeError for any other length. */
export function addressFromBytes(bytes: Uint8Array): IpAddress {
  if (bytes.length !== 4 && bytes.length !== 16)
    throw new RangeError(`An address has 4 or 16 bytes, not ${bytes.length}`);
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return { family: bytes.length === 4 ? 4 : 6, value };
}

/** Dotted quad of an unsigned 32-bit number. */
export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

function parseIpv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (const part of match.slice(1)) {
    const byte = Number(part);
    if (byte > 255 || (part.length > 1 && part.startsWith('0'))) return undefined;
    value = value * 256 + byte;
  }
  return value;
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groups: number[][] = [];
  for (const [index, half] of halves.entries()) {
    const parsed = parseGroups(half, index === halves.length - 1);
    if (parsed === undefined) return undefined;
    groups.push(parsed);
  }
  const [head = [], tail] = groups;
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const all = tail === undefined ? head : [...head, ...new Array<number>(missing).fill(0), ...tail];
  return all.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

/** Groups of one side of "::"; only the last side may end in a dotted quad. */
function parseGroups(half: string, mayEndInIpv4: boolean): number[] | undefined {
  if (half === '') return [];
  const parts = half.split(':');
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (mayEndInIpv4 && index === parts.length - 1 && part.includes('.')) {
      const quad = parseIpv4(part);
      if (quad === undefined) return undefined;
      groups.push(quad >>> 16, quad & 0xffff);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

function formatIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn));
  // RFC 5952 section 5: an IPv4-mapped address keeps its dotted quad.
  if (value >> 32n === 0xffffn) return `::ffff:${formatIpv4(Number(value & 0xffffffffn))}`;
  const [start, length] = longestZeroRun(groups);
  const text = groups.map((group) => group.toString(16));
  if (length < 2) return text.join(':');
  return `${text.slice(0, start).join(':')}::${text.slice(start + length).join(':')}`;
}

/** RFC 5952 section 4.2: the longest run of zero groups, the first of equals. */
function longestZeroRun(groups: readonly number[]): readonly [start: number, length: number] {
  let best: readonly [number, number] = [0, 0];
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > best[1]) best = [i, end - i];
    if (end > i) i = end;
  }
  return best;
}
