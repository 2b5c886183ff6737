/**
 * What becomes of an attribute set on its way in: loop checks, roles, import policy (RFC 4271 section 9.1.1 and 9.1.2, RFC 4456
 * section 8, RFC 9234 section 5). The answer holds for every prefix with this set and is remembered in the set, unless the
 * policy looks at prefixes.
 */
import { parseAttributes, encodeAttributes } from '../codec/parse.js';
import type { FamilyTable } from './family-table.js';
import { NO_METRIC, SetFlag, type AttributeSets, type SetId } from './attribute-sets.js';
import type { LocalRole, PeerId, Unusable } from './contract.js';
import type { NextHops } from './next-hops.js';
import { LOCAL_PEER, type PeerEntry, type Peers } from './peers.js';
import type { PrefixId } from './prefix-table.js';
import { routeOf } from './policy-route.js';

/** Values of the `imported` column that are not a set. 0: not asked yet. */
const REJECTED = 0xffffffff;
const PER_PREFIX = 0xfffffffe;

/** Our role towards the peer, where a route with OTC coming in is a leak (RFC 9234 section 5, ingress 1). */
const OTC_NEVER_FROM: ReadonlySet<LocalRole> = new Set(['provider', 'route-server']);
/** Where a route without OTC gets the peer's AS (ingress 3). */
const OTC_STAMP_FROM: ReadonlySet<LocalRole> = new Set(['customer', 'peer', 'route-server-client']);

export class Import {
  readonly #sets: AttributeSets;
  readonly #nextHops: NextHops;
  readonly #peers: Peers;

  constructor(sets: AttributeSets, nextHops: NextHops, peers: Peers) {
    this.#sets = sets;
    this.#nextHops = nextHops;
    this.#peers = peers;
  }

  /** The set a path with this raw set has in the Loc-RIB; 0: kept out. */
  setFor(raw: SetId, entry: PeerEntry, table: FamilyTable, prefix: PrefixId): SetId {
    let known = this.#sets.imported[raw] as number;
    if (known === 0) known = this.#ask(raw, entry, table);
    if (known === REJECTED) return 0;
    return known === PER_PREFIX ? this.#judge(raw, entry, table, prefix) : known;
  }

  /** Why a set is kept out; undefined: it is let in. */
  rejection(raw: SetId, entry: PeerEntry, table: FamilyTable, prefix: PrefixId): Unusable | undefined {
    const loop = this.#loop(raw, entry);
    return loop ?? (this.setFor(raw, entry, table, prefix) === 0 ? 'rejected-by-policy' : undefined);
  }

  /** A released set lets go of what was remembered in it. */
  forget(raw: SetId): void {
    const known = this.#sets.imported[raw] as number;
    this.#sets.imported[raw] = 0;
    if (known !== 0 && known !== raw && known < PER_PREFIX) this.#sets.release(known);
  }

  /** Forgets what was remembered in all sets of a peer: its policy changed. */
  forgetPeer(peer: PeerId): void {
    for (const raw of this.#sets.ofPeer(peer)) this.forget(raw);
  }

  #ask(raw: SetId, entry: PeerEntry, table: FamilyTable): number {
    const answer = this.#answer(raw, entry, table);
    if (answer !== raw && answer < PER_PREFIX) this.#sets.hold(answer);
    this.#sets.imported[raw] = answer;
    return answer;
  }

  #answer(raw: SetId, entry: PeerEntry, table: FamilyTable): number {
    if (entry.id === LOCAL_PEER) return raw;
    if (this.#loop(raw, entry) !== undefined) return REJECTED;
    const { importPolicy } = entry.options;
    if (importPolicy?.dependsOnPrefix === true) return PER_PREFIX;
    const set = this.#judge(raw, entry, table, undefined);
    return set === 0 ? REJECTED : set;
  }

  #judge(raw: SetId, entry: PeerEntry, table: FamilyTable, prefix: PrefixId | undefined): SetId {
    const sets = this.#sets;
    const stamped = this.#stamp(raw, entry);
    const policy = entry.options.importPolicy;
    if (policy === undefined) return stamped;
    const route = routeOf(stamped, { sets, nextHops: this.#nextHops, peers: this.#peers }, table, prefix, undefined);
    const verdict = policy.judge(route);
    if (verdict.type === 'reject') {
      sets.discard(stamped);
      return 0;
    }
    const { attributes, nextHop, weight, metric } = verdict;
    const block = attributes === undefined ? undefined : encodeAttributes(attributes);
    if (block === undefined && nextHop === undefined && weight === undefined && metric === undefined) return stamped;
    const hop = nextHop === undefined ? (sets.nextHop[stamped] as number) : this.#nextHops.internAddress(nextHop, entry.scope);
    const bytes = block ?? sets.view(stamped);
    const extras = { weight: weight ?? (sets.weight[stamped] as number), metric: metric ?? NO_METRIC, chosen: 0 };
    const set = sets.intern(bytes, 0, bytes.length, hop, entry.owner, extras);
    if (set !== stamped) sets.discard(stamped);
    return set;
  }

  #loop(raw: SetId, entry: PeerEntry): Unusable | undefined {
    const sets = this.#sets;
    const flags = sets.flags[raw] as number;
    const { role, allowLocalAs = 0 } = entry.options;
    if ((sets.ownAsCount[raw] as number) > allowLocalAs) return 'as-loop';
    if (role !== 'ebgp' && (flags & SetFlag.ownOriginator) !== 0) return 'originator-loop';
    if (role !== 'ebgp' && (flags & SetFlag.ownCluster) !== 0) return 'cluster-loop';
    if ((flags & SetFlag.onlyToCustomer) !== 0 && this.#isLeak(raw, entry)) return 'otc-leak';
    const address = this.#nextHops.address(sets.nextHop[raw] as number);
    // RFC 4271 section 5.1.3: never install a route whose next hop is ourselves.
    return address !== undefined && this.#peers.isOwnAddress(address) ? 'next-hop-is-ours' : undefined;
  }

  #isLeak(raw: SetId, { options }: PeerEntry): boolean {
    if (options.localRole === undefined) return false;
    if (OTC_NEVER_FROM.has(options.localRole)) return true;
    return options.localRole === 'peer' && parseAttributes(this.#sets.view(raw)).otc !== options.remoteAs;
  }

  #stamp(raw: SetId, entry: PeerEntry): SetId {
    const sets = this.#sets;
    const { localRole, remoteAs } = entry.options;
    if (localRole === undefined || !OTC_STAMP_FROM.has(localRole) || ((sets.flags[raw] as number) & SetFlag.onlyToCustomer) !== 0) return raw;
    const block = encodeAttributes({ ...parseAttributes(sets.view(raw)), otc: remoteAs });
    return sets.intern(block, 0, block.length, sets.nextHop[raw] as number, entry.owner, entry.extras);
  }
}
