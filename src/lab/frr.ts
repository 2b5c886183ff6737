/**
 * The configuration of a top-of-rack router that runs FRR: the same sessions and announcements as bird.ts, in FRR's words.
 * A file per daemon: each refuses what belongs to another. FRR helps graceful restart by default; `bgp graceful-restart` is not
 * set, since with it FRR claims to be restarting itself (R bit) for its first two minutes, and nobody waits for a
 * restarting speaker's End-of-RIB.
 */
import { formatPrefix } from 'node-bgp/address';
import { linksOf, type LinkEnd, type Rack, type RackTor } from './rack.js';

interface Neighbor {
  readonly isNode: boolean;
  readonly peer: LinkEnd;
  readonly as: number;
  readonly password: string | undefined;
}

export type FrrDaemon = 'zebra' | 'staticd' | 'bgpd';

/** Text of each daemon's configuration. */
export function renderFrr(rack: Rack, tor: RackTor): Readonly<Record<FrrDaemon, string>> {
  const head = [
    `! Router ${tor.name}, AS ${tor.spec.as}. Written by tortie lab.`,
    'frr defaults datacenter',
    `hostname ${tor.name}`,
    'log stdout informational',
  ];
  return {
    zebra: text([...head, 'ip forwarding', 'ipv6 forwarding']),
    staticd: text([...head, ...renderExits(rack, tor)]),
    bgpd: text([...head, ...renderBgp(rack, tor)]),
  };
}

const text = (lines: readonly string[]): string => `${lines.join('\n')}\n`;

function renderBgp(rack: Rack, tor: RackTor): readonly string[] {
  const neighbors = neighborsOf(rack, tor);
  const family = (name: 'ipv4' | 'ipv6'): readonly string[] => [
    ` address-family ${name} unicast`,
    '  redistribute static',
    '  redistribute connected',
    '  maximum-paths 16',
    ...neighbors.flatMap(({ peer, isNode }) => [
      `  neighbor ${peer.address[name]} activate`,
      `  neighbor ${peer.address[name]} next-hop-self`,
      ...(isNode ? [`  neighbor ${peer.address[name]} prefix-list not-links-${name} out`] : []),
      `  neighbor ${peer.address[name]} soft-reconfiguration inbound`,
      `  neighbor ${peer.address[name]} route-map drained-last in`,
    ]),
    ' exit-address-family',
  ];
  return [
    ...(['ipv4', 'ipv6'] as const).flatMap((name) =>
      renderNotLinks(name, formatPrefix(rack.topology.ranges.links[name])),
    ),
    // RFC 8326: what a neighbour drains is the last choice.
    'bgp community-list standard drained permit graceful-shutdown',
    'route-map drained-last permit 10',
    ' match community drained',
    ' set local-preference 0',
    'exit',
    'route-map drained-last permit 20',
    'exit',
    `router bgp ${tor.spec.as}`,
    ` bgp router-id ${tor.loopback.ipv4}`,
    ' no bgp ebgp-requires-policy',
    ' no bgp default ipv4-unicast',
    ' bgp bestpath as-path multipath-relax',
    ' timers bgp 30 90',
    ...neighbors.flatMap(renderNeighbor),
    ...family('ipv4'),
    ...family('ipv6'),
    'exit',
  ];
}

function neighborsOf(rack: Rack, tor: RackTor): readonly Neighbor[] {
  const nodes = new Map(rack.nodes.map((node) => [node.name, node.spec.as]));
  const tors = new Map(rack.tors.map((other) => [other.name, other.spec.as]));
  return linksOf(rack, tor.name).flatMap(({ peer }): readonly Neighbor[] => {
    const node = nodes.get(peer.device);
    const other = tors.get(peer.device);
    if (node !== undefined) return [{ isNode: true, peer, as: node, password: tor.spec.password }];
    return other === undefined ? [] : [{ isNode: false, peer, as: other, password: undefined }];
  });
}

const renderNeighbor = ({ peer, as, password }: Neighbor): readonly string[] =>
  (['ipv4', 'ipv6'] as const).flatMap((family) => [
    ` neighbor ${peer.address[family]} remote-as ${as}`,
    ` neighbor ${peer.address[family]} description ${peer.device}`,
    ` neighbor ${peer.address[family]} timers connect 5`,
    ...(password === undefined ? [] : [` neighbor ${peer.address[family]} password ${password}`]),
  ]);

/** What nodes are not told; see bird.ts. */
function renderNotLinks(family: 'ipv4' | 'ipv6', links: string): readonly string[] {
  const keyword = family === 'ipv4' ? 'ip' : 'ipv6';
  const bits = family === 'ipv4' ? 32 : 128;
  return [
    `${keyword} prefix-list not-links-${family} deny ${links} le ${bits}`,
    `${keyword} prefix-list not-links-${family} permit any`,
  ];
}

/** As in bird.ts: every outside host, and everything else through the first of them. */
function renderExits(rack: Rack, tor: RackTor): readonly string[] {
  const hosts = new Map(rack.outside.map((host) => [host.name, host]));
  const exits = linksOf(rack, tor.name).flatMap(({ peer }) => {
    const host = hosts.get(peer.device);
    return host === undefined ? [] : [{ peer, host }];
  });
  return [
    ...exits.flatMap(({ peer, host }) => [
      `ip route ${host.loopback.ipv4}/32 ${peer.address.ipv4}`,
      `ipv6 route ${host.loopback.ipv6}/128 ${peer.address.ipv6}`,
    ]),
    ...exits
      .slice(0, 1)
      .flatMap(({ peer }) => [`ip route 0.0.0.0/0 ${peer.address.ipv4}`, `ipv6 route ::/0 ${peer.address.ipv6}`]),
  ];
}
