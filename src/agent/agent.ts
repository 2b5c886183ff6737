/**
 * `tortie agent`: puts the loops together, in the order in which a node may trust them.
 *
 *   journal -> watches -> (every first list complete) -> endpoints of before to the policy engine -> policy in the kernel
 *           -> sweep of stale interfaces, own routes -> CNI calls answered, blocks claimed, bgpd told, status written
 *
 * Until policy is in the kernel nothing of a former run is touched: the last state stands, and CNI calls wait, then fail with
 * "try again". Nothing here decides anything; the loops do.
 */
import { Allocator, type Owner } from '@tortie/ipam';
import { PolicyEngine, type EngineOptions } from '@tortie/policy';
import { tryParseAddress, type IpAddress } from 'node-bgp/address';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { KindName } from '../api/kinds.js';
import { Cluster, objectKey, type ClusterChange } from '../cluster/cluster.js';
import { ControllerLease } from '../cluster/controller-lease.js';
import { OnDemandWatch } from '../cluster/on-demand-watch.js';
import type { Datastore, Watch } from '../datastore/datastore.js';
import type { HealthCheck } from '../health.js';
import { INTERFACE_PREFIX } from '../dataplane/endpoint-name.js';
import type { Logger } from '../log.js';
import type { OutgoingSettings } from '../nat/nat-rules.js';
import { AddressPublisher } from './address-publisher.js';
import { BgpLoop } from './bgp-loop.js';
import { BgpReporter } from './bgp-status.js';
import { ConnectionCleaner } from './connection-cleaner.js';
import { EndpointLoop } from './endpoint-loop.js';
import { failuresFor } from './enforcement.js';
import { HostInterfaces } from './host-interfaces.js';
import { IpamLoop } from './ipam-loop.js';
import type { NodeKernel } from './kernel.js';
import { KubernetesBlockStore } from './kubernetes-block-store.js';
import { LeakSweeper } from './leak-sweeper.js';
import { selectorMatches } from './node-selector.js';
import { NatLoop } from './nat-loop.js';
import { BGP_KINDS, NodeTopology } from './node-topology.js';
import { NodeCondition } from './node-condition.js';
import { NodeRemains } from './node-remains.js';
import { strangeNodeName } from './node-name.js';
import { NodeStatusWriter, type NodeReport } from './node-status.js';
import { concernsRefusals, nodeProblemsOf, refusalSentences } from './object-problem-sources.js';
import { ObjectProblemLog } from './object-problems.js';
import { ObjectStatus, STATUS_KINDS } from './object-status.js';
import { isPodOf } from './pod-identity.js';
import type { PodLimits } from './pod-limits.js';
import { PodNetwork } from './pod-network.js';
import { keeperOf, POLICY_KINDS, policyEventOf } from './policy-events.js';
import { PolicyLoop } from './policy-loop.js';
import type { ReleaseOptions } from './release-request.js';
import { RouteLoop } from './route-loop.js';
import { answersHealth } from './services/health-probe.js';
import { ServiceProxy, type ServiceKernel, type ServiceSettings } from './services/service-proxy.js';
import { ShapingLoop } from './shaping-loop.js';
import { SilentAgents } from './silent-agents.js';
import { strayAddresses, strayText, type StrayAddress } from './stray-addresses.js';
import { StatusElection } from './status-election.js';

/** What an operator sets about policy; the engine's defaults stand for the rest. */
export type PolicySettings = Pick<EngineOptions, 'podToHost' | 'failsafeInbound' | 'failsafeOutbound'> & PodLimits;

export interface AgentOptions {
  readonly node: string;
  readonly version: string;
  readonly datastore: Datastore;
  readonly kernel: NodeKernel;
  readonly runDir: string;
  readonly stateDir: string;
  /** Namespace of the secrets that hold BGP passwords. */
  readonly namespace: string;
  /** Of pods' interfaces, in octets; default: what the uplinks carry. */
  readonly mtu?: number;
  readonly policy?: PolicySettings;
  /** Without it nobody here looks at Services. */
  readonly services?: { readonly settings: ServiceSettings; readonly kernel: ServiceKernel };
  /** How natOutgoing translates. */
  readonly outgoing?: OutgoingSettings;
  readonly log: Logger;
}

