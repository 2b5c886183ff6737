/**
 * The inside of a Speaker: peers, listeners, the RIB and the two sides of graceful restart, wired together.
 *
 * A route's way in: connection -> Session (framing, state machine) -> Peer -> Intake -> codec -> RIB. Its way out: RibDriver.
 * A session's way up: Peer -> `up` -> RIB, restart helper, own restart; its way down: `down`, where it is decided what stays.
 *
 * Everything runs on one event loop and nothing here waits: each call leaves a consistent state behind.
 */
import { formatIpv4, type Family } from '../address.js';
import type { BfdEvent } from '../bfd/contract.js';
import type { BgpError } from '../codec/bgp-error.js';
import { formatCapability, type Capability } from '../codec/capability.js';
import type { RouteRefreshMessage } from '../codec/control-message.js';
import type { NegotiatedSession } from '../codec/negotiated.js';
import type { OriginatedPrefix, SpeakerConfig } from '../config.js';
import type { FsmStateType } from '../fsm/state.js';
import type { PeerId } from '../rib/rib-peer.js';
import type { Rib } from '../rib/contract.js';
import type { Clock } from '../session/clock.js';
import type { OpenRouterSocket } from '../discovery/contract.js';
import type { LocalInterface } from '../session/interface.js';
import type { RestartState } from '../session/local-open.js';
import type { SessionEnd } from '../session/session-end.js';
import type { Session } from '../session/session.js';
import type { Connection, Transport } from '../transport/transport.js';
import type { SpeakerEvent } from './event.js';
import { FailureMemory } from './failure-memory.js';
import { Intake, type IntakeOwner } from './intake.js';
import { keysOf, Listeners, type ListenersOwner, type ListenFailure } from './listeners.js';
import { localRoutes } from './local-route.js';
import { MaxPrefixHolds } from './max-prefix-holds.js';
import { Monitoring, type MonitoringOwner } from './monitoring.js';
import { Notices } from './notices.js';
import { OwnRestart } from './own-restart.js';
import { dynamicSettings, identifierOf } from './peer-settings.js';
import { PeerBfd, type BfdPort } from './peer-bfd.js';
import { PeerDirectory } from './peer-directory.js';
import { CapabilityFallback } from './capability-fallback.js';
import { rejectConnection } from './cease.js';
import { noFamilyText } from './offers.js';
import type { PeerOwner } from './peer-owner.js';
import type { Peer } from './peer.js';
import { exportPolicy, importPolicy } from './policies.js';
import { RestartHelper, familiesToKeep } from './restart-helper.js';
import { RibDriver } from './rib-driver.js';
import { ribPeer } from './rib-peer.js';
import { ribTuning } from './rib-tuning.js';
import { Roster, type RosterOwner } from './roster.js';
import { Surroundings, type SurroundingsOwner } from './surroundings.js';
import { UnnumberedPeers, type UnnumberedOwner } from './unnumbered.js';

export interface CoreOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** This process takes over from one that died while the kernel went on forwarding (RFC 4724 section 4.1). */
  readonly isRestarting: boolean;
  readonly keepForwarding: boolean;
  readonly forwardingReady: () => void;
  /** `nextHopTargets` may have more. */
  readonly nextHopAdded: () => void;
  readonly openRouterSocket: OpenRouterSocket;
  readonly event: (event: SpeakerEvent) => void;
  readonly bfd: (onEvent: (event: BfdEvent) => void) => BfdPort;
}

