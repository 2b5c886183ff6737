/**
 * What one update group may be told, and how (RFC 4271 section 9.2, RFC 4456 section 6 and 8, RFC 1997, RFC 9234 section 5).
 *
 * Two steps. `select` is about *whether*: rules, then policy; it yields a set (the one given, or the one policy made of it). `encode`
 * and `nextHop` are about *what*: the mechanical changes every route to this kind of peer undergoes, as octets. Both are functions
 * of the attribute set alone, so they run once per set and not per prefix, unless policy looks at prefixes.
 */
import { addressFromBytes, type Family, type IpAddress } from '../address.js';
import type { PathAttributes } from '../codec/attribute.js';
import { encodeAttributes, parseAttributes } from '../codec/parse.js';
import { REWRITE_GROWTH, rewriteAttributes, type AttributeRewrite } from '../codec/rewrite.js';
import { NO_METRIC, SetFlag, type SetId } from './attribute-sets.js';
import type { FamilySession, LocalRole, NotAdvertised, RibPeer } from './contract.js';
import { adjustPath } from './export-path.js';
import type { FamilyTable } from './family-table.js';
import { isLinkLocal } from './next-hops.js';
import { LOCAL_PEER, nextHopOctets, type PeerEntry } from './peers.js';
import type { PolicyVerdict } from './policy.js';
import { policyPeer, PolicyReader, type RouteTables } from './policy-route.js';
import type { PrefixId } from './prefix-table.js';
import { WellKnownCommunity } from '../iana.js';

/** Our role towards the peer, where nothing with OTC may go (RFC 9234 section 5, egress 2), and where it is added (egress 1). */
const OTC_STOPS: ReadonlySet<LocalRole> = new Set(['customer', 'peer', 'route-server-client']);
const OTC_STAMPS: ReadonlySet<LocalRole> = new Set(['provider', 'peer', 'route-server']);

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

const defaultNextHop = (peer: RibPeer): NonNullable<RibPeer['nextHop']> => ({
  type: peer.role === 'ebgp' ? 'self' : 'unchanged',
});

export class Export {
  readonly #family: Family;
  readonly #policy: PolicyReader | undefined;
  readonly #options: RibPeer;
  readonly #session: FamilySession;
  readonly #tables: RouteTables;
  readonly #table: FamilyTable;
  readonly #clusterId: number;
  readonly #globalAs: number;
  /** What policy made of a set, and the generations of both: a stale entry is recognised, not tracked. */
  #cache = new Uint32Array(0);
  #askedOf = new Uint32Array(0);
  #madeAt = new Uint32Array(0);
  /** The last verdict that changes something, on which set, and what came of it, with the generations of both sets. */
  readonly #last = { verdict: undefined as PolicyVerdict | undefined, set: 0, setAt: 0, made: 0, madeAt: 0 };

  constructor(entry: PeerEntry, session: FamilySession, table: FamilyTable, tables: RouteTables) {
    this.#family = table.family;
    this.#session = session;
    this.#table = table;
    this.#tables = tables;
    this.#clusterId = entry.owner.clusterId;
    this.#globalAs = entry.owner.globalAs;
    this.#options = entry.options;
    const { exportPolicy } = entry.options;
    this.#policy =
      exportPolicy === undefined || isNeutral(exportPolicy.constant)
        ? undefined
        : new PolicyReader(exportPolicy, tables, table, policyPeer(entry.options));
  }

  /** The set to advertise for a path with this set, 0 for none. The caller takes a reference or discards it. */
  select(set: SetId, prefix: PrefixId): SetId {
    const reader = this.#policy;
    if (reader?.policy.constant?.type === 'reject' || this.refusal(set, prefix) !== undefined) return 0;
    if (reader === undefined) return set;
    return reader.policy.dependsOnPrefix || reader.policy.dependsOnInterface === true
      ? this.#judge(reader, set, prefix)
      : this.#cached(reader, set);
  }

