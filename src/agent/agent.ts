/**
 * `tortie agent`: starts the loops (node-loops.ts, status-loops.ts) in the order in which a node may trust them.
 *
 *   journal -> watches -> (every first list complete) -> endpoints of before to the policy engine -> policy in the kernel
 *           -> sweep of stale interfaces, own routes -> CNI calls answered, blocks claimed, bgpd told, status written
 *
 * Until policy is in the kernel nothing of a former run is touched: the last state stands, and CNI calls wait, then fail with
 * "try again". Nothing here decides anything; the loops do.
 */
import { Allocator } from '@tortie/ipam';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster, ClusterChange } from '../cluster/cluster.js';
import type { KindName } from '../api/kinds.js';
import { API_PATIENCE } from '../change/trial.js';
import type { Watch, WatchOptions } from '../datastore/datastore.js';
import type { HealthCheck } from '../health.js';
import { renderAgentMetrics, type CniTimes } from './agent-metrics.js';
import type { AgentOptions } from './agent-options.js';
import { nowText } from '../history/entry.js';
import { Journal } from '../history/journal.js';
import { lastNoted } from '../history/read-journals.js';
import type { FlowLoop } from './flow-loop.js';
import type { IpamLoop } from './ipam-loop.js';
import { NodeLoops } from './node-loops.js';
import { ChangeLoops } from './change-loops.js';
import { strangeNodeName } from './node-name.js';
import { ObjectHistory } from './object-history.js';
import { concernsRefusals } from './object-problem-sources.js';
import { STATUS_KINDS } from './object-status.js';
import type { PodEvents } from './pod-events.js';
import type { PodNetwork } from './pod-network.js';
import { keeperOf } from './policy-events.js';
import type { ReleaseOptions } from './release-request.js';
import { StatusLoops } from './status-loops.js';

/** How often to say what the start is waiting for. */
const PATIENCE = 10_000;
const KERNEL_RETRY = 1_000;

export class Agent {
  private readonly loops: NodeLoops;
  private readonly status: StatusLoops;
  private readonly changes: ChangeLoops;
  private readonly journal: Journal;
  private readonly history: ObjectHistory;
  private watches: readonly Watch[] = [];
  private isReady = false;
  private isStopped = false;
  /** Ends every wait of the start. */
  private endWaits: () => void = () => {};
  private readonly stopped = new Promise<void>((resolve) => (this.endWaits = resolve));

