/**
 * ClusterNetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy to Policy.
 *
 * These never isolate by selecting: a direction without rules is not affected, what no rule matches falls through to the next tier. First
 * match decides, so a part that is not understood must not turn an earlier "no" into a later "yes": a rule with a refused peer matches
 * nothing when it accepts and denies everything when it denies or passes (the API's own words on unknown peers); a refused port lets
 * an accept match less and a deny match all ports.
 */
import { tryParsePrefix } from 'node-bgp/address';
import { unionNetworks } from '../model/networks.js';
import { protocolNumber, TCP, unionPorts } from '../model/ports.js';
import type { Direction, EntityMatch, Policy, PolicyRule, RuleAction } from '../model/policy.js';
import { selectionOf, type Selection } from '../model/selection.js';
import { ADMIN_TIER, BASELINE_TIER } from '../model/tier.js';
import { addProblems, invalid, required, type Problem } from '../problem.js';
import { ALL } from '../selector/selector.js';
import { parseLabelSelector } from '../selector/label-selector.js';
import {
  DIALECTS,
  validateAction,
  validateClusterPeer,
  validateClusterPolicyHead,
  validateClusterPort,
  validateSubject,
  type ClusterPolicyDialect,
  type ClusterPolicyKind,
} from '../validate/cluster-policy.js';
import { own, readList, readObject, type JsonObject } from '../validate/shape.js';
import { alternativesOf, hasNamelessPeer, type PortsMatch } from './alternatives.js';
import { RuleBudget, translateInBudget } from './rule-budget.js';
import type { Translation } from './translation.js';

/** What a rule becomes that was not understood and may not be ignored. */
const DENY_ALL = { action: 'deny', alternatives: [{}] } as const;

export function translateClusterPolicy(kind: ClusterPolicyKind, name: string, object: unknown): Translation {
  const dialect = DIALECTS[kind];
  const problems: Problem[] = [];
  const spec = readObject(own(object as JsonObject, 'spec'), 'spec', problems);
  const head = validateClusterPolicyHead(kind, object as JsonObject);
  const refused = [...head, ...validateSubject(own(spec, 'subject'), 'spec.subject', dialect)];
  // Without a place in the order or anybody to apply to there is no policy.
  if (refused.length > 0) return { problems: [...problems, ...refused] };
  const budget = new RuleBudget();
  const rules = (direction: Direction): readonly PolicyRule[] =>
    translateRules(spec, direction, dialect, budget, problems);
  const [ingress, egress] = [rules('ingress'), rules('egress')];
  const policy: Policy = {
    key: { kind, namespace: '', name },
    tier:
      kind === 'BaselineAdminNetworkPolicy' || own(spec, 'tier') === 'Baseline' ? BASELINE_TIER.name : ADMIN_TIER.name,
    order: dialect.hasPriority ? Number(own(spec, 'priority')) : Infinity,
    sortName: name,
    subject: translateSelecting(own(spec, 'subject') as JsonObject),
    ...(ingress.length > 0 ? { ingress } : {}),
    ...(egress.length > 0 ? { egress } : {}),
  };
  return { policy, problems };
}

function translateRules(
  spec: JsonObject | undefined,
  direction: Direction,
  dialect: ClusterPolicyDialect,
  budget: RuleBudget,
  problems: Problem[],
): readonly PolicyRule[] {
  const path = `spec.${direction}`;
  return translateInBudget(
    readList(own(spec, direction), path, problems),
    path,
    problems,
    (value, field) => translateRule(value, field, direction, dialect, budget, problems),
    DENY_ALL,
  );
}

function translateRule(
  value: unknown,
  field: string,
  direction: Direction,
  dialect: ClusterPolicyDialect,
  budget: RuleBudget,
  problems: Problem[],
): Omit<PolicyRule, 'index'> {
  const rule = readObject(value, field, problems);
  const peersField = `${field}.${direction === 'ingress' ? 'from' : 'to'}`;
  const refusedAction = validateAction(own(rule, 'action'), `${field}.action`, dialect);
  addProblems(problems, refusedAction);
  if (refusedAction.length > 0) return DENY_ALL;
  const action = actionOf(own(rule, 'action'));
  const failClosed = action === 'allow' ? { action, alternatives: [] } : DENY_ALL;
  const peers = readList(own(rule, direction === 'ingress' ? 'from' : 'to'), peersField, problems);
  const refusedPeers =
    peers.length === 0
      ? [required(peersField, 'must have at least one item')]
      : peers.flatMap((peer, at) => validateClusterPeer(peer, `${peersField}[${at}]`, direction, dialect));
  addProblems(problems, refusedPeers);
  if (refusedPeers.length > 0) return failClosed;
  const entities = mergePeers(peers as readonly JsonObject[]);
  const ports = translatePorts(
    own(rule, dialect.portsField) ?? undefined,
    `${field}.${dialect.portsField}`,
    dialect,
    problems,
  );
  if (direction === 'egress' && hasNamelessPeer(entities) && ports.matches.some((port) => port.namedPort !== undefined))
    problems.push(
      invalid(field, undefined, 'networks and nodes peers have no port names; this combination matches nothing'),
    );
  if (!ports.isRefused) return { action, alternatives: alternativesOf(direction, entities, ports.matches, budget) };
  return action === 'allow'
    ? { action, alternatives: alternativesOf(direction, entities, ports.matches, budget) }
    : { action: 'deny', alternatives: alternativesOf(direction, entities, [{}], budget) };
}

