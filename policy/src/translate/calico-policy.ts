/**
 * projectcalico.org/v3 NetworkPolicy and GlobalNetworkPolicy and their staged forms to Policy.
 *
 * First match decides, so a condition that is not understood must not turn a "no" into a later "yes": an Allow or Log rule with a refused
 * part matches nothing; a Deny or Pass rule denies whatever its understood conditions hold for. A policy whose own selector is refused
 * applies to nobody and says so.
 */
import { DEFAULT_TIER } from '../model/tier.js';
import { ICMP, ICMPV6, protocolNumber } from '../model/ports.js';
import type {
  Alternative,
  Direction,
  EntityMatch,
  IcmpMatch,
  Policy,
  PolicyRule,
  RuleAction,
} from '../model/policy.js';
import { selectionOf, type NamespaceCondition, type Selection } from '../model/selection.js';
import type { PolicyKind } from '../objects.js';
import { addProblems, forbidden, invalid, notSupported, required, type Problem } from '../problem.js';
import { own, readBoolean, readInteger, readList, readObject, readString, type JsonObject } from '../validate/shape.js';
import { translateEntity } from './calico-entity.js';
import { both, parseAccountSelector, parseEndpointSelector, parseNamespaceSelector } from './calico-selector.js';
import { conditionsOf, RuleBudget, rulesOfPeer, rulesOfPorts, translateInBudget } from './rule-budget.js';
import type { Translation } from './translation.js';

export type CalicoPolicyKind =
  | 'CalicoNetworkPolicy'
  | 'GlobalNetworkPolicy'
  | 'StagedNetworkPolicy'
  | 'StagedGlobalNetworkPolicy';

const ACTIONS: ReadonlyMap<string, RuleAction> = new Map([
  ['Allow', 'allow'],
  ['Deny', 'deny'],
  ['Pass', 'pass'],
  ['Log', 'log'],
]);
/** What stands for the rules that are past the budget. */
const DENY_ALL = { action: 'deny', alternatives: [{}] } as const;
const TYPES = ['Ingress', 'Egress'] as const;
/** Those of cluster policies: who writes in one namespace has no say there, whatever guards the API server has. */
const KUBERNETES_TIERS = 'kube-';
const STAGED_ACTIONS = ['Set', 'Delete', 'Learn', 'Ignore'] as const;

const isGlobal = (kind: PolicyKind): boolean => kind === 'GlobalNetworkPolicy' || kind === 'StagedGlobalNetworkPolicy';
const isStaged = (kind: PolicyKind): boolean => kind.startsWith('Staged');

export function translateCalicoPolicy(
  kind: CalicoPolicyKind,
  namespace: string,
  name: string,
  object: unknown,
): Translation {
  const problems: Problem[] = [];
  const spec = readObject(own(object as JsonObject, 'spec'), 'spec', problems);
  const subject = translateSubject(kind, namespace, spec, problems);
  const stagedAction = isStaged(kind) ? readStagedAction(spec, problems) : 'Set';
  const policyNamespace = isGlobal(kind) ? undefined : namespace;
  const budget = new RuleBudget();
  const rules = (direction: Direction): readonly PolicyRule[] =>
    translateInBudget(
      readList(own(spec, direction), `spec.${direction}`, problems),
      `spec.${direction}`,
      problems,
      (value, field) => translateRule(value, field, direction, policyNamespace, budget, problems),
      DENY_ALL,
    );
  const [ingress, egress] = [rules('ingress'), rules('egress')];
  const types = policyTypes(spec, ingress.length > 0, egress.length > 0, problems);
  const flags = hostFlags(kind, spec, types, problems);
  const tier = readString(own(spec, 'tier'), 'spec.tier', problems) || DEFAULT_TIER.name;
  const order = readOrder(spec, problems);
  const isForbidden = !isGlobal(kind) && tier.startsWith(KUBERNETES_TIERS);
  if (isForbidden)
    problems.push(forbidden('spec.tier', `a namespaced policy cannot enter the tiers ${KUBERNETES_TIERS}*`));
  // A staged deletion, or one to be ignored, adds nothing to what is asked; what is wrong with it is told all the same.
  if (subject === undefined || isForbidden || stagedAction === 'Delete' || stagedAction === 'Ignore')
    return { problems };
  const policy: Policy = {
    key: { kind, namespace: policyNamespace ?? '', name },
    tier,
    order,
    sortName: name,
    subject,
    ...(types.has('ingress') ? { ingress } : {}),
    ...(types.has('egress') ? { egress } : {}),
    ...(isStaged(kind) ? { staged: true } : {}),
    ...flags,
  };
  return { policy, problems };
}

