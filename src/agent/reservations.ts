/** Ranges that an IPReservation keeps from pods: "10.65.0.0/30", or one address. */
import { hostPrefix, tryParseAddress, tryParsePrefix, type IpPrefix } from 'node-bgp/address';

/** Undefined: neither CIDR nor address. */
export function parseReserved(text: string): IpPrefix | undefined {
  const address = tryParseAddress(text);
  return address === undefined ? tryParsePrefix(text) : hostPrefix(address);
}
