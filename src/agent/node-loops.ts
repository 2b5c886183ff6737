/**
 * What moves packets on this node: the loops of policy, addresses, pods, routes, BGP, Services and translation, put together.
 * Nothing here decides anything, and nothing runs until it is started (agent.ts); what they find is told in status-loops.ts.
 */
import type { Allocator, Owner } from '@tortie/ipam';
import { PolicyEngine } from '@tortie/policy';
import { tryParseAddress, type IpAddress } from 'node-bgp/address';
import { join } from 'node:path';
import { Cluster } from '../cluster/cluster.js';
import { guardStops } from '../change/guard.js';
import { GuardGate, type GuardGateOptions } from '../change/guard-gate.js';
import { ObjectLayers } from '../change/object-layers.js';
import { OnDemandWatch } from '../cluster/on-demand-watch.js';
import { INTERFACE_PREFIX } from '../dataplane/endpoint-name.js';
import { TUNNEL_NAMES } from '../dataplane/tunnel-devices.js';
import { BgpLoop } from './bgp-loop.js';
import type { KindName } from '../api/kinds.js';
import type { WatchOptions } from '../datastore/datastore.js';
import type { Happening } from '../cluster/event-recorder.js';
import { DRAIN_DEFAULTS, DrainLoop } from './drain-loop.js';
import { ConnectionCleaner } from './connection-cleaner.js';
import { EndpointLoop } from './endpoint-loop.js';
import { FlowLoop } from './flow-loop.js';
import { failuresFor } from './enforcement.js';
import { HostInterfaces } from './host-interfaces.js';
import { IpamLoop } from './ipam-loop.js';
import { KubernetesBlockStore } from './kubernetes-block-store.js';
import { ipamSettings } from './lending-plan.js';
import { LeakSweeper } from './leak-sweeper.js';
import { selectorMatches } from './node-selector.js';
import { NatLoop } from './nat-loop.js';
import { NodeTopology } from './node-topology.js';
import { isPodOf } from './pod-identity.js';
import { PodNetwork } from './pod-network.js';
import { keeperOf } from './policy-events.js';
import { PolicyLoop } from './policy-loop.js';
import { OverlayLoop } from './overlay-loop.js';
import { RouteLoop } from './route-loop.js';
import { TunnelAddresses } from './tunnel-addresses.js';
import { answersHealth } from './services/health-probe.js';
import { ServiceProxy } from './services/service-proxy.js';
import { keepOf } from './sticky-pods.js';
import { ShapingLoop } from './shaping-loop.js';
import { strayAddresses, type StrayAddress } from './stray-addresses.js';
import { AGENT_KINDS, LATER_KINDS, type AgentOptions } from './agent-options.js';

/** What the loops are told, and whom they tell. */
export interface NodeLoopsOptions extends Pick<GuardGateOptions, 'onHeld' | 'onStanding'> {
  /** Has everything been started? */
  readonly isReady: () => boolean;
  /** Of kinds that are watched on demand. */
  readonly watchOptions: (kind: KindName) => WatchOptions;
  /** Resolves when the agent ends. */
  readonly stopped: Promise<void>;
  /** Something is well that was not, or the other way round. */
  readonly onHealth: () => void;
  /** The set of local endpoints changed. */
  readonly onEndpoints: () => void;
  /** The state of the BGP sessions was looked at. */
  readonly onBgpLook: () => void;
  /** Worth an event. */
  readonly onHappening: (happening: Happening) => void;
}

export class NodeLoops {
  readonly cluster = new Cluster(AGENT_KINDS, LATER_KINDS);
  /** Between the watches and the copy. */
  readonly layers = new ObjectLayers(this.cluster, (kind, object) => keeperOf(kind)(object));
  /** Before the layers. */
  readonly gate: GuardGate;
  readonly onDemand: OnDemandWatch;
  readonly engine: PolicyEngine;
  readonly connections: ConnectionCleaner;
  readonly policy: PolicyLoop;
  readonly services: ServiceProxy | undefined;
  readonly nat: NatLoop;
  readonly shaping: ShapingLoop;
  readonly hostInterfaces: HostInterfaces;
  readonly ipam: IpamLoop;
  readonly topology: NodeTopology;
  readonly drain: DrainLoop;
  readonly bgp: BgpLoop;
  readonly pods: PodNetwork;
  readonly endpoints: EndpointLoop;
  readonly leaks: LeakSweeper;
  readonly tunnelAddresses: TunnelAddresses;
  readonly overlay: OverlayLoop;
  readonly routes: RouteLoop;
  readonly flows: FlowLoop | undefined;

