/** A set, and where asked for a prefix, as a policy sees it: parsed only as far as the policy looks. */
import type { Family, IpAddress, IpPrefix } from '../address.js';
import type { PathAttributes } from '../codec/attribute.js';
import { parseAttributes } from '../codec/parse.js';
import { NO_METRIC, type AttributeSets, type SetId } from './attribute-sets.js';
import type { RibPeer } from './rib-peer.js';
import type { FamilyTable } from './family-table.js';
import type { NextHops } from './next-hops.js';
import { LOCAL_PEER, type Peers } from './peers.js';
import type { PolicyPeer, PolicyRoute, PolicyVerdict, ReadPolicy, RoutePolicy, SpecializedPolicy } from './policy.js';
import type { PrefixId } from './prefix-table.js';
import type { ReadableTable, ReadableTables } from './reading.js';

export interface RouteTables extends ReadableTables {
  readonly sets: AttributeSets;
  readonly nextHops: NextHops;
  readonly peers: Peers;
}

const NO_TAGS: readonly string[] = [];

/** A class for its lazy getters: one is made for every attribute set that meets a policy. */
class RibRoute implements PolicyRoute {
  readonly #set: SetId;
  readonly #tables: ReadableTables;
  readonly #table: ReadableTable;
  readonly #prefix: PrefixId | undefined;
  readonly to: PolicyPeer | undefined;
  #attributes: PathAttributes | undefined;

  constructor(
    set: SetId,
    tables: ReadableTables,
    table: ReadableTable,
    prefix: PrefixId | undefined,
    to: PolicyPeer | undefined,
    attributes: PathAttributes | undefined,
  ) {
    this.#set = set;
    this.#attributes = attributes;
    this.#tables = tables;
    this.#table = table;
    this.#prefix = prefix;
    this.to = to;
  }

  get family(): Family {
    return this.#table.family;
  }

  get prefix(): IpPrefix | undefined {
    return this.#prefix === undefined ? undefined : this.#table.prefixes.prefixOf(this.#prefix);
  }

  get tags(): readonly string[] {
    return this.#prefix === undefined ? NO_TAGS : tagsOf(this.#table, this.#prefix, this.#peer);
  }

  get source(): PolicyRoute['source'] {
    if (this.#peer === LOCAL_PEER) return 'local';
    return this.#tables.peers.isExternal(this.#peer) ? 'ebgp' : 'ibgp';
  }

  get attributes(): PathAttributes {
    return (this.#attributes ??= parseAttributes(this.#tables.sets.view(this.#set)));
  }

  get nextHop(): IpAddress | undefined {
    return this.#tables.nextHops.address(this.#tables.sets.nextHop[this.#set] as number);
  }

  get metric(): number | undefined {
    const metric = this.#tables.sets.metric[this.#set];
    return metric === NO_METRIC ? undefined : metric;
  }

  get interfaceName(): string | undefined {
    const [first, ...more] = this.#tables.nextHops.hops(this.#tables.sets.nextHop[this.#set] as number);
    if (first === undefined || more.some(({ interfaceName }) => interfaceName !== first.interfaceName))
      return undefined;
    // Nobody has told the RIB of links: what the session runs over is the best guess.
    return first.interfaceName ?? this.from?.interfaceName;
  }

  get from(): PolicyPeer | undefined {
    return this.#peer === LOCAL_PEER ? undefined : policyPeer(this.#tables.peers.get(this.#peer).options);
  }

  get #peer(): number {
    return this.#tables.sets.peer[this.#set] as number;
  }
}

function tagsOf(table: ReadableTable, prefix: PrefixId, peer: number): readonly string[] {
  return (peer === LOCAL_PEER ? table.tags.get(prefix) : undefined) ?? NO_TAGS;
}

export function policyPeer({ name, address, remoteAs, interfaceName }: RibPeer): PolicyPeer {
  return { name, address, remoteAs, interfaceName };
}

/**
 * Asks one policy about one route after the other. Prefixes of the same set mostly follow each other, so the policy specialised for
 * the last set is kept.
 */
export class PolicyReader implements ReadPolicy {
  readonly policy: RoutePolicy;
  readonly #tables: RouteTables;
  readonly #table: FamilyTable;
  readonly #to: PolicyPeer | undefined;
  #set: SetId = 0;
  #generation = 0;
  #ways = 0;
  #specialized: SpecializedPolicy | undefined;

  constructor(policy: RoutePolicy, tables: RouteTables, table: FamilyTable, to: PolicyPeer | undefined) {
    this.policy = policy;
    this.#tables = tables;
    this.#table = table;
    this.#to = to;
  }

  verdict(set: SetId, prefix: PrefixId | undefined): PolicyVerdict {
    if (prefix === undefined || this.policy.specialize === undefined)
      return this.policy.judge(this.#route(set, prefix));
    const { sets, nextHops } = this.#tables;
    const isOld = this.policy.dependsOnInterface === true && this.#ways !== nextHops.waysVersion;
    if (this.#specialized === undefined || isOld || this.#set !== set || this.#generation !== sets.generation[set]) {
      this.#ways = nextHops.waysVersion;
      this.#specialized = this.policy.specialize(this.#route(set, undefined));
      this.#set = set;
      this.#generation = sets.generation[set] as number;
    }
    const { prefixes } = this.#table;
    const tags = tagsOf(this.#table, prefix, sets.peer[set] as number);
    return this.#specialized.decide(prefixes.words, prefix * prefixes.width, prefixes.lengths[prefix] as number, tags);
  }

  #route(set: SetId, prefix: PrefixId | undefined): PolicyRoute {
    return new RibRoute(set, this.#tables, this.#table, prefix, this.#to, undefined);
  }
}

/** A set and prefix for a policy that is asked once and only for the answer; with other `attributes` than the set's, if given. */
export const policyRoute = (
  set: SetId,
  tables: ReadableTables,
  table: ReadableTable,
  prefix: PrefixId,
  to: PolicyPeer | undefined,
  attributes?: PathAttributes,
): PolicyRoute => new RibRoute(set, tables, table, prefix, to, attributes);
