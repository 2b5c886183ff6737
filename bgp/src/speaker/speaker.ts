/**
 * A BGP speaker as a library: state what it should be, hear what happens, ask what it knows.
 *
 *     const speaker = new Speaker({ keepRoutes: true });
 *     speaker.subscribe((event) => console.log(event));
 *     await speaker.configure({ localAs: 64512, routerId: '10.0.0.1', listen: [{ address: '127.0.0.1', port: 1790 }], peers: [...] });
 *     speaker.originate([{ prefix: '10.65.0.0/26' }]);
 *     for await (const { prefix, via } of speaker.routes()) ...
 *     await speaker.stop();
 *
 * `configure` takes the whole and applies the difference: a session is reset only if its own parameters force it. It runs without
 * root on a high port. Routes learned are read by queries, or taken as they change: as text (`routes`), or as words for a kernel's
 * table (`takeForwarding`).
 */
import type { IpAddress } from '../address.js';
import type { SpeakerConfig, OriginatedPrefix } from '../config.js';
import { parseConfig, type ParsedConfig } from '../config/validate.js';
import { Afi, CeaseCode, Safi } from '../iana.js';
import type { OpenRouterSocket } from '../discovery/contract.js';
import { openRouterSocket } from '../discovery/icmpv6-socket.js';
import { encodeShutdownText } from '../codec/notification.js';
import type { ForwardingSink } from '../rib/forwarding-entry.js';
import type { KernelRoute } from '../rib/contract.js';
import type { RibQueries } from '../rib/answers.js';
import type { BfdEvent, BfdStatus } from '../bfd/contract.js';
import { BfdService } from '../bfd/service.js';
import { systemClock, type Clock } from '../session/clock.js';
import type { LocalInterface } from '../session/interface.js';
import { tcpTransport } from '../transport/tcp-transport.js';
import type { Transport } from '../transport/transport.js';
import { diffConfig, peerSettings, type ConfigChanges } from './config-diff.js';
import { Core } from './core.js';
import type { SpeakerEvent, SpeakerEventListener } from './event.js';
import { eventStream, type EventOf, type EventsLost } from './event-stream.js';
import { History, type HistoryEntry } from './history.js';
import { keysOf, type ListenFailure } from './listeners.js';
import type { BfdPort } from './peer-bfd.js';
import { peerAddressText } from './peer-settings.js';
import { cease } from './cease.js';
import type { Peer } from './peer.js';
import { Bell, routeStream, type RouteChange } from './route-stream.js';
import { peerDetail, peerSummary, type PeerDetail, type SpeakerSummary } from './view.js';

/** Changes of the forwarding table go to one reader: `routes`, or `takeForwarding`; without either no such table is kept. */
export type SpeakerOptions = SpeakerPorts &
  (
    | { /** For `routes`. */ readonly keepRoutes?: boolean; readonly onForwarding?: undefined }
    | {
        readonly keepRoutes?: false /** Called when `takeForwarding` has something. */;
        readonly onForwarding: () => void;
      }
  );

export interface SpeakerPorts {
  /** Default: TCP. */
  readonly transport?: Transport;
  /** Default: the system's. */
  readonly clock?: Clock;
  /**
   * This process follows one that died while the kernel went on forwarding: peers are told so, and nothing is selected before
   * they have sent all their routes again (RFC 4724 section 4.1).
   */
  readonly isRestarting?: boolean;
  /** Called for each address that `nextHopTargets` has more; nothing may be asked of the speaker inside. */
  readonly onNextHop?: () => void;
  /** How unnumbered peers are heard (RFC 4861); default: by a raw ICMPv6 socket. */
  readonly openRouterSocket?: OpenRouterSocket;
  /** Default: the library's own, in a thread (RFC 5880). */
  readonly bfd?: (onEvent: (event: BfdEvent) => void) => BfdPort;
}

export interface Configured extends ConfigChanges {
  readonly listenFailures: readonly ListenFailure[];
}