  constructor(
    private readonly options: AgentOptions,
    private readonly allocator: Allocator,
    private readonly told: NodeLoopsOptions,
  ) {
    this.gate = this.makeGate();
    this.onDemand = new OnDemandWatch(options.datastore, this.layers, told.watchOptions);
    this.engine = new PolicyEngine({
      ...options.policy,
      nodeName: options.node,
      ...(options.flows === undefined ? {} : { denyReports: options.flows.reports }),
    });
    this.connections = this.makeConnections();
    this.policy = this.makePolicy();
    this.services = this.makeServices();
    this.nat = this.makeNat();
    this.shaping = this.makeShaping();
    this.hostInterfaces = this.makeHostInterfaces();
    this.ipam = this.makeIpam();
    this.topology = this.makeTopology();
    this.drain = this.makeDrain();
    this.bgp = this.makeBgp();
    this.pods = this.makePods();
    this.endpoints = this.makeEndpoints();
    this.leaks = this.makeLeaks();
    this.tunnelAddresses = this.makeTunnelAddresses();
    this.overlay = this.makeOverlay();
    this.routes = this.makeRoutes();
    this.flows = this.makeFlows();
  }

  stop(): void {
    this.onDemand.stop();
    for (const loop of [
      this.policy,
      this.nat,
      this.shaping,
      this.ipam,
      this.leaks,
      this.endpoints,
      this.drain,
      this.bgp,
      this.tunnelAddresses,
      this.overlay,
      this.routes,
      this.connections,
      this.hostInterfaces,
    ])
      loop.stop();
    this.services?.stop();
    this.flows?.stop();
  }

  /** Does the API have the owner's very pod? Undefined: it cannot be told now. */
  hasPod({ namespace, pod, uid }: Owner): boolean | undefined {
    if (!this.told.isReady() || this.cluster.problems().has('pods')) return undefined;
    const found = this.cluster.get('pods', pod, namespace);
    return found !== undefined && isPodOf(found, uid);
  }

  /** Addresses of pods here that lie in no block of this node. */
  strays(): readonly StrayAddress[] {
    return strayAddresses(this.pods.endpoints(), this.heldBlocks(), this.cluster.all('ipPools').values());
  }

  private async needServices(): Promise<void> {
    this.onDemand.need('services');
    const listed = new Promise<void>((resolve) =>
      this.cluster.onListed((kind) => {
        if (kind === 'services') resolve();
      }),
    );
    if (!this.cluster.isListed('services')) await Promise.race([listed, this.told.stopped]);
  }

  private nodeAddresses(): readonly IpAddress[] {
    const addresses = this.cluster.get('nodes', this.options.node)?.status?.addresses ?? [];
    return addresses.map(({ address }) => tryParseAddress(address)).filter((address) => address !== undefined);
  }

  /** What is left of the uplinks' where a pod's packets may have to be wrapped. */
  private podMtu(): number | undefined {
    const uplink = this.options.kernel.uplinkMtu(this.nodeAddresses());
    return uplink === undefined ? undefined : uplink - this.overlay.overhead();
  }

  private heldBlocks(): readonly { readonly cidr: string; readonly pool: string }[] {
    return [...this.allocator.ownBlockRecords(), ...this.ipam.borrowedRecords()];
  }

  private makeGate(): GuardGate {
    const { onHeld, onStanding } = this.told;
    return new GuardGate({
      target: this.layers,
      isCovered: (key) => this.layers.covers(key),
      stops: (before, after) =>
        guardStops(before, after, {
          node: this.options.node,
          topology: (objects, node) => this.topology.whatIf(objects, node),
          matches: selectorMatches,
          pods: () => this.cluster.all('pods').values(),
        }),
      onHeld,
      onStanding,
    });
  }

  private makeConnections(): ConnectionCleaner {
    const { kernel, log } = this.options;
    return new ConnectionCleaner((addresses) => kernel.forgetConnections(addresses), log.child({ loop: 'pods' }));
  }

  private makePolicy(): PolicyLoop {
    const { kernel, log } = this.options;
    const { onHealth } = this.told;
    return new PolicyLoop(this.engine, kernel.netfilter, log.child({ loop: 'policy' }), onHealth);
  }

