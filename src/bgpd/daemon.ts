/**
 * The routing daemon: a Speaker, the kernel's interfaces feeding it, and the kernel's table fed by it.
 *
 * In: configurations (from a file, from the API, from the last run). Out: routes in the kernel, log lines, answers to the API.
 * The kernel side exists only when the configuration wants `installRoutes`; without it the daemon needs no privileges on a high port.
 *
 * Order of a start after a crash: our old routes are read, the speaker tells its peers that it has restarted, nothing is written
 * until they have sent all, then what nobody confirmed is swept. See fib-writer.ts and node-bgp's own-restart.ts.
 */
import { formatAddress, parseAddress, type Family, type IpAddress } from 'node-bgp/address';
import type { SpeakerConfig } from 'node-bgp/config';
import type { ParsedConfig } from 'node-bgp/config/validate';
import { globalAddress, interfaceOf, type LocalInterface } from 'node-bgp/session/interface';
import type { SpeakerEvent } from 'node-bgp/speaker/event';
import { Speaker, type Configured } from 'node-bgp/speaker/speaker';
import { configDigest } from './config-digest.js';
import { withDaemonDefaults } from './config-file.js';
import { NetlinkSocket } from '../dataplane/netlink/index.js';
import { UserError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { nowText } from '../history/entry.js';
import { Journal } from '../history/journal.js';
import type { FibStatus } from './fib-contract.js';
import { FibWriter } from './fib-writer.js';
import { HistoryKeeper } from './history-keeper.js';
import { InterfaceWatch } from './interface-watch.js';
import type { KernelRouteContext } from './kernel-route.js';
import { MrtDumps } from './mrt-dumps.js';
import { RefusalLog } from './refusal-log.js';
import { RouteWatch } from './route-watch.js';
import { SavedState } from './saved-state.js';
import { VERSION } from '../version.js';

export interface DaemonOptions {
  readonly stateDir: string;
  readonly log: Logger;
}

export type Applied = Configured & {
  /** Of this configuration (config-digest.ts). */
  readonly digest: string;
  /** Why it could not be kept for the next start. */
  readonly notSaved?: string;
};

const DEFAULT_METRIC = 20;
const MOST_LOGGED = 10;
/**
 * How long routes of a former process stay after every peer's End-of-RIB. FRR 8.4 sends End-of-RIB at once and its routes a second later;
 * a route that stays too long costs nothing that the restart itself has not risked.
 */
const SWEEP_GRACE = 10_000;

export class Daemon {
  readonly speaker: Speaker;
  private readonly state: SavedState;
  private readonly log: Logger;
  private socket: NetlinkSocket | undefined;
  private interfaces: InterfaceWatch | undefined;
  private routes: RouteWatch | undefined;
  private routesSocket: NetlinkSocket | undefined;
  private fib: FibWriter | undefined;
  private context: KernelRouteContext | undefined;
  private readonly dumps: MrtDumps;
  private readonly refusals: RefusalLog;
  private readonly journal: Journal;
  private readonly history: HistoryKeeper;
  /** The log's level when no configuration names one. */
  private readonly startLevel: string;
  private isSettling = false;
  private digest: string | undefined;
  private underWay = 0;
  private sweepTimer: NodeJS.Timeout | undefined;

  constructor(options: DaemonOptions) {
    this.state = new SavedState(options.stateDir);
    this.log = options.log;
    this.startLevel = options.log.level;
    const wasKilled = this.state.wasKilled();
    if (wasKilled) this.log.info('the last bgpd of this boot was killed: restarting gracefully');
    this.speaker = new Speaker({
      isRestarting: wasKilled,
      onForwarding: () => this.fib?.wake(),
      onNextHop: () => this.routes?.retarget(),
    });
    this.refusals = new RefusalLog(this.log);
    this.dumps = new MrtDumps(this.speaker, this.log);
    this.journal = new Journal({ stateDir: options.stateDir, name: 'bgpd', log: this.log });
    this.history = new HistoryKeeper({ note: (entry) => this.journal.add(entry), rib: () => this.speaker.rib });
    this.noteProcess(`${VERSION} started${wasKilled ? ' after the last one was killed' : ''}`);
    this.speaker.subscribe((event) => this.heard(event));
  }

  get savedConfig(): { readonly text: string; readonly path: string; readonly isOfFormerBoot: boolean } | undefined {
    const saved = this.state.readConfig();
    return saved && { ...saved, isOfFormerBoot: this.state.isOfFormerBoot() };
  }

  /** Interfaces are watched where the system lets us: without them sessions work, but nothing notices a lost carrier. */
  start(): void {
    this.history.start();
    this.keep(() => this.state.markRunning(), 'a crash would not be followed by a graceful restart');
    try {
      this.socket = new NetlinkSocket();
      this.interfaces = new InterfaceWatch({
        socket: this.socket,
        onChange: (interfaces) => this.interfacesChanged(interfaces),
        onLoss: () => {
          this.fib?.loss();
          this.routes?.linksChanged();
        },
        onGain: () => {
          this.fib?.gain();
          this.routes?.linksChanged();
        },
      });
      this.interfaces.start();
      this.watchRoutes(this.interfaces);
    } catch (error) {
      this.log.warn({ err: error }, 'cannot watch interfaces; links are not tracked');
      this.interfaces = undefined;
    }
  }

  /** What is not on a link of ours may be behind somebody else's route. */
  private watchRoutes(interfaces: InterfaceWatch): void {
    this.routesSocket = new NetlinkSocket();
    this.routes = new RouteWatch({
      socket: this.routesSocket,
      nameOf: (index) => interfaces.nameOf(index),
      targets: () => this.speaker.nextHopTargets(),
      onChange: (routes) => this.speaker.setKernelRoutes(routes),
      onProblem: (error) => this.log.warn({ err: error }, 'cannot read the routes of the kernel; it is tried again'),
    });
    this.routes.start();
  }

  /** Of the configuration that is true now (config-digest.ts); undefined before the first. */
  get configDigest(): string | undefined {
    return this.digest;
  }

  /** Configurations that have been given and are not true yet. */
  get configsUnderWay(): number {
    return this.underWay;
  }

  /** Makes a configuration true and keeps it for the next start. */
  async configure(wanted: ParsedConfig): Promise<Applied> {
    this.underWay++;
    try {
      return await this.apply(withDaemonDefaults(wanted));
    } finally {
      this.underWay--;
    }
  }

  /** Of a configuration whose giver has gone. */
  tellLateFailure(error: unknown): void {
    this.log.error({ problem: messageOf(error) }, 'a configuration could not be applied');
  }

  private async apply(config: ParsedConfig): Promise<Applied> {
    // A link that counts only by its name has to be known when its peers are made: a restart waits for those whose link is up.
    if (this.speaker.config === undefined) this.interfaces?.setWanted(wantedInterfaces(config));
    const changes = await this.speaker.configureParsed(config);
    const applied = this.speaker.config;
    let notSaved: string | undefined;
    if (applied !== undefined) {
      this.digest = configDigest(applied);
      notSaved = this.keep(() => this.state.writeConfig(applied), 'the next start goes on with an older one');
      this.followConfig(applied);
      this.dumps.configure(applied.mrt);
    }
    for (const { peer, reasons } of changes.reset)
      this.log.info({ peer, reasons }, `session with ${peer} was reset: ${reasons.join(', ')} changed`);
    this.log.info(
      {
        added: shortened(changes.added),
        removed: shortened(changes.removed),
        ...(changes.renamed.length === 0 ? {} : { renamed: changes.renamed.slice(0, MOST_LOGGED) }),
        changed: shortened(changes.changed),
        originated: changes.originated,
      },
      'configuration applied',
    );
    return { ...changes, digest: configDigest(config), ...(notSaved === undefined ? {} : { notSaved }) };
  }

  /** Routing goes on without a disk to write on; the operator hears what that costs. */
  private keep(write: () => void, consequence: string): string | undefined {
    try {
      write();
      return undefined;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.log.error({ problem: error.message }, `${error.message}; ${consequence}`);
      return error.message;
    }
  }

  get fibStatus(): FibStatus | undefined {
    return this.fib?.status();
  }

  /** Puts right what the kernel has lost; answers how many routes differed. */
  async resync(): Promise<number> {
    return (await this.fib?.resync()) ?? 0;
  }

  /** Ends for good: peers are told, routes leave the kernel; or, gracefully, peers and kernel keep everything for the next process. */
  async stop(graceful: boolean, text: string): Promise<void> {
    clearTimeout(this.sweepTimer);
    this.dumps.configure(undefined);
    this.refusals.sum();
    await this.speaker.stop({ text, graceful });
    this.interfaces?.stop();
    await this.routes?.stop();
    this.routesSocket?.close();
    const { fib } = this;
    if (fib !== undefined) await this.endFib(fib, graceful);
    if (!graceful) this.state.markStopped();
    this.socket?.close();
    this.history.stop();
    this.noteProcess(`stopped: ${text}`);
    await this.journal.flush();
  }

  private noteProcess(message: string): void {
    this.journal.add({ at: nowText(), type: 'process', process: 'bgpd', message });
  }

  private followConfig(config: SpeakerConfig): void {
    this.log.level = config.logLevel ?? this.startLevel;
    this.interfaces?.setWanted(wantedInterfaces(config));
    // Neighbours that have to be on a link are others.
    this.routes?.retarget();
    this.updateContext(config, this.interfaces?.current ?? []);
    const { socket } = this;
    if (config.installRoutes === true && this.fib === undefined && socket !== undefined) this.startFib();
    else if (config.installRoutes !== true && this.fib !== undefined) {
      void this.endFib(this.fib, false);
      this.fib = undefined;
    }
  }

  private async endFib(fib: FibWriter, keepsRoutes: boolean): Promise<void> {
    fib.stop();
    await fib.whenIdle();
    if (!keepsRoutes) fib.removeAll();
    fib.close();
  }

  private startFib(): void {
    const fib = new FibWriter({
      open: (options) => new NetlinkSocket(options),
      onNoNexthops: (reason) =>
        this.log.warn(
          { reason },
          `the kernel has no nexthop objects (Linux 5.3): each route says itself where it leads, which takes longer: ${reason}`,
        ),
      context: () => this.context ?? { metric: DEFAULT_METRIC, preferredSource: {}, indexOf: () => undefined },
      take: (sink, limit) => this.speaker.takeForwarding(sink, limit),
      onProblem: (problem) => this.refusals.tell(problem),
      onCut: ({ family, wanted, kept }) =>
        this.log.warn(
          { family, wanted, kept },
          `IPv${family} routes over ${wanted} next hops lead over ${kept} of them: ` +
            'a longer list would hide the routes after it from `ip route`',
        ),
      onRepair: (routes) =>
        this.log.warn(
          { routes },
          `put right ${routes} routes that the kernel had dropped or somebody else had changed`,
        ),
    });
    const left = fib.start();
    this.fib = fib;
    this.log.info({ left }, 'routes go to the kernel');
    this.speaker.replayForwarding();
    fib.wake();
    if (!this.speaker.isRestarting) void this.settle('nothing to wait for');
  }

  /** All is selected: whatever of the former process is left in the kernel now is stale. */
  private async settle(reason: string): Promise<void> {
    if (this.isSettling) return;
    this.isSettling = true;
    await this.speaker.whenSettled();
    this.isSettling = false;
    await this.fib?.whenIdle();
    const swept = this.fib?.sweep() ?? 0;
    if (swept > 0) this.log.info({ swept, reason }, 'swept stale routes from the kernel');
  }

  private interfacesChanged(interfaces: readonly LocalInterface[]): void {
    const { config } = this.speaker;
    if (config !== undefined) this.updateContext(config, interfaces);
    this.speaker.setInterfaces(interfaces);
  }

  /** A node's own packets carry its own address (the router id's), not that of the link they happen to leave by. */
  private updateContext(config: SpeakerConfig, interfaces: readonly LocalInterface[]): void {
    const own = parseAddress(config.routerId);
    const link = interfaceOf(interfaces, own);
    const ipv6 = globalAddress(link, 6);
    const preferredSource: Partial<Record<Family, IpAddress>> =
      link === undefined ? {} : { 4: own, ...(ipv6 === undefined ? {} : { 6: ipv6 }) };
    const before = this.context;
    const metric = config.kernelMetric ?? DEFAULT_METRIC;
    this.context = {
      metric,
      metricIpv6: config.kernelMetricIpv6 ?? metric,
      preferredSource,
      indexOf: (name) => this.interfaces?.indexOf(name),
    };
    if (before !== undefined && textOf(before) !== textOf(this.context)) {
      this.speaker.replayForwarding();
      this.fib?.wake();
    }
  }

  private heard(event: SpeakerEvent): void {
    logEvent(this.log, event);
    this.history.heard(event);
    if (event.type === 'restart-done') {
      clearTimeout(this.sweepTimer);
      this.sweepTimer = setTimeout(() => void this.settle(event.reason), SWEEP_GRACE);
      this.sweepTimer.unref();
    }
  }
}

/** A thousand names in one line of log tell nobody more than the first of them. */
const shortened = (names: readonly string[]): readonly string[] =>
  names.length <= MOST_LOGGED ? names : [...names.slice(0, MOST_LOGGED), `and ${names.length - MOST_LOGGED} more`];

/** What all routes have in common. */
const textOf = ({ metric, metricIpv6 = metric, preferredSource }: KernelRouteContext): string =>
  [
    metric,
    metricIpv6,
    ...([4, 6] as const).map((family) => {
      const source = preferredSource[family];
      return source === undefined ? '' : formatAddress(source);
    }),
  ].join(' ');

function wantedInterfaces(config: SpeakerConfig): ReadonlySet<string> {
  const peers = (config.peers ?? []).map((peer) => peer.interface ?? peer.address?.split('%')[1]);
  const ranges = (config.dynamicPeers ?? []).map((range) => range.interface);
  return new Set([...peers, ...ranges].filter((name) => name !== undefined));
}

function logEvent(log: Logger, event: SpeakerEvent): void {
  const { type, ...fields } = event;
  switch (event.type) {
    case 'peer-state':
      return log.debug(fields, `peer ${event.peer} is ${event.state}`);
    case 'peer-up':
      return log.info(fields, `peer ${event.peer} is up`);
    case 'peer-down':
      return log.warn(fields, `peer ${event.peer} is down: ${event.reason}`);
    case 'neighbour-found':
      return log.info(fields, `peer ${event.peer} is at ${event.address}`);
    case 'attempt-failed':
      return log.warn(fields, `peer ${event.peer}: ${event.reason}`);
    case 'connection-refused':
      return log.warn(fields, `connection from ${event.address} refused: ${event.reason}`);
    case 'peer-warning':
      return log.warn(fields, `peer ${event.peer}: ${event.reason}`);
    case 'update-error':
      return log.warn(fields, `peer ${event.peer}: ${event.reason} (${event.severity})`);
    case 'listen-failed':
      return log.error(fields, event.reason);
    case 'listening':
      return log.info(fields, `listening on ${event.address} port ${event.port}`);
    case 'stale-swept':
      return log.info(fields, `stale IPv${event.family} routes of ${event.peer} are gone: ${event.reason}`);
    case 'restart-done':
      return log.info(fields, `restart is over: ${event.reason}`);
    case 'bmp-up':
      return log.info(fields, `BMP station ${event.station} is connected`);
    case 'bmp-down':
      return log.warn(fields, `BMP station ${event.station} is away: ${event.reason}`);
    case 'end-of-rib':
      return log.debug(fields, type);
  }
}