/** Every kind the agent lists and watches; manifests/base/rbac.yaml grants them. */
export const AGENT_KINDS: readonly KindName[] = [
  ...new Set<KindName>([...POLICY_KINDS.keys(), ...BGP_KINDS, 'ipamBlocks', 'ipReservations', 'ipamConfigurations']),
];
/** Those it watches when something on this node reads them. */
export const LATER_KINDS: readonly KindName[] = ['services'];
/** How often to say what the start is waiting for. */
const PATIENCE = 10_000;
const KERNEL_RETRY = 1_000;

export class Agent {
  readonly cluster = new Cluster(AGENT_KINDS, LATER_KINDS);
  readonly onDemand: OnDemandWatch;
  readonly policy: PolicyLoop;
  readonly ipam: IpamLoop;
  readonly bgp: BgpLoop;
  readonly routes: RouteLoop;
  readonly pods: PodNetwork;
  readonly nat: NatLoop;
  private readonly shaping: ShapingLoop;
  private readonly leaks: LeakSweeper;
  private readonly endpoints: EndpointLoop;
  private readonly engine: PolicyEngine;
  private readonly hostInterfaces: HostInterfaces;
  private readonly connections: ConnectionCleaner;
  private readonly problems: ObjectProblemLog;
  private readonly status: NodeStatusWriter;
  private readonly election: StatusElection;
  private readonly objects: ObjectStatus;
  private readonly remains: NodeRemains;
  private readonly publisher: AddressPublisher;
  private readonly silent: SilentAgents;
  private readonly topology: NodeTopology;
  readonly services: ServiceProxy | undefined;
  private readonly condition: NodeCondition;
  private watches: readonly Watch[] = [];
  private readonly bgpReporter = new BgpReporter(() => this.bgp.status());
  private isReady = false;
  private isStopped = false;
  /** Ends every wait of the start. */
  private endWaits: () => void = () => {};
  private readonly stopped = new Promise<void>((resolve) => (this.endWaits = resolve));

