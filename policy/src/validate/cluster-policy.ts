/**
 * Validation of the policy.networking.k8s.io kinds: ClusterNetworkPolicy v1alpha2, AdminNetworkPolicy and BaselineAdminNetworkPolicy
 * v1alpha1. What differs between them is one row of a table; the rules are those of the kinds' CRDs (schema and CEL) plus net.ParseCIDR.
 *
 * `domainNames` is known and refused: nothing here resolves names.
 */
import { tryParsePrefix } from 'node-bgp/address';
import {
  addProblems,
  forbidden,
  invalid,
  notSupported,
  required,
  tooLong,
  tooMany,
  wrongType,
  type Problem,
} from '../problem.js';
import { validateLabelSelector } from './label-selector.js';
import { portNumberProblems } from './names.js';
import { validateObjectMeta } from './object-meta.js';
import { isObject, own, readInteger, readList, readObject, readString, type JsonObject } from './shape.js';

export type ClusterPolicyKind = 'ClusterNetworkPolicy' | 'AdminNetworkPolicy' | 'BaselineAdminNetworkPolicy';

export interface ClusterPolicyDialect {
  readonly actions: readonly string[];
  /** Rules of a direction, peers and ports of a rule. */
  readonly maxItems: number;
  readonly portsField: 'protocols' | 'ports';
  readonly portKeys: readonly string[];
  /** Must `pods` name its namespaces? */
  readonly needsNamespaceSelector: boolean;
  readonly hasPriority: boolean;
  readonly hasTier: boolean;
}

const ADMIN: ClusterPolicyDialect = {
  actions: ['Allow', 'Deny', 'Pass'],
  maxItems: 100,
  portsField: 'ports',
  portKeys: ['portNumber', 'portRange', 'namedPort'],
  needsNamespaceSelector: true,
  hasPriority: true,
  hasTier: false,
};

export const DIALECTS: Readonly<Record<ClusterPolicyKind, ClusterPolicyDialect>> = {
  ClusterNetworkPolicy: {
    actions: ['Accept', 'Deny', 'Pass'],
    maxItems: 25,
    portsField: 'protocols',
    portKeys: ['tcp', 'udp', 'sctp', 'destinationNamedPort'],
    needsNamespaceSelector: false,
    hasPriority: true,
    hasTier: true,
  },
  AdminNetworkPolicy: ADMIN,
  BaselineAdminNetworkPolicy: { ...ADMIN, actions: ['Allow', 'Deny'], hasPriority: false },
};

const INGRESS_PEERS = ['namespaces', 'pods'] as const;
const EGRESS_PEERS = ['namespaces', 'pods', 'nodes', 'networks', 'domainNames'] as const;
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
const TIERS = ['Admin', 'Baseline'] as const;
const MAX_NETWORKS = 25;

/** Every reason why an API server with the kind's CRD would refuse this object, and what Tortie does not support yet. */
export function validateClusterPolicy(kind: ClusterPolicyKind, object: unknown): readonly Problem[] {
  if (!isObject(object)) return [wrongType('', object, 'an object')];
  const dialect = DIALECTS[kind];
  const problems: Problem[] = [...validateObjectMeta(own(object, 'metadata'), 'cluster')];
  const spec = readObject(own(object, 'spec'), 'spec', problems);
  if (spec === undefined) return [...problems, required('spec')];
  addProblems(problems, validateClusterPolicyHead(kind, object));
  addProblems(problems, validateSubject(own(spec, 'subject'), 'spec.subject', dialect));
  for (const [direction, peersField] of [
    ['ingress', 'from'],
    ['egress', 'to'],
  ] as const) {
    const rules = readList(own(spec, direction), `spec.${direction}`, problems);
    if (rules.length > dialect.maxItems) problems.push(tooMany(`spec.${direction}`, rules.length, dialect.maxItems));
    for (const [index, value] of rules.entries())
      addProblems(problems, validateRule(value, `spec.${direction}[${index}]`, direction, peersField, dialect));
  }
  return problems;
}

/** Tier, priority and the name that a singleton must have. */
export function validateClusterPolicyHead(kind: ClusterPolicyKind, object: JsonObject): readonly Problem[] {
  const problems: Problem[] = [];
  const dialect = DIALECTS[kind];
  const spec = readObject(own(object, 'spec'), 'spec', []);
  const name = own(readObject(own(object, 'metadata'), 'metadata', []), 'name');
  if (kind === 'BaselineAdminNetworkPolicy' && name !== 'default')
    problems.push(invalid('metadata.name', name, 'must be "default"'));
  if (dialect.hasTier) {
    const tier = readString(own(spec, 'tier'), 'spec.tier', problems);
    if (tier === undefined) problems.push(required('spec.tier'));
    else if (!TIERS.some((known) => known === tier)) problems.push(notSupported('spec.tier', tier, TIERS));
  }
  if (dialect.hasPriority) {
    const priority = readInteger(own(spec, 'priority'), 'spec.priority', problems);
    if (priority === undefined) problems.push(required('spec.priority'));
    else if (priority < 0 || priority > 1000)
      problems.push(invalid('spec.priority', priority, 'must be between 0 and 1000, inclusive'));
  }
  return problems;
}

