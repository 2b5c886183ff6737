/**
 * Networks of a network set as they are kept: a set may list as many as an object can hold, every node keeps every set, and few nodes use
 * one. An IPv4 network is one number (its address times 64, and its length), IPv6 stays text.
 */
import { tryParseAddress, tryParsePrefix, hostPrefix, formatPrefix, type IpPrefix } from 'node-bgp/address';
import { unionNetworks, type Networks } from './networks.js';

export interface PackedNetworks {
  /** Address times 64 plus length, each. */
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
  return { v4: v4.slice(0, count), v6: v6.join(' ') };
}

/** The union of all in canonical form, as unionNetworks makes it. */
export function unionPacked(sets: readonly PackedNetworks[]): Networks {
  const v4 = new Float64Array(sets.reduce((sum, set) => sum + set.v4.length, 0));
  let at = 0;
  for (const set of sets) {
    v4.set(set.v4, at);
    at += set.v4.length;
  }
  const v6 = sets
    .flatMap((set) => (set.v6 === '' ? [] : set.v6.split(' ')))
    .map((text) => tryParsePrefix(text))
    .filter((prefix) => prefix !== undefined);
  return [...unionIpv4(v4.sort()), ...unionNetworks(v6)];
}

/** Sorted numbers to the fewest prefixes: what lies in the one before is dropped, halves become one. */
function unionIpv4(sorted: Float64Array): readonly IpPrefix[] {
  const values: number[] = [];
  const lengths: number[] = [];
  for (const one of sorted) {
    const value = Math.floor(one / LENGTHS);
    const length = one % LENGTHS;
    const end = values.length - 1;
    if (end >= 0 && value < (values[end] ?? 0) + 2 ** (32 - (lengths[end] ?? 0))) continue;
    values.push(value);
    lengths.push(length);
    joinHalves(values, lengths);
  }
  return values.map((value, index): IpPrefix => ({ family: 4, value: BigInt(value), length: lengths[index] ?? 32 }));
}

function joinHalves(values: number[], lengths: number[]): void {
  for (let b = values.length - 1; b > 0; b--) {
    const [length = 0, lower = 0] = [lengths[b], values[b - 1]];
    const size = 2 ** (32 - length);
    if (lengths[b - 1] !== length || length === 0 || lower % (2 * size) !== 0 || lower + size !== values[b]) return;
    values.pop();
    lengths.pop();
    lengths[b - 1] = length - 1;
  }
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
