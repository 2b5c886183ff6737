/**
 * One direction of one policy as a chain: each rule's alternatives in order, each alternative one kernel rule (or a few, where 15 ports a
 * rule, or blocks of both families, make it more).
 *
 * Allow and pass leave by `goto` to a chain that sets a mark and falls off its end, which returns past this chain to the endpoint's: one
 * rule per allow, nothing to test afterwards. Deny drops. The chain is shared by all endpoints of the node that the policy selects.
 */
import { formatPrefix, type Family } from 'node-bgp/address';
import { isWholeFamily, networksOf, type Networks } from '../model/networks.js';
import { chunkPorts, ICMP, ICMPV6 } from '../model/ports.js';
import type { Alternative, Direction, EntityMatch, NamedPortMatch, Policy, PolicyRule } from '../model/policy.js';
import { selectsNothing } from '../model/selection.js';
import type { SetNeed } from '../resolve/address-sets.js';
import type { Action, Chain, Match, PortRange, Rule, Side } from '../ruleset.js';
import { ALLOW_CHAIN, PASS_CHAIN, policyChainName, policyNote } from './names.js';

/** Gives the id of the set for a need. */
export type SetResolver = (need: SetNeed) => string;

export function compilePolicyChain(policy: Policy, direction: Direction, sets: SetResolver): Chain {
  const rules = (policy[direction] ?? []).flatMap((rule) => compileRule(policy, rule, direction, sets));
  return { table: 'filter', name: policyChainName(direction, policy.key), rules };
}

function compileRule(policy: Policy, rule: PolicyRule, direction: Direction, sets: SetResolver): readonly Rule[] {
  const note = `${policyNote(policy.key)} ${direction} rule ${rule.index}`;
  const action = ruleAction(rule, note);
  return rule.alternatives.flatMap((alternative) => compileAlternative(alternative, direction, sets).map((match) => ({ ...match, action, note })));
}

function ruleAction(rule: PolicyRule, note: string): Action {
  switch (rule.action) {
    case 'allow': return { type: 'goto', chain: ALLOW_CHAIN };
    case 'pass': return { type: 'goto', chain: PASS_CHAIN };
    case 'deny': return { type: 'drop' };
    case 'log': return { type: 'log', prefix: `tortie ${note}` };
  }
}

interface RuleMatch {
  readonly family?: Family;
  readonly matches: readonly Match[];
}

/** Rules of which a packet meets one exactly when it meets the alternative. */
function compileAlternative(alternative: Alternative, direction: Direction, sets: SetResolver): readonly RuleMatch[] {
  if (neverMatches(alternative)) return [];
  const variants: RuleMatch[] = [];
  for (const family of families(alternative)) {
    const addresses = addressMatches(alternative, family, sets);
    if (addresses === undefined) continue;
    const shared = [...protocolMatches(alternative, family), ...namedPortMatches(alternative, direction, sets), ...addresses];
    for (const ports of portMatches(alternative)) {
      const [protocol, ...rest] = shared;
      // Ports next to the protocol and before the sets: the cheapest comparisons first.
      const matches = protocol?.type === 'protocol' ? [protocol, ...ports, ...rest] : [...ports, ...shared];
      variants.push(family === undefined ? { matches } : { family, matches });
    }
  }
  return variants;
}

const neverMatches = (alternative: Alternative): boolean =>
  [alternative.source?.selection, alternative.destination?.selection].some((selection) => selection !== undefined && selectsNothing(selection));

/** `undefined` alone when nothing in the alternative depends on the family: one rule serves both. */
function families(alternative: Alternative): readonly (Family | undefined)[] {
  if (alternative.family !== undefined) return [alternative.family];
  if (alternative.icmp !== undefined || alternative.notIcmp !== undefined) return [alternative.protocol === ICMPV6 ? 6 : 4];
  const depends = [alternative.source, alternative.destination].some((entity) => entity?.networks !== undefined || entity?.notNetworks !== undefined);
  return depends ? [4, 6] : [undefined];
}

