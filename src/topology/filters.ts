/**
 * The filters that the speaker is given: ours, and the BGPFilters that peers name.
 *
 * What leaves a node is decided in this order: the user's filters (the first rule that matches decides, and may let through
 * anything), then ours: what this node originates goes out, so do routes inside the pools that other nodes told us (a reflector
 * speaks for its clients; to routers, as a second choice beside the owner's own word), and nothing else. A node never becomes a
 * transit between its routers unless somebody asks for just that.
 *
 * A BGPFilter that does not exist (any more) tears nothing down. Its last known rules, as the agent saw them go or as the
 * speaker holds them under its name, stand on; where there are none it rejects everything it would have judged, so that
 * what it was to hold back stays back.
 */
import { bitsOf, formatPrefix, tryParsePrefix, type Family } from 'node-bgp/address';
import type { FilterConfig, FilterRule } from 'node-bgp/config';
import { ruleProblems } from 'node-bgp/config/parts';
import { FILTER_PARTS, NORMAL_PRIORITY, translateFilter } from './bgp-filter.js';
import type { Cluster } from './cluster.js';
import { HANDED_ON_FILTER, NODE_ADDRESS_FILTER, exportFilter, filterName } from './filter-names.js';
import { quoted } from './problems.js';

/** MULTI_EXIT_DISC of routes that a node tells routers on behalf of others. */
const HANDED_ON_MED = 100;

export type Filters = Readonly<Record<string, FilterConfig>>;

/** Ours, every BGPFilter that there is, and those that one of `peers`, BGPPeers with sessions on this node, names in vain. */
export function filtersOf(cluster: Cluster, peers: ReadonlySet<string>): Filters {
  return { ...ownFilters(cluster), ...userFilters(cluster, peers), ...missingFilters(cluster, peers) };
}

/** What is wrong with a filter that no session of this node has costs it nothing. */
function userFilters({ input, problems, configuration }: Cluster, peers: ReadonlySet<string>): Filters {
  const used = new Set(
    input.bgpPeers.flatMap(({ metadata, spec }) => (peers.has(`BGPPeer/${metadata.name}`) ? (spec.filters ?? []) : [])),
  );
  return Object.fromEntries(
    input.bgpFilters.flatMap((filter) =>
      translateFilter(
        filter,
        (field, text) =>
          problems[used.has(filter.metadata.name) ? 'problem' : 'notice'](
            { resource: `BGPFilter/${filter.metadata.name}`, field },
            text,
          ),
        normalPriorityOf(configuration),
      ),
    ),
  );
}

function missingFilters({ input, problems, configuration }: Cluster, peers: ReadonlySet<string>): Filters {
  const known = new Set(input.bgpFilters.map(({ metadata }) => metadata.name));
  const gone = new Map((input.goneFilters ?? []).map((filter) => [filter.metadata.name, filter]));
  const stand: [string, FilterConfig][] = [];
  for (const { metadata, spec } of input.bgpPeers)
    for (const [index, name] of (spec.filters ?? []).entries()) {
      // What peers of other nodes lack, those nodes tell.
      if (known.has(name) || !peers.has(`BGPPeer/${metadata.name}`)) continue;
      const last = gone.get(name);
      const parts =
        last === undefined
          ? FILTER_PARTS.map(([, direction, family]): [string, FilterConfig | undefined] => {
              const part = filterName(name, direction, family);
              return [part, heldFilter(input.heldFilters, part)];
            })
          : // What was wrong with it was told while it was there.
            translateFilter(last, () => undefined, normalPriorityOf(configuration));
      const isHeld = parts.some(([, filter]) => filter !== undefined);
      problems.problem(
        { resource: `BGPPeer/${metadata.name}`, field: `spec.filters[${index}]` },
        `is ${quoted(name)}; expected a BGPFilter of that name; ` +
          `${isHeld ? 'its last known rules stand' : 'until there is one, no route passes where it would decide'}`,
      );
      for (const [part, filter] of parts) stand.push([part, filter ?? REJECT_ALL]);
    }
  return Object.fromEntries(stand);
}

const normalPriorityOf =
  ({ spec }: Cluster['configuration']) =>
  (family: Family): number =>
    (family === 4 ? spec.ipv4NormalRoutePriority : spec.ipv6NormalRoutePriority) ?? NORMAL_PRIORITY;

/** Known by its name when the speaker gives it back; a rule of a user's is called by its object and field. */
const STAND_IN = 'a BGPFilter that is missing';

const REJECT_ALL: FilterConfig = {
  rules: [{ name: STAND_IN, action: 'reject' }],
  default: 'next',
};

/** Of one that the speaker holds, and that it would take again; what stands in for one that never was is none. */
function heldFilter(held: Filters | undefined, name: string): FilterConfig | undefined {
  if (held === undefined || !Object.hasOwn(held, name)) return undefined;
  const filter = held[name];
  if (filter?.rules.some((rule) => rule.name === STAND_IN) === true) return undefined;
  return filter?.rules.every((rule) => ruleProblems(rule).length === 0) === true ? filter : undefined;
}

function ownFilters({ input }: Cluster): Filters {
  const nodeAddress: FilterRule = { name: 'node address', match: { tags: ['node'] }, action: 'reject' };
  // Inside our own AS the community says nothing by itself (RFC 8326 section 4.2): the preference does.
  const draining: readonly FilterRule[] =
    input.drain === undefined
      ? []
      : [
          {
            name: 'Services of a node that drains',
            match: { tags: ['service'], source: ['local'] },
            set: { localPreference: 0 },
            action: 'next',
          },
        ];
  // A router that hears of a block from its owner and from others compares equal paths: by MED (RFC 4271 section 9.1.2.2 c), which
  // is 0 where there is none, the owner's wins. Otherwise the router sends packets to a node that sends them back.
  const handedOn: FilterRule = {
    name: "other nodes' routes",
    match: { source: ['ibgp'] },
    set: { med: HANDED_ON_MED },
    action: 'next',
  };
  const own: FilterRule = { name: 'ours', match: { source: ['local'] }, action: 'accept' };
  // Who else announces an address of a Service is not for this node to say: routers would send it packets that only others serve.
  const ofPods = input.ipPools.filter(
    ({ spec: { allowedUses = [] } }) => allowedUses.length === 0 || allowedUses.some((use) => use !== 'LoadBalancer'),
  );
  const inPools = ofPods.flatMap((pool) => {
    const prefix = pool.spec.disableBGPExport === true ? undefined : tryParsePrefix(pool.spec.cidr);
    return prefix === undefined
      ? []
      : [{ prefix: formatPrefix(prefix), minLength: prefix.length, maxLength: bitsOf(prefix.family) }];
  });
  inPools.sort((a, b) => (a.prefix < b.prefix ? -1 : 1));
  const pools: readonly FilterRule[] =
    inPools.length === 0
      ? []
      : [{ name: 'pools, from other nodes', match: { source: ['ibgp'], prefixes: inPools }, action: 'accept' }];
  const inside: FilterConfig = { rules: [...draining, nodeAddress, own, ...pools], default: 'reject' };
  return {
    [NODE_ADDRESS_FILTER]: { rules: [...draining, nodeAddress], default: 'next' },
    [HANDED_ON_FILTER]: { rules: [handedOn], default: 'next' },
    [exportFilter('mesh')]: inside,
    [exportFilter('clients')]: inside,
    [exportFilter('peers')]: { rules: [own, ...pools], default: 'reject' },
  };
}
