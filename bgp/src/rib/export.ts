/**
 * Which set an update group is told for a path: the one given, the one that export policy makes of it, or none. The rules (export-rules.ts)
 * come first, then policy; asked once per set and not per prefix, unless policy looks at prefixes.
 */
import { encodeAttributes } from '../codec/parse.js';
import { NO_METRIC, SetFlag, type SetId } from './attribute-sets.js';
import type { FamilySession, RibPeer } from './rib-peer.js';
import { defaultNextHop, ExportRules } from './export-rules.js';
import type { FamilyTable } from './family-table.js';
import type { PeerEntry } from './peers.js';
import type { PolicyVerdict } from './policy.js';
import { policyPeer, PolicyReader, type RouteTables } from './policy-route.js';
import type { PrefixId } from './prefix-table.js';

/** Cache entries: 0 not asked, else one of these or a set + 2. */
const CACHED_NO = 1;

/** Peers with equal keys get the same octets. */
export function groupKeyOf(peer: RibPeer, session: FamilySession): string {
  const { exportPolicy, nextHop = defaultNextHop(peer) } = peer;
  const isAlone = exportPolicy?.dependsOnPeer === true;
  const needsAs = peer.asOverride === true || peer.removePrivateAs !== undefined || peer.localRole !== undefined;
  return JSON.stringify([
    peer.role,
    peer.localAs,
    peer.localAsOnly === true,
    needsAs ? peer.remoteAs : 0,
    peer.fourOctetAs !== false,
    peer.extendedMessage === true,
    peer.asOverride === true,
    peer.removePrivateAs,
    nextHop.type,
    nextHop.type === 'address' ? String(nextHop.address.value) : '',
    // Who is on the link of a next hop gets its link-local half, too.
    nextHop.type === 'unchanged' && (session.family === 6 || session.extendedNextHop === true)
      ? peer.interfaceName
      : '',
    peer.localRole,
    peer.gracefulShutdown === true,
    peer.longLivedGracefulRestart === true,
    exportPolicy?.key,
    isAlone ? peer.name : '',
    session.addPathSend === true,
    session.extendedNextHop === true,
    session.addPathSend === true ? peer.addPathLimit : 0,
    session.nextHopSelf === undefined ? '' : Array.from(session.nextHopSelf),
  ]);
}

export class Export {
  readonly rules: ExportRules;
  /** Most paths of a prefix, where several go out. */
  readonly pathLimit: number;
  readonly #policy: PolicyReader | undefined;
  readonly #tables: RouteTables;
  /** What policy made of a set, and the generations of both: a stale entry is recognised, not tracked. */
  #cache = new Uint32Array(0);
  #askedOf = new Uint32Array(0);
  #madeAt = new Uint32Array(0);
  /** The last verdict that changes something, on which set, and what came of it, with the generations of both sets. */
  readonly #last = { verdict: undefined as PolicyVerdict | undefined, set: 0, setAt: 0, made: 0, madeAt: 0 };

  constructor(entry: PeerEntry, session: FamilySession, table: FamilyTable, tables: RouteTables) {
    this.rules = new ExportRules(entry, session, table, tables);
    this.#tables = tables;
    const { exportPolicy, addPathLimit = Infinity } = entry.options;
    this.pathLimit = addPathLimit;
    this.#policy =
      exportPolicy === undefined || isNeutral(exportPolicy.constant)
        ? undefined
        : new PolicyReader(exportPolicy, tables, table, policyPeer(entry.options));
  }

  /** The set to advertise for a path with this set, 0 for none. The caller takes a reference or discards it. */
  select(set: SetId, prefix: PrefixId): SetId {
    const reader = this.#policy;
    if (reader?.policy.constant?.type === 'reject' || this.rules.refusal(set, prefix) !== undefined) return 0;
    if (reader === undefined) return set;
    return reader.policy.dependsOnPrefix || reader.policy.dependsOnInterface === true
      ? this.#judge(reader, set, prefix)
      : this.#cached(reader, set);
  }

  #cached(reader: PolicyReader, set: SetId): SetId {
    const { sets } = this.#tables;
    if (set >= this.#cache.length) this.#growCache(sets.capacity);
    const known = this.#cache[set] as number;
    if (known !== 0 && this.#askedOf[set] === sets.generation[set]) {
      if (known === CACHED_NO) return 0;
      if (this.#madeAt[set] === sets.generation[known - 2]) return known - 2;
    }
    const made = this.#judge(reader, set, undefined);
    this.#cache[set] = made === 0 ? CACHED_NO : made + 2;
    this.#askedOf[set] = sets.generation[set] as number;
    this.#madeAt[set] = made === 0 ? 0 : (sets.generation[made] as number);
    return made;
  }

  #growCache(length: number): void {
    const [cache, askedOf, madeAt] = [new Uint32Array(length), new Uint32Array(length), new Uint32Array(length)];
    cache.set(this.#cache);
    askedOf.set(this.#askedOf);
    madeAt.set(this.#madeAt);
    [this.#cache, this.#askedOf, this.#madeAt] = [cache, askedOf, madeAt];
  }

  #judge(reader: PolicyReader, set: SetId, prefix: PrefixId | undefined): SetId {
    const verdict = reader.verdict(set, prefix);
    if (verdict.type === 'reject') return 0;
    const { attributes, nextHop, choseMed = false } = verdict;
    if (attributes === undefined && nextHop === undefined && !choseMed) return set;
    const { sets, nextHops, peers } = this.#tables;
    const last = this.#last;
    if (
      last.verdict === verdict &&
      last.set === set &&
      last.setAt === sets.generation[set] &&
      last.madeAt === sets.generation[last.made]
    )
      return last.made;
    const block = attributes === undefined ? sets.view(set) : encodeAttributes(attributes);
    const chosen = (nextHop === undefined ? 0 : SetFlag.choseNextHop) | (choseMed ? SetFlag.choseMed : 0);
    const { owner, scope } = peers.get(sets.peer[set] as number);
    const hop =
      nextHop === undefined
        ? (sets.nextHop[set] as number)
        : nextHops.internAddress(nextHop, { ...scope, direct: false });
    const made = sets.intern(block, 0, block.length, hop, owner, { weight: 0, metric: NO_METRIC, chosen });
    Object.assign(last, { verdict, set, setAt: sets.generation[set], made, madeAt: sets.generation[made] });
    return made;
  }
}

/** Lets everything through as it is. */
const isNeutral = (verdict: PolicyVerdict | undefined): boolean =>
  verdict?.type === 'accept' &&
  verdict.attributes === undefined &&
  verdict.nextHop === undefined &&
  verdict.choseMed !== true;
