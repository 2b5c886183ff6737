/**
 * How a packet for an address comes from one node, or from outside, to the node that has it: whose route, who is told of it, over which
 * sessions. From the nodes' configurations (plan/network.ts) and what their agents report of sessions; no packet is sent.
 */
import {
  containsAddress,
  formatPrefix,
  hostPrefix,
  parseAddress,
  tryParsePrefix,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';
import type { LocalRoute } from 'node-bgp/rib/contract';
import type { IPPool } from '../api/ipam.js';
import type { NodeStatus } from '../api/node-status.js';
import { Announcements } from '../plan/announcements.js';
import { isRouter, type Network, type Session, type Speaker } from '../plan/network.js';
import { ofKind, type World } from '../plan/world.js';
import type { Hop } from './trace-result.js';

export class Routing {
  private readonly network: Network;
  private readonly announcements: Announcements;
  private readonly statuses: ReadonlyMap<string, NodeStatus>;

  constructor(
    private readonly world: World,
    configured: Network,
  ) {
    this.statuses = new Map(ofKind(world, 'nodeStatuses').map((status) => [status.metadata.name, status]));
    this.network = new Map([...configured].map(([node, speaker]) => [node, this.withoutDead(speaker)]));
    this.announcements = new Announcements(this.network);
  }

  /** Nodes that tell routers of a prefix around the address, in order. */
  nodesTelling(address: string): readonly string[] {
    const parsed = parseAddress(address);
    return [...this.network.keys()].filter((node) =>
      this.routesAround(node, parsed).some(
        (route) => !this.isLeftToOthers(node, route) && this.routersTold(node, route).length > 0,
      ),
    );
  }

  /** From a node to an address that another node has. */
  between(from: string, to: string, address: string): Hop {
    const { route, holder } = this.routeTo(to, address);
    const pool = this.poolOf(address);
    const prefix = formatPrefix(route.prefix);
    const tunnel = tunnelOf(pool);
    if (tunnel !== undefined) {
      const object = `IPPool/${pool?.metadata.name ?? ''}`;
      return this.hop(from, 'goes on', `${prefix} of ${to}, in a tunnel: ${tunnel}`, object, []);
    }
    if (this.silentPool(route.prefix) !== undefined) return this.noWay(from, to, prefix, route);
    const hearing = this.announcements.hearing(to, route);
    const direct = this.sessionsBetween(from, to);
    if (hearing.nodes.has(from)) {
      const by =
        direct.length > 0
          ? `told by ${to} over ${direct.map(({ settings }) => settings.name).join(', ')}`
          : `told by ${to}, handed on by a route reflector`;
      return this.hop(
        from,
        'goes on',
        `${prefix}, ${by}`,
        holder,
        direct.map((session) => this.stateOf(session)),
      );
    }
    const told = this.routersTold(to, route);
    const own = this.routersOf(from);
    if (told.length > 0 && own.length > 0)
      return this.hop(
        from,
        'not known',
        `${prefix} is told to routers by ${to}, and not to ${from}: it goes by what routers tell ${from} (--live on ${from} says)`,
        holder,
        [`${to} tells ${told.join(', ')}`, `routers of ${from}: ${own.map(({ address: each }) => each).join(', ')}`],
      );
    return this.noWay(from, to, prefix, route);
  }

  /** From outside to an address that a node has. */
  fromOutside(to: string, address: string): Hop {
    const { route, holder } = this.routeTo(to, address);
    const told = this.silentPool(route.prefix) === undefined ? this.routersTold(to, route) : [];
    const prefix = formatPrefix(route.prefix);
    if (told.length === 0) return this.noWay(undefined, to, prefix, route);
    return this.hop(undefined, 'goes on', `routers are told of ${prefix} by ${to}: ${told.join(', ')}`, holder, []);
  }

  /** Of this node, routers with a session that is not known to be down. */
  routersOf(node: string): readonly Session[] {
    return [...(this.network.get(node)?.sessions.values() ?? [])].filter(isRouter);
  }

  poolOf(address: string): IPPool | undefined {
    const parsed = parseAddress(address);
    return ofKind(this.world, 'ipPools')
      .map((pool) => ({ pool, range: tryParsePrefix(pool.spec.cidr) }))
      .filter(({ range }) => range !== undefined && containsAddress(range, parsed))
      .sort((a, b) => (b.range?.length ?? 0) - (a.range?.length ?? 0))[0]?.pool;
  }

  private noWay(from: string | undefined, to: string, prefix: string, route: LocalRoute): Hop {
    const silent = this.silentPool(route.prefix);
    if (silent !== undefined)
      return this.hop(
        from,
        'ends',
        `${prefix} is told to nobody: its pool has disableBGPExport`,
        `IPPool/${silent}`,
        [],
      );
    const deaf = from === undefined ? 'no router hears' : `${from} does not hear`;
    const down = this.downSessions(to);
    const why =
      down.length > 0 ? `sessions of ${to} are down` : `${to} has no session for it, or a filter holds it back`;
    return this.hop(from, 'ends', `${deaf} of ${prefix}: ${why}`, `Node/${to}`, down);
  }

  private hop(
    node: string | undefined,
    outcome: Hop['outcome'],
    message: string,
    object: string,
    evidence: readonly string[],
  ): Hop {
    return {
      step: node === undefined ? 'entry' : 'route',
      ...(node === undefined ? {} : { node }),
      outcome,
      message,
      object,
      evidence,
    };
  }

  /** The longest prefix around an address that the node tells; an address in no block of its own it tells by itself. */
  private routeTo(node: string, address: string): { readonly route: LocalRoute; readonly holder: string } {
    const parsed = parseAddress(address);
    const [route] = this.routesAround(node, parsed);
    const block = ofKind(this.world, 'ipamBlocks').find(
      ({ spec }) => spec.node === node && containsText(spec.cidr, parsed),
    );
    const holder = block === undefined ? `Node/${node}` : `IPAMBlock/${block.metadata.name}`;
    return { route: route ?? { prefix: hostPrefix(parsed), tags: ['block'] }, holder };
  }

  private routesAround(node: string, address: IpAddress): readonly LocalRoute[] {
    return this.announcements
      .prefixesOf(node)
      .filter(({ prefix }) => containsAddress(prefix, address))
      .sort((a, b) => b.prefix.length - a.prefix.length);
  }

  /** Of a node that is taken out of service (topology/drain.ts). */
  private isLeftToOthers(node: string, { prefix, tags = [] }: LocalRoute): boolean {
    const drain = this.statuses.get(node)?.status?.drain;
    if (drain === undefined || drain.phase === 'Marked' || !tags.includes('service')) return false;
    return drain.kept?.includes(formatPrefix(prefix)) !== true;
  }

  private routersTold(node: string, route: LocalRoute): readonly string[] {
    return [...this.announcements.hearing(node, route).routers]
      .map((text) => text.split(' '))
      .filter(([by]) => by === node)
      .map(([, address = '']) => address);
  }

  private sessionsBetween(from: string, to: string): readonly Session[] {
    return this.network.get(from)?.withNodes.get(to) ?? [];
  }

  private silentPool(prefix: IpPrefix): string | undefined {
    const first: IpAddress = { family: prefix.family, value: prefix.value };
    return ofKind(this.world, 'ipPools').find(
      ({ spec }) => spec.disableBGPExport === true && containsText(spec.cidr, first),
    )?.metadata.name;
  }

  private withoutDead(speaker: Speaker): Speaker {
    const isAlive = (session: Session): boolean => this.reported(session)?.state !== 'down';
    const withNodes = [...speaker.withNodes].map(([node, sessions]) => [node, sessions.filter(isAlive)] as const);
    return {
      ...speaker,
      sessions: new Map([...speaker.sessions].filter(([, session]) => isAlive(session))),
      withNodes: new Map(withNodes.filter(([, sessions]) => sessions.length > 0)),
    };
  }

  /** What the node's agent says of a session; undefined: nothing. */
  private reported({
    node,
    address,
    settings,
  }: Session): { readonly state: 'up' | 'down'; readonly text: string } | undefined {
    const peer = (this.statuses.get(node)?.status?.bgp?.peers ?? []).find(
      (each) => each.name === settings.name && each.address === address.split('%')[0],
    );
    if (peer === undefined) return undefined;
    const since = peer.since === undefined ? '' : ` since ${peer.since}`;
    const error = peer.lastError === undefined ? '' : `: ${peer.lastError}`;
    return {
      state: peer.state === 'Established' ? 'up' : 'down',
      text: `${node}: session ${settings.name} with ${peer.address} is ${peer.state}${since}${error}`,
    };
  }

  private stateOf(session: Session): string {
    return this.reported(session)?.text ?? `${session.node}: nothing is reported of session ${session.settings.name}`;
  }

  private downSessions(node: string): readonly string[] {
    const peers = this.statuses.get(node)?.status?.bgp?.peers ?? [];
    return peers
      .filter(({ state }) => state !== 'Established')
      .map(({ name, address, state, lastError }) => {
        const error = lastError === undefined ? '' : `: ${lastError}`;
        return `${node}: session ${name ?? address} is ${state}${error}`;
      });
  }
}

/** Within a subnet the link itself leads to the other node. */
const ACROSS = { Always: '', CrossSubnet: ', where the nodes share no subnet' } as const;

function tunnelOf(pool: IPPool | undefined): string | undefined {
  const { vxlanMode = 'Never', ipipMode = 'Never' } = pool?.spec ?? {};
  if (vxlanMode !== 'Never') return `vxlanMode ${vxlanMode}${ACROSS[vxlanMode]}`;
  return ipipMode === 'Never' ? undefined : `ipipMode ${ipipMode}${ACROSS[ipipMode]}`;
}

function containsText(cidr: string, address: IpAddress): boolean {
  const range = tryParsePrefix(cidr);
  return range !== undefined && containsAddress(range, address);
}