/** Pods and host endpoints that the policy applies to; undefined when a selector is refused. */
function translateSubject(
  kind: PolicyKind,
  namespace: string,
  spec: JsonObject | undefined,
  problems: Problem[],
): Selection | undefined {
  const text = (field: string): string => readString(own(spec, field), `spec.${field}`, problems) ?? '';
  const labels = parseEndpointSelector(text('selector'), 'spec.selector', problems);
  const accounts = text('serviceAccountSelector');
  const account = accounts === '' ? undefined : parseAccountSelector(accounts, 'spec.serviceAccountSelector', problems);
  const namespaces = isGlobal(kind) ? text('namespaceSelector') : '';
  const where: NamespaceCondition | undefined = !isGlobal(kind)
    ? { type: 'name', name: namespace }
    : namespaces === ''
      ? { type: 'everywhere' }
      : parseNamespaceSelector(namespaces, 'spec.namespaceSelector', problems);
  if (labels === undefined || where === undefined || (accounts !== '' && account === undefined)) return undefined;
  return selectionOf(where, both(labels, account), 'endpoints');
}

function readStagedAction(spec: JsonObject | undefined, problems: Problem[]): string {
  const action = readString(own(spec, 'stagedAction'), 'spec.stagedAction', problems) ?? 'Set';
  if (!STAGED_ACTIONS.some((known) => known === action))
    problems.push(notSupported('spec.stagedAction', action, STAGED_ACTIONS));
  return action;
}

/** Without an order a policy is asked last. */
function readOrder(spec: JsonObject | undefined, problems: Problem[]): number {
  const order = own(spec, 'order') ?? undefined;
  if (order === undefined) return Infinity;
  if (typeof order === 'number') return order;
  problems.push(invalid('spec.order', order, 'must be a number'));
  return Infinity;
}

/** Unlike NetworkPolicy's: egress rules alone make an egress policy, no rules at all an ingress one. */
function policyTypes(
  spec: JsonObject | undefined,
  hasIngress: boolean,
  hasEgress: boolean,
  problems: Problem[],
): ReadonlySet<Direction> {
  const listed = readList(own(spec, 'types'), 'spec.types', problems);
  for (const [index, type] of listed.entries())
    if (!TYPES.some((known) => known === type)) problems.push(notSupported(`spec.types[${index}]`, type, TYPES));
  if (listed.length === 0)
    return new Set<Direction>(hasEgress ? (hasIngress ? ['ingress', 'egress'] : ['egress']) : ['ingress']);
  const types = new Set<Direction>();
  if (listed.includes('Ingress')) types.add('ingress');
  if (listed.includes('Egress')) types.add('egress');
  return types;
}

/** How a GlobalNetworkPolicy applies to host endpoints. */
function hostFlags(
  kind: PolicyKind,
  spec: JsonObject | undefined,
  types: ReadonlySet<Direction>,
  problems: Problem[],
): Pick<Policy, 'applyOnForward' | 'preDnat' | 'doNotTrack'> {
  if (!isGlobal(kind)) return {};
  const flag = (field: string): boolean => readBoolean(own(spec, field), `spec.${field}`, problems) ?? false;
  const [applyOnForward, preDnat, doNotTrack] = [flag('applyOnForward'), flag('preDNAT'), flag('doNotTrack')];
  if (preDnat && doNotTrack) problems.push(forbidden('spec.preDNAT', 'preDNAT and doNotTrack cannot both be true'));
  if (preDnat && types.has('egress'))
    problems.push(forbidden('spec.egress', 'a preDNAT policy cannot have egress rules'));
  if ((preDnat || doNotTrack) && !applyOnForward)
    problems.push(invalid('spec.applyOnForward', false, 'must be true with preDNAT or doNotTrack'));
  return {
    ...(applyOnForward ? { applyOnForward } : {}),
    ...(preDnat ? { preDnat } : {}),
    ...(doNotTrack ? { doNotTrack } : {}),
  };
}