  private constructor(
    private readonly options: AgentOptions,
    private readonly allocator: Allocator,
  ) {
    this.loops = new NodeLoops(options, allocator, {
      isReady: () => this.isReady,
      watchOptions: (kind) => this.watchOptions(kind),
      stopped: this.stopped,
      onHealth: () => this.status.healthChanged(),
      onEndpoints: () => this.status.publisher.changed(),
      onBgpLook: () => {
        this.loops.drain.bgpLooked();
        this.status.bgpLooked();
        this.changes.trial.changed();
      },
      onHeld: (held) => this.changes.guards.tell(held),
      onStanding: (objects) => this.changes.guards.keep(objects),
      onHappening: (happening) => {
        this.status.events.record(happening);
        this.noteProcess(happening.note);
      },
    });
    const { stateDir, log } = options;
    const last = lastNoted(stateDir, 'agent');
    this.journal = new Journal({ stateDir, name: 'agent', log });
    this.history = new ObjectHistory({
      note: (entry) => this.journal.add(entry),
      lastNoted: last,
    });
    this.status = new StatusLoops(
      options,
      allocator,
      this.loops,
      () => this.unreadiness(),
      () => this.changes.trial.status(),
      () => this.changes.guards.sentences(),
    );
    this.changes = new ChangeLoops(options, this.loops, this.status, () => this.isReady);
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

  get cluster(): Cluster {
    return this.loops.cluster;
  }

  get pods(): PodNetwork {
    return this.loops.pods;
  }

  get ipam(): IpamLoop {
    return this.loops.ipam;
  }

  get podEvents(): PodEvents {
    return this.status.podEvents;
  }

  /** Resolves when the node serves pods, or when stopped. */
  async run(): Promise<void> {
    this.noteProcess(`${this.options.version} started`);
    const { bgp, endpoints, hostInterfaces, leaks, nat, pods, services, shaping, topology } = this.loops;
    await this.changes.open();
    this.watch();
    await this.awaitSync();
    if (this.isStopped) return;
    await this.changes.trial.start();
    if (this.isStopped) return;
    this.tellStrangeName();
    pods.restore();
    hostInterfaces.level();
    // Pods that are peers must not be shut out for a moment; what is dropped for the sake of what is announced belongs to the first write.
    topology.compute({});
    await this.writePolicy();
    if (this.isStopped) return;
    // Pods wait for policy, and not for 30,000 Services: what an earlier agent served goes on being served.
    void services?.start();
    // What the kernel refuses is repeated; pods that need no translation do not wait for it.
    void nat.start().catch(() => undefined);
    this.options.kernel.sweep(pods.owners());
    this.watchKernel();
    // What changed before anybody watched.
    hostInterfaces.level();
    // Before the first look at routes: those to peers behind a gateway are ours too.
    topology.compute({});
    await this.loops.overlay.start();
    if (this.isStopped) return;
    this.loops.routes.start();
    this.loops.connections.mark(this.allocator.unseenAddresses());
    await this.loops.ipam.start();
    await Promise.race([Promise.all([topology.awaitServices(), this.loops.drain.start()]), this.stopped]);
    if (this.isStopped) return;
    for (const loop of [bgp, leaks, endpoints, shaping]) loop.start();
    this.loops.flows?.start();
    this.isReady = true;
    this.status.start();
    this.changes.rollout.start();
    this.options.log.info(
      { node: this.options.node, endpoints: pods.endpoints().length, blocks: this.allocator.ownBlocks().length },
      'The node serves pods',
    );
  }

  /** Leaves the kernel as it is: packets go on without us. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.endWaits();
    for (const watch of this.watches) watch.stop();
    this.loops.stop();
    this.status.stop();
    this.changes.stop();
    this.noteProcess('stopped');
    await this.journal.flush();
    await this.options.kernel.close();
    await this.allocator.close();
  }

  get flows(): FlowLoop | undefined {
    return this.loops.flows;
  }

  /** What `tortie ipam release` asks for. */
  releases(): ReleaseOptions {
    return {
      holderOf: (address) => this.allocator.holderOf(address),
      hasPod: (owner) => this.loops.hasPod(owner),
      hasInterface: (owner) => this.options.kernel.withoutInterface([owner]).length === 0,
      release: (owner) => this.loops.pods.release(owner),
      keptFor: (address) => this.allocator.kept().find((kept) => kept.address === address)?.keptFor,
      free: (address) => this.loops.ipam.lending.free(address),
    };
  }

  /** Why CNI calls cannot be served now; undefined when they can. */
  unreadiness(): string | undefined {
    if (this.isReady) return undefined;
    const { cluster, policy } = this.loops;
    const missing = cluster.missing();
    if (missing.length > 0)
      return (
        `waiting for ${missing.join(', ')} from the API ` +
        `server${cluster.problems().size === 0 ? '' : ` (${[...cluster.problems().values()][0]})`}`
      );
    const [problem] = policy.problems();
    return `waiting for the kernel to take policy${problem === undefined ? '' : ` (${problem})`}`;
  }

  /** What a kubelet asks: whether this agent does its work. An API server that is away is no reason to end the agent. */
  readiness(): readonly HealthCheck[] {
    const problems = (...sentences: readonly (string | undefined)[]): readonly string[] =>
      sentences.filter((sentence) => sentence !== undefined);
    return [
      { name: 'start', problems: problems(this.unreadiness()) },
      { name: 'policy', problems: this.isReady ? this.loops.policy.problems() : [] },
      { name: 'routes', problems: this.isReady ? this.loops.routes.problems() : [] },
    ];
  }

  /** In Prometheus' text format. */
  metrics(times: CniTimes): string {
    const { cluster, pods } = this.loops;
    const report = this.status.report();
    return renderAgentMetrics(
      {
        report,
        pods: pods.owners().length,
        usages: report.blocks.flatMap((cidr) => {
          const usage = this.allocator.usageOf(cidr);
          return usage === undefined ? [] : [{ cidr, usage }];
        }),
        lostWatches: cluster.problems().size,
      },
      times,
      (text) => this.loops.flows?.addMetrics(text),
    );
  }

  private watch(): void {
    const { datastore, namespace } = this.options;
    const { bgp, cluster, gate } = this.loops;
    cluster.onChange((change) => this.take(change));
    cluster.onListed((kind) => {
      if (kind === 'services') bgp.changed();
    });
    this.status.condition.start();
    cluster.onHealth(() => this.reportApi());
    this.watches = cluster.kinds.map((kind) =>
      datastore.watch(kind, gate, {
        ...(kind === 'secrets' ? { namespace } : {}),
        ...this.watchOptions(kind),
        keep: keeperOf(kind),
      }),
    );
  }

  private watchOptions(kind: KindName): WatchOptions {
    const observer = this.history.observerOf(kind);
    return observer === undefined ? {} : { observer };
  }

  private take(change: ClusterChange): void {
    const { bgp, services, topology } = this.loops;
    if (change.kind === 'changes') return this.changes.trial.changed();
    this.status.objects.changed(change);
    if (concernsRefusals(change)) this.status.writer.changed();
    if (change.kind === 'pods') this.status.takePod(change);
    if (change.isStatusOnly === true && STATUS_KINDS.includes(change.kind)) return;
    services?.take(change);
    this.loops.drain.changed(change);
    this.loops.flows?.changed(change);
    this.status.takePolicy(change);
    if (topology.isNews(change)) bgp.changed();
    if (change.kind === 'nodes') this.status.condition.changed();
  }

  private noteProcess(message: string): void {
    this.journal.add({ at: nowText(), type: 'process', process: 'agent', message });
  }

  private watchKernel(): void {
    const { bgp, endpoints, hostInterfaces, overlay, routes } = this.loops;
    this.options.kernel.watch({
      onRoutes: () => routes.changed(),
      onTunnels: () => overlay.changed(),
      onAddresses: () => {
        bgp.changed();
        overlay.changed();
        routes.changed();
      },
      onEndpoints: () => endpoints.changed(),
      onInterfaces: () => hostInterfaces.changed(),
      onNetfilter: () => this.status.writer.changed(),
    });
  }

  /** A node that is not there yet is nothing wrong; one of nearly that name is told at once. */
  private tellStrangeName(): void {
    const problem = strangeNodeName(this.options.node, this.loops.cluster.all('nodes').keys());
    if (problem !== undefined) this.options.log.warn(problem);
  }

  private async awaitSync(): Promise<void> {
    const reminder = setInterval(
      () =>
        this.options.log.warn({ missing: this.loops.cluster.missing() }, `Not serving pods yet: ${this.unreadiness()}`),
      PATIENCE,
    );
    const standIn = setTimeout(() => void this.standIn(), API_PATIENCE);
    try {
      await Promise.race([this.loops.cluster.synced, this.stopped]);
    } finally {
      clearInterval(reminder);
      clearTimeout(standIn);
    }
  }

  /** A Change on trial may be what keeps the API server away: the objects of before are enough to take it back. */
  private async standIn(): Promise<void> {
    const { cluster, layers } = this.loops;
    try {
      const objects = await this.changes.trial.withoutServer(cluster.missing());
      if (objects !== undefined && !this.isStopped) layers.standIn(objects);
    } catch (error) {
      this.options.log.error(
        { err: error },
        'Cannot read what stood before the Change on trial; waiting for the API server',
      );
    }
  }

  /** The first write may be refused (a lock, a missing module): pods wait until it holds. */
  private async writePolicy(): Promise<void> {
    let write = this.loops.policy.start();
    for (;;) {
      try {
        await write;
        return;
      } catch {
        // The loop has logged the refusal and repeats it by itself; this only waits for the outcome.
        if (this.isStopped) return;
        await new Promise((resolve) => setTimeout(resolve, KERNEL_RETRY));
        write = this.loops.policy.settled();
      }
    }
  }

  private reportApi(): void {
    const problems = [...this.loops.cluster.problems()];
    if (problems.length === 0) this.options.log.info('The API server answers');
    else
      this.options.log.warn(
        { kinds: problems.map(([kind]) => kind), problem: problems[0]?.[1] },
        'Cannot read from the API server; the last state stands',
      );
    this.status.writer.changed();
  }
}
