/**
 * Networks of a network set as they are kept: a set may list as many as an object can hold, every node keeps every set, and few nodes use
 * one. An IPv4 network is one number (its address times 64, and its length), IPv6 stays text.
 */
import { tryParseAddress, tryParsePrefix, hostPrefix, formatPrefix, type IpPrefix } from 'node-bgp/address';
import { unionNetworks, type Networks } from './networks.js';

export interface PackedNetworks {
  /** Address times 64 plus length, each; sorted and canonical. */
  readonly v4: Float64Array;
  /** Prefixes between blanks. */
  readonly v6: string;
}

const LENGTHS = 64;

/** Calico takes a bare address where it takes a CIDR, and masks host bits. */
export function parseNetwork(value: unknown): IpPrefix | undefined {
  if (typeof value !== 'string') return undefined;
  const address = tryParseAddress(value);
  return address === undefined ? tryParsePrefix(value) : hostPrefix(address);
}

/** `onRefused` hears of each item that is no network. */
export function packNetworks(list: readonly unknown[], onRefused: (index: number) => void): PackedNetworks {
  const v4 = new Float64Array(list.length);
  const v6: string[] = [];
  let count = 0;
  for (const [index, item] of list.entries()) {
    const packed = typeof item === 'string' ? packIpv4(item) : undefined;
    if (packed !== undefined) {
      v4[count++] = packed;
      continue;
    }
    const prefix = parseNetwork(item);
    if (prefix === undefined) onRefused(index);
    else if (prefix.family === 4) v4[count++] = Number(prefix.value) * LENGTHS + prefix.length;
    else v6.push(formatPrefix(prefix));
  }
  return { v4: canonical(v4.subarray(0, count).sort()), v6: v6.join(' ') };
}

/** The union of all in canonical form, as unionNetworks makes it. */
export const unionPacked = (sets: readonly PackedNetworks[]): Networks => [
  ...Array.from(unionIpv4(sets), unpackIpv4),
  ...unionIpv6(sets),
];

/** The same of IPv4, packed. Lists are canonical each, so this goes through them once, however long they are. */
export function unionIpv4(sets: readonly PackedNetworks[]): Float64Array {
  let lists = sets.map(({ v4 }) => v4).filter((list) => list.length > 0);
  while (lists.length > 1)
    lists = Array.from({ length: Math.ceil(lists.length / 2) }, (_, at) => merged(lists[2 * at], lists[2 * at + 1]));
  return canonical(lists[0] ?? NOTHING);
}

export const unionIpv6 = (sets: readonly PackedNetworks[]): Networks =>
  unionNetworks(
    sets
      .flatMap((set) => (set.v6 === '' ? [] : set.v6.split(' ')))
      .map((text) => tryParsePrefix(text))
      .filter((prefix) => prefix !== undefined),
  );

/** What is in one list and not in the other; both sorted. As text only what differs is made. */
export function withoutIpv4(list: Float64Array, other: Float64Array): readonly string[] {
  const texts: string[] = [];
  let at = 0;
  for (const one of list) {
    while (at < other.length && (other[at] ?? Infinity) < one) at++;
    if (other[at] !== one) texts.push(formatIpv4(one));
  }
  return texts;
}

/** ipset's hash:net takes no /0: the whole family is two halves. */
export const withoutZeroLength = (list: Float64Array): Float64Array => (list[0] === 0 ? HALVES : list);

const NOTHING = new Float64Array(0);
const HALVES = new Float64Array([1, 2 ** 31 * LENGTHS + 1]);
const sizeOf = (length: number): number => 2 ** (32 - length);

function merged(a: Float64Array = NOTHING, b: Float64Array = NOTHING): Float64Array {
  if (b.length === 0) return a;
  const all = new Float64Array(a.length + b.length);
  for (let [i, j, at] = [0, 0, 0]; at < all.length; at++) {
    const [left = Infinity, right = Infinity] = [a[i], b[j]];
    all[at] = Math.min(left, right);
    if (left <= right) i++;
    else j++;
  }
  return all;
}

/** Of sorted numbers the fewest prefixes: what lies in the one before is dropped, halves become one. */
function canonical(sorted: Float64Array): Float64Array {
  const kept = new Float64Array(sorted.length);
  let [end, free] = [0, 0];
  for (const one of sorted) {
    const value = Math.floor(one / LENGTHS);
    if (value < free) continue;
    const length = one % LENGTHS;
    kept[end++] = one;
    free = value + sizeOf(length);
    end = joinHalves(kept, end);
  }
  return kept.slice(0, end);
}

/** Joins the last two of so many while they are the halves of one; answers how many there are then. */
function joinHalves(kept: Float64Array, count: number): number {
  for (let end = count; ; end--) {
    const [lower = 0, upper = 0] = [kept[end - 2], kept[end - 1]];
    const [value, length] = [Math.floor(lower / LENGTHS), lower % LENGTHS];
    const size = sizeOf(length);
    const areHalves = end > 1 && length > 0 && upper === lower + size * LENGTHS && value % (2 * size) === 0;
    if (!areHalves) return end;
    kept[end - 2] = lower - 1;
  }
}

const unpackIpv4 = (packed: number): IpPrefix => ({
  family: 4,
  value: BigInt(Math.floor(packed / LENGTHS)),
  length: packed % LENGTHS,
});

function formatIpv4(packed: number): string {
  const value = Math.floor(packed / LENGTHS);
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}/${packed % LENGTHS}`;
}

/** Plain dotted quads, with or without a length, host bits masked; undefined for whatever else it may be. */
function packIpv4(text: string): number | undefined {
  if (text.length > 18) return undefined;
  let [address, octet, digits, dots, length] = [0, 0, 0, 0, 32];
  let at = 0;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at) - 48;
    if (code >= 0 && code <= 9) {
      // Leading zeros are for the careful parser to judge.
      if (digits > 0 && octet === 0) return undefined;
      octet = octet * 10 + code;
      digits++;
    } else if (code === -2 || code === -1) {
      if (digits === 0 || octet > 255) return undefined;
      address = address * 256 + octet;
      [octet, digits] = [0, 0];
      if (code === -1) break;
      dots++;
    } else return undefined;
  }
  if (at < text.length) {
    const rest = text.slice(at + 1);
    if (!/^(?:[0-9]|[12][0-9]|3[0-2])$/.test(rest)) return undefined;
    length = Number(rest);
  } else {
    if (digits === 0 || octet > 255) return undefined;
    address = address * 256 + octet;
  }
  if (dots !== 3) return undefined;
  const size = 2 ** (32 - length);
  return (address - (address % size)) * LENGTHS + length;
}
