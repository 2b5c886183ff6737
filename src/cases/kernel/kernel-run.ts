/**
 * Runs cases with packets: every node of a world is a network namespace with the production policy path in it, every pod and
 * external another, and every cell is a real connection attempt between two of them.
 *
 * Namespaces, links, pods and probers stay from case to case and are changed to what the next case needs, so that a case costs what is
 * different about it.
 */
import { parseAddress } from 'node-bgp/address';
import type { BackendSetting } from '../../dataplane/netfilter/status.js';
import { UserError } from '../../errors.js';
import {
  isBroken,
  type BrokenCase,
  type Case,
  type CaseExternal,
  type CaseNode as WorldNode,
  type CasePod,
  type Cell,
  type Protocol,
} from '../case-file.js';
import { ActionError, ClusterState, isFinished, isOnHost } from '../cluster-state.js';
import { flowOf, formatVerdict } from '../engine-run.js';
import type { CaseOutcome, WrongCell } from '../outcome.js';
import { CaseNode, type PlumbedPod } from './case-node.js';
import { Fabric, type Host } from './fabric.js';
import { judge } from './judge.js';
import { NamespacePool, sweepNamespaces } from './namespaces.js';
import { ProberSession, type Probe } from './prober-session.js';

export interface KernelRunOptions {
  readonly backend: BackendSetting;
}

/** What every case needs, whatever its world. */
interface Rack {
  readonly pool: NamespacePool;
  readonly fabric: Fabric;
  readonly prober: ProberSession;
}

async function openRack(): Promise<Rack> {
  const pool = new NamespacePool();
  return { pool, fabric: new Fabric(await pool.take()), prober: ProberSession.start() };
}

interface RunningNode {
  readonly spec: WorldNode;
  readonly host: Host;
  readonly node: CaseNode;
}

interface RunningExternal {
  readonly spec: CaseExternal;
  readonly host: Host;
}

export class KernelRun {
  private nodes: RunningNode[] = [];
  private externals: RunningExternal[] = [];
  /** Node namespaces that no node of the present world uses, with their appliers. */
  private readonly spareNodes: CaseNode[] = [];
  /** "namespace protocol" to the ports served there. */
  private readonly served = new Map<string, Set<number>>();

  private constructor(
    private readonly options: KernelRunOptions,
    private rack: Rack,
  ) {}

  /** Throws UserError when the machine cannot do this. */
  static async start(options: KernelRunOptions): Promise<KernelRun> {
    if (process.getuid?.() !== 0) throw new UserError('Cannot run cases on the kernel: network namespaces need root');
    await sweepNamespaces();
    return new KernelRun(options, await openRack());
  }

  async run(one: Case | BrokenCase): Promise<CaseOutcome> {
    const start = performance.now();
    const problems: string[] = isBroken(one) ? [...one.problems] : [];
    const wrong: WrongCell[] = [];
    let cells = 0;
    if (!isBroken(one)) {
      try {
        cells = await this.runSteps(one, wrong, problems);
      } catch (error) {
        if (error instanceof ActionError) problems.push(error.message);
        else {
          // The machine or we ourselves: this case has failed, and what it left half made must not spoil the next one.
          problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
          await this.rebuild();
        }
      }
    }
    return {
      id: one.id,
      title: one.title,
      mode: 'kernel',
      cells,
      wrong,
      problems,
      duration: performance.now() - start,
    };
  }

  async stop(): Promise<void> {
    await this.rack.prober.close();
    for (const node of [...this.nodes.map((one) => one.node), ...this.spareNodes]) await node.close();
    this.rack.fabric.close();
    await this.rack.pool.removeAll();
  }

  private async rebuild(): Promise<void> {
    await this.stop();
    this.nodes = [];
    this.externals = [];
    this.spareNodes.length = 0;
    this.served.clear();
    this.rack = await openRack();
  }

