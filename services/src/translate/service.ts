/**
 * A Service object read for what the node does with it. A part that cannot be read is a problem of that part: the other ports and
 * addresses go on. What the API server's validation would never let through is looked at all the same, since objects come from files too.
 */
import { formatPrefix, tryParsePrefix, type Family, type IpPrefix } from 'node-bgp/address';
import { duplicate, fewProblems, invalid, notSupported, type Problem } from '@tortie/policy/problem';
import { own, readInteger, readList, readObject, readString, type JsonObject } from '@tortie/policy/validate/shape';
import {
  PROTOCOL_NUMBERS,
  type Protocol,
  type ServiceFamily,
  type ServiceModel,
  type ServicePort,
  type Translated,
} from '../model/service.js';
import { PROXY_NAME_LABEL, type ServiceKubeObject } from '../objects.js';
import { readAddress } from './address.js';

/** API default, DefaultClientIPServiceAffinitySeconds; and the most that its validation allows. */
const DEFAULT_AFFINITY = 10_800;
const LONGEST_AFFINITY = 86_400;
const HIGHEST_PORT = 65_535;
/** BOUNDED: a Service's ports, its addresses of a kind and its source ranges; far above what any API server takes. */
const MOST_PORTS = 1_000;
const MOST_ADDRESSES = 256;
const MOST_RANGES = 2_000;

