/**
 * Looks whether somebody else has changed what is ours. It only looks and marks; the applier's next pass writes.
 *
 * - nft backend: kernel events name the table at once (rule-events.ts); then the table is read and compared.
 * - legacy backend: no events exist; a cheap comparison of the table's bytes every interval (legacy-tables.ts) tells when
 *   to read it. Our own writes are taken as known, and read back once writing has come to rest.
 * - sets: no events either; every interval all headers (existence, type, number of members), and the members of a few sets
 *   in turn, so that an exchange of one member for another is found as well.
 *
 * Reading a table back also records the kernel's own spelling of our rules, by which a rule edited under its old comment shows.
 */
import { BUILTIN_CHAINS, TABLES, type Family, type Table } from '@tortie/policy/ruleset';
import { SystemError } from '../system-error.js';
import { ChildError, type Within } from './child.js';
import type { FamilyTables } from './family-tables.js';
import { LegacyTables } from './legacy-tables.js';
import { watchTransactions, type RuleEvents, type TableEvent } from './rule-events.js';
import type { SetHeader } from './set-protocol.js';
import type { SetState } from './set-state.js';
import type { SetTransport } from './set-transport.js';

export interface PatrolOptions {
  readonly families: readonly FamilyTables[];
  readonly transport: SetTransport;
  readonly sets: SetState;
  readonly within: Within;
  /** Milliseconds; 0: no timer. */
  readonly interval: number;
}

interface LookFailure {
  readonly family: Family;
  readonly subject: string;
  /** Undefined: it works (again). */
  readonly message: string | undefined;
}

/** Members read per look beyond suspicion; at 0.3 us each this stays under 2 ms. */
const MEMBERS_PER_ROUND = 5_000;
/** Sets read per look beyond suspicion; an idle node's twenty, read every second, were a fifth of what its agent took. */
const SETS_PER_ROUND = 4;
/**
 * Looking may take a hundredth of the time, so that a large table at rest costs little, and a twentieth where a hundredth would
 * be less often than every few seconds: what somebody has changed stands so long.
 */
const CALM_FACTOR = 100;
const SELDOM = 10_000;
const COST_FACTOR = 20;
/** After a write, wait so long without another one before reading back. */
const QUIET_BEFORE_READBACK = 1_500;
/**
 * In a storm without rest, read back so often all the same. Changes wait for the reading, 0.1 s with 2,000 policies:
 * rarely enough to stay out of their 99th percentile.
 */
const LONGEST_UNVERIFIED = 30_000;

export class Patrol {
  private timer: NodeJS.Timeout | undefined;
  private events: RuleEvents | undefined;
  private readonly legacy = new Map<Family, LegacyTables>();
  /** Tables to read in the next look. */
  private readonly suspects = new Map<Family, Set<Table>>();
  private isStarted = false;
  private onAlarm: () => void = () => undefined;
  private isRoundDue = false;
  private failures: LookFailure[] = [];
  private nextSet = 0;
  private isStopped = false;
  private lastDuration = 0;

  constructor(private readonly options: PatrolOptions) {}

  /**
   * Subscribes to events and starts the timer; once. Called after the first sync: before it, nothing is ours to defend. `onAlarm`:
   * something may have changed, look().
   */
  start(onAlarm: () => void): void {
    if (this.isStarted || this.isStopped) return;
    this.isStarted = true;
    this.onAlarm = onAlarm;
    const { families, within } = this.options;
    if (families.some(({ choice }) => choice.backend === 'nft') && this.events === undefined)
      this.events = within(() =>
        watchTransactions({
          isOwn: (portId) => families.some((family) => family.isOwn(portId)),
          concerns,
          onTouched: (events) => this.suspect(events),
        }),
      );
    this.scheduleRound();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.events?.close();
    for (const tables of this.legacy.values()) tables.close();
  }

  /** Reads these tables and all sets, for a whole sync. */
  async lookAtAll(tables: readonly Table[]): Promise<ReadonlyMap<Family, readonly string[]>> {
    for (const { family } of this.options.families) for (const table of tables) this.mark(family, table);
    const findings = await this.lookAtTables();
    const headers = await this.headers();
    this.options.sets.observe(headers);
    const present = new Set(headers.map((header) => header.name));
    for (const name of this.options.sets.names) if (present.has(name)) await this.compare(name);
    return findings;
  }

  /** Looks where something is suspected, and at everything cheap when a round is due. Returns what was found, by family. */
  async look(): Promise<ReadonlyMap<Family, readonly string[]>> {
    if (!this.isRoundDue) return this.lookAtTables();
    const start = Date.now();
    this.isRoundDue = false;
    try {
      this.askLegacy();
      this.askReadBack();
      const findings = await this.lookAtTables();
      for (const [family, texts] of await this.lookAtSets())
        findings.set(family, [...(findings.get(family) ?? []), ...texts]);
      return findings;
    } finally {
      this.lastDuration = Date.now() - start;
      this.scheduleRound();
    }
  }

  /** Is what the kernel holds in this family still unknown, because it could not be read? */
  isBlind(family: Family): boolean {
    return this.suspects.has(family);
  }

  /** We are going to write: what others have changed since the last look must not pass as ours afterwards. */
  beforeWrite(family: Family, tables: Iterable<Table>): void {
    for (const table of tables)
      if (this.legacy.get(family)?.hasChanged(table) === true) {
        this.mark(family, table);
        this.onAlarm();
      }
  }

  /** We have just written these tables. */
  wrote(family: Family, tables: Iterable<Table>): void {
    for (const table of tables) this.legacy.get(family)?.rebase(table);
  }

  takeFailures(): readonly LookFailure[] {
    const failures = this.failures;
    this.failures = [];
    return failures;
  }

