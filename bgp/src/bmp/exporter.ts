/**
 * A BMP connection to one monitoring station (RFC 7854): connects, tells every peer and every monitored table, then whatever changes.
 *
 * Monitored are Adj-RIB-In and Adj-RIB-Out (RFC 8671), each before and after policy, and Loc-RIB (RFC 9069). Adj-RIB-In before policy is
 * the peers' UPDATEs as they came, Adj-RIB-Out after policy ours as they went; an UPDATE with errors (RFC 7606) and all that no UPDATE
 * says is told from the tables (route-feed.ts). Route Mirroring (section 4.7) is not done.
 *
 * BOUNDED: a station that does not keep up loses the connection once `maxPending` octets wait, and is told everything anew when it
 * is back; nothing is kept for it meanwhile.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { parseAddress, type IpPrefix } from '../address.js';
import { encodeControlMessage } from '../codec/message.js';
import { openAsField } from '../codec/open.js';
import { Afi, HEADER_LENGTH, Safi } from '../iana.js';
import type { RibQueries } from '../rib/answers.js';
import type { Clock } from '../session/clock.js';
import {
  initiation,
  peerDown,
  peerUp,
  routeMonitoring,
  statisticsReport,
  termination,
  type BmpPeerDown,
  type BmpPeerUp,
  type BmpStatisticValue,
  type BmpTable,
} from './message.js';
import { RouteFeed, type BmpMonitoring, type FedSession, type FeedSource } from './route-feed.js';

export interface BmpStation {
  /** Address or name. */
  readonly host: string;
  readonly port: number;
  /** Default: adj-rib-in and loc-rib. */
  readonly monitor?: readonly BmpMonitoring[];
  /** Seconds between reports; default 60, 0: none. */
  readonly statisticsInterval?: number;
  /** Octets that may wait for the station; default 64 MiB. */
  readonly maxPending?: number;
}

/** A session that is Established. */
export interface BmpSession extends FedSession {
  readonly up: BmpPeerUp;
  /** UPDATEs that counted as withdrawals because of their errors (RFC 7606), in this session. */
  readonly treatedAsWithdraw: number;
}

/** What the exporter asks of the speaker. */
export interface BmpSource extends FeedSource {
  readonly sysName: string;
  readonly sysDescr: string;
  readonly clock: Clock;
  readonly rib: FeedSource['rib'] & Pick<RibQueries, 'counts' | 'totals'>;
  /** Sessions that are Established now. */
  sessions(): readonly BmpSession[];
  /** The connection came up, was lost, or could not be made. */
  event(event: { readonly type: 'bmp-up' | 'bmp-down'; readonly station: string; readonly reason: string }): void;
}

const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 60_000;
const DEFAULT_PENDING = 64 * 1024 * 1024;
/** Octets handed to the socket before tables and changes pause for it. */
const HIGH_WATER = 1024 * 1024;
/** Pieces of the feed, of at most about a thousand routes each, in one turn of the event loop. */
const PIECES = 4;

export class BmpExporter {
  readonly #station: BmpStation;
  readonly #source: BmpSource;
  readonly #monitor: ReadonlySet<BmpMonitoring>;
  #socket: Socket | undefined;
  #isUp = false;
  #isStopped = false;
  #retryDelay = FIRST_RETRY;
  #timer: { cancel(): void } | undefined;
  #statisticsTimer: { cancel(): void } | undefined;
  readonly #feed: RouteFeed;
  /** A pump is scheduled, or waits for the socket. */
  #isFeeding = false;

  constructor(station: BmpStation, source: BmpSource) {
    this.#station = station;
    this.#source = source;
    this.#monitor = new Set(station.monitor ?? ['adj-rib-in', 'loc-rib']);
    this.#feed = new RouteFeed(source, () => this.#now());
    this.#connect();
  }

