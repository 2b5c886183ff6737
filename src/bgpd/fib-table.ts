/**
 * What should be in the kernel: for each prefix a *shape*, that is, a route without its prefix. A table of a hundred thousand routes
 * has few shapes, one per set of next hops, so a prefix costs a dozen octets here and writing it is copying a message and patching
 * the prefix in. A shape of many prefixes leads through a nexthop object of the kernel, which its later routes name:
 * it pays where routes are many, and a route that says itself where it leads is what people expect to read.
 *
 * BOUNDED by the RIB.
 */
import type { Family, IpPrefix } from 'node-bgp/address';
import type { ForwardingEntry } from 'node-bgp/rib/forwarding-entry';
import { grown, PrefixTable } from 'node-bgp/rib/prefix-table';
import {
  routeTemplate,
  type NextHop,
  type RouteChange,
  type RouteRequest,
  type RouteTemplate,
} from '../dataplane/netlink/index.js';
import { kernelRoute, type KernelRouteContext } from './kernel-route.js';

export interface RouteShape {
  readonly id: number;
  readonly family: Family;
  readonly metric: number;
  readonly route: Omit<RouteRequest, 'prefix'>;
  /** The message of each kind of change, made when first needed. */
  readonly template: (type: RouteChange['type']) => RouteTemplate;
}

/** More next hops than a route of the kernel should have. */
export interface HopsCut {
  readonly family: Family;
  readonly wanted: number;
  readonly kept: number;
}

interface Held {
  /** Another one when the nexthop object is another. */
  shape: RouteShape;
  readonly key: string;
  references: number;
}

interface FamilyColumns {
  readonly prefixes: PrefixTable;
  /** Shape of each prefix; 0: none. */
  shapes: Uint32Array;
}

const columns = (family: Family): FamilyColumns => ({ prefixes: new PrefixTable(family), shapes: new Uint32Array(64) });

/** The nexthop object that leads where these lead, made only if it may be; undefined when routes have to say it themselves. */
export type NexthopIdFor = (family: Family, hops: readonly NextHop[], mayMake: boolean) => number | undefined;

export class FibTable {
  private readonly families: Readonly<Record<Family, FamilyColumns>> = { 4: columns(4), 6: columns(6) };
  private readonly shapes: (Held | undefined)[] = [undefined];
  private readonly byKey = new Map<string, Held>();
  private readonly freeIds: number[] = [];
  private count = 0;
  /** Shapes of the RIB's entries, each of which belongs to one family, as long as the context is the same object. */
  private known = new Map<ForwardingEntry, RouteShape | undefined>();
  private knownFor: KernelRouteContext | undefined;

  /** `sharedBy`: with so many prefixes a shape gets a nexthop object, through which it leads from then on. */
  constructor(
    private readonly sharedBy: number,
    private readonly nexthopIdFor: NexthopIdFor,
    private readonly onCut: (cut: HopsCut) => void,
  ) {}

  /** Prefixes that have a shape. */
  get size(): number {
    return this.count;
  }

  /** The shape of a forwarding entry; undefined when an interface of it is unknown by now. Valid until the next `set`. */
  shapeOf(family: Family, entry: ForwardingEntry, context: KernelRouteContext): RouteShape | undefined {
    if (this.knownFor !== context || this.known.size > 1024) {
      this.known = new Map();
      this.knownFor = context;
    }
    const known = this.known.get(entry);
    if (known !== undefined && this.shapes[known.id]?.shape === known) return known;
    const shape = this.makeShape(family, entry, context);
    this.known.set(entry, shape);
    return shape;
  }

  get(family: Family, words: Uint32Array, at: number, length: number): RouteShape | undefined {
    const { prefixes, shapes } = this.families[family];
    const id = prefixes.find(words, at, length);
    return id < 0 ? undefined : this.shapes[shapes[id] ?? 0]?.shape;
  }

  /** The number of a prefix, negative when it has no shape. It stays the prefix's as long as that has one. */
  idOf(prefix: IpPrefix): number {
    return this.families[prefix.family].prefixes.findPrefix(prefix);
  }

  shapeAt(family: Family, id: number): RouteShape | undefined {
    const { prefixes, shapes } = this.families[family];
    return prefixes.isLive(id) ? this.shapes[shapes[id] ?? 0]?.shape : undefined;
  }

