/**
 * What somebody else keeps doing to our routes: the first few repairs of a thing are made at once, further ones ever further apart, so that
 * two who disagree about a route do not spend the machine on it. A thing is a prefix; of a whole table at once, the table.
 *
 * Pure but for the clock that it is given.
 */

/** Repairs of one thing that are made at once. */
export const REPAIRS_AT_ONCE = 5;
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;
/** After so long without a repair a thing is well again. */
const FORGET = 120_000;
/** BOUNDED: prefixes remembered. A reading that finds more wrong than these has found the table wrong. */
const MOST_THINGS = 4_096;

interface Repaired {
  count: number;
  /** When it was last repaired. */
  last: number;
}

export interface Contested {
  /** Undefined: the table. */
  readonly key: string | undefined;
  readonly count: number;
  /** Milliseconds until the next repair may be made. */
  readonly pause: number;
}

export interface Admission<Thing> {
  /** What may be repaired now. */
  readonly now: readonly Thing[];
  /** Things that have just been repaired more often than looks like an accident. */
  readonly contested: readonly Contested[];
  /** Milliseconds until something that is held back may be repaired; undefined when nothing is. */
  readonly pause: number | undefined;
}

export class RepairLedger {
  private readonly things = new Map<string, Repaired>();
  private readonly table: Repaired = { count: 0, last: -Infinity };
  private contestedCount = 0;

  /** @param now milliseconds of a clock that only goes forwards */
  constructor(private readonly now: () => number) {}

  /** Things that are contested now. */
  get size(): number {
    return this.contestedCount;
  }

  /** Is this thing to be left alone for now? */
  isHeldBack(key: string): boolean {
    return this.pauseOf(this.things.get(key)) > 0;
  }

  /** Which of what was found wrong may be put right now; what may be is noted as done. */
  admit<Thing>(found: readonly Thing[], keyOf: (thing: Thing) => string): Admission<Thing> {
    if (found.length > MOST_THINGS) return this.admitTable(found);
    const admitted: Thing[] = [];
    const contested: Contested[] = [];
    let pause: number | undefined;
    for (const thing of found) {
      const key = keyOf(thing);
      const known = this.things.get(key);
      const rest = this.pauseOf(known);
      if (rest > 0) {
        pause = Math.min(pause ?? rest, rest);
        continue;
      }
      admitted.push(thing);
      const repaired = this.note(key, known);
      if (repaired.count > REPAIRS_AT_ONCE)
        contested.push({ key, count: repaired.count, pause: this.pauseOf(repaired) });
    }
    return { now: admitted, contested, pause };
  }

  /** Forgets what has been left in peace; answers what of it was contested. */
  forget(): readonly Contested['key'][] {
    const calmed: Contested['key'][] = [];
    const ends = this.now() - FORGET;
    for (const [key, { count, last }] of this.things) {
      if (last > ends) continue;
      this.drop(key);
      if (count > REPAIRS_AT_ONCE) calmed.push(key);
    }
    if (this.table.count > 0 && this.table.last <= ends) {
      if (this.table.count > REPAIRS_AT_ONCE) {
        calmed.push(undefined);
        this.contestedCount--;
      }
      this.table.count = 0;
    }
    return calmed;
  }

  private admitTable<Thing>(found: readonly Thing[]): Admission<Thing> {
    const { table } = this;
    const rest = this.pauseOf(table);
    if (rest > 0) return { now: [], contested: [], pause: rest };
    this.count(table);
    const contested = table.count > REPAIRS_AT_ONCE;
    return {
      now: found,
      contested: contested ? [{ key: undefined, count: table.count, pause: this.pauseOf(table) }] : [],
      pause: undefined,
    };
  }

  private note(key: string, known: Repaired | undefined): Repaired {
    const repaired = known ?? { count: 0, last: 0 };
    // The least recently repaired goes first.
    this.things.delete(key);
    this.things.set(key, repaired);
    this.count(repaired);
    for (const oldest of this.things.keys()) {
      if (this.things.size <= MOST_THINGS) break;
      this.drop(oldest);
    }
    return repaired;
  }

  private count(repaired: Repaired): void {
    repaired.count++;
    repaired.last = this.now();
    if (repaired.count === REPAIRS_AT_ONCE + 1) this.contestedCount++;
  }

  private drop(key: string): void {
    if ((this.things.get(key)?.count ?? 0) > REPAIRS_AT_ONCE) this.contestedCount--;
    this.things.delete(key);
  }

  private pauseOf(repaired: Repaired | undefined): number {
    if (repaired === undefined || repaired.count <= REPAIRS_AT_ONCE) return 0;
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (repaired.count - REPAIRS_AT_ONCE - 1));
    return Math.max(0, repaired.last + pause - this.now());
  }
}