  private constructor(
    private readonly options: AgentOptions,
    private readonly allocator: Allocator,
  ) {
    const { log, kernel, node } = options;
    this.onDemand = new OnDemandWatch(options.datastore, this.cluster);
    this.engine = new PolicyEngine({ ...options.policy, nodeName: node });
    const onHealth = (): void => {
      this.status.changed();
      this.objects.problemsChanged();
    };
    this.problems = new ObjectProblemLog(log.child({ loop: 'policy' }));
    const onBlocks = (): void => {
      this.connections.mark(allocator.unseenAddresses());
      this.routes.changed();
      this.bgp.changed();
      onHealth();
    };
    this.connections = new ConnectionCleaner(
      (addresses) => kernel.forgetConnections(addresses),
      log.child({ loop: 'pods' }),
    );
    this.policy = new PolicyLoop(this.engine, kernel.netfilter, log.child({ loop: 'policy' }), onHealth);
    this.services =
      options.services &&
      new ServiceProxy({
        ...options.services,
        node,
        families: kernel.families,
        cluster: this.cluster,
        needServices: () => this.needServices(),
        asksHealth: answersHealth,
        log: log.child({ loop: 'services' }),
        onHealth,
      });
    this.nat = new NatLoop({
      cluster: this.cluster,
      families: kernel.families,
      kernel: kernel.nat,
      outgoing: options.outgoing ?? {},
      podInterfacePrefix: INTERFACE_PREFIX,
      endpoints: () => allocator.owners(),
      log: log.child({ loop: 'nat' }),
      onHealth,
    });
    this.shaping = new ShapingLoop({
      endpoints: () => this.pods.endpoints(),
      pod: (namespace, name) => this.cluster.get('pods', name, namespace),
      level: (wanted) => kernel.shape(wanted),
      log: log.child({ loop: 'pods' }),
      onHealth,
    });
    this.hostInterfaces = new HostInterfaces({
      observe: () => kernel.interfaces(),
      tell: (interfaces) => this.policy.take({ type: 'host-interfaces', interfaces }),
      log: log.child({ loop: 'policy' }),
    });
    this.ipam = new IpamLoop({
      node,
      cluster: this.cluster,
      allocator,
      families: kernel.families,
      store: new KubernetesBlockStore(options.datastore),
      matches: selectorMatches,
      log: log.child({ loop: 'ipam' }),
      onBlocks,
      onUsedElsewhere: (addresses) => this.connections.mark(addresses),
      onHealth,
    });
    this.topology = new NodeTopology({
      node,
      namespace: options.namespace,
      cluster: this.cluster,
      onDemand: this.onDemand,
      kernel,
      blocks: () => [...this.heldBlocks(), ...this.strays()],
      endpoints: () => this.pods.endpoints(),
      log: log.child({ loop: 'bgp' }),
      onWanted: () => {
        this.routes.changed();
        this.policy.take({ type: 'service-ranges', prefixes: this.topology.wanted.serviceRanges });
      },
      onPeers: (peers) => this.policy.take({ type: 'bgp-peers', peers }),
    });
    this.bgp = new BgpLoop({
      socketPath: join(options.runDir, 'bgpd.sock'),
      compute: (heldFilters) => this.topology.compute(heldFilters),
      log: this.topology.log,
      onHealth: () => this.bgpLooked(),
    });
    this.pods = new PodNetwork({
      allocator,
      dataplane: kernel.endpoints,
      policy: this.policy,
      connections: this.connections,
      log: log.child({ loop: 'pods' }),
      assign: (owner, request, onTaken) => this.ipam.assign(owner, request, onTaken),
      namespace: (name) => this.cluster.get('namespaces', name),
      concerning: (hostInterface, failures) => failuresFor(this.engine.ruleset(), hostInterface, failures),
      mtu: () => options.mtu ?? kernel.uplinkMtu(this.nodeAddresses()),
      endpointState: (namespace, pod) => this.engine.endpointState(namespace, pod),
      pod: (namespace, name) => this.cluster.get('pods', name, namespace),
      translated: () => this.nat.settled(),
      fetchPod: (namespace, name) => options.datastore.get('pods', name, namespace),
      nextChange: (timeout) => this.cluster.nextChange(timeout),
      onChange: () => {
        this.routes.changed();
        this.ipam.attachmentsChanged();
        this.publisher.changed();
        this.endpoints.attachmentsChanged();
        this.nat.changed();
        this.shaping.changed();
        if (this.topology.concerns('pods')) this.bgp.changed();
      },
    });
    this.endpoints = new EndpointLoop({
      connections: () => this.pods.connections(),
      suspects: (requests, isWhole) => kernel.endpoints.suspects(requests, isWhole),
      repair: (owner, request) => this.pods.repair(owner, request),
      log: log.child({ loop: 'pods' }),
      onHealth,
    });
    this.leaks = new LeakSweeper({
      owners: () => this.pods.owners(),
      withoutInterface: (owners) => kernel.withoutInterface(owners),
      hasPod: (owner) => this.hasPod(owner),
      release: (owner) => this.pods.release(owner),
      log: log.child({ loop: 'pods' }),
    });
    this.routes = new RouteLoop({
      kernel: kernel.routes,
      desired: () => ({
        blocks: allocator.ownBlocks(),
        endpoints: this.pods.endpoints(),
        gateways: this.topology.wanted.gateways,
        peering: this.topology.wanted.peering,
      }),
      log: log.child({ loop: 'routes' }),
      onHealth,
    });
    this.status = new NodeStatusWriter(
      node,
      options.version,
      options.datastore,
      () => this.report(),
      log.child({ loop: 'status' }),
      undefined,
      () => this.cluster.get('nodes', node) !== undefined,
    );
    this.objects = new ObjectStatus({
      node,
      cluster: this.cluster,
      datastore: options.datastore,
      isLeader: () => this.election.isLeader(),
      matches: selectorMatches,
      policyProblems: (kind, { metadata }) => {
        const policyKind = POLICY_KINDS.get(kind);
        return policyKind === undefined
          ? []
          : this.engine.problemsOf(policyKind, metadata.namespace ?? '', metadata.name);
      },
      nodeProblems: () =>
        nodeProblemsOf([...this.bgp.status().problems, ...this.routes.fieldProblems()], this.ipam.unusablePools()),
      log: log.child({ loop: 'status' }),
    });
    this.silent = new SilentAgents({
      node,
      datastore: options.datastore,
      isLeader: () => this.election.isLeader(),
      log: log.child({ loop: 'status' }),
    });
    this.election = new StatusElection({
      node,
      namespace: options.namespace,
      nodes: () => [...this.cluster.all('nodes').values()],
      datastore: options.datastore,
      log: log.child({ loop: 'status' }),
      onElected: () => this.objects.everything(),
    });
    this.condition = new NodeCondition({
      node,
      cluster: this.cluster,
      datastore: options.datastore,
      problem: () => this.unreadiness() ?? this.policy.problems()[0],
      log: log.child({ loop: 'status' }),
    });
    const controller = new ControllerLease(options.datastore, options.namespace);
    this.publisher = new AddressPublisher({
      node,
      datastore: options.datastore,
      owners: () => allocator.owners(),
      hasNode: () => this.cluster.get('nodes', node) !== undefined,
      log: log.child({ loop: 'ipam' }),
    });
    this.remains = new NodeRemains({
      cluster: this.cluster,
      datastore: options.datastore,
      isLeader: () => this.election.isLeader(),
      isDoneByOthers: () => controller.isHeld(),
      log: log.child({ loop: 'ipam' }),
    });
  }