/** The tables of a speaker, to look at. */

export class Speaker {
  private readonly core: Core;
  private readonly clock: Clock;
  private readonly listeners = new Set<SpeakerEventListener>();
  private readonly log = new History();
  private readonly startedAt: number;
  private current: SpeakerConfig | undefined;
  /** `configure` calls run one after the other. */
  private turn: Promise<unknown> = Promise.resolve();
  /** Rings when there are changes for `routes`; undefined: nobody asked to keep any. */
  private readonly routesReady: Bell | undefined;
  private isReadingRoutes = false;

  constructor(options: SpeakerOptions = {}) {
    this.clock = options.clock ?? systemClock;
    this.startedAt = this.clock.wallTime();
    const bell = options.keepRoutes === true ? new Bell() : undefined;
    this.routesReady = bell;
    const forwardingReady = bell === undefined ? options.onForwarding : () => bell.ring();
    this.core = new Core({
      transport: options.transport ?? tcpTransport,
      clock: this.clock,
      isRestarting: options.isRestarting ?? false,
      keepForwarding: forwardingReady !== undefined,
      forwardingReady: forwardingReady ?? (() => undefined),
      nextHopAdded: options.onNextHop ?? (() => undefined),
      openRouterSocket: options.openRouterSocket ?? openRouterSocket,
      event: (event) => this.publish(event),
      bfd: options.bfd ?? ((onEvent) => new BfdService(onEvent)),
    });
  }

  // ---- desired state

  /** Makes the whole configuration true. Rejects with ConfigError before anything is changed. For what came as JSON see `parseConfig`. */
  async configure(config: SpeakerConfig): Promise<Configured> {
    return await this.configureParsed(parseConfig(config));
  }

  /** As `configure`, of what `parseConfig` has answered: a table of a million prefixes is not checked twice. */
  configureParsed(config: ParsedConfig): Promise<Configured> {
    const run = this.turn.then(() => this.apply(config));
    this.turn = run.catch(() => undefined);
    return run;
  }

  /** What `configure` would do. Throws ConfigError. */
  plan(config: SpeakerConfig): ConfigChanges {
    return diffConfig(this.current, parseConfig(config));
  }

  /** All prefixes of our own; takes the place of `originate` of the configuration. */
  originate(prefixes: readonly OriginatedPrefix[]): void {
    const config = parseConfig({ ...this.requireConfig(), originate: prefixes });
    this.current = config;
    this.core.setConfig(config);
    this.core.originate(prefixes);
  }

  /** All interfaces: from now on direct neighbours live and die with their links, and next hops resolve through these. */
  setInterfaces(interfaces: readonly LocalInterface[]): void {
    this.core.surroundings.setInterfaces(interfaces);
  }

  /**
   * Routes of the kernel that neither this speaker nor the node's own agent made, as many of them as lead to one of `nextHopTargets`: from
   * now on next hops resolve through these, too. They count once `setInterfaces` has been called.
   */
  setKernelRoutes(routes: readonly KernelRoute[]): void {
    this.core.surroundings.setKernelRoutes(routes);
  }

  /** Addresses whose routes in the kernel matter. `onNextHop` says when there are more. */
  nextHopTargets(): Iterable<IpAddress> {
    return this.core.surroundings.targets();
  }

  /** Ends every session with Cease / Administrative Shutdown, or in silence if the peers are to keep our routes over a restart. */
  async stop(options: { readonly text?: string; readonly graceful?: boolean } = {}): Promise<void> {
    await this.turn;
    const notification = cease(
      CeaseCode.administrativeShutdown,
      options.text === undefined ? undefined : encodeShutdownText(options.text),
    );
    for (const peer of this.core.peers.values())
      peer.close(options.graceful === true ? undefined : notification, options.text ?? 'The speaker was stopped');
    await this.core.stop();
  }

