/** Ways to forward, compared and put together. */
import type { IpAddress } from '../address.js';
import type { ForwardingHop } from './forwarding-entry.js';

/** fe80::/10 (RFC 4291 section 2.5.6). */
export const isLinkLocal = (address: IpAddress): boolean => address.family === 6 && address.value >> 118n === 0x3fan;

const sameHop = (a: ForwardingHop, b: ForwardingHop): boolean =>
  a.interfaceName === b.interfaceName &&
  a.weight === b.weight &&
  a.isOnlink === b.isOnlink &&
  a.address?.value === b.address?.value &&
  a.address?.family === b.address?.family;

export const sameHops = (a: readonly ForwardingHop[], b: readonly ForwardingHop[]): boolean =>
  a.length === b.length && a.every((hop, i) => sameHop(hop, b[i] as ForwardingHop));

/** Each way once. */
export function union(hops: readonly ForwardingHop[]): readonly ForwardingHop[] {
  return hops.filter((hop, i) => hops.findIndex((other) => sameHop(hop, other)) === i);
}
