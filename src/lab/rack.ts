/**
 * The rack as built: from a topology and a lab's name to every namespace, interface and address. Pure; the same input
 * gives the same rack on every run, so that an address seen yesterday is the same node today.
 *
 * - Loopbacks: node k has offset k of the loopback range (10.0.0.1, fd00::1), router k offset 0xff00 + k (10.0.255.1).
 * - Links: router t owns 10.1.t.0/24 and fd00:1:0:t::/64 of the link range; its k-th link is the k-th /31 (RFC 3021) and /127
 *   (RFC 6164) in it, the router at the even address. A link between two routers belongs to the one listed first.
 * - Outside host k: offset k of the outside range.
 *
 * Namespaces are `tl-<lab>-<device>`. A lab's name has no dash, so no lab's prefix is the beginning of another's.
 */
import { addressAt, formatAddress, type IpPrefix } from 'node-bgp/address';
import type { NodeSpec, OutsideSpec, RangePair, TorSpec, Topology } from './topology.js';

export interface AddressPair {
  readonly ipv4: string;
  readonly ipv6: string;
}

/** One end of a link, inside the namespace of its device. */
export interface LinkEnd {
  readonly device: string;
  readonly netns: string;
  readonly interface: string;
  readonly address: AddressPair;
}

export interface Link {
  /** The router; of two routers, the one that owns the link's addresses. */
  readonly near: LinkEnd;
  readonly far: LinkEnd;
}

interface DeviceBase {
  readonly name: string;
  readonly netns: string;
  /** On `lo`, /32 and /128. */
  readonly loopback: AddressPair;
}

export type RackTor = DeviceBase & { readonly type: 'tor'; readonly spec: TorSpec };
export type RackNode = DeviceBase & { readonly type: 'node'; readonly spec: NodeSpec };
export type RackOutside = DeviceBase & { readonly type: 'outside'; readonly spec: OutsideSpec };
export type Device = RackTor | RackNode | RackOutside;

export interface Rack {
  readonly lab: string;
  readonly topology: Topology;
  readonly tors: readonly RackTor[];
  readonly nodes: readonly RackNode[];
  readonly outside: readonly RackOutside[];
  readonly links: readonly Link[];
}

/** No dash: see above. Short: it stands in file names of unix sockets, which have 107 characters. */
export const LAB_NAME = /^[a-z][a-z0-9]{0,11}$/;
export const LINK_PREFIX_LENGTH = { ipv4: 31, ipv6: 127 } as const;

const TOR_OFFSET = 0xff00;

export const netnsPrefixOf = (lab: string): string => `tl-${lab}-`;
export const devicesOf = (rack: Rack): readonly Device[] => [...rack.tors, ...rack.nodes, ...rack.outside];
export const linksOf = (rack: Rack, device: string): readonly { readonly own: LinkEnd; readonly peer: LinkEnd }[] =>
  rack.links.flatMap(({ near, far }) =>
    near.device === device ? [{ own: near, peer: far }] : far.device === device ? [{ own: far, peer: near }] : [],
  );

export function buildRack(lab: string, topology: Topology): Rack {
  const netns = (device: string): string => `${netnsPrefixOf(lab)}${device}`;
  const { loopbacks, outside } = topology.ranges;
  const tors = topology.tors.map(
    (spec, i): RackTor => ({
      type: 'tor',
      name: spec.name,
      netns: netns(spec.name),
      loopback: pairAt(loopbacks, TOR_OFFSET + i + 1),
      spec,
    }),
  );
  const nodes = topology.nodes.map(
    (spec, i): RackNode => ({
      type: 'node',
      name: spec.name,
      netns: netns(spec.name),
      loopback: pairAt(loopbacks, i + 1),
      spec,
    }),
  );
  const hosts = topology.outside.map(
    (spec, i): RackOutside => ({
      type: 'outside',
      name: spec.name,
      netns: netns(spec.name),
      loopback: pairAt(outside, i + 1),
      spec,
    }),
  );
  return { lab, topology, tors, nodes, outside: hosts, links: buildLinks(topology, netns) };
}

function buildLinks(topology: Topology, netns: (device: string) => string): readonly Link[] {
  const indexOfTor = new Map(topology.tors.map((tor, i) => [tor.name, i + 1]));
  const used = new Map<string, number>();
  const connect = (tor: string, device: string, farInterface: string): Link => {
    const slot = used.get(tor) ?? 0;
    used.set(tor, slot + 1);
    const index = indexOfTor.get(tor);
    if (index === undefined) throw new Error(`Cannot cable "${device}" to unknown router "${tor}"`);
    const [even, odd] = linkAddresses(topology.ranges.links, index, slot);
    return {
      near: { device: tor, netns: netns(tor), interface: device, address: even },
      far: { device, netns: netns(device), interface: farInterface, address: odd },
    };
  };
  return [
    ...topology.torLinks.map(([a, b]) => connect(a, b, a)),
    ...[...topology.nodes, ...topology.outside].flatMap((device) =>
      device.tors.map((tor, i) => connect(tor, device.name, `eth${i}`)),
    ),
  ];
}

function linkAddresses({ ipv4, ipv6 }: RangePair, tor: number, slot: number): readonly [AddressPair, AddressPair] {
  const v4 = tor * 256 + slot * 2;
  const v6 = (BigInt(tor) << 64n) + BigInt(slot * 2);
  const at = (plus: number): AddressPair => ({ ipv4: textAt(ipv4, v4 + plus), ipv6: textAt(ipv6, v6 + BigInt(plus)) });
  return [at(0), at(1)];
}

const textAt = (prefix: IpPrefix, offset: number | bigint): string => formatAddress(addressAt(prefix, offset));
const pairAt = (range: RangePair, offset: number): AddressPair => ({
  ipv4: textAt(range.ipv4, offset),
  ipv6: textAt(range.ipv6, offset),
});
