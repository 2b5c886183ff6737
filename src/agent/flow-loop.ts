/**
 * Flows of this node's pods: events of the kernel into the recorder, its intervals into the history, metrics and whoever follows.
 *
 * Nothing that pods need: what fails here is said, counted, and gone.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ChainName, PolicyEngine } from '@tortie/policy';
import type { ClusterChange, Cluster } from '../cluster/cluster.js';
import type { FlowEvents, FlowListener } from '../dataplane/flow-events.js';
import type { ConnectionState } from '../dataplane/netlink/conntrack-events.js';
import { messageOf } from '../errors.js';
import type { Connection, Flow, FlowLosses, LabelSet } from '../flows/flow.js';
import { FlowMetrics } from '../flows/flow-metrics.js';
import { FlowHistory } from '../flows/history.js';
import { Identities } from '../flows/identities.js';
import { isWithin, type ParsedQuery } from '../flows/query.js';
import { FlowRecorder } from '../flows/recorder.js';
import { ServiceNames } from '../flows/service-names.js';
import type { Logger } from '../log.js';
import type { MetricText } from '../prometheus.js';

/** What an operator sets. */
export interface FlowSettings {
  /** How long flows are kept, and in how many octets. */
  readonly days: number;
  readonly bytes: number;
}

/** What flows ask of the kernel. */
export interface FlowKernel {
  open(listener: FlowListener): FlowEvents;
  lingering(): (connection: ConnectionState) => number;
  /** Denied packets of these chains that were not reported since the last call. */
  unreported(chains: readonly ChainName[]): number;
}

export interface FlowLoopOptions {
  readonly node: string;
  readonly stateDir: string;
  readonly settings: FlowSettings;
  readonly kernel: FlowKernel;
  readonly engine: PolicyEngine;
  readonly cluster: Cluster;
  /** Services are watched from now on, where nobody else has asked for them. */
  readonly needServices: () => void;
  readonly log: Logger;
}

/** Milliseconds, as Goldmane's. */
const INTERVAL = 15_000;
/** Intervals between two looks at what is too old: five minutes. */
const PRUNE_EVERY = 20;
/** BOUNDED: who follows at a time. */
const MOST_FOLLOWERS = 16;
/** Milliseconds between two complaints about the same. */
const PATIENCE = 60_000;

export type Follower = (connection: Connection) => void;

export class FlowLoop {
  private readonly identities: Identities;
  private readonly services: ServiceNames;
  private readonly recorder: FlowRecorder;
  private readonly recorderOptions: ConstructorParameters<typeof FlowRecorder>[0];
  private readonly metrics = new FlowMetrics();
  private readonly followers = new Set<Follower>();
  private events: FlowEvents | undefined;
  private history: FlowHistory | undefined;
  private timer: NodeJS.Timeout | undefined;
  private intervals = 0;
  private complainedAt = Number.NEGATIVE_INFINITY;
  private sentences: readonly string[] = [];

  constructor(private readonly options: FlowLoopOptions) {
    const { cluster, engine, node, kernel } = options;
    this.identities = new Identities({
      holderOf: (address) => engine.holderOf(address),
      podFacts: (namespace, name) => cluster.get('pods', name, namespace)?.metadata,
    });
    this.services = new ServiceNames(() => cluster.all('services').values());
    this.recorderOptions = {
      node,
      identities: this.identities,
      judge: engine,
      serviceOf: (address, protocol, port) =>
        this.services.find(address, protocol, port, () => engine.holderOf(address)?.type === 'node'),
      lingering: kernel.lingering(),
    };
    this.recorder = new FlowRecorder(this.recorderOptions);
  }

