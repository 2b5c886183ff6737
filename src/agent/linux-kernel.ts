/**
 * The real kernel behind the agent's loops: netlink for interfaces and routes, netfilter for policy, in the network namespace the
 * process runs in.
 */
import type { Owner } from '@tortie/ipam';
import { reportPrefix } from '@tortie/policy/compile/denied-chain';
import type { HostInterface } from '@tortie/policy/objects';
import type { ChainName } from '@tortie/policy/ruleset';
import {
  formatAddress,
  formatPrefix,
  hostPrefix,
  parseAddress,
  prefixOf,
  type Family,
  type IpAddress,
} from 'node-bgp/address';
import { hostInterfaceName, INTERFACE_PREFIX, ownerKey, type EndpointOwner } from '../dataplane/endpoint-name.js';
import { EndpointPlumbing } from '../dataplane/endpoint-plumbing.js';
import type { Endpoint, EndpointSpec } from '../dataplane/endpoint-spec.js';
import { EndpointWatch } from '../dataplane/endpoint-watch.js';
import { enableForwarding } from '../dataplane/forwarding.js';
import { lingeringTimes, openFlowEvents, REPORT_GROUP } from '../dataplane/flow-events.js';
import { connectionLimitProblem } from '../dataplane/netfilter/connection-limit.js';
import { DeniedCounts } from '../dataplane/netfilter/denied-counts.js';
import { createNetfilter, type Netfilter } from '../dataplane/netfilter/netfilter.js';
import { kubeProxyRules } from '../dataplane/netfilter/kube-proxy-rules.js';
import type { BackendSetting } from '../dataplane/netfilter/status.js';
import { flushConnectionsAsync } from '../dataplane/netlink/conntrack.js';
import { listInterfaceAddresses } from '../dataplane/netlink/interface-address.js';
import { listLinks, type Link } from '../dataplane/netlink/link.js';
import { watchKernel, type KernelEvent, type KernelWatch } from '../dataplane/netlink/monitor.js';
import { NetlinkSocket } from '../dataplane/netlink/netlink-socket.js';
import { PROTOCOL_TORTIE, PROTOCOL_TORTIE_BGP } from '../dataplane/netlink/route.js';
import { forgetStaleConnections } from '../dataplane/netlink/service-connections.js';
import { listeningPorts } from '../dataplane/listening-ports.js';
import { OwnRouteTable } from '../dataplane/own-routes.js';
import { levelPeeringAddresses } from '../dataplane/peering-address.js';
import { Shaper, SHAPER_PREFIX } from '../dataplane/shaper.js';
import { isTunnelName, levelTunnels, type Tunnel, type TunnelFailure } from '../dataplane/tunnel-devices.js';
import { uplinkMtu } from '../dataplane/uplink-mtu.js';
import type { Logger } from '../log.js';
import type { PodRates } from '../shaping/pod-limits.js';
import type { NodeLink } from '../topology/node-side.js';
import type { FlowKernel } from './flow-loop.js';
import type { KernelEvents, NodeKernel } from './kernel.js';
import { netfilterOf } from './netfilter-part.js';
import type { ServiceKernel } from './services/service-proxy.js';
import type { EndpointDataplane, EndpointRequest, PlumbedEndpoint } from './endpoint-dataplane.js';

/** An event may be lost. */
const MTU_LIFETIME = 1_000;

const LOOPBACK_INDEX = 1;
const LINK_SCOPE = 253;
const HOST_SCOPE = 254;

/** With what Services and flows ask of it. */
export type ServingKernel = NodeKernel & { readonly services: ServiceKernel; readonly flows: FlowKernel };

export interface LinuxKernelOptions {
  readonly backend: BackendSetting;
  readonly log: Logger;
}