  private suspect(events: readonly TableEvent[] | 'all'): void {
    for (const { family, state } of this.options.families)
      for (const table of state.tables())
        if (events === 'all' || events.some((event) => familyOf(event) === family && event.table === table))
          this.mark(family, table);
    if (this.suspects.size > 0) this.onAlarm();
  }

  private mark(family: Family, table: Table): void {
    const tables = this.suspects.get(family) ?? new Set<Table>();
    this.suspects.set(family, tables.add(table));
  }

  private scheduleRound(): void {
    const { interval } = this.options;
    if (interval === 0 || this.isStopped) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(
      () => {
        this.isRoundDue = true;
        this.onAlarm();
      },
      pauseAfter(this.lastDuration, interval),
    );
    this.timer.unref();
  }

  private openLegacy(family: Family): LegacyTables | undefined {
    const open = this.legacy.get(family);
    if (open !== undefined) return open;
    const subject = 'watch of legacy tables';
    try {
      const tables = this.options.within(() => new LegacyTables(family));
      this.legacy.set(family, tables);
      this.failures.push({ family, subject, message: undefined });
      return tables;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.failures.push({ family, subject, message: `Cannot watch legacy tables for changes: ${error.message}` });
      return undefined;
    }
  }

  private askLegacy(): void {
    for (const { family, choice, state } of this.options.families) {
      if (choice.backend !== 'legacy') continue;
      const tables = this.openLegacy(family);
      for (const table of state.tables()) if (tables?.hasChanged(table) !== false) this.mark(family, table);
    }
  }

  /** What was written is read back once writing has come to rest. */
  private askReadBack(): void {
    for (const { family, state } of this.options.families) {
      const tables = state.unverified();
      if (tables.size === 0) continue;
      const now = Date.now();
      const isOverdue = state.unverifiedSince !== undefined && state.unverifiedSince + LONGEST_UNVERIFIED < now;
      if (isOverdue) state.unverifiedSince = now;
      if (isOverdue || state.writtenAt + QUIET_BEFORE_READBACK < now)
        for (const table of tables) this.mark(family, table);
    }
  }

  private async lookAtTables(): Promise<Map<Family, readonly string[]>> {
    const findings = new Map<Family, readonly string[]>();
    for (const family of this.options.families) {
      const tables = this.suspects.get(family.family);
      if (tables === undefined) continue;
      this.suspects.delete(family.family);
      const texts: string[] = [];
      for (const table of tables) for (const each of await this.lookAtTable(family, table)) texts.push(each);
      findings.set(family.family, texts);
    }
    return findings;
  }

  private async lookAtTable(family: FamilyTables, table: Table): Promise<readonly string[]> {
    const subject = `read ${table}`;
    try {
      const findings = family.state.observe(table, await family.read(table));
      this.failures.push({ family: family.family, subject, message: undefined });
      return findings;
    } catch (error) {
      if (!(error instanceof ChildError)) throw error;
      this.mark(family.family, table);
      this.failures.push({ family: family.family, subject, message: error.message });
      return [];
    }
  }

  /** Our sets of the families that we write. Where IPv6 was switched off, rules of before may still hold its sets. */
  private async headers(): Promise<readonly SetHeader[]> {
    const families = this.options.families.map(({ family }) => `tortie${family}-`);
    const headers = await this.options.transport.headers();
    return headers.filter(({ name }) => families.some((prefix) => name.startsWith(prefix)));
  }

  private async lookAtSets(): Promise<ReadonlyMap<Family, readonly string[]>> {
    const { transport, sets } = this.options;
    const headers = await this.headers();
    const { findings, suspects } = sets.observe(headers);
    const texts = [...findings];
    const sizes = new Map(headers.map((header) => [header.name, header.elements]));
    const inTurn = transport.type === 'netlink' ? this.setsInTurn(sizes) : [];
    for (const name of new Set([...suspects, ...inTurn])) for (const each of await this.compare(name)) texts.push(each);
    const byFamily = new Map<Family, string[]>([
      [4, []],
      [6, []],
    ]);
    for (const text of texts) byFamily.get(text.startsWith('set tortie6-') ? 6 : 4)?.push(text);
    return byFamily;
  }

  private async compare(name: string): Promise<readonly string[]> {
    const present = await this.options.transport.members(name);
    return present === undefined ? [] : this.options.sets.compare(name, present);
  }

  private setsInTurn(sizes: ReadonlyMap<string, number>): readonly string[] {
    const names = this.options.sets.names;
    const chosen: string[] = [];
    let members = 0;
    for (let i = 0; i < names.length && members < MEMBERS_PER_ROUND && chosen.length < SETS_PER_ROUND; i++) {
      const name = names[this.nextSet++ % names.length];
      const size = name === undefined ? undefined : sizes.get(name);
      if (name === undefined || size === undefined) continue;
      chosen.push(name);
      members += size;
    }
    return chosen;
  }
}

/** Milliseconds until the next round. Exported for its test. */
export const pauseAfter = (lastDuration: number, interval: number): number =>
  Math.max(interval, Math.min(lastDuration * CALM_FACTOR, SELDOM), lastDuration * COST_FACTOR);

const BUILTINS: ReadonlySet<string> = new Set(BUILTIN_CHAINS);
const WATCHED: ReadonlySet<string> = new Set(TABLES);

/** A chain of ours, a built-in chain that we may hook into, or a whole table of iptables. Exported for its test. */
export function concerns(event: TableEvent): boolean {
  if (familyOf(event) === undefined || !WATCHED.has(event.table)) return false;
  return event.chain === undefined || event.chain.startsWith('TORTIE-') || BUILTINS.has(event.chain);
}

const familyOf = (event: TableEvent): Family | undefined =>
  event.family === 2 ? 4 : event.family === 10 ? 6 : undefined;