  /** Call it when policy stands: what is seen earlier would be judged by half of it. */
  start(): void {
    const { kernel, log, needServices } = this.options;
    needServices();
    this.history = this.openHistory();
    this.events = kernel.open({
      onConnection: (event) => this.recorder.takeConnection(event, Date.now()),
      onPacket: (packet) => this.recorder.takeDenied(packet, Date.now()),
      onLost: (what, count) => {
        this.recorder.lose(what, count);
        this.complain({ what, count }, 'Cannot follow: the kernel dropped events of flows');
      },
      onFault: (error) => this.complain({ err: error }, 'Cannot read an event of flows; it is left out'),
    });
    // What was denied before is nobody's loss.
    this.countUnreported(false);
    this.sentences = [...this.sentences, ...this.events.missing];
    for (const sentence of this.events.missing) log.warn(sentence);
    this.timer = setInterval(() => this.endInterval(), INTERVAL);
    this.timer.unref();
    log.info({ days: this.options.settings.days, bytes: this.options.settings.bytes }, 'Recording flows');
  }

  stop(): void {
    clearInterval(this.timer);
    this.events?.close();
    this.endInterval();
    this.history?.close();
    this.history = undefined;
  }

  changed(change: ClusterChange): void {
    if (change.kind === 'services') this.services.changed();
    if (['pods', 'nodes', 'services', 'namespaces'].includes(change.kind)) this.recorder.changed();
  }

  /** The pods connected here are others. */
  endpointsChanged(): void {
    this.recorder.changed();
  }

  get lost(): FlowLosses {
    return this.recorder.lost;
  }

  /** What is not as it should be, in sentences. */
  problems(): readonly string[] {
    return this.sentences;
  }

  /** The newest flows that are asked for, the oldest first, in parts; the running interval's last. */
  async *query(query: ParsedQuery): AsyncGenerator<readonly Flow[]> {
    this.events?.drain();
    const current = this.recorder
      .current()
      .filter((flow) => query.matches(flow) && isWithin(flow, query))
      .slice(-query.limit);
    const limit = query.limit - current.length;
    if (limit > 0 && this.history !== undefined) yield* this.history.query({ ...query, limit });
    yield current;
  }

  labels(id: string): LabelSet | undefined {
    return this.identities.labels(id) ?? this.history?.labels(id);
  }

  /** Hears of every connection until the function returned is called; undefined: too many do. */
  follow(follower: Follower): (() => void) | undefined {
    if (this.followers.size >= MOST_FOLLOWERS) return undefined;
    this.followers.add(follower);
    this.recorderOptions.onConnection = (connection) => {
      for (const each of this.followers) each(connection);
    };
    return () => {
      this.followers.delete(follower);
      if (this.followers.size === 0) this.recorderOptions.onConnection = undefined;
    };
  }

  addMetrics(text: MetricText): void {
    this.metrics.addTo(text, this.recorder.lost);
  }

  private endInterval(): void {
    this.events?.drain();
    this.countUnreported();
    const flows = this.recorder.close();
    this.metrics.take(flows);
    this.history?.append(flows);
    if (++this.intervals % PRUNE_EVERY === 0) this.history?.prune(Date.now());
  }

  private countUnreported(isLoss = true): void {
    const { engine, kernel } = this.options;
    try {
      const count = kernel.unreported(engine.deniedChains());
      if (count > 0 && isLoss) this.recorder.lose('unreported', count);
    } catch (error) {
      this.complain({ err: error }, 'Cannot read how many denied packets were not reported');
    }
  }

  /** Without a history the flows of the running interval are there all the same. */
  private openHistory(): FlowHistory | undefined {
    const { stateDir, settings, log } = this.options;
    const onProblem = (sentence: string): void => log.warn(sentence);
    try {
      mkdirSync(stateDir, { recursive: true, mode: 0o700 });
      const path = join(stateDir, 'flows.db');
      return FlowHistory.open({ path, ...settings, labels: (id) => this.identities.labels(id), onProblem });
    } catch (error) {
      const sentence = `Cannot keep flows longer than ${INTERVAL / 1000} s: ${messageOf(error)}`;
      this.sentences = [...this.sentences, sentence];
      log.warn(sentence);
      return undefined;
    }
  }

  private complain(fields: object, sentence: string): void {
    const now = performance.now();
    if (now - this.complainedAt < PATIENCE) return;
    this.complainedAt = now;
    this.options.log.warn({ ...fields, lost: this.recorder.lost }, sentence);
  }
}
