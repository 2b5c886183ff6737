/**
 * The topology file of a lab: which routers, nodes, links, outside hosts, pools and first pods the rack has.
 *
 * Text in, checked value out; every problem is reported at once with its line. Addresses are not written here: they follow
 * from the order of the entries (see addressing.ts), and only the ranges they come from can be changed.
 */
import { bitsOf, formatPrefix, parsePrefix, prefixesOverlap, tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import {
  integer,
  list,
  mapping,
  object,
  optional,
  readYaml,
  required,
  text,
  wanted,
  type Reader,
  type Report,
} from './yaml-reader.js';

/** A top-of-rack router. */
export interface TorSpec {
  readonly name: string;
  readonly as: number;
  /** TCP-MD5 key of its sessions with nodes. */
  readonly password?: string;
}

export interface NodeSpec {
  readonly name: string;
  readonly as: number;
  /** Names of the routers it has a link to, in the order of its interfaces eth0, eth1, ... */
  readonly tors: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** A host behind the routers that runs nothing of ours: the rest of the world. */
export interface OutsideSpec {
  readonly name: string;
  readonly tors: readonly string[];
}

export interface PoolSpec {
  readonly name: string;
  readonly cidr: string;
  readonly blockSize: number;
}

export type Transport = 'TCP' | 'UDP' | 'SCTP';

export interface PortSpec {
  readonly port: number;
  readonly transport: Transport;
  readonly name?: string;
}

export interface PodSpec {
  readonly name: string;
  readonly namespace: string;
  readonly node?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly PortSpec[];
}

/** The ranges that addresses are taken from. */
export interface AddressRanges {
  readonly loopbacks: RangePair;
  readonly links: RangePair;
  readonly outside: RangePair;
}

export interface RangePair {
  readonly ipv4: IpPrefix;
  readonly ipv6: IpPrefix;
}

export interface Topology {
  readonly tors: readonly TorSpec[];
  readonly torLinks: readonly (readonly [string, string])[];
  readonly nodes: readonly NodeSpec[];
  readonly outside: readonly OutsideSpec[];
  readonly ranges: AddressRanges;
  readonly pools: readonly PoolSpec[];
  readonly pods: readonly PodSpec[];
}

const DEFAULT_NODE_AS = 64512;
const DEFAULT_RANGES: AddressRanges = {
  loopbacks: { ipv4: parsePrefix('10.0.0.0/16'), ipv6: parsePrefix('fd00::/64') },
  links: { ipv4: parsePrefix('10.1.0.0/16'), ipv6: parsePrefix('fd00:1::/48') },
  outside: { ipv4: parsePrefix('203.0.113.0/24'), ipv6: parsePrefix('2001:db8::/64') },
};
/** Enough for a row of racks on one machine; BOUNDED so that derived /31s stay inside their ranges. */
const MAX_TORS = 16;
const MAX_NODES = 200;
/** /31s in the /24 that a router numbers its links from (rack.ts). */
const MAX_LINKS_PER_TOR = 128;

/** Parses and checks; throws FileProblems, which lists everything that is wrong. */
export const parseTopology = (file: string, source: string): Topology =>
  readYaml(file, source, readTopology, checkWhole);

/** "80/TCP", "53/UDP", "9999" (TCP), with a name: "http=80/TCP"; undefined when it is none of these. */
export function parsePort(source: string): PortSpec | undefined {
  const match = /^(?:([a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?)=)?([1-9][0-9]{0,4})(?:\/(tcp|udp|sctp))?$/i.exec(source);
  if (match === null || Number(match[2]) > 65535) return undefined;
  const transport = (match[3] ?? 'TCP').toUpperCase() as Transport;
  return { port: Number(match[2]), transport, ...(match[1] === undefined ? {} : { name: match[1] }) };
}

const LABEL = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
/** Names become interface names at the far end of a link, and those have at most 15 characters (IFNAMSIZ). */
const deviceName = text('a lower-case name of at most 15 letters, digits and dashes', (value) =>
  value.length <= 15 && LABEL.test(value) && !/^(lo|eth[0-9]+)$/.test(value) ? value : undefined,
);
const objectName = text('a lower-case name of at most 63 letters, digits and dashes', (value) =>
  value.length <= 63 && LABEL.test(value) ? value : undefined,
);
const asNumber: Reader<number> = (place) => {
  const value = integer(1, 4294967294)(place);
  return value === 23456 ? wanted(place, 'expected an AS number that is not AS_TRANS (RFC 6793)') : value;
};
const port = text('a port such as 80/TCP, 53/UDP, 9999/SCTP or http=80/TCP', parsePort);
const labels = mapping(
  text('a label value', (value) =>
    /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/.test(value) ? value : undefined,
  ),
);
const password = text('a key of 1 to 80 characters', (value) =>
  value.length >= 1 && value.length <= 80 ? value : undefined,
);

function range(family: 4 | 6, longest: number): Reader<IpPrefix> {
  const expected = `an IPv${family} range of /${longest} or larger, such as ${family === 4 ? '10.1.0.0/16' : 'fd00:1::/48'}`;
  return text(expected, (value) => {
    const prefix = tryParsePrefix(value);
    return prefix !== undefined && prefix.family === family && prefix.length <= longest ? prefix : undefined;
  });
}

const pair = (longest4: number, longest6: number): Reader<RangePair> =>
  object<RangePair>({ ipv4: required(range(4, longest4)), ipv6: required(range(6, longest6)) });

interface RawTopology {
  readonly tors: readonly TorSpec[];
  readonly torLinks?: readonly (readonly string[])[];
  readonly nodes: readonly {
    name: string;
    as?: number;
    tors: readonly string[];
    labels?: Readonly<Record<string, string>>;
  }[];
  readonly outside?: readonly OutsideSpec[];
  readonly addressing?: { loopbacks?: RangePair; links?: RangePair; outside?: RangePair };
  readonly pools: readonly PoolSpec[];
  readonly pods?: readonly {
    name: string;
    namespace?: string;
    node?: string;
    labels?: Readonly<Record<string, string>>;
    ports?: readonly PortSpec[];
  }[];
}

const readRaw = object<RawTopology>({
  tors: required(
    list(object<TorSpec>({ name: required(deviceName), as: required(asNumber), password: optional(password) })),
  ),
  torLinks: optional(list(list(deviceName))),
  nodes: required(
    list(
      object({
        name: required(deviceName),
        as: optional(asNumber),
        tors: required(list(deviceName)),
        labels: optional(labels),
      }),
    ),
  ),
  outside: optional(list(object<OutsideSpec>({ name: required(deviceName), tors: required(list(deviceName)) }))),
  addressing: optional(
    object({ loopbacks: optional(pair(16, 112)), links: optional(pair(16, 64)), outside: optional(pair(28, 120)) }),
  ),
  pools: required(
    list(
      object<PoolSpec>({
        name: required(objectName),
        cidr: required(
          text('CIDR notation such as 10.65.0.0/16', (value) =>
            tryParsePrefix(value) === undefined ? undefined : value,
          ),
        ),
        blockSize: required(integer(20, 128)),
      }),
    ),
  ),
  pods: optional(
    list(
      object({
        name: required(objectName),
        namespace: optional(objectName),
        node: optional(deviceName),
        labels: optional(labels),
        ports: optional(list(port)),
      }),
    ),
  ),
});

const readTopology: Reader<Topology> = (place) => {
  const raw = readRaw(place);
  if (raw === undefined) return undefined;
  const torLinks: (readonly [string, string])[] = [];
  for (const [index, ends] of (raw.torLinks ?? []).entries()) {
    const [a, b] = ends;
    if (a === undefined || b === undefined || ends.length !== 2)
      wanted({ ...place, path: `torLinks[${index}]` }, 'expected the names of two routers');
    else torLinks.push([a, b]);
  }
  return {
    tors: raw.tors,
    torLinks,
    nodes: raw.nodes.map((node) => ({
      name: node.name,
      as: node.as ?? DEFAULT_NODE_AS,
      tors: node.tors,
      labels: node.labels ?? {},
    })),
    outside: raw.outside ?? [],
    ranges: { ...DEFAULT_RANGES, ...raw.addressing },
    pools: raw.pools,
    pods: (raw.pods ?? []).map((pod) => ({
      ...pod,
      namespace: pod.namespace ?? 'default',
      labels: pod.labels ?? {},
      ports: pod.ports ?? [],
    })),
  };
};

/** Everything that concerns more than one entry. */
function checkWhole(topology: Topology, report: Report): void {
  if (topology.tors.length === 0) report('tors', '', 'expected at least one router');
  if (topology.tors.length > MAX_TORS)
    report('tors', String(topology.tors.length), `expected at most ${MAX_TORS} routers`);
  if (topology.nodes.length > MAX_NODES)
    report('nodes', String(topology.nodes.length), `expected at most ${MAX_NODES} nodes`);
  checkUnique(
    [
      ...topology.tors.map((tor, i) => [`tors[${i}].name`, tor.name] as const),
      ...topology.nodes.map((node, i) => [`nodes[${i}].name`, node.name] as const),
      ...topology.outside.map((host, i) => [`outside[${i}].name`, host.name] as const),
    ],
    'a name that nothing else in the rack has',
    report,
  );
  checkUnique(
    topology.pools.map((pool, i) => [`pools[${i}].name`, pool.name]),
    'a name that no other pool has',
    report,
  );
  checkUnique(
    topology.pods.map((pod, i) => [`pods[${i}].name`, `${pod.namespace}/${pod.name}`]),
    'a name that no other pod of its namespace has',
    report,
  );
  checkReferences(topology, report);
  checkRanges(topology, report);
}

function checkUnique(
  names: readonly (readonly [path: string, name: string])[],
  expected: string,
  report: Report,
): void {
  const seen = new Set<string>();
  for (const [path, name] of names) {
    if (seen.has(name)) report(path, JSON.stringify(name), `expected ${expected}`);
    seen.add(name);
  }
}

function checkReferences(topology: Topology, report: Report): void {
  const tors = new Set(topology.tors.map((tor) => tor.name));
  const known = `expected one of the routers ${[...tors].join(', ')}`;
  const cabled = [
    ...topology.nodes.map((node, i) => [`nodes[${i}]`, node.tors] as const),
    ...topology.outside.map((host, i) => [`outside[${i}]`, host.tors] as const),
  ];
  for (const [path, names] of cabled) {
    if (names.length === 0) report(`${path}.tors`, 'an empty list', 'expected at least one router');
    names.forEach((name, i) => {
      if (!tors.has(name)) report(`${path}.tors[${i}]`, JSON.stringify(name), known);
      else if (names.indexOf(name) !== i)
        report(`${path}.tors[${i}]`, JSON.stringify(name), 'expected each router once');
    });
  }
  topology.torLinks.forEach(([a, b], i) => {
    for (const [end, name] of [a, b].entries())
      if (!tors.has(name)) report(`torLinks[${i}][${end}]`, JSON.stringify(name), known);
    if (a === b) report(`torLinks[${i}]`, JSON.stringify(a), 'expected two different routers');
    const isRepeated = topology.torLinks.slice(0, i).some((other) => other.includes(a) && other.includes(b));
    if (isRepeated) report(`torLinks[${i}]`, JSON.stringify([a, b]), 'expected each pair of routers once');
  });
  topology.tors.forEach(({ name }, i) => {
    const links = [...cabled.map(([, names]) => names), ...topology.torLinks.map(([owner]) => [owner])].filter(
      (names) => names.includes(name),
    ).length;
    if (links > MAX_LINKS_PER_TOR)
      report(`tors[${i}]`, String(links), `expected at most ${MAX_LINKS_PER_TOR} links at one router`);
  });
  const nodes = new Set(topology.nodes.map((node) => node.name));
  topology.pods.forEach((pod, i) => {
    if (pod.node !== undefined && !nodes.has(pod.node))
      report(`pods[${i}].node`, JSON.stringify(pod.node), `expected one of the nodes ${[...nodes].join(', ')}`);
  });
}

function checkRanges(topology: Topology, report: Report): void {
  const taken: (readonly [path: string, prefix: IpPrefix])[] = [];
  const claim = (path: string, prefix: IpPrefix): void => {
    for (const [otherPath, other] of taken)
      if (other.family === prefix.family && prefixesOverlap(other, prefix))
        report(
          path,
          formatPrefix(prefix),
          `expected a range that does not overlap ${formatPrefix(other)} (${otherPath})`,
        );
    taken.push([path, prefix]);
  };
  for (const name of ['loopbacks', 'links', 'outside'] as const)
    for (const family of ['ipv4', 'ipv6'] as const)
      claim(`addressing.${name}.${family}`, topology.ranges[name][family]);
  topology.pools.forEach((pool, i) => {
    const prefix = parsePrefix(pool.cidr);
    const longest = bitsOf(prefix.family);
    if (pool.blockSize < prefix.length || pool.blockSize > longest)
      report(`pools[${i}].blockSize`, String(pool.blockSize), `expected ${prefix.length} to ${longest}`);
    claim(`pools[${i}].cidr`, prefix);
  });
}
