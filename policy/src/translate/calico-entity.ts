/**
 * One end of a Calico rule (source or destination) to entity matches, one per way of being met.
 *
 * Numbers, ranges and names in one list of ports are alternatives, so an end with names beside numbers becomes several. A namespaced policy
 * means its own namespace as soon as any selector is used, notSelector included (libcalico-go's GetEntityRuleSelector).
 */
import type { IpPrefix } from 'node-bgp/address';
import { unionNetworks, type Networks } from '../model/networks.js';
import { hasPorts, unionPorts } from '../model/ports.js';
import type { Direction, EntityMatch, NamedPortMatch } from '../model/policy.js';
import { selectionOf, type NamespaceCondition, type Selection } from '../model/selection.js';
import { forbidden, invalid, required, type Problem } from '../problem.js';
import type { PortRange } from '../ruleset.js';
import { parseNetwork } from '../model/packed-networks.js';
import { SERVICE_ACCOUNT_LABEL } from '../resolve/pod.js';
import { ALL, valueTerm, type Selector } from '../selector/selector.js';
import { portNumberProblems } from '../validate/names.js';
import { own, readList, readObject, readString, type JsonObject } from '../validate/shape.js';
import { both, parseAccountSelector, parseEndpointSelector, parseNamespaceSelector } from './calico-selector.js';

export interface EntityContext {
  readonly side: 'source' | 'destination';
  readonly direction: Direction;
  /** Of the policy; undefined for a global one. */
  readonly namespace?: string;
  readonly protocol?: number;
}

/** Refused conditions are left out and reported; the caller decides what that makes of the rule. */
export function translateEntity(
  value: unknown,
  field: string,
  context: EntityContext,
  refused: Problem[],
): readonly EntityMatch[] {
  const entity = readObject(value, field, refused);
  if (entity === undefined) return [{}];
  const selection = translateSelection(entity, field, context, refused);
  const notText = readString(own(entity, 'notSelector'), `${field}.notSelector`, refused) ?? '';
  const notLabels = notText === '' ? undefined : parseEndpointSelector(notText, `${field}.notSelector`, refused);
  const networks = readNetworks(entity, 'nets', field, refused);
  const notNetworks = readNetworks(entity, 'notNets', field, refused);
  const service = translateService(entity, field, context, refused);
  const ports = readPorts(entity, 'ports', field, context, refused);
  const notPorts = readPorts(entity, 'notPorts', field, context, refused);
  const base: EntityMatch = {
    ...(selection === undefined ? {} : { selection }),
    ...(notLabels === undefined ? {} : { notSelection: selectionOf({ type: 'everywhere' }, notLabels, 'endpoints') }),
    ...(networks === undefined ? {} : { networks }),
    ...(notNetworks === undefined ? {} : { notNetworks }),
    ...(service === undefined ? {} : { service }),
    ...(notPorts === undefined || notPorts.ranges.length === 0 ? {} : { notPorts: notPorts.ranges }),
    ...(notPorts === undefined || notPorts.names.length === 0 ? {} : { notNamedPorts: notPorts.names }),
  };
  return ports === undefined ? [base] : withPorts(base, ports);
}

interface Ports {
  readonly ranges: readonly PortRange[];
  readonly names: readonly NamedPortMatch[];
}

function withPorts(base: EntityMatch, ports: Ports): readonly EntityMatch[] {
  const numbered: readonly EntityMatch[] = ports.ranges.length > 0 ? [{ ...base, ports: ports.ranges }] : [];
  // A name is only ever an endpoint's.
  const everyone = selectionOf({ type: 'everywhere' }, ALL, 'endpoints');
  return [
    ...numbered,
    ...ports.names.map((namedPort): EntityMatch => ({ ...base, selection: base.selection ?? everyone, namedPort })),
  ];
}

/** selector, namespaceSelector and serviceAccounts together; undefined when none of them is there. */
function translateSelection(
  entity: JsonObject,
  field: string,
  context: EntityContext,
  refused: Problem[],
): Selection | undefined {
  const text = (key: string): string => readString(own(entity, key), `${field}.${key}`, refused) ?? '';
  const [selector, namespaces, notSelector] = [text('selector'), text('namespaceSelector'), text('notSelector')];
  const labels = selector === '' ? undefined : parseEndpointSelector(selector, `${field}.selector`, refused);
  const accounts = translateAccounts(entity, field, refused);
  if (
    selector === '' &&
    namespaces === '' &&
    accounts === undefined &&
    (notSelector === '' || context.namespace === undefined)
  )
    return undefined;
  const where: NamespaceCondition | undefined =
    namespaces !== ''
      ? parseNamespaceSelector(namespaces, `${field}.namespaceSelector`, refused)
      : context.namespace === undefined
        ? { type: 'everywhere' }
        : { type: 'name', name: context.namespace };
  return where === undefined ? undefined : selectionOf(where, both(labels, accounts), 'endpoints');
}