function translateRule(
  value: unknown,
  field: string,
  direction: Direction,
  namespace: string | undefined,
  budget: RuleBudget,
  problems: Problem[],
): Omit<PolicyRule, 'index'> {
  const refused: Problem[] = [];
  const rule = readObject(value, field, refused);
  const given = own(rule, 'action') ?? undefined;
  const action = ACTIONS.get(String(given));
  if (given === undefined) refused.push(required(`${field}.action`));
  else if (action === undefined) refused.push(notSupported(`${field}.action`, given, [...ACTIONS.keys()]));
  if ((own(rule, 'http') ?? undefined) !== undefined)
    refused.push(forbidden(`${field}.http`, 'HTTP matches are not supported by Tortie'));
  const conditions = translateConditions(rule, field, refused);
  const source = translateEntity(
    own(rule, 'source'),
    `${field}.source`,
    { side: 'source', direction, namespace, protocol: conditions.protocol },
    refused,
  );
  const destination = translateEntity(
    own(rule, 'destination'),
    `${field}.destination`,
    { side: 'destination', direction, namespace, protocol: conditions.protocol },
    refused,
  );
  addProblems(problems, refused);
  budget.spend(
    kernelRules(source) * kernelRules(destination),
    standingConditions(source) + standingConditions(destination),
  );
  const alternatives = source.flatMap((from) =>
    destination.map((to): Alternative => ({ ...conditions, source: from, destination: to })),
  );
  if (refused.length === 0 && action !== undefined) return { action, alternatives };
  return action === 'allow' || action === 'log' ? { action, alternatives: [] } : { action: 'deny', alternatives };
}

const kernelRules = (ways: readonly EntityMatch[]): number =>
  ways.reduce((sum, entity) => sum + rulesOfPeer(entity) * rulesOfPorts(entity.ports), 0);

/** The same for every way of one end. */
const standingConditions = ([first]: readonly EntityMatch[]): number => (first === undefined ? 0 : conditionsOf(first));

/** What a rule says about the packet rather than about either end. */
function translateConditions(rule: JsonObject | undefined, field: string, refused: Problem[]): Alternative {
  const version = own(rule, 'ipVersion') ?? undefined;
  if (version !== undefined && version !== 4 && version !== 6)
    refused.push(notSupported(`${field}.ipVersion`, version, ['4', '6']));
  const protocol = readProtocol(rule, 'protocol', field, refused);
  const notProtocol = readProtocol(rule, 'notProtocol', field, refused);
  const icmp = readIcmp(rule, 'icmp', field, protocol, refused);
  const notIcmp = readIcmp(rule, 'notICMP', field, protocol, refused);
  if (protocol !== undefined && ((protocol === ICMP && version === 6) || (protocol === ICMPV6 && version === 4)))
    refused.push(invalid(`${field}.ipVersion`, version, 'must fit the protocol: ICMP is 4, ICMPv6 is 6'));
  return {
    ...(version === 4 || version === 6 ? { family: version } : {}),
    ...(protocol === undefined ? {} : { protocol }),
    ...(notProtocol === undefined ? {} : { notProtocol }),
    ...(icmp === undefined ? {} : { icmp }),
    ...(notIcmp === undefined ? {} : { notIcmp }),
  };
}

function readProtocol(
  rule: JsonObject | undefined,
  key: 'protocol' | 'notProtocol',
  field: string,
  refused: Problem[],
): number | undefined {
  const given = own(rule, key) ?? undefined;
  if (given === undefined) return undefined;
  const number =
    typeof given === 'string'
      ? (protocolNumber(given) ?? (/^\d{1,3}$/.test(given) ? Number(given) : undefined))
      : given;
  if (typeof number === 'number' && Number.isInteger(number) && number >= 1 && number <= 255) return number;
  refused.push(
    invalid(`${field}.${key}`, given, 'must be TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 1 to 255'),
  );
  return undefined;
}

function readIcmp(
  rule: JsonObject | undefined,
  key: 'icmp' | 'notICMP',
  field: string,
  protocol: number | undefined,
  refused: Problem[],
): IcmpMatch | undefined {
  const path = `${field}.${key}`;
  const given = readObject(own(rule, key), path, refused);
  if (given === undefined) return undefined;
  if (protocol !== ICMP && protocol !== ICMPV6) refused.push(invalid(path, given, 'needs protocol ICMP or ICMPv6'));
  const type = readInteger(own(given, 'type'), `${path}.type`, refused);
  const code = readInteger(own(given, 'code'), `${path}.code`, refused);
  if (type !== undefined && (type < 0 || type > 254))
    refused.push(invalid(`${path}.type`, type, 'must be between 0 and 254, inclusive'));
  if (code !== undefined && (code < 0 || code > 255))
    refused.push(invalid(`${path}.code`, code, 'must be between 0 and 255, inclusive'));
  if (code !== undefined && type === undefined) refused.push(required(`${path}.type`, 'a code needs a type'));
  return { ...(type === undefined ? {} : { type }), ...(code === undefined || type === undefined ? {} : { code }) };
}
