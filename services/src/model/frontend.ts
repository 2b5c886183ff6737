/**
 * The load-balancing rules of one node as plain data, before any packet filter: what happens to a new connection to one address and
 * port (or to one port of the node), by where it comes from. `compile/` turns them into chains and maps, `verdict/` answers from
 * them directly.
 */
import {
  containsAddress,
  hostPrefix,
  parseAddress,
  type Family,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';
import type { Endpoint } from './endpoint.js';
import type { Protocol, ServiceKey, ServiceModel, ServicePort } from './service.js';

/** In the order in which they win an address and port that several claim. */
export const FRONTEND_KINDS = ['cluster-ip', 'load-balancer', 'external-ip', 'node-port'] as const;
export type FrontendKind = (typeof FRONTEND_KINDS)[number];

/** Where a connection comes from: a pod (its source is in a pod range), this node (its source is local), anywhere else. */
export type Origin = 'pod' | 'node' | 'outside';

export type Path =
  /** One of the endpoints, by chance or by the client's address. */
  | { readonly type: 'balance'; readonly list: 'cluster' | 'local'; readonly masquerade: boolean }
  /** ICMP port unreachable: nothing serves it anywhere. */
  | { readonly type: 'reject' }
  /** Something serves it, but not here, and the policy is Local. */
  | { readonly type: 'drop' };

/** The endpoints that frontends of one port and family share. */
export interface Backend {
  /** What it is called in names of chains: 18 characters. */
  readonly id: string;
  readonly service: ServiceKey;
  readonly port: ServicePort;
  readonly family: Family;
  readonly cluster: readonly Endpoint[];
  readonly local: readonly Endpoint[];
  readonly affinitySeconds?: number;
}

export interface Frontend {
  readonly kind: FrontendKind;
  /** Absent for a port of the node. */
  readonly address?: string;
  readonly family: Family;
  readonly protocol: Protocol;
  readonly port: number;
  readonly backend: Backend;
  readonly paths: Readonly<Record<Origin, Path>>;
  /** Other sources are dropped. */
  readonly sources?: readonly IpPrefix[];
}

/** Who claims what: "4 10.96.0.1,tcp:443" or "4 tcp:30080". */
export const frontendKey = ({ family, address, protocol, port }: Frontend): string =>
  `${family} ${address === undefined ? '' : `${address},`}${protocol}:${port}`;

export interface FrontendSettings {
  readonly masqueradeAll: boolean;
  /** Without pod ranges nobody knows who comes from outside. */
  readonly knowsPods: boolean;
  /** This node's own, as its object lists them. */
  readonly nodeAddresses: readonly IpAddress[];
}

/** All of a Service's frontends. `backendOf` gives the endpoints of a port in a family. */
export function frontendsOf(
  service: ServiceModel,
  backendOf: (port: ServicePort, family: Family) => { readonly backend: Backend; readonly hasAny: boolean },
  settings: FrontendSettings,
): readonly Frontend[] {
  const frontends: Frontend[] = [];
  for (const { family, clusterIp, externalIps, loadBalancerIps, sourceRanges } of service.families)
    for (const port of service.ports) {
      const { backend, hasAny } = backendOf(port, family);
      const base = { family, protocol: port.protocol, port: port.port, backend } as const;
      const internal = internalPaths(service, backend, hasAny, settings);
      const external = externalPaths(service, backend, hasAny);
      frontends.push({ ...base, kind: 'cluster-ip', address: clusterIp, paths: internal });
      for (const address of loadBalancerIps)
        frontends.push({
          ...base,
          kind: 'load-balancer',
          address,
          paths: external,
          ...(sourceRanges === undefined || !hasAny
            ? {}
            : { sources: sourcesOf(sourceRanges, loadBalancerIps, settings) }),
        });
      for (const address of externalIps) frontends.push({ ...base, kind: 'external-ip', address, paths: external });
      if (port.nodePort !== undefined)
        frontends.push({ ...base, kind: 'node-port', port: port.nodePort, paths: external });
    }
  return frontends;
}

/**
 * Where the node itself is allowed, so is the load balancer's address: it may be local to the node, and is then the source of what the node
 * sends to it.
 */
function sourcesOf(
  ranges: readonly IpPrefix[],
  loadBalancerIps: readonly string[],
  { nodeAddresses }: FrontendSettings,
): readonly IpPrefix[] {
  const allowsNode = nodeAddresses.some((address) => ranges.some((range) => containsAddress(range, address)));
  return allowsNode ? [...ranges, ...loadBalancerIps.map((text) => hostPrefix(parseAddress(text)))] : ranges;
}

const REJECT: Path = { type: 'reject' };
const DROP: Path = { type: 'drop' };
const balance = (list: 'cluster' | 'local', masquerade: boolean): Path => ({ type: 'balance', list, masquerade });
/** There are six paths in all, and most frontends have the same for every origin: they are shared. */
const BALANCE = {
  cluster: { true: balance('cluster', true), false: balance('cluster', false) },
  local: { true: balance('local', true), false: balance('local', false) },
} as const;
const shared = new Map<Path, Frontend['paths']>();

function everywhere(path: Path): Frontend['paths'] {
  let paths = shared.get(path);
  if (paths === undefined) shared.set(path, (paths = { pod: path, node: path, outside: path }));
  return paths;
}

function pathTo(backend: Backend, list: 'cluster' | 'local', hasAny: boolean, masquerade: boolean): Path {
  if (!hasAny) return REJECT;
  return backend[list].length > 0 ? BALANCE[list][masquerade ? 'true' : 'false'] : DROP;
}

/** A connection from outside that we pass on must come back through us; a pod's and the node's own do anyway. */
function internalPaths(
  service: ServiceModel,
  backend: Backend,
  hasAny: boolean,
  { masqueradeAll, knowsPods }: FrontendSettings,
): Frontend['paths'] {
  const list = service.isInternalLocal ? 'local' : 'cluster';
  const inside = everywhere(pathTo(backend, list, hasAny, masqueradeAll));
  const outside = pathTo(backend, list, hasAny, masqueradeAll || knowsPods);
  return outside === inside.outside ? inside : { ...inside, outside };
}

/** Under Local, pods and the node itself go to all endpoints, as if they had gone out to the load balancer and come back. */
function externalPaths(service: ServiceModel, backend: Backend, hasAny: boolean): Frontend['paths'] {
  if (!service.isExternalLocal) return everywhere(pathTo(backend, 'cluster', hasAny, true));
  return {
    pod: pathTo(backend, 'cluster', hasAny, false),
    // Its source may be the load balancer's own address.
    node: pathTo(backend, 'cluster', hasAny, true),
    outside: pathTo(backend, 'local', hasAny, false),
  };
}
