/**
 * The forwarding table as Loc-RIB wants it: per prefix an interned entry of next hops, and the changes since the consumer last came.
 *
 * Like an update group it follows the change log, or walks the table when it has fallen too far behind or the kernel has to be
 * filled again. Prefixes of our own get no entry: whoever originates them forwards them.
 */
import type { AttributeSets } from './attribute-sets.js';
import { NO_METRIC } from './attribute-sets.js';
import type { LogReader } from './change-log.js';
import type { ForwardingEntry, ForwardingHop, ForwardingSink } from './forwarding-entry.js';
import type { Decision } from './decision.js';
import type { FamilyTable } from './family-table.js';
import { union } from './hops.js';
import type { NextHops } from './next-hops.js';
import { LOCAL_PEER } from './peers.js';
import { grown, type PrefixId } from './prefix-table.js';

/** Interned entries; number 0 is no entry. BOUNDED by distinct sets of next hops in use. */
class Entries {
  readonly #byKey = new Map<string, number>();
  readonly #list: ({ readonly key: string; readonly entry: ForwardingEntry; references: number } | undefined)[] = [
    undefined,
  ];
  readonly #free: number[] = [];

  /** Number of an equal entry, with a reference taken. */
  hold(hops: readonly ForwardingHop[], metric: number | undefined): number {
    const key = `${metric ?? ''}|${hops.map(keyOf).sort().join(',')}`;
    const known = this.#byKey.get(key);
    const item = known === undefined ? undefined : this.#list[known];
    if (known !== undefined && item !== undefined) {
      item.references++;
      return known;
    }
    const id = this.#free.pop() ?? this.#list.length;
    this.#list[id] = { key, entry: Object.freeze(metric === undefined ? { hops } : { hops, metric }), references: 1 };
    this.#byKey.set(key, id);
    return id;
  }

  holdAgain(id: number): void {
    const item = this.#list[id];
    if (item !== undefined) item.references++;
  }

  release(id: number): void {
    const item = this.#list[id];
    if (item === undefined || --item.references > 0) return;
    this.#list[id] = undefined;
    this.#byKey.delete(item.key);
    this.#free.push(id);
  }

  get(id: number): ForwardingEntry | undefined {
    return this.#list[id]?.entry;
  }
}

const keyOf = ({ address, interfaceName, weight, isOnlink }: ForwardingHop): string =>
  `${address?.family ?? ''}:${address?.value ?? ''}%${interfaceName ?? ''}*${weight}${isOnlink === true ? '!' : ''}`;

export class Forwarding {
  readonly #table: FamilyTable;
  readonly #sets: AttributeSets;
  readonly #nextHops: NextHops;
  readonly #decision: Decision;
  readonly #log: LogReader;
  readonly #entries = new Entries();
  /** Entry handed out for each prefix. */
  #given: Uint32Array;
  /** Prefix a walk has come to; undefined: following the log. */
  #walk: PrefixId | undefined;
  #isReplay = false;
  /** The last answer, because neighbours in the log mostly share their attribute set. */
  #lastSet = 0;
  #lastEntry = 0;

  constructor(table: FamilyTable, sets: AttributeSets, nextHops: NextHops, decision: Decision) {
    this.#table = table;
    this.#sets = sets;
    this.#nextHops = nextHops;
    this.#decision = decision;
    this.#log = table.log.subscribe();
    this.#given = new Uint32Array(table.prefixes.capacity);
  }

  get hasWork(): boolean {
    return this.#walk !== undefined || this.#log.position < this.#table.log.end;
  }

  entryOf(prefix: PrefixId): ForwardingEntry | undefined {
    return this.#entries.get(this.#given[prefix] ?? 0);
  }

  /** Hand out everything again. */
  replay(): void {
    this.#walk = 0;
    this.#isReplay = true;
  }

  /** Does the walk still have to take this prefix back? */
  remembers(prefix: PrefixId): boolean {
    return this.#walk !== undefined && (this.#given[prefix] ?? 0) !== 0;
  }

  /** Looks at prefixes until `limit` changes have gone to the sink; returns how many went. */
  take(sink: ForwardingSink, limit: number): number {
    const { log, prefixes } = this.#table;
    // Entries of next hops may have changed since: the memory lasts for one call.
    this.#forgetLast();
    let changes = 0;
    this.loseLongLog();
    while (this.#walk !== undefined && changes < limit) {
      const prefix = this.#walk++;
      if (prefix >= prefixes.end) this.#endWalk();
      else if (prefixes.isLive(prefix)) {
        if (this.#look(prefix, sink, this.#isReplay)) changes++;
        if (this.#table.head[prefix] === 0 && !log.has(prefix)) this.#table.forget(prefix);
      }
    }
    let position = this.#log.position;
    while (position < log.end && changes < limit) if (this.#look(log.at(position++), sink, false)) changes++;
    log.advance(this.#log, position);
    this.#forgetLast();
    return changes;
  }

  /**
   * Its place in the log is too far back to be kept: walk the table instead, when somebody comes. Nobody ever comes where routes are not
   * installed, and the log must not grow for that.
   */
  loseLongLog(): void {
    const { log, bestCount } = this.#table;
    // Not the numbers given out: the log keeps those of prefixes that are gone, so they grow with it.
    if (!log.isLong(this.#log.position, bestCount)) return;
    // A walk under way has to see again what it has passed; what it has given out it knows.
    this.#walk = 0;
    log.advance(this.#log, log.end);
  }

  #endWalk(): void {
    this.#walk = undefined;
    this.#isReplay = false;
  }

  /** True when something went to the sink. */
  #look(prefix: PrefixId, sink: ForwardingSink, isForced: boolean): boolean {
    const { prefixes, family } = this.#table;
    if (prefix >= this.#given.length) this.#given = grown(this.#given, prefixes.capacity);
    const entry = this.#wanted(prefix);
    const old = this.#given[prefix] as number;
    if (entry === old) {
      this.#entries.release(entry);
      if (!isForced || entry === 0) return false;
    } else {
      this.#given[prefix] = entry;
      this.#entries.release(old);
    }
    sink(family, prefixes.words, prefix * prefixes.width, prefixes.lengths[prefix] as number, this.#entries.get(entry));
    return true;
  }

  /** Number of the entry a prefix should have, with a reference taken; 0: none. */
  #wanted(prefix: PrefixId): number {
    const { best, paths, head } = this.#table;
    const path = best[prefix] as number;
    if (path === 0 || paths.peer[path] === LOCAL_PEER) return 0;
    const set = paths.set[path] as number;
    const isOnly = paths.next[head[prefix] as number] === 0;
    if (isOnly && set === this.#lastSet) {
      this.#entries.holdAgain(this.#lastEntry);
      return this.#lastEntry;
    }
    const chosen = isOnly ? [path] : this.#decision.multipath(this.#table, prefix);
    const hops = union(
      chosen.flatMap((each) => this.#nextHops.hops(this.#sets.nextHop[paths.set[each] as number] as number)),
    );
    if (hops.length === 0) return 0;
    const metric = this.#sets.metric[set] as number;
    const entry = this.#entries.hold(hops, metric === NO_METRIC ? undefined : metric);
    if (isOnly) this.#remember(set, entry);
    return entry;
  }

  #remember(set: number, entry: number): void {
    this.#forgetLast();
    this.#lastSet = set;
    this.#lastEntry = entry;
    this.#entries.holdAgain(entry);
  }

  #forgetLast(): void {
    this.#entries.release(this.#lastEntry);
    this.#lastSet = 0;
    this.#lastEntry = 0;
  }
}
