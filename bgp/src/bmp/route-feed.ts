/**
 * What a monitoring station still has to be told about routes (RFC 7854 section 5): whole tables when a session or the connection comes
 * up, then single routes that changed.
 *
 * Tables are read while they are told and changes are marks, not messages: what a route is when its turn comes is what is told, so a
 * burst of changes costs one message (section 5 allows that) and a slow station costs no memory. Each piece that `next` answers is whole:
 * it says what is true at this moment and must be sent before anything else happens, or an old truth could overtake a new one.
 *
 * BOUNDED: one entry per table of a session, one mark per route of a monitored table.
 */
import { formatPrefix, type Family, type IpPrefix } from '../address.js';
import type { PeerId } from '../rib/rib-peer.js';
import type { RibQueries } from '../rib/answers.js';
import { routeMonitoring, type BmpPeer, type BmpTable } from './message.js';
import { announcements, endOfRib, tableParameters, withdrawals, type StreamedRoute } from './route-stream.js';

/** Every table that can be monitored, by its name in the configuration. */
export type BmpMonitoring =
  | 'adj-rib-in'
  | 'adj-rib-in-post-policy'
  | 'adj-rib-out-pre-policy'
  | 'adj-rib-out'
  | 'loc-rib';

/** What a feed has to know of a session that is Established. */
export interface FedSession {
  readonly name: string;
  readonly id: PeerId;
  readonly peer: BmpPeer;
  readonly families: readonly Family[];
  /** Path identifiers in what the peer sends us, and in what we send. */
  readonly addPathReceive: readonly Family[];
  readonly addPathSend: readonly Family[];
}

export interface FeedSource {
  readonly localAs: number;
  readonly routerId: number;
  readonly rib: Pick<
    RibQueries,
    'received' | 'advertised' | 'offered' | 'best' | 'receivedPath' | 'offeredPath' | 'bestPath'
  >;
}

/** Marks told at a time. */
const CHANGES = 500;

/** A table of a session, or the Loc-RIB, in one family. */
interface Table {
  readonly monitoring: BmpMonitoring;
  /** undefined: the Loc-RIB. */
  readonly session: FedSession | undefined;
  readonly family: Family;
}

interface Mark extends Table {
  readonly prefix: IpPrefix;
  readonly pathId: number;
}

export class RouteFeed {
  readonly #source: FeedSource;
  /** Seconds since 1970. */
  readonly #now: () => number;
  #dumps: { readonly session: FedSession | undefined; readonly pieces: Iterator<readonly Uint8Array[]> }[] = [];
  #marks = new Map<string, Mark>();
  /** Changes and tables take turns, so that neither waits for the other's end. */
  #isDumpsTurn = false;

  constructor(source: FeedSource, now: () => number) {
    this.#source = source;
    this.#now = now;
  }

  get isEmpty(): boolean {
    return this.#dumps.length === 0 && this.#marks.size === 0;
  }

  /** All of a table, ended by End-of-RIB for each family. */
  addTable(monitoring: BmpMonitoring, session: FedSession | undefined): void {
    for (const family of session?.families ?? ([4, 6] as const))
      this.#dumps.push({ session, pieces: this.#tell({ monitoring, session, family }) });
  }

