/** What a node originates: its blocks, its own address where only the loopback has it, service routes; each with its communities. */
import { bitsOf, containsPrefix, formatPrefix, tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import type { OriginatedPrefix } from 'node-bgp/config';
import { originatedProblems } from 'node-bgp/config/parts';
import type { Cluster } from './cluster.js';
import { quoted, type Place } from './problems.js';
import { expectedOfRange, serviceRangesAsked, serviceRoutesOf, tellRepeats } from './service-routes.js';

/** BOUNDED: what the daemon takes for one prefix. */
export const MOST_COMMUNITIES = 64;

interface Candidate {
  readonly prefix: string;
  readonly tag: 'block' | 'node' | 'service';
  readonly place: Place;
}

export function originationsOf(cluster: Cluster): readonly OriginatedPrefix[] {
  const tags = new Map<string, Set<string>>();
  for (const candidate of candidatesOf(cluster)) {
    const prefix = usable(candidate, cluster);
    if (prefix === undefined) continue;
    const known = tags.get(prefix);
    if (known === undefined) tags.set(prefix, new Set([candidate.tag]));
    else known.add(candidate.tag);
  }
  const advertisements = advertisementsOf(cluster);
  return [...tags].map(([prefix, each]) => withCommunities({ prefix, tags: [...each] }, advertisements, cluster));
}

function candidatesOf(cluster: Cluster): readonly Candidate[] {
  const { input, self, problems } = cluster;
  const silent = input.ipPools
    .filter(({ spec }) => spec.disableBGPExport === true)
    .flatMap(({ metadata: { name }, spec }) => {
      const prefix = tryParsePrefix(spec.cidr);
      return prefix === undefined ? [] : [{ name, prefix }];
    })
    // Of several pools around one range the same is named, in whatever order they come.
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  // A block may have been claimed for a pool that was made anew since, under another name: where it lies counts.
  const silencedBy = (cidr: string): string | undefined => {
    const inner = tryParsePrefix(cidr);
    return inner && silent.find(({ prefix }) => containsPrefix(prefix, inner))?.name;
  };
  tellRepeats(cluster);
  // An address of a Service is silent because its pool is to be; a range was asked for, and the two cannot both be.
  for (const { prefix, place } of serviceRangesAsked(cluster)) {
    const pool = silencedBy(prefix);
    if (pool !== undefined)
      problems.problem(place, `is ${quoted(prefix)}, in IPPool ${quoted(pool)} with disableBGPExport; left out`);
  }
  return [
    ...input.blocks
      .filter(({ cidr }) => silencedBy(cidr) === undefined)
      .map((block) => ({
        prefix: block.cidr,
        tag: 'block' as const,
        place: { resource: `IPPool/${block.pool}`, field: 'spec.cidr' },
      })),
    ...[...self.addresses]
      .filter(([, address]) => input.loopbackAddresses.has(address))
      .map(([family, address]) => ({
        prefix: `${address}/${bitsOf(family)}`,
        tag: 'node' as const,
        place: { resource: `Node/${self.name}` },
      })),
    ...serviceRoutesOf(cluster)
      .filter(({ prefix }) => silencedBy(prefix) === undefined)
      .map((route) => ({ ...route, tag: 'service' as const })),
  ];
}

/** Canonical; undefined, and told, when no speaker announces it. */
function usable({ prefix, tag, place }: Candidate, { problems }: Cluster): string | undefined {
  const parsed = tryParsePrefix(prefix);
  const canonical = parsed === undefined ? prefix : formatPrefix(parsed);
  const expected = tag === 'service' ? expectedOfRange(prefix) : originatedProblems({ prefix: canonical })[0]?.expected;
  if (expected === undefined) return canonical;
  problems.problem(place, `is ${quoted(prefix)}; expected ${expected}; left out`);
  return undefined;
}

interface Advertisement {
  readonly range: IpPrefix;
  readonly communities: readonly string[];
}

function advertisementsOf(cluster: Cluster): readonly Advertisement[] {
  const {
    configuration: { spec, placeOf },
    problems,
  } = cluster;
  const named = namedCommunities(cluster);
  return (spec.prefixAdvertisements ?? []).flatMap(({ cidr = '', communities = [] }, index) => {
    const range = tryParsePrefix(cidr);
    if (range === undefined)
      problems.problem(
        placeOf('prefixAdvertisements', `[${index}].cidr`),
        `is ${quoted(cidr)}; expected CIDR notation; left out`,
      );
    const usable = communities.flatMap((community, at) => {
      const value = named.get(community) ?? community;
      if (isCommunity(value)) return [value];
      problems.problem(
        placeOf('prefixAdvertisements', `[${index}].communities[${at}]`),
        `is ${quoted(community)}; expected a value such as 64512:100 or 64512:1:2, or a name of spec.communities; left out`,
      );
      return [];
    });
    return range === undefined ? [] : [{ range, communities: usable }];
  });
}

function namedCommunities({ configuration: { spec, placeOf }, problems }: Cluster): ReadonlyMap<string, string> {
  const named = new Map<string, string>();
  for (const [index, entry] of (spec.communities ?? []).entries()) {
    const { name = '', value = '' } = entry;
    const place = placeOf('communities', `[${index}]`);
    if (!isCommunity(value))
      problems.problem(
        { ...place, field: `${place.field ?? ''}.value` },
        `is ${quoted(value)}; expected a community such as 64512:100 or 64512:1:2; left out`,
      );
    else if (name === '' || (named.has(name) && named.get(name) !== value))
      problems.problem(
        { ...place, field: `${place.field ?? ''}.name` },
        `is ${quoted(name)}; expected a name of its own; left out`,
      );
    else named.set(name, value);
  }
  return named;
}

/** Standard or large, in numbers, as Calico has them (RFC 1997, RFC 8092). */
const isCommunity = (text: string): boolean =>
  /^\d+:\d+(:\d+)?$/.test(text) && originatedProblems({ prefix: '192.0.2.0/24', communities: [text] }).length === 0;

/** prefixAdvertisements: communities for everything we originate inside a range. */
function withCommunities(
  originated: OriginatedPrefix,
  advertisements: readonly Advertisement[],
  { configuration: { placeOf }, problems }: Cluster,
): OriginatedPrefix {
  const prefix = tryParsePrefix(originated.prefix);
  const all = new Set(
    advertisements.flatMap(({ range, communities }) =>
      prefix !== undefined && containsPrefix(range, prefix) ? communities : [],
    ),
  );
  if (all.size === 0) return originated;
  if (all.size > MOST_COMMUNITIES)
    problems.problem(
      placeOf('prefixAdvertisements'),
      `gives ${originated.prefix} ${all.size} communities; expected at most ${MOST_COMMUNITIES}; the others are left out`,
    );
  return { ...originated, communities: [...all].slice(0, MOST_COMMUNITIES) };
}