  /** Resets a session (Cease / Administrative Reset), or with `soft` only asks for and sends all routes again. False: no such peer. */
  clear(name: string, options: { readonly soft?: boolean } = {}): boolean {
    const peer = this.find(name);
    if (peer === undefined) return false;
    if (options.soft === true) this.refresh(peer);
    else if (peer.blockedBy?.reason === 'max-prefixes') peer.unblock('max-prefixes');
    else peer.reset(cease(CeaseCode.administrativeReset), 'Cleared by the operator');
    return true;
  }

  // ---- events

  /** Calls back for every event; the answer ends it. */
  subscribe(listener: SpeakerEventListener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Events of these types (default: all) as they happen, until the reader leaves its loop or `signal` aborts. */
  events<Type extends SpeakerEvent['type']>(
    types: readonly Type[] = [],
    signal?: AbortSignal,
  ): AsyncGenerator<EventOf<Type> | EventsLost, void, undefined> {
    return eventStream((listener) => this.subscribe(listener), types, signal);
  }

  /** The last events, oldest first. */
  history(peer?: string): readonly HistoryEntry[] {
    return this.log.entries(peer);
  }

  // ---- forwarding

  /** Every route that packets take, then each as it changes. One reader at a time, of a speaker made with `keepRoutes`. */
  async *routes(signal?: AbortSignal): AsyncGenerator<RouteChange, void, undefined> {
    const { routesReady } = this;
    if (routesReady === undefined)
      throw new Error('Cannot read routes: the speaker keeps none; make it with { keepRoutes: true }');
    if (this.isReadingRoutes)
      throw new Error('Cannot read routes: another loop reads them; expected one reader at a time');
    this.isReadingRoutes = true;
    try {
      this.replayForwarding();
      yield* routeStream((sink, limit) => this.takeForwarding(sink, limit), routesReady, signal);
    } finally {
      this.isReadingRoutes = false;
    }
  }

  /** Resolves when selection, advertising and forwarding have caught up with everything received so far. */
  whenSettled(): Promise<void> {
    return this.core.isConfigured ? this.core.driver.whenIdle() : Promise.resolve();
  }

  /** Up to `limit` forwarding changes into the sink; false when there are no more. */
  takeForwarding(sink: ForwardingSink, limit?: number): boolean {
    return this.core.isConfigured && this.core.driver.takeForwarding(sink, limit);
  }

  /** Hands out every forwarding entry again. */
  replayForwarding(): void {
    if (this.core.isConfigured) this.core.rib.replayForwarding();
  }

  // ---- queries

  get config(): SpeakerConfig | undefined {
    return this.current;
  }
  /** Routes are held back until the peers have sent theirs (RFC 4724 section 4.1). */
  get isRestarting(): boolean {
    return this.core.isRestarting;
  }
  /** The tables themselves: queries only. Undefined before the first `configure`. */
  get rib(): RibQueries | undefined {
    return this.core.isConfigured ? this.core.rib.queries : undefined;
  }

  summary(): SpeakerSummary {
    const config = this.requireConfig();
    const now = this.clock.wallTime();
    const {
      rib: { queries: rib },
      listeners,
      peers,
    } = this.core;
    return {
      localAs: config.localAs,
      routerId: config.routerId,
      startedAt: new Date(this.startedAt).toISOString(),
      seconds: Math.round((now - this.startedAt) / 1000),
      isRestarting: this.isRestarting,
      isDraining: config.drain ?? false,
      listen: [
        ...listeners.endpoints,
        ...listeners.failures.map(({ address, port, reason }) => ({ address, port, problem: reason })),
      ],
      bmp: this.core.monitoring.stations,
      tables: { ipv4: rib.totals(4), ipv6: rib.totals(6) },
      peers: [...peers.values()].map((peer) => peerSummary(peer, rib, this.core.idOf(peer), now)),
    };
  }

  /** By name, address, or interface of an unnumbered peer. */
  neighbor(name: string): PeerDetail | undefined {
    const peer = this.find(name);
    if (peer === undefined) return undefined;
    const id = this.core.idOf(peer);
    const stale = id === undefined ? [] : this.core.helper.view(id);
    return peerDetail(
      peer,
      this.core.rib.queries,
      id,
      { stale, bfd: this.core.bfd.stateOf(peer), refused: this.core.fallback.refused(peer.name) },
      this.clock.wallTime(),
    );
  }

  /** Every BFD session with its timers and counters. */
  bfdStatus(): Promise<readonly BfdStatus[]> {
    return this.core.bfd.status();
  }

  get neighborNames(): readonly string[] {
    return [...this.core.peers.keys()];
  }

  // ---- inside

  private async apply(config: SpeakerConfig): Promise<Configured> {
    const changes = diffConfig(this.current, config);
    const before = this.current;
    const settings = peerSettings(config);
    const needsNewRib = before === undefined || ribOptionsText(before) !== ribOptionsText(config);
    if (needsNewRib) for (const peer of [...this.core.peers.values()]) this.core.roster.remove(peer);
    this.current = config;
    this.core.setConfig(config);
    if (needsNewRib) this.core.begin(config);
    else this.core.retune(config);
    this.core.surroundings.setIgnored(config.ignoredInterfaces ?? []);
    this.core.surroundings.applyKernelRoutes();
    for (const name of changes.removed) {
      const peer = this.core.peers.get(name);
      if (peer !== undefined) this.core.roster.remove(peer);
    }
    this.core.roster.rename(changes.renamed);
    if (needsNewRib || changes.originated.added + changes.originated.removed > 0)
      this.core.originate(config.originate ?? []);
    const keys = keysOf(
      [...settings.values()].flatMap((each) => this.core.unnumbered.withAddresses(each)),
      config.dynamicPeers ?? [],
    );
    await this.core.listeners.configure(config.listen, keys);
    const changed = new Set([...changes.changed, ...changes.renamed.map(({ to }) => to)]);
    for (const [name, each] of settings) {
      const peer = this.core.peers.get(name);
      if (peer === undefined) this.core.roster.add(each);
      else {
        this.core.roster.apply(peer, this.core.unnumbered.withAddress(each));
        if (changed.has(name)) this.core.refreshPolicy(peer);
      }
    }
    this.core.unnumbered.update();
    this.core.roster.applyRanges(config);
    this.core.monitoring.configure(config.bmp ?? []);
    this.core.expectPeers();
    return { ...changes, listenFailures: this.core.listeners.failures };
  }

  private refresh(peer: Peer): void {
    const { session } = peer;
    const id = this.core.idOf(peer);
    if (session?.negotiated === undefined || id === undefined) return;
    for (const family of session.negotiated.families) {
      if (session.negotiated.routeRefresh)
        session.sendRouteRefresh({
          type: 'route-refresh',
          afi: family === 4 ? Afi.ipv4 : Afi.ipv6,
          safi: Safi.unicast,
          subtype: 'request',
        });
      this.core.rib.refresh(id, family, session.negotiated.enhancedRouteRefresh);
    }
    this.core.driver.schedule();
  }

  private find(name: string): Peer | undefined {
    const { peers } = this.core;
    return (
      peers.get(name) ??
      [...peers.values()].find(
        ({ settings }) =>
          peerAddressText(settings) === name || (settings.isUnnumbered && settings.interfaceName === name),
      )
    );
  }

  private publish(event: SpeakerEvent): void {
    this.log.add(this.clock.wallTime(), event);
    for (const listener of this.listeners) listener(event);
  }

  private requireConfig(): SpeakerConfig {
    if (this.current === undefined) throw new Error('The speaker has no configuration yet: call configure first');
    return this.current;
  }
}

/** What a RIB is built on; a change takes a new one, and so new sessions. */
function ribOptionsText(config: SpeakerConfig): string {
  return JSON.stringify([config.localAs, config.routerId]);
}
