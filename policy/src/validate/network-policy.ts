/**
 * Validation of networking.k8s.io/v1 NetworkPolicy, clause by clause as the API server does it
 * (kubernetes pkg/apis/networking/validation). `validateNetworkPolicy` judges an object from outside; the part validators are
 * shared with the translator, which lets the rest of a policy stand when one part is refused.
 */
import { containsPrefix } from 'node-bgp/address';
import { addProblems, forbidden, invalid, notSupported, required, wrongType, type Problem } from '../problem.js';
import { tryParseCidr, validateCidr } from './cidr.js';
import { validateLabelSelector } from './label-selector.js';
import { portNameProblems, portNumberProblems } from './names.js';
import { validateObjectMeta } from './object-meta.js';
import { isObject, own, readInteger, readList, readObject, readString, type JsonObject } from './shape.js';

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
const POLICY_TYPES = ['Ingress', 'Egress'] as const;

/** Every reason why an API server would refuse this object; none when it is valid. */
export function validateNetworkPolicy(object: unknown): readonly Problem[] {
  if (!isObject(object)) return [wrongType('', object, 'an object')];
  const problems: Problem[] = [...validateObjectMeta(own(object, 'metadata'), 'namespaced')];
  const spec = readObject(own(object, 'spec'), 'spec', problems);
  return [...problems, ...validateNetworkPolicySpec(spec, 'spec')];
}

export function validateNetworkPolicySpec(spec: JsonObject | undefined, field: string): readonly Problem[] {
  const problems: Problem[] = [...validateLabelSelector(own(spec, 'podSelector'), `${field}.podSelector`)];
  for (const [direction, peers] of [
    ['ingress', 'from'],
    ['egress', 'to'],
  ] as const)
    for (const [index, value] of readList(own(spec, direction), `${field}.${direction}`, problems).entries()) {
      const path = `${field}.${direction}[${index}]`;
      const rule = readObject(value, path, problems);
      for (const [at, port] of readList(own(rule, 'ports'), `${path}.ports`, problems).entries())
        addProblems(problems, validateNetworkPolicyPort(port, `${path}.ports[${at}]`));
      for (const [at, peer] of readList(own(rule, peers), `${path}.${peers}`, problems).entries())
        addProblems(problems, validateNetworkPolicyPeer(peer, `${path}.${peers}[${at}]`));
    }
  return [...problems, ...validatePolicyTypes(own(spec, 'policyTypes'), `${field}.policyTypes`)];
}

export function validatePolicyTypes(value: unknown, field: string): readonly Problem[] {
  const problems: Problem[] = [];
  const types = readList(value, field, problems);
  if (types.length > POLICY_TYPES.length)
    return [...problems, invalid(field, types, 'may not specify more than two policyTypes')];
  for (const [index, type] of types.entries())
    if (!POLICY_TYPES.some((known) => known === type))
      problems.push(notSupported(`${field}[${index}]`, type, POLICY_TYPES));
  return problems;
}

export function validateNetworkPolicyPort(value: unknown, field: string): readonly Problem[] {
  const problems: Problem[] = [];
  const item = readObject(value, field, problems);
  const protocol = readString(own(item, 'protocol'), `${field}.protocol`, problems);
  if (protocol !== undefined && !PROTOCOLS.some((known) => known === protocol))
    problems.push(notSupported(`${field}.protocol`, protocol, PROTOCOLS));
  const endPort = readInteger(own(item, 'endPort'), `${field}.endPort`, problems);
  const port = own(item, 'port') ?? undefined;
  if (typeof port === 'number') {
    for (const want of portNumberProblems(port)) problems.push(invalid(`${field}.port`, port, want));
    if (endPort !== undefined && endPort < port)
      problems.push(invalid(`${field}.endPort`, endPort, 'must be greater than or equal to `port`'));
    if (endPort !== undefined)
      for (const want of portNumberProblems(endPort)) problems.push(invalid(`${field}.endPort`, endPort, want));
  } else if (typeof port === 'string') {
    if (endPort !== undefined)
      problems.push(invalid(`${field}.endPort`, endPort, 'may not be specified when `port` is non-numeric'));
    for (const want of portNameProblems(port)) problems.push(invalid(`${field}.port`, port, want));
  } else if (port !== undefined) problems.push(wrongType(`${field}.port`, port, 'a port number or a port name'));
  else if (endPort !== undefined)
    problems.push(invalid(`${field}.endPort`, endPort, 'may not be specified when `port` is not specified'));
  return problems;
}

export function validateNetworkPolicyPeer(value: unknown, field: string): readonly Problem[] {
  const problems: Problem[] = [];
  const peer = readObject(value, field, problems);
  const present = ['podSelector', 'namespaceSelector', 'ipBlock'].filter(
    (key) => (own(peer, key) ?? undefined) !== undefined,
  );
  for (const key of present)
    addProblems(
      problems,
      key === 'ipBlock'
        ? validateIpBlock(own(peer, key), `${field}.${key}`)
        : validateLabelSelector(own(peer, key), `${field}.${key}`),
    );
  if (present.length === 0) problems.push(required(field, 'must specify a peer'));
  else if (present.length > 1 && present.includes('ipBlock'))
    problems.push(forbidden(field, 'may not specify both ipBlock and another peer'));
  return problems;
}

/** Host bits are legal here (masked); an except must be strictly inside its block, so never of the other family. */
export function validateIpBlock(value: unknown, field: string): readonly Problem[] {
  const problems: Problem[] = [];
  const block = readObject(value, field, problems);
  const text = readString(own(block, 'cidr'), `${field}.cidr`, problems) ?? '';
  const excepts = readList(own(block, 'except'), `${field}.except`, problems);
  if (text === '') return [...problems, required(`${field}.cidr`)];
  addProblems(problems, validateCidr(text, `${field}.cidr`));
  const cidr = tryParseCidr(text);
  if (cidr === undefined) return problems;
  for (const [index, item] of excepts.entries()) {
    const path = `${field}.except[${index}]`;
    const exceptText = readString(item, path, problems);
    if (exceptText === undefined) continue;
    addProblems(problems, validateCidr(exceptText, path));
    const except = tryParseCidr(exceptText);
    if (except !== undefined && (!containsPrefix(cidr, except) || cidr.length >= except.length))
      problems.push(invalid(path, exceptText, 'must be a strict subset of `cidr`'));
  }
  return problems;
}