  /** One route of a table is not what it was. */
  addChange(monitoring: BmpMonitoring, session: FedSession | undefined, prefix: IpPrefix, pathId: number): void {
    this.#marks.set(`${monitoring} ${session?.id ?? ''} ${formatPrefix(prefix)} ${pathId}`, {
      monitoring,
      session,
      family: prefix.family,
      prefix,
      pathId,
    });
  }

  /** Rules about a table changed: every route that it may have is told as it is now, or taken back. */
  recheck(monitoring: BmpMonitoring, session: FedSession): void {
    for (const family of session.families)
      this.#dumps.push({ session, pieces: this.#tellAgain({ monitoring, session, family }) });
  }

  /** The session is down: its routes are gone with it (section 4.9), there is nothing to tell. */
  forget(name: string): void {
    this.#dumps = this.#dumps.filter(({ session }) => session?.name !== name);
    for (const [key, { session }] of this.#marks) if (session?.name === name) this.#marks.delete(key);
  }

  clear(): void {
    this.#dumps = [];
    this.#marks.clear();
  }

  /** The next piece, to be sent at once; undefined: all is told. */
  next(): readonly Uint8Array[] | undefined {
    this.#isDumpsTurn = !this.#isDumpsTurn;
    const [dump] = this.#dumps;
    if (dump === undefined || (this.#marks.size > 0 && !this.#isDumpsTurn))
      return this.#marks.size === 0 ? undefined : this.#tellChanges();
    const piece = dump.pieces.next();
    if (piece.done !== true) return piece.value;
    this.#dumps.shift();
    return [];
  }

  *#tell(table: Table): Generator<readonly Uint8Array[], void, undefined> {
    const { monitoring } = table;
    for (const slice of this.#slices(table)) {
      const routes = slice.map((route) => withPathId({ monitoring, pathId: 0 }, route));
      yield this.#monitoringOf(table, announcements(routes, parametersOf(table)));
    }
    yield this.#monitoringOf(table, [endOfRib(table.family, parametersOf(table))]);
  }

  *#tellAgain(table: Table): Generator<readonly Uint8Array[], void, undefined> {
    for (const slice of this.#source.rib.best(table.family))
      yield this.#tellMarks(slice.map(({ prefix }) => ({ ...table, prefix, pathId: 0 })));
  }

  #slices({ monitoring, session, family }: Table): Iterable<readonly StreamedRoute[]> {
    const { rib } = this.#source;
    if (session === undefined) return rib.best(family);
    switch (monitoring) {
      case 'adj-rib-in':
        return rib.received(session.id, family, 'before-policy');
      case 'adj-rib-in-post-policy':
        return rib.received(session.id, family, 'after-policy');
      case 'adj-rib-out-pre-policy':
        return rib.offered(session.id, family);
      case 'adj-rib-out':
        return rib.advertised(session.id, family);
      case 'loc-rib':
        return rib.best(family);
    }
  }

  #tellChanges(): readonly Uint8Array[] {
    const tables = new Map<string, Mark[]>();
    let left = CHANGES;
    for (const [key, mark] of this.#marks) {
      if (left-- === 0) break;
      this.#marks.delete(key);
      const of = `${mark.monitoring} ${mark.session?.id ?? ''} ${mark.family}`;
      const list = tables.get(of);
      if (list === undefined) tables.set(of, [mark]);
      else list.push(mark);
    }
    return [...tables.values()].flatMap((marks) => this.#tellMarks(marks));
  }

  /** Marks of one table. */
  #tellMarks(marks: readonly Mark[]): readonly Uint8Array[] {
    const [table] = marks;
    if (table === undefined) return [];
    const gone: Mark[] = [];
    const routes: StreamedRoute[] = [];
    for (const mark of marks) {
      const route = this.#routeOf(mark);
      if (route === undefined) gone.push(mark);
      else routes.push(withPathId(mark, route));
    }
    const parameters = parametersOf(table);
    return this.#monitoringOf(table, [
      ...withdrawals(gone, table.family, parameters),
      ...announcements(routes, parameters),
    ]);
  }

  #routeOf({ monitoring, session, prefix, pathId }: Mark): StreamedRoute | undefined {
    const { rib } = this.#source;
    if (session === undefined) return rib.bestPath(prefix);
    switch (monitoring) {
      case 'adj-rib-in':
        return rib.receivedPath(session.id, prefix, pathId, 'before-policy');
      case 'adj-rib-in-post-policy':
        return rib.receivedPath(session.id, prefix, pathId, 'after-policy');
      case 'adj-rib-out-pre-policy':
        return rib.offeredPath(session.id, prefix);
      // Told by the very messages that went to the peer.
      case 'adj-rib-out':
      case 'loc-rib':
        return undefined;
    }
  }

  #monitoringOf(table: Table, updates: Iterable<Uint8Array>): readonly Uint8Array[] {
    const header = headerOf(table, this.#source);
    return Array.from(updates, (update) => routeMonitoring(header, this.#now(), update));
  }
}

/**
 * Tables without identifiers of the peer's get none, in a dump as in a change: one best path is all they have, and the identifier by which
 * it came is its sender's, not that of who is told.
 */
const withPathId = (
  { monitoring, pathId }: Pick<Mark, 'monitoring' | 'pathId'>,
  route: StreamedRoute,
): StreamedRoute =>
  monitoring === 'loc-rib' || monitoring === 'adj-rib-out-pre-policy' ? { ...route, pathId } : route;

/** What we write has AS numbers of four octets, whatever the session has (section 4.2, flag A). */
function headerOf({ monitoring, session }: Table, { localAs, routerId }: FeedSource): BmpTable {
  if (session === undefined) return { type: 'loc-rib', localAs, routerId };
  const peer = { ...session.peer, isOld: false };
  const isIn = monitoring === 'adj-rib-in' || monitoring === 'adj-rib-in-post-policy';
  const postPolicy = monitoring === 'adj-rib-in-post-policy' || monitoring === 'adj-rib-out';
  return { type: isIn ? 'adj-rib-in' : 'adj-rib-out', postPolicy, peer };
}

/** A reader takes path identifiers for granted where the OPENs agreed on them, whatever the table. */
function parametersOf({ monitoring, session, family }: Table): ReturnType<typeof tableParameters> {
  const isOut = monitoring === 'adj-rib-out' || monitoring === 'adj-rib-out-pre-policy';
  const addPath = session !== undefined && (isOut ? session.addPathSend : session.addPathReceive).includes(family);
  return tableParameters(addPath, addPath);
}
