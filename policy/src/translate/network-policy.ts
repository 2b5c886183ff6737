/**
 * networking.k8s.io/v1 NetworkPolicy to Policy.
 *
 * Defaults that decide who is isolated: no policyTypes means ingress always and egress only when there is an egress rule; an empty or
 * missing `from`, `to` or `ports` means everything; a missing protocol means TCP. A refused part (an object need not have come through
 * an API server that validates) matches nothing and the policy still isolates whom it selects: what is not understood never allows.
 */
import { layersOf, type Block } from '../model/networks.js';
import { DEFAULT_TIER } from '../model/tier.js';
import { protocolNumber, TCP, unionPorts } from '../model/ports.js';
import type { Direction, EntityMatch, Policy, PolicyRule } from '../model/policy.js';
import { selectionOf, selectsNothing, type NamespaceCondition } from '../model/selection.js';
import { addProblems, invalid, type Problem } from '../problem.js';
import type { PortRange } from '../ruleset.js';
import { ALL } from '../selector/selector.js';
import { parseLabelSelector } from '../selector/label-selector.js';
import { tryParseCidr } from '../validate/cidr.js';
import {
  validateNetworkPolicyPeer,
  validateNetworkPolicyPort,
  validatePolicyTypes,
} from '../validate/network-policy.js';
import { own, readList, readObject, type JsonObject } from '../validate/shape.js';
import { alternativesOf, hasNamelessPeer, type PortsMatch } from './alternatives.js';
import { RuleBudget, translateInBudget } from './rule-budget.js';
import type { Translation } from './translation.js';

/** Calico gives Kubernetes' policies this order in the default tier; all of them allow only, so among themselves it is idle. */
const KUBERNETES_POLICY_ORDER = 1000;

export function translateNetworkPolicy(namespace: string, name: string, object: unknown): Translation {
  const problems: Problem[] = [];
  const spec = readObject(own(object as JsonObject, 'spec'), 'spec', problems);
  const budget = new RuleBudget();
  const rules = {
    ingress: translateRules(spec, 'ingress', namespace, budget, problems),
    egress: translateRules(spec, 'egress', namespace, budget, problems),
  };
  const types = policyTypes(spec, rules.egress.length > 0, problems);
  const policy: Policy = {
    key: { kind: 'NetworkPolicy', namespace, name },
    tier: DEFAULT_TIER.name,
    order: KUBERNETES_POLICY_ORDER,
    sortName: `knp.default.${name}`,
    subject: selectionOf(
      { type: 'name', name: namespace },
      parseLabelSelector(own(spec, 'podSelector'), 'spec.podSelector', problems),
    ),
    ...(types.has('ingress') ? { ingress: rules.ingress } : {}),
    ...(types.has('egress') ? { egress: rules.egress } : {}),
  };
  return { policy, problems };
}

/** Unknown types are refused by name; what remains of the list counts, and an empty list is the default. */
function policyTypes(
  spec: JsonObject | undefined,
  hasEgressRules: boolean,
  problems: Problem[],
): ReadonlySet<Direction> {
  const listed = readList(own(spec, 'policyTypes'), 'spec.policyTypes', []);
  addProblems(problems, validatePolicyTypes(own(spec, 'policyTypes'), 'spec.policyTypes'));
  if (listed.length === 0) return new Set<Direction>(hasEgressRules ? ['ingress', 'egress'] : ['ingress']);
  const types = new Set<Direction>();
  if (listed.includes('Ingress')) types.add('ingress');
  if (listed.includes('Egress')) types.add('egress');
  return types;
}

function translateRules(
  spec: JsonObject | undefined,
  direction: Direction,
  namespace: string,
  budget: RuleBudget,
  problems: Problem[],
): readonly PolicyRule[] {
  const peersField = direction === 'ingress' ? 'from' : 'to';
  const path = `spec.${direction}`;
  return translateInBudget(readList(own(spec, direction), path, problems), path, problems, (value, field) => {
    const misshapen: Problem[] = [];
    const rule = readObject(value, field, misshapen);
    const [peerList, portList] = [
      readList(own(rule, peersField), `${field}.${peersField}`, misshapen),
      readList(own(rule, 'ports'), `${field}.ports`, misshapen),
    ];
    addProblems(problems, misshapen);
    // Absent means everything; of the wrong type is not absent.
    if (misshapen.length > 0) return { action: 'allow', alternatives: [] };
    const peers = translatePeers(peerList, `${field}.${peersField}`, namespace, problems);
    const ports = translatePorts(portList, `${field}.ports`, problems);
    reportUnresolvableNames(direction, peers, ports, field, problems);
    return { action: 'allow', alternatives: alternativesOf(direction, peers, ports, budget) };
  });
}