  /** Opens the journal and begins to watch; `run` does the rest. @throws JournalError */
  static async open(options: AgentOptions): Promise<Agent> {
    await mkdir(options.stateDir, { recursive: true, mode: 0o700 });
    const allocator = await Allocator.open({
      journalPath: join(options.stateDir, 'ipam.journal'),
      now: Date.now,
      onCompactionFailed: (error) =>
        options.log.warn({ err: error }, 'Cannot rewrite the address journal; it goes on growing'),
    });
    return new Agent(options, allocator);
  }

  /** Resolves when the node serves pods, or when stopped. */
  async run(): Promise<void> {
    const { log, datastore, namespace } = this.options;
    this.cluster.onChange((change) => {
      this.objects.changed(change);
      if (concernsRefusals(change)) this.status.changed();
      if (change.isStatusOnly === true && STATUS_KINDS.includes(change.kind)) return;
      this.services?.take(change);
      this.takePolicy(change);
      if (this.topology.isNews(change)) this.bgp.changed();
      if (change.kind === 'nodes') this.condition.changed();
    });
    this.cluster.onListed((kind) => {
      if (kind === 'services') this.bgp.changed();
    });
    this.condition.start();
    this.cluster.onHealth(() => this.reportApi());
    this.watches = this.cluster.kinds.map((kind) =>
      datastore.watch(kind, this.cluster, { ...(kind === 'secrets' ? { namespace } : {}), keep: keeperOf(kind) }),
    );
    await this.awaitSync();
    if (this.isStopped) return;
    this.tellStrangeName();
    this.pods.restore();
    this.hostInterfaces.level();
    // Pods that are peers must not be shut out for a moment; what is dropped for the sake of what is announced belongs to the first write.
    this.topology.compute({});
    await this.writePolicy();
    if (this.isStopped) return;
    // Pods wait for policy, and not for 30,000 Services: what an earlier agent served goes on being served.
    void this.services?.start();
    // What the kernel refuses is repeated; pods that need no translation do not wait for it.
    void this.nat.start().catch(() => undefined);
    this.options.kernel.sweep(this.pods.owners());
    this.options.kernel.watch({
      onRoutes: () => this.routes.changed(),
      onAddresses: () => {
        this.bgp.changed();
        this.routes.changed();
      },
      onEndpoints: () => this.endpoints.changed(),
      onInterfaces: () => this.hostInterfaces.changed(),
      onNetfilter: () => this.status.changed(),
    });
    // What changed before anybody watched.
    this.hostInterfaces.level();
    // Before the first look at routes: those to peers behind a gateway are ours too.
    this.topology.compute({});
    this.routes.start();
    this.connections.mark(this.allocator.unseenAddresses());
    await this.ipam.start();
    await Promise.race([this.topology.awaitServices(), this.stopped]);
    if (this.isStopped) return;
    this.bgp.start();
    this.leaks.start();
    this.endpoints.start();
    this.shaping.start();
    this.isReady = true;
    this.objects.start();
    this.election.start();
    this.remains.start();
    this.publisher.changed();
    this.silent.start();
    this.status.changed();
    this.condition.changed();
    log.info(
      { node: this.options.node, endpoints: this.pods.endpoints().length, blocks: this.allocator.ownBlocks().length },
      'The node serves pods',
    );
  }

