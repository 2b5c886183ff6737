/**
 * What policy needs to know of a HostEndpoint, a network set and a Service's endpoint slice, read once from the API objects.
 */
import { formatAddress, tryParseAddress } from 'node-bgp/address';
import type { KubeObject } from '../objects.js';
import { MOST_HOST_ITEMS, MOST_SLICE_ADDRESSES, MOST_SLICE_MEMBERS } from '../model/bounds.js';
import { packNetworks, type PackedNetworks } from '../model/packed-networks.js';
import { protocolNumber, TCP } from '../model/ports.js';
import { invalid, required, tooMany, type Problem } from '../problem.js';
import type { Labels } from '../selector/selector.js';
import { portNumberProblems } from '../validate/names.js';
import { own, readInteger, readList, readObject, readString, type JsonObject } from '../validate/shape.js';
import { labelMap, NAMESPACE_LABEL, type NamedPort } from './pod.js';

/** Labels that Calico gives network sets, under keys that no user label can have. */
export const KIND_LABEL = '\u0001kind';
export const NAME_LABEL = '\u0001name';

export interface HostEndpoint {
  readonly name: string;
  readonly node: string;
  /** "*" for every interface of the host, "" when only addresses are given. */
  readonly interfaceName: string;
  readonly labels: Labels;
  readonly addresses: readonly string[];
  readonly ports: readonly NamedPort[];
  readonly profiles: readonly string[];
}

/** Calico's profile that allows what no policy decides; without it a host endpoint denies. */
const DEFAULT_ALLOW_PROFILE = 'projectcalico-default-allow';
export const allowsByDefault = (host: HostEndpoint): boolean => host.profiles.includes(DEFAULT_ALLOW_PROFILE);

export interface NetworkSet {
  /** undefined for a GlobalNetworkSet. */
  readonly namespace?: string;
  readonly name: string;
  readonly labels: Labels;
  readonly networks: PackedNetworks;
}

/** One endpoint of a Service with the ports that the Service sends to. */
export interface ServiceEndpoint {
  readonly address: string;
  readonly ports: readonly { readonly protocol: number; readonly port: number }[];
}

const specOf = (object: KubeObject, problems: Problem[]): JsonObject | undefined =>
  readObject(own(object as JsonObject, 'spec'), 'spec', problems);

/** undefined when the object as a whole is refused. */
export function hostEndpointOf(name: string, object: KubeObject, problems: Problem[]): HostEndpoint | undefined {
  const spec = specOf(object, problems);
  const node = readString(own(spec, 'node'), 'spec.node', problems) ?? '';
  const interfaceName = readString(own(spec, 'interfaceName'), 'spec.interfaceName', problems) ?? '';
  // The name goes into rules' text: nothing but what a kernel interface can be called.
  const isName = interfaceName === '' || interfaceName === '*' || /^[A-Za-z0-9_.-]{1,15}$/.test(interfaceName);
  if (!isName)
    problems.push(
      invalid('spec.interfaceName', interfaceName, 'must be "*" or the name of an interface, at most 15 characters'),
    );
  const addresses: string[] = [];
  for (const [index, item] of fewItems(own(spec, 'expectedIPs'), 'spec.expectedIPs', problems)) {
    const address = typeof item === 'string' ? tryParseAddress(item) : undefined;
    if (address === undefined)
      problems.push(invalid(`spec.expectedIPs[${index}]`, item, 'must be an IPv4 or IPv6 address'));
    else addresses.push(formatAddress(address));
  }
  if (node === '') problems.push(required('spec.node'));
  if (interfaceName === '' && addresses.length === 0)
    problems.push(required('spec.interfaceName', 'at least one of interfaceName and expectedIPs is required'));
  if (node === '' || !isName || (interfaceName === '' && addresses.length === 0)) return undefined;
  const profiles = readList(own(spec, 'profiles'), 'spec.profiles', problems).filter((one) => typeof one === 'string');
  return {
    name,
    node,
    interfaceName,
    addresses: [...new Set(addresses)],
    profiles,
    labels: labelMap(object.metadata?.labels),
    ports: hostPorts(spec, problems),
  };
}

