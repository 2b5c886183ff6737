/** Which of its routes a node that drains still has to tell (drain.ts), and how they are marked. */
import { formatPrefix, tryParsePrefix } from 'node-bgp/address';
import type { OriginatedPrefix } from 'node-bgp/config';
import { WellKnownCommunity } from 'node-bgp/iana';
import type { Cluster } from './cluster.js';
import { configurationOf } from './configuration.js';
import type { DrainOutcome } from './drain.js';
import { Problems } from './problems.js';
import { serviceRoutesOf } from './service-routes.js';

/** "65535:0", RFC 8326. */
export const GRACEFUL_SHUTDOWN = `${WellKnownCommunity.gracefulShutdown >>> 16}:${WellKnownCommunity.gracefulShutdown & 0xffff}`;

export interface DrainedRoutes extends DrainOutcome {
  readonly originate: readonly OriginatedPrefix[];
}

const isOf = ({ tags = [] }: OriginatedPrefix, tag: string): boolean => tags.length === 1 && tags[0] === tag;

/** @param routes all that a node in service would tell @param most communities of one route */
export function drained(routes: readonly OriginatedPrefix[], cluster: Cluster, most: number): DrainedRoutes {
  const { drain } = cluster.input;
  if (drain === undefined) return { originate: routes, marked: [], withdrawn: [] };
  const services = routes.filter((route) => isOf(route, 'service')).map(({ prefix }) => prefix);
  const withdrawn = drain.hasSettled ? toldByOthers(cluster, new Set(services)) : new Set<string>();
  const originate = routes
    .filter((route) => !withdrawn.has(route.prefix))
    .filter((route) => !drain.hasSettled || drain.hasPods || !isOf(route, 'block'))
    .map((route) =>
      isOf(route, 'service')
        ? { ...route, communities: [GRACEFUL_SHUTDOWN, ...(route.communities ?? [])].slice(0, most) }
        : route,
    );
  const marked = services.filter((prefix) => !withdrawn.has(prefix));
  return { originate, marked, withdrawn: [...withdrawn] };
}

/** Of these routes of Services, those that at least `floor` other nodes tell, by the very rules this one goes by. */
function toldByOthers(cluster: Cluster, prefixes: ReadonlySet<string>): ReadonlySet<string> {
  const { input, self, nodes } = cluster;
  const told = new Set<string>();
  if (input.drain === undefined) return told;
  const { floor, tells } = input.drain;
  /** How many more nodes each has to be told by. */
  const missing = new Map([...prefixes].map((prefix) => [prefix, floor]));
  for (const node of nodes) {
    if (missing.size === 0) break;
    if (node.name === self.name || !tells(node.name)) continue;
    const others: Cluster = {
      ...cluster,
      self: node,
      configuration: configurationOf(node.name, input.bgpConfigurations, new Problems()),
      problems: new Problems(),
      input: {
        ...input,
        services: (input.services ?? []).filter(({ homes }) => homes === undefined || homes.includes(node.name)),
      },
    };
    for (const prefix of new Set(serviceRoutesOf(others).map((route) => canonical(route.prefix)))) {
      const left = (missing.get(prefix) ?? 0) - 1;
      if (left > 0) missing.set(prefix, left);
      else if (missing.delete(prefix)) told.add(prefix);
    }
  }
  return told;
}

function canonical(text: string): string {
  const prefix = tryParsePrefix(text);
  return prefix === undefined ? text : formatPrefix(prefix);
}
