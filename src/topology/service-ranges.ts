/**
 * Of what a node announces for Services, the part that nothing but a translation can bring anywhere: addresses there that no Service has
 * would follow the default route back to the router that sent them.
 *
 * Pools of pods and the node's own links are left out: blocks end in a blackhole, and a link knows by itself who is on it.
 */
import {
  bitsOf,
  comparePrefixes,
  containsPrefix,
  formatPrefix,
  prefixOf,
  addressAt,
  sizeOf,
  tryParsePrefix,
  type IpPrefix,
} from 'node-bgp/address';
import type { OriginatedPrefix } from 'node-bgp/config';
import type { TopologyInput } from './cluster.js';

/** Disjoint, in order; never a default route, which is no range of Services. */
export function serviceRangesOf(
  originated: readonly OriginatedPrefix[],
  { ipPools, links = [] }: Pick<TopologyInput, 'ipPools' | 'links'>,
): readonly string[] {
  const ranges = originated
    .filter(({ tags }) => tags?.includes('service'))
    .map(({ prefix }) => tryParsePrefix(prefix))
    .filter((prefix) => prefix !== undefined && prefix.length > 0) as readonly IpPrefix[];
  const routed = [
    ...ipPools
      .filter(({ spec: { allowedUses = [] } }) => allowedUses.length === 0 || allowedUses.includes('Workload'))
      .map(({ spec }) => spec.cidr),
    ...links.flatMap(({ prefixes }) => prefixes),
  ]
    .map(tryParsePrefix)
    .filter((prefix) => prefix !== undefined);
  const widest: IpPrefix[] = [];
  for (const range of [...ranges].sort(comparePrefixes)) {
    // Sorted, whatever contains it comes before it.
    if (!widest.some((other) => containsPrefix(other, range))) widest.push(range);
  }
  return widest.flatMap((range) => without(range, routed)).map(formatPrefix);
}

/** BOUNDED: each hole splits a range at most once a bit. */
function without(range: IpPrefix, holes: readonly IpPrefix[]): readonly IpPrefix[] {
  if (holes.some((hole) => containsPrefix(hole, range))) return [];
  const inside = holes.filter((hole) => containsPrefix(range, hole));
  if (inside.length === 0 || range.length === bitsOf(range.family)) return [range];
  const length = range.length + 1;
  const halves = [0n, sizeOf(range) / 2n].map((offset) => prefixOf(addressAt(range, offset), length));
  return halves.flatMap((half) => without(half, inside));
}