export function validateSubject(value: unknown, field: string, dialect: ClusterPolicyDialect): readonly Problem[] {
  return validateOneOf(value, field, INGRESS_PEERS, (key, one, path) => validateSelecting(key, one, path, dialect));
}

function validateRule(
  value: unknown,
  field: string,
  direction: 'ingress' | 'egress',
  peersField: 'from' | 'to',
  dialect: ClusterPolicyDialect,
): readonly Problem[] {
  const problems: Problem[] = [];
  const rule = readObject(value, field, problems);
  addProblems(problems, validateAction(own(rule, 'action'), `${field}.action`, dialect));
  const name = readString(own(rule, 'name'), `${field}.name`, problems) ?? '';
  if (name.length > 100) problems.push(tooLong(`${field}.name`, 100));
  const peers = readList(own(rule, peersField), `${field}.${peersField}`, problems);
  if (peers.length === 0) problems.push(required(`${field}.${peersField}`, 'must have at least one item'));
  if (peers.length > dialect.maxItems) problems.push(tooMany(`${field}.${peersField}`, peers.length, dialect.maxItems));
  for (const [index, peer] of peers.entries())
    addProblems(problems, validateClusterPeer(peer, `${field}.${peersField}[${index}]`, direction, dialect));
  const portsPath = `${field}.${dialect.portsField}`;
  const given = own(rule, dialect.portsField) ?? undefined;
  const ports = readList(given, portsPath, problems);
  if (given !== undefined && ports.length === 0)
    problems.push(required(portsPath, 'must have at least one item when it is given'));
  if (ports.length > dialect.maxItems) problems.push(tooMany(portsPath, ports.length, dialect.maxItems));
  for (const [index, port] of ports.entries())
    addProblems(problems, validateClusterPort(port, `${portsPath}[${index}]`, dialect));
  if (direction === 'egress') addProblems(problems, validateNames(peers, ports, field));
  return problems;
}

/** The kinds' one CEL rule over a whole egress rule. */
function validateNames(peers: readonly unknown[], ports: readonly unknown[], field: string): readonly Problem[] {
  const isNameless = (peer: unknown): boolean =>
    isObject(peer) && ['networks', 'nodes', 'domainNames'].some((key) => (own(peer, key) ?? undefined) !== undefined);
  const isNamed = (port: unknown): boolean =>
    isObject(port) && ['namedPort', 'destinationNamedPort'].some((key) => (own(port, key) ?? undefined) !== undefined);
  return peers.some(isNameless) && ports.some(isNamed)
    ? [
        invalid(
          field,
          undefined,
          'networks, nodes and domainNames peers cannot be combined with a named port: they have no port names',
        ),
      ]
    : [];
}

export function validateAction(value: unknown, field: string, dialect: ClusterPolicyDialect): readonly Problem[] {
  if (value === undefined || value === null) return [required(field)];
  return dialect.actions.some((known) => known === value) ? [] : [notSupported(field, value, dialect.actions)];
}

/** Exactly one kind of peer; one that is unknown may come from a newer API. */
export function validateClusterPeer(
  value: unknown,
  field: string,
  direction: 'ingress' | 'egress',
  dialect: ClusterPolicyDialect,
): readonly Problem[] {
  return validateOneOf(value, field, direction === 'ingress' ? INGRESS_PEERS : EGRESS_PEERS, (key, one, path) => {
    switch (key) {
      case 'nodes':
        return validateLabelSelector(one, path);
      case 'networks':
        return validateNetworks(one, path);
      case 'domainNames':
        return [forbidden(path, 'domain names are not supported by Tortie yet')];
      default:
        return validateSelecting(key, one, path, dialect);
    }
  });
}

/** Exactly one way to say a port. */
export function validateClusterPort(value: unknown, field: string, dialect: ClusterPolicyDialect): readonly Problem[] {
  return validateOneOf(value, field, dialect.portKeys, (key, one, path) => {
    switch (key) {
      case 'namedPort':
      case 'destinationNamedPort':
        return typeof one === 'string' && one !== '' ? [] : [wrongType(path, one, 'a port name')];
      case 'portNumber':
        return [...validateProtocol(one, path), ...validatePortField(one, 'port', path)];
      case 'portRange':
        return [...validateProtocol(one, path), ...validateRange(one, path, (start, end) => start <= end)];
      default:
        return validateDestinationPort(one, path);
    }
  });
}

