/**
 * One alternative of a rule as kernel conditions: a packet meets one of the lists returned exactly when it meets the alternative.
 *
 * Most alternatives are one list. Blocks make one per family, more than 15 ports one per 15, and a Calico selector two: endpoints, and the
 * networks of network sets.
 */
import { formatPrefix, type Family } from 'node-bgp/address';
import { isWholeFamily, networksOf, type Networks } from '../model/networks.js';
import { chunkPorts, ICMP, ICMPV6 } from '../model/ports.js';
import type { Alternative, Direction, EntityMatch, NamedPortMatch } from '../model/policy.js';
import { EVERY_POD, selectionOf, selectsNothing, type Selection } from '../model/selection.js';
import type { SetNeed } from '../resolve/set-need.js';
import type { Match, Side } from '../ruleset.js';
import { ALL } from '../selector/selector.js';

/** The sets that rules name. */
export interface SetResolver {
  /** The id of the set for a need. */
  idOf(need: SetNeed): string;
  /** Are there network sets, which a Calico selector may mean beside endpoints? */
  readonly hasNetworkSets: boolean;
}

export interface RuleMatch {
  readonly family?: Family;
  readonly matches: readonly Match[];
}

const EVERY_ENDPOINT = selectionOf({ type: 'everywhere' }, ALL, 'endpoints');

export function compileAlternative(
  alternative: Alternative,
  direction: Direction,
  sets: SetResolver,
): readonly RuleMatch[] {
  const compiled: RuleMatch[] = [];
  for (const family of families(alternative)) {
    const lists: readonly Choices[] = [
      protocolMatches(alternative, family),
      ...entityMatches(alternative.source, 'source', direction === 'egress', family, sets),
      ...entityMatches(alternative.destination, 'destination', direction === 'ingress', family, sets),
    ];
    for (const matches of product(lists))
      compiled.push(
        family === undefined ? { matches: cheapestFirst(matches) } : { family, matches: cheapestFirst(matches) },
      );
  }
  return compiled;
}

/** A list of choices, each a list of conditions; a packet must meet one choice. No choices: nothing can match. */
type Choices = readonly (readonly Match[])[];

/** `undefined` alone when nothing in the alternative depends on the family: one rule serves both. */
function families(alternative: Alternative): readonly (Family | undefined)[] {
  const icmp = [alternative.icmp, alternative.notIcmp].some((match) => match?.type !== undefined);
  if (icmp) return alternative.protocol === ICMPV6 ? [6] : [4];
  if (alternative.family !== undefined) return [alternative.family];
  const depends = [alternative.source, alternative.destination].some(
    (entity) => entity?.networks !== undefined || entity?.notNetworks !== undefined,
  );
  return depends ? [4, 6] : [undefined];
}

/** Conditions of one end; `isOwn` is the end that the policy protects, which is always an endpoint of this node. */
function entityMatches(
  entity: EntityMatch | undefined,
  side: Side,
  isOwn: boolean,
  family: Family | undefined,
  sets: SetResolver,
): readonly Choices[] {
  if (entity === undefined) return [];
  const set = (need: SetNeed, not?: boolean): Match =>
    not === true ? { type: 'set', side, set: sets.idOf(need), not } : { type: 'set', side, set: sets.idOf(need) };
  const all: Choices[] = [portChoices(entity, side), namedPortChoices(entity, side, isOwn, sets)];
  if (family !== undefined) all.push(networkChoices(entity, side, family, sets));
  if (entity.nodes !== undefined) all.push([[set({ type: 'nodes', selector: entity.nodes })]]);
  if (entity.service !== undefined) {
    const { namespace, name, withPorts } = entity.service;
    const id = sets.idOf({ type: 'service', namespace, name, withPorts });
    all.push([[withPorts ? { type: 'set-port', side, set: id } : { type: 'set', side, set: id }]]);
  }
  // A peer's named port is looked up in a set that holds the selection's addresses already.
  if (entity.selection !== undefined && (isOwn || entity.namedPort === undefined))
    all.push(selectionChoices(entity.selection, sets, set));
  if (entity.notSelection !== undefined && !selectsNothing(entity.notSelection)) {
    const both = selectionNeeds(entity.notSelection, sets);
    all.push([both.map((need) => set(need, true))]);
  }
  return all;
}

function selectionNeeds(selection: Selection, sets: SetResolver): readonly SetNeed[] {
  return selection.scope === 'endpoints' && sets.hasNetworkSets
    ? [
        { type: 'pods', selection },
        { type: 'selected-networks', selection },
      ]
    : [{ type: 'pods', selection }];
}

function selectionChoices(selection: Selection, sets: SetResolver, set: (need: SetNeed) => Match): Choices {
  return selectsNothing(selection) ? [] : selectionNeeds(selection, sets).map((need) => [set(need)]);
}

