/**
 * A running lab, as its supervisor holds it: builds the rack, keeps its processes alive, answers the commands.
 *
 *   network -> routers -> API server -> cluster objects -> per node: forwarder, bgpd, agent, kubelet stand-in -> scheduler -> pods
 *
 * Each step says what it does before it does it. A failure anywhere ends the start; whoever started the lab sweeps, since
 * only somebody outside this process can be sure to be there afterwards.
 */
import { mkdir } from 'node:fs/promises';
import { messageOf, UserError } from '../errors.js';
import type { Logger } from '../log.js';
import type { LabStatus, LinkRequest, LinkStatus, ProcessRequest, Progress } from './control.js';
import type { ControlTarget } from './control-server.js';
import { Daemon, type DaemonSpec } from './daemon.js';
import { API_SERVER_PROCESS, LabCluster } from './lab-cluster.js';
import { LabNode } from './lab-node.js';
import { limitLogs } from './log-limit.js';
import { buildNetwork, setLink } from './network.js';
import { buildRack, type Link, type Rack } from './rack.js';
import { SYSTEM_NAMESPACE } from './rack-objects.js';
import { Scheduler } from './scheduler.js';
import { labPaths, type LabPaths, type LabRecord } from './state-dir.js';
import { parseTopology } from './topology.js';
import { tortieArgv } from './tortie-argv.js';
import { prepareTor } from './tors.js';

export class Lab implements ControlTarget {
  private readonly rack: Rack;
  private readonly paths: LabPaths;
  private readonly daemons = new Map<string, Daemon>();
  private readonly nodes = new Map<string, LabNode>();
  private readonly steps: Progress[] = [];
  private readonly watchers = new Set<(progress: Progress) => void>();
  private built: Promise<void> = Promise.resolve();
  isAbandoned = false;
  private phase: LabStatus['phase'] = 'starting';
  private cluster: LabCluster | undefined;
  private scheduler: Scheduler | undefined;
  private logLimit: { stop(): void } | undefined;
  private readonly linkStates = new Map<Link, 'up' | 'down'>();

  /** @param onStop called once when somebody asks the lab to end. */
  constructor(
    private readonly record: LabRecord,
    private readonly log: Logger,
    private readonly onStop: () => void,
  ) {
    this.rack = buildRack(record.name, parseTopology(record.topologyFile, record.topology));
    this.paths = labPaths(record.name);
  }

  /** Builds everything; how that went is told to whoever follows the progress. */
  start(): void {
    this.built = this.build()
      .then(() => {
        if (this.phase === 'starting') this.phase = 'ready';
        this.say({ type: 'ready' });
      })
      .catch((error: unknown) => {
        this.log.error({ problem: messageOf(error) }, 'the lab could not be started');
        if (this.phase !== 'stopping') this.phase = 'failed';
        this.say({ type: 'failed', message: messageOf(error) });
      });
  }

  private async build(): Promise<void> {
    this.logLimit = limitLogs(this.paths.logs, (error) =>
      this.log.warn({ problem: messageOf(error) }, 'a log could not be cut'),
    );
    const { tors, nodes, links, topology } = this.rack;
    this.step(
      `Cabling ${tors.length} routers, ${nodes.length} nodes and ${this.rack.outside.length} outside hosts with ${links.length} links`,
    );
    await buildNetwork(this.rack);
    for (const link of links) this.linkStates.set(link, 'up');
    this.step(
      `Starting the routers ${tors.map((tor) => `${tor.name} (${this.record.tor}, AS ${tor.spec.as})`).join(', ')}`,
    );
    for (const tor of tors)
      for (const spec of await prepareTor(this.record.tor, this.rack, tor, this.paths.tor(tor.name))) this.run(spec);
    this.step(
      this.record.kubeconfig === undefined
        ? 'Starting the API server'
        : `Using the API server of ${this.record.kubeconfig}`,
    );
    this.cluster = await LabCluster.open(this.record, this.paths, (spec) => this.run(spec));
    this.step(`Creating ${nodes.length} nodes, ${topology.pools.length} pools and the peerings`);
    await this.cluster.createRack(this.rack);
    this.step(`Starting agent, bgpd and kubelet stand-in of ${nodes.map((node) => node.name).join(', ')}`);
    await Promise.all(nodes.map((node) => this.startNode(node.name, this.requireCluster())));
    this.run({
      name: 'controller',
      argv: tortieArgv(
        ...['controller', '--kubeconfig', this.paths.kubeconfig, '--namespace', SYSTEM_NAMESPACE],
        ...['--identity', this.record.name, '--health', 'none'],
      ),
    });
    this.scheduler = new Scheduler(this.cluster.datastore, this.cluster.client, this.log);
    this.scheduler.start();
    this.step(`Creating ${topology.pods.length} pods`);
    await this.cluster.createPods(this.rack);
  }

