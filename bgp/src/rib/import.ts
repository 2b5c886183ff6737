/**
 * What becomes of an attribute set on its way in: loop checks, roles, import policy (RFC 4271 section 9.1.1 and 9.1.2, RFC 4456
 * section 8, RFC 9234 section 5). The answer holds for every prefix with this set and is remembered in the set, unless the
 * policy looks at prefixes.
 */
import type { IpAddress } from '../address.js';
import { parseAttributes, encodeAttributes } from '../codec/parse.js';
import type { FamilyTable } from './family-table.js';
import { NO_METRIC, SetFlag, type AttributeSets, type SetId } from './attribute-sets.js';
import type { LocalRole, PeerId, Unusable } from './contract.js';
import type { NextHops } from './next-hops.js';
import { LOCAL_PEER, type PeerEntry, type Peers } from './peers.js';
import type { PrefixId } from './prefix-table.js';
import type { PolicyVerdict, ReadPolicy } from './policy.js';
import { PolicyReader } from './policy-route.js';

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
  readonly #isOwn = (address: IpAddress): boolean => this.#peers.isOwnAddress(address);
  /** The last verdict that changes something, on which set, and what came of it, with the generations of both sets. */
  readonly #last = { verdict: undefined as PolicyVerdict | undefined, set: 0, setAt: 0, made: 0, madeAt: 0 };

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

  /** What the import policy says about a set it rejects. */
  explanation(raw: SetId, entry: PeerEntry, table: FamilyTable, prefix: PrefixId): string | undefined {
    if (entry.options.importPolicy === undefined) return undefined;
    const stamped = this.#stamp(raw, entry);
    const words = this.#reader(entry, table).explain(stamped, prefix);
    if (stamped !== raw) this.#sets.discard(stamped);
    return words;
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
    if (importPolicy?.dependsOnPrefix === true && importPolicy.constant === undefined) return PER_PREFIX;
    const set = this.#judge(raw, entry, table, undefined);
    return set === 0 ? REJECTED : set;
  }

  #judge(raw: SetId, entry: PeerEntry, table: FamilyTable, prefix: PrefixId | undefined): SetId {
    const sets = this.#sets;
    const stamped = this.#stamp(raw, entry);
    const policy = entry.options.importPolicy;
    if (policy === undefined) return stamped;
    const verdict = policy.constant ?? this.#reader(entry, table).verdict(stamped, prefix);
    if (verdict.type === 'accept') return this.#apply(verdict, stamped, entry);
    sets.discard(stamped);
    return 0;
  }

  /** The set that a verdict makes of another, which goes if nobody else holds it. */
  #apply(verdict: Extract<PolicyVerdict, { type: 'accept' }>, from: SetId, entry: PeerEntry): SetId {
    const { attributes, nextHop, weight, metric } = verdict;
    if (attributes === undefined && nextHop === undefined && weight === undefined && metric === undefined) return from;
    const sets = this.#sets;
    const last = this.#last;
    if (
      last.verdict === verdict &&
      last.set === from &&
      last.setAt === sets.generation[from] &&
      last.madeAt === sets.generation[last.made]
    )
      return last.made;
    const bytes = attributes === undefined ? sets.view(from) : encodeAttributes(attributes);
    const hop =
      nextHop === undefined ? (sets.nextHop[from] as number) : this.#nextHops.internAddress(nextHop, entry.scope);
    const extras = { weight: weight ?? (sets.weight[from] as number), metric: metric ?? NO_METRIC, chosen: 0 };
    const made = sets.intern(bytes, 0, bytes.length, hop, entry.owner, extras);
    Object.assign(last, { verdict, set: from, setAt: sets.generation[from], made, madeAt: sets.generation[made] });
    if (made !== from) sets.discard(from);
    return made;
  }

  #reader(entry: PeerEntry, table: FamilyTable): ReadPolicy {
    const state = entry.family[table.family];
    const policy = entry.options.importPolicy;
    if (policy === undefined) throw new Error('A peer without import policy has none to read');
    if (state.importReader?.policy !== policy)
      state.importReader = new PolicyReader(
        policy,
        { sets: this.#sets, nextHops: this.#nextHops, peers: this.#peers },
        table,
        undefined,
      );
    return state.importReader;
  }

  #loop(raw: SetId, entry: PeerEntry): Unusable | undefined {
    const sets = this.#sets;
    const flags = sets.flags[raw] as number;
    const { role, allowLocalAs = 0 } = entry.options;
    if ((sets.ownAsCount[raw] as number) > allowLocalAs) return 'as-loop';
    if (role !== 'ebgp' && (flags & SetFlag.ownOriginator) !== 0) return 'originator-loop';
    if (role !== 'ebgp' && (flags & SetFlag.ownCluster) !== 0) return 'cluster-loop';
    if ((flags & SetFlag.onlyToCustomer) !== 0 && this.#isLeak(raw, entry)) return 'otc-leak';
    // RFC 4271 section 5.1.3: never install a route whose next hop is ourselves.
    return this.#nextHops.isOurs(sets.nextHop[raw] as number, this.#peers.ownVersion, this.#isOwn)
      ? 'next-hop-is-ours'
      : undefined;
  }

  #isLeak(raw: SetId, { options }: PeerEntry): boolean {
    if (options.localRole === undefined) return false;
    if (OTC_NEVER_FROM.has(options.localRole)) return true;
    return options.localRole === 'peer' && parseAttributes(this.#sets.view(raw)).otc !== options.remoteAs;
  }

  #stamp(raw: SetId, entry: PeerEntry): SetId {
    const sets = this.#sets;
    const { localRole, remoteAs } = entry.options;
    if (
      localRole === undefined ||
      !OTC_STAMP_FROM.has(localRole) ||
      ((sets.flags[raw] as number) & SetFlag.onlyToCustomer) !== 0
    )
      return raw;
    const block = encodeAttributes({ ...parseAttributes(sets.view(raw)), otc: remoteAs });
    return sets.intern(block, 0, block.length, sets.nextHop[raw] as number, entry.owner, entry.extras);
  }
}
