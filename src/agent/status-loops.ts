/**
 * What this node says to the API server: NodeStatus, the conditions of objects where it is the one that writes them, of its Node, and
 * the addresses it has given out; and what it clears up after others. The loops that are reported on are those of node-loops.ts.
 */
import type { Allocator } from '@tortie/ipam';
import type { NodeChangeStatus } from '../api/change.js';
import type { Pod } from '../api/core.js';
import { objectKey, type ClusterChange } from '../cluster/cluster.js';
import { ControllerLease } from '../cluster/controller-lease.js';
import { EventRecorder } from '../cluster/event-recorder.js';
import { AddressPublisher } from './address-publisher.js';
import { BgpReporter } from './bgp-status.js';
import { PodEvents } from './pod-events.js';
import { selectorMatches } from './node-selector.js';
import { NodeCondition } from './node-condition.js';
import { NodeRemains } from './node-remains.js';
import { strangeNodeName } from './node-name.js';
import { NodeStatusWriter, type NodeReport } from './node-status.js';
import { nodeProblemsOf, refusalSentences } from './object-problem-sources.js';
import { ObjectProblemLog } from './object-problems.js';
import { ObjectStatus } from './object-status.js';
import { POLICY_KINDS, policyEventOf } from './policy-events.js';
import { SessionEvents } from './session-events.js';
import { ServiceEvents } from './services/service-events.js';
import { SilentAgents } from './silent-agents.js';
import { strayText } from './stray-addresses.js';
import { StatusElection } from './status-election.js';
import type { AgentOptions } from './agent-options.js';
import type { NodeLoops } from './node-loops.js';

export class StatusLoops {
  readonly events: EventRecorder;
  private readonly sessions: SessionEvents;
  readonly podEvents: PodEvents;
  private readonly serviceEvents: ServiceEvents;
  readonly writer: NodeStatusWriter;
  readonly objects: ObjectStatus;
  readonly silent: SilentAgents;
  readonly election: StatusElection;
  readonly condition: NodeCondition;
  readonly publisher: AddressPublisher;
  readonly remains: NodeRemains;
  private readonly bgpReporter: BgpReporter;
  private readonly controller: ControllerLease;
  private readonly problems: ObjectProblemLog;
  private drainText: string | undefined;

  constructor(
    private readonly options: AgentOptions,
    private readonly allocator: Allocator,
    private readonly loops: NodeLoops,
    /** Why CNI calls cannot be served now; undefined when they can. */
    private readonly unreadiness: () => string | undefined,
    /** The Change that this node has to do with. */
    private readonly change: () => NodeChangeStatus | undefined,
    /** What guards hold as it was. */
    private readonly held: () => readonly string[],
  ) {
    this.bgpReporter = new BgpReporter(() => loops.bgp.status());
    this.controller = new ControllerLease(options.datastore, options.namespace);
    this.problems = new ObjectProblemLog(options.log.child({ loop: 'policy' }));
    this.events = this.makeEvents();
    this.sessions = new SessionEvents({
      node: options.node,
      record: (happening) => this.events.record(happening),
      get: (kind, name) => loops.cluster.get(kind, name),
    });
    this.podEvents = this.makePodEvents();
    this.serviceEvents = this.makeServiceEvents();
    this.writer = this.makeWriter();
    this.objects = this.makeObjects();
    this.silent = this.makeSilent();
    this.election = this.makeElection();
    this.condition = this.makeCondition();
    this.publisher = this.makePublisher();
    this.remains = this.makeRemains();
  }

  /** Call when the node serves pods. */
  start(): void {
    this.objects.start();
    this.election.start();
    this.remains.start();
    this.publisher.changed();
    this.silent.start();
    this.writer.changed();
    this.condition.changed();
  }

  stop(): void {
    for (const loop of [
      this.events,
      this.writer,
      this.objects,
      this.silent,
      this.election,
      this.remains,
      this.condition,
      this.publisher,
    ])
      loop.stop();
  }

  /** Something is well that was not, or the other way round. */
  healthChanged(): void {
    this.writer.changed();
    this.objects.problemsChanged();
    this.serviceEvents.level();
  }

  /** Tells the policy engine of a change, and looks at what it thinks of the object. */
  takePolicy(change: ClusterChange): void {
    const event = policyEventOf(change);
    if (event === undefined) return;
    this.loops.policy.take(event);
    if (event.type !== 'upsert' && event.type !== 'delete') return;
    const { namespace = '', name } = change.object.metadata;
    if (this.problems.update(event.kind, namespace, name, this.loops.engine.problemsOf(event.kind, namespace, name)))
      this.writer.changed();
  }

  /** What a pod asks for may be refused beside it. */
  takePod({ type, object }: ClusterChange): void {
    if (type === 'upsert') this.podEvents.changed(object as Pod);
    else this.podEvents.gone(object as Pod);
  }

  /** Sessions are looked at every few seconds; the API server hears only of what is new. */
  bgpLooked(): void {
    const { summary } = this.loops.bgp.status();
    if (summary !== undefined) this.sessions.looked(summary.peers);
    this.objects.problemsChanged();
    const drain = JSON.stringify(this.loops.drain.status());
    if (this.bgpReporter.hasNews() || drain !== this.drainText) this.writer.changed();
    this.drainText = drain;
  }