  /** Leaves the kernel as it is: packets go on without us. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.endWaits();
    for (const watch of this.watches) watch.stop();
    this.onDemand.stop();
    for (const loop of [
      this.policy,
      this.nat,
      this.shaping,
      this.ipam,
      this.leaks,
      this.endpoints,
      this.bgp,
      this.routes,
      this.connections,
      this.hostInterfaces,
      this.status,
      this.objects,
      this.silent,
      this.election,
      this.remains,
      this.condition,
      this.publisher,
    ])
      loop.stop();
    this.services?.stop();
    await this.options.kernel.close();
    await this.allocator.close();
  }

  /** What `tortie ipam release` asks for. */
  releases(): ReleaseOptions {
    return {
      holderOf: (address) => this.allocator.holderOf(address),
      hasPod: (owner) => this.hasPod(owner),
      hasInterface: (owner) => this.options.kernel.withoutInterface([owner]).length === 0,
      release: (owner) => this.pods.release(owner),
    };
  }

  /** Does the API have the owner's very pod? Undefined: it cannot be told now. */
  private hasPod({ namespace, pod, uid }: Owner): boolean | undefined {
    if (!this.isReady || this.cluster.problems().has('pods')) return undefined;
    const found = this.cluster.get('pods', pod, namespace);
    return found !== undefined && isPodOf(found, uid);
  }

  /** Why CNI calls cannot be served now; undefined when they can. */
  unreadiness(): string | undefined {
    if (this.isReady) return undefined;
    const missing = this.cluster.missing();
    if (missing.length > 0)
      return (
        `waiting for ${missing.join(', ')} from the API ` +
        `server${this.cluster.problems().size === 0 ? '' : ` (${[...this.cluster.problems().values()][0]})`}`
      );
    const [problem] = this.policy.problems();
    return `waiting for the kernel to take policy${problem === undefined ? '' : ` (${problem})`}`;
  }

  private async needServices(): Promise<void> {
    this.onDemand.need('services');
    const listed = new Promise<void>((resolve) =>
      this.cluster.onListed((kind) => {
        if (kind === 'services') resolve();
      }),
    );
    if (!this.cluster.isListed('services')) await Promise.race([listed, this.stopped]);
  }

  /** What a kubelet asks: whether this agent does its work. An API server that is away is no reason to end the agent. */
  readiness(): readonly HealthCheck[] {
    const problems = (...sentences: readonly (string | undefined)[]): readonly string[] =>
      sentences.filter((sentence) => sentence !== undefined);
    return [
      { name: 'start', problems: problems(this.unreadiness()) },
      { name: 'policy', problems: this.isReady ? this.policy.problems() : [] },
      { name: 'routes', problems: this.isReady ? this.routes.problems() : [] },
    ];
  }

  private nodeAddresses(): readonly IpAddress[] {
    const addresses = this.cluster.get('nodes', this.options.node)?.status?.addresses ?? [];
    return addresses.map(({ address }) => tryParseAddress(address)).filter((address) => address !== undefined);
  }

