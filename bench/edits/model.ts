/**
 * What a rack should be like, worked out from what the edits mean and not from what the agents compute: which sessions each node has and
 * which of them are up, what each node originates, what each router hears from it. An edit says what it changes in here; what
 * several edits make together follows.
 *
 * Deliberately smaller than src/topology: it knows the rack of the default topology, where all nodes share one AS and every router is
 * another's, and only what the catalogue does to it.
 */

export type FamilyName = 'ipv4' | 'ipv6';
export const FAMILIES: readonly FamilyName[] = ['ipv4', 'ipv6'];
export const familyOf = (text: string): FamilyName => (text.includes(':') ? 'ipv6' : 'ipv4');

export interface RouterLink {
  readonly router: string;
  /** Of BGPPeer and of the session: "node1-tor1-ipv4". */
  readonly peer: string;
  readonly family: FamilyName;
  /** The router's end, and the node's. */
  readonly address: string;
  readonly nodeAddress: string;
}

/** What does not change while edits come and go. */
export interface Ground {
  readonly nodes: readonly GroundNode[];
}

export interface GroundNode {
  readonly name: string;
  readonly loopback: Readonly<Record<FamilyName, string>>;
  /** Pod blocks, and their pools. */
  readonly blocks: readonly { readonly cidr: string; readonly pool: string }[];
  readonly links: readonly RouterLink[];
}

export interface Session {
  readonly address: string;
  readonly isUp: boolean;
}

/** A route as a router hears it. */
export interface Heard {
  readonly communities: readonly string[];
  /** How often the nodes' AS stands in the path. */
  readonly pathLength: number;
}

export type ExportRule = (prefix: string, heard: Heard) => Heard | undefined;

export interface ExtraSession extends Session {
  readonly name: string;
}

/** Edits write into this; `sessionsOf` and `heardFrom` read it. */
export interface Model {
  hasMesh: boolean;
  /** Sessions of the mesh that an edit takes away or lets down: `node name` of either end. */
  readonly meshIsDown: Set<string>;
  readonly silentPools: Set<string>;
  readonly serviceRanges: Set<string>;
  readonly excludedNodes: Set<string>;
  readonly advertisements: { readonly covers: (prefix: string) => boolean; readonly communities: readonly string[] }[];
  /** By name of the peer. Down: asked for and not up; gone: not asked for. */
  readonly routerSessions: Map<string, 'down' | 'gone'>;
  readonly exports: Map<string, ExportRule>;
  /** By node: sessions that edits ask for. One with the address of a mesh session takes its place. */
  readonly extra: Map<string, ExtraSession[]>;
  /** By node: addresses with a BFD session that is up. */
  readonly bfd: Map<string, Set<string>>;
}

export const emptyModel = (): Model => ({
  hasMesh: true,
  meshIsDown: new Set(),
  silentPools: new Set(),
  serviceRanges: new Set(),
  excludedNodes: new Set(),
  advertisements: [],
  routerSessions: new Map(),
  exports: new Map(),
  extra: new Map(),
  bfd: new Map(),
});

export function addSession(model: Model, node: string, session: ExtraSession): void {
  model.extra.set(node, [...(model.extra.get(node) ?? []), session]);
}

export function addBfd(model: Model, node: string, address: string): void {
  model.bfd.set(node, new Set([...(model.bfd.get(node) ?? []), address]));
}

/** Name to session, all that this node's speaker should have. */
export function sessionsOf(ground: Ground, model: Model, name: string): ReadonlyMap<string, Session> {
  const sessions = new Map<string, Session>();
  const node = groundNode(ground, name);
  for (const { peer, address } of node.links) {
    const state = model.routerSessions.get(peer);
    if (state !== 'gone') sessions.set(peer, { address, isUp: state !== 'down' });
  }
  const extra = model.extra.get(name) ?? [];
  for (const { name: session, address, isUp } of extra) sessions.set(session, { address, isUp });
  const taken = new Set(extra.map(({ address }) => address));
  if (model.hasMesh)
    for (const other of ground.nodes)
      for (const family of FAMILIES) {
        const address = other.loopback[family];
        if (other.name === name || taken.has(address) || isMeshGone(model, name, other.name)) continue;
        sessions.set(`mesh-${other.name}-${family === 'ipv4' ? 'v4' : 'v6'}`, { address, isUp: true });
      }
  return sessions;
}