/** The items of a list up to the bound; past it they are left out and told. */
function fewItems(value: unknown, field: string, problems: Problem[]): IterableIterator<[number, unknown]> {
  const list = readList(value, field, problems);
  if (list.length > MOST_HOST_ITEMS) problems.push(tooMany(field, list.length, MOST_HOST_ITEMS));
  return list.slice(0, MOST_HOST_ITEMS).entries();
}

function hostPorts(spec: JsonObject | undefined, problems: Problem[]): readonly NamedPort[] {
  const ports: NamedPort[] = [];
  for (const [index, item] of fewItems(own(spec, 'ports'), 'spec.ports', problems)) {
    const field = `spec.ports[${index}]`;
    const entry = readObject(item, field, problems);
    const name = readString(own(entry, 'name'), `${field}.name`, problems) ?? '';
    const port = readInteger(own(entry, 'port'), `${field}.port`, problems) ?? 0;
    const given = own(entry, 'protocol') ?? TCP;
    const protocol = typeof given === 'number' ? given : protocolNumber(String(given));
    if (protocol === undefined) problems.push(invalid(`${field}.protocol`, given, 'must be a protocol name or number'));
    for (const want of portNumberProblems(port)) problems.push(invalid(`${field}.port`, port, want));
    if (name !== '' && protocol !== undefined && portNumberProblems(port).length === 0)
      ports.push({ name, protocol, port });
  }
  return ports;
}

/** A refused entry is left out; the others stand. */
export function networkSetOf(
  namespace: string | undefined,
  name: string,
  object: KubeObject,
  problems: Problem[],
): NetworkSet {
  const list = readList(own(specOf(object, problems), 'nets'), 'spec.nets', problems);
  const networks = packNetworks(list, (index) =>
    problems.push(invalid(`spec.nets[${index}]`, list[index], 'must be an address or a CIDR value')),
  );
  const labels = labelMap(object.metadata?.labels);
  if (namespace !== undefined) labels.set(NAMESPACE_LABEL, namespace);
  labels.set(KIND_LABEL, namespace === undefined ? 'GlobalNetworkSet' : 'NetworkSet').set(NAME_LABEL, name);
  return { ...(namespace === undefined ? {} : { namespace }), name, labels, networks };
}

/**
 * Addresses of a slice, ready or not: a connection may be older than a failing probe. Host names are no addresses. Past the bounds nothing
 * more is taken in, so that a rule that names the Service means fewer endpoints.
 */
export function serviceEndpointsOf(object: KubeObject, problems: Problem[]): readonly ServiceEndpoint[] {
  const ignored: Problem[] = [];
  const ports: { protocol: number; port: number }[] = [];
  for (const item of readList(own(object as JsonObject, 'ports'), 'ports', ignored)) {
    const entry = readObject(item, 'ports', ignored);
    const port = readInteger(own(entry, 'port'), 'port', ignored);
    const protocol = protocolNumber(readString(own(entry, 'protocol'), 'protocol', ignored) ?? 'TCP');
    if (port !== undefined && protocol !== undefined) ports.push({ protocol, port });
  }
  const endpoints: ServiceEndpoint[] = [];
  const most = Math.min(MOST_SLICE_ADDRESSES, Math.floor(MOST_SLICE_MEMBERS / Math.max(1, ports.length)));
  for (const item of readList(own(object as JsonObject, 'endpoints'), 'endpoints', ignored))
    for (const text of readList(own(readObject(item, 'endpoints', ignored), 'addresses'), 'addresses', ignored)) {
      const address = typeof text === 'string' ? tryParseAddress(text) : undefined;
      if (address === undefined) continue;
      if (endpoints.length >= most) {
        problems.push(invalid('endpoints', undefined, `may hold at most ${most} addresses; the others are left out`));
        return endpoints;
      }
      endpoints.push({ address: formatAddress(address), ports });
    }
  return endpoints;
}
