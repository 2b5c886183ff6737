/**
 * BMP stations of the configuration (RFC 7854): one exporter each, told what happens to sessions and routes. Costs nothing while
 * there is no station.
 *
 * In: calls at the places where the speaker learns of things, and the RIB's watcher where a station asks for tables that only the RIB
 * can tell of. Out: events `bmp-up` and `bmp-down`. Sessions never notice what is monitored.
 */
import { parseAddress } from '../address.js';
import { BmpExporter, type BmpSession, type BmpSource } from '../bmp/exporter.js';
import type { BmpPeerDown } from '../bmp/message.js';
import type { BmpMonitoring } from '../bmp/route-feed.js';
import { encodeControlMessage } from '../codec/message.js';
import type { NegotiatedSession } from '../codec/negotiated.js';
import type { DecodedUpdate } from '../codec/update.js';
import type { BmpStationConfig, SpeakerConfig } from '../config.js';
import type { PeerId } from '../rib/rib-peer.js';
import type { Rib } from '../rib/contract.js';
import type { Clock } from '../session/clock.js';
import type { SessionEnd } from '../session/session-end.js';
import type { Session } from '../session/session.js';
import type { SpeakerEvent } from './event.js';
import { identifierOf, knownAddress } from './peer-settings.js';
import type { Peer } from './peer.js';

export interface MonitoringOwner {
  readonly clock: Clock;
  readonly rib: Rib;
  readonly config: SpeakerConfig;
  tell(event: SpeakerEvent): void;
}

const MONITORED_BY_DEFAULT = ['adj-rib-in'] as const;
const DEFAULT_PORT = 11019;

/** A session with what is counted in it. */
interface Monitored extends BmpSession {
  treatedAsWithdraw: number;
}

export class Monitoring {
  private readonly exporters = new Map<string, BmpExporter>();
  private readonly sessions = new Map<Peer, Monitored>();
  private readonly byId = new Map<PeerId, Monitored>();
  /** The peer whose UPDATE is told as it came while the RIB takes it. */
  private mirrored: PeerId | undefined;
  private isRecheckPlanned = false;

  constructor(private readonly owner: MonitoringOwner) {}

  /** The whole set; a station whose settings stay the same keeps its connection. */
  configure(stations: readonly BmpStationConfig[]): void {
    const wanted = new Map(stations.map((station) => [JSON.stringify(station), station]));
    for (const [key, exporter] of this.exporters)
      if (!wanted.has(key)) {
        exporter.stop('The station was removed from the configuration');
        this.exporters.delete(key);
      }
    for (const [key, station] of wanted) if (!this.exporters.has(key)) this.exporters.set(key, this.connect(station));
    this.watch(new Set(stations.flatMap(({ monitor = MONITORED_BY_DEFAULT }): readonly BmpMonitoring[] => monitor)));
  }

  /** Asks the RIB for no more than somebody wants to hear. */
  private watch(monitored: ReadonlySet<BmpMonitoring>): void {
    const { exporters, byId } = this;
    const needsBest = monitored.has('loc-rib') || monitored.has('adj-rib-out-pre-policy');
    const needsPaths = monitored.has('adj-rib-in') || monitored.has('adj-rib-in-post-policy');
    this.owner.rib.watch({
      ...(needsBest
        ? {
            bestChanged: (prefix) => {
              for (const exporter of exporters.values()) exporter.bestChanged(prefix);
            },
          }
        : {}),
      ...(needsPaths
        ? {
            pathChanged: (id, prefix, pathId, isSilent) => {
              const session = byId.get(id);
              const isMirrored = !isSilent && id === this.mirrored;
              if (session !== undefined)
                for (const exporter of exporters.values()) exporter.pathChanged(session, prefix, pathId, isMirrored);
            },
          }
        : {}),
    });
  }

  up(peer: Peer, id: PeerId, session: Session, negotiated: NegotiatedSession): void {
    const described = describe(peer, id, session, negotiated);
    if (described === undefined) return;
    this.sessions.set(peer, described);
    this.byId.set(id, described);
    for (const exporter of this.exporters.values()) exporter.peerUp(described);
  }

  down(peer: Peer, end: SessionEnd): void {
    const session = this.sessions.get(peer);
    if (session === undefined) return;
    this.sessions.delete(peer);
    this.byId.delete(session.id);
    for (const exporter of this.exporters.values()) exporter.peerDown(session, reasonOf(end));
  }