  private makeServices(): ServiceProxy | undefined {
    const { kernel, node, log, services } = this.options;
    if (services === undefined) return undefined;
    return new ServiceProxy({
      ...services,
      node,
      families: kernel.families,
      cluster: this.cluster,
      needServices: () => this.needServices(),
      asksHealth: answersHealth,
      log: log.child({ loop: 'services' }),
      onHealth: this.told.onHealth,
      onServed: () => this.bgp.changed(),
    });
  }

  private makeNat(): NatLoop {
    const { allocator, options } = this;
    const { kernel, log } = options;
    const { onHealth } = this.told;
    return new NatLoop({
      cluster: this.cluster,
      families: kernel.families,
      kernel: kernel.nat,
      outgoing: options.outgoing ?? {},
      podInterfacePrefix: INTERFACE_PREFIX,
      endpoints: () => allocator.owners(),
      log: log.child({ loop: 'nat' }),
      onHealth,
    });
  }

  private makeShaping(): ShapingLoop {
    const { kernel, log } = this.options;
    const { onHealth } = this.told;
    return new ShapingLoop({
      endpoints: () => this.pods.endpoints(),
      pod: (namespace, name) => this.cluster.get('pods', name, namespace),
      level: (wanted) => kernel.shape(wanted),
      limit: (limits) => this.policy.take({ type: 'interface-limits', limits }),
      connectionLimitProblem: () => kernel.connectionLimitProblem(),
      log: log.child({ loop: 'pods' }),
      onHealth,
    });
  }

  private makeHostInterfaces(): HostInterfaces {
    const { kernel, log } = this.options;
    return new HostInterfaces({
      observe: () => kernel.interfaces(),
      tell: (interfaces) => this.policy.take({ type: 'host-interfaces', interfaces }),
      log: log.child({ loop: 'policy' }),
    });
  }

  private makeIpam(): IpamLoop {
    const { allocator, options } = this;
    const { kernel, node, log } = options;
    const { onHealth } = this.told;
    return new IpamLoop({
      node,
      cluster: this.cluster,
      usesNodeCidrs: options.addresses?.usesNodeCidrs === true,
      allocator,
      families: kernel.families,
      store: new KubernetesBlockStore(options.datastore),
      matches: selectorMatches,
      log: log.child({ loop: 'ipam' }),
      onBlocks: () => {
        this.connections.mark(allocator.unseenAddresses());
        this.routes.changed();
        this.bgp.changed();
        onHealth();
      },
      onUsedElsewhere: (addresses) => this.connections.mark(addresses),
      onHealth,
    });
  }

  private makeTopology(): NodeTopology {
    const { options } = this;
    const { kernel, node, log } = options;
    return new NodeTopology({
      node,
      namespace: options.namespace,
      cluster: this.cluster,
      onDemand: this.onDemand,
      kernel,
      blocks: () => [...this.heldBlocks(), ...this.strays()],
      endpoints: () => this.pods.endpoints(),
      drain: () => this.drain.input(),
      isServed: () => this.services?.isServed !== false,
      log: log.child({ loop: 'bgp' }),
      onWanted: () => {
        this.routes.changed();
        this.policy.take({ type: 'service-ranges', prefixes: this.topology.wanted.serviceRanges });
      },
      onPeers: (peers) => this.policy.take({ type: 'bgp-peers', peers }),
    });
  }

  private makeDrain(): DrainLoop {
    const { datastore, drain, log, node } = this.options;
    return new DrainLoop({
      ...(drain ?? DRAIN_DEFAULTS),
      node,
      cluster: this.cluster,
      datastore,
      podCount: () => this.pods.endpoints().length,
      outcome: () => this.topology.drained,
      isTold: () => this.bgp.isCurrent,
      onChange: () => {
        this.bgp.changed();
        this.told.onHealth();
      },
      record: this.told.onHappening,
      log: log.child({ loop: 'bgp' }),
    });
  }

  private makeBgp(): BgpLoop {
    return new BgpLoop({
      socketPath: join(this.options.runDir, 'bgpd.sock'),
      compute: (heldFilters, told) => this.topology.compute(heldFilters, told),
      log: this.topology.log,
      onHealth: this.told.onBgpLook,
    });
  }