  private heldBlocks(): readonly { readonly cidr: string; readonly pool: string }[] {
    return [...this.allocator.ownBlockRecords(), ...this.ipam.borrowedRecords()];
  }

  private strays(): readonly StrayAddress[] {
    return strayAddresses(this.pods.endpoints(), this.heldBlocks(), this.cluster.all('ipPools').values());
  }

  private takePolicy(change: ClusterChange): void {
    const event = policyEventOf(change);
    if (event === undefined) return;
    this.policy.take(event);
    if (event.type !== 'upsert' && event.type !== 'delete') return;
    const { namespace = '', name } = change.object.metadata;
    if (this.problems.update(event.kind, namespace, name, this.engine.problemsOf(event.kind, namespace, name)))
      this.status.changed();
  }

  /** A node that is not there yet is nothing wrong; one of nearly that name is told at once. */
  private tellStrangeName(): void {
    const problem = strangeNodeName(this.options.node, this.cluster.all('nodes').keys());
    if (problem !== undefined) this.options.log.warn(problem);
  }

  private async awaitSync(): Promise<void> {
    const reminder = setInterval(
      () => this.options.log.warn({ missing: this.cluster.missing() }, `Not serving pods yet: ${this.unreadiness()}`),
      PATIENCE,
    );
    try {
      await Promise.race([this.cluster.synced, this.stopped]);
    } finally {
      clearInterval(reminder);
    }
  }

  /** The first write may be refused (a lock, a missing module): pods wait until it holds. */
  private async writePolicy(): Promise<void> {
    let write = this.policy.start();
    for (;;) {
      try {
        await write;
        return;
      } catch {
        // The loop has logged the refusal and repeats it by itself; this only waits for the outcome.
        if (this.isStopped) return;
        await new Promise((resolve) => setTimeout(resolve, KERNEL_RETRY));
        write = this.policy.settled();
      }
    }
  }

  /** Sessions are looked at every few seconds; the API server hears only of what is new. */
  private bgpLooked(): void {
    this.objects.problemsChanged();
    if (this.bgpReporter.hasNews()) this.status.changed();
  }

  private reportApi(): void {
    const problems = [...this.cluster.problems()];
    if (problems.length === 0) this.options.log.info('The API server answers');
    else
      this.options.log.warn(
        { kinds: problems.map(([kind]) => kind), problem: problems[0]?.[1] },
        'Cannot read from the API server; the last state stands',
      );
    this.status.changed();
  }

  private report(): NodeReport {
    const bgp = this.bgpReporter.report();
    return {
      aspects: [
        {
          type: 'IPAMReady',
          problems: [this.ipam.whyNoAddress()].filter((problem) => problem !== undefined),
          warnings: [...this.ipam.problems(), ...this.strays().map(strayText)],
          wellMessage: 'Pools and blocks are usable',
        },
        {
          type: 'PolicyReady',
          problems: this.policy.problems(),
          warnings: this.problems.sentences(),
          wellMessage: 'The kernel holds all policy',
        },
        {
          type: 'RoutesReady',
          problems: this.routes.problems(),
          wellMessage: 'The kernel holds all routes',
          notices: [...this.endpoints.notices(), ...this.nat.problems(), ...this.shaping.problems()],
        },
        bgp.aspect,
        ...(this.services === undefined
          ? []
          : [
              {
                type: 'ServicesReady',
                problems: this.services.problems(),
                warnings: this.services.warnings(),
                wellMessage: this.services.notice(),
              },
            ]),
        {
          type: 'ResourcesAccepted',
          problems: [],
          warnings: refusalSentences(
            this.cluster,
            this.pods.owners().map(({ namespace, pod }) => objectKey(namespace, pod)),
          ),
          notices: [strangeNodeName(this.options.node, this.cluster.all('nodes').keys())].filter(
            (sentence) => sentence !== undefined,
          ),
          wellMessage: 'Nothing is asked for that is not supported',
        },
      ],
      blocks: this.allocator.ownBlockRecords().map((block) => block.cidr),
      ...(bgp.status === undefined ? {} : { bgp: bgp.status }),
    };
  }
}
