/**
 * What becomes of an attribute set on its way in: the set that the rules (import-rules.ts) and import policy make of it (RFC 4271 section
 * 9.1.1). The answer holds for every prefix with this set and is remembered in the set, unless the policy looks at prefixes.
 */
import { encodeAttributes } from '../codec/parse.js';
import type { FamilyTable } from './family-table.js';
import { NO_METRIC, type AttributeSets, type SetId } from './attribute-sets.js';
import type { PeerId } from './rib-peer.js';
import { ImportRules } from './import-rules.js';
import type { IsOwnAddress, NextHops } from './next-hops.js';
import { LOCAL_PEER, type PeerEntry, type Peers } from './peers.js';
import type { PrefixId } from './prefix-table.js';
import type { PolicyVerdict, ReadPolicy } from './policy.js';
import { PolicyReader } from './policy-route.js';

/** Values of the `imported` column that are not a set. 0: not asked yet. */
const REJECTED = 0xffffffff;
const PER_PREFIX = 0xfffffffe;

export class Import {
  readonly #sets: AttributeSets;
  readonly #nextHops: NextHops;
  readonly #peers: Peers;
  readonly #rules: ImportRules;
  readonly #isOwn: IsOwnAddress = (address, interfaceName) => this.#peers.isOwnAddress(address, interfaceName);
  /** The last verdict that changes something, on which set, and what came of it, with the generations of both sets. */
  readonly #last = { verdict: undefined as PolicyVerdict | undefined, set: 0, setAt: 0, made: 0, madeAt: 0 };

  constructor(sets: AttributeSets, nextHops: NextHops, peers: Peers) {
    this.#sets = sets;
    this.#nextHops = nextHops;
    this.#peers = peers;
    this.#rules = new ImportRules({ sets, nextHops, peers }, (hop) =>
      nextHops.isOurs(hop, peers.ownVersion, this.#isOwn),
    );
  }

  /** The set a path with this raw set has in the Loc-RIB; 0: kept out. */
  setFor(raw: SetId, entry: PeerEntry, table: FamilyTable, prefix: PrefixId): SetId {
    let known = this.#sets.imported[raw] as number;
    if (known === 0) known = this.#ask(raw, entry, table);
    if (known === REJECTED) return 0;
    return known === PER_PREFIX ? this.#judge(raw, entry, table, prefix) : known;
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
    if (this.#rules.loop(raw, entry) !== undefined) return REJECTED;
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

  #stamp(raw: SetId, entry: PeerEntry): SetId {
    const attributes = this.#rules.stamped(raw, entry);
    if (attributes === undefined) return raw;
    const block = encodeAttributes(attributes);
    const hop = this.#sets.nextHop[raw] as number;
    return this.#sets.intern(block, 0, block.length, hop, entry.owner, entry.extras);
  }
}
