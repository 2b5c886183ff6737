/** What is really so: routers, speakers, NodeStatus, conditions and kernels, asked one after another. */
import { join } from 'node:path';
import type { BfdStatus } from 'node-bgp/bfd/contract';
import type { SpeakerConfig } from 'node-bgp/config';
import type { SpeakerSummary } from 'node-bgp/speaker/view';
import type { Condition } from '../../src/api/meta.js';
import type { NodeStatus } from '../../src/api/node-status.js';
import { linksOf } from '../../src/lab/rack.js';
import { devicesOfRoute, kernelRoutes } from '../../src/lab/router-view.js';
import { labPaths } from '../../src/lab/state-dir.js';
import type { LabView } from '../../src/lab/tour/lab-view.js';
import { requestOverUnixSocket } from '../../src/unix-http.js';
import { FAMILIES, type Ground, type Heard } from './model.js';

export interface SpeakerFacts {
  readonly summary: SpeakerSummary;
  readonly config: SpeakerConfig;
  /** Addresses whose BFD session is up. */
  readonly bfd: ReadonlySet<string>;
}

export interface RouterFacts {
  /** BIRD's names, "node1_4": whether the session is up, and since when. */
  readonly sessions: ReadonlyMap<string, { readonly isUp: boolean; readonly since: string }>;
  /** By name of the session: prefix to route. */
  readonly heard: ReadonlyMap<string, ReadonlyMap<string, Heard>>;
}

export interface Facts {
  readonly routers: ReadonlyMap<string, RouterFacts>;
  readonly speakers: ReadonlyMap<string, SpeakerFacts>;
  readonly status: ReadonlyMap<string, NodeStatus>;
  /** "BGPPeer/name" and "NodeStatus/name" to what their conditions say. */
  readonly conditions: ReadonlyMap<string, readonly Condition[]>;
  /** By node: prefix to the interfaces it leaves by. */
  readonly kernels: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

const KINDS = 'nodestatuses,bgppeers,bgpfilters,bgpconfigurations,ippools';

export async function factsOf(view: LabView): Promise<Facts> {
  const { nodes, tors } = view.rack;
  const named = async <T>(names: readonly { readonly name: string }[], ask: (name: string) => Promise<T>) =>
    new Map(await Promise.all(names.map(async ({ name }) => [name, await ask(name)] as const)));
  const [routers, speakers, kernels, objects] = await Promise.all([
    named(tors, (name) => routerFacts(view, name)),
    named(nodes, (name) => speakerFacts(view, name)),
    named(nodes, (name) => kernelFacts(view, name)),
    objectFacts(view),
  ]);
  return { routers, speakers, kernels, ...objects };
}

async function speakerFacts(view: LabView, node: string): Promise<SpeakerFacts> {
  const socket = join(labPaths(view.record.name).node(node).run, 'bgpd.sock');
  const ask = async (path: string): Promise<unknown> => (await requestOverUnixSocket(socket, 'GET', path)).body;
  const [summary, config, bfd] = await Promise.all([ask('/v1/summary'), ask('/v1/config'), ask('/v1/bfd')]);
  return {
    summary: summary as SpeakerSummary,
    config: config as SpeakerConfig,
    bfd: new Set(
      (bfd as { readonly sessions: readonly BfdStatus[] }).sessions
        .filter(({ state }) => state === 'up')
        .map((session) => session.config.peer),
    ),
  };
}

async function routerFacts(view: LabView, tor: string): Promise<RouterFacts> {
  const protocols = await view.output(tor, 'birdc', 'show', 'protocols');
  const routes = await view.output(tor, 'birdc', 'show', 'route', 'all');
  return { sessions: readProtocols(protocols), heard: readRoutes(routes) };
}

/** "node1_4    BGP        ---        up     2026-12-01 00:42:20.592  Established   " */
export function readProtocols(text: string): RouterFacts['sessions'] {
  return new Map(
    [...text.matchAll(/^(\S+)\s+BGP\s+\S+\s+\S+\s+(\S+ \S+)\s*(.*)$/gm)].map(([, name = '', since = '', info = '']) => [
      name,
      { isUp: info.startsWith('Established'), since },
    ]),
  );
}

/** Lines begin with a prefix, with white space and "unicast" (another path of the last prefix), or with white space and an attribute. */
export function readRoutes(text: string): RouterFacts['heard'] {
  const heard = new Map<string, Map<string, Heard>>();
  let prefix = '';
  let route: { session: string; communities: string[]; pathLength: number } | undefined;
  const keep = (): void => {
    if (route === undefined) return;
    const { session, communities, pathLength } = route;
    const table = heard.get(session) ?? new Map<string, Heard>();
    heard.set(session, table.set(prefix, { communities: communities.sort(), pathLength }));
    route = undefined;
  };
  for (const line of text.split('\n')) {
    const start = /^(\S+\/\d+)?\s+unicast \[(\S+) /.exec(line);
    if (start !== null) {
      keep();
      prefix = start[1] ?? prefix;
      route = { session: start[2] ?? '', communities: [], pathLength: 0 };
    }
    const path = /BGP\.as_path: (.*)$/.exec(line)?.[1];
    if (route !== undefined && path !== undefined) route.pathLength = path.trim().split(/\s+/).length;
    const communities = /BGP\.community: (.*)$/.exec(line)?.[1];
    if (route !== undefined && communities !== undefined)
      route.communities = [...communities.matchAll(/\((\d+),(\d+)\)/g)].map(([, high, low]) => `${high}:${low}`);
  }
  keep();
  return heard;
}

async function kernelFacts(view: LabView, node: string): Promise<ReadonlyMap<string, string>> {
  const netns = linksOf(view.rack, node)[0]?.own.netns ?? '';
  const routes = [...(await kernelRoutes(netns, 4)), ...(await kernelRoutes(netns, 6))];
  return new Map(
    routes
      .filter(({ protocol }) => protocol !== 'kernel')
      .map((route) => [route.dst, [...devicesOfRoute(route)].sort().join(' ')]),
  );
}

interface Listed {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

async function objectFacts(view: LabView): Promise<Pick<Facts, 'status' | 'conditions'>> {
  const { items } = JSON.parse(await view.kubectl(['get', KINDS, '-o', 'json'])) as {
    readonly items: readonly Listed[];
  };
  return {
    status: new Map(
      items.filter(({ kind }) => kind === 'NodeStatus').map((object) => [object.metadata.name, object as NodeStatus]),
    ),
    conditions: new Map(
      items.map(({ kind, metadata, status }) => [`${kind}/${metadata.name}`, status?.conditions ?? []]),
    ),
  };
}

/** The rack as it is before the first edit. */
export async function groundOf(view: LabView): Promise<Ground> {
  const blocks = JSON.parse(await view.kubectl(['get', 'ipamblocks', '-o', 'json'])) as {
    readonly items: readonly {
      readonly spec: { readonly cidr: string; readonly node: string; readonly pool: string };
    }[];
  };
  return {
    nodes: view.rack.nodes.map(({ name, loopback }) => ({
      name,
      loopback,
      blocks: blocks.items.filter(({ spec }) => spec.node === name).map(({ spec }) => spec),
      links: linksOf(view.rack, name).flatMap(({ own, peer }) =>
        FAMILIES.map((family) => ({
          router: peer.device,
          peer: `${name}-${peer.device}-${family}`,
          family,
          address: peer.address[family],
          nodeAddress: own.address[family],
        })),
      ),
    })),
  };
}
