/**
 * The prefixes we originate, as a whole desired set: works out what to add, change and take away (RFC 4271 section 9.4), and which
 * aggregates stand (section 9.2.2.2). Contributors of an aggregate are our own prefixes.
 */
import { containsPrefix, type Family, type IpPrefix } from '../address.js';
import type { PathAttributes } from '../codec/attribute.js';
import { encodeAttributes } from '../codec/parse.js';
import type { AdjRibIn } from './adj-rib-in.js';
import type { AttributeSets } from './attribute-sets.js';
import type { LocalRoute } from './contract.js';
import type { FamilyTable } from './family-table.js';
import type { PeerEntry } from './peers.js';
import { wordsOf, type PrefixId } from './prefix-table.js';

export class LocalRoutes {
  readonly #tables: Readonly<Record<Family, FamilyTable>>;
  readonly #input: AdjRibIn;
  readonly #sets: AttributeSets;
  readonly #self: PeerEntry;
  /** Prefixes with a path of ours. BOUNDED by what the operator originates. */
  readonly #current: Readonly<Record<Family, Set<PrefixId>>> = { 4: new Set(), 6: new Set() };
  #version = 0;

  constructor(tables: Readonly<Record<Family, FamilyTable>>, input: AdjRibIn, sets: AttributeSets, self: PeerEntry) {
    this.#tables = tables;
    this.#input = input;
    this.#sets = sets;
    this.#self = self;
  }

  /** Another number after each change. */
  get version(): number {
    return this.#version;
  }

  prefixes(family: Family): ReadonlySet<PrefixId> {
    return this.#current[family];
  }

  /** Makes exactly these our own. Of two routes for one prefix the later counts. */
  set(routes: readonly LocalRoute[]): void {
    this.#version++;
    for (const family of [4, 6] as const)
      this.#setFamily(
        family,
        routes.filter(({ prefix }) => prefix.family === family),
      );
  }

  #setFamily(family: Family, routes: readonly LocalRoute[]): void {
    const table = this.#tables[family];
    const standing = routes.filter((route) => route.aggregate === undefined || contributors(route, routes).length > 0);
    const hidden = new Set(
      standing
        .filter(({ aggregate }) => aggregate?.summaryOnly === true)
        .flatMap((route) => contributors(route, routes).map(keyOf)),
    );
    const wanted = new Set<PrefixId>();
    for (const route of standing) {
      const prefix = table.intern(wordsOf(route.prefix), 0, route.prefix.length);
      wanted.add(prefix);
      this.#put(table, prefix, route, hidden.has(keyOf(route)), routes);
    }
    for (const prefix of this.#current[family]) {
      if (wanted.has(prefix)) continue;
      this.#current[family].delete(prefix);
      table.tags.delete(prefix);
      table.suppressed.delete(prefix);
      const path = table.findPath(prefix, this.#self.id, 0);
      if (path !== 0) this.#input.remove(this.#self, table, path);
    }
  }

  #put(
    table: FamilyTable,
    prefix: PrefixId,
    route: LocalRoute,
    isHidden: boolean,
    routes: readonly LocalRoute[],
  ): void {
    const block = encodeAttributes(
      attributesOf(route, routes, this.#self.options.localAs, this.#self.options.routerId),
    );
    const set = this.#sets.intern(block, 0, block.length, 0, this.#self.owner, this.#self.extras);
    const tags = route.tags ?? [];
    const seenAlike = sameTags(table.tags.get(prefix), tags) && table.suppressed.has(prefix) === isHidden;
    if (tags.length > 0) table.tags.set(prefix, tags);
    else table.tags.delete(prefix);
    if (isHidden) table.suppressed.add(prefix);
    else table.suppressed.delete(prefix);
    this.#sets.hold(set);
    this.#current[table.family].add(prefix);
    this.#input.put(this.#self, table, prefix, 0, set);
    this.#sets.release(set);
    // Tags and suppression are no attributes: tell the readers that policy may decide otherwise now.
    if (!seenAlike) table.log.append(prefix);
  }
}

const keyOf = ({ prefix }: LocalRoute): string => `${prefix.value}/${prefix.length}`;

const inside = (outer: IpPrefix, inner: IpPrefix): boolean =>
  inner.length > outer.length && containsPrefix(outer, inner);

const contributors = (aggregate: LocalRoute, routes: readonly LocalRoute[]): readonly LocalRoute[] =>
  routes.filter((route) => route.aggregate === undefined && inside(aggregate.prefix, route.prefix));

/** RFC 4271 sections 5.1.6, 5.1.7 and 9.2.2.2. */
function attributesOf(
  route: LocalRoute,
  routes: readonly LocalRoute[],
  localAs: number,
  routerId: number,
): PathAttributes {
  const own: PathAttributes = { origin: 'igp', asPath: [], ...route.attributes };
  if (route.aggregate === undefined) return own;
  const aggregator = { as: localAs, address: routerId };
  const members = new Set(
    contributors(route, routes).flatMap(({ attributes }) =>
      (attributes?.asPath ?? []).flatMap((segment) => segment.members),
    ),
  );
  if (!route.aggregate.asSet)
    return members.size === 0 ? { ...own, aggregator } : { ...own, aggregator, atomicAggregate: true };
  return members.size === 0
    ? { ...own, aggregator }
    : { ...own, aggregator, asPath: [{ type: 'set', members: [...members] }] };
}

const sameTags = (a: readonly string[] | undefined, b: readonly string[]): boolean =>
  (a?.length ?? 0) === b.length && b.every((tag, i) => tag === a?.[i]);