function networkChoices(entity: EntityMatch, side: Side, family: Family, sets: SetResolver): Choices {
  const matches: Match[] = [];
  if (entity.networks !== undefined) {
    const own = networksOf(entity.networks, family);
    if (own.length === 0) return [];
    if (!isWholeFamily(own, family)) matches.push(networkMatch(own, side, sets, entity.networks));
  }
  if (entity.notNetworks !== undefined) {
    const own = networksOf(entity.notNetworks, family);
    if (isWholeFamily(own, family)) return [];
    if (own.length > 0) {
      // iptables takes one -s and one -d a rule: where one is taken, the other condition is a set.
      const match = matches.some((one) => one.type === 'network')
        ? networkSet(side, sets, entity.notNetworks)
        : networkMatch(own, side, sets, entity.notNetworks);
      matches.push({ ...match, not: true });
    }
  }
  return [matches];
}

type NetworkCondition = Extract<Match, { readonly type: 'network' | 'set' }>;

/** One prefix is a comparison in the rule; more are a set (of both families, which the other family's rule shares). */
function networkMatch(own: Networks, side: Side, sets: SetResolver, networks: Networks): NetworkCondition {
  const [only] = own;
  return own.length === 1 && only !== undefined
    ? { type: 'network', side, prefix: formatPrefix(only) }
    : networkSet(side, sets, networks);
}

const networkSet = (side: Side, sets: SetResolver, networks: Networks): NetworkCondition => ({
  type: 'set',
  side,
  set: sets.idOf({ type: 'networks', networks }),
});

function protocolMatches(alternative: Alternative, family: Family | undefined): Choices {
  const { protocol, notProtocol, icmp, notIcmp } = alternative;
  const matches: Match[] = [];
  const isIcmp = icmp?.type !== undefined || notIcmp?.type !== undefined;
  if (protocol !== undefined) matches.push({ type: 'protocol', protocol });
  else if (isIcmp) matches.push({ type: 'protocol', protocol: family === 6 ? ICMPV6 : ICMP });
  if (notProtocol !== undefined) matches.push({ type: 'protocol', protocol: notProtocol, not: true });
  if (icmp?.type !== undefined)
    matches.push({ type: 'icmp', icmpType: icmp.type, ...(icmp.code === undefined ? {} : { code: icmp.code }) });
  if (notIcmp?.type !== undefined)
    matches.push({
      type: 'icmp',
      icmpType: notIcmp.type,
      ...(notIcmp.code === undefined ? {} : { code: notIcmp.code }),
      not: true,
    });
  return [matches];
}

function namedPortChoices(entity: EntityMatch, side: Side, isOwn: boolean, sets: SetResolver): Choices {
  const need = (port: NamedPortMatch, selection: Selection): SetNeed => {
    const wanted = { port: port.name, ...(port.protocol === undefined ? {} : { protocol: port.protocol }) };
    return isOwn ? { type: 'local-ports', ...wanted } : { type: 'pod-ports', selection, ...wanted };
  };
  const matches: Match[] = [];
  if (entity.namedPort !== undefined) {
    const selection = entity.selection ?? EVERY_POD;
    if (selectsNothing(selection)) return [];
    matches.push({ type: 'set-port', side, set: sets.idOf(need(entity.namedPort, selection)) });
  }
  for (const port of entity.notNamedPorts ?? [])
    matches.push({ type: 'set-port', side, set: sets.idOf(need(port, EVERY_ENDPOINT)), not: true });
  return [matches];
}

/** Positive lists are cut up (any piece will do), negative ones all stand in every rule. */
function portChoices(entity: EntityMatch, side: Side): Choices {
  const negative = chunkPorts(entity.notPorts ?? []).map((ports): Match => ({ type: 'ports', side, ports, not: true }));
  if (entity.ports === undefined) return [negative];
  return chunkPorts(entity.ports).map((ports): readonly Match[] => [{ type: 'ports', side, ports }, ...negative]);
}

/** One choice of each, in every combination. */
function product(lists: readonly Choices[]): Choices {
  return lists.reduce<Choices>(
    (done, choices) => done.flatMap((before) => choices.map((choice) => [...before, ...choice])),
    [[]],
  );
}

const COST: Readonly<Partial<Record<Match['type'], number>>> = {
  protocol: 0,
  icmp: 1,
  ports: 2,
  network: 3,
  'set-port': 4,
};

/** The cheapest comparisons first; the order of equals stays. */
const cheapestFirst = (matches: readonly Match[]): readonly Match[] =>
  [...matches].sort((a, b) => (COST[a.type] ?? 5) - (COST[b.type] ?? 5));
