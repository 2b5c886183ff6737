/**
 * Results of ADD: one shape inside (that of 1.1.0), parsed from and rendered for every version of the specification.
 */
import {
  formatAddress,
  formatPrefix,
  hostPrefix,
  type IpAddress,
  type IpPrefix,
  tryParseAddress,
  tryParsePrefix,
} from 'node-bgp/address';
import type { CniProblem } from './cni-error.js';
import { type CniVersion, isAtLeast } from './version.js';

export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** Path of the container's namespace; absent for interfaces of the host. */
  readonly sandbox?: string;
}

export interface CniIp {
  /** As text with its length, "10.65.0.7/32": host bits are meant to be kept. */
  readonly address: string;
  readonly gateway?: string;
  /** Index into `interfaces`. */
  readonly interface?: number;
}

export interface CniRoute {
  readonly dst: string;
  readonly gw?: string;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
  readonly dns?: Readonly<Record<string, unknown>>;
}

/** What an ADD made, in Tortie's own terms. */
export interface AttachmentFacts {
  readonly host: { readonly name: string; readonly mac: string; readonly mtu?: number };
  readonly pod: { readonly name: string; readonly mac: string; readonly mtu?: number; readonly netns: string };
  readonly addresses: readonly IpAddress[];
  readonly routes: readonly { readonly prefix: IpPrefix; readonly via?: IpAddress }[];
}

/** The result of an attachment: the host's interface, the pod's, its addresses and routes. */
export function attachmentResult(facts: AttachmentFacts): CniResult {
  const { host, pod } = facts;
  return {
    interfaces: [
      { name: host.name, mac: host.mac, mtu: host.mtu },
      { name: pod.name, mac: pod.mac, mtu: pod.mtu, sandbox: pod.netns },
    ],
    ips: facts.addresses.map((address) => ({ address: formatPrefix(hostPrefix(address)), interface: 1 })),
    routes: facts.routes.map(({ prefix, via }) => ({
      dst: formatPrefix(prefix),
      ...(via === undefined ? {} : { gw: formatAddress(via) }),
    })),
  };
}

/** `ours` behind what the plugins before us made; interface indexes move along. */
export function mergeResults(previous: CniResult | undefined, ours: CniResult): CniResult {
  if (previous === undefined) return ours;
  const shift = previous.interfaces.length;
  const shifted = ours.ips.map((ip) => (ip.interface === undefined ? ip : { ...ip, interface: ip.interface + shift }));
  return {
    interfaces: [...previous.interfaces, ...ours.interfaces],
    ips: [...previous.ips, ...shifted],
    routes: [...previous.routes, ...ours.routes],
    dns: previous.dns ?? ours.dns,
  };
}

/** The JSON line that a plugin prints, in the form of one version. */
export function renderResult(result: CniResult, version: CniVersion): string {
  const has11 = isAtLeast(version, '1.1.0');
  const has10 = isAtLeast(version, '1.0.0');
  const body = {
    cniVersion: version,
    interfaces: result.interfaces.map(({ name, mac, mtu, sandbox }) => ({
      name,
      mac,
      ...(has11 ? { mtu } : {}),
      sandbox,
    })),
    ips: result.ips.map((ip) => ({
      ...(has10 ? {} : { version: ip.address.includes(':') ? '6' : '4' }),
      interface: ip.interface,
      address: ip.address,
      gateway: ip.gateway,
    })),
    routes: result.routes.map((route) => (has11 ? route : { dst: route.dst, gw: route.gw })),
    // Before 1.0.0 `dns` is always there.
    ...(result.dns === undefined && has10 ? {} : { dns: result.dns ?? {} }),
  };
  return `${JSON.stringify(body)}\n`;
}

/**
 * A result of any version (`prevResult`), leniently: fields that no version knows are dropped, wrong ones become problems
 * whose field names start with `path`.
 */
export function parseResult(value: unknown, path: string, problems: CniProblem[]): CniResult {
  if (!isRecord(value)) {
    problems.push({ field: path, value, expected: 'an object' });
    return { interfaces: [], ips: [], routes: [] };
  }
  const interfaces = parseList(value['interfaces'], `${path}.interfaces`, problems, parseInterface);
  return {
    interfaces,
    ips: parseList(value['ips'], `${path}.ips`, problems, (item, at) => parseIp(item, at, interfaces.length, problems)),
    routes: parseList(value['routes'], `${path}.routes`, problems, (item, at) => parseRoute(item, at, problems)),
    ...(isRecord(value['dns']) ? { dns: value['dns'] } : {}),
  };
}

