/**
 * Tunnels between nodes for pools with vxlanMode or ipipMode: which this node needs, and which blocks of other nodes it reaches
 * through them. A pure function of what every node sees alike, but for the node's own links.
 *
 *   pool with a mode       -> a tunnel of the pool's family, with every other node that has an address of it
 *   IPAMBlock of the pool  -> a route to its node: through the tunnel (Always, or another subnet: CrossSubnet), or over the link they share
 *   what it has lent       -> the same for the one address, to the node that has it
 *
 * Nobody tells anybody anything for it: a node's MAC address in the tunnel, and its gateway there, follow from its name. These routes
 * stand beside those of BGP and go before them; what BGP announces to routers is as without tunnels
 * (docs/decisions/0071-encapsulation.md).
 *
 * Not here: the node's own address in a tunnel (agent/tunnel-addresses.ts), the kernel (dataplane/tunnel-devices.ts, own-routes.ts).
 */
import { createHash } from 'node:crypto';
import {
  containsAddress,
  containsPrefix,
  formatPrefix,
  hostPrefix,
  parseAddress,
  tryParseAddress,
  tryParsePrefix,
  type Family,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';
import type { Node } from '../api/core.js';
import type { IPAMBlock, IPPool } from '../api/ipam.js';
import { identityOf, type NodeIdentity } from '../topology/node-identity.js';
import type { NodeLink } from '../topology/node-side.js';
import { withoutTwins } from '../topology/node-twins.js';
import { Problems } from '../topology/problems.js';

export type EncapsulationKind = 'vxlan' | 'ipip';
type Mode = 'Always' | 'CrossSubnet';

export interface OverlayInput {
  readonly nodeName: string;
  readonly nodes: readonly Node[];
  readonly pools: readonly IPPool[];
  readonly blocks: readonly IPAMBlock[];
  /** The node's own interfaces, for CrossSubnet. */
  readonly links: readonly NodeLink[];
}

export interface PlannedTunnel {
  readonly kind: EncapsulationKind;
  readonly family: Family;
  readonly local: IpAddress;
  readonly mac: string;
  readonly peers: readonly { readonly address: IpAddress; readonly gateway: IpAddress; readonly mac: string }[];
  /** Who asks for it: "pods" and its field "spec.vxlanMode". */
  readonly pools: readonly { readonly pool: string; readonly field: string }[];
}

export interface OverlayRoute {
  readonly prefix: IpPrefix;
  readonly gateway: IpAddress;
  /** Absent: over the link that the two nodes share. */
  readonly through?: { readonly kind: EncapsulationKind; readonly family: Family };
}

export interface OverlayProblem {
  readonly pool: string;
  readonly field: string;
  /** A sentence. */
  readonly message: string;
}

export interface OverlayPlan {
  readonly tunnels: readonly PlannedTunnel[];
  readonly routes: readonly OverlayRoute[];
  readonly problems: readonly OverlayProblem[];
}

interface OverlayPool {
  readonly name: string;
  readonly prefix: IpPrefix;
  readonly kind: EncapsulationKind;
  readonly mode: Mode;
  readonly field: string;
}

export function overlayPlanOf(input: OverlayInput): OverlayPlan {
  const pools = overlayPools(input.pools);
  if (pools.length === 0) return { tunnels: [], routes: [], problems: [] };
  const identities = [...input.nodes].map(identityOf).sort((a, b) => (a.name < b.name ? -1 : 1));
  // What is wrong with nodes, BGP tells (topology/speaker-config.ts).
  const nodes = withoutTwins(identities, input.nodeName, new Problems());
  const self = nodes.find(({ name }) => name === input.nodeName);
  const missing = pools.filter(({ prefix: { family } }) => self?.addresses.get(family) === undefined);
  const problems = missing.map(({ name, field, prefix: { family } }) => ({
    pool: name,
    field,
    message: `Cannot make the tunnels of pool "${name}" (${field}): this node has no IPv${family} address that other nodes can reach`,
  }));
  if (self === undefined) return { tunnels: [], routes: [], problems };
  const usable = pools.filter((pool) => !missing.includes(pool));
  return { tunnels: tunnelsOf(usable, self, nodes), routes: routesOf(input, usable, self, nodes), problems };
}

/** Oldest first: of two that overlap it is the one that stands. */
function overlayPools(pools: readonly IPPool[]): readonly OverlayPool[] {
  return [...pools]
    .sort((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1))
    .flatMap(({ metadata: { name }, spec }): readonly OverlayPool[] => {
      const prefix = tryParsePrefix(spec.cidr);
      if (prefix === undefined) return [];
      const { vxlanMode = 'Never', ipipMode = 'Never' } = spec;
      // Both at once is refused, and so is IP in IP for IPv6 (agent/refusals.ts).
      if (vxlanMode !== 'Never') return [{ name, prefix, kind: 'vxlan', mode: vxlanMode, field: 'spec.vxlanMode' }];
      if (ipipMode === 'Never' || prefix.family === 6) return [];
      return [{ name, prefix, kind: 'ipip', mode: ipipMode, field: 'spec.ipipMode' }];
    });
}

const ageOf = ({ metadata: { creationTimestamp = '', name } }: IPPool | IPAMBlock): string =>
  `${creationTimestamp} ${name}`;

function tunnelsOf(
  pools: readonly OverlayPool[],
  self: NodeIdentity,
  nodes: readonly NodeIdentity[],
): readonly PlannedTunnel[] {
  const found = new Map<
    string,
    { readonly kind: EncapsulationKind; readonly family: Family; readonly by: OverlayPool[] }
  >();
  for (const pool of pools) {
    const key = `${pool.kind} ${pool.prefix.family}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { kind: pool.kind, family: pool.prefix.family, by: [pool] });
    else known.by.push(pool);
  }
  return [...found.values()].flatMap(({ kind, family, by }): readonly PlannedTunnel[] => {
    const local = self.addresses.get(family);
    if (local === undefined) return [];
    const peers = nodes.flatMap(({ name, addresses }) => {
      const address = addresses.get(family);
      if (name === self.name || address === undefined) return [];
      return [{ address: parseAddress(address), gateway: gatewayOf(name, parseAddress(address)), mac: macOf(name) }];
    });
    return [
      {
        kind,
        family,
        local: parseAddress(local),
        mac: macOf(self.name),
        peers,
        pools: by.map(({ name, field }) => ({ pool: name, field })),
      },
    ];
  });
}

function routesOf(
  { blocks, links }: OverlayInput,
  pools: readonly OverlayPool[],
  self: NodeIdentity,
  nodes: readonly NodeIdentity[],
): readonly OverlayRoute[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const shared = sharedSubnets(self, links);
  const routes = new Map<string, OverlayRoute>();
  const add = (prefix: IpPrefix, pool: OverlayPool, nodeName: string): void => {
    const text = byName.get(nodeName)?.addresses.get(prefix.family);
    const key = formatPrefix(prefix);
    // Of two blocks with one range the older stands.
    if (text === undefined || nodeName === self.name || routes.has(key)) return;
    const address = parseAddress(text);
    const isNear = pool.mode === 'CrossSubnet' && shared.some((subnet) => containsAddress(subnet, address));
    if (isNear) routes.set(key, { prefix, gateway: address });
    else {
      const gateway = pool.kind === 'ipip' ? address : gatewayOf(nodeName, address);
      routes.set(key, { prefix, gateway, through: { kind: pool.kind, family: prefix.family } });
    }
  };
  for (const { spec } of [...blocks].sort((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1))) {
    const prefix = tryParsePrefix(spec.cidr);
    const pool = prefix && pools.find((one) => containsPrefix(one.prefix, prefix));
    if (prefix === undefined || pool === undefined) continue;
    add(prefix, pool, spec.node);
    for (const { address, node } of spec.loans ?? []) {
      const lent = tryParseAddress(address);
      if (lent !== undefined && containsAddress(prefix, lent)) add(hostPrefix(lent), pool, node);
    }
  }
  return [...routes.values()];
}

/** Subnets on the links that the node's own address is on. */
function sharedSubnets(self: NodeIdentity, links: readonly NodeLink[]): readonly IpPrefix[] {
  return [...self.addresses.values()].map(parseAddress).flatMap((own) =>
    links
      .flatMap(({ prefixes }) => prefixes)
      .map((text) => tryParsePrefix(text))
      .filter((prefix) => prefix !== undefined && prefix.family === own.family && containsAddress(prefix, own))
      .filter((prefix) => prefix !== undefined),
  );
}

const digestOf = (nodeName: string): Buffer => createHash('sha256').update(`tortie tunnel ${nodeName}`).digest();

/** Locally administered, of one station (RFC 9542 section 2.1). */
export function macOf(nodeName: string): string {
  const octets = digestOf(nodeName).subarray(0, 6);
  octets[0] = ((octets[0] ?? 0) & 0xfc) | 0x02;
  return [...octets].map((octet) => octet.toString(16).padStart(2, '0')).join(':');
}

/**
 * What routes into a tunnel have as next hop. The node's address reads best; IPv6 does not take one that is routed elsewhere, as
 * a node's is (ip6_route_check_nh_onlink in net/ipv6/route.c), so there it is a link-local address that no node has.
 */
function gatewayOf(nodeName: string, address: IpAddress): IpAddress {
  if (address.family === 4) return address;
  return { family: 6, value: (0xfe80n << 112n) | digestOf(nodeName).readBigUInt64BE(8) };
}