  private async runSteps(one: Case, wrong: WrongCell[], problems: string[]): Promise<number> {
    const state = new ClusterState(one.world);
    await this.buildWorld(one);
    const first = state.start();
    for (const { node } of this.nodes) {
      node.begin();
      node.feed(first);
    }
    await this.level(state, problems);
    let cells = 0;
    for (const [index, step] of one.steps.entries()) {
      for (const action of step.actions) {
        const events = state.apply(action);
        for (const { node } of this.nodes) node.feed(events);
      }
      await this.level(state, problems);
      cells += step.cells.length;
      for (const cell of await this.probe(state, step.cells)) wrong.push({ step: index + 1, ...cell });
    }
    return cells;
  }

  /** Hosts as the world wants them: those that are right stay. */
  private async buildWorld({ world }: Case): Promise<void> {
    const isWanted = (
      specs: readonly { readonly name: string; readonly ips: readonly string[] }[],
      spec: { readonly name: string; readonly ips: readonly string[] },
    ): boolean => specs.some((one) => one.name === spec.name && one.ips.join() === spec.ips.join());
    for (const running of this.nodes.filter(({ spec }) => !isWanted(world.nodes, spec))) await this.removeNode(running);
    for (const running of this.externals.filter(({ spec }) => !isWanted(world.externals, spec)))
      await this.removeExternal(running);
    for (const spec of world.nodes)
      if (
        !isWanted(
          this.nodes.map((one) => one.spec),
          spec,
        )
      )
        await this.addNode(spec);
    for (const spec of world.externals)
      if (
        !isWanted(
          this.externals.map((one) => one.spec),
          spec,
        )
      )
        await this.addExternal(spec);
  }

  private async addNode(spec: WorldNode): Promise<void> {
    const spare = this.spareNodes.pop();
    const namespace = spare?.namespace ?? (await this.rack.pool.take());
    const host = this.rack.fabric.attach(namespace, spec.ips.map(parseAddress), true);
    this.nodes.push({ spec, host, node: spare ?? (await CaseNode.create(namespace, this.options.backend)) });
  }

  private async removeNode(running: RunningNode): Promise<void> {
    for (const plumbed of [...running.node.pods.values()]) await this.removePod(running, plumbed);
    await this.vacate(running.host);
    this.nodes = this.nodes.filter((one) => one !== running);
    this.spareNodes.push(running.node);
  }

  private async addExternal(spec: CaseExternal): Promise<void> {
    this.externals.push({
      spec,
      host: this.rack.fabric.attach(await this.rack.pool.take(), spec.ips.map(parseAddress), false),
    });
  }

  private async removeExternal(running: RunningExternal): Promise<void> {
    await this.vacate(running.host);
    this.externals = this.externals.filter((one) => one !== running);
    this.rack.pool.giveBack(running.host.namespace);
  }

  private async vacate(host: Host): Promise<void> {
    await this.silence(host.namespace);
    this.rack.fabric.detach(host);
    this.rack.fabric.route(host, host.addresses, 'delete');
  }

  /** Pods and policies in the kernel as in the cluster. */
  private async level(state: ClusterState, problems: string[]): Promise<void> {
    const wanted = plumbedPods(state);
    for (const running of this.nodes)
      for (const plumbed of [...running.node.pods.values()])
        if (!wanted.some((pod) => pod.node === running.spec.name && isSamePod(pod, plumbed.pod)))
          await this.removePod(running, plumbed);
    for (const pod of wanted) {
      const running = this.nodes.find((one) => one.spec.name === pod.node);
      if (running !== undefined && !running.node.pods.has(`${pod.namespace}/${pod.name}`))
        await this.addPod(running, pod);
    }
    const failures = await Promise.all(this.nodes.map(({ node }) => node.settle()));
    problems.push(...failures.flat());
  }

  private async addPod(running: RunningNode, pod: CasePod): Promise<void> {
    const { addresses } = running.node.connect(pod, await this.rack.pool.take());
    this.rack.fabric.route(running.host, addresses, 'replace');
  }

  private async removePod(running: RunningNode, plumbed: PlumbedPod): Promise<void> {
    await this.silence(plumbed.namespace);
    this.rack.fabric.route(running.host, plumbed.addresses, 'delete');
    await running.node.disconnect(plumbed);
    this.rack.pool.giveBack(plumbed.namespace);
  }

