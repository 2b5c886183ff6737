/** A set, and where asked for a prefix, as a policy sees it: parsed only as far as the policy looks. */
import type { IpAddress } from '../address.js';
import type { PathAttributes } from '../codec/attribute.js';
import { parseAttributes } from '../codec/parse.js';
import type { AttributeSets, SetId } from './attribute-sets.js';
import type { RibPeer } from './contract.js';
import type { FamilyTable } from './family-table.js';
import type { NextHops } from './next-hops.js';
import { LOCAL_PEER, type Peers } from './peers.js';
import type { PolicyPeer, PolicyRoute } from './policy.js';
import type { PrefixId } from './prefix-table.js';

export interface RouteTables {
  readonly sets: AttributeSets;
  readonly nextHops: NextHops;
  readonly peers: Peers;
}

const NO_TAGS: readonly string[] = [];

export function routeOf(set: SetId, tables: RouteTables, table: FamilyTable, prefix: PrefixId | undefined, to: PolicyPeer | undefined): PolicyRoute {
  const { sets, nextHops, peers } = tables;
  const peer = sets.peer[set] as number;
  let attributes: PathAttributes | undefined;
  let nextHop: IpAddress | undefined;
  return {
    family: table.family,
    prefix: prefix === undefined ? undefined : table.prefixes.prefixOf(prefix),
    tags: (peer === LOCAL_PEER && prefix !== undefined ? table.tags.get(prefix) : undefined) ?? NO_TAGS,
    source: peer === LOCAL_PEER ? 'local' : peers.isExternal(peer) ? 'ebgp' : 'ibgp',
    get attributes() {
      return (attributes ??= parseAttributes(sets.view(set)));
    },
    get nextHop() {
      return (nextHop ??= nextHops.address(sets.nextHop[set] as number));
    },
    from: peer === LOCAL_PEER ? undefined : policyPeer(peers.get(peer).options),
    to,
  };
}

export function policyPeer({ name, address, remoteAs, interfaceName }: RibPeer): PolicyPeer {
  return { name, address, remoteAs, interfaceName };
}