  private makePods(): PodNetwork {
    const { allocator, options } = this;
    const { kernel, log } = options;
    return new PodNetwork({
      allocator,
      dataplane: kernel.endpoints,
      policy: this.policy,
      connections: this.connections,
      log: log.child({ loop: 'pods' }),
      assign: (owner, request, onTaken) => this.ipam.assign(owner, request, onTaken),
      mayBypassIpam: options.addresses?.mayBypassIpam === true,
      keepOf: (pod, namespace, interfaceName) =>
        keepOf(pod, namespace, ipamSettings(this.cluster).keepsMachines, interfaceName),
      namespace: (name) => this.cluster.get('namespaces', name),
      concerning: (hostInterface, failures) => failuresFor(this.engine.ruleset(), hostInterface, failures),
      mtu: () => options.mtu ?? this.podMtu(),
      endpointState: (namespace, pod) => this.engine.endpointState(namespace, pod),
      pod: (namespace, name) => this.cluster.get('pods', name, namespace),
      translated: () => this.nat.settled(),
      fetchPod: (namespace, name) => options.datastore.get('pods', name, namespace),
      nextChange: (timeout) => this.cluster.nextChange(timeout),
      onChange: () => {
        this.routes.changed();
        this.ipam.attachmentsChanged();
        this.told.onEndpoints();
        this.endpoints.attachmentsChanged();
        this.flows?.endpointsChanged();
        this.nat.changed();
        this.shaping.changed();
        if (this.topology.concerns('pods') || this.drain.input() !== undefined) this.bgp.changed();
      },
    });
  }

  private makeEndpoints(): EndpointLoop {
    const { kernel, log } = this.options;
    const { onHealth } = this.told;
    return new EndpointLoop({
      connections: () => this.pods.connections(),
      suspects: (requests, isWhole) => kernel.endpoints.suspects(requests, isWhole),
      repair: (owner, request) => this.pods.repair(owner, request),
      log: log.child({ loop: 'pods' }),
      onHealth,
    });
  }

  private makeLeaks(): LeakSweeper {
    const { kernel, log } = this.options;
    return new LeakSweeper({
      owners: () => this.pods.owners(),
      withoutInterface: (owners) => kernel.withoutInterface(owners),
      hasPod: (owner) => this.hasPod(owner),
      release: (owner) => this.pods.release(owner),
      log: log.child({ loop: 'pods' }),
    });
  }

  private makeTunnelAddresses(): TunnelAddresses {
    const { allocator } = this;
    return new TunnelAddresses({
      allocator,
      ipam: this.ipam,
      pool: (name) => this.cluster.get('ipPools', name),
      names: Object.values(TUNNEL_NAMES),
      log: this.options.log.child({ loop: 'overlay' }),
      onChange: (released) => {
        this.connections.mark(released);
        this.ipam.attachmentsChanged();
        this.told.onEndpoints();
        this.overlay.changed();
      },
    });
  }

  private makeOverlay(): OverlayLoop {
    const { kernel, log, node } = this.options;
    return new OverlayLoop({
      node,
      cluster: this.cluster,
      kernel,
      addresses: this.tunnelAddresses,
      uplinkMtu: () => kernel.uplinkMtu(this.nodeAddresses()),
      policy: this.policy,
      log: log.child({ loop: 'overlay' }),
      onRoutes: () => this.routes.changed(),
      onHealth: this.told.onHealth,
    });
  }

  private makeFlows(): FlowLoop | undefined {
    const { flows, log, node, stateDir } = this.options;
    if (flows === undefined) return undefined;
    return new FlowLoop({
      ...flows,
      needServices: () => this.onDemand.need('services'),
      node,
      stateDir,
      engine: this.engine,
      cluster: this.cluster,
      log: log.child({ loop: 'flows' }),
    });
  }

  private makeRoutes(): RouteLoop {
    const { allocator } = this;
    const { kernel, log } = this.options;
    const { onHealth } = this.told;
    return new RouteLoop({
      kernel: kernel.routes,
      desired: () => ({
        blocks: allocator.ownBlocks(),
        endpoints: this.pods.endpoints(),
        gateways: this.topology.wanted.gateways,
        peering: this.topology.wanted.peering,
        overlay: this.overlay.routes(),
      }),
      log: log.child({ loop: 'routes' }),
      onHealth,
    });
  }
}