  /** As it is now; whoever writes it tells the reporter of BGP that it was written. */
  report(bgp = this.bgpReporter.look()): NodeReport {
    const change = this.change();
    const { cluster, endpoints, ipam, nat, overlay, pods, policy, routes, services, shaping } = this.loops;
    const drain = this.loops.drain.status();
    return {
      aspects: [
        {
          type: 'IPAMReady',
          problems: [ipam.whyNoAddress()].filter((problem) => problem !== undefined),
          warnings: [...ipam.problems(), ...this.loops.strays().map(strayText)],
          wellMessage: 'Pools and blocks are usable',
        },
        {
          type: 'PolicyReady',
          problems: policy.problems(),
          warnings: this.problems.sentences(),
          wellMessage: 'The kernel holds all policy',
        },
        {
          type: 'RoutesReady',
          problems: routes.problems(),
          warnings: overlay.problems(),
          wellMessage: 'The kernel holds all routes',
          notices: [...endpoints.notices(), ...nat.problems(), ...shaping.problems()],
        },
        bgp.aspect,
        ...(services === undefined
          ? []
          : [
              {
                type: 'ServicesReady',
                problems: services.problems(),
                warnings: services.warnings(),
                wellMessage: services.notice(),
              },
            ]),
        {
          type: 'ResourcesAccepted',
          problems: [],
          warnings: [
            ...this.held(),
            ...refusalSentences(
              cluster,
              pods.owners().map(({ namespace, pod }) => objectKey(namespace, pod)),
            ),
          ],
          notices: [strangeNodeName(this.options.node, cluster.all('nodes').keys())].filter(
            (sentence) => sentence !== undefined,
          ),
          wellMessage: 'Nothing is asked for that is not supported',
        },
      ],
      blocks: this.allocator.ownBlockRecords().map((block) => block.cidr),
      ...(bgp.status === undefined ? {} : { bgp: bgp.status }),
      ...(drain === undefined ? {} : { drain }),
      ...(change === undefined ? {} : { change }),
    };
  }

  private makeEvents(): EventRecorder {
    const { datastore, log, node } = this.options;
    return new EventRecorder({
      datastore,
      component: 'tortie-agent',
      instance: node,
      log: log.child({ loop: 'status' }),
    });
  }

  private makePodEvents(): PodEvents {
    const { cluster, pods } = this.loops;
    return new PodEvents({
      record: (happening) => this.events.record(happening),
      pod: (namespace, name) => cluster.get('pods', name, namespace),
      isHere: (namespace, name) => pods.owners().some((owner) => owner.pod === name && owner.namespace === namespace),
    });
  }

  private makeServiceEvents(): ServiceEvents {
    const { cluster, services } = this.loops;
    return new ServiceEvents({
      node: this.options.node,
      troubles: () => services?.troubles() ?? { objects: [], ports: [] },
      find: (kind, namespace, name) => cluster.get(kind, name, namespace),
      isLeader: () => this.election.isLeader(),
      record: (happening) => this.events.record(happening),
    });
  }

  private makeWriter(): NodeStatusWriter {
    const { options } = this;
    const { node, log } = options;
    return new NodeStatusWriter(
      node,
      options.version,
      options.datastore,
      () => this.report(this.bgpReporter.report()),
      log.child({ loop: 'status' }),
      undefined,
      () => this.loops.cluster.get('nodes', node) !== undefined,
    );
  }

  private makeObjects(): ObjectStatus {
    const { options } = this;
    const { node, log } = options;
    return new ObjectStatus({
      node,
      cluster: this.loops.cluster,
      datastore: options.datastore,
      isLeader: () => this.election.isLeader(),
      matches: selectorMatches,
      policyProblems: (kind, { metadata }) => {
        const policyKind = POLICY_KINDS.get(kind);
        return policyKind === undefined
          ? []
          : this.loops.engine.problemsOf(policyKind, metadata.namespace ?? '', metadata.name);
      },
      nodeProblems: () =>
        nodeProblemsOf(
          [...this.loops.bgp.status().problems, ...this.loops.routes.fieldProblems()],
          [...this.loops.ipam.unusablePools(), ...this.loops.overlay.poolProblems()],
        ),
      log: log.child({ loop: 'status' }),
    });
  }

  private makeSilent(): SilentAgents {
    const { options } = this;
    const { node, log } = options;
    return new SilentAgents({
      node,
      datastore: options.datastore,
      isLeader: () => this.election.isLeader(),
      log: log.child({ loop: 'status' }),
    });
  }

  private makeElection(): StatusElection {
    const { options } = this;
    const { node, log } = options;
    return new StatusElection({
      node,
      namespace: options.namespace,
      nodes: () => [...this.loops.cluster.all('nodes').values()],
      datastore: options.datastore,
      log: log.child({ loop: 'status' }),
      onElected: () => {
        this.objects.everything();
        this.serviceEvents.level();
      },
    });
  }

  private makeCondition(): NodeCondition {
    const { options } = this;
    const { node, log } = options;
    return new NodeCondition({
      node,
      cluster: this.loops.cluster,
      datastore: options.datastore,
      problem: () => this.unreadiness() ?? this.loops.policy.problems()[0],
      log: log.child({ loop: 'status' }),
    });
  }

  private makePublisher(): AddressPublisher {
    const { allocator, options } = this;
    const { node, log } = options;
    return new AddressPublisher({
      node,
      datastore: options.datastore,
      owners: () => [...allocator.owners(), ...allocator.nodeOwners()],
      hasNode: () => this.loops.cluster.get('nodes', node) !== undefined,
      log: log.child({ loop: 'ipam' }),
    });
  }

  private makeRemains(): NodeRemains {
    const { datastore, log } = this.options;
    return new NodeRemains({
      cluster: this.loops.cluster,
      datastore,
      isLeader: () => this.election.isLeader(),
      isDoneByOthers: () => this.controller.isHeld(),
      log: log.child({ loop: 'ipam' }),
    });
  }
}
