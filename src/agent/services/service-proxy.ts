/**
 * Services on this node: whether Tortie serves them, the engine that knows how, its rules in the kernel, stale connections, and
 * kube-proxy's ports. Whether is looked at again every few seconds: a kube-proxy that goes is followed, one that comes is given way to.
 *
 * Packets do not notice: what is served stands in the kernel until the other's rules do, and established connections are
 * the kernel's own affair.
 */
import {
  isStale,
  ServicesEngine,
  type AllowedServers,
  type ServiceProblems,
  type ServicesOptions,
} from '@tortie/services';
import type { Ruleset } from '@tortie/policy/ruleset';
import type { Family } from 'node-bgp/address';
import type { Cluster, ClusterChange } from '../../cluster/cluster.js';
import { messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import { userText } from '../../user-text.js';
import type { TrackedConnection } from '../../dataplane/netlink/service-connections.js';
import { PolicyLoop, type Netfilter, type RuleSource } from '../policy-loop.js';
import { StaleConnections } from '../stale-connections.js';
import { HealthCheckPorts } from './health-check-ports.js';
import type { ListenAddress } from './listener.js';
import { chooseServing, type KubeProxySigns, type ServiceSetting, type ServingChoice } from './proxy-choice.js';
import { ProxyHealth } from './proxy-health.js';
import { ProxyMetrics, type ProxyGauges } from './proxy-metrics.js';
import { ProxyServer } from './proxy-server.js';
import type { ServiceTroubles } from './service-events.js';
import { podRangesOf, serviceEventOf, serviceEventsOf } from './service-feed.js';
import { takenPorts, type TakenPort } from './taken-ports.js';

/** What the kernel is asked for Services. */
export interface ServiceKernel {
  readonly netfilter: Netfilter;
  /** "iptables" or "nftables". */
  mode(): string;
  kubeProxyRules(): Promise<string | undefined>;
  forgetStaleConnections(isStale: (connection: TrackedConnection) => boolean): Promise<number>;
  /** The node's own, all interfaces. */
  nodeAddresses(): ReadonlySet<string>;
  /** "tcp:30080" of every port that a program of the node listens on. */
  listeningPorts(): ReadonlySet<string>;
}

export interface ServiceSettings {
  readonly setting: ServiceSetting;
  readonly healthAddress: ListenAddress;
  readonly metricsAddress: ListenAddress;
  readonly masqueradeAll?: boolean;
  readonly nodePortAddresses?: ServicesOptions['nodePortAddresses'];
}

export interface ServiceProxyOptions {
  readonly node: string;
  readonly settings: ServiceSettings;
  readonly families: readonly Family[];
  readonly cluster: Cluster;
  readonly kernel: ServiceKernel;
  /** Begins to watch Services; resolves once all are known. */
  readonly needServices: () => Promise<void>;
  /** Does another than we answer there? */
  readonly asksHealth: (address: ListenAddress) => Promise<boolean>;
  readonly log: Logger;
  readonly onHealth: () => void;
  /** What comes to addresses of Services is served from now on. */
  readonly onServed?: () => void;
}

const LOOK_AGAIN = 30_000;
const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';
const MOST_TRIGGERS = 1_000;
const NOT_LISTED =
  'Cannot serve Services yet: the API server has not listed them; expected the right to list and watch services';
const NOTHING: Ruleset = { sets: new Map(), chains: new Map(), maps: new Map(), hooks: [] };
/** Sentences of Services' problems in the node status. BOUNDED here: every node tells the same ones. */
const MOST_SENTENCES = 50;
/** Objects whose problems are compared to tell news; more are told at the next heartbeat. */
const MOST_COMPARED = 500;

/** What stands while Services are served. */
interface Serving {
  readonly engine: ServicesEngine;
  readonly loop: PolicyLoop<ServiceEventInput>;
  /** By frontend. */
  readonly stale: StaleConnections<AllowedServers>;
  readonly server: ProxyServer;
  readonly checks: HealthCheckPorts;
}

type ServiceEventInput = Parameters<ServicesEngine['apply']>[0];

export class ServiceProxy {
  private readonly health = new ProxyHealth();
  private readonly metrics: ProxyMetrics;
  private serving: Serving | undefined;
  private choice: ServingChoice | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;
  private hasHandedBack = false;
  /** For Services to be known. */
  private isWaiting = false;
  private pending = { services: 0, endpoints: 0 };
  /** When the changes that wait were made, in milliseconds. BOUNDED by MOST_TRIGGERS. */
  private triggers: number[] = [];
  /** Those of changes that are being written. BOUNDED likewise. */
  private underWay: readonly number[] = [];
  private lastTrigger: number | undefined;
  private problem: string | undefined;
  private taken: readonly TakenPort[] = [];
  /** What is wrong with users' objects, as last told. */
  private lastProblems = '[]';

  constructor(private readonly options: ServiceProxyOptions) {
    this.metrics = new ProxyMetrics(options.families);
  }

  /** The first look, and from then on one every few seconds. Resolves when what is served stands in the kernel, or nothing is. */
  async start(): Promise<void> {
    await this.look();
    this.schedule();
  }

  take(change: ClusterChange): void {
    const { serving } = this;
    if (serving === undefined) return;
    if (change.kind === 'ipPools')
      return serving.loop.take({
        type: 'pod-ranges',
        ranges: podRangesOf(this.options.cluster.all('ipPools').values()),
      });
    const event = serviceEventOf(change);
    if (event === undefined) return;
    if (change.kind === 'services') this.noteChange('services');
    else if (change.kind === 'endpointSlices') this.noteEndpoints(change);
    serving.loop.take(event);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.endServing();
  }

  /** Why Services are not as they should be, in sentences. */
  problems(): readonly string[] {
    const { serving, options } = this;
    const rules = serving?.loop.problems() ?? options.kernel.netfilter.failures().map(({ message }) => message);
    return [this.problem, this.isWaiting ? NOT_LISTED : undefined, ...rules].filter((one) => one !== undefined);
  }

  /** What is wrong with users' Services, and ports that cannot be had. */
  warnings(): readonly string[] {
    const { serving } = this;
    if (serving === undefined) return [];
    const sentences = serving.engine.problems().map(sentenceOf);
    const rest = sentences.length - MOST_SENTENCES;
    return [
      ...sentences.slice(0, MOST_SENTENCES),
      ...(rest > 0 ? [`and ${rest} more Services and EndpointSlices`] : []),
      ...serving.server.problems(),
      ...serving.checks.problems(),
      ...this.taken.map(({ text }) => text),
    ];
  }

  /** The same, by object. */
  troubles(): ServiceTroubles {
    return { objects: this.serving?.engine.problems() ?? [], ports: this.taken };
  }

  /** "Services are served: ..." */
  notice(): string {
    const { choice } = this;
    if (choice === undefined) return 'Services are not served yet';
    return `Services are ${choice.serves ? '' : 'not '}served: ${choice.reason}`;
  }

  /** Is what comes to addresses of Services translated here: by our rules, which stand, or by whoever else serves them? */
  get isServed(): boolean {
    if (this.choice === undefined) return false;
    return !this.choice.serves || this.health.lastUpdated > 0;
  }

  get engine(): ServicesEngine | undefined {
    return this.serving?.engine;
  }

  private noteChange(what: 'services' | 'endpoints'): void {
    this.pending[what]++;
    this.health.queued();
    if (what === 'services') this.metrics.serviceChanged();
    else this.metrics.endpointChanged();
  }

  private noteEndpoints({ type, object }: ClusterChange & { readonly kind: 'endpointSlices' }): void {
    this.noteChange('endpoints');
    const since = Date.parse(object.metadata.annotations?.[TRIGGER_TIME] ?? '');
    if (type === 'upsert' && !Number.isNaN(since) && since !== this.lastTrigger && this.triggers.length < MOST_TRIGGERS)
      this.triggers.push((this.lastTrigger = since));
  }

  private schedule(): void {
    if (this.isStopped || (this.options.settings.setting === 'off' && this.hasHandedBack)) return;
    this.timer = setTimeout(() => void this.look().then(() => this.schedule()), LOOK_AGAIN).unref();
  }

  private async look(): Promise<void> {
    let doing = 'find out whether a kube-proxy is on this node';
    try {
      const choice = chooseServing(this.options.settings.setting, await this.signs());
      if (this.isStopped) return;
      doing = choice.serves ? 'serve Services' : 'take rules of Services away';
      await this.follow(choice);
      this.lookAtPorts();
      this.tell(undefined);
    } catch (error) {
      if (!this.isStopped) this.tell(`Cannot ${doing}: ${messageOf(error)}`);
    }
  }

  private lookAtPorts(): void {
    const { engine } = this.serving ?? {};
    const taken = engine === undefined ? [] : takenPorts(engine, this.options.kernel.listeningPorts(), MOST_SENTENCES);
    if (JSON.stringify(taken) === JSON.stringify(this.taken)) return;
    this.taken = taken;
    this.options.onHealth();
  }

  private async signs(): Promise<KubeProxySigns> {
    const { setting, healthAddress } = this.options.settings;
    if (setting === 'off') return { rules: undefined, answersHealth: false };
    const rules = await this.options.kernel.kubeProxyRules();
    // Where we serve it is our own answer.
    const answersHealth =
      setting === 'auto' && rules === undefined && this.serving === undefined
        ? await this.options.asksHealth(healthAddress)
        : false;
    return { rules, answersHealth };
  }

  private async follow(choice: ServingChoice): Promise<void> {
    const isNews = choice.serves !== this.choice?.serves || choice.reason !== this.choice.reason;
    const wasServed = this.isServed;
    this.choice = choice;
    if (!wasServed && this.isServed) this.options.onServed?.();
    if (isNews) {
      this.options.log.info(this.notice());
      this.options.onHealth();
    }
    if (choice.serves && this.serving === undefined) await this.beginServing();
    else if (!choice.serves && (this.serving !== undefined || !this.hasHandedBack)) await this.handBack();
  }

  private async beginServing(): Promise<void> {
    const { options } = this;
    this.isWaiting = true;
    await options.needServices();
    this.isWaiting = false;
    if (this.isStopped) return;
    options.onHealth();
    const { settings, cluster, log, onHealth, node } = options;
    const engine = new ServicesEngine({
      nodeName: node,
      ...(settings.masqueradeAll === undefined ? {} : { masqueradeAll: settings.masqueradeAll }),
      ...(settings.nodePortAddresses === undefined ? {} : { nodePortAddresses: settings.nodePortAddresses }),
    });
    for (const event of serviceEventsOf(cluster)) engine.apply(event);
    const stale = new StaleConnections<AllowedServers>({
      forget: (frontends) => this.forget(frontends),
      onForgotten: (count) => {
        this.metrics.forgot(count);
        if (count > 0) log.debug({ count }, 'Forgot tracked connections of endpoints that are gone');
      },
      log,
    });
    const loop = new PolicyLoop<ServiceEventInput>(this.noting(engine, stale), this.timed(), log, onHealth, 'Services');
    const checks = new HealthCheckPorts(() => this.health.isHealthy, onHealth);
    const server = new ProxyServer({
      healthAddress: settings.healthAddress,
      metricsAddress: settings.metricsAddress,
      health: this.health,
      metrics: this.metrics,
      node: () => cluster.get('nodes', node),
      gauges: () => this.gauges(engine),
      mode: () => options.kernel.mode(),
      onHealth,
    });
    this.serving = { engine, loop, stale, server, checks };
    this.hasHandedBack = false;
    // A refusal is the loop's to tell and to repeat; pods do not wait for Services.
    await loop.start().catch(() => undefined);
  }

  /**
   * Together with a flush, what it makes stale: the walk for that comes when those very rules stand. They may stand already: an endpoint
   * that ends has left the rules before it leaves its slice, and only then is its last entry stale.
   */
  private noting(engine: ServicesEngine, stale: StaleConnections<AllowedServers>): RuleSource<ServiceEventInput> {
    return {
      apply: (event) => engine.apply(event),
      ruleset: () => engine.ruleset(),
      flush: () => {
        const delta = engine.flush();
        for (const [key, allowed] of engine.takeStaleDatagrams()?.frontends ?? []) stale.note(key, allowed);
        this.pending = { services: 0, endpoints: 0 };
        this.underWay = [...this.underWay, ...this.triggers].slice(0, MOST_TRIGGERS);
        this.triggers = [];
        return delta;
      },
      stands: () => this.stands(),
    };
  }

  /** The kernel side with a clock around it. */
  private timed(): Netfilter {
    const { netfilter } = this.options.kernel;
    const around = async <T extends { readonly failures: readonly unknown[] }>(
      isWhole: boolean,
      write: () => Promise<T>,
    ): Promise<T> => {
      const began = performance.now();
      this.health.queued();
      try {
        const result = await write();
        this.metrics.synced((performance.now() - began) / 1000, isWhole);
        if (result.failures.length > 0) this.metrics.syncFailed();
        return result;
      } catch (error) {
        this.metrics.syncFailed();
        throw error;
      }
    };
    return {
      sync: (ruleset) => around(true, () => netfilter.sync(ruleset)),
      apply: (delta) => around(false, () => netfilter.apply(delta)),
      failures: () => netfilter.failures(),
      ...(netfilter.unrest === undefined ? {} : { unrest: () => netfilter.unrest?.() }),
    };
  }

  private stands(): void {
    const { serving } = this;
    const wasServed = this.isServed;
    this.health.updated();
    if (!wasServed) this.options.onServed?.();
    for (const since of this.underWay) this.metrics.programmed((Date.now() - since) / 1000);
    this.underWay = [];
    if (serving === undefined) return;
    serving.checks.level(serving.engine.healthChecks());
    serving.stale.stand();
    this.noteProblems(serving.engine.problems());
  }

  private noteProblems(problems: readonly ServiceProblems[]): void {
    const text = JSON.stringify(problems.slice(0, MOST_COMPARED));
    if (text === this.lastProblems) return;
    this.lastProblems = text;
    this.options.onHealth();
  }

  private forget(frontends: ReadonlyMap<string, AllowedServers>): Promise<number> {
    const { kernel } = this.options;
    const addresses = kernel.nodeAddresses();
    return kernel.forgetStaleConnections((connection) =>
      isStale({ frontends }, connection, (address) => addresses.has(address)),
    );
  }

  private gauges(engine: ServicesEngine): ProxyGauges {
    return {
      lastUpdated: this.health.lastUpdated,
      lastQueued: this.health.lastQueued ?? this.health.lastUpdated,
      endpointChangesPending: this.pending.endpoints,
      serviceChangesPending: this.pending.services,
      withoutLocalEndpoints: engine.withoutLocalEndpoints(),
    };
  }

  /** Rules of ours that an earlier process left go too. */
  private async handBack(): Promise<void> {
    this.endServing();
    await this.options.kernel.netfilter.sync(NOTHING);
    this.hasHandedBack = true;
  }

  private endServing(): void {
    this.serving?.loop.stop();
    this.serving?.stale.stop();
    this.serving?.checks.close();
    this.serving?.server.close();
    this.serving = undefined;
  }

  private tell(problem: string | undefined): void {
    if (problem === this.problem) return;
    if (problem !== undefined) this.options.log.warn(problem);
    this.problem = problem;
    this.options.onHealth();
  }
}

const MOST_SENTENCE = 1_024;

function sentenceOf({ kind, namespace, name, problems }: ServiceProblems): string {
  return userText(`${kind} ${namespace}/${name}: ${problems.map(({ message }) => message).join('; ')}`, MOST_SENTENCE);
}