/** undefined when no packet of this family can match. */
function addressMatches(alternative: Alternative, family: Family | undefined, sets: SetResolver): readonly Match[] | undefined {
  const matches: Match[] = [];
  for (const [side, entity] of [['source', alternative.source], ['destination', alternative.destination]] as const) {
    if (entity === undefined) continue;
    const networks = family === undefined ? [] : networkMatches(entity, side, family, sets);
    if (networks === undefined) return undefined;
    matches.push(...networks);
    // A named port's set holds the selection's addresses with the port: asking for the address again is idle.
    if (entity.selection !== undefined && !(side === 'destination' && alternative.namedPort !== undefined))
      matches.push({ type: 'set', side, set: sets({ type: 'pods', selection: entity.selection }) });
    if (entity.nodes !== undefined) matches.push({ type: 'set', side, set: sets({ type: 'nodes', selector: entity.nodes }) });
    if (entity.notSelection !== undefined && !selectsNothing(entity.notSelection))
      matches.push({ type: 'set', side, set: sets({ type: 'pods', selection: entity.notSelection }), not: true });
  }
  return matches;
}

function networkMatches(entity: EntityMatch, side: Side, family: Family, sets: SetResolver): readonly Match[] | undefined {
  const matches: Match[] = [];
  if (entity.networks !== undefined) {
    const own = networksOf(entity.networks, family);
    if (own.length === 0) return undefined;
    if (!isWholeFamily(own, family)) matches.push(networkMatch(own, side, false, sets, entity.networks));
  }
  if (entity.notNetworks !== undefined) {
    const own = networksOf(entity.notNetworks, family);
    if (isWholeFamily(own, family)) return undefined;
    if (own.length > 0) matches.push(networkMatch(own, side, true, sets, entity.notNetworks));
  }
  return matches;
}

/** One prefix is a comparison in the rule; more are a set (of both families, which the other family's rule shares). */
function networkMatch(own: Networks, side: Side, not: boolean, sets: SetResolver, networks: Networks): Match {
  const [only] = own;
  const match: Match = own.length === 1 && only !== undefined
    ? { type: 'network', side, prefix: formatPrefix(only) }
    : { type: 'set', side, set: sets({ type: 'networks', networks }) };
  return not ? { ...match, not } : match;
}

function protocolMatches(alternative: Alternative, family: Family | undefined): readonly Match[] {
  const matches: Match[] = [];
  if (alternative.protocol !== undefined) matches.push({ type: 'protocol', protocol: alternative.protocol });
  else if (alternative.icmp !== undefined || alternative.notIcmp !== undefined) matches.push({ type: 'protocol', protocol: family === 6 ? ICMPV6 : ICMP });
  if (alternative.notProtocol !== undefined) matches.push({ type: 'protocol', protocol: alternative.notProtocol, not: true });
  if (alternative.icmp !== undefined) matches.push({ type: 'icmp', icmpType: alternative.icmp.type, code: alternative.icmp.code });
  if (alternative.notIcmp !== undefined) matches.push({ type: 'icmp', icmpType: alternative.notIcmp.type, code: alternative.notIcmp.code, not: true });
  return matches;
}

function namedPortMatches(alternative: Alternative, direction: Direction, sets: SetResolver): readonly Match[] {
  const need = (port: NamedPortMatch): SetNeed => {
    const selection = alternative.destination?.selection;
    const wanted = { port: port.name, ...(port.protocol === undefined ? {} : { protocol: port.protocol }) };
    return direction === 'ingress' || selection === undefined ? { type: 'local-ports', ...wanted } : { type: 'pod-ports', selection, ...wanted };
  };
  const matches: Match[] = [];
  if (alternative.namedPort !== undefined) matches.push({ type: 'set-port', side: 'destination', set: sets(need(alternative.namedPort)) });
  for (const port of alternative.notNamedPorts ?? []) matches.push({ type: 'set-port', side: 'destination', set: sets(need(port)), not: true });
  return matches;
}

/** One list of matches per rule needed. Positive lists are cut up (any piece will do), negative ones all stand in every rule. */
function portMatches(alternative: Alternative): readonly (readonly Match[])[] {
  const negative: Match[] = [];
  let positive: readonly (readonly Match[])[] = [[]];
  for (const [side, entity] of [['source', alternative.source], ['destination', alternative.destination]] as const) {
    for (const ports of chunkPorts(entity?.notPorts ?? [])) negative.push({ type: 'ports', side, ports, not: true });
    if (entity?.ports === undefined) continue;
    const chunks: readonly (readonly PortRange[])[] = chunkPorts(entity.ports);
    positive = positive.flatMap((matches) => chunks.map((ports): readonly Match[] => [...matches, { type: 'ports', side, ports }]));
  }
  return positive.map((matches) => [...matches, ...negative]);
}
