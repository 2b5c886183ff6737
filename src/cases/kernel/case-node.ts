/**
 * One node of a case: a namespace with the production policy engine, netfilter applier and endpoint plumbing in it. Only what feeds them,
 * an API server and a kubelet on a real node, is the case's cluster state here.
 */
import { parseAddress, type IpAddress } from 'node-bgp/address';
import { PolicyEngine, type EngineOptions } from '@tortie/policy/engine';
import type { PolicyEvent } from '@tortie/policy/objects';
import type { Flow, Verdict } from '@tortie/policy/verdict/flow';
import { isEmptyDelta, type Ruleset, type RulesetDelta } from '@tortie/policy/ruleset';
import { hostInterfaceName } from '../../dataplane/endpoint-name.js';
import { EndpointPlumbing } from '../../dataplane/endpoint-plumbing.js';
import type { EndpointSpec } from '../../dataplane/endpoint-spec.js';
import type { Within } from '../../dataplane/netfilter/child.js';
import { createNetfilter, type Netfilter } from '../../dataplane/netfilter/netfilter.js';
import type { ApplyResult, BackendSetting } from '../../dataplane/netfilter/status.js';
import { flushAllConnections, flushConnections } from '../../dataplane/netlink/conntrack.js';
import { NetlinkSocket } from '../../dataplane/netlink/netlink-socket.js';
import { inNamespace } from '../../dataplane/netns.js';
import type { CasePod } from '../case-file.js';
import { namespacePath } from './namespaces.js';
import { changeBetween, snapshot } from '@tortie/policy/ruleset-change';

/** A pod with a network. */
export interface PlumbedPod {
  readonly pod: CasePod;
  readonly namespace: string;
  readonly addresses: readonly IpAddress[];
  readonly spec: EndpointSpec;
}

export class CaseNode {
  private engine = new PolicyEngine();
  /** What the kernel was last brought to, by whatever case; undefined when that is not known. */
  private held: Ruleset | undefined;
  /** The engine is new: its deltas do not begin where the kernel stands. */
  private isNewEngine = true;
  readonly pods = new Map<string, PlumbedPod>();

  private constructor(
    readonly namespace: string,
    private readonly within: Within,
    private readonly netfilter: Netfilter,
    private readonly plumbing: EndpointPlumbing,
    private readonly conntrack: NetlinkSocket,
  ) {}

  static async create(namespace: string, backend: BackendSetting): Promise<CaseNode> {
    const within: Within = (work) => inNamespace(namespacePath(namespace), work);
    // Cases are about verdicts: nobody else touches these namespaces, so nobody patrols them.
    const netfilter = await createNetfilter({ families: [4, 6], backend, within, patrolInterval: 0 });
    const plumbing = within(
      () =>
        new EndpointPlumbing((error) => {
          throw error;
        }),
    );
    const conntrack = within(() => new NetlinkSocket({ family: 'netfilter' }));
    return new CaseNode(namespace, within, netfilter, plumbing, conntrack);
  }

  /**
   * A new case: a new engine, which takes over the pods that are plumbed. What the old engine has heard since it was last
   * settled (this node may have been out of use for some worlds) goes with it: the kernel never heard of it.
   */
  begin(options: EngineOptions = {}): void {
    this.engine = new PolicyEngine(options);
    this.isNewEngine = true;
    for (const plumbed of this.pods.values()) this.feed([upsertOf(plumbed)]);
  }

  feed(events: readonly PolicyEvent[]): void {
    for (const event of events) this.engine.apply(event);
  }

  /** Connects a pod, as CNI ADD does. */
  connect(pod: CasePod, namespace: string): PlumbedPod {
    const spec: EndpointSpec = {
      containerId: `${pod.namespace}.${pod.name}`,
      podInterface: 'eth0',
      hostInterface: hostInterfaceName(pod.namespace, pod.name),
      netns: namespacePath(namespace),
      addresses: pod.ips.map(parseAddress),
      label: `${pod.namespace}/${pod.name}`,
    };
    this.within(() => this.plumbing.add(spec));
    const plumbed: PlumbedPod = { pod, namespace, addresses: spec.addresses, spec };
    this.pods.set(`${pod.namespace}/${pod.name}`, plumbed);
    this.feed([upsertOf(plumbed)]);
    return plumbed;
  }

  /** Disconnects it, as CNI DEL does; nothing of it is left when this resolves. */
  async disconnect(plumbed: PlumbedPod): Promise<void> {
    const { namespace, name } = plumbed.pod;
    this.within(() => this.plumbing.remove(plumbed.spec));
    flushConnections(this.conntrack, plumbed.addresses);
    this.pods.delete(`${namespace}/${name}`);
    this.feed([{ type: 'endpoint-delete', namespace, name }]);
    await this.plumbing.drain();
  }

  /** Brings the kernel to what the engine says now, and forgets all connections, or not. Returns what was refused. */
  async settle({ keepConnections = false } = {}): Promise<readonly string[]> {
    const delta = this.engine.flush();
    const ruleset = snapshot(this.engine.ruleset());
    const result = await this.write(delta, ruleset);
    // What was refused is tried again by the applier; whatever comes next begins with a reading of the kernel.
    this.held = result.failures.length === 0 ? ruleset : undefined;
    this.isNewEngine = false;
    // Each step is about new connections, and source ports come round.
    if (!keepConnections) flushAllConnections(this.conntrack);
    return result.failures.map((failure) => `${this.namespace}: IPv${failure.family} ${failure.message}`);
  }

  /** The engine's own opinion of a flow. */
  verdict(flow: Flow): Verdict {
    return this.engine.verdict(flow);
  }

  async close(): Promise<void> {
    await this.netfilter.stop();
    await this.plumbing.close();
    this.conntrack.close();
  }

  private write(delta: RulesetDelta, ruleset: Ruleset): Promise<ApplyResult> {
    if (this.held === undefined) return this.netfilter.sync(ruleset);
    if (this.isNewEngine) return this.netfilter.apply(changeBetween(this.held, ruleset));
    return isEmptyDelta(delta)
      ? Promise.resolve({ failures: this.netfilter.status().failures })
      : this.netfilter.apply(delta);
  }
}

const upsertOf = ({ pod, spec }: PlumbedPod): PolicyEvent => ({
  type: 'endpoint-upsert',
  endpoint: { namespace: pod.namespace, name: pod.name, interface: spec.hostInterface, addresses: pod.ips },
});