function actionOf(value: unknown): RuleAction {
  switch (value) {
    case 'Deny':
      return 'deny';
    case 'Pass':
      return 'pass';
    default:
      return 'allow';
  }
}

/** Valid peers, equal ones and all networks together. */
function mergePeers(peers: readonly JsonObject[]): readonly EntityMatch[] {
  const entities: EntityMatch[] = [];
  const networks = peers.flatMap((peer) =>
    ((own(peer, 'networks') ?? []) as readonly string[]).map(tryParsePrefix).filter((prefix) => prefix !== undefined),
  );
  if (networks.length > 0) entities.push({ networks: unionNetworks(networks) });
  const selections = new Map<string, Selection>();
  for (const peer of peers) {
    const nodes = own(peer, 'nodes') ?? undefined;
    if (nodes !== undefined) entities.push({ nodes: parseLabelSelector(nodes, '', []) });
    else if ((own(peer, 'networks') ?? undefined) === undefined) {
      const selection = translateSelecting(peer);
      selections.set(selection.key, selection);
    }
  }
  return [...[...selections.values()].map((selection) => ({ selection })), ...entities];
}

/** Valid `namespaces` or `pods`; a missing namespaceSelector inside `pods` is an empty one. */
function translateSelecting(value: JsonObject): Selection {
  const namespaces = own(value, 'namespaces') ?? undefined;
  if (namespaces !== undefined)
    return selectionOf({ type: 'selector', selector: parseLabelSelector(namespaces, '', []) }, ALL);
  const pods = own(value, 'pods') as JsonObject;
  return selectionOf(
    { type: 'selector', selector: parseLabelSelector(own(pods, 'namespaceSelector'), '', []) },
    parseLabelSelector(own(pods, 'podSelector'), '', []),
  );
}

/** No list means everything, ICMP included. */
function translatePorts(
  value: unknown,
  field: string,
  dialect: ClusterPolicyDialect,
  problems: Problem[],
): { readonly matches: readonly PortsMatch[]; readonly isRefused: boolean } {
  if (value === undefined) return { matches: [{}], isRefused: false };
  const matches: PortsMatch[] = [];
  const list = readList(value, field, problems);
  const refused = list.length === 0 ? [required(field, 'must have at least one item when it is given')] : [];
  for (const [index, item] of list.entries()) {
    const wrong = validateClusterPort(item, `${field}[${index}]`, dialect);
    addProblems(refused, wrong);
    if (wrong.length === 0) matches.push(translatePort(item as JsonObject));
  }
  addProblems(problems, refused);
  return { matches: mergePorts(matches), isRefused: refused.length > 0 };
}

function translatePort(item: JsonObject): PortsMatch {
  const name = own(item, 'destinationNamedPort') ?? own(item, 'namedPort') ?? undefined;
  if (name !== undefined) return { namedPort: { name: String(name) } };
  for (const key of ['tcp', 'udp', 'sctp'] as const) {
    const given = own(item, key) ?? undefined;
    if (given === undefined) continue;
    const port = own(given as JsonObject, 'destinationPort') ?? undefined;
    return portsOf(numberOf(key), port as JsonObject, 'number', 'range');
  }
  const numbered = (own(item, 'portNumber') ?? own(item, 'portRange')) as JsonObject;
  return portsOf(
    numberOf(own(numbered, 'protocol')),
    own(item, 'portRange') === undefined ? numbered : { range: numbered },
    'port',
    'range',
  );
}

function portsOf(protocol: number, port: JsonObject, numberField: string, rangeField: string): PortsMatch {
  const range = own(port, rangeField) as JsonObject | undefined;
  const [from, to] =
    range === undefined ? [own(port, numberField), own(port, numberField)] : [own(range, 'start'), own(range, 'end')];
  return { protocol, ports: [{ from: Number(from), to: Number(to) }] };
}

const numberOf = (protocol: unknown): number => protocolNumber(String(protocol ?? 'TCP')) ?? TCP;

/** Ports of one protocol together, so that they share kernel rules. */
function mergePorts(matches: readonly PortsMatch[]): readonly PortsMatch[] {
  const merged = new Map<string, PortsMatch>();
  for (const match of matches) {
    const key = match.namedPort === undefined ? `${match.protocol}` : `name ${match.namedPort.name}`;
    const known = merged.get(key);
    if (known === undefined) merged.set(key, match);
    else if (known.ports !== undefined)
      merged.set(
        key,
        match.ports === undefined ? match : { ...known, ports: unionPorts([...known.ports, ...match.ports]) },
      );
  }
  return [...merged.values()];
}