/** Opens sockets and finds programs; changes nothing but the forwarding switches. @throws NetfilterSetupError, SystemError */
export async function openLinuxKernel({ backend: setting, log }: LinuxKernelOptions): Promise<ServingKernel> {
  const { families, stillListening } = enableForwarding();
  if (stillListening.length > 0)
    log.info(
      { interfaces: stillListening },
      'This machine forwards IPv6 now; accept_ra is 2 where it listened to Router Advertisements, so that it goes on',
    );
  let onNetfilter = (): void => {};
  const netfilter = await createNetfilter({
    families,
    backend: setting,
    onDrift: ({ family, findings }) => {
      log.warn({ family, findings }, `Somebody changed our IPv${family} rules; put back`);
      onNetfilter();
    },
    onFailures: (failures) => {
      for (const { family, subject, message } of failures) log.error({ family, subject }, message);
      onNetfilter();
    },
  });
  for (const [family, { backend, reason }] of netfilter.status().backends)
    log.info({ family, backend, reason }, 'Writing policy');
  return new LinuxKernel(families, netfilter, log, (listener) => (onNetfilter = listener));
}

class LinuxKernel implements ServingKernel {
  private readonly socket = new NetlinkSocket();
  private readonly conntrack = new NetlinkSocket({ family: 'netfilter' });
  /** What the uplinks carried, for which addresses of the node; undefined when something has changed since. */
  private mtu: { readonly of: string; readonly at: number; readonly value: number | undefined } | undefined;
  /** Settles when no walk of the connection table is under way. */
  private walk: Promise<void> = Promise.resolve();
  private readonly plumbing: EndpointPlumbing;
  private readonly ownRoutes = new OwnRouteTable(this.socket);
  private readonly shaper = new Shaper(this.socket);
  private kernelWatch: KernelWatch | undefined;
  private readonly endpointWatch = new EndpointWatch(this.socket);
  /** Requests as the plumbing has them. */
  private readonly specs = new WeakMap<EndpointRequest, EndpointSpec & { readonly request: EndpointRequest }>();
  readonly endpoints: EndpointDataplane;
  readonly netfilter: NodeKernel['netfilter'];
  readonly routes: NodeKernel['routes'];
  readonly nat: NodeKernel['nat'];
  readonly services: ServiceKernel;
  readonly flows: FlowKernel;
  private deniedCounts: DeniedCounts | undefined;

  constructor(
    readonly families: readonly Family[],
    private readonly tables: Netfilter,
    private readonly log: Logger,
    private readonly onNetfilter: (listener: () => void) => void,
  ) {
    this.plumbing = new EndpointPlumbing((error) =>
      log.warn({ err: error }, 'Cannot delete interfaces of removed pods; trying again'),
    );
    this.endpoints = {
      interfaceName: hostInterfaceName,
      hasNamespace: (netns) => this.plumbing.hasNamespace(netns),
      plumb: async (request) => describe(this.plumbing.add(specOf(request))),
      unplumb: async (owner, hostInterface) => void this.plumbing.remove({ ...ownerOf(owner), hostInterface }),
      suspects: (requests, isWhole) => this.suspects(requests, isWhole),
      repair: async (request) => this.plumbing.repair(specOf(request)),
      check: async (request) => this.check(request),
    };
    this.netfilter = netfilterOf(tables, 'policy');
    this.nat = {
      netfilter: netfilterOf(tables, 'nat'),
      forgetStaleConnections: (isStale) => this.walking(() => forgetStaleConnections(this.conntrack, isStale)),
      nodeAddresses: () => new Set(listInterfaceAddresses(this.socket).map(({ address }) => formatAddress(address))),
    };
    this.services = {
      ...this.nat,
      netfilter: netfilterOf(tables, 'services'),
      mode: () => ([...tables.status().backends.values()][0]?.backend === 'nftables' ? 'nftables' : 'iptables'),
      kubeProxyRules,
      listeningPorts,
    };
    this.flows = {
      open: (listener) => openFlowEvents(REPORT_GROUP, listener),
      lingering: lingeringTimes,
      unreported: (chains) => this.unreported(chains),
    };
    this.routes = {
      levelPeering: (wanted) =>
        levelPeeringAddresses(
          this.socket,
          wanted.map(({ hostInterface, address }) => ({ hostInterface, address: parseAddress(address) })),
        ),
      level: ({ blocks, pods, gateways, overlay }) =>
        this.ownRoutes.level([
          ...blocks.map((prefix) => ({ type: 'blackhole' as const, prefix })),
          ...pods.map(({ address, hostInterface }) => ({
            type: 'pod' as const,
            prefix: hostPrefix(parseAddress(address)),
            hostInterface,
          })),
          ...gateways.map(({ address, gateway, field }) => ({
            type: 'gateway' as const,
            prefix: hostPrefix(parseAddress(address)),
            gateway: parseAddress(gateway),
            field,
          })),
          ...overlay.map((hop) => ({ type: 'overlay' as const, ...hop })),
        ]),
    };
  }