  private async startNode(name: string, cluster: LabCluster): Promise<void> {
    const device = this.rack.nodes.find((node) => node.name === name);
    if (device === undefined) throw new UserError(`Cannot start node "${name}": the rack has no such node`);
    await mkdir(this.paths.node(name).root, { recursive: true, mode: 0o700 });
    const node = new LabNode(this.rack, device, this.paths.node(name), cluster, this.log);
    this.nodes.set(name, node);
    for (const spec of await node.prepare()) this.run(spec);
    const problem = await node.start();
    if (problem !== undefined) this.step(`${name} takes no pods yet: ${problem}`);
  }

  private run(spec: DaemonSpec): Daemon {
    if (this.phase === 'stopping') throw new UserError('the lab was told to end');
    const daemon = new Daemon(spec, this.paths.logs, (ended, how) =>
      this.log.warn({ process: ended.spec.name, how }, 'a process ended and is started again'),
    );
    this.daemons.set(spec.name, daemon);
    daemon.start();
    return daemon;
  }

  /** @throws when the lab is to end: nothing may be started any more */
  private step(text: string): void {
    if (this.phase === 'stopping') throw new UserError('the lab was told to end');
    this.log.info(text);
    this.say({ type: 'step', text });
  }

  private say(progress: Progress): void {
    this.steps.push(progress);
    for (const watcher of this.watchers) watcher(progress);
  }

  async progress(onStep: (progress: Progress) => void): Promise<void> {
    for (const step of this.steps) onStep(step);
    if (this.phase !== 'starting') return;
    await new Promise<void>((resolve) => {
      const watcher = (progress: Progress): void => {
        onStep(progress);
        if (progress.type === 'step') return;
        this.watchers.delete(watcher);
        resolve();
      };
      this.watchers.add(watcher);
    });
  }

  status(): LabStatus {
    return {
      name: this.record.name,
      phase: this.phase,
      tor: this.record.tor,
      apiServer: this.cluster?.url ?? '',
      processes: [...this.daemons.values()].map((daemon) => daemon.status),
      links: [...this.linkStates].map(
        ([link, state]): LinkStatus => ({
          device: link.far.device,
          tor: link.near.device,
          interface: link.far.interface,
          state,
        }),
      ),
      pods: [...this.nodes.values()].flatMap((node) => node.sandboxes()),
    };
  }

  async process({ name, action }: ProcessRequest): Promise<void> {
    if (name === API_SERVER_PROCESS) return this.apiServer(action);
    const daemon = this.daemons.get(name);
    if (daemon === undefined)
      throw new UserError(`Cannot ${action} "${name}": expected one of ${[...this.daemons.keys()].join(', ')}`);
    switch (action) {
      case 'kill':
        if (!daemon.signal('SIGKILL')) throw new UserError(`Cannot kill "${name}": it is not running`);
        return;
      case 'stop':
        return daemon.stop();
      case 'start':
        return daemon.start();
    }
  }

  /** Its state is in memory, so it is not ended: it becomes unreachable, which is all that anybody can see of it. */
  private async apiServer(action: ProcessRequest['action']): Promise<void> {
    if (action === 'kill')
      throw new UserError(
        'Cannot kill the API server: it keeps the cluster in memory; expected "stop", which makes it unreachable, and "start"',
      );
    await this.requireCluster().setReachable(action === 'start');
  }

  async link({ device, tor, state }: LinkRequest): Promise<void> {
    // Between two routers either may be named first.
    const link = this.rack.links.find(
      ({ near, far }) =>
        [near.device, far.device].includes(tor) && [near.device, far.device].includes(device) && tor !== device,
    );
    if (link === undefined) {
      const known = this.rack.links.map(({ near, far }) => `${far.device} ${near.device}`).join(', ');
      throw new UserError(`Cannot set link ${device} ${tor} ${state}: expected one of ${known}`);
    }
    await setLink(link, state);
    this.linkStates.set(link, state);
  }

  async restartPod(namespace: string, name: string): Promise<void> {
    for (const node of this.nodes.values()) if (node.restartPod(namespace, name)) return;
    throw new UserError(`Cannot restart pod "${namespace}/${name}": no node runs it`);
  }

  /** The `lab run` that held us is gone, by Ctrl-C or by force. */
  abandon(): void {
    if (this.phase === 'stopping') return;
    this.isAbandoned = true;
    this.stop();
  }

  stop(): void {
    this.phase = 'stopping';
    this.onStop();
  }

  /** Ends every process in the reverse order of the start; namespaces and files are the sweeper's. */
  async close(): Promise<void> {
    this.phase = 'stopping';
    this.logLimit?.stop();
    this.scheduler?.stop();
    // Twice: the first wakes a start that waits for its nodes, which then ends; the second is for nodes that it still made.
    for (const settled of [this.built, undefined]) {
      await Promise.all([...this.nodes.values()].map((node) => node.stop()));
      await settled;
    }
    await this.cluster?.close();
    await Promise.all([...this.daemons.values()].map((daemon) => daemon.stop()));
  }

  private requireCluster(): LabCluster {
    if (this.cluster === undefined) throw new Error('Cannot start a node before the cluster');
    return this.cluster;
  }
}