/** All of a protocol cannot be said: the API refuses `tcp: {}`, whose only member is the port. 1 to 65535 says it. */
function validateDestinationPort(value: unknown, field: string): readonly Problem[] {
  const problems: Problem[] = [];
  const protocol = readObject(value, field, problems);
  const port = own(protocol, 'destinationPort') ?? undefined;
  if (port === undefined)
    return problems.length > 0 ? problems : [required(`${field}.destinationPort`, 'an empty protocol selects nothing')];
  return [
    ...problems,
    ...validateOneOf(port, `${field}.destinationPort`, ['number', 'range'], (key, one, path) =>
      key === 'range'
        ? validateRange(one, path, (start, end) => start < end)
        : validatePortField(port, 'number', `${field}.destinationPort`),
    ),
  ];
}

/**
 * ClusterNetworkPolicy's schema wants start < end. That of the older kinds wants nothing, though their prose does: one port is
 * clear enough, but a range that ends before it starts is not.
 */
function validateRange(
  value: unknown,
  field: string,
  isInOrder: (start: number, end: number) => boolean,
): readonly Problem[] {
  const problems = [...validatePortField(value, 'start', field), ...validatePortField(value, 'end', field)];
  if (problems.length > 0 || !isObject(value)) return problems;
  const [start, end] = [Number(own(value, 'start')), Number(own(value, 'end'))];
  return isInOrder(start, end) ? [] : [invalid(field, value, 'start must be less than end')];
}

function validatePortField(value: unknown, key: string, field: string): readonly Problem[] {
  const problems: Problem[] = [];
  const port = readInteger(own(readObject(value, field, problems), key), `${field}.${key}`, problems);
  if (port === undefined) return problems.length > 0 ? problems : [required(`${field}.${key}`)];
  return portNumberProblems(port).map((want) => invalid(`${field}.${key}`, port, want));
}

function validateProtocol(value: unknown, field: string): readonly Problem[] {
  const protocol = isObject(value) ? (own(value, 'protocol') ?? undefined) : undefined;
  return protocol === undefined || PROTOCOLS.some((known) => known === protocol)
    ? []
    : [notSupported(`${field}.protocol`, protocol, PROTOCOLS)];
}

function validateNetworks(value: unknown, field: string): readonly Problem[] {
  const problems: Problem[] = [];
  const networks = readList(value, field, problems);
  if (networks.length === 0) problems.push(required(field, 'must have at least one item'));
  if (networks.length > MAX_NETWORKS) problems.push(tooMany(field, networks.length, MAX_NETWORKS));
  for (const [index, item] of networks.entries())
    if (typeof item !== 'string' || tryParsePrefix(item) === undefined)
      problems.push(
        invalid(`${field}[${index}]`, item, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'),
      );
  return problems;
}

/** `namespaces` is a selector, `pods` two of them. */
function validateSelecting(
  key: string,
  value: unknown,
  field: string,
  dialect: ClusterPolicyDialect,
): readonly Problem[] {
  if (key === 'namespaces') return validateLabelSelector(value, field);
  const problems: Problem[] = [];
  const pods = readObject(value, field, problems);
  const wanted = dialect.needsNamespaceSelector ? ['namespaceSelector', 'podSelector'] : ['podSelector'];
  for (const one of wanted) if ((own(pods, one) ?? undefined) === undefined) problems.push(required(`${field}.${one}`));
  return [
    ...problems,
    ...validateLabelSelector(own(pods, 'namespaceSelector'), `${field}.namespaceSelector`),
    ...validateLabelSelector(own(pods, 'podSelector'), `${field}.podSelector`),
  ];
}

/** An object with exactly one member, which must be known. */
function validateOneOf(
  value: unknown,
  field: string,
  known: readonly string[],
  validate: (key: string, value: unknown, field: string) => readonly Problem[],
): readonly Problem[] {
  const problems: Problem[] = [];
  const object = readObject(value, field, problems);
  if (object === undefined)
    return problems.length > 0 ? problems : [required(field, `must specify one of ${known.join(', ')}`)];
  const present = Object.keys(object).filter((key) => (own(object, key) ?? undefined) !== undefined);
  const [key] = present;
  if (key === undefined) return [required(field, `must specify one of ${known.join(', ')}`)];
  if (present.length > 1) return [invalid(field, present, 'must have exactly one member')];
  return known.includes(key) ? validate(key, own(object, key), `${field}.${key}`) : [notSupported(field, key, known)];
}