  get name(): string {
    return `${this.#station.host}:${this.#station.port}`;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  // ---- what happens in the speaker; cheap while there is no connection

  peerUp(session: BmpSession): void {
    if (this.#isUp) this.#tellPeer(session);
  }

  /** The session has left Established. */
  peerDown({ name, peer }: Pick<BmpSession, 'name' | 'peer'>, reason: BmpPeerDown): void {
    this.#feed.forget(name);
    if (this.#isUp) this.#send(peerDown({ type: 'adj-rib-in', postPolicy: false, peer }, this.#now(), reason));
  }

  /** An UPDATE of a peer; `start` is that of its body, the header lies before it. */
  received({ peer }: Pick<BmpSession, 'peer'>, bytes: Uint8Array, start: number, end: number): void {
    if (!this.#isUp || !this.#monitor.has('adj-rib-in')) return;
    this.#send(
      routeMonitoring(
        { type: 'adj-rib-in', postPolicy: false, peer },
        this.#now(),
        bytes.subarray(start - HEADER_LENGTH, end),
      ),
    );
  }

  /** Whole UPDATEs that went to a peer, back to back. */
  sent({ peer }: Pick<BmpSession, 'peer'>, bytes: Uint8Array): void {
    if (!this.#isUp || !this.#monitor.has('adj-rib-out')) return;
    for (let at = 0; at + HEADER_LENGTH <= bytes.length; ) {
      const end = at + ((bytes[at + 16] ?? 0) << 8) + (bytes[at + 17] ?? 0);
      this.#send(
        routeMonitoring({ type: 'adj-rib-out', postPolicy: true, peer }, this.#now(), bytes.subarray(at, end)),
      );
      at = Math.max(end, at + HEADER_LENGTH);
    }
  }

  /** RibWatcher.bestChanged. */
  bestChanged(prefix: IpPrefix): void {
    if (!this.#isUp) return;
    if (this.#monitor.has('loc-rib')) this.#feed.addChange('loc-rib', undefined, prefix, 0);
    if (this.#monitor.has('adj-rib-out-pre-policy'))
      for (const session of this.#source.sessions())
        if (session.families.includes(prefix.family))
          this.#feed.addChange('adj-rib-out-pre-policy', session, prefix, 0);
    this.#wake();
  }

  /** RibWatcher.pathChanged; `isMirrored`: the UPDATE that says so is told as it came. */
  pathChanged(session: BmpSession, prefix: IpPrefix, pathId: number, isMirrored: boolean): void {
    if (!this.#isUp) return;
    if (this.#monitor.has('adj-rib-in') && !isMirrored) this.#feed.addChange('adj-rib-in', session, prefix, pathId);
    if (this.#monitor.has('adj-rib-in-post-policy'))
      this.#feed.addChange('adj-rib-in-post-policy', session, prefix, pathId);
    if (!this.#feed.isEmpty) this.#wake();
  }

  /** What peers may be told, policy aside, has changed: a route reflector's clients, next hops of our own. */
  rulesChanged(): void {
    if (!this.#isUp || !this.#monitor.has('adj-rib-out-pre-policy')) return;
    for (const session of this.#source.sessions()) this.#feed.recheck('adj-rib-out-pre-policy', session);
    this.#wake();
  }

  /** Says so to the station, and closes. */
  stop(words = 'The speaker was stopped'): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#statisticsTimer?.cancel();
    if (this.#isUp) this.#send(termination(0, words));
    this.#isUp = false;
    this.#feed.clear();
    this.#socket?.end();
  }

  // ---- connection

  #connect(): void {
    const { host, port } = this.#station;
    const socket = connectTcp({ host, port, noDelay: true, keepAlive: true });
    this.#socket = socket;
    let failure = 'the station closed the connection';
    socket.once('connect', () => this.#connected());
    socket.on('drain', () => this.#pump());
    // The station has nothing to say; what it sends is read and forgotten, so that its close is seen.
    socket.on('data', () => undefined);
    socket.on('error', (error) => {
      failure = error.message;
    });
    socket.once('close', () => this.#disconnected(failure));
  }

  #connected(): void {
    const { sysName, sysDescr } = this.#source;
    this.#isUp = true;
    this.#retryDelay = FIRST_RETRY;
    this.#source.event({ type: 'bmp-up', station: this.name, reason: 'connected' });
    this.#send(initiation(sysName, sysDescr));
    for (const session of this.#source.sessions()) this.#tellPeer(session);
    if (this.#monitor.has('loc-rib')) this.#tellLocRib();
    this.#scheduleStatistics();
  }

  #disconnected(reason: string): void {
    const wasUp = this.#isUp;
    this.#isUp = false;
    this.#socket = undefined;
    this.#feed.clear();
    this.#isFeeding = false;
    this.#statisticsTimer?.cancel();
    if (this.#isStopped) return;
    // One event per loss, and one for the first failure; not one per attempt.
    if (wasUp || this.#retryDelay === FIRST_RETRY) this.#source.event({ type: 'bmp-down', station: this.name, reason });
    this.#timer = this.#source.clock.after(this.#retryDelay, () => this.#connect());
    this.#retryDelay = Math.min(2 * this.#retryDelay, LONGEST_RETRY);
  }

  #send(message: Uint8Array): void {
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return;
    socket.write(message);
    if (socket.writableLength > (this.#station.maxPending ?? DEFAULT_PENDING))
      socket.destroy(new Error(`the station does not keep up: ${socket.writableLength} octets wait`));
  }

  // ---- tables

  #tellPeer(session: BmpSession): void {
    this.#send(
      peerUp(
        { type: 'adj-rib-in', postPolicy: false, peer: { ...session.peer, isOld: false } },
        this.#now(),
        session.up,
      ),
    );
    for (const monitoring of this.#monitor) if (monitoring !== 'loc-rib') this.#feed.addTable(monitoring, session);
    this.#wake();
  }

  #tellLocRib(): void {
    const { localAs, routerId } = this.#source;
    const open = encodeControlMessage({
      type: 'open',
      version: 4,
      as: openAsField(localAs),
      holdTime: 0,
      identifier: routerId,
      capabilities: [
        { type: 'multiprotocol', afi: Afi.ipv4, safi: Safi.unicast },
        { type: 'multiprotocol', afi: Afi.ipv6, safi: Safi.unicast },
        { type: 'four-octet-as', as: localAs },
      ],
    });
    const nowhere = parseAddress('0.0.0.0');
    this.#send(
      peerUp(this.#locRib(), this.#now(), {
        localAddress: nowhere,
        localPort: 0,
        remotePort: 0,
        sentOpen: open,
        receivedOpen: open,
      }),
    );
    this.#feed.addTable('loc-rib', undefined);
    this.#wake();
  }

  #wake(): void {
    if (this.#isFeeding) return;
    this.#isFeeding = true;
    this.#source.clock.soon(() => this.#pump());
  }

  /** Writes until the socket is full, a few pieces per turn of the event loop. */
  #pump(): void {
    const socket = this.#socket;
    if (socket === undefined || !this.#isUp || !this.#isFeeding) return;
    for (let pieces = 0; pieces < PIECES; pieces++) {
      // 'drain' goes on from here.
      if (socket.writableLength > HIGH_WATER) return;
      const piece = this.#feed.next();
      if (piece === undefined) {
        this.#isFeeding = false;
        return;
      }
      for (const message of piece) this.#send(message);
    }
    this.#source.clock.soon(() => this.#pump());
  }

  #scheduleStatistics(): void {
    const seconds = this.#station.statisticsInterval ?? 60;
    if (seconds === 0) return;
    this.#statisticsTimer = this.#source.clock.after(seconds * 1000, () => {
      if (!this.#isUp) return;
      for (const session of this.#source.sessions()) this.#tellStatistics(session);
      if (this.#monitor.has('loc-rib')) this.#tellLocRibStatistics();
      this.#scheduleStatistics();
    });
  }

  #tellStatistics({ peer, id, families, treatedAsWithdraw }: BmpSession): void {
    const { rib } = this.#source;
    let [allReceived, allAdvertised] = [0, 0];
    const values = families.flatMap((family): BmpStatisticValue[] => {
      const { received, advertised } = rib.counts(id, family);
      allReceived += received;
      allAdvertised += advertised;
      return [
        { type: 'adjRibInByFamily', family, count: received },
        { type: 'adjRibOutPostPolicyByFamily', family, count: advertised },
      ];
    });
    this.#send(
      statisticsReport({ type: 'adj-rib-in', postPolicy: false, peer }, this.#now(), [
        { type: 'adjRibIn', count: allReceived },
        { type: 'adjRibOutPostPolicy', count: allAdvertised },
        ...values,
        { type: 'treatAsWithdraw', count: treatedAsWithdraw },
      ]),
    );
  }

  /** RFC 9069 section 4: about the Loc-RIB under its own header. */
  #tellLocRibStatistics(): void {
    const { rib } = this.#source;
    const [ipv4, ipv6] = [rib.totals(4).prefixes, rib.totals(6).prefixes];
    this.#send(
      statisticsReport(this.#locRib(), this.#now(), [
        { type: 'locRib', count: ipv4 + ipv6 },
        { type: 'locRibByFamily', family: 4, count: ipv4 },
        { type: 'locRibByFamily', family: 6, count: ipv6 },
      ]),
    );
  }

  #locRib(): BmpTable {
    const { localAs, routerId } = this.#source;
    return { type: 'loc-rib', localAs, routerId };
  }

  #now(): number {
    return this.#source.clock.wallTime() / 1000;
  }
}