  private async probe(
    state: ClusterState,
    cells: readonly Cell[],
  ): Promise<readonly { readonly cell: Cell; readonly got: string; readonly because?: string }[]> {
    const probes = new Map<string, { readonly cell: Cell; readonly probe: Probe; readonly name: string }>();
    for (const [index, cell] of cells.entries()) {
      const from = this.placeOf(state, cell.from);
      const to = this.placeOf(state, cell.to);
      const source = state.addressOf(cell.from, cell.family);
      const destination = state.addressOf(cell.to, cell.family);
      if (source === undefined || destination === undefined)
        throw new ActionError(
          `Cannot probe ${cell.from} -> ${cell.to} in IPv${cell.family}: an end has no such address`,
        );
      await this.serve(to.namespace, to.name, cell.protocol, cells);
      const probe: Probe = {
        id: String(index),
        namespace: from.namespace,
        protocol: cell.protocol,
        source,
        destination,
        port: cell.port,
        allow: cell.allow,
      };
      probes.set(probe.id, { cell, probe, name: to.name });
    }
    const results = await this.rack.prober.run([...probes.values()].map((one) => one.probe));
    return [...probes].flatMap(([id, { cell, name }]) => {
      const got = judge(cell.allow, name, results.get(id));
      const verdict = got === undefined ? undefined : this.nodes[0]?.node.verdict(flowOf(state, cell));
      return got === undefined
        ? []
        : [{ cell, got, ...(verdict === undefined ? {} : { because: `engine: ${formatVerdict(verdict)}` }) }];
    });
  }

  /** The namespace an endpoint lives in, and the name that answers there. */
  private placeOf(state: ClusterState, id: string): { readonly namespace: string; readonly name: string } {
    const party = state.party(id);
    const nodeName =
      party.type === 'node' ? party.name : party.type === 'pod' && isOnHost(party.pod) ? party.pod.node : undefined;
    if (nodeName !== undefined) {
      const running = this.nodes.find((one) => one.spec.name === nodeName);
      if (running !== undefined) return { namespace: running.host.namespace, name: `node:${nodeName}` };
    } else if (party.type === 'external') {
      const running = this.externals.find((one) => one.spec.name === party.name);
      if (running !== undefined) return { namespace: running.host.namespace, name: id };
    } else {
      const plumbed = this.nodes.map(({ node }) => node.pods.get(id)).find((one) => one !== undefined);
      if (plumbed !== undefined) return { namespace: plumbed.namespace, name: id };
    }
    throw new ActionError(`Cannot probe "${id}": it has no network now`);
  }

  /** Something listens on every probed port, whether the pod declares it or not. */
  private async serve(namespace: string, name: string, protocol: Protocol, cells: readonly Cell[]): Promise<void> {
    const key = `${namespace} ${protocol}`;
    const have = this.served.get(key) ?? new Set<number>();
    const missing = [...new Set(cells.filter((cell) => cell.protocol === protocol).map((cell) => cell.port))].filter(
      (port) => !have.has(port),
    );
    if (missing.length === 0) return;
    await this.rack.prober.serve(namespace, name, protocol, missing);
    for (const port of missing) have.add(port);
    this.served.set(key, have);
  }

  private async silence(namespace: string): Promise<void> {
    const keys = [...this.served.keys()].filter((key) => key.startsWith(`${namespace} `));
    for (const key of keys) this.served.delete(key);
    await this.rack.prober.stop(namespace);
  }
}

/** Pods that have a network of their own; of two that claim an address, the younger one has it. */
function plumbedPods(state: ClusterState): readonly CasePod[] {
  const candidates = state.pods.filter((pod) => !isOnHost(pod) && !isFinished(pod) && pod.ips.length > 0);
  const owner = new Map<string, CasePod>();
  for (const pod of candidates) for (const ip of pod.ips) owner.set(ip, pod);
  return candidates.filter((pod) => pod.ips.every((ip) => owner.get(ip) === pod));
}

/** As far as plumbing goes: labels and phases come and go. */
const isSamePod = (a: CasePod, b: CasePod): boolean =>
  a.namespace === b.namespace && a.name === b.name && a.node === b.node && a.ips.join() === b.ips.join();
