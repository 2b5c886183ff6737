/**
 * A BMP connection to one monitoring station (RFC 7854): connects, tells every peer and every monitored table, then whatever changes.
 *
 * Monitored are Adj-RIB-In before policy (the peers' UPDATEs as they came), Adj-RIB-Out after policy (ours as they went, RFC 8671) and
 * Loc-RIB (RFC 9069). BOUNDED: a station that does not keep up loses the connection once `maxPending` octets wait, and is told
 * everything anew when it is back; nothing is kept for it meanwhile.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { parseAddress, formatPrefix, type Family, type IpPrefix } from '../address.js';
import { encodeControlMessage } from '../codec/message.js';
import { openAsField } from '../codec/open.js';
import { Afi, HEADER_LENGTH, Safi } from '../iana.js';
import type { PeerId, Rib } from '../rib/contract.js';
import type { Clock } from '../session/clock.js';
import {
  initiation, peerDown, peerUp, routeMonitoring, statisticsReport, termination,
  type BmpPeer, type BmpPeerDown, type BmpPeerUp, type BmpStatisticValue, type BmpTable,
} from './message.js';
import { announcements, endOfRib, tableParameters, withdrawal, type StreamedRoute } from './route-stream.js';

export type BmpMonitoring = 'adj-rib-in' | 'adj-rib-out' | 'loc-rib';

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
export interface BmpSession {
  readonly name: string;
  readonly id: PeerId;
  readonly peer: BmpPeer;
  readonly up: BmpPeerUp;
  readonly families: readonly Family[];
  /** Path identifiers in what the peer sends us, and in what we send. */
  readonly addPathReceive: readonly Family[];
  readonly addPathSend: readonly Family[];
}

/** What the exporter asks of the speaker. */
export interface BmpSource {
  readonly localAs: number;
  readonly routerId: number;
  readonly sysName: string;
  readonly sysDescr: string;
  readonly clock: Clock;
  readonly rib: Pick<Rib, 'received' | 'advertised' | 'best' | 'paths' | 'counts' | 'totals'>;
  /** Sessions that are Established now. */
  sessions(): readonly BmpSession[];
  /** The connection came up, was lost, or could not be made. */
  event(event: { readonly type: 'bmp-up' | 'bmp-down'; readonly station: string; readonly reason: string }): void;
}

