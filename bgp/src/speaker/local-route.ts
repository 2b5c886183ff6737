/** Prefixes of our own, from configuration to the RIB. */
import { parsePrefix } from '../address.js';
import type { LargeCommunity, PathAttributes } from '../codec/attribute.js';
import { parseCommunity } from '../codec/community.js';
import type { OriginatedPrefix } from '../config.js';
import type { LocalRoute } from '../rib/contract.js';

export function localRoutes(prefixes: readonly OriginatedPrefix[]): readonly LocalRoute[] {
  return prefixes.map(({ prefix, tags, communities, aggregate }) => ({
    prefix: parsePrefix(prefix),
    ...(tags === undefined ? {} : { tags }),
    ...(aggregate === undefined ? {} : { aggregate: { summaryOnly: aggregate.summaryOnly, asSet: false } }),
    ...(communities === undefined || communities.length === 0 ? {} : { attributes: attributesOf(communities) }),
  }));
}

function attributesOf(texts: readonly string[]): Partial<PathAttributes> {
  const standard: number[] = [];
  const large: LargeCommunity[] = [];
  const extended: bigint[] = [];
  for (const text of texts) {
    const community = parseCommunity(text);
    if (community?.type === 'standard') standard.push(community.value);
    else if (community?.type === 'large') large.push(community.value);
    else if (community?.type === 'extended') extended.push(community.value);
  }
  return {
    ...(standard.length === 0 ? {} : { communities: standard }),
    ...(large.length === 0 ? {} : { largeCommunities: large }),
    ...(extended.length === 0 ? {} : { extendedCommunities: extended }),
  };
}