export class Core
  implements
    PeerOwner<Peer>,
    ListenersOwner,
    MonitoringOwner,
    UnnumberedOwner,
    SurroundingsOwner,
    IntakeOwner,
    RosterOwner
{
  readonly directory: PeerDirectory;
  readonly listeners: Listeners;
  readonly helper: RestartHelper;
  readonly bfd: PeerBfd;
  readonly unnumbered: UnnumberedPeers;
  readonly monitoring: Monitoring;
  readonly fallback: CapabilityFallback;
  readonly failures: FailureMemory;
  /** Present once configured. */
  private activeDriver: RibDriver | undefined;
  private readonly ids = new Map<Peer, PeerId>();
  private ownRestart: OwnRestart | undefined;
  readonly notices: Notices;
  readonly holds: MaxPrefixHolds;
  readonly surroundings = new Surroundings(this);
  readonly roster = new Roster(this);
  readonly intake = new Intake(this);
  private currentConfig: SpeakerConfig | undefined;

  constructor(private readonly options: CoreOptions) {
    this.holds = new MaxPrefixHolds(options.clock);
    this.fallback = new CapabilityFallback(options.clock);
    this.failures = new FailureMemory(options.clock);
    this.notices = new Notices(options.clock, options.event);
    this.listeners = new Listeners(this);
    this.directory = new PeerDirectory({
      ranges: () => this.currentConfig?.dynamicPeers ?? [],
      make: (range, address, interfaceName) =>
        this.roster.addDynamic(dynamicSettings(this.config, range, address, interfaceName)),
      refused: (address, reason) => this.refused(address, reason),
      unnumbered: (address, interfaceName, local) => this.unnumbered.claim(address, interfaceName, local),
    });
    this.bfd = new PeerBfd(
      options.bfd,
      options.clock,
      () => this.links,
      (peer, reason) => this.tell({ type: 'peer-warning', peer: peer?.name ?? 'bfd', reason }),
    );
    this.unnumbered = new UnnumberedPeers(this);
    this.monitoring = new Monitoring(this);
    this.helper = new RestartHelper(
      options.clock,
      () => this.rib,
      (id, family, reason) => this.staleSwept(id, family, reason),
    );
  }

  get transport(): Transport {
    return this.options.transport;
  }
  get clock(): Clock {
    return this.options.clock;
  }
  get openRouterSocket(): OpenRouterSocket {
    return this.options.openRouterSocket;
  }
  get isRestarting(): boolean {
    return this.ownRestart?.isActive ?? false;
  }
  get isConfigured(): boolean {
    return this.activeDriver !== undefined;
  }
  get config(): SpeakerConfig {
    return this.currentConfig ?? fail();
  }
  get driver(): RibDriver {
    return this.activeDriver ?? fail();
  }
  get rib(): Rib {
    return this.driver.rib;
  }
  get peers(): ReadonlyMap<string, Peer> {
    return this.directory.all;
  }
  get trackedInterfaces(): readonly LocalInterface[] | undefined {
    return this.surroundings.tracked;
  }
  get links(): readonly LocalInterface[] {
    return this.surroundings.links;
  }
  idOf(peer: Peer): PeerId | undefined {
    return this.ids.get(peer);
  }

  forgetId(peer: Peer): void {
    this.ids.delete(peer);
  }

  // ---- configuration, in the order in which Speaker.configure calls it

  /** Starts a RIB for this configuration; every session must be down. */
  begin(config: SpeakerConfig): void {
    const predecessor = this.activeDriver;
    predecessor?.retire();
    this.helper.stop();
    this.monitoring.stop();
    this.ids.clear();
    this.activeDriver = new RibDriver(
      {
        localAs: config.localAs,
        routerId: identifierOf(config.routerId),
        ...ribTuning(config),
        forwarding: this.options.keepForwarding,
        wallTime: () => this.clock.wallTime(),
      },
      this.clock,
      {
        forwardingReady: this.options.forwardingReady,
        nextHopAdded: this.options.nextHopAdded,
        sent: (id, buffers) => this.monitoring.sent(id, buffers),
      },
      this.options.keepForwarding ? predecessor : undefined,
    );
    this.surroundings.applyTo(this.rib);
    if (predecessor === undefined && this.options.isRestarting && config.gracefulRestartTime !== 0)
      this.beginRestart(config);
  }

  setConfig(config: SpeakerConfig): void {
    this.currentConfig = config;
  }

  /** Options of the RIB that no session depends on: neither RFC 4271 nor RFC 4456 makes them part of what peers agree on. */
  retune(config: SpeakerConfig): void {
    this.rib.retune(ribTuning(config));
    this.driver.schedule();
  }

  /** Settings or filters changed without a reset: the RIB redoes what depends on them. */
  refreshPolicy(peer: Peer): void {
    const { session } = peer;
    const id = this.ids.get(peer);
    if (session?.negotiated !== undefined && id !== undefined)
      this.rib.peerChanged(id, this.ribPeer(peer, session, session.negotiated));
    this.monitoring.rulesChanged();
    this.bfd.update(peer);
    this.driver.schedule();
  }

  addressLearned(): void {
    this.directory.settingsChanged();
    this.listeners.setKeys(
      keysOf(
        [...this.peers.values()].flatMap(({ settings }) => this.unnumbered.withAddresses(settings)),
        this.currentConfig?.dynamicPeers ?? [],
      ),
    );
  }

  expectPeers(): void {
    this.directory.settingsChanged();
    const awaited = [...this.peers.values()].filter(
      ({ settings, blockedBy }) =>
        !settings.isShutdown && (blockedBy === undefined || blockedBy.reason === 'neighbour'),
    );
    this.ownRestart?.expect(awaited.map(({ name }) => name));
  }

  originate(prefixes: readonly OriginatedPrefix[]): void {
    this.rib.originate(localRoutes(prefixes));
    this.driver.schedule();
  }

  async stop(): Promise<void> {
    this.ownRestart?.cancel();
    this.unnumbered.stop();
    this.helper.stop();
    this.holds.stopAll();
    this.monitoring.stop();
    this.activeDriver?.stop();
    await Promise.all([this.listeners.stop(), this.bfd.close()]);
  }

  // ---- ListenersOwner

  accept(connection: Connection): void {
    const peer = this.directory.find(connection);
    if (peer === undefined) rejectConnection(connection);
    else {
      peer.accept(connection);
      this.roster.dropIfDynamic(peer); // it was made for this connection, which may have been refused
    }
  }

  listening(address: string, port: number): void {
    this.tell({ type: 'listening', address, port });
  }

  listenFailed(failure: ListenFailure): void {
    this.tell({ type: 'listen-failed', ...failure });
  }

  // ---- PeerOwner

  restartState(peer: Peer): RestartState {
    const { isRestarting } = this;
    // A peer that was up before has seen us forward; a machine that has just booted has forwarded for nobody.
    return { isRestarting, isForwardingPreserved: this.options.isRestarting || peer.establishedCount > 0 };
  }

  stateChanged(peer: Peer, state: FsmStateType): void {
    this.tell({ type: 'peer-state', peer: peer.name, state });
  }

  up(peer: Peer, session: Session, negotiated: NegotiatedSession): void {
    this.notices.forget(peer);
    this.unnumbered.up(peer, session.endpoints?.remote.address ?? '');
    const before = this.ids.get(peer);
    const id = this.driver.up(this.ribPeer(peer, session, negotiated), session);
    if (before !== undefined && before !== id) this.helper.forget(before);
    this.ids.set(peer, id);
    this.helper.returned(id, negotiated);
    this.monitoring.up(peer, id, session, negotiated);
    this.ownRestart?.up(peer.name, negotiated);
    this.bfd.update(peer);
    this.notices.noPolicy(peer);
    if (negotiated.families.length === 0)
      this.notices.once(peer, 'no family', { type: 'peer-warning', peer: peer.name, reason: noFamilyText(peer.opens) });
    this.tell({
      type: 'peer-up',
      peer: peer.name,
      remoteAs: negotiated.peerAs,
      routerId: formatIpv4(negotiated.peerIdentifier),
      families: negotiated.families,
      holdTime: negotiated.holdTime,
    });
  }

  down(peer: Peer, end: SessionEnd, negotiated: NegotiatedSession): void {
    const id = this.ids.get(peer);
    if (id === undefined) return;
    this.monitoring.down(peer, end);
    const isOurs = peer.isEnding || !peer.settings.isRestartHelper;
    const keep = familiesToKeep(negotiated, end, isOurs);
    this.helper.wentAgain(id);
    this.driver.down(id, keep.length === 0 ? 'drop' : keep);
    this.bfd.update(peer);
    if (keep.length === 0) this.ids.delete(peer);
    else this.helper.keep(id, keep, negotiated);
    this.tell({
      type: 'peer-down',
      peer: peer.name,
      direction: end.direction,
      reason: peer.inWords(end),
      keptFamilies: keep,
    });
    this.roster.dropIfDynamic(peer);
  }

  attemptFailed(peer: Peer, end: SessionEnd): void {
    this.notices.once(peer, `attempt ${peer.inWords(end)}`, {
      type: 'attempt-failed',
      peer: peer.name,
      direction: end.direction,
      reason: peer.inWords(end),
    });
    this.unnumbered.attemptFailed(peer);
    this.roster.dropIfDynamic(peer);
  }

  capabilitiesRefused(peer: Peer, capabilities: readonly Capability[]): void {
    const list = capabilities.map(formatCapability).join('; ');
    const reason = `The peer refuses what we offer, the next attempt leaves it out (RFC 5492): ${list}`;
    this.notices.once(peer, reason, { type: 'peer-warning', peer: peer.name, reason });
  }

  refused(address: string, reason: string): void {
    this.notices.refused(address, reason);
  }

  update(
    peer: Peer,
    negotiated: NegotiatedSession,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): BgpError | undefined {
    return this.intake.update(peer, negotiated, bytes, start, end);
  }

  routeRefresh(peer: Peer, message: RouteRefreshMessage): void {
    this.intake.routeRefresh(peer, message);
  }

  batchEnd(peer: Peer): void {
    this.intake.batchEnd(peer);
  }

  writable(peer: Peer): void {
    const id = this.ids.get(peer);
    if (id !== undefined) this.driver.writable(id);
  }

  // ---- inside

  tell(event: SpeakerEvent): void {
    this.options.event(event);
  }

  endOfRib(peer: Peer, id: PeerId, family: Family): void {
    this.rib.endOfRib(id, family);
    this.helper.finished(id, family);
    this.tell({ type: 'end-of-rib', peer: peer.name, family });
    this.ownRestart?.endOfRib(peer.name, family);
  }

  private beginRestart(config: SpeakerConfig): void {
    this.rib.holdSelection(true);
    this.ownRestart = new OwnRestart(this.clock, config.gracefulRestartTime ?? 120, (reason) => {
      this.rib.holdSelection(false);
      this.driver.schedule();
      this.tell({ type: 'restart-done', reason });
    });
  }

  private ribPeer(peer: Peer, session: Session, negotiated: NegotiatedSession): ReturnType<typeof ribPeer> {
    const { settings } = peer;
    return ribPeer({
      settings,
      negotiated,
      interfaces: this.links,
      localAddress: session.endpoints?.local.address ?? '',
      importPolicy: importPolicy(settings, this.config, negotiated.peerAs),
      exportPolicy: exportPolicy(settings, this.config, negotiated.peerAs),
    });
  }

  /** With the last stale routes of a peer that is away, the RIB has taken its id back. */
  private staleSwept(id: PeerId, family: Family, reason: string): void {
    const peer = [...this.ids].find(([, own]) => own === id)?.[0];
    if (peer === undefined) return;
    this.tell({ type: 'stale-swept', peer: peer.name, family, reason });
    if (this.helper.holds(id) || peer.isEstablished) return;
    this.ids.delete(peer);
    this.roster.dropIfDynamic(peer);
  }
}

function fail(): never {
  throw new Error('The speaker has no configuration yet: call configure first');
}