const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 60_000;
const DEFAULT_PENDING = 64 * 1024 * 1024;
/** Octets handed to the socket before a table dump pauses for it. */
const HIGH_WATER = 1024 * 1024;

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
  /** Table dumps to do, in order, and whose they are. */
  #dumps: { readonly of: string; readonly messages: Iterator<Uint8Array> }[] = [];
  #isDumping = false;
  /** BOUNDED by what the RIB does in one slice of work: told at the end of the turn. */
  readonly #changed = new Map<string, IpPrefix>();

  constructor(station: BmpStation, source: BmpSource) {
    this.#station = station;
    this.#source = source;
    this.#monitor = new Set(station.monitor ?? ['adj-rib-in', 'loc-rib']);
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
    this.#dumps = this.#dumps.filter((dump) => dump.of !== name);
    if (this.#isUp) this.#send(peerDown({ type: 'adj-rib-in', postPolicy: false, peer }, this.#now(), reason));
  }

  /** An UPDATE of a peer; `start` is that of its body, the header lies before it. */
  received({ peer }: Pick<BmpSession, 'peer'>, bytes: Uint8Array, start: number, end: number): void {
    if (!this.#isUp || !this.#monitor.has('adj-rib-in')) return;
    this.#send(routeMonitoring({ type: 'adj-rib-in', postPolicy: false, peer }, this.#now(), bytes.subarray(start - HEADER_LENGTH, end)));
  }

  /** Whole UPDATEs that went to a peer, back to back. */
  sent({ peer }: Pick<BmpSession, 'peer'>, bytes: Uint8Array): void {
    if (!this.#isUp || !this.#monitor.has('adj-rib-out')) return;
    for (let at = 0; at + HEADER_LENGTH <= bytes.length; ) {
      const end = at + ((bytes[at + 16] ?? 0) << 8) + (bytes[at + 17] ?? 0);
      this.#send(routeMonitoring({ type: 'adj-rib-out', postPolicy: true, peer }, this.#now(), bytes.subarray(at, end)));
      at = Math.max(end, at + HEADER_LENGTH);
    }
  }

  /** RibEvents.bestChanged. */
  bestChanged(prefix: IpPrefix): void {
    if (!this.#isUp || !this.#monitor.has('loc-rib')) return;
    if (this.#changed.size === 0) this.#source.clock.soon(() => this.#flushChanged());
    this.#changed.set(formatPrefix(prefix), prefix);
  }

  /** Says so to the station, and closes. */
  stop(words = 'The speaker was stopped'): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#statisticsTimer?.cancel();
    if (this.#isUp) this.#send(termination(0, words));
    this.#isUp = false;
    this.#dumps = [];
    this.#socket?.end();
  }

  // ---- connection

  #connect(): void {
    const { host, port } = this.#station;
    const socket = connectTcp({ host, port, noDelay: true, keepAlive: true });
    this.#socket = socket;
    let failure = 'the station closed the connection';
    socket.once('connect', () => this.#connected());
    socket.on('drain', () => this.#dump());
    // The station has nothing to say; what it sends is read and forgotten, so that its close is seen.
    socket.on('data', () => undefined);
    socket.on('error', (error) => { failure = error.message; });
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
    this.#dumps = [];
    this.#isDumping = false;
    this.#changed.clear();
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
    const { peer, families, addPathReceive, addPathSend, id } = session;
    const incoming: BmpTable = { type: 'adj-rib-in', postPolicy: false, peer: { ...peer, isOld: false } };
    const outgoing: BmpTable = { type: 'adj-rib-out', postPolicy: true, peer: { ...peer, isOld: false } };
    this.#send(peerUp(incoming, this.#now(), session.up));
    const { rib } = this.#source;
    for (const family of families) {
      if (this.#monitor.has('adj-rib-in')) {
        const has = addPathReceive.includes(family);
        this.#enqueue(session.name, this.#table(incoming, family, () => rib.received(id, family, 'before-policy'), has));
      }
      if (this.#monitor.has('adj-rib-out')) {
        const has = addPathSend.includes(family);
        this.#enqueue(session.name, this.#table(outgoing, family, () => rib.advertised(id, family), has));
      }
    }
  }

  #tellLocRib(): void {
    const table = this.#locRib();
    const { localAs, routerId, rib } = this.#source;
    const open = encodeControlMessage({
      type: 'open', version: 4, as: openAsField(localAs), holdTime: 0, identifier: routerId,
      capabilities: [{ type: 'multiprotocol', afi: Afi.ipv4, safi: Safi.unicast }, { type: 'multiprotocol', afi: Afi.ipv6, safi: Safi.unicast }, { type: 'four-octet-as', as: localAs }],
    });
    const nowhere = parseAddress('0.0.0.0');
    this.#send(peerUp(table, this.#now(), { localAddress: nowhere, localPort: 0, remotePort: 0, sentOpen: open, receivedOpen: open }));
    for (const family of [4, 6] as const) this.#enqueue('', this.#table(table, family, () => rib.best(family), false));
  }

  /** A table as Route Monitoring messages and its End-of-RIB (RFC 7854 section 5). Made while it is read: always what is true now. */
  *#table(table: BmpTable, family: Family, slices: () => Iterable<readonly StreamedRoute[]>, addPath: boolean): Generator<Uint8Array, void, undefined> {
    const parameters = tableParameters(addPath, addPath);
    for (const slice of slices()) for (const update of announcements(slice, parameters)) yield routeMonitoring(table, this.#now(), update);
    yield routeMonitoring(table, this.#now(), endOfRib(family, parameters));
  }

  #enqueue(of: string, messages: Iterator<Uint8Array>): void {
    this.#dumps.push({ of, messages });
    if (this.#isDumping) return;
    this.#isDumping = true;
    this.#source.clock.soon(() => this.#dump());
  }

  /** Writes until the socket is full, a slice per turn of the event loop. */
  #dump(): void {
    const socket = this.#socket;
    if (socket === undefined || !this.#isUp) return;
    for (let messages = 0; messages < 512; messages++) {
      const [dump] = this.#dumps;
      if (dump === undefined) {
        this.#isDumping = false;
        return;
      }
      if (socket.writableLength > HIGH_WATER) return;
      const next = dump.messages.next();
      if (next.done === true) this.#dumps.shift();
      else this.#send(next.value);
    }
    this.#source.clock.soon(() => this.#dump());
  }

  #flushChanged(): void {
    const parameters = tableParameters(false, false);
    for (const prefix of this.#changed.values()) {
      const best = this.#source.rib.paths(prefix).find(({ isBest }) => isBest);
      const updates = best === undefined ? [withdrawal(prefix, parameters)] : announcements([{ ...best, pathId: undefined }], parameters);
      for (const update of updates) this.#send(routeMonitoring(this.#locRib(), this.#now(), update));
    }
    this.#changed.clear();
  }

  #scheduleStatistics(): void {
    const seconds = this.#station.statisticsInterval ?? 60;
    if (seconds === 0) return;
    this.#statisticsTimer = this.#source.clock.after(seconds * 1000, () => {
      if (!this.#isUp) return;
      for (const session of this.#source.sessions()) this.#tellStatistics(session);
      this.#scheduleStatistics();
    });
  }

  #tellStatistics({ peer, id, families }: BmpSession): void {
    const { rib } = this.#source;
    const values = families.flatMap((family): BmpStatisticValue[] => {
      const { received, advertised } = rib.counts(id, family);
      return [{ type: 'adjRibInByFamily', family, count: received }, { type: 'adjRibOutPostPolicyByFamily', family, count: advertised }];
    });
    const total = families.reduce((sum, family) => sum + rib.counts(id, family).received, 0);
    this.#send(statisticsReport({ type: 'adj-rib-in', postPolicy: false, peer }, this.#now(), [{ type: 'adjRibIn', count: total }, ...values]));
  }

  #locRib(): BmpTable {
    const { localAs, routerId } = this.#source;
    return { type: 'loc-rib', localAs, routerId };
  }

  #now(): number {
    return this.#source.clock.wallTime() / 1000;
  }
}
