/**
 * What nodes tell whom, and who hears of it: each node's own filters asked about its own prefixes, and about those that a reflector or a
 * node hands on. No best path is chosen: a node hears of a prefix when any way leads there.
 */
import { formatPrefix, type Family, type IpPrefix } from 'node-bgp/address';
import type { PathAttributes } from 'node-bgp/codec/attribute';
import type { LocalRoute } from 'node-bgp/rib/contract';
import type { PolicyRoute, RoutePolicy } from 'node-bgp/rib/policy';
import { localRoutes } from 'node-bgp/speaker/local-route';
import { exportPolicy, importPolicy } from 'node-bgp/speaker/policies';
import { isRouter, isTwoSided, type Network, type Session, type Speaker } from './network.js';

/** A session that carries routes, with what both of its ends let through. */
interface Link {
  readonly session: Session;
  readonly isInternal: boolean;
  readonly isToClient: boolean;
  /** Of this end. */
  readonly importPolicy: RoutePolicy | undefined;
}

/** Links of one node that no rule of its filters tells apart. */
interface Audience {
  readonly family: Family;
  readonly isInternal: boolean;
  readonly isToClient: boolean;
  readonly policy: RoutePolicy | undefined;
  readonly links: readonly Link[];
  hasRouters: boolean;
}

export interface Hearing {
  readonly nodes: ReadonlySet<string>;
  /** "node1 192.0.2.1": who was told, and by whom. */
  readonly routers: ReadonlySet<string>;
}

export class Announcements {
  private readonly audiences = new Map<string, readonly Audience[]>();
  private readonly routes = new Map<string, readonly LocalRoute[]>();
  private readonly backs = new Map<Link, Link>();
  /** One route arrives at a thousand nodes, one after the other. */
  private last: { readonly route: LocalRoute; readonly asked: PolicyRoute } | undefined;

  constructor(private readonly network: Network) {}

  /** What a node originates. */
  prefixesOf(node: string): readonly LocalRoute[] {
    const known = this.routes.get(node);
    if (known !== undefined) return known;
    const routes = localRoutes(this.network.get(node)?.config?.originate ?? []);
    this.routes.set(node, routes);
    return routes;
  }

  /** Own prefixes that a node tells each router, canonical; a router that it tells nothing is there too. */
  toRouters(node: string): ReadonlyMap<string, ReadonlySet<string>> {
    const told = new Map<string, Set<string>>();
    for (const audience of this.audiencesOf(node)) {
      const routers = audience.links.filter(({ session }) => isRouter(session));
      if (routers.length === 0) continue;
      const prefixes = this.prefixesOf(node)
        .filter((route) => route.prefix.family === audience.family && accepts(audience.policy, ownRoute(route)))
        .map(({ prefix }) => formatPrefix(prefix));
      for (const { session } of routers) {
        const set = told.get(session.address) ?? new Set<string>();
        told.set(session.address, set);
        for (const prefix of prefixes) set.add(prefix);
      }
    }
    return told;
  }

  /** Who hears of a prefix that this node originates. */
  hearing(node: string, route: LocalRoute): Hearing {
    const nodes = new Set([node]);
    const routers = new Set<string>();
    const queue: { readonly at: string; readonly asked: PolicyRoute; readonly from: Link | undefined }[] = [
      { at: node, asked: ownRoute(route), from: undefined },
    ];
    // Grows while it is read.
    for (const { at, asked, from } of queue) {
      for (const audience of this.audiencesOf(at)) {
        if (audience.family !== route.prefix.family || !mayGoOn(from, audience)) continue;
        if (nodes.size === this.network.size && !audience.hasRouters) continue;
        // The owner's own word to routers is enough: others' is a second choice.
        const isForRouters = routers.size === 0 || from === undefined;
        const isNews = ({ session: { peerNode } }: Link): boolean =>
          peerNode === undefined ? isForRouters : !nodes.has(peerNode);
        if (!audience.links.some(isNews) || !accepts(audience.policy, asked)) continue;
        for (const link of audience.links) {
          const { peerNode, address } = link.session;
          if (peerNode !== undefined && !nodes.has(peerNode)) this.arrive(peerNode, link, route, nodes, queue);
          else if (peerNode === undefined && isForRouters) routers.add(`${at} ${address}`);
        }
      }
    }
    return { nodes, routers };
  }

