/**
 * Interfaces of this machine as far as routing asks: where a peer is connected, and which of our addresses it can reach.
 * Whoever knows them states all of them (`Speaker.setInterfaces`); a plain library user gets them from Node.
 */
import { networkInterfaces } from 'node:os';
import { containsAddress, isLoopback, parseAddress, prefixOf, type Family, type IpAddress } from '../address.js';

export interface InterfaceAddress {
  readonly address: IpAddress;
  readonly length: number;
  /** The other end of a point-to-point address; the prefix is its. */
  readonly peer?: IpAddress;
}

export interface LocalInterface {
  readonly name: string;
  /** Administratively up and with carrier. */
  readonly isUp: boolean;
  readonly addresses: readonly InterfaceAddress[];
}

/** What Node sees now: interfaces that are up. */
export function systemInterfaces(): readonly LocalInterface[] {
  return Object.entries(networkInterfaces()).map(([name, addresses = []]) => ({
    name,
    isUp: true,
    addresses: addresses.map(({ address, cidr }) => ({
      address: parseAddress(address.split('%')[0] ?? ''),
      length: Number(cidr?.split('/')[1] ?? 0),
    })),
  }));
}

export function isLinkLocal({ family, value }: IpAddress): boolean {
  return family === 6 ? value >> 118n === 0x3fan : value >> 16n === 0xa9fen;
}

/** The interface on whose link this address is, if any that is up. */
export function interfaceTowards(
  interfaces: readonly LocalInterface[],
  address: IpAddress,
): LocalInterface | undefined {
  return interfaces.find(
    (link) =>
      link.isUp &&
      link.addresses.some((own) => containsAddress(prefixOf(own.peer ?? own.address, own.length), address)),
  );
}

export function interfaceOf(interfaces: readonly LocalInterface[], own: IpAddress): LocalInterface | undefined {
  return interfaces.find((link) =>
    link.addresses.some(({ address }) => address.family === own.family && address.value === own.value),
  );
}

/** An address of the family that others may use as next hop: not loopback, not link-local. */
export function globalAddress(link: LocalInterface | undefined, family: Family): IpAddress | undefined {
  return link?.addresses.find(
    ({ address }) => address.family === family && !isLinkLocal(address) && !isLoopback(address),
  )?.address;
}

/** Who else can be on a point-to-point IPv4 link: the other address of a /30 or /31 (RFC 3021), or the peer of an address. */
export function otherEnd(link: LocalInterface | undefined): IpAddress | undefined {
  for (const { address, length, peer } of link?.addresses ?? []) {
    if (address.family !== 4) continue;
    if (peer !== undefined) return peer;
    if (length === 31) return { family: 4, value: address.value ^ 1n };
    const host = address.value & 3n;
    if (length === 30 && (host === 1n || host === 2n)) return { family: 4, value: address.value ^ 3n };
  }
  return undefined;
}

export function linkLocalAddress(link: LocalInterface | undefined): IpAddress | undefined {
  return link?.addresses.find(({ address }) => address.family === 6 && isLinkLocal(address))?.address;
}
