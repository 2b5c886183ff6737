/**
 * The configuration of a top-of-rack router that runs our own bgpd: a plain SpeakerConfig, as somebody without Kubernetes
 * would write it. The way outside is static in the kernel (bgpd installs only what it learns) and originated here.
 */
import { stringify } from 'yaml';
import { bitsOf, formatPrefix, parseAddress, prefixOf, type IpPrefix } from 'node-bgp/address';
import type { PeerConfig, PrefixMatch, SpeakerConfig } from 'node-bgp/config';
import { linksOf, type LinkEnd, type Rack, type RackTor } from './rack.js';

/** YAML of `tortie bgpd --config`. */
export const renderTortieTor = (rack: Rack, tor: RackTor): string =>
  `# Router ${tor.name}, AS ${tor.spec.as}. Written by tortie lab.\n${stringify(tortieTorConfig(rack, tor))}`;

export function tortieTorConfig(rack: Rack, tor: RackTor): SpeakerConfig {
  const links = linksOf(rack, tor.name);
  const exits = exitsOf(rack, tor);
  return {
    localAs: tor.spec.as,
    routerId: tor.loopback.ipv4,
    peers: links.flatMap(({ peer }) => peersAt(rack, tor, peer)),
    originate: [
      { prefix: `${tor.loopback.ipv4}/32` },
      { prefix: `${tor.loopback.ipv6}/128` },
      ...links.flatMap(({ own }) => [
        { prefix: linkPrefix(own.address.ipv4, 31) },
        { prefix: linkPrefix(own.address.ipv6, 127) },
      ]),
      ...exits.flatMap(({ host }) => [{ prefix: `${host.loopback.ipv4}/32` }, { prefix: `${host.loopback.ipv6}/128` }]),
      ...(exits.length === 0 ? [] : [{ prefix: '0.0.0.0/0' }, { prefix: '::/0' }]),
    ],
    filters: {
      [NOT_LINKS]: {
        rules: [
          {
            match: {
              prefixes: (['ipv4', 'ipv6'] as const).map((family) => everyPrefixIn(rack.topology.ranges.links[family])),
            },
            action: 'reject',
          },
        ],
      },
    },
    installRoutes: true,
    requirePolicy: false,
  };
}

/** What nodes are not told; see bird.ts. */
const NOT_LINKS = 'not-links';
const linkPrefix = (address: string, length: number): string => formatPrefix(prefixOf(parseAddress(address), length));
const everyPrefixIn = (range: IpPrefix): PrefixMatch => ({
  prefix: formatPrefix(range),
  minLength: range.length,
  maxLength: bitsOf(range.family),
});

/** Routes to put into the router's kernel before bgpd starts, as `ip -batch` lines. */
export const renderTortieTorRoutes = (rack: Rack, tor: RackTor): readonly string[] =>
  exitsOf(rack, tor).flatMap(({ peer, host }, index) => [
    `route add ${host.loopback.ipv4}/32 via ${peer.address.ipv4}`,
    `route add ${host.loopback.ipv6}/128 via ${peer.address.ipv6}`,
    ...(index > 0 ? [] : [`route add 0.0.0.0/0 via ${peer.address.ipv4}`, `route add ::/0 via ${peer.address.ipv6}`]),
  ]);

function exitsOf(
  rack: Rack,
  tor: RackTor,
): readonly { readonly peer: LinkEnd; readonly host: Rack['outside'][number] }[] {
  const hosts = new Map(rack.outside.map((host) => [host.name, host]));
  return linksOf(rack, tor.name).flatMap(({ peer }) => {
    const host = hosts.get(peer.device);
    return host === undefined ? [] : [{ peer, host }];
  });
}

function peersAt(rack: Rack, tor: RackTor, peer: LinkEnd): readonly PeerConfig[] {
  const node = rack.nodes.find((candidate) => candidate.name === peer.device);
  const remoteAs = node?.spec.as ?? rack.tors.find((candidate) => candidate.name === peer.device)?.spec.as;
  if (remoteAs === undefined) return [];
  const password = node === undefined ? undefined : tor.spec.password;
  return (['ipv4', 'ipv6'] as const).map((family) => ({
    name: `${peer.device}-${family}`,
    address: peer.address[family],
    remoteAs,
    families: [family],
    ...(node === undefined ? {} : { export: [NOT_LINKS] }),
    ...(password === undefined ? {} : { password }),
  }));
}