  private arrive(
    peerNode: string,
    link: Link,
    route: LocalRoute,
    nodes: Set<string>,
    queue: { readonly at: string; readonly asked: PolicyRoute; readonly from: Link | undefined }[],
  ): void {
    const back = this.backOf(peerNode, link);
    if (back === undefined) return;
    const asked = this.learned(route, back.isInternal ? 'ibgp' : 'ebgp');
    if (!accepts(back.importPolicy, asked)) return;
    nodes.add(peerNode);
    queue.push({ at: peerNode, asked, from: back });
  }

  private learned(route: LocalRoute, source: 'ibgp' | 'ebgp'): PolicyRoute {
    const { last } = this;
    if (last?.route === route && last.asked.source === source) return last.asked;
    const asked = learnedRoute(route, source);
    this.last = { route, asked };
    return asked;
  }

  /** The same session as its other end has it. */
  private backOf(peerNode: string, link: Link): Link | undefined {
    const known = this.backs.get(link);
    if (known !== undefined) return known;
    const back = this.findBack(peerNode, link);
    if (back !== undefined) this.backs.set(link, back);
    return back;
  }

  private findBack(peerNode: string, { session }: Link): Link | undefined {
    const families = new Set(session.settings.families);
    const back = this.network
      .get(peerNode)
      ?.withNodes.get(session.node)
      ?.find(({ settings }) => settings.families.some((family) => families.has(family)));
    return back === undefined ? undefined : linkOf(back, this.network);
  }

  private audiencesOf(node: string): readonly Audience[] {
    const known = this.audiences.get(node);
    if (known !== undefined) return known;
    const speaker = this.network.get(node);
    const audiences = speaker === undefined ? [] : audiencesOf(speaker, this.network);
    this.audiences.set(node, audiences);
    return audiences;
  }
}

function audiencesOf({ config, sessions }: Speaker, network: Network): readonly Audience[] {
  if (config === undefined) return [];
  const groups = new Map<string, Audience & { readonly links: Link[] }>();
  for (const session of sessions.values()) {
    if (session.settings.isShutdown || !isTwoSided(network, session)) continue;
    const link = linkOf(session, network);
    const policy = exportPolicy(session.settings, config, peerAsOf(session));
    for (const family of session.settings.families) {
      const key = `${family} ${link.isInternal} ${link.isToClient} ${policy?.key ?? ''}`;
      const group = groups.get(key);
      if (group === undefined) {
        const { isInternal, isToClient } = link;
        groups.set(key, { family, isInternal, isToClient, policy, links: [link], hasRouters: isRouter(session) });
        continue;
      }
      group.links.push(link);
      group.hasRouters ||= isRouter(session);
    }
  }
  return [...groups.values()];
}

const linkOf = (session: Session, network: Network): Link => {
  const { settings, node } = session;
  const config = network.get(node)?.config;
  return {
    session,
    isInternal: peerAsOf(session) === settings.localAs,
    isToClient: settings.isRouteReflectorClient,
    importPolicy: config === undefined ? undefined : importPolicy(settings, config, peerAsOf(session)),
  };
};

const peerAsOf = ({ settings: { remoteAs } }: Session): number => (remoteAs === 'external' ? 0 : (remoteAs[0] ?? 0));

/** RFC 4456 section 6: what one internal peer said goes to another only to or from a client. */
const mayGoOn = (from: Link | undefined, to: Audience): boolean =>
  from === undefined || !from.isInternal || !to.isInternal || from.isToClient || to.isToClient;

const NO_ATTRIBUTES: PathAttributes = { origin: 'igp', asPath: [] };

const ownRoute = ({ prefix, tags = [], attributes = {} }: LocalRoute): PolicyRoute => ({
  ...plain(prefix, { ...NO_ATTRIBUTES, ...attributes }),
  tags,
  source: 'local',
});

const learnedRoute = ({ prefix, attributes = {} }: LocalRoute, source: 'ibgp' | 'ebgp'): PolicyRoute => ({
  ...plain(prefix, { ...NO_ATTRIBUTES, ...attributes }),
  tags: [],
  source,
});

const plain = (prefix: IpPrefix, attributes: PathAttributes): Omit<PolicyRoute, 'tags' | 'source'> => ({
  family: prefix.family,
  prefix,
  attributes,
  nextHop: undefined,
  interfaceName: undefined,
  from: undefined,
  to: undefined,
});

const accepts = (policy: RoutePolicy | undefined, route: PolicyRoute): boolean =>
  policy === undefined || (policy.constant ?? policy.judge(route)).type === 'accept';