/** Names and selector are ANDed; names are ORed. */
function translateAccounts(entity: JsonObject, field: string, refused: Problem[]): Selector | undefined {
  const path = `${field}.serviceAccounts`;
  const accounts = readObject(own(entity, 'serviceAccounts'), path, refused);
  if (accounts === undefined) return undefined;
  const names = readList(own(accounts, 'names'), `${path}.names`, refused).filter((name) => typeof name === 'string');
  const text = readString(own(accounts, 'selector'), `${path}.selector`, refused) ?? '';
  const labels = text === '' ? undefined : parseAccountSelector(text, `${path}.selector`, refused);
  // A service account is what only pods have: an empty match means any of them.
  const named: Selector =
    names.length > 0 ? valueTerm('in', SERVICE_ACCOUNT_LABEL, names) : { type: 'present', key: SERVICE_ACCOUNT_LABEL };
  return both(named, labels);
}

/** The namespace defaults to the policy's. Only a destination has the Service's ports. */
function translateService(
  entity: JsonObject,
  field: string,
  context: EntityContext,
  refused: Problem[],
): EntityMatch['service'] {
  const path = `${field}.services`;
  const service = readObject(own(entity, 'services'), path, refused);
  if (service === undefined) return undefined;
  for (const key of ['selector', 'notSelector', 'namespaceSelector', 'serviceAccounts', 'nets', 'notNets'] as const)
    if (isGiven(own(entity, key)))
      refused.push(forbidden(`${field}.${key}`, 'cannot be combined with services in one rule'));
  const withPorts = context.side === 'destination';
  for (const key of ['ports', 'notPorts'] as const)
    if (withPorts && isGiven(own(entity, key)))
      refused.push(forbidden(`${field}.${key}`, 'cannot be combined with services in one rule'));
  if (context.side !== (context.direction === 'ingress' ? 'source' : 'destination'))
    refused.push(forbidden(path, 'services can only be the peer: the source of ingress, the destination of egress'));
  const name = readString(own(service, 'name'), `${path}.name`, refused) ?? '';
  const namespace = readString(own(service, 'namespace'), `${path}.namespace`, refused) || context.namespace;
  if (name === '') refused.push(required(`${path}.name`));
  if (namespace === undefined) refused.push(required(`${path}.namespace`, 'a global policy must name it'));
  return name === '' || namespace === undefined ? undefined : { namespace, name, withPorts };
}

const isGiven = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== '' && !(Array.isArray(value) && value.length === 0);

/** undefined when the list is missing or empty, which is no condition. */
function readNetworks(
  entity: JsonObject,
  key: 'nets' | 'notNets',
  field: string,
  refused: Problem[],
): Networks | undefined {
  const list = readList(own(entity, key), `${field}.${key}`, refused);
  if (list.length === 0) return undefined;
  const prefixes: IpPrefix[] = [];
  for (const [index, item] of list.entries()) {
    const prefix = parseNetwork(item);
    if (prefix === undefined)
      refused.push(invalid(`${field}.${key}[${index}]`, item, 'must be an address or a CIDR value'));
    else prefixes.push(prefix);
  }
  return prefixes.length === 0 ? undefined : unionNetworks(prefixes);
}

function readPorts(
  entity: JsonObject,
  key: 'ports' | 'notPorts',
  field: string,
  context: EntityContext,
  refused: Problem[],
): Ports | undefined {
  const list = readList(own(entity, key), `${field}.${key}`, refused);
  if (list.length === 0) return undefined;
  const { protocol } = context;
  if (protocol === undefined || !hasPorts(protocol)) {
    refused.push(invalid(`${field}.${key}`, list, 'needs protocol TCP, UDP, SCTP or UDPLite in the same rule'));
    return undefined;
  }
  const ranges: PortRange[] = [];
  const names = new Set<string>();
  for (const [index, item] of list.entries()) {
    const range = parsePort(item);
    if (range !== undefined) ranges.push(range);
    else if (typeof item === 'string' && /^[a-zA-Z0-9_.-]{1,128}$/.test(item) && /[a-zA-Z]/.test(item)) names.add(item);
    else
      refused.push(
        invalid(`${field}.${key}[${index}]`, item, 'must be a port, a range such as "80:90", or a port name'),
      );
  }
  return { ranges: unionPorts(ranges), names: [...names].sort().map((name) => ({ name, protocol })) };
}

/** 80, "80" or "80:90". Unlike elsewhere, port 0 is a port. */
function parsePort(value: unknown): PortRange | undefined {
  const text = typeof value === 'number' ? `${value}` : typeof value === 'string' ? value : '';
  const match = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const from = Number(match[1]);
  const to = match[2] === undefined ? from : Number(match[2]);
  return [from, to].every((port) => port === 0 || portNumberProblems(port).length === 0) && from <= to
    ? { from, to }
    : undefined;
}
