/**
 * An EndpointSlice read for its endpoints. Only an endpoint's first address counts, as kube-proxy has it (the API calls the others
 * fungible). Conditions that are not given mean ready and serving (discovery.k8s.io/v1 EndpointConditions).
 */
import type { Family } from 'node-bgp/address';
import { fewProblems, invalid, notSupported, type Problem } from '@tortie/policy/problem';
import {
  own,
  readBoolean,
  readInteger,
  readList,
  readObject,
  readString,
  type JsonObject,
} from '@tortie/policy/validate/shape';
import type { Endpoint, SliceModel, SlicePort } from '../model/endpoint.js';
import { HEADLESS_LABEL, SERVICE_NAME_LABEL, type ServiceKubeObject } from '../objects.js';
import { readAddress } from './address.js';
import { readProtocol } from './service.js';

/** BOUNDED: the API allows 1,000 endpoints, 100 ports and 8 hints. */
const MOST_ENDPOINTS = 5_000;
const MOST_PORTS = 100;
const MOST_MEMBERS = 50_000;

export interface ReadSlice {
  readonly slice: SliceModel;
  readonly problems: readonly Problem[];
}

export function translateSlice(
  namespace: string,
  name: string,
  object: ServiceKubeObject,
  nodeName: string,
): ReadSlice {
  const problems: Problem[] = [];
  const labels = object.metadata?.labels ?? undefined;
  const label = own(labels, SERVICE_NAME_LABEL);
  const isForNames = own(labels, HEADLESS_LABEL) !== undefined;
  const service = typeof label === 'string' && label !== '' && !isForNames ? label : undefined;
  const family = familyOf(object, problems);
  const endpoints = family === undefined ? [] : readEndpoints(object, family, nodeName, problems);
  const ports = family === undefined ? [] : readPorts(object, endpoints, problems);
  return { slice: { namespace, name, service, family, ports }, problems: fewProblems(problems) };
}

function familyOf(object: ServiceKubeObject, problems: Problem[]): Family | undefined {
  const type = readString(own(object as JsonObject, 'addressType'), 'addressType', problems);
  if (type === 'IPv4') return 4;
  if (type === 'IPv6') return 6;
  if (type !== 'FQDN') problems.push(notSupported('addressType', type, ['IPv4', 'IPv6', 'FQDN']));
  return undefined;
}

type Bare = Omit<Endpoint, 'port'>;

function readEndpoints(
  object: ServiceKubeObject,
  family: Family,
  nodeName: string,
  problems: Problem[],
): readonly Bare[] {
  const endpoints: Bare[] = [];
  const list = readList(own(object as JsonObject, 'endpoints'), 'endpoints', problems);
  if (list.length > MOST_ENDPOINTS)
    problems.push(
      invalid('endpoints', list.length, `may hold at most ${MOST_ENDPOINTS} endpoints; the others are left out`),
    );
  for (const [index, value] of list.slice(0, MOST_ENDPOINTS).entries()) {
    const field = `endpoints[${index}]`;
    const entry = readObject(value, field, problems);
    const [first] = readList(own(entry, 'addresses'), `${field}.addresses`, problems);
    const read = readAddress(first);
    if (read.type === 'refused') problems.push(invalid(`${field}.addresses[0]`, first, read.expected));
    else if (read.address.family !== family)
      problems.push(invalid(`${field}.addresses[0]`, first, `must be an IPv${family} address, as addressType says`));
    else endpoints.push({ address: read.text, ...detailsOf(entry, field, nodeName, problems) });
  }
  return endpoints;
}

function detailsOf(
  entry: JsonObject | undefined,
  field: string,
  nodeName: string,
  problems: Problem[],
): Omit<Bare, 'address'> {
  const conditions = readObject(own(entry, 'conditions'), `${field}.conditions`, problems);
  const condition = (key: string): boolean | undefined =>
    readBoolean(own(conditions, key), `${field}.conditions.${key}`, problems);
  const node = readString(own(entry, 'nodeName'), `${field}.nodeName`, problems);
  const hints = readObject(own(entry, 'hints'), `${field}.hints`, problems);
  const isReady = condition('ready') ?? true;
  const target = targetOf(entry);
  return {
    isLocal: node !== undefined && node === nodeName,
    isReady,
    isServing: condition('serving') ?? true,
    isTerminating: condition('terminating') ?? false,
    zoneHints: hintsOf(hints, 'forZones'),
    nodeHints: hintsOf(hints, 'forNodes'),
    ...(node === undefined ? {} : { nodeName: node }),
    ...(target === undefined ? {} : { target }),
  };
}

const NONE: readonly string[] = [];

function hintsOf(hints: JsonObject | undefined, key: string): readonly string[] {
  const list = readList(own(hints, key), key, []);
  if (list.length === 0) return NONE;
  return list
    .map((one) => own(readObject(one, key, []), 'name'))
    .filter((name): name is string => typeof name === 'string' && name !== '');
}

function targetOf(entry: JsonObject | undefined): string | undefined {
  const target = readObject(own(entry, 'targetRef'), 'targetRef', []);
  const name = own(target, 'name');
  if (typeof name !== 'string') return undefined;
  const namespace = own(target, 'namespace');
  const kind = String(own(target, 'kind') ?? 'Pod').toLowerCase();
  return `${kind} ${typeof namespace === 'string' ? `${namespace}/` : ''}${name}`;
}

/** A port without a number means "all ports", which a Service's port cannot be sent to: kube-proxy leaves it out, and so do we. */
function readPorts(object: ServiceKubeObject, endpoints: readonly Bare[], problems: Problem[]): readonly SlicePort[] {
  const ports: SlicePort[] = [];
  const list = readList(own(object as JsonObject, 'ports'), 'ports', problems);
  const most = Math.min(MOST_PORTS, Math.floor(MOST_MEMBERS / Math.max(1, endpoints.length)));
  if (list.length > most)
    problems.push(invalid('ports', list.length, `may hold at most ${most} ports; the others are left out`));
  for (const [index, value] of list.slice(0, most).entries()) {
    const field = `ports[${index}]`;
    const entry = readObject(value, field, problems);
    const name = readString(own(entry, 'name'), `${field}.name`, problems) ?? '';
    const protocol = readProtocol(own(entry, 'protocol'), `${field}.protocol`, problems);
    const port = readInteger(own(entry, 'port'), `${field}.port`, problems);
    if (protocol === undefined || port === undefined) continue;
    if (port < 1 || port > 65_535) problems.push(invalid(`${field}.port`, port, 'must be between 1 and 65535'));
    else ports.push({ name, protocol, endpoints: endpoints.map((one) => ({ ...one, port })) });
  }
  return ports;
}