/** Every difference of `actual` (all of the chain's) from what `ours` says must be in it, as sentences. */
export function missingFrom(actual: CniResult, ours: CniResult): readonly string[] {
  const sentences: string[] = [];
  const keyOf = (item: CniInterface): string => `${item.sandbox ?? ''} ${item.name}`;
  const interfaces = new Map(actual.interfaces.map((item) => [keyOf(item), item]));
  for (const item of ours.interfaces) {
    const found = interfaces.get(keyOf(item));
    if (found === undefined)
      sentences.push(
        `prevResult has no interface "${item.name}"${item.sandbox === undefined ? ' of the host' : ` in ${item.sandbox}`}`,
      );
    else if (found.mac !== undefined && item.mac !== undefined && found.mac.toLowerCase() !== item.mac.toLowerCase())
      sentences.push(
        `prevResult says that interface "${item.name}" has MAC address ${found.mac}, and it has ${item.mac}`,
      );
  }
  const ips = new Set(actual.ips.map((ip) => canonical(ip.address)));
  for (const ip of ours.ips)
    if (!ips.has(canonical(ip.address))) sentences.push(`prevResult has no address ${ip.address}`);
  return sentences;
}

function parseInterface(item: unknown, at: string, problems: CniProblem[]): CniInterface | undefined {
  const name = isRecord(item) ? item['name'] : undefined;
  if (!isRecord(item) || typeof name !== 'string') {
    problems.push({ field: `${at}.name`, value: name, expected: 'an interface name' });
    return undefined;
  }
  return { name, ...texts(item, ['mac', 'sandbox']), ...numbers(item, ['mtu']) };
}

function parseIp(item: unknown, at: string, interfaces: number, problems: CniProblem[]): CniIp | undefined {
  const address = isRecord(item) ? item['address'] : undefined;
  if (!isRecord(item) || typeof address !== 'string' || tryParsePrefix(address) === undefined) {
    problems.push({
      field: `${at}.address`,
      value: address,
      expected: 'an address with its length, such as 10.65.0.7/32',
    });
    return undefined;
  }
  const index = item['interface'];
  if (
    index !== undefined &&
    index !== null &&
    (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= interfaces)
  ) {
    problems.push({ field: `${at}.interface`, value: index, expected: `an index of the ${interfaces} interfaces` });
    return undefined;
  }
  return { address, ...texts(item, ['gateway']), ...(typeof index === 'number' ? { interface: index } : {}) };
}

function parseRoute(item: unknown, at: string, problems: CniProblem[]): CniRoute | undefined {
  const dst = isRecord(item) ? item['dst'] : undefined;
  if (!isRecord(item) || typeof dst !== 'string' || tryParsePrefix(dst) === undefined) {
    problems.push({ field: `${at}.dst`, value: dst, expected: 'a prefix such as 10.65.0.0/16' });
    return undefined;
  }
  return { dst, ...texts(item, ['gw']), ...numbers(item, ['mtu', 'advmss', 'priority', 'table', 'scope']) };
}

function parseList<T>(
  value: unknown,
  path: string,
  problems: CniProblem[],
  parse: (item: unknown, at: string, problems: CniProblem[]) => T | undefined,
): T[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) {
    problems.push({ field: path, value, expected: 'a list' });
    return [];
  }
  return value.flatMap((item: unknown, index) => parse(item, `${path}[${index}]`, problems) ?? []);
}

function texts<K extends string>(item: Readonly<Record<string, unknown>>, keys: readonly K[]): { [P in K]?: string } {
  return Object.fromEntries(
    keys.flatMap((key) => (typeof item[key] === 'string' && item[key] !== '' ? [[key, item[key]]] : [])),
  ) as { [P in K]?: string };
}

function numbers<K extends string>(item: Readonly<Record<string, unknown>>, keys: readonly K[]): { [P in K]?: number } {
  return Object.fromEntries(keys.flatMap((key) => (typeof item[key] === 'number' ? [[key, item[key]]] : []))) as {
    [P in K]?: number;
  };
}

/** Equal text for equal addresses: "FD00::1/128" and "fd00::1/128". */
function canonical(text: string): string {
  const [address = '', length] = text.split('/');
  const parsed = tryParseAddress(address);
  return parsed === undefined ? text : `${formatAddress(parsed)}/${length ?? ''}`;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
