/**
 * What keeps an attribute set out before policy is asked, or changes it (RFC 4271 section 9.1.2, RFC 4456 section 8,
 * RFC 9234 section 5), and what import policy says about it. Only reads: whoever explains a route asks here.
 */
import type { PathAttributes } from '../codec/attribute.js';
import { parseAttributes } from '../codec/parse.js';
import { SetFlag, type NextHopId, type SetId } from './attribute-sets.js';
import type { LocalRole } from './rib-peer.js';
import type { Unusable } from './answers.js';
import type { PolicyReason } from './policy.js';
import { policyRoute } from './policy-route.js';
import type { PrefixId } from './prefix-table.js';
import type { ReadablePeer, ReadableTable, ReadableTables } from './reading.js';

/** Our role towards the peer, where a route with OTC coming in is a leak (RFC 9234 section 5, ingress 1). */
const OTC_NEVER_FROM: ReadonlySet<LocalRole> = new Set(['provider', 'route-server']);
/** Where a route without OTC gets the peer's AS (ingress 3). */
const OTC_STAMP_FROM: ReadonlySet<LocalRole> = new Set(['customer', 'peer', 'route-server-client']);

export class ImportRules {
  readonly #tables: ReadableTables;
  readonly #isOurs: (hop: NextHopId) => boolean;

  /** `isOurs`: is a next hop our own address? */
  constructor(tables: ReadableTables, isOurs: (hop: NextHopId) => boolean) {
    this.#tables = tables;
    this.#isOurs = isOurs;
  }

  /** Why a set can never be used, whatever policy says. */
  loop(raw: SetId, { options }: ReadablePeer): Unusable | undefined {
    const { sets } = this.#tables;
    const flags = sets.flags[raw] as number;
    const { role, allowLocalAs = 0 } = options;
    if ((sets.ownAsCount[raw] as number) > allowLocalAs) return 'as-loop';
    if (role !== 'ebgp' && (flags & SetFlag.ownOriginator) !== 0) return 'originator-loop';
    if (role !== 'ebgp' && (flags & SetFlag.ownCluster) !== 0) return 'cluster-loop';
    if ((flags & SetFlag.onlyToCustomer) !== 0 && this.#isLeak(raw, options)) return 'otc-leak';
    // RFC 4271 section 5.1.3: never install a route whose next hop is ourselves.
    return this.#isOurs(sets.nextHop[raw] as number) ? 'next-hop-is-ours' : undefined;
  }

  /** The attributes with the peer's AS in OTC, where they have to be stamped. */
  stamped(raw: SetId, { options: { localRole, remoteAs } }: ReadablePeer): PathAttributes | undefined {
    const { sets } = this.#tables;
    if (localRole === undefined || !OTC_STAMP_FROM.has(localRole)) return undefined;
    if (((sets.flags[raw] as number) & SetFlag.onlyToCustomer) !== 0) return undefined;
    return { ...parseAttributes(sets.view(raw)), otc: remoteAs };
  }

  /** What import policy says about a set. */
  explanation(raw: SetId, peer: ReadablePeer, table: ReadableTable, prefix: PrefixId): PolicyReason | undefined {
    const { importPolicy } = peer.options;
    if (importPolicy?.explain === undefined) return undefined;
    const route = policyRoute(raw, this.#tables, table, prefix, undefined, this.stamped(raw, peer));
    return importPolicy.explain(route);
  }

  #isLeak(raw: SetId, { localRole, remoteAs }: ReadablePeer['options']): boolean {
    if (localRole === undefined) return false;
    if (OTC_NEVER_FROM.has(localRole)) return true;
    return localRole === 'peer' && parseAttributes(this.#tables.sets.view(raw)).otc !== remoteAs;
  }
}