  prefixOf(family: Family, id: number): IpPrefix {
    return this.families[family].prefixes.prefixOf(id);
  }

  /** Numbers given out so far: the bound of a walk. */
  end(family: Family): number {
    return this.families[family].prefixes.end;
  }

  /** Asks again which nexthop object each shape leads through, and remembers the answers. Routes written before keep the former one. */
  renewNexthops(): void {
    for (const held of this.shapes) {
      if (held === undefined) continue;
      this.renewNexthop(held, held.shape.route.nexthopId !== undefined || held.references >= this.sharedBy);
    }
  }

  private renewNexthop(held: Held, mayMake: boolean): void {
    const { id, family, route } = held.shape;
    const nexthopId = this.nexthopIdFor(family, route.nextHops, mayMake);
    if (nexthopId !== route.nexthopId) held.shape = shapeOfRoute(id, family, throughNexthop(route, nexthopId));
  }

  /** Nexthop objects that shapes lead through. */
  nexthopIds(): ReadonlySet<number> {
    return new Set(this.shapes.map((held) => held?.shape.route.nexthopId).filter((id) => id !== undefined));
  }

  get shapeCount(): number {
    return this.byKey.size;
  }

  /** Gives a prefix a shape, or takes it away. */
  set(family: Family, words: Uint32Array, at: number, length: number, shape: RouteShape | undefined): void {
    const table = this.families[family];
    const id = shape === undefined ? table.prefixes.find(words, at, length) : table.prefixes.intern(words, at, length);
    if (id < 0) return;
    if (id >= table.shapes.length) table.shapes = grown(table.shapes, table.prefixes.capacity);
    const old = table.shapes[id] ?? 0;
    table.shapes[id] = shape?.id ?? 0;
    if (shape !== undefined) this.hold(shape.id);
    if (old === 0) this.count++;
    else this.release(old);
    if (shape !== undefined) return;
    table.prefixes.remove(id);
    this.count--;
  }

  private makeShape(family: Family, entry: ForwardingEntry, context: KernelRouteContext): RouteShape | undefined {
    const made = kernelRoute({ family, value: 0n, length: 0 }, entry, context);
    if (made === undefined) return undefined;
    const { prefix: _, ...route } = made;
    const key = `${family} ${JSON.stringify(route, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}`;
    const known = this.byKey.get(key);
    if (known !== undefined) return known.shape;
    if (made.nextHops.length < entry.hops.length)
      this.onCut({ family, wanted: entry.hops.length, kept: made.nextHops.length });
    const id = this.freeIds.pop() ?? this.shapes.length;
    const shape = shapeOfRoute(
      id,
      family,
      throughNexthop(route, this.nexthopIdFor(family, route.nextHops, this.sharedBy <= 1)),
    );
    const held: Held = { shape, key, references: 0 };
    this.shapes[id] = held;
    this.byKey.set(key, held);
    return held.shape;
  }

  private hold(id: number): void {
    const held = this.shapes[id];
    if (held === undefined) throw new RangeError(`Route shape ${id} is not in the table`);
    held.references++;
    if (held.references === this.sharedBy && held.shape.route.nexthopId === undefined) this.renewNexthop(held, true);
  }

  private release(id: number): void {
    const held = this.shapes[id];
    if (held === undefined || --held.references > 0) return;
    this.shapes[id] = undefined;
    this.byKey.delete(held.key);
    this.freeIds.push(id);
  }
}

function throughNexthop(
  { nexthopId: _, ...route }: RouteShape['route'],
  nexthopId: number | undefined,
): RouteShape['route'] {
  return nexthopId === undefined ? route : { ...route, nexthopId };
}

function shapeOfRoute(id: number, family: Family, route: RouteShape['route']): RouteShape {
  // A deletion names no way out: whichever the kernel's route has, it is ours by protocol and metric.
  const { nexthopId: _, ...deleted } = { ...route, nextHops: [] };
  const templates = new Map<RouteChange['type'], RouteTemplate>();
  const template = (type: RouteChange['type']): RouteTemplate => {
    const ready = templates.get(type) ?? routeTemplate(type, family, type === 'delete' ? deleted : route);
    templates.set(type, ready);
    return ready;
  };
  return { id, family, metric: route.metric ?? 0, route, template };
}