  /** Why the rules, without policy, keep a set from the group. */
  refusal(set: SetId, prefix: PrefixId): NotAdvertised | undefined {
    const { sets, peers } = this.#tables;
    const options = this.#options;
    const flags = sets.flags[set] as number;
    const source = sets.peer[set] as number;
    if (flags !== 0) {
      if ((flags & SetFlag.noAdvertise) !== 0) return 'no-advertise';
      if (options.role === 'ebgp' && (flags & (SetFlag.noExport | SetFlag.noExportSubconfed)) !== 0) return 'no-export';
      if ((flags & SetFlag.longLivedStale) !== 0 && options.longLivedGracefulRestart !== true)
        return 'long-lived-stale';
      if ((flags & SetFlag.onlyToCustomer) !== 0 && options.localRole !== undefined && OTC_STOPS.has(options.localRole))
        return 'otc-leak';
    }
    // RFC 4456 section 6: between non-clients nothing is reflected.
    if (options.role === 'ibgp' && source !== LOCAL_PEER && peers.role(source) === 'ibgp') return 'ibgp-to-ibgp';
    if (this.#table.suppressed.size > 0 && source === LOCAL_PEER && this.#table.suppressed.has(prefix))
      return 'summary-only';
    return this.nextHop(set) === undefined ? 'no-next-hop' : undefined;
  }

  /** What the export policy says about a set. */
  explanation(set: SetId, prefix: PrefixId): string | undefined {
    return this.#policy?.explain(set, prefix);
  }

  /** NEXT_HOP octets to send with a set; undefined when the session has no address that fits. */
  nextHop(set: SetId): Uint8Array | undefined {
    const { sets, nextHops } = this.#tables;
    const mode = this.#options.nextHop ?? defaultNextHop(this.#options);
    const isChosen = ((sets.flags[set] as number) & SetFlag.choseNextHop) !== 0;
    if (!isChosen && mode.type === 'address') return this.#carried(nextHopOctets(mode.address));
    const address = isChosen || mode.type === 'unchanged' ? nextHops.address(sets.nextHop[set] as number) : undefined;
    // A link-local address means nothing on another link; our own prefixes have no next hop but us.
    if (address === undefined || isLinkLocal(address)) return this.#carried(this.#session.nextHopSelf);
    return this.#carried(nextHopOctets(address));
  }

  /** IPv4 goes with an IPv6 next hop only where that was agreed (RFC 8950), IPv6 never with an IPv4 one. */
  #carried(octets: Uint8Array | undefined): Uint8Array | undefined {
    if (octets === undefined) return undefined;
    if (this.#family === 6) return octets.length === 4 ? undefined : octets;
    return octets.length === 4 || this.#session.extendedNextHop === true ? octets : undefined;
  }

  nextHopAddress(set: SetId): IpAddress | undefined {
    const octets = this.nextHop(set);
    return octets === undefined ? undefined : addressFromBytes(octets.subarray(0, octets.length === 4 ? 4 : 16));
  }

  /** What the peers get, as people read it: always with four-octet AS numbers. */
  attributesOf(set: SetId): PathAttributes {
    const out = new Uint8Array(this.room(set));
    const block = this.#blockOf(set);
    return parseAttributes(
      out,
      0,
      rewriteAttributes(block, 0, block.length, { ...this.#rewriteOf(set), as4: true }, out, 0),
    );
  }

  /** Octets a set's wire form takes at most. */
  room(set: SetId): number {
    return 2 * ((this.#tables.sets.length[set] as number) + REWRITE_GROWTH + 16);
  }

  /** Writes the wire attributes of a set, without NEXT_HOP, to `out[at]`; returns the offset after them. */
  encode(set: SetId, out: Uint8Array, at: number): number {
    const { sets } = this.#tables;
    const rewrite = this.#rewriteOf(set);
    // The common case without so much as a view of the octets.
    if (!this.#isReshaped())
      return rewriteAttributes(
        sets.slab(set),
        sets.start(set),
        sets.start(set) + (sets.length[set] as number),
        rewrite,
        out,
        at,
      );
    const block = this.#blockOf(set);
    return rewriteAttributes(block, 0, block.length, rewrite, out, at);
  }

  #blockOf(set: SetId): Uint8Array {
    const block = this.#tables.sets.view(set);
    return this.#isReshaped() ? encodeAttributes(this.#reshape(parseAttributes(block))) : block;
  }

  #rewriteOf(set: SetId): AttributeRewrite {
    const { sets, peers } = this.#tables;
    const { role, localAs, localAsOnly, fourOctetAs, localRole } = this.#options;
    const as4 = fourOctetAs !== false;
    const otc = localRole !== undefined && OTC_STAMPS.has(localRole) ? localAs : undefined;
    const source = sets.peer[set] as number;
    if (role === 'ebgp') {
      // RFC 4271 section 5.1.4: a neighbour's MED goes no further; our own policy's and our own prefixes' does.
      const keepsMed = source === LOCAL_PEER || ((sets.flags[set] as number) & SetFlag.choseMed) !== 0;
      const prepend = localAs === this.#globalAs || localAsOnly === true ? [localAs] : [localAs, this.#globalAs];
      return {
        prepend,
        localPreference: 'remove',
        med: keepsMed ? undefined : 'remove',
        reflection: 'remove',
        transitiveOnly: true,
        otc,
        as4,
      };
    }
    const isReflected = source !== LOCAL_PEER && !peers.isExternal(source);
    const reflection = isReflected
      ? { originatorId: sets.originator[set] as number, clusterId: this.#clusterId }
      : undefined;
    return { localPreference: sets.localPreference[set] as number, reflection, otc, as4 };
  }

  #isReshaped(): boolean {
    const { asOverride, removePrivateAs, gracefulShutdown } = this.#options;
    return asOverride === true || removePrivateAs !== undefined || gracefulShutdown === true;
  }

  #reshape(attributes: PathAttributes): PathAttributes {
    const asPath = adjustPath(attributes.asPath, this.#options);
    if (
      this.#options.gracefulShutdown !== true ||
      attributes.communities?.includes(WellKnownCommunity.gracefulShutdown) === true
    )
      return { ...attributes, asPath };
    return {
      ...attributes,
      asPath,
      communities: [...(attributes.communities ?? []), WellKnownCommunity.gracefulShutdown],
    };
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
