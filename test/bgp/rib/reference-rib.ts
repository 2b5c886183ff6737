/**
 * A RIB that is obviously correct and nothing else: objects in Maps, everything computed from scratch out of what peers last said.
 * The real one has to end in the same state whatever happened on the way.
 */
import {
  addressToBytes,
  containsAddress,
  formatPrefix,
  type Family,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';
import type { AsPathSegment, PathAttributes } from 'node-bgp/codec/attribute';
import type { ConnectedPrefix, KernelRoute, LocalRoute, RibPeer } from 'node-bgp/rib/index';
import type { PolicyRoute, RoutePolicy } from 'node-bgp/rib/policy';

export interface ReferenceRoute {
  readonly prefix: IpPrefix;
  readonly pathId: number;
  readonly attributes: PathAttributes;
  readonly nextHop: IpAddress;
  /** Second half of a pair. */
  readonly linkLocal?: IpAddress;
}

/** A path of the Loc-RIB's table: from a peer, or our own. */
interface Path {
  readonly prefix: IpPrefix;
  readonly peer: RibPeer | undefined;
  readonly pathId: number;
  readonly attributes: PathAttributes;
  readonly nextHop: IpAddress | undefined;
  readonly weight: number;
  readonly tags: readonly string[];
}

export interface ReferenceState {
  readonly localAs: number;
  readonly routerId: number;
  readonly peers: readonly RibPeer[];
  /** Also of peers that are down and kept. */
  readonly received: ReadonlyMap<RibPeer, readonly ReferenceRoute[]>;
  readonly local: readonly LocalRoute[];
  readonly connected: readonly ConnectedPrefix[] | undefined;
  readonly kernel: readonly KernelRoute[];
}

/** How an address is reached without BGP. */
interface Underlay {
  readonly length: number;
  readonly ways: readonly string[];
  readonly metric: number;
}

const NO_EXPORT = 0xffffff01;
const NO_ADVERTISE = 0xffffff02;
const GRACEFUL_SHUTDOWN = 0xffff0000;

const same = (a: IpPrefix, b: IpPrefix): boolean => formatPrefix(a) === formatPrefix(b);
const flat = (path: readonly AsPathSegment[]): number[] => path.flatMap(({ members }) => members);
const lengthOf = (path: readonly AsPathSegment[]): number =>
  path.reduce((sum, { type, members }) => sum + (type === 'set' ? 1 : members.length), 0);
const isNextDoor = (peer: RibPeer | undefined): boolean => peer?.role === 'ebgp' && peer.singleHop;
const isInOwnPrefix = ({ prefix, nextHop }: Path): boolean =>
  nextHop !== undefined && nextHop.family === prefix.family && containsAddress(prefix, nextHop);
const isExternal = (path: Path): boolean => path.peer?.role === 'ebgp';

function asPolicyRoute(path: Path, to: RibPeer | undefined): PolicyRoute {
  const peerOf = (peer: RibPeer) => ({
    name: peer.name,
    address: peer.address,
    remoteAs: peer.remoteAs,
    interfaceName: peer.interfaceName,
  });
  return {
    family: path.prefix.family,
    prefix: path.prefix,
    tags: path.tags,
    source: path.peer === undefined ? 'local' : isExternal(path) ? 'ebgp' : 'ibgp',
    attributes: path.attributes,
    nextHop: path.nextHop,
    interfaceName: undefined,
    from: path.peer && peerOf(path.peer),
    to: to && peerOf(to),
  };
}

function judged(path: Path, policy: RoutePolicy | undefined, to: RibPeer | undefined): Path | undefined {
  const verdict = policy?.judge(asPolicyRoute(path, to));
  if (verdict === undefined) return path;
  if (verdict.type === 'reject') return undefined;
  return {
    ...path,
    attributes: verdict.attributes ?? path.attributes,
    nextHop: verdict.nextHop ?? path.nextHop,
    weight: verdict.weight ?? path.weight,
  };
}

export class ReferenceRib {
  readonly #state: ReferenceState;
  readonly #paths: readonly Path[];

  constructor(state: ReferenceState) {
    this.#state = state;
    const learned = [...state.received].flatMap(([peer, routes]) => routes.map((route) => this.#imported(peer, route)));
    const own = state.local.map(
      ({ prefix, tags = [], attributes }): Path => ({
        prefix,
        peer: undefined,
        pathId: 0,
        attributes: { origin: 'igp', asPath: [], ...attributes },
        nextHop: undefined,
        weight: 0,
        tags,
      }),
    );
    this.#paths = [...learned.filter((path) => path !== undefined), ...own];
  }

  prefixes(family: Family): IpPrefix[] {
    const seen = new Map(
      this.#paths.filter(({ prefix }) => prefix.family === family).map(({ prefix }) => [formatPrefix(prefix), prefix]),
    );
    return [...seen.values()];
  }

  best(prefix: IpPrefix): Path | undefined {
    return this.ranked(prefix)[0];
  }

  /** Next hops to forward to, as text; undefined: none. */
  forwarding(prefix: IpPrefix): string | undefined {
    const best = this.best(prefix);
    if (best === undefined || best.peer === undefined) return undefined;
    const equal = this.#survivors(
      this.#usable(prefix),
      EQUAL.map((cost) => (path: Path) => cost(path, this)),
    );
    const ways = new Set(equal.flatMap((path) => this.#resolve(path.nextHop, path.peer) ?? []));
    return [...ways].sort().join(' ');
  }

  /** What a peer has been told in the end: per prefix (and path, with ADD-PATH) the attributes and next hop. */
  advertised(to: RibPeer, family: Family): ReadonlyMap<string, string> {
    const told = new Map<string, string>();
    const session = to.families.find((each) => each.family === family);
    if (session === undefined) return told;
    for (const prefix of this.prefixes(family)) {
      const paths = session.addPathSend === true ? this.ranked(prefix) : this.ranked(prefix).slice(0, 1);
      for (const path of paths) {
        const sent = this.#exported(path, to);
        const key =
          session.addPathSend === true
            ? `${formatPrefix(prefix)} of ${path.peer?.name ?? 'us'} ${path.pathId}`
            : formatPrefix(prefix);
        if (sent !== undefined) told.set(key, sent);
      }
    }
    return told;
  }

  ranked(prefix: IpPrefix): Path[] {
    const costs = ALL.map((cost) => (path: Path) => cost(path, this));
    const rest = [...this.#usable(prefix)];
    const order: Path[] = [];
    while (rest.length > 0) {
      const [first] = this.#survivors(rest, costs);
      if (first === undefined) throw new Error('A decision must leave one path');
      order.push(first);
      rest.splice(rest.indexOf(first), 1);
    }
    return order;
  }

  metric(path: Path): number {
    const carriers = this.#carriers(path.nextHop, path.peer);
    if (carriers === undefined) return this.#underlay(path.nextHop, path.peer)?.metric ?? 0;
    return 1 + Math.min(...carriers.map((each) => this.#underlay(each.nextHop, each.peer)?.metric ?? 0));
  }

  /** Its next hop lies in its own prefix, and neither a link, nor a way without BGP as long as that, nor a longer BGP route leads there. */
  leadsThroughItself(path: Path): boolean {
    const way = this.#underlay(path.nextHop, path.peer);
    const isOnLink = way !== undefined && way.metric === 0 && way.ways.length > 0;
    if (path.peer === undefined || isOnLink || isNextDoor(path.peer) || !isInOwnPrefix(path)) return false;
    const carriers = this.#carriers(path.nextHop, path.peer);
    return carriers === undefined
      ? (way?.length ?? -1) < path.prefix.length
      : carriers.every((each) => each.prefix.length <= path.prefix.length);
  }

  #imported(peer: RibPeer, route: ReferenceRoute): Path | undefined {
    const { localAs, routerId } = this.#state;
    const own = flat(route.attributes.asPath).filter((as) => as === localAs || as === peer.localAs).length;
    if (own > (peer.allowLocalAs ?? 0)) return undefined;
    if (
      peer.role !== 'ebgp' &&
      (route.attributes.originatorId === routerId || route.attributes.clusterList?.includes(routerId) === true)
    )
      return undefined;
    const isOurs = this.#state.peers.some(({ families }) =>
      families.some(
        ({ nextHopSelf }) =>
          nextHopSelf !== undefined && Buffer.compare(nextHopSelf, addressToBytes(route.nextHop)) === 0,
      ),
    );
    if (isOurs) return undefined;
    return judged({ ...route, peer, weight: peer.weight ?? 0, tags: [] }, peer.importPolicy, undefined);
  }

  #usable(prefix: IpPrefix): Path[] {
    return this.#paths.filter(
      (path) =>
        same(path.prefix, prefix) && (path.peer === undefined || this.#resolve(path.nextHop, path.peer) !== undefined),
    );
  }

  /** Links first, then what others have told the kernel; for who is next door links alone. */
  #underlay(address: IpAddress | undefined, peer: RibPeer | undefined): Underlay | undefined {
    if (address === undefined) return undefined;
    const { connected, kernel } = this.#state;
    if (connected === undefined)
      return { length: address.family === 4 ? 32 : 128, ways: [`${address.value}%`], metric: 0 };
    const links = connected.map(({ prefix, interfaceName }, i) => ({
      prefix,
      order: i - connected.length,
      hops: [{ address, interfaceName }],
      metric: 0,
    }));
    const isLink = ({ hops }: KernelRoute): boolean =>
      hops.length > 0 && hops.every((hop) => hop.address === undefined);
    const routes = kernel
      .filter((route) => !isNextDoor(peer) || isLink(route))
      .map((route) => ({
        prefix: route.prefix,
        order: route.metric,
        hops: route.hops.map((hop) => ({ address: hop.address ?? address, interfaceName: hop.interfaceName ?? '' })),
        metric: isLink(route) ? 0 : Math.max(1, route.metric),
      }));
    const [best] = [...links, ...routes]
      .filter(({ prefix }) => containsAddress(prefix, address))
      .sort((x, y) => y.prefix.length - x.prefix.length || x.order - y.order);
    if (best === undefined) return undefined;
    const ways = best.hops.map((hop) => `${hop.address.value}%${hop.interfaceName}`);
    return { length: best.prefix.length, ways, metric: best.metric };
  }

  /** Paths a next hop resolves through; undefined: it is on a link or cannot be reached. */
  #carriers(address: IpAddress | undefined, peer: RibPeer | undefined): Path[] | undefined {
    if (address === undefined || peer === undefined || isNextDoor(peer)) return undefined;
    const least = Math.max((this.#underlay(address, peer)?.length ?? -1) + 1, 1);
    const candidates = this.prefixes(address.family).filter(
      (prefix) => prefix.length >= least && containsAddress(prefix, address),
    );
    for (const prefix of candidates.sort((a, b) => b.length - a.length)) {
      const paths = this.#paths.filter((path) => same(path.prefix, prefix));
      if (paths.some((path) => path.peer === undefined)) return undefined;
      const direct = paths.filter((path) => {
        const way = this.#underlay(path.nextHop, path.peer);
        const isLoop = way?.metric !== 0 && isInOwnPrefix(path) && (way?.length ?? 0) < prefix.length;
        return way !== undefined && way.ways.length > 0 && !isLoop;
      });
      const costs = EQUAL.filter((cost) => cost !== metricOf && cost !== throughItself).map(
        (cost) => (path: Path) => cost(path, this),
      );
      if (direct.length > 0) return this.#survivors(direct, costs);
    }
    return undefined;
  }

  #resolve(address: IpAddress | undefined, peer: RibPeer | undefined): string[] | undefined {
    if (address === undefined) return undefined;
    const carriers = this.#carriers(address, peer);
    const ways =
      carriers === undefined
        ? this.#underlay(address, peer)?.ways
        : carriers.flatMap((each) => this.#underlay(each.nextHop, each.peer)?.ways ?? []);
    return ways === undefined || ways.length === 0 ? undefined : [...ways];
  }

  #survivors(
    paths: readonly Path[],
    costs: readonly ((path: Path) => number | [group: number, cost: number])[],
  ): Path[] {
    let left = [...paths];
    for (const cost of costs) {
      const before = left;
      left = before.filter((path) => {
        const mine = cost(path);
        return before.every((other) => {
          const theirs = cost(other);
          if (typeof mine === 'number' || typeof theirs === 'number') return mine <= theirs;
          return mine[0] !== theirs[0] || mine[1] <= theirs[1];
        });
      });
    }
    return left;
  }

  #exported(path: Path, to: RibPeer): string | undefined {
    const { localAs, routerId } = this.#state;
    if (path.peer === to) return undefined;
    const { communities = [] } = path.attributes;
    if (communities.includes(NO_ADVERTISE) || (to.role === 'ebgp' && communities.includes(NO_EXPORT))) return undefined;
    if (to.role === 'ibgp' && path.peer?.role === 'ibgp') return undefined;
    const sent = judged(path, to.exportPolicy, to);
    if (sent === undefined) return undefined;
    const session = to.families.find(({ family }) => family === path.prefix.family);
    const isSelf =
      (to.role === 'ebgp' && to.nextHop === undefined) || to.nextHop?.type === 'self' || sent.nextHop === undefined;
    const nextHop = isSelf ? session?.nextHopSelf : addressToBytes(sent.nextHop);
    if (nextHop === undefined) return undefined;
    const { localPreference, med, originatorId, clusterList, asPath, ...rest } = sent.attributes;
    const changed: PathAttributes =
      to.role === 'ebgp'
        ? {
            ...rest,
            asPath: prepended(localAs, asPath),
            ...(path.peer === undefined && med !== undefined ? { med } : {}),
          }
        : {
            ...rest,
            asPath,
            ...(med === undefined ? {} : { med }),
            localPreference: preferenceOf(sent),
            ...(path.peer === undefined || isExternal(path)
              ? {}
              : { originatorId: originatorId ?? path.peer.routerId, clusterList: [routerId, ...(clusterList ?? [])] }),
          };
    return describe(changed, nextHop);
  }
}

/** Text that is equal when attributes and next hop are. */
export function describe(attributes: PathAttributes, nextHop: Uint8Array): string {
  const fields = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  return (
    `${JSON.stringify(fields, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))} via ` +
    `${Buffer.from(nextHop).toString('hex')}`
  );
}

function prepended(as: number, path: readonly AsPathSegment[]): readonly AsPathSegment[] {
  const [first, ...rest] = path;
  return first?.type === 'sequence'
    ? [{ type: 'sequence', members: [as, ...first.members] }, ...rest]
    : [{ type: 'sequence', members: [as] }, ...path];
}

const preferenceOf = (path: Path): number =>
  isExternal(path) && path.attributes.communities?.includes(GRACEFUL_SHUTDOWN) === true
    ? 0
    : (path.attributes.localPreference ?? 100);

const throughItself = (path: Path, rib: ReferenceRib): number => (rib.leadsThroughItself(path) ? 1 : 0);
const metricOf = (path: Path, rib: ReferenceRib): number => rib.metric(path);
type Cost = (path: Path, rib: ReferenceRib) => number | [group: number, cost: number];
const EQUAL: readonly Cost[] = [
  (path) => (path.peer === undefined ? 0 : 1),
  throughItself,
  (path) => -path.weight,
  (path) => -preferenceOf(path),
  (path) => lengthOf(path.attributes.asPath),
  (path) => ['igp', 'egp', 'incomplete'].indexOf(path.attributes.origin),
  (path) => [
    path.attributes.asPath[0]?.type === 'sequence' ? (path.attributes.asPath[0].members[0] ?? 0) : 0,
    path.attributes.med ?? 0,
  ],
  (path) => (isExternal(path) ? 0 : 1),
  metricOf,
];
const ALL: readonly Cost[] = [
  ...EQUAL,
  (path) => path.attributes.originatorId ?? path.peer?.routerId ?? 0,
  (path) => path.attributes.clusterList?.length ?? 0,
  (path) => Number(path.peer?.address.value ?? 0n),
  (path) => path.pathId,
];