  forgetConnections(addresses: readonly string[]): Promise<void> {
    return this.walking(async () => void (await flushConnectionsAsync(this.conntrack, addresses.map(parseAddress))));
  }

  /** One at a time: a walk has the socket to itself. */
  private walking<T>(walk: () => Promise<T>): Promise<T> {
    const done = this.walk.then(walk);
    this.walk = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  shape(wanted: ReadonlyMap<string, PodRates>): readonly string[] {
    return this.shaper.level(wanted);
  }

  loopbackAddresses(): ReadonlySet<string> {
    const addresses = listInterfaceAddresses(this.socket, { interfaceIndex: LOOPBACK_INDEX });
    return new Set(
      addresses
        .filter(({ address, scope }) => scope !== HOST_SCOPE && formatAddress(address) !== '::1')
        .map(({ address }) => formatAddress(address)),
    );
  }

  interfaces(): readonly HostInterface[] {
    const addresses = listInterfaceAddresses(this.socket).filter(({ scope }) => scope !== LINK_SCOPE);
    const of = (index: number): readonly string[] =>
      addresses.filter(({ interfaceIndex }) => interfaceIndex === index).map(({ address }) => formatAddress(address));
    return listLinks(this.socket)
      .filter(isNodes)
      .map(({ index, name }) => ({ name, addresses: of(index) }));
  }

  /** Asked for each new pod, and each time a walk over all interfaces' addresses where there is no default route. */
  uplinkMtu(nodeAddresses: readonly IpAddress[]): number | undefined {
    const of = nodeAddresses.map(formatAddress).join();
    const now = performance.now();
    if (this.mtu?.of !== of || now - this.mtu.at > MTU_LIFETIME)
      this.mtu = { of, at: now, value: uplinkMtu(this.socket, nodeAddresses) };
    return this.mtu.value;
  }

  levelTunnels(tunnels: readonly Tunnel[]): readonly TunnelFailure[] {
    return levelTunnels(this.socket, tunnels);
  }

  withoutInterface(owners: readonly Owner[]): readonly Owner[] {
    if (owners.length === 0) return [];
    const plumbed = new Set(this.plumbing.list().map(({ owner }) => owner));
    return owners.filter((owner) => !plumbed.has(ownerKey(ownerOf(owner))));
  }

  links(): readonly NodeLink[] {
    const all = listInterfaceAddresses(this.socket);
    return listLinks(this.socket)
      .filter((link) => isNodes(link) && !isTunnelName(link.name))
      .map(({ index, name }) => {
        const own = all.filter(({ interfaceIndex }) => interfaceIndex === index);
        return {
          name,
          prefixes: own.map(({ address, prefixLength, peer }) => formatPrefix(prefixOf(peer ?? address, prefixLength))),
          addresses: own.map(({ address }) => formatAddress(address)),
        };
      });
  }

  sweep(owners: readonly Owner[]): void {
    const kept = new Set(owners.map((owner) => ownerKey(ownerOf(owner))));
    for (const { hostInterface, owner } of this.plumbing.list()) {
      if (kept.has(owner)) continue;
      const slash = owner.lastIndexOf('/');
      this.plumbing.remove({ hostInterface, containerId: owner.slice(0, slash), podInterface: owner.slice(slash + 1) });
      this.log.info({ interface: hostInterface, owner }, 'Removed an interface that nobody owns any more');
    }
  }

  connectionLimitProblem(): string | undefined {
    return connectionLimitProblem([...this.tables.status().backends.values()].map(({ backend }) => backend));
  }

  watch({ onRoutes, onTunnels, onAddresses, onInterfaces, onEndpoints, onNetfilter }: KernelEvents): void {
    this.onNetfilter(onNetfilter);
    const onEvent = (event: KernelEvent): void => {
      if (
        event.type === 'resync' ||
        (event.type === 'route' && event.route.protocol === PROTOCOL_TORTIE) ||
        event.type === 'link'
      )
        onRoutes();
      if (event.type === 'resync' || (event.type === 'link' && isTunnelName(event.link.name))) onTunnels();
      if (event.type === 'link' || event.type === 'address' || event.type === 'resync') onEndpoints();
      const isAddress = event.type === 'address' && event.address.scope !== LINK_SCOPE;
      const isDefault = event.type === 'route' && event.route.prefix.length === 0;
      if (event.type === 'resync' || isAddress || isDefault || (event.type === 'link' && isNodes(event.link)))
        this.mtu = undefined;
      if (event.type === 'resync' || isAddress) onAddresses();
      if (event.type === 'resync' || (event.type === 'link' && isNodes(event.link)) || isAddress) onInterfaces();
    };
    this.kernelWatch = watchKernel({ link: true, address: true, route: true }, onEvent, {
      // bgpd writes them by the hundred thousand.
      notOfProtocols: [PROTOCOL_TORTIE_BGP],
    });
  }

  async close(): Promise<void> {
    this.kernelWatch?.close();
    this.endpointWatch.close();
    this.deniedCounts?.close();
    await this.tables.stop();
    await this.plumbing.close();
    this.socket.close();
    await this.walk;
    this.conntrack.close();
  }

  private unreported(chains: readonly ChainName[]): number {
    this.deniedCounts ??= new DeniedCounts(this.families);
    const backends = new Map([...this.tables.status().backends].map(([family, { backend }]) => [family, backend]));
    return this.deniedCounts.since(backends, chains, reportPrefix);
  }

  private suspects(requests: readonly EndpointRequest[], isWhole: boolean): readonly EndpointRequest[] {
    const specs = requests.map((request) => {
      const known = this.specs.get(request) ?? { ...specOf(request), request };
      this.specs.set(request, known);
      return known;
    });
    return this.endpointWatch.suspects(specs, isWhole).map(({ request }) => request);
  }

  private check(request: EndpointRequest): { problems: readonly string[]; endpoint: PlumbedEndpoint | undefined } {
    const spec = specOf(request);
    const problems = this.plumbing.check(spec);
    // With nothing wrong, `add` finds exactly this connection and leaves it alone.
    return problems.length > 0
      ? { problems, endpoint: undefined }
      : { problems, endpoint: describe(this.plumbing.add(spec)) };
  }
}

/** Not a pod's. */
const isNodes = ({ name }: Link): boolean => !name.startsWith(INTERFACE_PREFIX) && !name.startsWith(SHAPER_PREFIX);

const ownerOf = (owner: Owner): EndpointOwner => ({
  containerId: owner.containerId,
  podInterface: owner.interfaceName,
});

function specOf(request: EndpointRequest): EndpointSpec {
  const { containerId, interfaceName, hostInterface, namespace, pod, netns, addresses, mtu } = request;
  return {
    containerId,
    podInterface: interfaceName,
    netns,
    hostInterface,
    addresses: addresses.map(parseAddress),
    label: `${namespace}/${pod}`,
    ...(mtu === undefined ? {} : { mtu }),
  };
}

const describe = ({ host, pod }: Endpoint): PlumbedEndpoint => ({
  hostInterface: host.name,
  hostMac: host.mac,
  podMac: pod.mac,
  mtu: pod.mtu,
});