function reportUnresolvableNames(
  direction: Direction,
  peers: readonly EntityMatch[],
  ports: readonly PortsMatch[],
  field: string,
  problems: Problem[],
): void {
  if (direction === 'ingress' || !hasNamelessPeer(peers)) return;
  for (const port of ports)
    if (port.namedPort !== undefined)
      problems.push(
        invalid(
          `${field}.ports`,
          port.namedPort.name,
          'a port name has no meaning for an ipBlock peer; this combination matches nothing',
        ),
      );
}

/**
 * All peers of a rule as few entities: one per distinct pod selection, one for all blocks that do not
 * overlap. No peers: anybody.
 */
function translatePeers(
  list: readonly unknown[],
  field: string,
  namespace: string,
  problems: Problem[],
): readonly EntityMatch[] {
  if (list.length === 0) return [{}];
  const selections = new Map<string, EntityMatch>();
  const blocks: Block[] = [];
  for (const [index, value] of list.entries()) {
    const path = `${field}[${index}]`;
    const refused = validateNetworkPolicyPeer(value, path);
    addProblems(problems, refused);
    if (refused.length > 0) continue;
    const peer = value as JsonObject;
    const block = own(peer, 'ipBlock') ?? undefined;
    if (block !== undefined) addBlock(blocks, block as JsonObject);
    else {
      const selection = translateSelectors(peer, path, namespace, problems);
      if (!selectsNothing(selection)) selections.set(selection.key, { selection });
    }
  }
  return [...selections.values(), ...layersOf(blocks)];
}

/** podSelector alone looks in the policy's namespace, namespaceSelector alone at every pod there, both together at both. */
function translateSelectors(peer: JsonObject, path: string, namespace: string, problems: Problem[]) {
  const pods = own(peer, 'podSelector') ?? undefined;
  const namespaces = own(peer, 'namespaceSelector') ?? undefined;
  const where: NamespaceCondition =
    namespaces === undefined
      ? { type: 'name', name: namespace }
      : { type: 'selector', selector: parseLabelSelector(namespaces, `${path}.namespaceSelector`, problems) };
  return selectionOf(where, pods === undefined ? ALL : parseLabelSelector(pods, `${path}.podSelector`, problems));
}

/** Validated before; an except is a hole in its own block only. */
function addBlock(blocks: Block[], block: JsonObject): void {
  const cidr = tryParseCidr(String(own(block, 'cidr')));
  if (cidr === undefined) return;
  const excepts = ((own(block, 'except') ?? []) as readonly string[])
    .map(tryParseCidr)
    .filter((prefix) => prefix !== undefined);
  blocks.push({ cidr, excepts });
}

/** All ports of a rule as few matches: per protocol one list of ranges (or all of it), and one per name. No ports: anything. */
function translatePorts(list: readonly unknown[], field: string, problems: Problem[]): readonly PortsMatch[] {
  if (list.length === 0) return [{}];
  const ranges = new Map<number, PortRange[] | 'all'>();
  const names = new Map<string, PortsMatch>();
  for (const [index, value] of list.entries()) {
    const refused = validateNetworkPolicyPort(value, `${field}[${index}]`);
    addProblems(problems, refused);
    if (refused.length > 0) continue;
    const item = (value ?? undefined) as JsonObject | undefined;
    const protocol = protocolNumber((own(item, 'protocol') ?? 'TCP') as string) ?? TCP;
    const port = own(item, 'port') ?? undefined;
    if (typeof port === 'string') names.set(`${protocol} ${port}`, { protocol, namedPort: { name: port, protocol } });
    else if (port === undefined) ranges.set(protocol, 'all');
    else {
      const range: PortRange = { from: port as number, to: (own(item, 'endPort') ?? port) as number };
      const known = ranges.get(protocol);
      if (known === undefined) ranges.set(protocol, [range]);
      else if (known !== 'all') known.push(range);
    }
  }
  const numbers = [...ranges].map(
    ([protocol, ports]): PortsMatch => (ports === 'all' ? { protocol } : { protocol, ports: unionPorts(ports) }),
  );
  return [...numbers, ...names.values()];
}
