/**
 * What one update group may be told, and how (RFC 4271 section 9.2, RFC 4456 section 6 and 8, RFC 1997, RFC 9234 section 5).
 *
 * `refusal` is about *whether*, before policy is asked (export.ts). `encode` and `nextHop` are about *what*: the mechanical changes every
 * route to this kind of peer undergoes, as octets. All are functions of the attribute set alone. Only reads: whoever explains a route
 * asks here.
 */
import { addressFromBytes, type Family } from '../address.js';
import type { PathAttributes } from '../codec/attribute.js';
import { encodeAttributes, parseAttributes } from '../codec/parse.js';
import { REWRITE_GROWTH, rewriteAttributes, type AttributeRewrite } from '../codec/rewrite.js';
import { WellKnownCommunity } from '../iana.js';
import { SetFlag, type SetId } from './attribute-sets.js';
import type { FamilySession, LocalRole, PeerId, RibPeer } from './rib-peer.js';
import type { NotAdvertised, RouteView } from './answers.js';
import { adjustPath } from './export-path.js';
import { isLinkLocal } from './hops.js';
import { LOCAL_PEER, nextHopOctets, type PeerEntry } from './peers.js';
import type { PolicyReason, PolicyRoute, RoutePolicy } from './policy.js';
import { policyPeer, policyRoute } from './policy-route.js';
import type { PrefixId } from './prefix-table.js';
import type { ReadableTable, ReadableTables } from './reading.js';

/** Our role towards the peer, where nothing with OTC may go (RFC 9234 section 5, egress 2), and where it is added (egress 1). */
const OTC_STOPS: ReadonlySet<LocalRole> = new Set(['customer', 'peer', 'route-server-client']);
const OTC_STAMPS: ReadonlySet<LocalRole> = new Set(['provider', 'peer', 'route-server']);

export const defaultNextHop = (peer: RibPeer): NonNullable<RibPeer['nextHop']> => ({
  type: peer.role === 'ebgp' ? 'self' : 'unchanged',
});

export class ExportRules {
  readonly #family: Family;
  readonly #policy: RoutePolicy | undefined;
  readonly #options: RibPeer;
  readonly #session: FamilySession;
  readonly #tables: ReadableTables;
  readonly #table: ReadableTable;
  readonly #clusterId: number;
  readonly #globalAs: number;

  constructor(entry: PeerEntry, session: FamilySession, table: ReadableTable, tables: ReadableTables) {
    this.#family = table.family;
    this.#session = session;
    this.#table = table;
    this.#tables = tables;
    this.#clusterId = entry.owner.clusterId;
    this.#globalAs = entry.owner.globalAs;
    this.#options = entry.options;
    this.#policy = entry.options.exportPolicy;
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
  explanation(set: SetId, prefix: PrefixId): PolicyReason | undefined {
    return this.#policy?.explain?.(this.#route(set, prefix));
  }

  /** Does export policy let a set out? */
  isAccepted(set: SetId, prefix: PrefixId): boolean {
    const policy = this.#policy;
    return policy === undefined || (policy.constant ?? policy.judge(this.#route(set, prefix))).type === 'accept';
  }

  #route(set: SetId, prefix: PrefixId): PolicyRoute {
    return policyRoute(set, this.#tables, this.#table, prefix, policyPeer(this.#options));
  }

  /** NEXT_HOP octets to send with a set; undefined when the session has no address that fits. */
  nextHop(set: SetId): Uint8Array | undefined {
    const { sets, nextHops } = this.#tables;
    const mode = this.#options.nextHop ?? defaultNextHop(this.#options);
    const isChosen = ((sets.flags[set] as number) & SetFlag.choseNextHop) !== 0;
    if (!isChosen && mode.type === 'address') return this.#carried(nextHopOctets(mode.address));
    const hop = sets.nextHop[set] as number;
    const address = isChosen || mode.type === 'unchanged' ? nextHops.address(hop) : undefined;
    // A link-local address means nothing on another link; our own prefixes have no next hop but us.
    if (address === undefined || isLinkLocal(address)) return this.#carried(this.#session.nextHopSelf);
    const linkLocal = this.#sharesLinkWith(sets.peer[set] as PeerId) ? nextHops.linkLocal(hop) : undefined;
    return this.#carried(
      linkLocal === undefined
        ? nextHopOctets(address)
        : Uint8Array.of(...nextHopOctets(address), ...nextHopOctets(linkLocal)),
    );
  }

  /** RFC 2545 section 3: the link-local half is for those on the link of the next hop, and of us. */
  #sharesLinkWith(source: PeerId): boolean {
    const { interfaceName } = this.#options;
    return interfaceName !== undefined && this.#tables.peers.get(source).options.interfaceName === interfaceName;
  }

  /** IPv4 goes with an IPv6 next hop only where that was agreed (RFC 8950), IPv6 never with an IPv4 one. */
  #carried(octets: Uint8Array | undefined): Uint8Array | undefined {
    if (octets === undefined) return undefined;
    if (this.#family === 6) return octets.length === 4 ? undefined : octets;
    return octets.length === 4 || this.#session.extendedNextHop === true ? octets : undefined;
  }

  /** The next hop as people read it: both halves of a pair. */
  nextHopShown(set: SetId): Pick<RouteView, 'nextHop' | 'linkLocalNextHop'> {
    const octets = this.nextHop(set);
    if (octets === undefined) return {};
    const nextHop = addressFromBytes(octets.subarray(0, octets.length === 4 ? 4 : 16));
    return octets.length === 32 ? { nextHop, linkLocalNextHop: addressFromBytes(octets.subarray(16)) } : { nextHop };
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
}
