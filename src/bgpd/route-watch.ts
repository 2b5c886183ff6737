/**
 * The kernel's routes that others made, as far as they lead to a next hop of BGP (RFC 4271 section 5.1.3): static ones, an IGP's, the
 * default, a device's, the agent's. Told anew when something that matters has changed; what BGP writes itself is not heard.
 *
 * Events only say that something has changed, reading says what: routes go in silence with their device, and multipath routes are told in
 * pieces. A reading takes a tenth of a second for a hundred thousand routes, in slices; readings keep a pause of ten times as long.
 *
 * BOUNDED: of a table with more routes of others than MOST_KEPT (a full table of another daemon) only those that lead to a next hop are
 * kept; it is read again for next hops that are new. Events that lead to none cost a search in a sorted list.
 */
import type { Family, IpAddress, IpPrefix } from 'node-bgp/address';
import type { KernelRoute } from 'node-bgp/rib/contract';
import {
  MAIN_TABLE,
  PROTOCOL_TORTIE_BGP,
  visitRoutes,
  watchKernel,
  type KernelEvent,
  type KernelWatch,
  type NetlinkSocket,
  type Route,
} from '../dataplane/netlink/index.js';

export interface RouteWatchOptions {
  /** For nobody else: readings go on while others ask. */
  readonly socket: NetlinkSocket;
  /** Of interfaces that carry packets now: a route over another leads nowhere, whatever was read of it. */
  readonly nameOf: (interfaceIndex: number) => string | undefined;
  /** Addresses whose routes matter. */
  readonly targets: () => Iterable<IpAddress>;
  /** All routes to them, after a change. */
  readonly onChange: (routes: readonly KernelRoute[]) => void;
  readonly onProblem: (error: unknown) => void;
  /** Default: of this thread's namespace. */
  readonly watch?: typeof watchKernel;
  /** Routes of others that are all kept; default 16,384. */
  readonly mostKept?: number;
}

/** Not the agent's: a next hop may be a pod that speaks BGP, or a router with a route through a gateway (BGPPeer's reachableBy). */
const OURS: readonly number[] = [PROTOCOL_TORTIE_BGP];
const MOST_KEPT = 16_384;
/** Milliseconds between a change and the reading: a burst is one change. */
const SHORTEST_PAUSE = 50;
const LONGEST_PAUSE = 10_000;