const isMeshGone = (model: Model, a: string, b: string): boolean => model.meshIsDown.has(a) || model.meshIsDown.has(b);

/** Prefix to communities. */
export function originatedBy(ground: Ground, model: Model, name: string): ReadonlyMap<string, readonly string[]> {
  const node = groundNode(ground, name);
  const prefixes = [
    ...FAMILIES.map((family) => hostRoute(node, family)),
    ...node.blocks.filter(({ pool }) => !model.silentPools.has(pool)).map(({ cidr }) => cidr),
    ...(model.excludedNodes.has(name) ? [] : model.serviceRanges),
  ];
  return new Map(
    prefixes.map((prefix) => [
      prefix,
      [
        ...new Set(model.advertisements.flatMap(({ covers, communities }) => (covers(prefix) ? communities : []))),
      ].sort(),
    ]),
  );
}

/** Prefix to route: what the router at the other end of a link hears from the node. Nothing while the session is not up. */
export function heardFrom(ground: Ground, model: Model, name: string, link: RouterLink): ReadonlyMap<string, Heard> {
  if (model.routerSessions.has(link.peer)) return new Map();
  const routes = new Map<string, Heard>();
  const own = originatedBy(ground, model, name);
  for (const [prefix, communities] of own) routes.set(prefix, { communities, pathLength: 1 });
  // Of the mesh a node hands on the blocks, never the nodes' addresses; service ranges are in no pool.
  for (const other of ground.nodes)
    if (other.name !== name && hearsFrom(ground, model, name, other, link.family))
      for (const { cidr } of other.blocks) {
        const communities = originatedBy(ground, model, other.name).get(cidr);
        if (communities !== undefined) routes.set(cidr, { communities, pathLength: 1 });
      }
  const rule = model.exports.get(link.peer) ?? ((_, route) => route);
  return new Map(
    [...routes].flatMap(([prefix, route]) => {
      const out = familyOf(prefix) === link.family ? rule(prefix, route) : undefined;
      return out === undefined ? [] : [[prefix, out] as const];
    }),
  );
}

/** Whether an internal session to that node carries routes: it is up, and routers know the way between its two ends. */
function hearsFrom(ground: Ground, model: Model, name: string, other: GroundNode, family: FamilyName): boolean {
  return (
    [groundNode(ground, name), other].every((end) => isAddressTold(ground, model, end, family)) &&
    [...sessionsOf(ground, model, name).values()].some(
      ({ address, isUp }) => isUp && address === other.loopback[family],
    )
  );
}

/** A node's own address is what next hops of the mesh are: filters may keep it from every router. */
function isAddressTold(ground: Ground, model: Model, node: GroundNode, family: FamilyName): boolean {
  const prefix = hostRoute(node, family);
  const communities = originatedBy(ground, model, node.name).get(prefix) ?? [];
  return node.links
    .filter((link) => link.family === family && !model.routerSessions.has(link.peer))
    .some(({ peer }) => {
      const rule = model.exports.get(peer);
      return rule === undefined || rule(prefix, { communities, pathLength: 1 }) !== undefined;
    });
}

const hostRoute = (node: GroundNode, family: FamilyName): string =>
  `${node.loopback[family]}/${family === 'ipv4' ? 32 : 128}`;

/** Blocks of other nodes that a node must have a way to. */
export function reachedFrom(ground: Ground, model: Model, name: string): readonly string[] {
  return ground.nodes
    .filter((other) => other.name !== name)
    .flatMap((other) =>
      other.blocks.map(({ cidr }) => cidr).filter((cidr) => originatedBy(ground, model, other.name).has(cidr)),
    );
}

export function groundNode({ nodes }: Ground, name: string): GroundNode {
  const node = nodes.find((each) => each.name === name);
  if (node === undefined)
    throw new Error(`Cannot find node "${name}"; the rack has ${nodes.map((each) => each.name).join(', ')}`);
  return node;
}