  /**
   * An UPDATE of the peer, its header in front of `start`; `take` puts it into the RIB. Stations get it as it came, but one with errors
   * as the RIB understood it: they could read it otherwise.
   */
  received(id: PeerId, update: DecodedUpdate, bytes: Uint8Array, start: number, end: number, take: () => void): void {
    const session = this.byId.get(id);
    if (session !== undefined && update.severity === 'withdraw') session.treatedAsWithdraw++;
    if (session === undefined || this.exporters.size === 0 || update.errors.length > 0) return take();
    for (const exporter of this.exporters.values()) exporter.received(session, bytes, start, end);
    this.mirrored = id;
    take();
    this.mirrored = undefined;
  }

  /** Settings of living sessions changed; of many peers at once it is told once. */
  rulesChanged(): void {
    if (this.isRecheckPlanned || this.exporters.size === 0) return;
    this.isRecheckPlanned = true;
    this.owner.clock.soon(() => {
      this.isRecheckPlanned = false;
      for (const exporter of this.exporters.values()) exporter.rulesChanged();
    });
  }

  /** UPDATEs that went to the peer of this id. */
  sent(id: PeerId, buffers: readonly Uint8Array[]): void {
    const session = this.exporters.size === 0 ? undefined : this.byId.get(id);
    if (session !== undefined)
      for (const exporter of this.exporters.values()) for (const bytes of buffers) exporter.sent(session, bytes);
  }

  /** Every station once: of two entries for one address both have to be up. */
  get stations(): readonly { readonly station: string; readonly isUp: boolean }[] {
    const states = new Map<string, boolean>();
    for (const { name, isUp } of this.exporters.values()) states.set(name, isUp && states.get(name) !== false);
    return [...states].map(([station, isUp]) => ({ station, isUp }));
  }

  stop(): void {
    for (const exporter of this.exporters.values()) exporter.stop();
    this.exporters.clear();
    this.sessions.clear();
    this.byId.clear();
  }

  private connect(station: BmpStationConfig): BmpExporter {
    const { owner, sessions } = this;
    const source: BmpSource = {
      localAs: owner.config.localAs,
      routerId: identifierOf(owner.config.routerId),
      sysName: owner.config.routerId,
      sysDescr: 'node-bgp',
      clock: owner.clock,
      rib: owner.rib.queries,
      sessions: () => [...sessions.values()],
      event: ({ type, station: name, reason }) => owner.tell({ type, station: name, reason }),
    };
    const { address, port = DEFAULT_PORT, monitor = MONITORED_BY_DEFAULT, statisticsInterval } = station;
    return new BmpExporter(
      { host: address, port, monitor, ...(statisticsInterval === undefined ? {} : { statisticsInterval }) },
      source,
    );
  }
}

function describe(peer: Peer, id: PeerId, session: Session, negotiated: NegotiatedSession): Monitored | undefined {
  const { endpoints, ownOpen, peerOpen } = session;
  if (endpoints === undefined || ownOpen === undefined || peerOpen === undefined) return undefined;
  const { decode, encode } = negotiated;
  return {
    get name() {
      return peer.name;
    },
    id,
    peer: {
      address: knownAddress(peer.settings),
      as: negotiated.peerAs,
      identifier: negotiated.peerIdentifier,
      isOld: !decode.as4,
    },
    // Encoded when a station asks: most speakers have none, and hundreds of sessions may come up at once.
    get up() {
      return {
        localAddress: parseAddress(endpoints.local.address.split('%')[0] ?? ''),
        localPort: endpoints.local.port,
        remotePort: endpoints.remote.port,
        sentOpen: encodeControlMessage(ownOpen),
        receivedOpen: encodeControlMessage(peerOpen),
      };
    },
    families: negotiated.families,
    treatedAsWithdraw: 0,
    addPathReceive: negotiated.families.filter((family) => (family === 4 ? decode.addPathIpv4 : decode.addPathIpv6)),
    addPathSend: negotiated.families.filter((family) => (family === 4 ? encode.addPathIpv4 : encode.addPathIpv6)),
  };
}

/** RFC 7854 section 4.9. */
function reasonOf({ direction, notification }: SessionEnd): BmpPeerDown {
  if (notification !== undefined)
    return {
      type: 'notification',
      sent: direction === 'sent',
      message: encodeControlMessage({ type: 'notification', ...notification }),
    };
  return direction === 'sent' ? { type: 'local', fsmEvent: 0 } : { type: 'remote' };
}
