/**
 * What a top-of-rack router says of its sessions, in its own words: BIRD, FRR and our bgpd answer different commands. The
 * router's forwarding table is the kernel's, and asked there, whoever wrote it.
 */
import { run } from './command.js';
import type { Place } from './devices.js';
import type { TorKind } from './state-dir.js';

/** A session as its router sees it. */
export interface RouterSession {
  readonly neighbor: string;
  readonly isEstablished: boolean;
}

export interface RouterCommands {
  /** For people: sessions, and routes below some prefixes, one command each or one for all. */
  readonly sessions: readonly string[];
  readonly routes: (prefixes: readonly string[]) => readonly (readonly string[])[];
  readonly parseSessions: (output: string) => readonly RouterSession[];
  /** What `parseSessions` reads. */
  readonly machine: readonly string[];
}

export function routerCommands(kind: TorKind): RouterCommands {
  switch (kind) {
    case 'bird':
      return {
        sessions: ['birdc', 'show', 'protocols'],
        routes: (prefixes) =>
          prefixes.map((prefix) => ['birdc', 'show', 'route', 'where', 'net', '~', `[ ${prefix}+ ]`]),
        machine: ['birdc', 'show', 'protocols', 'all'],
        parseSessions: parseBird,
      };
    case 'frr':
      return {
        sessions: ['vtysh', '-c', 'show bgp summary'],
        routes: (prefixes) =>
          prefixes.map((prefix) => [
            'vtysh',
            '-c',
            `show ${prefix.includes(':') ? 'ipv6' : 'ip'} route ${prefix} longer-prefixes`,
          ]),
        machine: ['vtysh', '-c', 'show bgp summary json'],
        parseSessions: parseFrr,
      };
    case 'tortie':
      return {
        sessions: ['tortie', 'bgp', 'summary'],
        routes: () => [['tortie', 'bgp', 'routes']],
        machine: ['tortie', 'bgp', 'summary', '-o', 'json'],
        parseSessions: parseTortie,
      };
  }
}

export const runAt = (place: Place, argv: readonly string[]): Promise<string> =>
  run(['ip', 'netns', 'exec', place.netns, ...argv], undefined, { env: { ...process.env, ...place.env } });

/** One blank-separated block per protocol: "  BGP state:          Established", "    Neighbor address: 10.1.1.3". */
function parseBird(output: string): readonly RouterSession[] {
  return output.split(/\n(?=\S)/).flatMap((block): readonly RouterSession[] => {
    const neighbor = /Neighbor address:\s+(\S+)/.exec(block)?.[1];
    const state = /BGP state:\s+(\S+)/.exec(block)?.[1];
    return neighbor === undefined ? [] : [{ neighbor, isEstablished: state === 'Established' }];
  });
}

function parseFrr(output: string): readonly RouterSession[] {
  const families = Object.values(
    JSON.parse(output) as Readonly<
      Record<string, { readonly peers?: Readonly<Record<string, { readonly state?: string }>> }>
    >,
  );
  return families.flatMap((family) =>
    Object.entries(family.peers ?? {}).map(([neighbor, peer]) => ({
      neighbor,
      isEstablished: peer.state === 'Established',
    })),
  );
}

function parseTortie(output: string): readonly RouterSession[] {
  const { peers } = JSON.parse(output) as {
    readonly peers: readonly { readonly address: string; readonly state: string }[];
  };
  return peers.map((peer) => ({ neighbor: peer.address, isEstablished: peer.state === 'Established' }));
}

/** A route of the kernel, as `ip -j route` tells it. */
export interface KernelRoute {
  readonly dst: string;
  readonly type?: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly protocol?: string;
  readonly nexthops?: readonly {
    readonly gateway?: string;
    readonly dev: string;
    readonly flags?: readonly string[];
  }[];
}

export async function kernelRoutes(netns: string, family: 4 | 6): Promise<readonly KernelRoute[]> {
  return JSON.parse(await run(['ip', '-n', netns, '-j', `-${family}`, 'route', 'show'])) as readonly KernelRoute[];
}

/** Interfaces that a route leaves by. */
export const devicesOfRoute = (route: KernelRoute): readonly string[] =>
  route.nexthops === undefined ? (route.dev === undefined ? [] : [route.dev]) : route.nexthops.map((hop) => hop.dev);

/** Packets an interface has taken in and sent out. */
export async function packetsThrough(netns: string, device: string): Promise<number> {
  const [link] = JSON.parse(await run(['ip', '-n', netns, '-j', '-s', 'link', 'show', 'dev', device])) as readonly {
    readonly stats64?: { readonly rx: { readonly packets: number }; readonly tx: { readonly packets: number } };
  }[];
  return (link?.stats64?.rx.packets ?? 0) + (link?.stats64?.tx.packets ?? 0);
}
