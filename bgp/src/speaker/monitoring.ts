/**
 * BMP stations of the configuration (RFC 7854): one exporter each, told what happens to sessions and routes. Costs nothing while
 * there is no station.
 *
 * In: calls at the places where the speaker learns of things. Out: events `bmp-up` and `bmp-down`. The Loc-RIB (RFC 9069) is
 * monitored only if a station asks for it when the RIB is made, because every change of a best path is then reported.
 */
import { parseAddress } from '../address.js';
import type { IpPrefix } from '../address.js';
import { BmpExporter, type BmpSession, type BmpSource } from '../bmp/exporter.js';
import type { BmpPeerDown } from '../bmp/message.js';
import { encodeControlMessage } from '../codec/message.js';
import type { NegotiatedSession } from '../codec/negotiated.js';
import type { BmpStationConfig, SpeakerConfig } from '../config.js';
import type { PeerId, Rib } from '../rib/contract.js';
import type { Clock } from '../session/clock.js';
import type { Session, SessionEnd } from '../session/session.js';
import type { SpeakerEvent } from './event.js';
import { identifierOf } from './peer-settings.js';
import type { Peer } from './peer.js';

export interface MonitoringOwner {
  readonly clock: Clock;
  readonly rib: Rib;
  readonly config: SpeakerConfig;
  tell(event: SpeakerEvent): void;
}

const MONITORED_BY_DEFAULT = ['adj-rib-in'] as const;
const DEFAULT_PORT = 11019;

/** Does a station want every change of a best path? */
export const monitorsLocRib = (config: SpeakerConfig): boolean =>
  (config.bmp ?? []).some(({ monitor = MONITORED_BY_DEFAULT }) => (monitor as readonly string[]).includes('loc-rib'));

export class Monitoring {
  private readonly exporters = new Map<string, BmpExporter>();
  private readonly sessions = new Map<Peer, BmpSession>();

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
  }

  up(peer: Peer, id: PeerId, session: Session, negotiated: NegotiatedSession): void {
    const described = describe(peer, id, session, negotiated);
    if (described === undefined) return;
    this.sessions.set(peer, described);
    for (const exporter of this.exporters.values()) exporter.peerUp(described);
  }

  down(peer: Peer, end: SessionEnd): void {
    const session = this.sessions.get(peer);
    if (session === undefined) return;
    this.sessions.delete(peer);
    for (const exporter of this.exporters.values()) exporter.peerDown(session, reasonOf(end));
  }

  /** An UPDATE of the peer, its header in front of `start`. */
  received(peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    if (this.exporters.size === 0) return;
    const session = this.sessions.get(peer);
    if (session !== undefined) for (const exporter of this.exporters.values()) exporter.received(session, bytes, start, end);
  }

  /** UPDATEs that went to the peer of this id. */
  sent(id: PeerId, buffers: readonly Uint8Array[]): void {
    if (this.exporters.size === 0) return;
    for (const session of this.sessions.values())
      if (session.id === id) for (const exporter of this.exporters.values()) for (const bytes of buffers) exporter.sent(session, bytes);
  }

  bestChanged(prefix: IpPrefix): void {
    for (const exporter of this.exporters.values()) exporter.bestChanged(prefix);
  }

  stop(): void {
    for (const exporter of this.exporters.values()) exporter.stop();
    this.exporters.clear();
    this.sessions.clear();
  }

  private connect(station: BmpStationConfig): BmpExporter {
    const { owner, sessions } = this;
    const source: BmpSource = {
      localAs: owner.config.localAs, routerId: identifierOf(owner.config.routerId), sysName: owner.config.routerId, sysDescr: 'node-bgp',
      clock: owner.clock, rib: owner.rib, sessions: () => [...sessions.values()],
      event: ({ type, station: name, reason }) => owner.tell({ type, station: name, reason }),
    };
    const { address, port = DEFAULT_PORT, monitor = MONITORED_BY_DEFAULT, statisticsInterval } = station;
    return new BmpExporter({ host: address, port, monitor, ...(statisticsInterval === undefined ? {} : { statisticsInterval }) }, source);
  }
}

function describe(peer: Peer, id: PeerId, session: Session, negotiated: NegotiatedSession): BmpSession | undefined {
  const { endpoints, ownOpen, peerOpen } = session;
  if (endpoints === undefined || ownOpen === undefined || peerOpen === undefined) return undefined;
  const { decode, encode } = negotiated;
  return {
    name: peer.name, id, peer: { address: peer.settings.address, as: negotiated.peerAs, identifier: negotiated.peerIdentifier, isOld: !decode.as4 },
    up: {
      localAddress: parseAddress(endpoints.local.address.split('%')[0] ?? ''), localPort: endpoints.local.port, remotePort: endpoints.remote.port,
      sentOpen: encodeControlMessage(ownOpen), receivedOpen: encodeControlMessage(peerOpen),
    },
    families: negotiated.families,
    addPathReceive: negotiated.families.filter((family) => (family === 4 ? decode.addPathIpv4 : decode.addPathIpv6)),
    addPathSend: negotiated.families.filter((family) => (family === 4 ? encode.addPathIpv4 : encode.addPathIpv6)),
  };
}

/** RFC 7854 section 4.9. */
function reasonOf({ direction, notification }: SessionEnd): BmpPeerDown {
  if (notification !== undefined)
    return { type: 'notification', sent: direction === 'sent', message: encodeControlMessage({ type: 'notification', ...notification }) };
  return direction === 'sent' ? { type: 'local', fsmEvent: 0 } : { type: 'remote' };
}