export function translateService(namespace: string, name: string, object: ServiceKubeObject): Translated {
  const problems: Problem[] = [];
  const done = (reason: string): Translated => ({ type: 'none', reason, problems: fewProblems(problems) });
  const { metadata } = object;
  const proxy = own(metadata?.labels ?? undefined, PROXY_NAME_LABEL);
  if (proxy !== undefined) return done(`the label ${PROXY_NAME_LABEL} gives it to proxy "${String(proxy)}"`);
  const spec = readObject(own(object as JsonObject, 'spec'), 'spec', problems);
  const type = readChoice(spec, 'type', ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'], problems);
  if (type === 'ExternalName') return done('type ExternalName is a name in DNS alone');
  if (own(spec, 'clusterIP') === 'None') return done('it is headless: its names resolve to pods');
  const ports = readPorts(spec, problems);
  const families = readFamilies(object, spec, type ?? 'ClusterIP', problems);
  if (families.length === 0) return done('it has no cluster IP');
  const service: ServiceModel = {
    namespace,
    name,
    created: Date.parse(metadata?.creationTimestamp ?? '') / 1000 || 0,
    families,
    ports,
    isInternalLocal: readChoice(spec, 'internalTrafficPolicy', ['Cluster', 'Local'], problems) === 'Local',
    isExternalLocal:
      isExternal(type, families) &&
      readChoice(spec, 'externalTrafficPolicy', ['Cluster', 'Local'], problems) === 'Local',
    ...affinityOf(spec, problems),
    ...healthCheckOf(spec, type, problems),
  };
  return { type: 'service', service, problems: fewProblems(problems) };
}

/** apiservice.ExternallyAccessible: where the field has no meaning it is not looked at. */
const isExternal = (type: string | undefined, families: readonly ServiceFamily[]): boolean =>
  type === 'NodePort' || type === 'LoadBalancer' || families.some(({ externalIps }) => externalIps.length > 0);

function readChoice<T extends string>(
  spec: JsonObject | undefined,
  field: string,
  choices: readonly T[],
  problems: Problem[],
): T | undefined {
  const value = readString(own(spec, field), `spec.${field}`, problems);
  if (value === undefined || value === '') return undefined;
  const found = choices.find((choice) => choice === value);
  if (found === undefined) problems.push(notSupported(`spec.${field}`, value, choices));
  return found;
}

function* firstOf(
  spec: JsonObject | undefined,
  field: string,
  most: number,
  problems: Problem[],
): Generator<[field: string, value: unknown]> {
  const list = readList(own(spec, field), `spec.${field}`, problems);
  if (list.length > most)
    problems.push(invalid(`spec.${field}`, list.length, `may hold at most ${most} items; the others are left out`));
  for (const [index, value] of list.slice(0, most).entries()) yield [`spec.${field}[${index}]`, value];
}

function readPorts(spec: JsonObject | undefined, problems: Problem[]): readonly ServicePort[] {
  const ports: ServicePort[] = [];
  const taken = new Set<string>();
  const names = new Set<string>();
  for (const [field, value] of firstOf(spec, 'ports', MOST_PORTS, problems)) {
    const entry = readObject(value, field, problems);
    const name = readString(own(entry, 'name'), `${field}.name`, problems) ?? '';
    const protocol = readProtocol(own(entry, 'protocol'), `${field}.protocol`, problems);
    const port = readPort(entry, 'port', field, problems);
    const nodePort = (own(entry, 'nodePort') ?? 0) === 0 ? undefined : readPort(entry, 'nodePort', field, problems);
    if (port === undefined || protocol === undefined) continue;
    const key = `${protocol}:${port}`;
    if (names.has(name)) problems.push(duplicate(`${field}.name`, name));
    else if (taken.has(key)) problems.push(duplicate(`${field}.port`, port));
    else ports.push({ name, protocol, port, ...(nodePort === undefined ? {} : { nodePort }) });
    names.add(name);
    taken.add(key);
  }
  return ports;
}

export function readProtocol(value: unknown, field: string, problems: Problem[]): Protocol | undefined {
  const text = readString(value, field, problems) ?? 'TCP';
  const protocol = text.toLowerCase();
  if (protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp') return protocol;
  problems.push(
    notSupported(
      field,
      text,
      Object.keys(PROTOCOL_NUMBERS).map((one) => one.toUpperCase()),
    ),
  );
  return undefined;
}

function readPort(entry: JsonObject | undefined, key: string, field: string, problems: Problem[]): number | undefined {
  const port = readInteger(own(entry, key), `${field}.${key}`, problems);
  if (port !== undefined && port >= 1 && port <= HIGHEST_PORT) return port;
  problems.push(invalid(`${field}.${key}`, own(entry, key), `must be between 1 and ${HIGHEST_PORT}`));
  return undefined;
}

function readFamilies(
  object: ServiceKubeObject,
  spec: JsonObject | undefined,
  type: string,
  problems: Problem[],
): readonly ServiceFamily[] {
  const clusterIps = new Map<Family, string>();
  const hasMany = readList(own(spec, 'clusterIPs'), 'spec.clusterIPs', problems).length > 0;
  const given = hasMany
    ? firstOf(spec, 'clusterIPs', MOST_ADDRESSES, problems)
    : [['spec.clusterIP', own(spec, 'clusterIP')] as const].filter(([, value]) => (value ?? '') !== '');
  for (const [field, value] of given) {
    const read = readAddress(value);
    if (read.type === 'refused') problems.push(invalid(field, value, read.expected));
    else if (clusterIps.has(read.address.family)) problems.push(duplicate(field, value));
    else clusterIps.set(read.address.family, read.text);
  }
  const external = readAddresses(firstOf(spec, 'externalIPs', MOST_ADDRESSES, problems), problems);
  const balancers = type === 'LoadBalancer' ? readIngress(object, problems) : new Map<Family, readonly string[]>();
  const ranges = type === 'LoadBalancer' ? readSourceRanges(spec, problems) : undefined;
  return [...clusterIps].map(([family, clusterIp]) => {
    const sourceRanges = ranges?.(family);
    return {
      family,
      clusterIp,
      externalIps: external.get(family) ?? [],
      loadBalancerIps: balancers.get(family) ?? [],
      ...(sourceRanges === undefined ? {} : { sourceRanges }),
    };
  });
}

function readAddresses(
  items: Iterable<readonly [field: string, value: unknown]>,
  problems: Problem[],
): ReadonlyMap<Family, readonly string[]> {
  const found = new Map<Family, Set<string>>();
  for (const [field, value] of items) {
    const read = readAddress(value);
    if (read.type === 'refused') {
      problems.push(invalid(field, value, read.expected));
      continue;
    }
    const texts = found.get(read.address.family) ?? new Set();
    found.set(read.address.family, texts.add(read.text));
  }
  return new Map([...found].map(([family, texts]) => [family, [...texts]]));
}

/** Host names and addresses of mode Proxy are the load balancer's own affair: it comes to us by other ways. */
function readIngress(object: ServiceKubeObject, problems: Problem[]): ReadonlyMap<Family, readonly string[]> {
  const status = readObject(own(object as JsonObject, 'status'), 'status', problems);
  const balancer = readObject(own(status, 'loadBalancer'), 'status.loadBalancer', problems);
  const addresses: [string, unknown][] = [];
  for (const [index, value] of readList(own(balancer, 'ingress'), 'status.loadBalancer.ingress', problems).entries()) {
    const field = `status.loadBalancer.ingress[${index}]`;
    const entry = readObject(value, field, problems);
    const mode = own(entry, 'ipMode') ?? 'VIP';
    if (mode !== 'VIP' && mode !== 'Proxy') problems.push(notSupported(`${field}.ipMode`, mode, ['VIP', 'Proxy']));
    if (mode === 'Proxy' || (own(entry, 'ip') ?? '') === '') continue;
    if (addresses.length < MOST_ADDRESSES) addresses.push([`${field}.ip`, own(entry, 'ip')]);
  }
  return readAddresses(addresses, problems);
}

/** Undefined: no range is given. Ranges of the other family alone do not close this one; ranges that nobody can read close both. */
function readSourceRanges(
  spec: JsonObject | undefined,
  problems: Problem[],
): ((family: Family) => readonly IpPrefix[] | undefined) | undefined {
  const ranges = new Map<string, IpPrefix>();
  let isGiven = false;
  for (const [field, value] of firstOf(spec, 'loadBalancerSourceRanges', MOST_RANGES, problems)) {
    isGiven = true;
    // The API server lets spaces around a range through.
    const range = typeof value === 'string' ? tryParsePrefix(value.trim()) : undefined;
    if (range === undefined) problems.push(invalid(field, value, 'must be a CIDR value'));
    else ranges.set(formatPrefix(range), range);
  }
  if (!isGiven) return undefined;
  if (ranges.size === 0) return () => [];
  return (family) => {
    const own = [...ranges.values()].filter((range) => range.family === family);
    return own.length === 0 || own.some(({ length }) => length === 0) ? undefined : own;
  };
}

function affinityOf(spec: JsonObject | undefined, problems: Problem[]): { readonly affinitySeconds?: number } {
  if (readChoice(spec, 'sessionAffinity', ['ClientIP', 'None'], problems) !== 'ClientIP') return {};
  const config = readObject(own(spec, 'sessionAffinityConfig'), 'spec.sessionAffinityConfig', problems);
  const client = readObject(own(config, 'clientIP'), 'spec.sessionAffinityConfig.clientIP', problems);
  const field = 'spec.sessionAffinityConfig.clientIP.timeoutSeconds';
  const seconds = readInteger(own(client, 'timeoutSeconds'), field, problems) ?? DEFAULT_AFFINITY;
  if (seconds >= 1 && seconds <= LONGEST_AFFINITY) return { affinitySeconds: seconds };
  problems.push(invalid(field, seconds, `must be between 1 and ${LONGEST_AFFINITY}; ${DEFAULT_AFFINITY} holds`));
  return { affinitySeconds: DEFAULT_AFFINITY };
}

function healthCheckOf(
  spec: JsonObject | undefined,
  type: string | undefined,
  problems: Problem[],
): { readonly healthCheckNodePort?: number } {
  const isAsked = type === 'LoadBalancer' && own(spec, 'externalTrafficPolicy') === 'Local';
  if (!isAsked || (own(spec, 'healthCheckNodePort') ?? 0) === 0) return {};
  const port = readPort(spec, 'healthCheckNodePort', 'spec', problems);
  return port === undefined ? {} : { healthCheckNodePort: port };
}