export class RouteWatch {
  private readonly mostKept: number;
  private watch: KernelWatch | undefined;
  private routes: readonly Route[] = [];
  /** All routes of others are in `routes`; otherwise those to the targets of the last reading. */
  private hasAll = false;
  private targets: Targets = new Targets([]);
  private told = '[]';
  /** Interfaces that what was told leads over, or did not because they carried nothing. BOUNDED by the machine's interfaces. */
  private readonly names = new Map<number, string | undefined>();
  private isStale = false;
  private reading: Promise<void> | undefined;
  private isRetargeting = false;
  private pause = SHORTEST_PAUSE;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: RouteWatchOptions) {
    this.mostKept = options.mostKept ?? MOST_KEPT;
  }

  /** Subscribes, and reads for the first time soon. */
  start(): void {
    const watch = this.options.watch ?? watchKernel;
    this.watch = watch({ route: true, nexthop: true }, (event) => this.take(event), { notOfProtocols: OURS });
    this.targets = new Targets(this.options.targets());
    this.stale(0);
  }

  /** Resolves when the socket is no longer in use. */
  async stop(): Promise<void> {
    this.watch?.close();
    this.watch = undefined;
    clearTimeout(this.timer);
    await this.reading;
  }

  /** The addresses that matter may be others. What comes in one turn of the event loop is one change. */
  retarget(): void {
    if (this.isRetargeting) return;
    this.isRetargeting = true;
    setImmediate(() => {
      this.isRetargeting = false;
      if (this.watch === undefined) return;
      const before = this.targets;
      this.targets = new Targets(this.options.targets());
      if (this.hasAll) this.tell();
      else if (!this.targets.isWithin(before)) this.stale();
    });
  }

  /**
   * Links or addresses changed: routes may have come or gone without a word. That a link carries nothing any more is true of its routes
   * at once: the reading that will say so may be a while away, and what the kernel sends there until then is lost.
   */
  linksChanged(): void {
    if (this.watch === undefined) return;
    for (const [index, name] of this.names)
      if (this.options.nameOf(index) !== name) {
        this.tell();
        break;
      }
    this.stale();
  }

  private take(event: KernelEvent): void {
    switch (event.type) {
      case 'route':
        if (event.route.table === MAIN_TABLE && this.targets.has(event.route.prefix)) this.stale();
        return;
      case 'nexthop':
        // Routes through it lead elsewhere, and are not told themselves.
        if (this.routes.some(({ nexthopId }) => nexthopId !== undefined)) this.stale();
        return;
      case 'resync':
        return this.stale();
      case 'link':
      case 'address':
      case 'neighbour':
        return;
    }
  }

  private stale(pause = this.pause): void {
    this.isStale = true;
    if (this.reading !== undefined || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.reading = this.read();
    }, pause);
    this.timer.unref();
  }

  private async read(): Promise<void> {
    this.isStale = false;
    const begun = performance.now();
    try {
      const { routes, hasAll } = await this.visit();
      this.routes = routes;
      this.hasAll = hasAll;
      if (this.watch !== undefined) this.tell();
    } catch (error) {
      this.isStale = true;
      if (this.watch !== undefined) this.options.onProblem(error);
    }
    this.reading = undefined;
    this.pause = Math.min(LONGEST_PAUSE, Math.max(SHORTEST_PAUSE, 10 * (performance.now() - begun)));
    if (this.watch !== undefined && this.isStale) this.stale();
  }

  private async visit(): Promise<{ readonly routes: readonly Route[]; readonly hasAll: boolean }> {
    const found: Record<Family, Route[]> = { 4: [], 6: [] };
    let hasAll = true;
    await visitRoutes(
      this.options.socket,
      { notOfProtocols: OURS },
      (route) => {
        const list = found[route.prefix.family];
        if (hasAll && found[4].length + found[6].length >= this.mostKept) {
          hasAll = false;
          for (const family of [4, 6] as const)
            found[family] = found[family].filter(({ prefix }) => this.targets.has(prefix));
        }
        if (hasAll || this.targets.has(route.prefix)) list.push(route);
      },
      (family) => found[family].splice(0),
    );
    return { routes: [...found[4], ...found[6]], hasAll };
  }

  private tell(): void {
    this.names.clear();
    const nameOf = (index: number): string | undefined => {
      const name = this.options.nameOf(index);
      this.names.set(index, name);
      return name;
    };
    const routes = this.routes
      .filter(({ prefix }) => this.targets.has(prefix))
      .flatMap((route) => kernelRouteOf(route, nameOf) ?? []);
    const text = JSON.stringify(routes, (_, value: unknown) =>
      typeof value === 'bigint' ? value.toString(36) : value,
    );
    if (text === this.told) return;
    this.told = text;
    this.options.onChange(routes);
  }
}

/** undefined: nobody is led anywhere by it, nor kept from going. */
export function kernelRouteOf(
  { prefix, type, metric, nextHops }: Route,
  nameOf: (interfaceIndex: number) => string | undefined,
): KernelRoute | undefined {
  if (type === 'blackhole' || type === 'unreachable' || type === 'prohibit') return { prefix, metric, hops: [] };
  if (type !== 'unicast') return undefined;
  const hops = nextHops.flatMap(({ via, interfaceIndex, weight = 1, isOnlink, isDead, isLinkDown }) => {
    const interfaceName = interfaceIndex === undefined ? undefined : nameOf(interfaceIndex);
    if (interfaceName === undefined || isDead === true || isLinkDown === true) return [];
    return [
      {
        ...(via === undefined ? {} : { address: via }),
        interfaceName,
        weight,
        ...(isOnlink === true && via !== undefined ? { isOnlink } : {}),
      } as const,
    ];
  });
  return hops.length === 0 ? undefined : { prefix, metric, hops };
}

/** Addresses, and whether a prefix has one of them in it. */
class Targets {
  private readonly values: Readonly<Record<Family, readonly bigint[]>>;

  constructor(addresses: Iterable<IpAddress>) {
    const sets: Record<Family, Set<bigint>> = { 4: new Set(), 6: new Set() };
    for (const { family, value } of addresses) sets[family].add(value);
    const sorted = (set: ReadonlySet<bigint>): readonly bigint[] => [...set].sort((a, b) => (a < b ? -1 : 1));
    this.values = { 4: sorted(sets[4]), 6: sorted(sets[6]) };
  }

  has({ family, value, length }: IpPrefix): boolean {
    const values = this.values[family];
    const last = value | ((1n << BigInt((family === 4 ? 32 : 128) - length)) - 1n);
    let [from, until] = [0, values.length];
    while (from < until) {
      const middle = (from + until) >>> 1;
      if ((values[middle] ?? 0n) < value) from = middle + 1;
      else until = middle;
    }
    const found = values[from];
    return found !== undefined && found <= last;
  }

  isWithin(other: Targets): boolean {
    return ([4, 6] as const).every((family) =>
      this.values[family].every((value) => other.has({ family, value, length: family === 4 ? 32 : 128 })),
    );
  }
}
